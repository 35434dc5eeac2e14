//! Graphs made by a model: what is asked and what becomes of it, what it costs, and what survives failures, limits, cancels
//! and restarts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use lorekeep_engine::{BuildRequest, GraphSettings};
use lorekeep_store::Store;
use lorekeep_types::{EntityDetail, ErrorCode, Job, JobEvent, JobKind, JobState, ModelFault, Role};

use crate::ports::Bench;
use crate::scripted::{Scripted, all_text};

const EXTRACTION: &str = "entity_extraction";

/// The passage of a request.
fn passage(text: &str) -> &str {
    let after = text.split(" passage\n").nth(1).expect("a passage");
    after.split("\n=== ").next().unwrap_or_default()
}

/// A model that finds every capitalised word of a passage, and relates neighbours; asked again, it has nothing to add.
fn reader() -> Scripted {
    Scripted::new(
        |_, request| if request.messages.len() > 2 { Ok("<|COMPLETE|>".into()) } else { Ok(records(request)) },
    )
}

fn records(request: &lorekeep_types::ChatRequest) -> String {
    let text = all_text(request);
    let text = passage(&text);
    let names: Vec<&str> = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| word.len() > 2 && word.chars().next().is_some_and(char::is_uppercase))
        .collect();
    let entities = names.iter().map(|name| format!("entity<|#|>{name}<|#|>location<|#|>{name} as the model sees it."));
    let relations = names.windows(2).map(|pair| {
        format!("relation<|#|>{}<|#|>{}<|#|>neighbourhood<|#|>{} lies by {}.", pair[0], pair[1], pair[0], pair[1])
    });
    entities.chain(relations).chain(["<|COMPLETE|>".to_owned()]).collect::<Vec<_>>().join("\n")
}

const TOWNS: &[(&str, &str)] =
    &[("a.txt", "Oslo is near Bergen."), ("b.txt", "Voss is near Bergen."), ("c.txt", "Narvik rains.")];

/// Names are not compared here.
fn plain() -> GraphSettings {
    GraphSettings { resolve: false, ..GraphSettings::default() }
}

async fn bench(model: &Scripted) -> Bench {
    let mut bench = Bench::with_graph(store(), model, plain(), None).await;
    bench.take_in(TOWNS).await;
    bench
}

fn store() -> Arc<Store> {
    Arc::new(Store::in_memory().unwrap())
}

async fn build(bench: &mut Bench, request: BuildRequest) -> Job {
    let job = bench.engine.build_graph(&bench.ctx, request).await.unwrap().expect("something to do");
    bench.ended(&job).await
}

async fn build_all(bench: &mut Bench) -> Job {
    build(bench, BuildRequest::default()).await
}

