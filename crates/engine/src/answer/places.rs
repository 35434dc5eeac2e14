//! From a sentence of a chunk to its place in the document: whole where the chunk cut it, with the sentence that
//! its pronoun points back to, counted in code points, on its page.

use std::collections::HashMap;
use std::ops::Range;

use lorekeep_text as text;
use lorekeep_types::{CharSpan, DocumentId, DocumentText, Result, StoredChunk};

/// Bytes of the document looked at on each side of a chunk.
const REACH: usize = 1_500;

/// Reads the text of a document's current version; `None` when it is not at hand.
pub type ReadDocument<'a> = dyn Fn(&DocumentId) -> Result<Option<DocumentText>> + 'a;

/// A sentence where it stands in its document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// The version's row and the bytes of its text.
    pub(super) version: i64,
    pub(super) bytes: Range<usize>,
    pub(super) span: CharSpan,
    pub(super) page: Option<u32>,
    /// Exactly the text at `span`.
    pub(super) quote: String,
    /// Bytes of `quote` that belong to a sentence put before the chosen one.
    pub(super) lead: usize,
}

impl Place {
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.version == other.version && self.bytes.start < other.bytes.end && other.bytes.start < self.bytes.end
    }
}

/// Finds places; reads each document at most once, and only where its chunk does not tell enough.
pub(super) struct Places<'a> {
    read: &'a ReadDocument<'a>,
    documents: HashMap<i64, Option<DocumentText>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(read: &'a ReadDocument<'a>) -> Self {
        Self { read, documents: HashMap::new() }
    }

    /// The place of the sentence at `span` of the chunk's text. With `join`, a sentence that begins with a pronoun
    /// takes the one before it along.
    pub(super) fn find(&mut self, chunk: &StoredChunk, span: &Range<usize>, join: bool) -> Result<Place> {
        let start = chunk.chunk.span.start;
        let document = if tells_enough(chunk, span, join) { None } else { self.document(chunk)? };
        let window = document.map_or_else(|| Window::of_chunk(chunk), |document| Window::around(chunk, document));
        let chosen = window.whole(start + span.start..start + span.end);
        let lead = if join { window.lead(&chosen) } else { None };
        let bytes = lead.unwrap_or(chosen.start)..chosen.end;
        let pages = document.map(|document| document.pages.as_slice()).unwrap_or_default();
        let page = pages.get(pages.partition_point(|page| page.span.end <= bytes.start));
        Ok(Place {
            version: chunk.version_id.0,
            span: window.characters(&bytes),
            page: page.map(|page| page.number).or(chunk.chunk.page),
            quote: window.text_at(&bytes).to_owned(),
            lead: chosen.start - bytes.start,
            bytes,
        })
    }

    fn document(&mut self, chunk: &StoredChunk) -> Result<Option<&DocumentText>> {
        let version = chunk.version_id.0;
        if !self.documents.contains_key(&version) {
            let is_cited = |document: &DocumentText| {
                document.version == chunk.version && chunk.chunk.span.of(&document.text) == chunk.chunk.text
            };
            let read = (self.read)(&chunk.document)?.filter(is_cited);
            self.documents.insert(version, read);
        }
        Ok(self.documents.get(&version).and_then(Option::as_ref))
    }
}

/// Whether the chunk alone gives sentence and page: it cuts nothing off, and begins on the sentence's page.
fn tells_enough(chunk: &StoredChunk, span: &Range<usize>, join: bool) -> bool {
    let whole = chunk.chunk.text.as_str();
    let sentence = whole.get(span.clone()).unwrap_or_default();
    let first = whole.get(..span.start).is_none_or(|before| before.trim().is_empty());
    let last = whole.get(span.end..).is_none_or(|after| after.trim().is_empty());
    let cut_front = first && chunk.chunk.position > 0 && sentence.starts_with(char::is_lowercase);
    let cut_back = last && !has_end(sentence);
    let points_back = join && first && chunk.chunk.position > 0 && text::begins_with_pronoun(sentence);
    let same_page = chunk.chunk.page.is_none() || first;
    same_page && !cut_front && !cut_back && !points_back
}

/// Whether a sentence ends with a mark, apart from closing marks and citations.
fn has_end(sentence: &str) -> bool {
    let own = text::without_citations(sentence);
    let own = own.trim_end_matches(|c: char| c.is_whitespace() || "\"'”’»)]}」』）】》›".contains(c));
    own.ends_with(|c: char| ".!?…؟۔。！？｡।॥።។".contains(c))
}

/// A stretch of a document's text; offsets are the document's.
struct Window<'a> {
    text: &'a str,
    /// Bytes of the document before it.
    start: usize,
    /// Code points of the document before it.
    characters: usize,
    /// Whether its ends may lie inside a sentence of the document that the chunk cut.
    sees_around: bool,
}

impl<'a> Window<'a> {
    fn of_chunk(chunk: &'a StoredChunk) -> Self {
        Self {
            text: &chunk.chunk.text,
            start: chunk.chunk.span.start,
            characters: chunk.char_start,
            sees_around: false,
        }
    }

    fn around(chunk: &StoredChunk, document: &'a DocumentText) -> Self {
        let span = chunk.chunk.span;
        let start = document.text.floor_char_boundary(span.start.saturating_sub(REACH));
        let end = document.text.ceil_char_boundary(span.end.saturating_add(REACH));
        let before = document.text.get(start..span.start).map_or(0, |before| before.chars().count());
        Self {
            text: document.text.get(start..end).unwrap_or_default(),
            start,
            characters: chunk.char_start.saturating_sub(before),
            sees_around: true,
        }
    }

