//! The document under construction. Keeps the promises of [`ParsedDocument`] whatever a reader hands in:
//! clean text, one blank line between paragraphs, headings, blocks and pages in order and inside the text.
//!
//! Readers decide what the parts are; this module decides how they are written.

use lorekeep_types::{ByteSpan, Heading, Metadata, PageSpan, ParsedDocument};

use crate::clean;
use crate::error::{ParseError, Result};
use crate::language;
use crate::limits::Watch;

/// At most this many warnings are kept; the rest is counted in a last one.
const MAX_WARNINGS: usize = 20;

/// A document under construction.
pub(crate) struct Draft<'w> {
    watch: &'w Watch<'w>,
    text: String,
    characters: usize,
    overflow: bool,
    pages: Vec<(u32, usize)>,
    pending_page: Option<u32>,
    headings: Vec<(String, u8, usize)>,
    blocks: Vec<ByteSpan>,
    open_line: bool,
    pub(crate) metadata: Metadata,
    warnings: Vec<String>,
    more_warnings: usize,
}

impl<'w> Draft<'w> {
    pub(crate) fn new(watch: &'w Watch<'w>) -> Self {
        Self {
            watch,
            text: String::new(),
            characters: 0,
            overflow: false,
            pages: Vec::new(),
            pending_page: None,
            headings: Vec::new(),
            blocks: Vec::new(),
            open_line: false,
            metadata: Metadata::default(),
            warnings: Vec::new(),
            more_warnings: 0,
        }
    }

