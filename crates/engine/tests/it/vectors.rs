//! Vectors of a configured model: what is embedded with it, what another one is refused for, and how all vectors are made
//! anew while the old ones serve.

use std::collections::BTreeSet;
use std::sync::Arc;

use lorekeep_engine::{AddRequest, EngineSettings};
use lorekeep_store::Store;
use lorekeep_types::{
    EmbedKind, EmbeddingModelId, ErrorCode, Job, JobEvent, JobKind, JobState, Mode, ModelFault, Phase, Priority,
    Retrieval, SearchRequest, Store as _, Workspace, WorkspaceName,
};

use crate::embedder::{Counting, Embedders};
use crate::ports::{Bench, item};

const TEXTS: [(&str, &str); 2] = [
    ("oslo.txt", "# Oslo\n\nOslo is the capital of Norway. Oslo lies at a fjord."),
    ("bergen.txt", "# Bergen\n\nBergen is a city in Norway. It rains in Bergen."),
];

async fn bench(models: &Arc<Embedders>) -> Bench {
    over(Arc::new(Store::in_memory().unwrap()), models).await
}

async fn over(store: Arc<Store>, models: &Arc<Embedders>) -> Bench {
    Bench::made(store, Some(Arc::clone(models) as _), EngineSettings::default()).await
}

/// With the two texts and all their vectors.
async fn filled(models: &Arc<Embedders>) -> Bench {
    let mut bench = bench(models).await;
    bench.take_in(&TEXTS).await;
    settle(&bench).await;
    bench
}

fn workspace(bench: &Bench) -> Arc<dyn Workspace> {
    bench.store.workspace(&WorkspaceName::default_workspace()).unwrap()
}

fn model_of(bench: &Bench) -> Option<(String, usize)> {
    let model = workspace(bench).embedding_model().unwrap();
    model.map(|EmbeddingModelId { name, dimensions }| (name, dimensions))
}

async fn search(bench: &Bench, query: &str, mode: Mode) -> lorekeep_types::Result<Retrieval> {
    bench.engine.search(&bench.ctx, SearchRequest { mode, ..SearchRequest::new(query) }).await
}

fn named(retrieval: &Retrieval) -> Vec<&str> {
    retrieval.passages.iter().map(|passage| passage.chunk.document_name.as_str()).collect()
}

