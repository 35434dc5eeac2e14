//! Markdown to readable text: headings, paragraphs, lists, tables and code, without the markup. Front matter
//! is metadata.

use lorekeep_types::{Metadata, ParsedDocument};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::clean;
use crate::dates;
use crate::draft::Draft;
use crate::error::Result;
use crate::readers::{NO_TEXT, Source, html};

/// Time is checked every this many events.
const CHECK_EVERY: usize = 4_096;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let decoded = source.decode();
    let mut draft = Draft::new(source.watch);
    for warning in decoded.warnings {
        draft.warn(warning);
    }
    write(&mut draft, &decoded.text, source)?;
    draft.finish(NO_TEXT)
}

/// Writes Markdown into `draft`.
pub(crate) fn write(draft: &mut Draft<'_>, text: &str, source: &Source<'_>) -> Result<()> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let body = text.trim_start_matches('\u{feff}');
    let body = front_matter(body, &mut draft.metadata);
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_FOOTNOTES;
    let mut flow = Flow::new(draft, source);
    for (count, event) in Parser::new_ext(body, options).enumerate() {
        if count.is_multiple_of(CHECK_EVERY) {
            source.watch.check()?;
        }
        flow.event(event)?;
    }
    flow.flush();
    flow.draft.end_lines();
    Ok(())
}

/// Takes a YAML front matter (`---` … `---`) off the start and reads the fields it needs.
fn front_matter<'a>(text: &'a str, metadata: &mut Metadata) -> &'a str {
    let Some(rest) = text.strip_prefix("---\n") else { return text };
    let Some(end) = rest.find("\n---\n").or_else(|| rest.strip_suffix("\n---").map(str::len)) else { return text };
    let (fields, body) = rest.split_at(end);
    if !fields.lines().all(|line| line.is_empty() || line.contains(':') || line.starts_with([' ', '-', '#', '\t'])) {
        return text;
    }
    for line in fields.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim().trim_matches(['"', '\'']).trim_matches(['[', ']']).to_owned();
        if value.is_empty() {
            continue;
        }
        match key.trim().to_ascii_lowercase().as_str() {
            "title" => metadata.title = Some(value),
            "author" | "authors" => metadata.author = Some(value),
            "date" => metadata.date = dates::iso_date(&value),
            "lang" | "language" => metadata.language = Some(value),
            _ => {}
        }
    }
    body.strip_prefix("\n---").unwrap_or(body)
}

struct Flow<'d, 'w> {
    draft: &'d mut Draft<'w>,
    source: &'d Source<'d>,
    text: String,
    heading: Option<u8>,
    /// The next number of each open list, when it is ordered.
    lists: Vec<Option<u64>>,
    marker: Option<String>,
    /// Code or markup being collected.
    raw: Option<String>,
    table: Vec<Vec<String>>,
    row: Vec<String>,
}

impl<'d, 'w> Flow<'d, 'w> {
    const fn new(draft: &'d mut Draft<'w>, source: &'d Source<'d>) -> Self {
        Self {
            draft,
            source,
            text: String::new(),
            heading: None,
            lists: Vec::new(),
            marker: None,
            raw: None,
            table: Vec::new(),
            row: Vec::new(),
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag)?,
            Event::Text(text) | Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.push(&text);
            }
            Event::Html(markup) => self.push(&markup),
            Event::InlineHtml(markup) => {
                if markup.to_ascii_lowercase().starts_with("<br") {
                    self.push("\n");
                }
            }
            Event::FootnoteReference(name) => self.push(&format!("[{name}]")),
            Event::SoftBreak => self.push(" "),
            Event::HardBreak => self.push("\n"),
            Event::Rule => self.flush(),
            Event::TaskListMarker(done) => self.push(if done { "[x] " } else { "[ ] " }),
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        match &mut self.raw {
            Some(raw) => raw.push_str(text),
            None => self.text.push_str(text),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.flush();
                self.heading = Some(*level as u8);
            }
            Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::MetadataBlock(_) => {
                self.flush();
                self.raw = Some(String::new());
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(*first);
            }
            Tag::Item => {
                self.flush();
                self.marker = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let marker = format!("{number}. ");
                        *number = number.saturating_add(1);
                        marker
                    }
                    _ => "- ".to_owned(),
                });
            }
            Tag::FootnoteDefinition(name) => {
                self.flush();
                self.text = format!("[{name}] ");
            }
            Tag::Paragraph if self.text.starts_with('[') => {}
            Tag::Paragraph | Tag::BlockQuote(_) | Tag::Table(_) => self.flush(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) -> Result<()> {
        match tag {
            TagEnd::Heading(_) => {
                self.flush();
                self.heading = None;
            }
            TagEnd::CodeBlock => {
                let code = self.raw.take().unwrap_or_default();
                self.draft.verbatim(&code);
            }
            TagEnd::HtmlBlock => {
                let markup = self.raw.take().unwrap_or_default();
                html::write(self.draft, &markup, self.source, false)?;
            }
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
                if self.lists.is_empty() {
                    self.draft.end_lines();
                }
            }
            TagEnd::TableCell => self.row.push(std::mem::take(&mut self.text)),
            TagEnd::TableHead | TagEnd::TableRow => self.table.push(std::mem::take(&mut self.row)),
            TagEnd::Table => self.draft.table(&std::mem::take(&mut self.table)),
            TagEnd::Paragraph | TagEnd::Item | TagEnd::BlockQuote(_) | TagEnd::FootnoteDefinition => self.flush(),
            _ => {}
        }
        Ok(())
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        if text.trim().is_empty() {
            return;
        }
        if let Some(level) = self.heading {
            if level == 1 {
                self.draft.metadata.title.get_or_insert_with(|| text.clone());
            }
            self.draft.heading(level, &text);
        } else if self.lists.is_empty() {
            self.draft.paragraph(&text);
        } else {
            let indent = self.lists.len() - 1;
            match self.marker.take() {
                Some(marker) => self.draft.line(indent, &format!("{marker}{}", clean::lines(&text))),
                None => self.draft.line(indent + 1, &text),
            }
        }
    }
}
