//! What every reranker must do, whatever its wire, and the wires.

use std::marker::PhantomData;
use std::sync::Arc;

use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::http::Http;
use lorekeep_models::provider::rerank::cohere::CohereRerank;
use lorekeep_models::provider::rerank::tei::TeiRerank;
use lorekeep_models::provider::rerank::watsonx::WatsonxRerank;
use lorekeep_models::provider::rerank::{HttpRerank, RerankWire};
use lorekeep_models::provider::watsonx::Scope;
use lorekeep_testkit::upstream::{Asked, Reply, Upstream};
use lorekeep_types::{ModelError, ModelFault, ModelId, RerankModel, Reranked, Secret};
use serde_json::{Value, json};

use crate::conformance::{MODEL, call};
use crate::transport::{Target, http};

/// What a provider's scripted server says, and what it expects to be asked.
trait Dialect: Send + Sync + 'static {
    /// Whether the provider tells tokens.
    const REPORTS: bool = true;
    fn wire() -> Arc<dyn RerankWire>;
    fn auth() -> Arc<dyn Authorize>;
    /// A whole answer of `(index, score)`, and the number of tokens read.
    fn whole(ranking: &[(Value, Value)], tokens: Value) -> Value;
    /// The body of an error.
    fn error(message: &str) -> String;
    /// Checks a request for the best two of [`TEXTS`] field by field.
    fn check(asked: &Asked);
    /// The model as the answer names it.
    fn model() -> &'static str {
        MODEL
    }
}

const QUERY: &str = "Who was \"Ada\" — 你好?";
const TEXTS: [&str; 3] = ["Ada wrote notes.", "It rained.", "Babbage built an engine."];

fn model_at<D: Dialect>(http: Http, auth: Arc<dyn Authorize>) -> HttpRerank {
    HttpRerank::new(ModelId::new("test", MODEL), D::wire(), http, auth)
}

fn good<D: Dialect>(tokens: Value) -> Value {
    D::whole(&[(json!(2), json!(0.25)), (json!(0), json!(0.75))], tokens)
}

async fn ask<D: Dialect>(body: impl AsRef<[u8]>) -> (Result<Reranked, ModelError>, Vec<Asked>) {
    let upstream = Upstream::start([Reply::body(200, "application/json", body)]).await.unwrap();
    let outcome = model_at::<D>(http(&upstream.url()), D::auth()).rerank(&call(), QUERY, &TEXTS, 2).await;
    (outcome, upstream.asked())
}

fn order(reranked: &Reranked) -> Vec<(usize, f32)> {
    reranked.ranking.iter().map(|one| (one.index, one.score)).collect()
}

/// The failures of transport, asked through this port.
struct OverHttp<D>(PhantomData<D>);

impl<D: Dialect> Target for OverHttp<D> {
    fn auth() -> Arc<dyn Authorize> {
        D::auth()
    }

    fn good() -> String {
        good::<D>(json!(7)).to_string()
    }

    fn error(message: &str) -> String {
        D::error(message)
    }

    async fn ask(http: Http, auth: Arc<dyn Authorize>) -> Result<(), ModelError> {
        model_at::<D>(http, auth).rerank(&call(), QUERY, &TEXTS, 2).await.map(drop)
    }
}

async fn plain<D: Dialect>() {
    let (outcome, asked) = ask::<D>(good::<D>(json!(21)).to_string()).await;
    let reranked = outcome.unwrap();
    assert_eq!(order(&reranked), [(0, 0.75), (2, 0.25)]);
    assert_eq!((reranked.model.as_str(), reranked.usage.completion), (D::model(), 0));
    if D::REPORTS {
        assert_eq!((reranked.usage.prompt, reranked.usage.estimated), (21, false));
    }
    assert_eq!((asked.len(), asked[0].method.as_str()), (1, "POST"));
    D::check(&asked[0]);
}

/// A server that ranks more than it was asked for.
async fn more_than_asked_is_cut<D: Dialect>() {
    let all = [(json!(1), json!(-3)), (json!(2), json!(9.5)), (json!(0), json!(9.5))];
    let (outcome, _) = ask::<D>(D::whole(&all, json!(21)).to_string()).await;
    assert_eq!(order(&outcome.unwrap()), [(0, 9.5), (2, 9.5)]);
}

