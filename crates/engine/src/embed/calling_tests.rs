//! Models that are called, behind the engine's synchronous port.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{
    Call, Cancel, EmbedKind, Embedded, EmbeddingModel, EmbeddingProvider, ErrorCode, ModelError, ModelFault, ModelId,
    TokenUsage, WorkspaceName,
};
use tokio::runtime::Runtime;

use super::calling::{CalledEmbedder, probe};

/// Gives each text `[its length, 0, its kind]`, two texts at a time.
struct Lengths {
    id: ModelId,
    asked: Mutex<Vec<(Vec<String>, EmbedKind)>>,
}

impl Lengths {
    fn new() -> Arc<Self> {
        Arc::new(Self { id: ModelId::new("local", "org/lengths"), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<(Vec<String>, EmbedKind)> {
        self.asked.lock().unwrap().clone()
    }
}

impl EmbeddingProvider for Lengths {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn embed<'a>(
        &'a self,
        call: &'a Call,
        texts: &'a [&'a str],
        kind: EmbedKind,
    ) -> BoxFuture<'a, Result<Embedded, ModelError>> {
        async move {
            assert_eq!(call.operation, "embed");
            // Something that only a running runtime completes.
            tokio::task::yield_now().await;
            self.asked.lock().unwrap().push((texts.iter().map(|text| (*text).to_owned()).collect(), kind));
            if texts.contains(&"hang") {
                std::future::pending::<()>().await;
            }
            if texts.contains(&"fail") {
                return Err(ModelError::new(ModelFault::Credential, &self.id, "refused"));
            }
            #[expect(clippy::cast_precision_loss, reason = "short texts")]
            let vector = |text: &&str| vec![text.len() as f32, 0.0, 0.0];
            let vectors = texts.iter().map(vector).collect();
            Ok(Embedded { vectors, usage: TokenUsage::default(), model: "lengths".to_owned() })
        }
        .boxed()
    }

    fn batch(&self) -> usize {
        2
    }
}

fn call() -> Call {
    Call::new("embed", WorkspaceName::parse("default").unwrap(), "request-1")
}

fn embedder(provider: &Arc<Lengths>, dimensions: usize, runtime: &Runtime) -> CalledEmbedder {
    CalledEmbedder::new(
        Arc::clone(provider) as Arc<dyn EmbeddingProvider>,
        dimensions,
        runtime.handle().clone(),
        call(),
    )
}

#[test]
fn texts_are_sent_in_batches_without_the_empty_ones() {
    let (runtime, provider) = (Runtime::new().unwrap(), Lengths::new());
    let embedder = embedder(&provider, 3, &runtime);
    let vectors = embedder.embed(&["one", "", "three", " \n", "five"]).unwrap();
    let (unit, zero) = (vec![1.0, 0.0, 0.0], vec![0.0; 3]);
    assert_eq!(vectors, [unit.clone(), zero.clone(), unit.clone(), zero.clone(), unit]);
    let passages = |texts: &[&str]| (texts.iter().map(|text| (*text).to_owned()).collect(), EmbedKind::Passage);
    assert_eq!(provider.asked(), [passages(&["one", "three"]), passages(&["five"])]);
    assert_eq!(embedder.embed(&[" "]).unwrap(), [zero]);
    assert_eq!(provider.asked().len(), 2);
    assert_eq!((embedder.id().name.as_str(), embedder.id().dimensions), ("local/org/lengths", 3));
    assert!(embedder.covers("id"));
}

#[test]
fn questions_are_embedded_as_such() {
    let (runtime, provider) = (Runtime::new().unwrap(), Lengths::new());
    let vector = embedder(&provider, 3, &runtime).embed_query("who?").unwrap();
    assert_eq!(vector, [1.0, 0.0, 0.0]);
    assert_eq!(provider.asked(), [(vec!["who?".to_owned()], EmbedKind::Query)]);
}

#[test]
fn other_dimensions_are_refused_by_name() {
    let (runtime, provider) = (Runtime::new().unwrap(), Lengths::new());
    let error = embedder(&provider, 768, &runtime).embed(&["one"]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.message().contains(" 3 ") && error.message().contains(" 768 "), "{error}");
    assert!(error.remedy().unwrap().contains("`lorekeep reindex --vectors`"), "{error:?}");
}

#[test]
fn failures_come_through_as_errors() {
    let (runtime, provider) = (Runtime::new().unwrap(), Lengths::new());
    let error = embedder(&provider, 3, &runtime).embed(&["fail"]).unwrap_err();
    assert_eq!((error.code(), error.message()), (ErrorCode::Upstream, "local/org/lengths: refused"));
}

/// The engine embeds from several threads of a pool at once.
#[test]
fn threads_share_an_embedder() {
    let (runtime, provider) = (Runtime::new().unwrap(), Lengths::new());
    let embedder = embedder(&provider, 3, &runtime);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(embedder.embed(&["one", "two", "three"]).unwrap().len(), 3));
        }
    });
    assert_eq!(provider.asked().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_on_threads_that_may_block() {
    let embedder = CalledEmbedder::new(Lengths::new(), 3, tokio::runtime::Handle::current(), call());
    let vectors = tokio::task::spawn_blocking(move || embedder.embed(&["one"])).await.unwrap();
    assert_eq!(vectors.unwrap().len(), 1);
}

#[tokio::test]
async fn the_number_of_dimensions_is_learned() {
    assert_eq!(probe(Lengths::new().as_ref(), &call()).await.unwrap(), 3);
}

#[test]
fn work_that_is_not_wanted_any_more_ends_while_a_call_hangs() {
    let (runtime, provider) = (Runtime::new().unwrap(), Lengths::new());
    let cancel = Cancel::default();
    let embedder = embedder(&provider, 3, &runtime).until(&cancel);
    let waiting = std::thread::spawn(move || embedder.embed(&["hang"]));
    while provider.asked().is_empty() {
        std::thread::yield_now();
    }
    cancel.cancel();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled);
}
