//! XML data as readable lines: `element: text`, attributes as `name = value`. Text with markup inside stays
//! one sentence.

use lorekeep_types::ParsedDocument;

use crate::clean;
use crate::detect::find;
use crate::draft::Draft;
use crate::error::Result;
use crate::readers::{NO_TEXT, Source, html, text};
use crate::xml::{Element, Node, Xml, decode};

/// Text longer than this is prose: a paragraph without its element's name.
const LONG_TEXT: usize = 200;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let head = &source.bytes[..source.bytes.len().min(1024)];
    if find(head, b"http://www.w3.org/1999/xhtml").is_some() {
        return html::read(source);
    }
    let body = decode(source.bytes);
    let mut draft = Draft::new(source.watch);
    let mut reader = Data::default();
    let mut xml = Xml::new(&body, source.watch);
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(element) => reader.open(&element, &mut draft),
            Node::Close(_) => reader.close(&mut draft),
            Node::Text(text) => reader.text(&text),
        }
    }
    reader.flush(&mut draft);
    if let Some(reason) = xml.damage() {
        if draft.is_empty() {
            let mut document = text::read(source)?;
            document.warnings.push(format!("the file is not well-formed XML ({reason}); it was read as plain text"));
            return Ok(document);
        }
        draft.warn(format!("the XML is damaged ({reason}); what stands before was kept"));
    }
    draft.finish(NO_TEXT)
}

/// Open elements and the text of the innermost one that has any.
#[derive(Default)]
struct Data {
    open: Vec<(String, bool)>,
    text: String,
}

impl Data {
    fn open(&mut self, element: &Element<'_>, draft: &mut Draft<'_>) {
        let name = element.name();
        // An element after text in the same parent is markup within a sentence.
        let inline = !self.text.trim().is_empty();
        if !inline {
            self.text.clear();
            let attributes: Vec<String> = element
                .attributes()
                .filter(|(_, value)| !value.trim().is_empty())
                .map(|(name, value)| format!("{name} = {}", clean::one_line(&value)))
                .collect();
            if !attributes.is_empty() {
                draft.line(0, &format!("{name}: {}", attributes.join("; ")));
            }
        }
        self.open.push((name, inline));
    }

    fn close(&mut self, draft: &mut Draft<'_>) {
        if self.open.last().is_some_and(|(_, inline)| !inline) {
            let leaf = !self.text.trim().is_empty();
            self.flush(draft);
            if !leaf {
                // The end of a container separates records.
                draft.end_lines();
            }
        }
        self.open.pop();
    }

    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn flush(&mut self, draft: &mut Draft<'_>) {
        let text = clean::one_line(&std::mem::take(&mut self.text));
        if text.is_empty() {
            return;
        }
        let name = self.open.last().map(|(name, _)| name.as_str()).unwrap_or_default();
        if name.eq_ignore_ascii_case("title") && draft.metadata.title.is_none() {
            draft.metadata.title = Some(text.clone());
        }
        if text.chars().count() > LONG_TEXT || name.is_empty() {
            draft.end_lines();
            draft.paragraph(&text);
        } else {
            draft.line(0, &format!("{name}: {text}"));
        }
    }
}