    /// Whether no text was written yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Notes something that was left out, shortened or guessed. Repeats are dropped.
    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if self.warnings.contains(&warning) {
            return;
        }
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.more_warnings += 1;
        }
    }

    /// What follows lies on page `number`.
    pub(crate) fn page(&mut self, number: u32) {
        self.flush_page();
        self.pending_page = Some(number);
    }

    /// A heading. Ignored when it holds no words; level is at least 1.
    pub(crate) fn heading(&mut self, level: u8, title: &str) {
        let title = clean::one_line(title);
        if title.is_empty() {
            return;
        }
        let start = self.begin_paragraph();
        self.write(&title);
        self.open_line = false;
        self.headings.push((title, level.clamp(1, 9), start));
    }

    /// A paragraph; white space is collapsed, line breaks inside it are kept.
    pub(crate) fn paragraph(&mut self, text: &str) {
        let text = clean::lines(text);
        if text.is_empty() {
            return;
        }
        self.begin_paragraph();
        self.write(&text);
        self.open_line = false;
    }

    /// A line of its own that belongs to the lines around it: a list item, a record's field.
    /// `indent` steps of two spaces come first.
    pub(crate) fn line(&mut self, indent: usize, text: &str) {
        let text = clean::lines(text);
        if text.is_empty() {
            return;
        }
        if self.open_line && self.pending_page.is_none() {
            self.write("\n");
        } else {
            self.begin_paragraph();
        }
        let text = format!("{}{text}", "  ".repeat(indent.min(8)));
        self.write(&text);
        self.open_line = true;
    }

    /// As [`Draft::line`], and the line should stay whole.
    pub(crate) fn record(&mut self, text: &str) {
        let text = clean::one_line(text);
        if text.is_empty() {
            return;
        }
        self.line(0, &text);
        let start = self.text.rfind('\n').map_or(0, |at| at + 1);
        self.push_block(start);
    }

    /// Ends a run of [`Draft::line`]s: the next one starts a paragraph.
    pub(crate) const fn end_lines(&mut self) {
        self.open_line = false;
    }

    /// Continues the last paragraph with `text`, for a sentence that runs over a page break.
    /// `joint` is what separates the two.
    pub(crate) fn continue_paragraph(&mut self, joint: &str, text: &str) {
        let text = clean::lines(text);
        if self.text.is_empty() || text.is_empty() {
            return self.paragraph(&text);
        }
        self.write(joint);
        self.flush_page();
        self.write(&text);
    }

    /// Takes a hyphen off the end of the text, for a word that runs over a page break.
    pub(crate) fn drop_last_char(&mut self) {
        self.text.pop();
        for (_, start) in &mut self.pages {
            *start = (*start).min(self.text.len());
        }
    }

    /// The last paragraph so far.
    pub(crate) fn last_paragraph(&self) -> &str {
        self.text.rsplit("\n\n").next().unwrap_or_default()
    }

    /// Whether the last thing written was a heading.
    pub(crate) fn ends_with_heading(&self) -> bool {
        self.headings.last().is_some_and(|(title, _, start)| start + title.len() == self.text.len())
    }

    /// Lines kept as they are (code, preformatted text), as one block.
    pub(crate) fn verbatim(&mut self, text: &str) {
        let text = clean::verbatim(text);
        if text.is_empty() {
            return;
        }
        let start = self.begin_paragraph();
        self.write(&text);
        self.open_line = false;
        self.push_block(start);
    }

    /// Text kept as it is, without being one block; blank lines separate its paragraphs.
    /// Gives the offset at which it starts.
    pub(crate) fn body(&mut self, text: &str) -> usize {
        let text = clean::verbatim(text);
        if text.is_empty() {
            return self.text.len();
        }
        let start = self.begin_paragraph();
        self.write(&text);
        self.open_line = false;
        start
    }

    /// Declares the line that starts at `start` (inside text written by [`Draft::body`]) a heading.
    pub(crate) fn mark_heading(&mut self, level: u8, title: &str, start: usize) {
        let title = clean::one_line(title);
        if !title.is_empty() && self.text.is_char_boundary(start) && start < self.text.len() {
            self.headings.push((title, level.clamp(1, 9), start));
        }
    }

    /// A table, one `a | b | c` line per row, as one block. Rows without words are dropped.
    pub(crate) fn table<S: AsRef<str>>(&mut self, rows: &[Vec<S>]) {
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| clean::one_line(cell.as_ref())).collect();
            let last = cells.iter().rposition(|cell| !cell.is_empty());
            if let Some(last) = last {
                lines.push(cells[..=last].join(" | "));
            }
        }
        if lines.is_empty() {
            return;
        }
        let start = self.begin_paragraph();
        self.write(lines.join("\n").trim_end());
        self.open_line = false;
        self.push_block(start);
    }

    /// Appends a finished document below the last heading: its headings move `levels` down, its pages and
    /// metadata are dropped.
    pub(crate) fn append(&mut self, document: ParsedDocument, levels: u8) {
        let start = self.begin_paragraph();
        self.write(&document.text);
        self.open_line = false;
        if self.overflow {
            return;
        }
        for heading in document.headings {
            let level = heading.level.saturating_add(levels).min(9);
            self.headings.push((heading.title, level, start + heading.start));
        }
        let moved = document.blocks.iter().map(|block| ByteSpan::new(start + block.start, start + block.end));
        self.blocks.extend(moved);
        for warning in document.warnings {
            self.warn(warning);
        }
    }

    /// The text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Ends the document.
    ///
    /// # Errors
    /// Too much text; no text (`empty` says so in the format's words).
    pub(crate) fn finish(mut self, empty: &'static str) -> Result<ParsedDocument> {
        if self.overflow {
            return Err(self.watch.too_much_text());
        }
        if self.text.trim().is_empty() {
            return Err(ParseError::Empty { what: empty });
        }
        self.watch.characters(self.characters)?;
        self.flush_page();
        if self.more_warnings > 0 {
            self.warnings.push(format!("{} more warnings were left out", self.more_warnings));
        }
        let mut metadata = clean_metadata(self.metadata);
        if metadata.language.is_none() {
            metadata.language = language::detect(&self.text).map(str::to_owned);
        }
        Ok(ParsedDocument {
            pages: page_spans(&self.pages, self.text.len()),
            headings: sections(self.headings, self.text.len()),
            blocks: self.blocks,
            passages: Vec::new(),
            metadata,
            warnings: self.warnings,
            text: self.text,
        })
    }

    fn begin_paragraph(&mut self) -> usize {
        if !self.text.is_empty() {
            self.write("\n\n");
        }
        self.flush_page();
        self.text.len()
    }

    fn flush_page(&mut self) {
        if let Some(number) = self.pending_page.take() {
            self.pages.push((number, self.text.len()));
        }
    }

    fn push_block(&mut self, start: usize) {
        let end = self.text.len();
        if start < end && self.blocks.last().is_none_or(|last| last.end <= start) {
            self.blocks.push(ByteSpan::new(start, end));
        }
    }

    /// Appends, or notes the overflow: once over the limit nothing is written any more.
    fn write(&mut self, text: &str) {
        let more = text.chars().count();
        if self.overflow || self.characters + more > self.watch.limits.characters {
            self.overflow = true;
            return;
        }
        self.characters += more;
        self.text.push_str(text);
    }
}

fn clean_metadata(metadata: Metadata) -> Metadata {
    let tidy = |value: Option<String>| {
        value
            .map(|value| clean::one_line(&value).chars().take(500).collect::<String>())
            .filter(|value| !value.is_empty())
    };
    Metadata {
        title: tidy(metadata.title),
        author: tidy(metadata.author),
        date: metadata.date,
        language: metadata.language.as_deref().and_then(language::declared),
    }
}

/// Pages cover the text without gaps: each reaches to the start of the next.
fn page_spans(starts: &[(u32, usize)], len: usize) -> Vec<PageSpan> {
    let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([len]);
    starts
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(index, ((number, start), end))| {
            let start = if index == 0 { 0 } else { *start };
            PageSpan { number: *number, span: ByteSpan::new(start, end) }
        })
        .collect()
}

/// A section ends where a heading of the same or a smaller level starts.
fn sections(mut marks: Vec<(String, u8, usize)>, len: usize) -> Vec<Heading> {
    marks.sort_by_key(|(_, _, start)| *start);
    let mut headings: Vec<Heading> = Vec::with_capacity(marks.len());
    let mut open: Vec<usize> = Vec::new();
    for (title, level, start) in marks {
        while let Some(&last) = open.last() {
            if headings[last].level < level {
                break;
            }
            headings[last].end = start;
            open.pop();
        }
        open.push(headings.len());
        headings.push(Heading { title, level, start, end: len });
    }
    headings
}
