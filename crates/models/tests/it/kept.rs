//! Answers that are kept: paid for once, told apart by everything they depend on, and entered as what they are.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use lorekeep_models::layer::kept::Kept;
use lorekeep_models::price::Prices;
use lorekeep_store::{CacheLimits, SqliteCache};
use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use lorekeep_types::{
    CacheKind, Call, CallRow, ChatEvent, ChatMessage, ChatModel, ChatRequest, ChatRole, FinishReason, ModelCache,
    Saved, Tool, ToolChoice, WorkspaceName,
};

use crate::gateway::{Bench, Fixed, good, question, upstream};
use crate::openai::{frames, whole};
use crate::tools::tool;

fn kept() -> Call {
    crate::conformance::call().kept(CacheKind::Extraction, "extract-1")
}

fn keeping(upstreams: &[&Upstream], cache: &Arc<dyn ModelCache>) -> Bench {
    let prices = Prices::from_toml("[prices.m]\ninput_per_mtok = 1\noutput_per_mtok = 1\n").unwrap();
    let bench = Bench::new(upstreams, |settings| {
        settings.prices = Arc::new(prices);
        settings.concurrent = 50;
    });
    Bench { gateway: bench.gateway.keeping(Some(Kept::new(Arc::clone(cache)))), ledger: bench.ledger }
}

fn cache() -> Arc<dyn ModelCache> {
    Arc::new(SqliteCache::in_memory(Arc::new(Fixed), CacheLimits::default()).unwrap())
}

fn slow(_: &Asked) -> Option<Reply> {
    let wait = Step::Wait(Duration::from_millis(200));
    Some(Reply::raw(std::iter::once(wait).chain(good().steps).collect()))
}

#[tokio::test]
async fn what_was_asked_before_is_not_asked_again_even_by_another_process() {
    let (provider, cache) = (upstream(|_| Some(good())).await, cache());
    let first = keeping(&[&provider], &cache).model().chat(&kept(), &question()).await.unwrap();
    assert!(!first.cache_hit && first.cost.is_some_and(|cost| cost > 0));
    let bench = keeping(&[&provider], &cache);
    let again = bench.model().chat(&kept(), &question()).await.unwrap();
    assert_eq!((again.text.as_str(), again.cache_hit, again.cost), ("Ada.", true, Some(0)));
    assert_eq!(provider.asked().len(), 1);
    let rows = bench.closed().await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.cache_hit, row.status.as_str(), row.cost, row.usage.total()), (true, "ok", Some(0), 0));
    assert_eq!(row.saved, Saved { tokens: 110, cost: first.cost.unwrap() });
}

#[tokio::test]
async fn a_call_that_does_not_say_so_is_never_kept() {
    let (provider, cache) = (upstream(|_| Some(good())).await, cache());
    let bench = keeping(&[&provider], &cache);
    for _ in 0..2 {
        bench.model().chat(&crate::conformance::call(), &question()).await.unwrap();
    }
    assert_eq!((provider.asked().len(), cache.sizes().unwrap().len()), (2, 0));
}