async fn tokens_are_estimated<D: Dialect>() {
    for tokens in [Value::Null, json!(-5), json!(1e18), json!("many")] {
        let (outcome, _) = ask::<D>(good::<D>(tokens.clone()).to_string()).await;
        let usage = outcome.unwrap().usage;
        assert!(usage.estimated && (10..100).contains(&usage.prompt) && usage.completion == 0, "{tokens}: {usage:?}");
    }
}

async fn not_an_order<D: Dialect>() {
    let bad = [
        vec![],
        vec![(json!(3), json!(0.5))],
        vec![(json!(-1), json!(0.5))],
        vec![(json!(0), json!(0.5)), (json!(0), json!(0.25))],
        vec![(json!(0), Value::Null)],
        vec![(json!(0), json!("high"))],
        vec![(json!(0), json!(1e300))],
        vec![(Value::Null, json!(0.5))],
        vec![(json!("0"), json!(0.5))],
    ];
    for ranking in bad {
        let error = ask::<D>(D::whole(&ranking, json!(21)).to_string()).await.0.unwrap_err();
        assert_eq!(error.fault, ModelFault::Malformed, "{ranking:?}: {error}");
    }
    let error = ask::<D>(D::whole(&[(json!(3), json!(0.5))], json!(21)).to_string()).await.0.unwrap_err();
    assert!(error.message.contains("text 3 of 3"), "{error}");
    assert_eq!(error.usage.map(|usage| usage.prompt == 21), Some(D::REPORTS), "{error:?}");
}

/// Nothing to rank needs no call, and no more is asked for than there is.
async fn limits<D: Dialect>() {
    let upstream = Upstream::start([Reply::json(200, &D::whole(&[(json!(0), json!(0.5))], json!(1)))]).await.unwrap();
    let model = model_at::<D>(http(&upstream.url()), D::auth());
    assert_eq!(model.rerank(&call(), QUERY, &[], 5).await.unwrap().ranking, []);
    assert_eq!(model.rerank(&call(), QUERY, &TEXTS, 0).await.unwrap().ranking, []);
    assert_eq!(upstream.asked(), []);
    assert_eq!(order(&model.rerank(&call(), QUERY, &TEXTS[..1], 50).await.unwrap()), [(0, 0.5)]);
    assert!(!String::from_utf8_lossy(&upstream.asked()[0].body).contains("50"));
}

/// The suite for one dialect, as tests of the module it is used in.
macro_rules! rerank_suite {
    ($dialect:ident) => {
        $crate::rerank::rerank_suite!($dialect:
            plain, more_than_asked_is_cut, tokens_are_estimated, not_an_order, limits);
        $crate::transport::transport_suite!(super::OverHttp<super::$dialect>);
    };
    ($dialect:ident: $($name:ident),+) => {
        $(#[tokio::test]
        async fn $name() {
            super::$name::<super::$dialect>().await;
        })+
    };
}
pub(crate) use rerank_suite;

fn results(ranking: &[(Value, Value)], score: &str) -> Vec<Value> {
    ranking.iter().map(|(index, value)| json!({ "index": index, score: value })).collect()
}

fn bearer() -> Arc<dyn Authorize> {
    Arc::new(Key::Bearer(Secret::new("sk-test")))
}

struct Cohere;

impl Dialect for Cohere {
    fn wire() -> Arc<dyn RerankWire> {
        Arc::new(CohereRerank::V2)
    }

    fn auth() -> Arc<dyn Authorize> {
        bearer()
    }

    fn whole(ranking: &[(Value, Value)], tokens: Value) -> Value {
        json!({ "id": "r-1", "results": results(ranking, "relevance_score"), "meta": {
            "api_version": { "version": "2" }, "billed_units": { "search_units": 1 }, "tokens": { "input_tokens": tokens } } })
    }

    fn error(message: &str) -> String {
        json!({ "id": "r-1", "message": message }).to_string()
    }

    fn check(asked: &Asked) {
        assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/rerank", Some("Bearer sk-test")));
        assert_eq!(asked.json(), json!({ "model": MODEL, "query": QUERY, "documents": TEXTS, "top_n": 2 }));
    }
}

mod cohere {
    super::rerank_suite!(Cohere);
}

struct Jina;

impl Dialect for Jina {
    fn wire() -> Arc<dyn RerankWire> {
        Arc::new(CohereRerank::V1)
    }

    fn auth() -> Arc<dyn Authorize> {
        bearer()
    }

    fn whole(ranking: &[(Value, Value)], tokens: Value) -> Value {
        json!({ "model": "jina-test", "usage": { "total_tokens": tokens }, "results": results(ranking, "relevance_score") })
    }