/// Waits until nothing is left to do, vectors of entities included.
async fn settle(bench: &Bench) {
    assert!(bench.engine.settle(std::time::Duration::from_secs(30)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_model_embeds_passages_entities_and_questions() {
    let model = Counting::new("lab/m", 7);
    let models = Embedders::of(&[&model]);
    models.choose(Some(&model));
    let bench = filled(&models).await;
    assert_eq!(model_of(&bench), Some(("lab/m".to_owned(), 7)));
    let passages = model.texts(EmbedKind::Passage);
    for part in ["It rains in Bergen.", "Oslo lies at a fjord.", "Oslo\n", "Norway\n"] {
        assert!(passages.iter().any(|text| text.contains(part)), "{part}: {passages:?}");
    }
    assert!(model.asked().iter().all(|asked| asked.operation == "embed" && asked.texts.len() <= 3));
    assert!(model.asked().iter().all(|asked| asked.priority == Priority::Batch));

    let found = search(&bench, "It rains in Bergen", Mode::Naive).await.unwrap();
    assert_eq!(named(&found).first(), Some(&"bergen.txt"), "{found:?}");
    assert!(found.notices.is_empty());
    assert_eq!(model.texts(EmbedKind::Query), ["It rains in Bergen"]);
    assert_eq!(model.asked().last().unwrap().priority, Priority::Interactive);
    search(&bench, "Norway", Mode::Mix).await.unwrap();
    let asked = model.texts(EmbedKind::Query);
    let distinct: BTreeSet<&String> = asked.iter().collect();
    assert!(
        distinct.len() == asked.len() && asked.contains(&"Norway".to_owned()),
        "no text is embedded twice: {asked:?}"
    );
    assert!(workspace(&bench).check().unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_wait_for_the_model_do_not_keep_others_from_being_read() {
    let model = Counting::new("lab/m", 7);
    let models = Embedders::of(&[&model]);
    models.choose(Some(&model));
    let mut bench = filled(&models).await;
    model.shut(true);
    let names: Vec<String> = (0..12).map(|number| format!("{number}.txt")).collect();
    let texts: Vec<String> = (0..12).map(|number| format!("Mill {number} grinds rye.")).collect();
    let documents: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let job = bench.add(&documents).await;
    // Two are worked on at once, and far more wait.
    tokio::time::timeout(std::time::Duration::from_secs(30), model.waits_for(10)).await.expect("ten wait at once");
    model.shut(false);
    assert_eq!(bench.ended(&job).await.counts.ready, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_is_refused_until_the_vectors_are_made_anew() {
    let model = Counting::new("lab/m", 7);
    let models = Embedders::of(&[&model]);
    let mut bench = filled(&models).await;
    assert_eq!(model_of(&bench), Some(("letters".to_owned(), 26)));

    models.choose(Some(&model));
    let refused = [
        search(&bench, "Where does it rain?", Mode::Auto).await.unwrap_err(),
        bench
            .engine
            .add(&bench.ctx, AddRequest { items: vec![item("c.txt", b"Cork.")], ..AddRequest::default() })
            .await
            .unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.code(), ErrorCode::Conflict);
        for part in ["`letters` (26 dimensions)", "`lab/m` (7)"] {
            assert!(error.message().contains(part), "{error}");
        }
        assert!(error.remedy().unwrap().contains("lorekeep reindex --vectors"), "{error:?}");
    }

    let job = bench.engine.reindex_vectors(&bench.ctx).await.unwrap();
    assert_eq!((job.kind, job.problem.clone()), (JobKind::Reindex, None));
    let ended = bench.ended(&job).await;
    settle(&bench).await;
    assert_eq!((ended.state, ended.counts.open, ended.counts.failed), (JobState::Done, 0, 0));
    assert_eq!(ended.counts.ready, ended.counts.total);
    assert_eq!(model_of(&bench), Some(("lab/m".to_owned(), 7)));
    let found = search(&bench, "It rains in Bergen", Mode::Naive).await.unwrap();
    assert_eq!(named(&found).first(), Some(&"bergen.txt"));
    assert!(workspace(&bench).check().unwrap().problems.is_empty());

    // And back, with the built-in model, which asks nobody.
    models.choose(None);
    assert_eq!(search(&bench, "Bergen", Mode::Auto).await.unwrap_err().code(), ErrorCode::Conflict);
    let asked = model.asked().len();
    let job = bench.engine.reindex_vectors(&bench.ctx).await.unwrap();
    bench.ended(&job).await;
    assert_eq!(model_of(&bench), Some(("letters".to_owned(), 26)));
    search(&bench, "Bergen", Mode::Auto).await.unwrap();
    assert_eq!(model.asked().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_vectors_serve_while_new_ones_are_made_and_documents_wait() {
    let (old, new) = (Counting::new("lab/old", 7), Counting::new("lab/new", 7));
    let models = Embedders::of(&[&old, &new]);
    models.choose(Some(&old));
    let mut bench = filled(&models).await;

    models.choose(Some(&new));
    new.shut(true);
    let job = bench.engine.reindex_vectors(&bench.ctx).await.unwrap();
    let again = bench.engine.reindex_vectors(&bench.ctx).await.unwrap_err();
    assert_eq!(again.code(), ErrorCode::Conflict);
    assert!(again.message().contains(job.id.as_str()), "{again}");
    new.waits().await;
    let found = search(&bench, "Bergen", Mode::Naive).await.unwrap();
    assert!(found.notices.is_empty());
    assert_eq!(old.texts(EmbedKind::Query), ["Bergen"]);
    let added = bench.add(&[("cork.txt", "Cork is a city in Ireland.")]).await;
    assert_eq!(bench.outcomes(&added).await, [("cork.txt".to_owned(), "queued".to_owned())]);
    // What is deleted meanwhile needs no new vector.
    let bergen = bench.document("bergen.txt").await;
    bench.engine.delete(&bench.ctx, vec![bergen.id]).await.unwrap();

    new.shut(false);
    assert_eq!(bench.ended(&job).await.state, JobState::Done);
    let added = bench.ended(&added).await;
    settle(&bench).await;
    assert_eq!((added.state, added.counts.ready), (JobState::Done, 1));
    assert_eq!(model_of(&bench), Some(("lab/new".to_owned(), 7)));
    let embedded: BTreeSet<String> = new.texts(EmbedKind::Passage).into_iter().collect();
    assert!(embedded.iter().any(|text| text.contains("Cork is a city")), "{embedded:?}");
    search(&bench, "Ireland", Mode::Naive).await.unwrap();
    assert_eq!((old.texts(EmbedKind::Query).len(), new.texts(EmbedKind::Query)), (1, vec!["Ireland".to_owned()]));
    assert!(workspace(&bench).check().unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_model_that_is_gone_leaves_words_until_the_new_vectors_are_there() {
    let (gone, new) = (Counting::new("gone/m", 7), Counting::new("lab/new", 5));
    let models = Embedders::of(&[&new]);
    models.choose(Some(&gone));
    let mut bench = filled(&models).await;
    models.choose(Some(&new));
    new.shut(true);
    let job = bench.engine.reindex_vectors(&bench.ctx).await.unwrap();
    let found = search(&bench, "rains Bergen", Mode::Auto).await.unwrap();
    assert_eq!(named(&found).first(), Some(&"bergen.txt"));
    assert!(found.notices.iter().any(|notice| notice.contains("only words were compared")), "{:?}", found.notices);
    new.shut(false);
    bench.ended(&job).await;
    assert!(search(&bench, "rains Bergen", Mode::Auto).await.unwrap().notices.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_model_fails_documents_clearly_and_leaves_questions_their_words() {
    let model = Counting::new("lab/m", 7);
    let models = Embedders::of(&[&model]);
    models.choose(Some(&model));
    let mut bench = bench(&models).await;
    bench.take_in(&TEXTS[..1]).await;
    settle(&bench).await;

    model.fail(Some(ModelFault::Timeout(Phase::FirstByte)));
    let job = bench.take_in(&TEXTS[1..]).await;
    let failed = bench.items(&job).await.remove(0);
    let problem = failed.problem.unwrap();
    assert_eq!((failed.outcome.as_str(), problem.code), ("failed", ErrorCode::Timeout));
    assert!(problem.message.contains("lab/m: it failed as the test says"), "{problem:?}");

    let found = search(&bench, "the capital of Norway", Mode::Mix).await.unwrap();
    assert_eq!(named(&found).first(), Some(&"oslo.txt"));
    let asked = model.texts(EmbedKind::Query).len();
    assert_eq!(asked, 1, "it is not asked again within one request");
    let notices = found.notices.join(" ");
    assert!(notices.contains("only words were compared") && notices.contains("lab/m"), "{notices}");

    model.fail(None);
    let again = bench.engine.retry(&bench.ctx, Vec::new()).await.unwrap().unwrap();
    assert_eq!(bench.ended(&again).await.counts.ready, 1);
}

/// Waits until the job tells what it waits for.
async fn delayed(bench: &mut Bench, job: &Job) -> Job {
    let told = async {
        while !matches!(&bench.events.recv().await.unwrap(),
            JobEvent::Progress { job: told, problem: Some(_), .. } if *told == job.id)
        {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), told).await.expect("the job tells why it waits");
    bench.engine.job(&bench.ctx, &job.id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_for_and_what_does_not_ends_the_job() {
    let model = Counting::new("lab/m", 7);
    let models = Embedders::of(&[&model]);
    let mut bench = filled(&models).await;
    models.choose(Some(&model));

    model.fail(Some(ModelFault::Request));
    let job = bench.engine.reindex_vectors(&bench.ctx).await.unwrap();
    let failed = bench.ended(&job).await;
    assert!(failed.counts.failed > 0 && failed.counts.open == 0, "{failed:?}");
    assert!(failed.problem.unwrap().message.contains("it failed as the test says"));
    assert_eq!(model_of(&bench), Some(("letters".to_owned(), 26)));

    model.fail(Some(ModelFault::Connect));
    let job = bench.engine.reindex_vectors(&bench.ctx).await.unwrap();
    let waits = delayed(&mut bench, &job).await;
    assert!(matches!(waits.state, JobState::Queued | JobState::Running), "{waits:?}");
    model.fail(None);
    let ended = bench.ended(&job).await;
    assert_eq!((ended.state, ended.counts.failed, ended.problem), (JobState::Done, 0, None));
    assert_eq!(model_of(&bench), Some(("lab/m".to_owned(), 7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_leaves_the_old_vectors_and_lets_documents_in() {
    let (old, new) = (Counting::new("lab/old", 7), Counting::new("lab/new", 5));
    let models = Embedders::of(&[&old, &new]);
    models.choose(Some(&old));
    let mut bench = filled(&models).await;
    models.choose(Some(&new));
    new.shut(true);
    let job = bench.engine.reindex_vectors(&bench.ctx).await.unwrap();
    new.waits().await;
    assert!(bench.engine.cancel_job(&bench.ctx, &job.id).await.unwrap());
    settle(&bench).await;
    let ended = bench.engine.job(&bench.ctx, &job.id).await.unwrap();
    assert_eq!((ended.state, ended.counts.open), (JobState::Cancelled, 0));
    assert!(ended.counts.cancelled > 0);
    models.choose(Some(&old));
    assert_eq!(model_of(&bench), Some(("lab/old".to_owned(), 7)));
    search(&bench, "Bergen", Mode::Naive).await.unwrap();
    let added = bench.take_in(&[("cork.txt", "Cork is a city in Ireland.")]).await;
    assert_eq!(added.counts.ready, 1);
    assert!(workspace(&bench).check().unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_process_ended() {
    let model = Counting::new("lab/m", 7);
    let models = Embedders::of(&[&model]);
    let store = Arc::new(Store::in_memory().unwrap());
    let mut first = over(Arc::clone(&store), &models).await;
    let texts: Vec<(String, String)> =
        (0..600).map(|number| (format!("{number}.txt"), format!("Village {number} has a mill."))).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    first.take_in(&texts).await;
    settle(&first).await;
    models.choose(Some(&model));
    // The first batch of 512 is kept; the second does not come to its end.
    model.shut_after(530);
    let job = first.engine.reindex_vectors(&first.ctx).await.unwrap();
    model.waits().await;
    assert!(first.engine.shutdown(std::time::Duration::from_secs(10)).await, "a call that hangs holds nobody up");
    let kept = first.engine.job(&first.ctx, &job.id).await.unwrap();
    assert_eq!((kept.state, kept.counts.ready), (JobState::Running, 512));
    drop(first);
    let before = model.texts(EmbedKind::Passage).len();
    model.shut(false);
    let mut second = over(store, &models).await;
    second.engine.start().await.unwrap();
    let ended = second.ended(&job).await;
    assert_eq!((ended.state, ended.counts.ready), (JobState::Done, ended.counts.total));
    let texts = model.texts(EmbedKind::Passage);
    assert!((texts.len() - before) as u64 <= ended.counts.total - kept.counts.ready, "what was kept is made again");
    assert_eq!(model_of(&second), Some(("lab/m".to_owned(), 7)));
    assert!(workspace(&second).check().unwrap().problems.is_empty());
}
