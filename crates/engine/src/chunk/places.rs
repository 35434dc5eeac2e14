//! From spans to chunks: text, headings, page and token count of each.

use lorekeep_types::{ByteSpan, Heading, NewChunk, PageSpan, ParsedDocument, TokenCounter};

/// The chunks at `spans`, which ascend by start.
pub(super) fn chunks(document: &ParsedDocument, spans: &[ByteSpan], tokens: &dyn TokenCounter) -> Vec<NewChunk> {
    let mut outline = Outline { headings: &document.headings, next: 0, open: Vec::new() };
    (0..)
        .zip(spans)
        .map(|(position, span)| {
            let text = span.of(&document.text).to_owned();
            let (heading_path, headings) = outline.at(*span);
            NewChunk {
                position,
                span: *span,
                heading_path,
                headings,
                page: page(&document.pages, *span),
                tokens: u32::try_from(tokens.count(&text)).unwrap_or(u32::MAX),
                text,
            }
        })
        .collect()
}

/// Walks along the headings as the chunks ascend.
struct Outline<'a> {
    headings: &'a [Heading],
    /// First heading that starts after the last chunk's start.
    next: usize,
    /// Headings whose section covers the last chunk's start, outermost first.
    open: Vec<&'a Heading>,
}

impl Outline<'_> {
    /// Titles above the span's start, and titles of every section that overlaps the span.
    fn at(&mut self, span: ByteSpan) -> (Vec<String>, Vec<String>) {
        while let Some(heading) = self.headings.get(self.next).filter(|heading| heading.start <= span.start) {
            self.open.push(heading);
            self.next += 1;
        }
        self.open.retain(|heading| heading.end > span.start);
        let path: Vec<String> = self.open.iter().map(|heading| heading.title.clone()).collect();
        let inside = self.headings.get(self.next..).unwrap_or_default();
        let inside = inside.iter().take_while(|heading| heading.start < span.end);
        let all = path.iter().cloned().chain(inside.map(|heading| heading.title.clone())).collect();
        (path, all)
    }
}

fn page(pages: &[PageSpan], span: ByteSpan) -> Option<u32> {
    let first = pages.partition_point(|page| page.span.end <= span.start);
    pages.get(first).filter(|page| page.span.start < span.end).map(|page| page.number)
}
