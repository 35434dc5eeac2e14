//! Cutting the best passages into candidate sentences, each with the title that governs it.

use std::ops::Range;

use lorekeep_text as text;
use lorekeep_types::{Evidence, Reason, Snapshot, StoredChunk};

use super::question::{Question, TermSet};
use super::table;
use super::vocabulary::Vocabulary;

/// Passages whose sentences are considered.
pub(super) const MOST_PASSAGES: usize = 8;

/// Sentences considered in one passage; chunks are far smaller.
const MOST_SENTENCES: usize = 400;

/// A longer "sentence" of several lines is a list: its lines count one by one, as the rows of a table always do.
const LONGEST_BLOCK: usize = 600;

/// Longer lines are no headings.
const LONGEST_HEADING: usize = 200;

/// A passage under consideration.
pub(super) struct Passage<'a> {
    pub(super) chunk: &'a StoredChunk,
    /// Its ordinal in the snapshot.
    pub(super) ordinal: Option<u32>,
    /// Score relative to the best passage.
    pub(super) score: f32,
}

/// What a stretch of a passage is about: the document's title and the heading above.
pub(super) struct Title {
    /// Both, as text.
    pub(super) text: String,
    /// Normal form of the narrower one.
    pub(super) key: String,
    pub(super) exact: TermSet,
    pub(super) soft: TermSet,
}

/// A sentence that may be quoted.
pub(super) struct Sentence {
    /// Index of its passage.
    pub(super) passage: usize,
    /// Bytes of the chunk's text.
    pub(super) span: Range<usize>,
    /// Its place in the passage or under its heading, from 0.
    pub(super) place: usize,
    /// Index of its title.
    pub(super) title: usize,
    /// Its words, normalised, with a space at both ends; citation marks left out.
    pub(super) normal: String,
    /// Its distinct words.
    pub(super) words: Vec<u32>,
    /// Terms of the question in the sentence alone.
    pub(super) exact: TermSet,
    /// The same, forms of words included.
    pub(super) soft: TermSet,
}

/// Everything that may be quoted.
pub(super) struct Candidates<'a, 'q> {
    pub(super) passages: Vec<Passage<'a>>,
    pub(super) titles: Vec<Title>,
    pub(super) sentences: Vec<Sentence>,
    pub(super) vocabulary: Vocabulary<'q>,
}

impl<'a, 'q> Candidates<'a, 'q> {
    /// The sentences of the best passages, in order of retrieval.
    pub(super) fn read(snapshot: &dyn Snapshot, question: &'q Question, evidence: &'a [Evidence]) -> Self {
        let mut candidates = Self {
            passages: passages(snapshot, evidence),
            titles: Vec::new(),
            sentences: Vec::new(),
            vocabulary: Vocabulary::new(question),
        };
        for passage in 0..candidates.passages.len() {
            candidates.cut(passage);
        }
        candidates
    }

    /// The sentence as the document writes it.
    pub(super) fn text_of(&self, sentence: &Sentence) -> &'a str {
        let chunk = self.passages.get(sentence.passage).map(|passage| passage.chunk);
        chunk.and_then(|chunk| chunk.chunk.text.get(sentence.span.clone())).unwrap_or_default()
    }

    pub(super) fn title_of(&self, sentence: &Sentence) -> Option<&Title> {
        self.titles.get(sentence.title)
    }

    fn cut(&mut self, passage: usize) {
        let Some(chunk) = self.passages.get(passage).map(|passage| passage.chunk) else { return };
        for section in sections(chunk) {
            self.titles.push(title(chunk, section.heading, &mut self.vocabulary));
            let text = chunk.chunk.text.as_str();
            // The first row of a table says nothing of its own: it belongs to each of the others.
            let spans = pieces(text, section.span).into_iter().filter(|span| !table::is_header(text, span));
            for (place, span) in spans.take(MOST_SENTENCES).enumerate() {
                self.add(passage, place, span, chunk.chunk.text.as_str());
            }
        }
    }

    fn add(&mut self, passage: usize, place: usize, span: Range<usize>, text: &str) {
        let columns = table::header(text, &span).map(text::norm).unwrap_or_default();
        let columns = self.vocabulary.read(&columns);
        let own = text::without_citations(text.get(span.clone()).unwrap_or_default());
        let normal = text::norm(&own);
        let words = self.vocabulary.read(&normal);
        let union =
            |sets: (TermSet, TermSet), word: &super::vocabulary::Word| (sets.0 | word.exact, sets.1 | word.soft);
        let (exact, soft) = self.vocabulary.words(&words).chain(self.vocabulary.words(&columns)).fold((0, 0), union);
        let title = self.titles.len().saturating_sub(1);
        self.sentences.push(Sentence {
            passage,
            span,
            place,
            title,
            normal: format!(" {normal} "),
            words,
            exact,
            soft,
        });
    }
}

