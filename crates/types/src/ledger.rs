//! The ledger of model calls: one row per call, and budgets that no number of concurrent calls can overspend.
//!
//! A call is *opened* before it is made: it is recorded and the most it can cost is reserved in every budget that
//! applies, in one step. It is *closed* once with what it took. Between the two it holds a lease; a call whose
//! lease passes is taken for lost and charged what it had reserved, because it may have been spent.
//!
//! Money is integer nano-USD. Budgets are in [`budget`], reports in [`report`].

pub(crate) mod budget;
pub(crate) mod report;

use std::fmt;

use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};

use self::budget::{BudgetAlert, BudgetRule, BudgetState, Refusal};
use self::report::{CallPage, CallRow, UsageQuery, UsageReport};
use crate::chat::TokenUsage;
use crate::error::Result;
use crate::id::WorkspaceName;
use crate::model_port::ModelId;

/// The status of a call that succeeded; any other is the name of a fault.
pub const CALL_OK: &str = "ok";

/// The status of a call whose lease passed before it was closed.
pub const CALL_LOST: &str = "lost";

/// The status of a call that was given up before it was made.
pub const CALL_CANCELLED: &str = "cancelled";

/// A call's place in the ledger: grows with time, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallNumber(pub i64);

impl fmt::Display for CallNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A call about to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Now, Unix milliseconds: decides which windows of the budgets the call belongs to.
    pub at_ms: i64,
    /// The request that it is a part of.
    pub request_id: String,
    /// The model to call.
    pub model: ModelId,
    /// What for, e.g. `answer`.
    pub operation: String,
    /// On whose behalf.
    pub workspace: WorkspaceName,
    /// Who asks, if known.
    pub principal: Option<String>,
    /// Whether the answer comes piece by piece.
    pub streamed: bool,
    /// The most that the call can cost, nano-USD; `None` when the model has no price.
    pub estimate: Option<i64>,
    /// For how long the caller answers for the call without [`Ledger::extend`].
    pub lease_ms: i64,
}

/// Whether a call may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, and must be closed under this number.
    Admitted(CallNumber),
    /// A budget does not allow it. Nothing was reserved and no row written.
    Refused(Box<Refusal>),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    /// Now, Unix milliseconds.
    pub at_ms: i64,
    /// [`CALL_OK`] or the name of a fault.
    pub status: String,
    /// What it took.
    pub usage: TokenUsage,
    /// Texts that were embedded or ranked; 0 for a call of another kind.
    #[serde(default)]
    pub texts: u64,
    /// What it cost, nano-USD. `None` means unknown: budgets are then charged what was reserved. A call that
    /// never reached the provider, or that a cache answered, cost `Some(0)`.
    pub cost: Option<i64>,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// From the opening to the end, retries and waiting included.
    pub total_ms: f64,
    /// In calls of the provider.
    pub api_ms: f64,
    /// Until the first piece of text, for a streamed answer.
    pub first_token_ms: Option<f64>,
    /// How often the call was made again.
    pub retries: u32,
    /// The model that was asked for when this one stood in for it.
    pub fallback_from: Option<ModelId>,
    /// Why it did.
    pub fallback_reason: Option<String>,
    /// Whether a cache answered and no model was called.
    pub cache_hit: bool,
    /// What the answer took when the cache got it; zero unless a cache answered.
    pub saved: Saved,
    /// The model as the provider names it.
    pub provider_model: Option<String>,
}

/// What a cache saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Tokens read and written.
    pub tokens: u64,
    /// Their cost, nano-USD; 0 where it was not known.
    pub cost: i64,
}

impl Closing {
    /// An end that took nothing: all else zero or absent.
    #[must_use]
    pub fn new(at_ms: i64, status: impl Into<String>) -> Self {
        Self {
            at_ms,
            status: status.into(),
            usage: TokenUsage::default(),
            texts: 0,
            cost: Some(0),
            finish: None,
            total_ms: 0.0,
            api_ms: 0.0,
            first_token_ms: None,
            retries: 0,
            fallback_from: None,
            fallback_reason: None,
            cache_hit: false,
            saved: Saved::default(),
            provider_model: None,
        }
    }
}

/// The ledger. Its futures are for async callers; the methods without one wait for the disk.
pub trait Ledger: Send + Sync {
    /// Asks every budget that applies, and if all admit the call records it and reserves its estimate in one step, which
    /// survives the process. A call that can cost nothing is always admitted. Dropping the future before it is done
    /// closes the call as [`CALL_CANCELLED`] at no cost.
    ///
    /// # Errors
    /// `Busy` when too many calls wait for the ledger; `Storage` or `StorageFull` when it cannot be written, in
    /// which case the call must not be made where a budget is set.
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<Admission>>;

    /// Reserves `more` nano-USD for an open call before it is made again, in every budget that applies and in the windows
    /// it was opened in, in one step that survives the process. `Some` when a budget does not allow it: then nothing was
    /// reserved.
    ///
    /// # Errors
    /// `Conflict` for a call that is not open; `Busy`, `Storage`, `StorageFull` as for [`Ledger::open`].
    fn reserve(&self, call: CallNumber, more: i64) -> Result<Option<Box<Refusal>>>;

    /// Renews the lease of an open call. Does not wait, and does nothing for a call that is closed.
    fn extend(&self, call: CallNumber, lease_until_ms: i64);

    /// Ends a call: its reservation is released and what it cost is charged, to the windows it was opened in. The
    /// first closing of a call counts and later ones do nothing, except that the closing of a call that was taken
    /// for lost replaces its charge. The closing is on its way when this returns, and whoever reads the ledger from
    /// then on finds it: the future only tells its end and may be dropped.
    ///
    /// # Errors
    /// `NotFound` for a number that was never given; `Storage`, `StorageFull`.
    fn close(&self, call: CallNumber, closing: Closing) -> BoxFuture<'_, Result<()>>;

    /// Closes the open calls whose lease has passed as [`CALL_LOST`] and charges what they had reserved; returns
    /// their number. To be called every few seconds.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    fn sweep(&self, now_ms: i64) -> Result<u64>;

    /// Replaces the budgets. A new one starts with what its window has already spent; nothing is kept of the rules
    /// themselves, so they are set again after a restart.
    ///
    /// # Errors
    /// `Configuration` for a negative limit or ceiling, or two rules for one scope and window.
    fn set_budgets(&self, rules: Vec<BudgetRule>) -> Result<()>;

    /// Each budget in its present window.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn budgets(&self, now_ms: i64) -> Result<Vec<BudgetState>>;

    /// Alerts that nobody has taken yet, oldest first. Each is given once, a restart notwithstanding.
    ///
    /// # Errors
    /// When the ledger cannot be read or written; then none is lost.
    fn take_alerts(&self) -> Result<Vec<BudgetAlert>>;

    /// The last `limit` alerts, newest first, whether taken or not.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn alerts(&self, limit: usize) -> Result<Vec<BudgetAlert>>;

    /// Sums over closed calls.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn usage(&self, query: &UsageQuery) -> Result<UsageReport>;

    /// The calls themselves, oldest first, a page at a time.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn calls(&self, page: &CallPage) -> Result<Vec<CallRow>>;

    /// Recomputes the counters of each budget's present and former window from the calls, corrects them, and
    /// returns by how much they were off, in nano-USD: 0 unless there is a fault in the ledger.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    fn drift(&self) -> Result<i64>;
}
