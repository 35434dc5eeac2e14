//! What every port of whole answers must do when the network or the provider fails: one suite, run for each wire by
//! [`transport_suite`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use lorekeep_models::provider::auth::Authorize;
use lorekeep_models::provider::http::{Http, Pool};
use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use lorekeep_types::{ModelError, ModelFault, ModelId, Phase, Secret};

use crate::conformance::quick;

/// One wire of one port.
pub trait Target {
    fn auth() -> Arc<dyn Authorize>;
    /// A good answer to what [`Target::ask`] asks.
    fn good() -> String;
    /// The content type of that.
    fn content_type() -> &'static str {
        "application/json"
    }
    /// The body of an error.
    fn error(message: &str) -> String;
    /// Asks the one question.
    fn ask(http: Http, auth: Arc<dyn Authorize>) -> impl Future<Output = Result<(), ModelError>> + Send;
}

pub fn http(url: &str) -> Http {
    Http::new(url, &[], quick(), Pool::default()).unwrap()
}

async fn ask<T: Target>(replies: Vec<Reply>) -> (Result<(), ModelError>, Vec<Asked>) {
    let upstream = Upstream::start(replies).await.unwrap();
    let outcome = T::ask(http(&upstream.url()), T::auth()).await;
    (outcome, upstream.asked())
}

async fn fails<T: Target>(reply: Reply) -> ModelError {
    ask::<T>(vec![reply]).await.0.unwrap_err()
}

fn json(status: u16, body: impl AsRef<[u8]>) -> Reply {
    Reply::body(status, "application/json", body)
}

fn good<T: Target>() -> Reply {
    Reply::body(200, T::content_type(), T::good())
}

/// Waits for the client to go away, which takes it less than 100 ms.
pub async fn closes_in_time(upstream: &Upstream) {
    let dropped = Instant::now();
    while upstream.abandoned() == 0 {
        assert!(dropped.elapsed() < Duration::from_millis(100), "the connection is still open");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub async fn statuses<T: Target>() {
    let expected: [(u16, ModelFault); 9] = [
        (400, ModelFault::Request),
        (401, ModelFault::Credential),
        (403, ModelFault::Credential),
        (404, ModelFault::Request),
        (408, ModelFault::Server),
        (413, ModelFault::Request),
        (429, ModelFault::RateLimited { after: None }),
        (500, ModelFault::Server),
        (503, ModelFault::Overloaded { after: None }),
    ];
    for (status, fault) in expected {
        let error = fails::<T>(json(status, T::error("the provider's own words"))).await;
        assert_eq!((error.fault.clone(), error.status), (fault, Some(status)), "{error}");
        assert!(error.message.contains("the provider's own words"), "{error}");
    }
}

pub async fn retry_after<T: Target>() {
    let date = [("date", "Fri, 20 Nov 2026 10:00:00 GMT"), ("retry-after", "Fri, 20 Nov 2026 10:00:47 GMT")];
    for (headers, seconds) in [(&[("retry-after", "2")][..], 2), (&date[..], 47)] {
        for status in [429, 503] {
            let error = fails::<T>(Reply::with_headers(status, headers, T::error("slow down"))).await;
            assert_eq!(error.fault.retry_after(), Some(Duration::from_secs(seconds)), "{error}");
        }
    }
}

pub async fn an_error_page_is_not_quoted<T: Target>() {
    let error = fails::<T>(Reply::body(502, "text/html", "<html>Bad Gateway</html>")).await;
    assert_eq!((error.fault.clone(), error.message.as_str()), (ModelFault::Server, "HTTP 502"));
}

/// Gives another key after each refusal.
struct Renewing(AtomicUsize);

impl Authorize for Renewing {
    fn header<'a>(
        &'a self,
        _model: &'a ModelId,
        refused: Option<&'a Secret>,
    ) -> BoxFuture<'a, Result<Option<(&'static str, Secret)>, ModelError>> {
        let renew = usize::from(refused.is_some());
        let number = self.0.fetch_add(renew, Ordering::Relaxed) + renew;
        Box::pin(std::future::ready(Ok(Some(("authorization", Secret::new(format!("Bearer key-{number}")))))))
    }

    fn renews(&self) -> bool {
        true
    }
}