fn passages<'a>(snapshot: &dyn Snapshot, evidence: &'a [Evidence]) -> Vec<Passage<'a>> {
    let found = evidence.iter().filter(|one| !one.reasons.contains(&Reason::Neighbour)).take(MOST_PASSAGES);
    let best = found.clone().map(|one| one.score).fold(f32::MIN_POSITIVE, f32::max);
    found
        .map(|one| Passage {
            chunk: &one.chunk,
            ordinal: snapshot.ordinal(one.chunk.id),
            score: (one.score / best).clamp(0.0, 1.0),
        })
        .collect()
}

fn title(chunk: &StoredChunk, heading: Option<&str>, vocabulary: &mut Vocabulary<'_>) -> Title {
    let document = chunk.document_title.as_str();
    let text = match heading {
        Some(heading) if heading != document => format!("{document} {heading}"),
        _ => document.to_owned(),
    };
    let words = vocabulary.read(&text::norm(&text));
    let (exact, soft) = vocabulary
        .words(&words)
        .fold((0, 0), |sets: (TermSet, TermSet), word| (sets.0 | word.exact, sets.1 | word.soft));
    Title { key: text::norm(text::base_title(heading.unwrap_or(document))), text, exact, soft }
}

/// A stretch of a chunk under one heading, without the line of the heading.
struct Section<'a> {
    heading: Option<&'a str>,
    span: Range<usize>,
}

/// The sections of a chunk. A heading's line is known by its words; lines that repeat the document's title are
/// headings too.
fn sections(chunk: &StoredChunk) -> Vec<Section<'_>> {
    let text = chunk.chunk.text.as_str();
    let governing = chunk.chunk.heading_path.last().map(String::as_str);
    let mut known: Vec<(String, Option<&str>)> =
        chunk.chunk.headings.iter().map(|heading| (text::norm(heading), Some(heading.as_str()))).collect();
    known.push((text::norm(&chunk.document_title), governing));
    let mut sections = vec![Section { heading: governing, span: 0..text.len() }];
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let normal = if line.len() <= LONGEST_HEADING { text::norm(line) } else { String::new() };
        if let Some((_, heading)) = known.iter().find(|(key, _)| *key == normal && !key.is_empty()) {
            if let Some(last) = sections.last_mut() {
                last.span.end = start;
            }
            sections.push(Section { heading: *heading, span: end..text.len() });
        }
        start = end;
    }
    sections
}

/// The sentences of a section as byte ranges of the chunk's text.
fn pieces(text: &str, section: Range<usize>) -> Vec<Range<usize>> {
    let inside = text.get(section.clone()).unwrap_or_default();
    let mut pieces = Vec::new();
    for span in text::sentences(inside) {
        let sentence = inside.get(span.clone()).unwrap_or_default();
        let start = section.start + span.start;
        let long = sentence.len() > LONGEST_BLOCK && sentence.contains('\n');
        match if long { Some(lines(sentence).collect()) } else { table::rows(sentence) } {
            Some(lines) => pieces.extend(lines.into_iter().map(|line| start + line.start..start + line.end)),
            None => pieces.push(start..section.start + span.end),
        }
    }
    pieces
}

/// The lines of a block that hold anything, without white space around them.
pub(super) fn lines(block: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    block.split_inclusive('\n').filter_map(move |line| {
        let from = start + line.len() - line.trim_start().len();
        start += line.len();
        (!line.trim().is_empty()).then(|| from..from + line.trim().len())
    })
}
