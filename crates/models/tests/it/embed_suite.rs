//! What every embedding provider must do, whatever its wire: one suite, run for each by [`embed_suite`].

use std::marker::PhantomData;
use std::sync::Arc;

use lorekeep_models::provider::auth::Authorize;
use lorekeep_models::provider::embed::{EmbedWire, HttpEmbed};
use lorekeep_models::provider::http::Http;
use lorekeep_testkit::upstream::{Asked, Reply, Upstream};
use lorekeep_types::{EmbedKind, Embedded, EmbeddingProvider, ModelError, ModelFault, ModelId};
use serde_json::{Value, json};

use crate::conformance::{MODEL, call};
use crate::transport::{Target, http};

/// What a provider's scripted server says, and what it expects to be asked.
pub trait Dialect: Send + Sync + 'static {
    /// Whether the provider tells tokens.
    const REPORTS: bool = true;
    fn wire() -> Arc<dyn EmbedWire>;
    fn auth() -> Arc<dyn Authorize>;
    /// A whole answer with these vectors, and the number of tokens read.
    fn whole(vectors: &[Value], tokens: Value) -> Value;
    /// The body of an error.
    fn error(message: &str) -> String;
    /// Checks a request for the vectors of [`TEXTS`] field by field.
    fn check(asked: &Asked, kind: EmbedKind);
    /// The model as the answer names it.
    fn model() -> &'static str;
}

pub const TEXTS: [&str; 2] = ["It was \"Ada\" — 你好", "two words"];

pub fn model_at<D: Dialect>(http: Http, auth: Arc<dyn Authorize>) -> HttpEmbed {
    HttpEmbed::new(ModelId::new("test", MODEL), D::wire(), http, auth)
}

pub fn good<D: Dialect>(tokens: Value) -> Value {
    D::whole(&[json!([0.5, -1.0, 2.0]), json!([3, 0.25, 1e-3])], tokens)
}

pub async fn ask<D: Dialect>(body: impl AsRef<[u8]>, kind: EmbedKind) -> (Result<Embedded, ModelError>, Vec<Asked>) {
    let upstream = Upstream::start([Reply::body(200, "application/json", body)]).await.unwrap();
    let outcome = model_at::<D>(http(&upstream.url()), D::auth()).embed(&call(), &TEXTS, kind).await;
    (outcome, upstream.asked())
}

async fn malformed<D: Dialect>(body: impl AsRef<[u8]>) -> ModelError {
    let error = ask::<D>(body, EmbedKind::Passage).await.0.unwrap_err();
    assert_eq!(error.fault, ModelFault::Malformed, "{error}");
    error
}

/// The failures of transport, asked through this port.
pub struct OverHttp<D>(PhantomData<D>);

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
        model_at::<D>(http, auth).embed(&call(), &TEXTS, EmbedKind::Passage).await.map(drop)
    }
}

pub async fn plain<D: Dialect>() {
    for kind in [EmbedKind::Passage, EmbedKind::Query] {
        let (outcome, asked) = ask::<D>(good::<D>(json!(21)).to_string(), kind).await;
        let embedded = outcome.unwrap();
        assert_eq!(embedded.vectors, [vec![0.5, -1.0, 2.0], vec![3.0, 0.25, 1e-3]]);
        assert_eq!(embedded.model, D::model());
        assert_eq!(embedded.usage.completion, 0);
        if D::REPORTS {
            assert_eq!((embedded.usage.prompt, embedded.usage.estimated), (21, false));
        }
        assert_eq!((asked.len(), asked[0].method.as_str()), (1, "POST"));
        assert_eq!(asked[0].header("content-type"), Some("application/json"));
        D::check(&asked[0], kind);
    }
}

pub async fn tokens_are_estimated<D: Dialect>() {
    for tokens in [Value::Null, json!(-5), json!(1e18), json!("many")] {
        let (outcome, _) = ask::<D>(good::<D>(tokens.clone()).to_string(), EmbedKind::Passage).await;
        let usage = outcome.unwrap().usage;
        assert!(usage.estimated && (5..50).contains(&usage.prompt) && usage.completion == 0, "{tokens}: {usage:?}");
    }
}

pub async fn wrong_count<D: Dialect>() {
    for count in [0, 1, 3] {
        let error = malformed::<D>(D::whole(&vec![json!([1.0, 2.0]); count], json!(21)).to_string()).await;
        assert!(error.message.contains(&format!("{count} vectors for 2 texts")), "{error}");
        assert_eq!(error.usage.map(|usage| usage.prompt == 21), Some(D::REPORTS), "{error:?}");
    }
}

pub async fn wrong_length<D: Dialect>() {
    let error = malformed::<D>(D::whole(&[json!([1.0, 2.0, 3.0]), json!([1.0, 2.0])], json!(2)).to_string()).await;
    assert!(error.message.contains("2 numbers") && error.message.contains("has 3"), "{error}");
    malformed::<D>(D::whole(&[json!([]), json!([])], json!(2)).to_string()).await;
}

/// Numbers that are none, and numbers beyond 32 bits.
pub async fn not_numbers<D: Dialect>() {
    let body = D::whole(&[json!([1.0, 2.0]), json!([1.0, 123.5])], json!(2)).to_string();
    assert!(body.contains("123.5"));
    for bad in ["NaN", "null", "1e39", "-1e300", "1e999", "\"3\"", "[1]", "Infinity"] {
        malformed::<D>(body.replace("123.5", bad)).await;
    }
}

/// Too many texts are not sent; no texts need no call.
pub async fn batches_are_kept<D: Dialect>() {
    let upstream = Upstream::start([]).await.unwrap();
    let model = model_at::<D>(http(&upstream.url()), D::auth());
    let many = vec!["text"; model.batch() + 1];
    let error = model.embed(&call(), &many, EmbedKind::Passage).await.unwrap_err();
    assert_eq!(error.fault, ModelFault::Request);
    assert!(error.message.contains(&model.batch().to_string()), "{error}");
    assert_eq!(model.embed(&call(), &[], EmbedKind::Passage).await.unwrap().vectors, Vec::<Vec<f32>>::new());
    assert_eq!(upstream.asked(), []);
}

/// The suite for one dialect, as tests of the module it is used in.
macro_rules! embed_suite {
    ($dialect:ty) => {
        $crate::embed_suite::embed_suite!($dialect:
            plain, tokens_are_estimated, wrong_count, wrong_length, not_numbers, batches_are_kept);
        $crate::transport::transport_suite!($crate::embed_suite::OverHttp<$dialect>);
    };
    ($dialect:ty: $($name:ident),+) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::embed_suite::$name::<$dialect>().await;
        })+
    };
}
pub(crate) use embed_suite;