/// A refused credential is renewed once, not twice.
pub async fn a_refused_credential_is_renewed<T: Target>() {
    let renewing = || Arc::new(Renewing(AtomicUsize::new(0)));
    let refused = || json(401, T::error("expired"));
    let upstream = Upstream::start([refused(), good::<T>()]).await.unwrap();
    T::ask(http(&upstream.url()), renewing()).await.unwrap();
    let asked = upstream.asked();
    assert_eq!(asked[0].header("authorization"), Some("Bearer key-0"));
    assert_eq!(asked[1].header("authorization"), Some("Bearer key-1"));
    assert_eq!((asked[0].json(), asked[0].body.len()), (asked[1].json(), asked[1].body.len()));
    let upstream = Upstream::start([refused(), refused(), good::<T>()]).await.unwrap();
    let error = T::ask(http(&upstream.url()), renewing()).await.unwrap_err();
    assert_eq!((error.fault, upstream.asked().len()), (ModelFault::Credential, 2));
}

pub async fn reset<T: Target>() {
    let error = fails::<T>(Reply::raw(vec![Step::Reset])).await;
    assert_eq!(error.fault, ModelFault::Cut { began: false }, "{error}");
    assert!(error.fault.is_retryable());
}

pub async fn stalls<T: Target>() {
    let started = Instant::now();
    let error = fails::<T>(Reply::raw(vec![Step::Hang])).await;
    assert_eq!(error.fault, ModelFault::Timeout(Phase::FirstByte));
    let body = T::good();
    let half = &body.as_bytes()[..body.len() / 2];
    let error = fails::<T>(Reply::promising(200, T::content_type(), body.len()).send(half).then(Step::Hang)).await;
    assert_eq!(error.fault, ModelFault::Timeout(Phase::Idle));
    assert!(started.elapsed() < Duration::from_secs(3));
}

/// The connection ends before the promised length.
pub async fn cut_short<T: Target>() {
    let body = T::good();
    let half = &body.as_bytes()[..body.len() / 2];
    let short = Reply::promising(200, T::content_type(), body.len()).send(half);
    assert_eq!(fails::<T>(short).await.fault, ModelFault::Cut { began: false });
}

pub async fn endless_body<T: Target>() {
    let reply = Reply::open(200, T::content_type()).then(Step::Forever(vec![b'x'; 65_536]));
    let fault = fails::<T>(reply).await.fault;
    assert!(matches!(fault, ModelFault::Malformed | ModelFault::Timeout(Phase::Total)), "{fault:?}");
}

/// Dropping the call closes the connection within 100 ms.
pub async fn dropping_closes_upstream<T: Target>() {
    let upstream = Upstream::start([Reply::raw(vec![Step::Hang])]).await.unwrap();
    let until_asked = async {
        while upstream.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = T::ask(http(&upstream.url()), T::auth()) => panic!("the call ended"),
        () = until_asked => {}
    }
    closes_in_time(&upstream).await;
}

/// Bytes that are no text are no JSON, not even in a member that nobody reads.
pub async fn invalid_utf8<T: Target>() {
    let body = T::good();
    let (before, after) = body.split_at(body.find('{').unwrap() + 1);
    let garbled = [before.as_bytes(), b"\"note\":\"\xff\xfe\x80\",", after.as_bytes()].concat();
    assert_eq!(fails::<T>(json(200, garbled)).await.fault, ModelFault::Malformed);
}

pub async fn truncated_json<T: Target>() {
    let body = T::good();
    let half = &body.as_bytes()[..body.len() / 2];
    assert_eq!(fails::<T>(json(200, half)).await.fault, ModelFault::Malformed);
    for nothing in ["", "null", "{}", "[]", "42", "<html>"] {
        let error = fails::<T>(json(200, nothing)).await;
        assert_eq!(error.fault, ModelFault::Malformed, "{nothing}: {error}");
    }
}

pub async fn nobody_listens<T: Target>() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = T::ask(http(&format!("http://{address}")), T::auth()).await.unwrap_err();
    assert_eq!(error.fault, ModelFault::Connect, "{error}");
}

/// The suite for one target whose answers are JSON, as tests of the module it is used in.
macro_rules! transport_suite {
    ($target:ty) => {
        $crate::transport::bytes_suite!($target);
        $crate::transport::transport_suite!($target: truncated_json, invalid_utf8);
    };
    ($target:ty: $($name:ident),+) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::transport::$name::<$target>().await;
        })+
    };
}
pub(crate) use transport_suite;

/// The part of it that holds of answers of any kind.
macro_rules! bytes_suite {
    ($target:ty) => {
        $crate::transport::transport_suite!($target:
            statuses, retry_after, an_error_page_is_not_quoted, a_refused_credential_is_renewed, reset, stalls,
            cut_short, endless_body, nobody_listens, dropping_closes_upstream);
    };
}
pub(crate) use bytes_suite;
