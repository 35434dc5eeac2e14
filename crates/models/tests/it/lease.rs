//! Long calls are not taken for lost while somebody waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use lorekeep_models::layer::chat::GuardedChat;
use lorekeep_models::layer::guard::Guard;
use lorekeep_models::layer::meter::Meter;
use lorekeep_types::{
    Admission, BudgetAlert, BudgetRule, BudgetState, Call, CallNumber, CallPage, CallRow, Capabilities, ChatEvent,
    ChatModel, ChatRequest, ChatStream, Clock, Closing, Completion, FinishReason, Ledger, ModelError, ModelId, Opening,
    Refusal, Result, TokenUsage, UsageQuery, UsageReport,
};

use crate::conformance::call;
use crate::gateway::question;

/// A ledger that admits everything and counts how often a lease was renewed.
#[derive(Default)]
struct Counting {
    extended: AtomicUsize,
    lease: AtomicUsize,
}

impl Ledger for Counting {
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<Admission>> {
        self.lease.store(opening.lease_ms as usize, Ordering::Relaxed);
        async { Ok(Admission::Admitted(CallNumber(1))) }.boxed()
    }

    fn reserve(&self, _: CallNumber, _: i64) -> Result<Option<Box<Refusal>>> {
        Ok(None)
    }

    fn extend(&self, call: CallNumber, lease_until_ms: i64) {
        assert!(call == CallNumber(1) && lease_until_ms > Started.now_ms());
        self.extended.fetch_add(1, Ordering::Relaxed);
    }

    fn close(&self, _: CallNumber, _: Closing) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn sweep(&self, _: i64) -> Result<u64> {
        Ok(0)
    }

    fn set_budgets(&self, _: Vec<BudgetRule>) -> Result<()> {
        Ok(())
    }

    fn budgets(&self, _: i64) -> Result<Vec<BudgetState>> {
        Ok(Vec::new())
    }

    fn take_alerts(&self) -> Result<Vec<BudgetAlert>> {
        Ok(Vec::new())
    }

    fn alerts(&self, _: usize) -> Result<Vec<BudgetAlert>> {
        Ok(Vec::new())
    }

    fn usage(&self, _: &UsageQuery) -> Result<UsageReport> {
        Ok(UsageReport::default())
    }

    fn calls(&self, _: &CallPage) -> Result<Vec<CallRow>> {
        Ok(Vec::new())
    }

    fn drift(&self) -> Result<i64> {
        Ok(0)
    }
}

struct Started;

impl Clock for Started {
    fn now_ms(&self) -> i64 {
        1_000_000
    }
}

/// A model that takes ten leases, streamed in pieces of two leases each.
struct Slow(ModelId);

const LEASE: Duration = Duration::from_millis(30);

fn completion() -> Completion {
    Completion {
        tool_calls: Vec::new(),
        cache_hit: false,
        text: "Ada.".to_owned(),
        finish: FinishReason::Stop,
        usage: TokenUsage::default(),
        model: "m".to_owned(),
        id: None,
        sources: Vec::new(),
        cost: None,
    }
}

impl ChatModel for Slow {
    fn id(&self) -> &ModelId {
        &self.0
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { chat: true, stream: true, ..Capabilities::default() }
    }

    fn chat<'a>(
        &'a self,
        _: &'a Call,
        _: &'a ChatRequest,
    ) -> BoxFuture<'a, std::result::Result<Completion, ModelError>> {
        async {
            tokio::time::sleep(10 * LEASE).await;
            Ok(completion())
        }
        .boxed()
    }

    fn stream<'a>(
        &'a self,
        _: &'a Call,
        _: &'a ChatRequest,
    ) -> BoxFuture<'a, std::result::Result<ChatStream, ModelError>> {
        async {
            let piece = |number: u32| async move {
                tokio::time::sleep(2 * LEASE).await;
                Ok(if number < 5 { ChatEvent::Text("a".to_owned()) } else { ChatEvent::Done(Box::new(completion())) })
            };
            Ok(stream::iter(1..=5).then(piece).boxed())
        }
        .boxed()
    }
}

fn model(ledger: &Arc<Counting>) -> GuardedChat {
    let id = ModelId::new("p", "m");
    let meter = Meter::new(id.clone(), Arc::clone(ledger) as _, Arc::default(), Arc::new(Started)).leasing(LEASE);
    GuardedChat::new(Arc::new(Slow(id.clone())), Guard::new(id, 1, 1, meter))
}

#[tokio::test]
async fn leases_are_renewed_while_an_answer_is_waited_for() {
    let ledger = Arc::new(Counting::default());
    model(&ledger).chat(&call(), &question()).await.unwrap();
    let (renewed, lease) = (ledger.extended.load(Ordering::Relaxed), ledger.lease.load(Ordering::Relaxed));
    // Before each lease passes, and not all the time.
    assert!((10..=40).contains(&renewed), "{renewed} times in ten leases");
    assert_eq!(lease as u128, LEASE.as_millis());
}

#[tokio::test]
async fn leases_are_renewed_while_a_stream_is_read() {
    let ledger = Arc::new(Counting::default());
    let events: Vec<_> = model(&ledger).stream(&call(), &question()).await.unwrap().collect().await;
    assert_eq!(events.len(), 5);
    let renewed = ledger.extended.load(Ordering::Relaxed);
    assert!(renewed >= 5, "{renewed} times in ten leases");
}