    fn error(message: &str) -> String {
        json!({ "detail": message }).to_string()
    }

    fn check(asked: &Asked) {
        assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/rerank", Some("Bearer sk-test")));
        let expected =
            json!({ "model": MODEL, "query": QUERY, "documents": TEXTS, "top_n": 2, "return_documents": false });
        assert_eq!(asked.json(), expected);
    }

    fn model() -> &'static str {
        "jina-test"
    }
}

mod jina {
    super::rerank_suite!(Jina);
}

struct Watsonx;

impl Dialect for Watsonx {
    fn wire() -> Arc<dyn RerankWire> {
        Arc::new(WatsonxRerank::new("2025-02-11", Scope::Project("project-1".to_owned())))
    }

    fn auth() -> Arc<dyn Authorize> {
        bearer()
    }

    fn whole(ranking: &[(Value, Value)], tokens: Value) -> Value {
        json!({ "model_id": "ibm/test", "results": results(ranking, "score"), "input_token_count": tokens })
    }

    fn error(message: &str) -> String {
        json!({ "trace": "t", "status_code": 1, "errors": [{ "code": "x", "message": message }] }).to_string()
    }

    fn check(asked: &Asked) {
        assert_eq!(asked.path, "/ml/v1/text/rerank?version=2025-02-11");
        let expected = json!({ "model_id": MODEL, "project_id": "project-1", "query": QUERY,
            "inputs": TEXTS.map(|text| json!({ "text": text })),
            "parameters": { "return_options": { "top_n": 2, "inputs": false, "query": false } } });
        assert_eq!(asked.json(), expected);
    }

    fn model() -> &'static str {
        "ibm/test"
    }
}

mod watsonx {
    super::rerank_suite!(Watsonx);
}

struct Tei;

impl Dialect for Tei {
    const REPORTS: bool = false;

    fn wire() -> Arc<dyn RerankWire> {
        Arc::new(TeiRerank::default())
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::None)
    }

    fn whole(ranking: &[(Value, Value)], _tokens: Value) -> Value {
        json!(results(ranking, "score"))
    }

    fn error(message: &str) -> String {
        json!({ "error": message, "error_type": "Validation" }).to_string()
    }

    fn check(asked: &Asked) {
        assert_eq!(asked.path, "/rerank");
        assert_eq!(asked.json(), json!({ "query": QUERY, "texts": TEXTS, "raw_scores": false }));
    }
}

mod tei {
    super::rerank_suite!(Tei);
}

struct SmallTei;

impl Dialect for SmallTei {
    const REPORTS: bool = false;

    fn wire() -> Arc<dyn RerankWire> {
        Arc::new(TeiRerank { batch: 2, truncate: true })
    }

    fn auth() -> Arc<dyn Authorize> {
        Tei::auth()
    }

    fn whole(ranking: &[(Value, Value)], tokens: Value) -> Value {
        Tei::whole(ranking, tokens)
    }

    fn error(message: &str) -> String {
        Tei::error(message)
    }

    fn check(asked: &Asked) {
        assert_eq!(asked.json()["truncate"], json!(true));
    }
}

/// What does not fit into one request is ranked in two, and the indices are those of the whole.
#[tokio::test]
async fn many_texts_are_ranked_in_several_requests() {
    let first = Tei::whole(&[(json!(1), json!(0.5)), (json!(0), json!(0.1))], Value::Null);
    let second = Tei::whole(&[(json!(0), json!(0.9))], Value::Null);
    let upstream = Upstream::start([Reply::json(200, &first), Reply::json(200, &second)]).await.unwrap();
    let model = model_at::<SmallTei>(http(&upstream.url()), Tei::auth());
    let reranked = model.rerank(&call(), QUERY, &TEXTS, 2).await.unwrap();
    assert_eq!(order(&reranked), [(2, 0.9), (1, 0.5)]);
    let asked = upstream.asked();
    assert_eq!((&asked[0].json()["texts"], &asked[1].json()["texts"]), (&json!(TEXTS[..2]), &json!(TEXTS[2..])));
    SmallTei::check(&asked[1]);
    // What the first request took is told when the second fails.
    let upstream = Upstream::start([Reply::json(200, &first), Reply::json(500, &json!({}))]).await.unwrap();
    let model = model_at::<SmallTei>(http(&upstream.url()), Tei::auth());
    let error = model.rerank(&call(), QUERY, &TEXTS, 2).await.unwrap_err();
    assert!(error.usage.is_some_and(|usage| usage.prompt > 10), "{error:?}");
}
