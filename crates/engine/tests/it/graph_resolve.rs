//! Names that mean one thing become one entity: what a model is asked about them, and what it never is again.

use std::sync::Arc;

use lorekeep_engine::{BuildRequest, GraphSettings};
use lorekeep_store::Store;
use lorekeep_types::{ChatRequest, Job, JobState, ModelFault};
use serde_json::Value;

use crate::ports::Bench;
use crate::scripted::{Scripted, all_text};

const RESOLUTION: &str = "entity_resolution";

const NAMES: [&str; 5] = ["Barack Obama", "Obama", "Michelle Obama", "Merkel", "Oslo"];

const NEWS: &[(&str, &str)] = &[
    ("a.txt", "Barack Obama met Merkel."),
    ("b.txt", "Obama came to Oslo."),
    ("c.txt", "Barack Obama spoke. Merkel listened."),
    ("d.txt", "Michelle Obama wrote a book."),
];

/// A model that finds the longest of the names above, and tells two names apart as `same` says.
fn model(same: impl Fn(&str, &str) -> Result<&'static str, ModelFault> + Send + Sync + 'static) -> Scripted {
    Scripted::new(move |operation, request| match operation {
        RESOLUTION => {
            let line = |pair: &Value| Ok(format!("{}: {}\n", pair["pair"], same(name(pair, "a"), name(pair, "b"))?));
            pairs(request).iter().map(line).collect()
        }
        _ if request.messages.len() > 2 => Ok("<|COMPLETE|>".to_owned()),
        _ => Ok(records(request)),
    })
}

fn records(request: &ChatRequest) -> String {
    let text = all_text(request);
    let text = text.split(" passage\n").nth(1).unwrap_or_default();
    let is_part = |name: &str| NAMES.iter().any(|other| *other != name && other.contains(name) && text.contains(other));
    let found = NAMES.iter().filter(|name| text.contains(**name) && !is_part(name));
    let records = found.map(|name| format!("entity<|#|>{name}<|#|>person<|#|>{name} of the news."));
    records.chain(["<|COMPLETE|>".to_owned()]).collect::<Vec<_>>().join("\n")
}

/// The pairs of a question, as the model reads them.
fn pairs(request: &ChatRequest) -> Vec<Value> {
    request.messages[1].plain().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn name<'a>(pair: &'a Value, end: &str) -> &'a str {
    pair[end]["name"].as_str().unwrap()
}

fn one_man(a: &str, b: &str) -> Result<&'static str, ModelFault> {
    let is_he = |name: &str| ["Obama", "Barack Obama"].contains(&name);
    Ok(if is_he(a) && is_he(b) { "yes" } else { "no" })
}

async fn bench(model: &Scripted) -> Bench {
    let store = Arc::new(Store::in_memory().unwrap());
    let settings = GraphSettings { combine: lorekeep_engine::Combine::Model, ..GraphSettings::default() };
    let mut bench = Bench::with_graph(store, model, settings, None).await;
    bench.take_in(NEWS).await;
    bench
}

async fn build(bench: &mut Bench, request: BuildRequest) -> Job {
    let job = bench.engine.build_graph(&bench.ctx, request).await.unwrap().expect("something to do");
    let job = bench.ended(&job).await;
    assert_eq!(job.state, JobState::Done);
    assert!(bench.engine.check(&bench.ctx).await.unwrap().problems.is_empty());
    job
}

async fn named(bench: &Bench, name: &str) -> String {
    bench.engine.entity(&bench.ctx, name).await.unwrap().name
}

/// Every pair that was asked about so far.
fn asked(model: &Scripted) -> Vec<(String, String)> {
    let requests = model.asked().into_iter().filter(|(operation, _)| operation == RESOLUTION);
    let pairs = requests.flat_map(|(_, request)| pairs(&request));
    pairs.map(|pair| (name(&pair, "a").to_owned(), name(&pair, "b").to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_one_man_become_one_entity() {
    let model = model(one_man);
    let mut bench = bench(&model).await;
    let job = build(&mut bench, BuildRequest::default()).await;
    let obama = bench.engine.entity(&bench.ctx, "Obama").await.unwrap();
    assert_eq!(obama.name, "Barack Obama", "the name that more documents use");
    let mut documents = obama.documents.clone();
    documents.sort();
    assert_eq!(documents, ["a.txt", "b.txt", "c.txt"]);
    let told = |words: &str| obama.description.starts_with(words) || obama.description.contains(&format!(". {words}"));
    assert!(told("Barack Obama of the news.") && told("Obama of the news."), "{}", obama.description);
    assert_eq!(named(&bench, "Michelle Obama").await, "Michelle Obama");
    assert_eq!(job.spending.unwrap().calls as usize, model.asked().len(), "its calls are the job's");
    let (_, request) = model.asked().into_iter().find(|(operation, _)| operation == RESOLUTION).unwrap();
    let pair = pairs(&request).into_iter().find(|pair| name(pair, "b") == "Obama").unwrap();
    assert_eq!(pair["a"]["description"], "Barack Obama of the news.");
    assert_eq!(pair["a"]["type"], "person");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pair_is_asked_about_twice() {
    let model = model(one_man);
    let mut bench = bench(&model).await;
    build(&mut bench, BuildRequest::default()).await;
    let before = asked(&model);
    let mut once = before.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), before.len());
    // Every document is read again, and one goes and comes back.
    let mut documents = Vec::new();
    for (name, _) in NEWS {
        documents.push(bench.document(name).await.id);
    }
    build(&mut bench, BuildRequest { documents, limit: None }).await;
    let id = bench.document("b.txt").await.id;
    bench.engine.delete(&bench.ctx, vec![id]).await.unwrap();
    bench.take_in(&NEWS[1..2]).await;
    build(&mut bench, BuildRequest::default()).await;
    assert_eq!(named(&bench, "Obama").await, "Barack Obama");
    let new: Vec<_> = asked(&model).split_off(before.len());
    assert!(new.iter().all(|(a, b)| a == "Oslo" || b == "Oslo"), "only the name that was gone: {new:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_names_stay_apart_until_the_next_job() {
    let model = model(|_, _| Err(ModelFault::Server));
    let mut bench = bench(&model).await;
    let job = build(&mut bench, BuildRequest::default()).await;
    assert_eq!(job.counts.ready, 4, "the graph does not fail with it");
    assert_eq!(named(&bench, "Obama").await, "Obama");
    let calls = model.count(RESOLUTION);
    assert!(calls > 0);
    let documents = vec![bench.document("b.txt").await.id];
    build(&mut bench, BuildRequest { documents, limit: None }).await;
    assert!(model.count(RESOLUTION) > calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_leaves_open_stays_apart_and_is_not_asked_again() {
    let model = model(|_, _| Ok("hard to say"));
    let mut bench = bench(&model).await;
    build(&mut bench, BuildRequest::default()).await;
    assert_eq!(named(&bench, "Obama").await, "Obama");
    let calls = model.count(RESOLUTION);
    let documents = vec![bench.document("b.txt").await.id];
    let job = build(&mut bench, BuildRequest { documents, limit: None }).await;
    assert_eq!((model.count(RESOLUTION), job.spending.unwrap().calls), (calls, 0));
}