async fn entity(bench: &Bench, name: &str) -> EntityDetail {
    bench.engine.entity(&bench.ctx, name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_graph_takes_the_place_of_the_built_in_one() {
    let model = reader();
    let mut bench = bench(&model).await;
    assert_eq!(entity(&bench, "Bergen").await.description, "");
    let mut events = bench.engine.watch_jobs(&bench.ctx).await.unwrap();
    let job = build_all(&mut bench).await;
    assert_eq!((job.kind, job.state, job.counts.ready), (JobKind::Graph, JobState::Done, 3));
    let bergen = entity(&bench, "Bergen").await;
    assert_eq!((bergen.kind.as_str(), bergen.degree), ("location", 2));
    assert_eq!(bergen.description, "Bergen as the model sees it.");
    let relation = bench.engine.relation(&bench.ctx, "Oslo", "Bergen").await.unwrap().unwrap();
    assert_eq!((relation.keywords.as_str(), relation.description.as_str()), ("neighbourhood", "Oslo lies by Bergen."));
    assert_eq!(relation.evidence.len(), 1);
    // One call to read and one to ask for more, for each passage; nothing of it can be priced.
    let spending = job.spending.unwrap();
    assert_eq!((model.count(EXTRACTION), spending.calls, spending.kept, spending.unpriced), (6, 6, 0, 6));
    assert_eq!((spending.prompt_tokens, spending.completion_tokens, spending.spent), (600, 60, 0));
    let mut passages = HashSet::new();
    while let Ok(event) = events.try_recv() {
        if let JobEvent::Passages { name, done, total, .. } = event {
            passages.insert((name, done, total));
        }
    }
    assert_eq!(passages.len(), 3);
    assert!(bench.engine.check(&bench.ctx).await.unwrap().problems.is_empty());
    assert!(bench.engine.build_graph(&bench.ctx, BuildRequest::default()).await.unwrap().is_none(), "nothing is new");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_costs_nothing_again() {
    let model = reader();
    let mut bench = bench(&model).await;
    build_all(&mut bench).await;
    let calls = model.count(EXTRACTION);
    // The document is taken away and comes back; another holds the same passage under the same title.
    let id = bench.document("a.txt").await.id;
    bench.engine.delete(&bench.ctx, vec![id]).await.unwrap();
    bench.take_in(&TOWNS[..1]).await;
    let plan = bench.engine.plan_graph(&bench.ctx, &BuildRequest::default()).await.unwrap();
    assert_eq!((plan.documents, plan.passages, plan.cached, plan.calls), (1, 1, 1, 0));
    let job = build_all(&mut bench).await;
    assert_eq!((model.count(EXTRACTION), job.spending.unwrap().kept, job.counts.ready), (calls, 2, 1));
    assert_eq!(entity(&bench, "Oslo").await.description, "Oslo as the model sees it.");
    let named = BuildRequest { documents: vec![bench.document("b.txt").await.id], limit: None };
    assert_eq!(build(&mut bench, named).await.spending.unwrap().calls, 0, "a document that is named is made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_many_documents_asks_no_model_and_leaves_what_the_rest_say() {
    let model = reader();
    let mut bench = Bench::with_graph(store(), &model, plain(), None).await;
    let names: Vec<String> = (0..40).map(|n| format!("{n}.txt")).collect();
    let texts: Vec<String> = (0..40).map(|n| format!("Town{n}x is near Bergen.")).collect();
    let documents: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(n, t)| (n.as_str(), t.as_str())).collect();
    bench.take_in(&documents).await;
    build_all(&mut bench).await;
    let calls = model.asked().len();
    let seq = bench.engine.check(&bench.ctx).await.unwrap().truth_seq;
    let mut ids = Vec::new();
    for name in names.iter().skip(1) {
        ids.push(bench.document(name).await.id);
    }
    assert_eq!(bench.engine.delete(&bench.ctx, ids).await.unwrap().len(), 39);
    assert_eq!(model.asked().len(), calls);
    let bergen = entity(&bench, "Bergen").await;
    assert_eq!((bergen.documents, bergen.degree), (vec!["0.txt".to_owned()], 1));
    assert_eq!(bergen.description, "Bergen as the model sees it.");
    let report = bench.engine.check(&bench.ctx).await.unwrap();
    assert!(report.problems.is_empty() && report.truth_seq > seq);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passage_that_fails_costs_only_itself() {
    let model = Scripted::new(|_, request| match all_text(request) {
        text if text.contains("Voss") => Err(ModelFault::Server),
        text if passage(&text).contains("Narvik") => Ok("I would rather not.".to_owned()),
        _ if request.messages.len() > 2 => Ok("<|COMPLETE|>".to_owned()),
        _ => Ok(records(request)),
    });
    let mut bench = Bench::with_graph(store(), &model, plain(), None).await;
    let long =
        format!("# One\n{}\n\n# Two\n{}\n", "Oslo is near Bergen. ".repeat(12), "Voss is near Bergen. ".repeat(12));
    bench.take_in(&[("long.txt", &long), ("refused.txt", "Narvik is a town.")]).await;
    let job = build_all(&mut bench).await;
    assert_eq!((job.state, job.counts.ready, job.counts.failed), (JobState::Done, 1, 1));
    let items = bench.items(&job).await;
    let problem = items[0].problem.as_ref().unwrap();
    assert!(problem.message.starts_with("1 of 2 passages"), "{problem:?}");
    let refused = items[1].problem.as_ref().unwrap();
    assert!(refused.message.contains("holds no entities") && refused.hint.is_some(), "{refused:?}");
    // The model's words where it spoke, the rules' finds where it failed.
    assert_eq!(entity(&bench, "Oslo").await.description, "Oslo as the model sees it.");
    assert!(bench.knows("Voss").await && bench.knows("Narvik").await);
    assert_eq!(entity(&bench, "Narvik").await.description, "Narvik is a town.");
    // Both are tried again when asked: what is missing would be new.
    let plan = bench.engine.plan_graph(&bench.ctx, &BuildRequest::default()).await.unwrap();
    assert_eq!((plan.documents, plan.passages), (2, 3));
    assert!(plan.prompt_tokens > 100 && plan.seconds > 0.0 && plan.cost.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_the_price_and_asks_nothing() {
    let model = reader();
    let mut bench = Bench::with_graph(store(), &model, plain(), Some(2.0)).await;
    bench.take_in(TOWNS).await;
    let plan = bench.engine.plan_graph(&bench.ctx, &BuildRequest::default()).await.unwrap();
    assert_eq!((plan.documents, plan.passages, plan.cached, plan.calls, plan.parallel), (3, 3, 0, 6, 8));
    let tokens = plan.prompt_tokens + plan.completion_tokens;
    // Two dollars a million are two thousand nano-dollars a token.
    assert_eq!(plan.cost, Some(i64::try_from(tokens * 2_000).unwrap()));
    assert!(model.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_cost_is_kept_and_so_is_what_was_made() {
    let model = reader();
    // Each call costs 110 tokens at $10 a million, and reserves a little more than 4,096 of them before.
    let settings = GraphSettings { gleanings: 0, ..plain() };
    let mut bench = Bench::with_graph(store(), &model, settings, Some(10.0)).await;
    let names: Vec<String> = (0..40).map(|n| format!("{n}.txt")).collect();
    let texts: Vec<String> = (0..40).map(|n| format!("Town{n}x is near Bergen.")).collect();
    let documents: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(n, t)| (n.as_str(), t.as_str())).collect();
    bench.take_in(&documents).await;
    let limit = 55_000_000;
    let job = build(&mut bench, BuildRequest { documents: Vec::new(), limit: Some(limit) }).await;
    let spending = job.spending.unwrap();
    assert!(spending.spent > 0 && spending.spent <= limit, "{spending:?}");
    assert_eq!((job.state, job.counts.ready + job.counts.cancelled), (JobState::Done, 40));
    assert!(job.counts.ready >= 1 && job.counts.cancelled >= 1, "{:?}", job.counts);
    for item in bench.items(&job).await.iter().filter(|item| item.outcome == "cancelled") {
        let problem = item.problem.as_ref().unwrap();
        assert_eq!(problem.code, ErrorCode::BudgetExceeded);
        assert!(problem.message.contains("limit") && problem.hint.is_some());
    }
    // With room the rest is made, and only the rest.
    let rest = build(&mut bench, BuildRequest { documents: Vec::new(), limit: Some(1_000_000_000) }).await;
    assert_eq!((rest.counts.ready, model.count(EXTRACTION)), (job.counts.cancelled, 40));

    let refused = |limit| {
        let request = BuildRequest { documents: Vec::new(), limit };
        let (engine, ctx) = (bench.engine.clone(), bench.ctx.clone());
        async move { engine.build_graph(&ctx, request).await.unwrap_err().code() }
    };
    assert_eq!(refused(Some(0)).await, ErrorCode::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_or_its_price_the_remedy_is_named() {
    let mut bench = Bench::new().await;
    bench.take_in(TOWNS).await;
    let error = bench.engine.build_graph(&bench.ctx, BuildRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CapabilityMissing);
    assert!(error.remedy().unwrap().contains("lorekeep model set PROVIDER/MODEL --role extract"));
    let model = Scripted::without(&[Role::Extract], |_, _| Ok(String::new()));
    let other = self::bench(&model).await;
    let error = other.engine.plan_graph(&other.ctx, &BuildRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CapabilityMissing);
    let unpriced = self::bench(&reader()).await;
    let request = BuildRequest { documents: Vec::new(), limit: Some(1) };
    let error = unpriced.engine.build_graph(&unpriced.ctx, request).await.unwrap_err();
    assert!(error.message().contains("price of `scripted/m` is not known"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_stops_the_job_at_once() {
    let model = Scripted::new(|_, _| Err(ModelFault::Credential));
    let settings = GraphSettings { parallel: 1, ..plain() };
    let mut bench = Bench::with_graph(store(), &model, settings, None).await;
    bench.take_in(TOWNS).await;
    let job = build_all(&mut bench).await;
    assert_eq!((job.state, job.counts.ready, job.counts.cancelled), (JobState::Done, 0, 3));
    assert_eq!(model.count(EXTRACTION), 1, "the others would have failed in the same way");
    assert!(bench.items(&job).await.iter().all(|item| item.problem.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_takes_effect_while_the_model_thinks() {
    let model = reader();
    let mut bench = bench(&model).await;
    model.shut(true);
    let job = bench.engine.build_graph(&bench.ctx, BuildRequest::default()).await.unwrap().unwrap();
    model.waits(3).await;
    let started = Instant::now();
    assert!(bench.engine.cancel_job(&bench.ctx, &job.id).await.unwrap());
    let ended = bench.ended(&job).await;
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!((ended.state, ended.counts.open, ended.counts.cancelled), (JobState::Cancelled, 0, 3));
    assert_eq!(entity(&bench, "Bergen").await.description, "");
    model.shut(false);
    assert_eq!(build_all(&mut bench).await.counts.ready, 3, "the lane goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_after_a_restart_without_reading_a_passage_twice() {
    let store = store();
    let read = Arc::new(Mutex::new(Vec::new()));
    let itself: Arc<OnceLock<Scripted>> = Arc::default();
    let model = {
        let (read, itself) = (Arc::clone(&read), Arc::clone(&itself));
        Scripted::new(move |_, request| {
            let mut read = read.lock().unwrap();
            read.push(passage(&all_text(request)).to_owned());
            // After the first passage the model falls silent.
            itself.get().unwrap().shut(read.len() == 1);
            Ok(records(request))
        })
    };
    assert!(itself.set(model.clone()).is_ok());
    let settings = GraphSettings { gleanings: 0, parallel: 1, ..plain() };
    let mut first = Bench::with_graph(Arc::clone(&store), &model, settings.clone(), None).await;
    first.take_in(TOWNS).await;
    let job = first.engine.build_graph(&first.ctx, BuildRequest::default()).await.unwrap().unwrap();
    while !matches!(first.events.recv().await.unwrap(), JobEvent::Item { job: of, .. } if of == job.id) {}
    model.waits(1).await;
    assert!(first.engine.shutdown(Duration::from_secs(5)).await);
    model.shut(false);
    let left = first.engine.job(&first.ctx, &job.id).await.unwrap();
    assert_eq!((left.counts.open, left.counts.cancelled), (2, 0));
    drop(first);

    let mut second = Bench::with_graph(store, &model, settings, None).await;
    second.engine.start().await.unwrap();
    let done = second.ended(&job).await;
    assert_eq!((done.counts.ready, done.counts.total), (3, 3));
    let read = read.lock().unwrap();
    assert_eq!(read.len(), read.iter().collect::<HashSet<_>>().len(), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_changes_meanwhile_is_read_as_it_is_then() {
    let model = reader();
    let mut bench = bench(&model).await;
    model.shut(true);
    let named = BuildRequest { documents: vec![bench.document("a.txt").await.id], limit: None };
    let job = bench.engine.build_graph(&bench.ctx, named).await.unwrap().unwrap();
    model.waits(1).await;
    bench.take_in(&[("a.txt", "Tromso is far.")]).await;
    model.shut(false);
    assert_eq!(bench.ended(&job).await.counts.ready, 1);
    assert_eq!(entity(&bench, "Tromso").await.description, "Tromso as the model sees it.");
    assert!(!bench.knows("Oslo").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_documents_get_their_graph_by_themselves_after_they_can_be_searched() {
    let model = reader();
    let settings = GraphSettings { automatic: true, ..plain() };
    let mut bench = Bench::with_graph(store(), &model, settings, None).await;
    model.shut(true);
    bench.take_in(TOWNS).await;
    assert!(bench.knows("Bergen").await, "what rules find is there at once");
    model.waits(3).await;
    model.shut(false);
    assert!(bench.engine.settle(Duration::from_secs(20)).await);
    assert_eq!(entity(&bench, "Bergen").await.description, "Bergen as the model sees it.");
    let jobs = bench.engine.jobs(&bench.ctx, None, crate::ports::ALL).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.kind).collect::<Vec<_>>(), [JobKind::Graph, JobKind::Add]);
    assert_eq!(model.count(EXTRACTION), 6);
    // Where no model is there, documents come in as ever.
    let silent = Scripted::without(&[Role::Extract], |_, _| Ok(String::new()));
    let settings = GraphSettings { automatic: true, ..plain() };
    let mut plain = Bench::with_graph(store(), &silent, settings, None).await;
    assert_eq!(plain.take_in(TOWNS).await.counts.ready, 3);
    assert!(plain.engine.settle(Duration::from_secs(20)).await && silent.asked().is_empty());
}

/// Passages that all speak of Bergen, each in words of its own.
fn many_towns(count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("{n}.txt"), format!("Town{n}x is near Bergen."))).collect()
}

/// A model that says much of everything, and shortens it.
fn talker() -> Scripted {
    Scripted::new(|operation, request| match operation {
        "summarisation" => {
            let told = all_text(request).matches("{\"description\":").count();
            Ok(format!("Summary of {told} descriptions."))
        }
        _ if request.messages.len() > 2 => Ok("<|COMPLETE|>".to_owned()),
        _ => {
            let text = all_text(request);
            let town = passage(&text).split(' ').next().unwrap_or_default();
            let long = "It lies on the coast and is known for its rain. ".repeat(4);
            Ok(format!("entity<|#|>Bergen<|#|>location<|#|>Bergen lies by {town}. {long}\n<|COMPLETE|>"))
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_are_summarised_only_where_they_are_too_long_together() {
    let model = talker();
    let mut bench = Bench::with_graph(store(), &model, plain(), None).await;
    let towns = many_towns(12);
    let documents: Vec<(&str, &str)> = towns.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    bench.take_in(&documents[..2]).await;
    build_all(&mut bench).await;
    assert_eq!(model.count("summarisation"), 0, "two descriptions can be shown as they are");
    bench.take_in(&documents[2..]).await;
    let job = build_all(&mut bench).await;
    assert_eq!(model.count("summarisation"), 1);
    assert_eq!(entity(&bench, "Bergen").await.description, "Summary of 12 descriptions.");
    assert_eq!(job.spending.unwrap().calls, 21, "the job pays for the summary");
    // What was deleted is not told any longer, and nobody is asked for that.
    let id = bench.document("0.txt").await.id;
    bench.engine.delete(&bench.ctx, vec![id]).await.unwrap();
    let left = entity(&bench, "Bergen").await.description;
    assert!(left.starts_with("Bergen lies by Town1x.") && !left.contains("Town0x"), "{left}");
    assert_eq!(model.count("summarisation"), 1);
    let named = BuildRequest { documents: vec![bench.document("1.txt").await.id], limit: None };
    build(&mut bench, named).await;
    assert_eq!(entity(&bench, "Bergen").await.description, "Summary of 11 descriptions.");
    assert!(bench.engine.check(&bench.ctx).await.unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_descriptions_are_summarised_in_groups() {
    let model = talker();
    let mut bench = Bench::with_graph(store(), &model, plain(), None).await;
    let towns = many_towns(200);
    let documents: Vec<(&str, &str)> = towns.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    bench.take_in(&documents).await;
    build_all(&mut bench).await;
    // 200 descriptions of some 45 words each do not fit one prompt.
    assert_eq!(model.count("summarisation"), 3);
    assert_eq!(entity(&bench, "Bergen").await.description, "Summary of 2 descriptions.");
}
