//! Comparing the views with the truth they are made from: every version, chunk, vector, mention and link.

use std::collections::BTreeSet;

use lorekeep_text::norm;
use lorekeep_types::VectorKind;

use super::analyse::links;
use super::generation::Generation;
use super::passages::{Passages, PhraseUse, VersionPassages};
use crate::error::Result;
use crate::truth::reader::Reader;
use crate::truth::reader::follow::VersionRow;

/// At most this many disagreements are reported.
const MOST_PROBLEMS: usize = 100;

/// Every disagreement between a generation and the truth of the same change, one sentence each.
pub(super) fn compare(generation: &Generation, reader: &Reader<'_>) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let passages = &generation.passages;
    let rows = reader.versions()?;
    let known: BTreeSet<i64> = passages.versions().map(|version| version.version).collect();
    let stored: BTreeSet<i64> = rows.iter().map(|row| row.id.0).collect();
    for missing in stored.difference(&known) {
        problems.push(format!("version {missing} is not in the views"));
    }
    for surplus in known.difference(&stored) {
        problems.push(format!("version {surplus} is in the views but no longer stored"));
    }
    for row in &rows {
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
        if let Some(version) = passages.version(row.id.0) {
            problems.extend(version_problem(generation, reader, row, version)?);
        }
    }
    let chunks: BTreeSet<i64> = passages.versions().flat_map(|v| v.passages.iter().map(|p| p.chunk)).collect();
    problems.extend(text_problem(generation, &chunks)?);
    problems.extend(vector_problem(generation, reader, &chunks)?);
    Ok(problems)
}

fn version_problem(
    generation: &Generation,
    reader: &Reader<'_>,
    row: &VersionRow,
    version: &VersionPassages,
) -> Result<Option<String>> {
    let name = |what: &str| Some(format!("{what} of version {} differ from the truth", row.id));
    let passages = &generation.passages;
    let mut mentions: Vec<BTreeSet<(String, u32, bool)>> = vec![BTreeSet::new(); row.chunks as usize];
    reader.each_mention(row, &mut |chunk, key, count, own| {
        let place = usize::try_from(chunk.0 - row.first_chunk.0).unwrap_or(usize::MAX);
        if let Some(mentions) = mentions.get_mut(place) {
            mentions.insert((key.to_owned(), count, own));
        }
        Ok(())
    })?;
    let shown = version.passages.iter().map(|passage| spelt(passages, &passage.mentions));
    if !shown.eq(mentions) {
        return Ok(name("the mentions"));
    }
    let mut stored = Vec::new();
    reader.each_chunk(row, &mut |chunk| {
        let found = links(&norm(&chunk.text), &generation.titles);
        stored.push((chunk.id.0, found.into_iter().map(|(key, count)| (key, count, false)).collect()));
        Ok(())
    })?;
    let shown = version.passages.iter().map(|passage| (passage.chunk, spelt(passages, &passage.links)));
    Ok(if shown.eq(stored) { None } else { name("the chunks or titles in them") })
}

fn spelt(passages: &Passages, phrases: &[PhraseUse]) -> BTreeSet<(String, u32, bool)> {
    phrases.iter().map(|phrase| (passages.names.get(phrase.name).to_owned(), phrase.count, phrase.own)).collect()
}

fn text_problem(generation: &Generation, chunks: &BTreeSet<i64>) -> Result<Option<String>> {
    let mut indexed = generation.text().chunks()?;
    indexed.sort_unstable();
    Ok((!indexed.iter().eq(chunks))
        .then(|| format!("the text view holds {} chunks and the passage table {}", indexed.len(), chunks.len())))
}

fn vector_problem(generation: &Generation, reader: &Reader<'_>, chunks: &BTreeSet<i64>) -> Result<Option<String>> {
    let mut stored = BTreeSet::new();
    reader.each_vector(VectorKind::Chunk, &mut |row, _| {
        stored.insert(row);
        Ok(())
    })?;
    let held = generation.vectors.rows().iter().copied().filter(|row| chunks.contains(row)).collect();
    Ok((stored != held).then(|| format!("{} chunks have vectors, the vector view holds {}", stored.len(), held.len())))
}
