//! Measures quoted answers over folders in BEIR's layout with `answers.jsonl`, given as arguments: how often the
//! first and the first three quoted sentences hold a gold answer, how many questions are kept, and milliseconds.

#![expect(clippy::print_stdout, reason = "a tool that prints a table")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use lorekeep_engine::answer::{choose, says_one_of};
use lorekeep_engine::eval::{EvalSet, read_set};
use lorekeep_engine::retrieve::auto;
use lorekeep_models::StaticEmbedder;
use lorekeep_testkit::{MemoryDocument, MemoryIndex};
use lorekeep_types::{ByteSpan, Evidence, NewChunk, Snapshot};

/// Passages handed to the quoting.
const PASSAGES: usize = 20;

fn main() -> Result<()> {
    println!(
        "{:16} {:>5} {:>6} {:>6} {:>7} {:>6} {:>6} {:>6} {:>6} {:>8} {:>8}",
        "set", "asked", "a@1", "a@3", "ceiling", "kept", "k a@1", "k a@3", "likely", "p50 ms", "p99 ms"
    );
    for folder in std::env::args().skip(1) {
        report(Path::new(&folder)).with_context(|| folder.clone())?;
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Gold {
    _id: String,
    answers: Vec<String>,
}

/// What became of one question.
#[derive(Clone, Copy, Default)]
struct Outcome {
    first: bool,
    three: bool,
    ceiling: bool,
    kept: bool,
    likely: bool,
    milliseconds: f64,
}

fn report(folder: &Path) -> Result<()> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
    let set = read_set(&read("corpus.jsonl")?, &read("queries.jsonl")?, &read("qrels.tsv")?)?;
    let mut golds: HashMap<String, Vec<String>> = HashMap::new();
    for line in read("answers.jsonl")?.lines() {
        let gold: Gold = serde_json::from_str(line)?;
        golds.insert(gold._id, gold.answers);
    }
    let index = MemoryIndex::build(documents(&set), Some(&StaticEmbedder))?;
    let yes_no: HashSet<&str> = ["yes", "no"].into();
    let mut outcomes = Vec::new();
    for query in &set.queries {
        let Some(answers) = golds.get(&query.id) else { continue };
        if !answers.iter().all(|answer| yes_no.contains(answer.to_lowercase().as_str())) {
            outcomes.push(ask(&index, &query.text, answers)?);
        }
    }
    print(&folder.file_name().unwrap_or_default().to_string_lossy(), &outcomes);
    Ok(())
}

fn ask(index: &MemoryIndex, question: &str, answers: &[String]) -> Result<Outcome> {
    let ranking = auto::rank(index, Some(&StaticEmbedder), question, &None, PASSAGES)?;
    let ordinals: Vec<u32> = ranking.passages.iter().map(|passage| passage.ordinal).collect();
    let chunks = index.chunks(&ordinals)?;
    let evidence: Vec<Evidence> = chunks
        .into_iter()
        .zip(&ranking.passages)
        .map(|((_, chunk), ranked)| Evidence { score: ranked.score, reasons: Vec::new(), chunk })
        .collect();
    let started = Instant::now();
    let quotes = choose(index, Some(&StaticEmbedder), question, &evidence, 3)?;
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    let right = |most: usize| quotes.sentences.iter().take(most).any(|quote| says_one_of(quote.text(), answers));
    Ok(Outcome {
        first: right(1),
        three: right(3),
        ceiling: evidence.iter().take(8).any(|one| says_one_of(&one.chunk.chunk.text, answers)),
        kept: quotes.answers(),
        likely: quotes.confidence() == "likely",
        milliseconds,
    })
}

fn print(name: &str, outcomes: &[Outcome]) {
    let share = |of: &dyn Fn(&Outcome) -> bool, among: &dyn Fn(&Outcome) -> bool| {
        let among: Vec<&Outcome> = outcomes.iter().filter(|one| among(one)).collect();
        100.0 * among.iter().filter(|one| of(one)).count() as f64 / among.len().max(1) as f64
    };
    let mut times: Vec<f64> = outcomes.iter().map(|one| one.milliseconds).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{name:16} {:>5} {:>6.1} {:>6.1} {:>7.1} {:>6.1} {:>6.1} {:>6.1} {:>6.1} {:>8.2} {:>8.2}",
        outcomes.len(),
        share(&|one| one.first, &|_| true),
        share(&|one| one.three, &|_| true),
        share(&|one| one.ceiling, &|_| true),
        share(&|one| one.kept, &|_| true),
        share(&|one| one.first, &|one| one.kept),
        share(&|one| one.three, &|one| one.kept),
        share(&|one| one.likely, &|one| one.kept),
        at(0.5),
        at(0.99)
    );
    println!(
        "{:16} right among likely {:.1} (of {:.1} %), among possibly {:.1}",
        "",
        share(&|one| one.first, &|one| one.kept && one.likely),
        share(&|one| one.likely, &|one| one.kept),
        share(&|one| one.first, &|one| one.kept && !one.likely)
    );
}

/// Passages of one document together and in order, others as documents of their own.
fn documents(set: &EvalSet) -> Vec<MemoryDocument> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut documents: Vec<MemoryDocument> = Vec::new();
    for passage in &set.passages {
        let place = match &passage.document {
            Some(document) => *places.entry(document).or_insert(documents.len()),
            None => documents.len(),
        };
        if place == documents.len() {
            documents.push(MemoryDocument { title: passage.title.clone(), ..MemoryDocument::default() });
        }
        if let Some(document) = documents.get_mut(place) {
            let start = document.chunks.last().map_or(0, |chunk| chunk.span.end + 1);
            document.chunks.push(NewChunk {
                span: ByteSpan::new(start, start + passage.text.len()),
                position: passage.position,
                text: passage.text.clone(),
                heading_path: passage.headings.iter().take(1).cloned().collect(),
                headings: passage.headings.clone(),
                ..NewChunk::default()
            });
        }
    }
    for document in &mut documents {
        let text: Vec<&str> = document.chunks.iter().map(|chunk| chunk.text.as_str()).collect();
        document.language = lorekeep_text::language_of(&text.join("\n")).map(str::to_owned);
    }
    documents
}
