//! Tokens of IBM Cloud's identity service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::Authorize as _;
use lorekeep_models::provider::chat::HttpChat;
use lorekeep_models::provider::http::{Http, Pool, Timeouts};
use lorekeep_models::provider::iam::IamTokens;
use lorekeep_models::provider::watsonx::{Scope, WatsonX};
use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use lorekeep_types::{ChatModel as _, ModelError, ModelFault, ModelId, Phase, Secret};
use serde_json::json;

use crate::conformance::{call, question, quick};

pub const TOKEN_PATH: &str = "/identity/token";
const API_KEY: &str = "key&of=the account/+äöü-0123456789";

pub fn token(token: &str, expires_in: f64) -> Reply {
    let body = json!({
        "access_token": token, "refresh_token": "not_supported", "token_type": "Bearer", "expires_in": expires_in,
        "expiration": 1_700_000_000, "scope": "ibm openid",
    });
    Reply::json(200, &body)
}

pub fn tokens_at(url: &str) -> IamTokens {
    let http = Http::new(&format!("{url}{TOKEN_PATH}"), &[], quick(), Pool::default()).unwrap();
    IamTokens::new(Secret::new(API_KEY), http)
}

async fn header(tokens: &IamTokens, refused: Option<&str>) -> Result<String, ModelError> {
    let refused = refused.map(Secret::new);
    let header = tokens.header(&ModelId::new("watsonx", "m"), refused.as_ref()).await?;
    let (name, value) = header.unwrap();
    assert_eq!(name, "authorization");
    Ok(value.expose().to_owned())
}

fn count(asked: &[Asked], path: &str) -> usize {
    asked.iter().filter(|asked| asked.path.starts_with(path)).count()
}

/// An identity service whose tokens are `iam-1`, `iam-2` …, the first with the given life, and a model that refuses
/// the first where told to.
async fn cloud(first_life: f64, refuse_first: bool) -> Upstream {
    let fetched = AtomicUsize::new(0);
    let answer = move |asked: &Asked| {
        if asked.path == TOKEN_PATH {
            let number = fetched.fetch_add(1, Ordering::SeqCst) + 1;
            return Some(token(&format!("iam-{number}"), if number == 1 { first_life } else { 3600.0 }));
        }
        let refused = refuse_first && asked.header("authorization") == Some("Bearer iam-1");
        let body = json!({ "choices": [{ "message": { "content": "Ada." }, "finish_reason": "stop" }] });
        let expired = json!({ "errors": [{ "code": "authentication_token_expired", "message": "expired" }] });
        Some(if refused { Reply::json(401, &expired) } else { Reply::json(200, &body) })
    };
    Upstream::start_with([], answer).await.unwrap()
}

fn model_at(upstream: &Upstream, tokens: Arc<IamTokens>) -> HttpChat {
    let http = Http::new(&upstream.url(), &[], Timeouts::default(), Pool::default()).unwrap();
    let wire = WatsonX::new(Scope::Project("p".to_owned()));
    HttpChat::new(ModelId::new("watsonx", "m"), Arc::new(wire), ProviderKind::WatsonX.capabilities(), http, tokens)
}

