//! `lorekeep eval`: indexes a BEIR-style folder in a scratch workspace and measures retrieval, quoted answers and
//! time through the same engine that serves users.

mod corpus;
mod replay;
mod report;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use lorekeep_engine::eval::{EvalSet, Figures, read_set};
use lorekeep_engine::{AddRequest, BuildRequest, Engine};
use lorekeep_types::{AskRequest, JobState, Mode, Models, PageRequest, RequestContext, SearchRequest, WorkspaceName};

use self::corpus::{Corpus, CorpusParser};
use self::replay::Replay;
use self::report::{Report, Times};
use super::progress;
use crate::app::App;
use crate::output::Exit;
use crate::wire;

/// Passages looked at per question.
const DEPTH: usize = 10;
/// Documents handed over at once.
const BATCH: usize = 256;

/// How long the vectors of entities and relations may take.
const SETTLE: Duration = Duration::from_secs(3_600);

/// Arguments of `eval`.
#[derive(Args, Debug)]
pub struct Eval {
    /// Folder with corpus.jsonl, queries.jsonl, qrels.tsv and, optionally, answers.jsonl
    #[arg(long, value_name = "DIR")]
    pub beir: PathBuf,
    /// auto, naive, local, global, hybrid or mix
    #[arg(long, default_value = "auto")]
    pub mode: String,
    /// Make the graph of a model's output that is kept in this file, in HippoRAG's layout, as `graph.combine` says
    #[arg(long, value_name = "FILE")]
    pub openie: Option<PathBuf>,
    /// With --json: the figures of each question as well
    #[arg(long)]
    pub each: bool,
    /// Keep the indexed workspace in this data folder instead of a scratch one
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(app: &App, args: &Eval) -> Result<Exit> {
    let mode = Mode::parse(&args.mode)?;
    let read = |name: &str| {
        let path = args.beir.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let set = read_set(&read("corpus.jsonl")?, &read("queries.jsonl")?, &read("qrels.tsv")?)?;
    if set.queries.is_empty() {
        bail!("{} holds no question with a relevant passage", args.beir.display());
    }
    let answers = corpus::answers(read("answers.jsonl").ok().as_deref())?;
    let scratch = tempfile::tempdir().context("cannot make a scratch folder")?;
    let folder = args.keep.as_deref().unwrap_or(scratch.path());
    let replay = args.openie.as_deref().map(Replay::read).transpose()?;
    let replay = replay.map(|replay| Arc::new(replay) as Arc<dyn Models>);
    let replays = replay.is_some();
    let engine = wire::engine(&app.config, folder, Arc::new(CorpusParser), replay)?;
    let measured = measure(app, &engine, (&set, replays), &answers, mode).await;
    engine.shutdown(Duration::from_secs(20)).await;
    let report = measured?;
    report.print(app.global.json, args.each)?;
    Ok(Exit::Ok)
}

async fn measure(
    app: &App,
    engine: &Engine,
    (set, replays): (&EvalSet, bool),
    answers: &HashMap<String, Vec<String>>,
    mode: Mode,
) -> Result<Report> {
    let ctx = RequestContext::new(WorkspaceName::default_workspace(), "eval");
    let corpus = Corpus::of(set);
    let index_s = index(app, engine, &ctx, &corpus, replays).await?;
    let bar = progress::bar(app, set.queries.len() as u64, "questions");
    let (mut figures, mut times, mut quoted) = (Vec::new(), Times::default(), Vec::new());
    for query in &set.queries {
        let mut request = SearchRequest::new(&query.text);
        request.mode = mode;
        request.limit = DEPTH;
        let started = Instant::now();
        let found = engine.search(&ctx, request.clone()).await?;
        times.add(started.elapsed());
        let ranking: Vec<&str> =
            found.passages.iter().filter_map(|evidence| corpus.passage_of(&evidence.chunk)).collect();
        let none = std::collections::HashSet::new();
        figures.push(Figures::of(&ranking, set.relevant.get(&query.id).unwrap_or(&none)));
        if let Some(gold) = answers.get(&query.id) {
            let ask = AskRequest { search: request, insist: true, ..AskRequest::new("") };
            let answer = engine.ask(&ctx, ask).await?;
            quoted.push(corpus::quoted(&answer, gold));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Report::new(&figures, &quoted, &times, corpus.passages(), index_s, mode))
}

/// Indexes the corpus and returns the seconds until it could be searched.
async fn index(app: &App, engine: &Engine, ctx: &RequestContext, corpus: &Corpus, replays: bool) -> Result<f64> {
    let bar = progress::bar(app, corpus.documents() as u64, "documents");
    let started = Instant::now();
    for batch in corpus.items().chunks(BATCH) {
        engine.add(ctx, AddRequest { items: batch.to_vec(), ..AddRequest::default() }).await?;
    }
    ended(engine, ctx, |open| bar.set_position((corpus.documents() as u64).saturating_sub(open))).await?;
    if replays {
        engine.build_graph(ctx, BuildRequest::default()).await?;
        ended(engine, ctx, |open| bar.set_position((corpus.documents() as u64).saturating_sub(open))).await?;
    }
    // The vectors of entities and relations belong to the index: graph modes search them.
    engine.settle(SETTLE).await;
    bar.finish_and_clear();
    Ok(started.elapsed().as_secs_f64())
}

/// Waits until no job is open; `tell` hears how many documents are.
async fn ended(engine: &Engine, ctx: &RequestContext, tell: impl Fn(u64)) -> Result<()> {
    loop {
        let first = PageRequest { offset: 0, limit: 1000 };
        let jobs = engine.jobs(ctx, None, first).await?;
        let open: u64 = jobs.iter().map(|job| job.counts.open).sum();
        tell(open);
        if jobs.iter().all(|job| matches!(job.state, JobState::Done | JobState::Cancelled)) {
            let failed: u64 = jobs.iter().map(|job| job.counts.failed).sum();
            if failed > 0 {
                bail!("{failed} documents of the corpus could not be read");
            }
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