#[tokio::test]
async fn whatever_an_answer_depends_on_tells_it_apart() {
    let (provider, cache) = (upstream(|_| Some(good())).await, cache());
    let bench = keeping(&[&provider], &cache);
    let model = bench.model();
    let other_workspace = Call { workspace: WorkspaceName::parse("other").unwrap(), ..kept() };
    let message = |text: &str| ChatRequest { messages: vec![ChatMessage::text(ChatRole::User, text)], ..question() };
    let different = [
        (kept(), question()),
        (other_workspace, question()),
        (crate::conformance::call().kept(CacheKind::Extraction, "extract-2"), question()),
        (crate::conformance::call().kept(CacheKind::Summary, "extract-1"), question()),
        (kept(), message("who?")),
        (kept(), ChatRequest { temperature: Some(0.5), ..question() }),
        (kept(), ChatRequest { tools: vec![tool()], ..question() }),
        (kept(), ChatRequest { tools: vec![Tool { parameters: "{}".to_owned(), ..tool() }], ..question() }),
        (kept(), ChatRequest { tools: vec![tool()], tool_choice: ToolChoice::Required, ..question() }),
        (kept(), ChatRequest { max_tokens: Some(99), ..question() }),
        (kept(), ChatRequest { seed: Some(7), ..question() }),
    ];
    for (call, request) in &different {
        assert!(!model.chat(call, request).await.unwrap().cache_hit, "{call:?} {request:?}");
    }
    for (call, request) in &different {
        assert!(model.chat(call, request).await.unwrap().cache_hit);
    }
    assert_eq!(provider.asked().len(), different.len());
    // The same letters in another composition are the same text.
    assert!(!model.chat(&kept(), &message("caf\u{e9}")).await.unwrap().cache_hit);
    assert!(model.chat(&kept(), &message(" cafe\u{301} ")).await.unwrap().cache_hit);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_equal_calls_are_one() {
    let (provider, cache) = (upstream(slow).await, cache());
    let bench = keeping(&[&provider], &cache);
    let model = bench.model();
    let (call, question) = (kept(), question());
    let answers = join_all((0..50).map(|_| model.chat(&call, &question))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.text == "Ada.")));
    assert_eq!(provider.asked().len(), 1);
    let rows = bench.closed().await;
    let hits = rows.iter().filter(|row| row.cache_hit).count();
    assert_eq!((rows.len(), hits), (50, 49));
    assert_eq!(rows.iter().map(|row| row.usage.total()).sum::<u64>(), 110, "tokens are counted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_equal_call_gets_it_although_the_first_caller_leaves() {
    let (provider, cache) = (upstream(slow).await, cache());
    let bench = keeping(&[&provider], &cache);
    let model = bench.model();
    let (call, question) = (kept(), question());
    let mut first = model.chat(&call, &question);
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = model.chat(&call, &question);
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await.unwrap().text, "Ada.");
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_waits_for_an_equal_call_keeps_his_own_deadline() {
    let provider = upstream(|_| Some(Reply::raw(vec![Step::Hang]))).await;
    let (cache, question) = (cache(), question());
    let bench = keeping(&[&provider], &cache);
    let model = bench.model();
    let (patient, hasty) = (kept(), Call { deadline: Some(Instant::now() + Duration::from_millis(100)), ..kept() });
    let mut first = model.chat(&patient, &question);
    assert!(futures::poll!(&mut first).is_pending());
    let began = Instant::now();
    let error = model.chat(&hasty, &question).await.unwrap_err();
    assert_eq!(error.fault.name(), "timeout");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn failures_cut_answers_and_filtered_ones_are_not_kept() {
    for finish in [FinishReason::Length, FinishReason::ContentFilter] {
        let (provider, cache) = (upstream(move |_| Some(Reply::json(200, &whole("Ad", &finish, None)))).await, cache());
        let bench = keeping(&[&provider], &cache);
        for _ in 0..2 {
            assert!(!bench.model().chat(&kept(), &question()).await.unwrap().cache_hit);
        }
        assert_eq!(provider.asked().len(), 2);
    }
    let (provider, cache) = (upstream(|_| Some(Reply::json(400, &serde_json::json!({})))).await, cache());
    let bench = keeping(&[&provider], &cache);
    for _ in 0..2 {
        bench.model().chat(&kept(), &question()).await.unwrap_err();
    }
    assert_eq!((provider.asked().len(), cache.sizes().unwrap().len()), (2, 0));
}

#[tokio::test]
async fn a_fallback_answers_for_itself_and_not_for_the_model_that_failed() {
    let broken = upstream(|_| Some(Reply::json(400, &serde_json::json!({})))).await;
    let (other, cache) = (upstream(|_| Some(good())).await, cache());
    let bench = keeping(&[&broken, &other], &cache);
    bench.model().chat(&kept(), &question()).await.unwrap();
    assert!(bench.model().chat(&kept(), &question()).await.unwrap().cache_hit);
    // The first is asked again each time; what the second said is kept as its own.
    assert_eq!((broken.asked().len(), other.asked().len()), (2, 1));
}

#[tokio::test]
async fn a_streamed_answer_is_kept_and_shown_again() {
    let streamed = |_: &Asked| {
        let pieces = frames(&["Ada", "."], Some((10, 100)));
        Some(pieces.into_iter().fold(Reply::open(200, "text/event-stream"), Reply::send))
    };
    let (provider, cache) = (upstream(streamed).await, cache());
    let bench = keeping(&[&provider], &cache);
    let mut texts = Vec::new();
    for _ in 0..2 {
        let events: Vec<_> = bench.model().stream(&kept(), &question()).await.unwrap().collect().await;
        let Some(Ok(ChatEvent::Done(completion))) = events.last() else { panic!("{events:?}") };
        texts.push((completion.text.clone(), completion.cache_hit));
    }
    assert_eq!(texts, [("Ada.".to_owned(), false), ("Ada.".to_owned(), true)]);
    assert_eq!(provider.asked().len(), 1);
    let rows: Vec<CallRow> = bench.closed().await;
    assert_eq!(rows.iter().map(|row| (row.streamed, row.cache_hit)).collect::<Vec<_>>(), [(true, false), (true, true)]);
}

/// An answer that comes in two pieces, the second some time after the first.
fn slowly_streamed(_: &Asked) -> Option<Reply> {
    let mut reply = Reply::open(200, "text/event-stream");
    for (number, frame) in frames(&["Ada", "."], Some((10, 100))).into_iter().enumerate() {
        let pause = Step::Wait(Duration::from_millis(if number == 1 { 200 } else { 0 }));
        reply = reply.then(pause).send(frame);
    }
    Some(reply)
}

/// The pieces of a stream, and whether a cache answered.
async fn read(model: &dyn ChatModel, call: &Call, request: &ChatRequest) -> (Vec<String>, bool) {
    let (mut pieces, mut was_kept) = (Vec::new(), false);
    let mut events = model.stream(call, request).await.unwrap();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            ChatEvent::Text(text) => pieces.push(text),
            ChatEvent::Done(completion) => was_kept = completion.cache_hit,
        }
    }
    (pieces, was_kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_equal_streams_are_one_to_the_byte() {
    let (provider, cache) = (upstream(slowly_streamed).await, cache());
    let bench = keeping(&[&provider], &cache);
    let model = bench.model();
    let (call, question) = (kept(), question());
    let answers = join_all((0..50).map(|_| read(model.as_ref(), &call, &question))).await;
    assert!(answers.iter().all(|(pieces, _)| pieces == &["Ada", "."]), "{answers:?}");
    assert_eq!((answers.iter().filter(|(_, was_kept)| *was_kept).count(), provider.asked().len()), (49, 1));
    let rows = bench.closed().await;
    assert_eq!((rows.len(), rows.iter().filter(|row| row.cache_hit && row.streamed).count()), (50, 49));
    assert_eq!(rows.iter().map(|row| row.usage.total()).sum::<u64>(), 110, "tokens are counted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_reader_gets_all_of_a_stream_although_the_first_leaves() {
    let (provider, cache) = (upstream(slowly_streamed).await, cache());
    let bench = keeping(&[&provider], &cache);
    let model = bench.model();
    let (call, question) = (kept(), question());
    let mut first = model.stream(&call, &question).await.unwrap();
    assert!(matches!(first.next().await, Some(Ok(ChatEvent::Text(text))) if text == "Ada"));
    let late = model.stream(&call, &question).await.unwrap();
    drop(first);
    let events: Vec<_> = late.collect().await;
    let Some(Ok(ChatEvent::Done(completion))) = events.last() else { panic!("{events:?}") };
    assert_eq!((events.len(), completion.text.as_str(), provider.asked().len()), (3, "Ada.", 1));
    assert!(bench.closed().await.iter().all(|row| row.status == "ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_any_more_is_closed() {
    let provider = upstream(|_| Some(Reply::begun("Ada wrote").then(Step::Hang))).await;
    let cache = cache();
    let bench = keeping(&[&provider], &cache);
    let model = bench.model();
    let (call, question) = (kept(), question());
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = model.stream(&call, &question).await.unwrap();
        reader.next().await.unwrap().unwrap();
        readers.push(reader);
    }
    assert_eq!(provider.asked().len(), 1);
    let last = readers.pop();
    drop(readers);
    assert_eq!(provider.abandoned(), 0, "one reads on");
    drop(last);
    let row = bench.closed().await.remove(0);
    assert_eq!((row.status.as_str(), row.usage.estimated), ("cancelled", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_one_stream_keep_their_own_deadlines() {
    let provider = upstream(|_| Some(Reply::begun("Ada wrote").then(Step::Hang))).await;
    let (cache, question) = (cache(), question());
    let bench = keeping(&[&provider], &cache);
    let model = bench.model();
    let (patient, hasty) = (kept(), Call { deadline: Some(Instant::now() + Duration::from_millis(300)), ..kept() });
    let first = model.stream(&hasty, &question).await.unwrap();
    let mut second = model.stream(&patient, &question).await.unwrap();
    let events: Vec<_> = first.collect().await;
    assert!(matches!(events.last(), Some(Err(error)) if error.fault.name() == "timeout"), "{events:?}");
    while let Poll::Ready(event) = futures::poll!(second.next()) {
        assert!(matches!(&event, Some(Ok(ChatEvent::Text(_)))), "the deadline was the other's: {event:?}");
    }
    assert_eq!((provider.asked().len(), provider.abandoned()), (1, 0));
}