    fn text_at(&self, bytes: &Range<usize>) -> &'a str {
        self.text.get(bytes.start - self.start..bytes.end - self.start).unwrap_or_default()
    }

    fn sentences(&self) -> impl Iterator<Item = Range<usize>> {
        text::sentences(self.text).into_iter().map(|span| span.start + self.start..span.end + self.start)
    }

    /// The chosen sentence, longer by what its chunk cut off.
    fn whole(&self, chosen: Range<usize>) -> Range<usize> {
        if !self.sees_around {
            return chosen;
        }
        let around = self.sentences().find(|span| span.start <= chosen.start && chosen.end <= span.end);
        around
            .filter(|span| span.start > self.start || self.start == 0)
            .filter(|span| span.len() <= chosen.len() + REACH && !self.text_at(span).contains('\n'))
            .unwrap_or(chosen)
    }

    /// Where the sentence before the chosen one begins, if the chosen one points back to it.
    fn lead(&self, chosen: &Range<usize>) -> Option<usize> {
        if !text::begins_with_pronoun(self.text_at(chosen)) {
            return None;
        }
        let before = self.sentences().take_while(|span| span.end <= chosen.start).last()?;
        let between = self.text_at(&(before.end..chosen.start));
        let joined = between.trim().is_empty() && has_end(self.text_at(&before)) && before.len() <= REACH;
        joined.then_some(before.start)
    }

    fn characters(&self, bytes: &Range<usize>) -> CharSpan {
        let start = self.characters + self.text_at(&(self.start..bytes.start)).chars().count();
        CharSpan { start, end: start + self.text_at(bytes).chars().count() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use lorekeep_types::{ByteSpan, ChunkId, Metadata, NewChunk, PageSpan, VersionId};

    pub(crate) const TEXT: &str = "Zoë Lind ran the mill. She sold it in 1923 to Åke.\n\nThe mill burned down in 1931.";

    pub(crate) fn chunk(span: ByteSpan, position: u32, page: Option<u32>) -> StoredChunk {
        StoredChunk {
            id: ChunkId(1),
            document: DocumentId::of_source("mill"),
            document_name: "mill.txt".to_owned(),
            document_title: "mill".to_owned(),
            version_id: VersionId(1),
            version: 1,
            metadata: Metadata::default(),
            char_start: TEXT[..span.start].chars().count(),
            chunk: NewChunk { position, span, text: span.of(TEXT).to_owned(), page, ..NewChunk::default() },
        }
    }

    fn document(pages: Vec<PageSpan>) -> DocumentText {
        DocumentText { version: 1, text: TEXT.to_owned(), pages, headings: Vec::new() }
    }

    fn at_characters(span: CharSpan) -> String {
        TEXT.chars().skip(span.start).take(span.end - span.start).collect()
    }

    fn find(chunk: &StoredChunk, span: Range<usize>, read: &ReadDocument<'_>) -> Place {
        let place = Places::new(read).find(chunk, &span, true).unwrap();
        assert_eq!(place.quote, at_characters(place.span));
        place
    }

    #[test]
    fn a_pronoun_takes_the_sentence_before_along() {
        let whole = chunk(ByteSpan::new(0, TEXT.len()), 0, None);
        let start = TEXT.find("She").unwrap();
        let end = TEXT.find("\n\n").unwrap();
        let place = find(&whole, start..end, &|_| Ok(None));
        assert_eq!(place.quote, "Zoë Lind ran the mill. She sold it in 1923 to Åke.");
        assert_eq!(place.lead, start);
        let burned = TEXT.find("The mill").unwrap();
        assert_eq!(find(&whole, burned..TEXT.len(), &|_| Ok(None)).lead, 0);
    }

    #[test]
    fn what_the_chunk_cut_is_read_from_the_document() {
        let cut = TEXT.find("sold").unwrap();
        let end = TEXT.find("\n\n").unwrap();
        let second = chunk(ByteSpan::new(cut, TEXT.len()), 1, None);
        let place = find(&second, 0..end - cut, &|_| Ok(Some(document(Vec::new()))));
        assert_eq!(place.quote, "Zoë Lind ran the mill. She sold it in 1923 to Åke.");
        let alone = find(&second, 0..end - cut, &|_| Ok(None));
        assert_eq!(alone.quote, "sold it in 1923 to Åke.");
        let other = DocumentText { text: TEXT.replace('m', "n"), ..document(Vec::new()) };
        assert_eq!(find(&second, 0..end - cut, &|_| Ok(Some(other.clone()))), alone);
    }

    #[test]
    fn the_page_is_that_of_the_sentence() {
        let second = TEXT.find("The mill burned").unwrap();
        let pages = vec![
            PageSpan { number: 4, span: ByteSpan::new(0, second) },
            PageSpan { number: 5, span: ByteSpan::new(second, TEXT.len()) },
        ];
        let whole = chunk(ByteSpan::new(0, TEXT.len()), 0, Some(4));
        let place = find(&whole, second..TEXT.len(), &|_| Ok(Some(document(pages.clone()))));
        assert_eq!(place.page, Some(5));
        assert_eq!(find(&whole, second..TEXT.len(), &|_| Ok(None)).page, Some(4));
    }
}
