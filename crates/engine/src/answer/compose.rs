//! Putting an answer together: numbered quotes with their citations, the entities they rest on, or the statement
//! that nothing answers the question, with the closest passages.

use std::collections::HashSet;
use std::ops::Range;

use lorekeep_text as text;
use lorekeep_types::{
    Answer, AnswerKind, BridgeSentence, Citation, EntityId, EntityRef, Mode, Result, Snapshot, StoredChunk, Usage,
};

use super::places::{Place, Places, ReadDocument};
use super::quote::{Quote, Quotes};
use super::show::shown;
use super::table;

/// Entities named beside an answer.
const MOST_ENTITIES: usize = 8;

/// Names looked up for them; the graph does not know each as an entity.
const MOST_NAMES: usize = 24;

/// What an answer is made of.
pub(super) struct Composer<'a> {
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) document: &'a ReadDocument<'a>,
    pub(super) question: &'a str,
    /// Most sentences.
    pub(super) sentences: usize,
}

impl Composer<'_> {
    /// The quoted answer.
    pub(super) fn quoted(&self, quotes: &Quotes<'_>) -> Result<Answer> {
        let (citations, lines) = self.cite(quotes, true)?;
        let entities = self.entities(&citations)?;
        let confidence = Some(quotes.confidence().to_owned());
        Ok(Answer { citations, entities, confidence, ..empty(AnswerKind::Quoted, lines.join("\n")) })
    }

    /// The statement that nothing answers the question; the citations are the closest sentences, one a passage.
    pub(super) fn abstained(&self, quotes: &Quotes<'_>, narrowed: bool) -> Result<Answer> {
        let mut passages = HashSet::new();
        let closest: Vec<Quote<'_>> =
            quotes.sentences.iter().filter(|quote| passages.insert(quote.chunk.id)).cloned().collect();
        let (citations, _) = self.cite(&Quotes { sentences: closest, ..Quotes::default() }, false)?;
        let statement = nothing(self.snapshot.stats().documents, narrowed);
        Ok(Answer { citations, ..empty(AnswerKind::Abstained, statement) })
    }

    /// Citations in order of score, and each quote as it is shown.
    fn cite(&self, quotes: &Quotes<'_>, join: bool) -> Result<(Vec<Citation>, Vec<String>)> {
        let mut places = Places::new(self.document);
        let mut taken: Vec<Place> = Vec::new();
        let (mut citations, mut lines) = (Vec::new(), Vec::new());
        for quote in &quotes.sentences {
            if citations.len() == self.sentences {
                break;
            }
            let Some(place) = free_place(&mut places, quote, join, &taken)? else { continue };
            let n = u32::try_from(citations.len() + 1).unwrap_or(u32::MAX);
            let columns = table::header(&quote.chunk.chunk.text, &quote.span);
            let columns = columns.map(|header| format!(" ({})", shown(header, 0))).unwrap_or_default();
            lines.push(format!("{}{columns} [{n}]", shown(&place.quote, place.lead)));
            let bridge = bridge(&mut places, quote)?;
            taken.push(place.clone());
            citations.push(citation(n, quote, place, bridge));
        }
        Ok((citations, lines))
    }

    /// Entities that the question or a quote names, in that order.
    fn entities(&self, citations: &[Citation]) -> Result<Vec<EntityRef>> {
        let graph = self.snapshot.phrases();
        let mut keys = text::query_phrases(self.question, |key| graph.find(key).is_some(), |_| false);
        for citation in citations {
            for span in text::capitalised_spans(&citation.quote) {
                keys.push(text::norm(citation.quote.get(span).unwrap_or_default()));
            }
        }
        let mut looked_up = HashSet::new();
        keys.retain(|key| graph.find(key).is_some_and(|phrase| looked_up.insert(phrase)));
        let mut known: HashSet<EntityId> = HashSet::new();
        let mut entities = Vec::new();
        for key in keys.iter().take(MOST_NAMES) {
            if entities.len() == MOST_ENTITIES {
                break;
            }
            if let Some(entity) = self.snapshot.entity_named(key)?.filter(|entity| known.insert(entity.id)) {
                entities.push(EntityRef { name: entity.name, kind: entity.kind });
            }
        }
        Ok(entities)
    }
}

/// Where a quote stands, unless an earlier quote holds it; without its lead if an earlier quote holds that.
fn free_place(places: &mut Places<'_>, quote: &Quote<'_>, join: bool, taken: &[Place]) -> Result<Option<Place>> {
    let is_free = |place: &Place| !taken.iter().any(|other| other.overlaps(place));
    let place = places.find(quote.chunk, &quote.span, join)?;
    if is_free(&place) {
        return Ok(Some(place));
    }
    Ok(Some(places.find(quote.chunk, &quote.span, false)?).filter(is_free))
}

fn bridge(places: &mut Places<'_>, quote: &Quote<'_>) -> Result<Option<BridgeSentence>> {
    let Some(bridge) = &quote.bridge else { return Ok(None) };
    let place = places.find(bridge.chunk, &bridge.span, false)?;
    Ok(Some(BridgeSentence {
        through: spelt(&place.quote, &bridge.through)
            .or_else(|| spelt(quote.text(), &bridge.through))
            .unwrap_or_else(|| bridge.through.clone()),
        document_id: bridge.chunk.document.clone(),
        name: bridge.chunk.document_name.clone(),
        page: place.page,
        span: place.span,
        quote: place.quote,
    }))
}

/// The name with this normal form as the text writes it.
fn spelt(text: &str, key: &str) -> Option<String> {
    let name = |span: Range<usize>| text.get(span).unwrap_or_default();
    let mut spans = text::capitalised_spans(text).into_iter().chain(text::quoted_spans(text));
    spans.find(|span| text::norm(name(span.clone())) == key).map(|span| name(span).to_owned())
}

fn citation(n: u32, quote: &Quote<'_>, place: Place, bridge: Option<BridgeSentence>) -> Citation {
    let chunk: &StoredChunk = quote.chunk;
    Citation {
        n,
        document_id: chunk.document.clone(),
        name: chunk.document_name.clone(),
        version: chunk.version,
        page: place.page,
        span: place.span,
        quote: place.quote,
        score: quote.score,
        bridge,
    }
}

pub(super) fn nothing(documents: u64, narrowed: bool) -> String {
    match documents {
        0 => "There are no documents to answer from yet.".to_owned(),
        _ if narrowed => "Nothing in the documents selected answers this.".to_owned(),
        1 => "Nothing in this document answers this.".to_owned(),
        many => format!("Nothing in these {many} documents answers this."),
    }
}

/// An answer without evidence; mode, time and counts are filled in by whoever measures them.
pub(super) fn empty(kind: AnswerKind, answer: String) -> Answer {
    Answer {
        kind,
        answer,
        citations: Vec::new(),
        entities: Vec::new(),
        mode: Mode::default(),
        confidence: None,
        took_ms: 0.0,
        searched: 0,
        usage: Usage::NONE,
        model: None,
        first_token_ms: None,
        unsupported: Vec::new(),
        sources: Vec::new(),
        web_sources: Vec::new(),
        cached: false,
        notices: Vec::new(),
    }
}
