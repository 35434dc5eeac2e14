//! Measures retrieval over folders in BEIR's layout, given as arguments, and prints a table: recall, nDCG and
//! reciprocal rank in percent with 95 % intervals, and milliseconds per question over an in-memory index.

#![expect(clippy::print_stdout, reason = "a tool that prints a table")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use lorekeep_engine::eval::{EvalSet, Figures, Interval, measure, read_set};
use lorekeep_engine::retrieve::auto;
use lorekeep_models::StaticEmbedder;
use lorekeep_testkit::{MemoryDocument, MemoryIndex};
use lorekeep_types::NewChunk;

fn main() -> Result<()> {
    println!(
        "{:16} {:>6} {:>5}  {:>11} {:>11} {:>11} {:>11} {:>11}  {:>6} {:>6}  {:>7}",
        "set", "chunks", "asked", "R@2", "R@5", "R@10", "nDCG@10", "MRR@10", "p50 ms", "p95 ms", "build s"
    );
    for folder in std::env::args().skip(1) {
        report(Path::new(&folder)).with_context(|| folder.clone())?;
    }
    Ok(())
}

fn report(folder: &Path) -> Result<()> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
    let set = read_set(&read("corpus.jsonl")?, &read("queries.jsonl")?, &read("qrels.tsv")?)?;
    let (documents, ids) = documents(&set);
    let started = Instant::now();
    let index = MemoryIndex::build(documents, Some(&StaticEmbedder))?;
    let built = started.elapsed();
    let (mut figures, mut times) = (Vec::new(), Vec::new());
    for query in &set.queries {
        let started = Instant::now();
        let ranking = auto::rank(&index, Some(&StaticEmbedder), &query.text, &None, 20)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        let ranked: Vec<&str> = ranking
            .passages
            .iter()
            .filter_map(|passage| ids.get(passage.ordinal as usize))
            .map(String::as_str)
            .collect();
        figures
            .push(set.relevant.get(&query.id).map_or_else(Figures::default, |relevant| Figures::of(&ranked, relevant)));
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    let cell = |interval: Interval| format!("{:.1} ±{:.1}", interval.mean * 100.0, interval.half * 100.0);
    let all = measure(&figures);
    println!(
        "{:16} {:>6} {:>5}  {:>11} {:>11} {:>11} {:>11} {:>11}  {:>6.2} {:>6.2}  {:>7.2}",
        folder.file_name().unwrap_or_default().to_string_lossy(),
        ids.len(),
        all.queries,
        cell(all.recall_2),
        cell(all.recall_5),
        cell(all.recall_10),
        cell(all.ndcg_10),
        cell(all.mrr_10),
        at(0.5),
        at(0.95),
        built.as_secs_f64()
    );
    Ok(())
}

/// Passages of one document together and in order, others as documents of their own; and the id of each ordinal.
fn documents(set: &EvalSet) -> (Vec<MemoryDocument>, Vec<String>) {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut documents: Vec<(MemoryDocument, Vec<String>)> = Vec::new();
    for passage in &set.passages {
        let place = match &passage.document {
            Some(document) => *places.entry(document).or_insert(documents.len()),
            None => documents.len(),
        };
        if place == documents.len() {
            documents.push((MemoryDocument { title: passage.title.clone(), ..MemoryDocument::default() }, Vec::new()));
        }
        if let Some((document, ids)) = documents.get_mut(place) {
            document.chunks.push(NewChunk {
                position: passage.position,
                text: passage.text.clone(),
                heading_path: passage.headings.iter().take(1).cloned().collect(),
                headings: passage.headings.clone(),
                ..NewChunk::default()
            });
            ids.push(passage.id.clone());
        }
    }
    for (document, _) in &mut documents {
        let text: Vec<&str> = document.chunks.iter().map(|chunk| chunk.text.as_str()).collect();
        document.language = lorekeep_text::language_of(&text.join("\n")).map(str::to_owned);
    }
    let ids = documents.iter().flat_map(|(_, ids)| ids.clone()).collect();
    (documents.into_iter().map(|(document, _)| document).collect(), ids)
}