async fn fifty_chats(model: &HttpChat) {
    let (call, question) = (call(), question());
    let outcomes = join_all((0..50).map(|_| model.chat(&call, &question))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{:?}", outcomes.into_iter().find_map(Result::err));
}

#[tokio::test]
async fn the_form_and_the_token() {
    let upstream = Upstream::start([token("iam-1", 3600.0)]).await.unwrap();
    let tokens = tokens_at(&upstream.url());
    assert_eq!(header(&tokens, None).await.unwrap(), "Bearer iam-1");
    assert_eq!(header(&tokens, None).await.unwrap(), "Bearer iam-1", "kept while it lives");
    let asked = upstream.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", TOKEN_PATH));
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    let expected = "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey\
                    &apikey=key%26of%3Dthe+account%2F%2B%C3%A4%C3%B6%C3%BC-0123456789";
    assert_eq!(String::from_utf8_lossy(&asked[0].body), expected);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_fifty_calls() {
    let upstream = cloud(0.0, false).await;
    let tokens = Arc::new(tokens_at(&upstream.url()));
    assert_eq!(header(&tokens, None).await.unwrap(), "Bearer iam-1");
    fifty_chats(&model_at(&upstream, tokens)).await;
    let asked = upstream.asked();
    assert_eq!((count(&asked, TOKEN_PATH), count(&asked, "/ml")), (2, 50));
    assert!(asked[1..].iter().all(|asked| asked.header("authorization") != Some("Bearer iam-1")));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_fifty_calls() {
    let upstream = cloud(3600.0, true).await;
    let tokens = Arc::new(tokens_at(&upstream.url()));
    assert_eq!(header(&tokens, None).await.unwrap(), "Bearer iam-1");
    fifty_chats(&model_at(&upstream, tokens)).await;
    let asked = upstream.asked();
    assert_eq!(count(&asked, TOKEN_PATH), 2);
    assert!(count(&asked, "/ml") > 50, "the first token was refused");
    let late = tokens_at(&upstream.url());
    assert_eq!(header(&late, Some("Bearer iam-0")).await.unwrap(), "Bearer iam-3");
    assert_eq!(header(&late, Some("Bearer iam-0")).await.unwrap(), "Bearer iam-3", "an old refusal renews nothing");
}

#[tokio::test]
async fn a_failed_renewal_is_told_to_all_who_wait() {
    let words = format!("Provided API key {API_KEY} could not be found.");
    let refusal = json!({ "errorCode": "BXNIM0415E", "errorMessage": words });
    let upstream = Upstream::start([Reply::json(400, &refusal), token("iam-1", 3600.0)]).await.unwrap();
    let tokens = tokens_at(&upstream.url());
    let outcomes = join_all((0..50).map(|_| header(&tokens, None))).await;
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!((error.fault.clone(), error.status), (ModelFault::Credential, Some(400)));
        assert_eq!(error.message, "IAM: HTTP 400: Provided API key … could not be found.");
    }
    assert_eq!(upstream.asked().len(), 1);
    assert_eq!(header(&tokens, None).await.unwrap(), "Bearer iam-1", "who comes later tries again");
}

#[tokio::test]
async fn faults_of_the_service() {
    let slow_down = Reply::with_headers(429, &[("retry-after", "2")], "{}");
    let cases = [
        (Reply::json(401, &json!({ "errors": [{ "message": "no" }] })), ModelFault::Credential),
        (slow_down, ModelFault::RateLimited { after: Some(Duration::from_secs(2)) }),
        (Reply::body(500, "text/html", "<html>"), ModelFault::Server),
        (Reply::json(200, &json!({ "token_type": "Bearer" })), ModelFault::Malformed),
        (Reply::body(200, "text/plain", "no"), ModelFault::Malformed),
        (Reply::raw(vec![Step::Hang]), ModelFault::Timeout(Phase::FirstByte)),
    ];
    for (reply, fault) in cases {
        let upstream = Upstream::start([reply]).await.unwrap();
        let error = header(&tokens_at(&upstream.url()), None).await.unwrap_err();
        assert_eq!(error.fault, fault, "{error}");
        assert!(error.message.starts_with("IAM: "), "{error}");
    }
}

/// Within the margin a token still serves when its renewal fails, and the service is left alone for a while.
#[tokio::test]
async fn a_living_token_outlasts_a_failed_renewal() {
    let upstream = Upstream::start([token("iam-1", 300.1), Reply::json(500, &json!({}))]).await.unwrap();
    let tokens = tokens_at(&upstream.url());
    header(&tokens, None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(110)).await;
    for _ in 0..3 {
        assert_eq!(header(&tokens, None).await.unwrap(), "Bearer iam-1");
    }
    assert_eq!(upstream.asked().len(), 2);
}

/// A call whose time is over does not wait for the identity service, and leaves the way free for the next.
#[tokio::test]
async fn fetching_a_token_counts_to_the_time_of_the_call() {
    let replies = [Reply::raw(vec![Step::Hang]), token("iam-1", 3600.0)];
    let upstream = Upstream::start(replies).await.unwrap();
    let tokens = Arc::new(tokens_at(&upstream.url()));
    let model = model_at(&upstream, Arc::clone(&tokens));
    let mut hurried = call();
    hurried.deadline = Some(Instant::now() + Duration::from_millis(100));
    let error = model.chat(&hurried, &question()).await.unwrap_err();
    assert_eq!(error.fault, ModelFault::Timeout(Phase::Total));
    assert_eq!(header(&tokens, None).await.unwrap(), "Bearer iam-1");
}

#[tokio::test]
async fn neither_key_nor_token_is_shown() {
    let upstream = Upstream::start([token("a-very-long-token-with-an-end", 3600.0)]).await.unwrap();
    let tokens = tokens_at(&upstream.url());
    header(&tokens, None).await.unwrap();
    let shown = format!("{tokens:?}");
    assert!(shown.contains(TOKEN_PATH) && !shown.contains("end") && !shown.contains("6789"), "{shown}");
}
