//! Reading the text view: BM25 of every matching chunk, document frequencies and phrase counts, all over live
//! chunks only, so that merges change no figure. Which terms to ask for is the engine's.

use lorekeep_types::{LexicalField, ScoredChunk};
use tantivy::postings::Postings;
use tantivy::query::{EnableScoring, PhraseQuery, Query};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, Searcher, SegmentReader, TERMINATED, Term};

use super::{Fields, TextReader};
use crate::error::Result;
use crate::view::fault::text_fault;

const K1: f32 = 1.2;
const B: f32 = 0.75;

/// Marks a deleted document in a segment's table of ordinals.
const GONE: u32 = u32::MAX;

/// The lengths of the chunks in one field, as BM25 needs them.
struct Norms {
    /// `k1 · (1 − b + b · length / average)` by ordinal.
    factors: Vec<f32>,
}

impl Norms {
    #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^24")]
    fn of(lengths: impl ExactSizeIterator<Item = u32> + Clone) -> Self {
        let count = lengths.len().max(1);
        let total: u64 = lengths.clone().map(u64::from).sum();
        let average = (total as f64 / count as f64).max(f64::MIN_POSITIVE) as f32;
        Self { factors: lengths.map(|length| K1 * (1.0 - B + B * length as f32 / average)).collect() }
    }
}

struct Segment {
    reader: SegmentReader,
    /// Ordinal by document, [`GONE`] for deleted ones.
    ordinals: Vec<u32>,
}

/// One commit of the index, with ordinals. Immutable.
pub(in crate::view) struct TextSearch {
    /// Keeps the files of the commit alive.
    searcher: Searcher,
    segments: Vec<Segment>,
    fields: Fields,
    exact: Norms,
    folded: Norms,
    chunks: u32,
}

impl TextReader {
    /// Gives every chunk its ordinal. `chunks` holds the chunk ids in ascending order, and `lengths` the terms of
    /// each in the exact and the folded field.
    pub(in crate::view) fn number(self, chunks: &[i64], lengths: &[(u32, u32)]) -> Result<TextSearch> {
        let mut segments = Vec::with_capacity(self.searcher.segment_readers().len());
        for reader in self.searcher.segment_readers() {
            segments.push(Segment { ordinals: ordinals(reader, chunks)?, reader: reader.clone() });
        }
        Ok(TextSearch {
            segments,
            fields: self.fields,
            searcher: self.searcher,
            exact: Norms::of(lengths.iter().map(|length| length.0)),
            folded: Norms::of(lengths.iter().map(|length| length.1)),
            chunks: u32::try_from(chunks.len()).unwrap_or(GONE),
        })
    }

    /// The chunks whose normalised words hold `words` in this order, next to one another, in no order.
    pub(in crate::view) fn chunks_with(&self, words: &[&str]) -> Result<Vec<i64>> {
        let mut found = Vec::new();
        for reader in self.searcher.segment_readers() {
            let ids = reader.fast_fields().u64("chunk").map_err(text_fault)?;
            for_each_match(&self.searcher, reader, self.fields, words, |document| {
                if !reader.is_deleted(document) {
                    found.extend(ids.first(document).map(u64::cast_signed));
                }
            })?;
        }
        Ok(found)
    }

    /// Every live chunk, in no order.
    pub(in crate::view) fn chunks(&self) -> Result<Vec<i64>> {
        let mut found = Vec::new();
        for reader in self.searcher.segment_readers() {
            let ids = reader.fast_fields().u64("chunk").map_err(text_fault)?;
            found.extend(reader.doc_ids_alive().filter_map(|document| ids.first(document)).map(u64::cast_signed));
        }
        Ok(found)
    }
}

fn ordinals(reader: &SegmentReader, chunks: &[i64]) -> Result<Vec<u32>> {
    let ids = reader.fast_fields().u64("chunk").map_err(text_fault)?;
    let mut ordinals = vec![GONE; reader.max_doc() as usize];
    // Documents were added in ascending order of chunk mostly, so the next one is guessed before it is searched.
    let mut guess = 0;
    for (document, ordinal) in (0..reader.max_doc()).zip(&mut ordinals) {
        if reader.is_deleted(document) {
            continue;
        }
        let Some(id) = ids.first(document).map(u64::cast_signed) else { continue };
        let place = if chunks.get(guess) == Some(&id) { Some(guess) } else { chunks.binary_search(&id).ok() };
        if let Some(place) = place {
            *ordinal = u32::try_from(place).unwrap_or(GONE);
            guess = place + 1;
        }
    }
    Ok(ordinals)
}

