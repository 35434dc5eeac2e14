//! Tokens of IBM Cloud's identity service: fetched with an API key, kept while they live, renewed once however many
//! calls wait for it.
//!
//! Reference: <https://cloud.ibm.com/apidocs/iam-identity-token-api>.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{ModelError, ModelFault, ModelId, Secret};
use serde_json::Value;
use tokio::sync::Mutex;

use super::auth::Authorize;
use super::http::{Http, Payload};
use super::openai::{error_message, number, string};

/// The address of the public cloud's identity service.
pub const IAM_URL: &str = "https://iam.cloud.ibm.com/identity/token";

const GRANT: &str = "urn:ibm:params:oauth:grant-type:apikey";
/// How long a token lives whose answer does not say, in seconds.
const USUAL_LIFE: f64 = 3600.0;
/// No token is believed to live longer, in seconds.
const LONGEST_LIFE: f64 = 86_400.0;
/// A token is renewed when this many seconds of its life are left.
const MARGIN: f64 = 300.0;
/// How long a renewal is put off that failed while the old token still lives.
const PAUSE: Duration = Duration::from_secs(30);

/// Fetches and keeps the token for one API key.
pub struct IamTokens {
    api_key: Secret,
    http: Http,
    held: Mutex<Option<Result<Token, ModelError>>>,
    /// Renewals that ended, well or badly: who waited during one takes its outcome.
    renewals: AtomicU64,
}

#[derive(Clone)]
struct Token {
    /// As it is sent, `Bearer …`.
    header: Secret,
    renew_at: Instant,
    ends_at: Instant,
}

impl fmt::Debug for IamTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IamTokens").field("address", &self.http.base_url()).finish_non_exhaustive()
    }
}

impl IamTokens {
    /// Tokens for `api_key`. `http` is a client whose base address is that of the identity service, [`IAM_URL`] as a
    /// rule; its time limits bound each renewal.
    #[must_use]
    pub fn new(api_key: Secret, http: Http) -> Self {
        Self { api_key, http, held: Mutex::new(None), renewals: AtomicU64::new(0) }
    }

    /// A token that lives and is not `refused`. Dropping the future ends a renewal that it had begun; the next in
    /// line begins another.
    async fn token(&self, model: &ModelId, refused: Option<&Secret>) -> Result<Secret, ModelError> {
        let seen = self.renewals.load(Ordering::Acquire);
        let mut held = self.held.lock().await;
        let accepted = |token: &&Token| Some(&token.header) != refused;
        let present = held.as_ref().and_then(|held| held.as_ref().ok()).filter(accepted).cloned();
        let now = Instant::now();
        if let Some(token) = present.as_ref().filter(|token| now < token.renew_at) {
            return Ok(token.header.clone());
        }
        if self.renewals.load(Ordering::Acquire) == seen {
            let fetched = self.fetch(model).await;
            *held = Some(fetched.or_else(|error| postponed(present, error)));
            self.renewals.fetch_add(1, Ordering::Release);
        }
        match held.as_ref() {
            Some(Ok(token)) => Ok(token.header.clone()),
            Some(Err(error)) => Err(ModelError { model: model.clone(), ..error.clone() }),
            None => Err(ModelError::new(ModelFault::Credential, model, "IAM: no token was fetched")),
        }
    }

    async fn fetch(&self, model: &ModelId) -> Result<Token, ModelError> {
        self.exchange(model).await.map_err(|error| ModelError { message: format!("IAM: {}", error.message), ..error })
    }

    async fn exchange(&self, model: &ModelId) -> Result<Token, ModelError> {
        let exchange = self.http.own_exchange(model);
        let form = vec![("grant_type", GRANT.to_owned()), ("apikey", self.api_key.expose().to_owned())];
        let asked = Instant::now();
        let response =
            exchange.send("", &[("accept", "application/json".to_owned())], None, Payload::Form(form)).await?;
        if !response.status().is_success() {
            return Err(exchange.refused(response, |body| self.words(body), precise).await);
        }
        let body = exchange.body(response).await?;
        read(&body, asked).ok_or_else(|| ModelError::new(ModelFault::Malformed, model, "the answer holds no token"))
    }

    /// The service's words in IAM's own shape, `{errorCode, errorMessage}`, or in that of IBM's other services.
    fn words(&self, body: &[u8]) -> Option<String> {
        let value: Option<Value> = serde_json::from_slice(body).ok();
        let said = value.and_then(|value| string(&value, "/errorMessage")).or_else(|| error_message(body))?;
        let key = self.api_key.expose();
        Some(if key.is_empty() { said } else { said.replace(key, "…") })
    }
}

impl Authorize for IamTokens {
    fn header<'a>(
        &'a self,
        model: &'a ModelId,
        refused: Option<&'a Secret>,
    ) -> BoxFuture<'a, Result<Option<(&'static str, Secret)>, ModelError>> {
        self.token(model, refused).map(|token| token.map(|token| Some(("authorization", token)))).boxed()
    }

    fn renews(&self) -> bool {
        true
    }
}

/// A token that still lives serves on when its renewal failed.
fn postponed(present: Option<Token>, error: ModelError) -> Result<Token, ModelError> {
    let now = Instant::now();
    match present {
        Some(token) if now < token.ends_at => {
            let (model, fault) = (&error.model, error.fault.name());
            tracing::warn!(%model, fault, "the token is not renewed: {}", error.message);
            Ok(Token { renew_at: now + PAUSE, ..token })
        }
        _ => Err(error),
    }
}

fn read(body: &[u8], asked: Instant) -> Option<Token> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let token = string(&body, "/access_token")?;
    let (renew, end) = life(number(&body, "/expires_in"));
    let header = Secret::new(format!("Bearer {token}"));
    Some(Token { header, renew_at: asked + renew, ends_at: asked + end })
}

/// After which time a token of this life, in seconds, is renewed, and after which it is dead.
fn life(expires_in: Option<f64>) -> (Duration, Duration) {
    let life = expires_in.filter(|life| *life >= 0.0).unwrap_or(USUAL_LIFE).min(LONGEST_LIFE);
    let renew = if life <= MARGIN { life / 2.0 } else { life - MARGIN };
    (Duration::from_secs_f64(renew), Duration::from_secs_f64(life))
}

/// IAM answers 400 to an API key that it does not know.
fn precise(status: u16, _body: &[u8]) -> Option<ModelFault> {
    (status == 400).then_some(ModelFault::Credential)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_before_they_end() {
        let seconds = |expires_in| {
            let (renew, end) = life(expires_in);
            (renew.as_secs(), end.as_secs())
        };
        assert_eq!(seconds(Some(3600.0)), (3300, 3600));
        assert_eq!(seconds(Some(300.0)), (150, 300));
        assert_eq!(seconds(Some(200.0)), (100, 200));
        assert_eq!(seconds(Some(0.0)), (0, 0));
        for missing in [None, Some(-1.0), Some(f64::NAN)] {
            assert_eq!(seconds(missing), (3300, 3600), "{missing:?}");
        }
        assert_eq!(seconds(Some(1e18)), (86_100, 86_400));
    }
}