/// Calls `found` with every document, deleted ones too, that holds the words next to one another.
fn for_each_match(
    searcher: &Searcher,
    reader: &SegmentReader,
    fields: Fields,
    words: &[&str],
    mut found: impl FnMut(u32),
) -> Result<()> {
    let mut terms: Vec<Term> = words.iter().map(|word| Term::from_field_text(fields.words, word)).collect();
    if terms.len() < 2 {
        let Some(term) = terms.pop() else { return Ok(()) };
        let index = reader.inverted_index(fields.words).map_err(text_fault)?;
        let Some(mut postings) = index.read_postings(&term, IndexRecordOption::Basic).map_err(text_fault)? else {
            return Ok(());
        };
        while postings.doc() != TERMINATED {
            found(postings.doc());
            postings.advance();
        }
        return Ok(());
    }
    let weight = PhraseQuery::new(terms).weight(EnableScoring::disabled_from_searcher(searcher)).map_err(text_fault)?;
    let mut scorer = weight.scorer(reader, 1.0).map_err(text_fault)?;
    while scorer.doc() != TERMINATED {
        found(scorer.doc());
        scorer.advance();
    }
    Ok(())
}

impl TextSearch {
    /// See [`lorekeep_types::Snapshot::lexical`]. A term given twice counts twice.
    pub(in crate::view) fn lexical(&self, field: LexicalField, terms: &[String]) -> Result<Vec<ScoredChunk>> {
        let norms = match field {
            LexicalField::Exact => &self.exact.factors,
            LexicalField::Folded => &self.folded.factors,
        };
        let mut scores = vec![0.0_f32; self.chunks as usize];
        let mut postings = Vec::new();
        for term in terms {
            postings.clear();
            self.for_each_posting(field, term, IndexRecordOption::WithFreqs, |ordinal, count| {
                postings.push((ordinal, count));
            })?;
            let weight = idf(self.chunks, postings.len()) * (K1 + 1.0);
            for (ordinal, count) in &postings {
                let place = *ordinal as usize;
                if let (Some(score), Some(norm)) = (scores.get_mut(place), norms.get(place)) {
                    *score += weight * count / (count + norm);
                }
            }
        }
        let matching = (0..self.chunks).zip(scores).filter(|(_, score)| *score > 0.0);
        Ok(matching.map(|(ordinal, score)| ScoredChunk { ordinal, score }).collect())
    }

    /// See [`lorekeep_types::Snapshot::document_frequency`].
    pub(in crate::view) fn document_frequency(&self, field: LexicalField, term: &str) -> Result<u32> {
        let mut count = 0;
        self.for_each_posting(field, term, IndexRecordOption::Basic, |_, _| count += 1)?;
        Ok(count)
    }

    /// See [`lorekeep_types::Snapshot::phrase_frequency`].
    pub(in crate::view) fn phrase_frequency(&self, words: &[&str]) -> Result<u32> {
        let mut count = 0;
        for segment in &self.segments {
            for_each_match(&self.searcher, &segment.reader, self.fields, words, |document| {
                count += u32::from(segment.ordinal(document) != GONE);
            })?;
        }
        Ok(count)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts within a chunk are far below 2^24")]
    fn for_each_posting(
        &self,
        field: LexicalField,
        term: &str,
        option: IndexRecordOption,
        mut found: impl FnMut(u32, f32),
    ) -> Result<()> {
        let field = match field {
            LexicalField::Exact => self.fields.exact,
            LexicalField::Folded => self.fields.folded,
        };
        let term = Term::from_field_text(field, term);
        for segment in &self.segments {
            let index = segment.reader.inverted_index(field).map_err(text_fault)?;
            let Some(mut postings) = index.read_postings(&term, option).map_err(text_fault)? else { continue };
            while postings.doc() != TERMINATED {
                let ordinal = segment.ordinal(postings.doc());
                if ordinal != GONE {
                    found(ordinal, postings.term_freq() as f32);
                }
                postings.advance();
            }
        }
        Ok(())
    }
}

impl Segment {
    fn ordinal(&self, document: u32) -> u32 {
        self.ordinals.get(document as usize).copied().unwrap_or(GONE)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of counts; the last digits do not matter")]
fn idf(chunks: u32, holding: usize) -> f32 {
    let (all, holding) = (chunks as f32, holding as f32);
    (1.0 + (all - holding + 0.5) / (holding + 0.5)).ln()
}
