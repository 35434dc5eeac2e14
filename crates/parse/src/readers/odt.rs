//! OpenDocument texts: headings by outline level, lists, tables, notes.

use lorekeep_types::ParsedDocument;

use crate::clean;
use crate::detect::find;
use crate::draft::Draft;
use crate::error::{ParseError, Result};
use crate::limits::Watch;
use crate::package::Package;
use crate::readers::Source;
use crate::readers::office::{dublin_core, note_damage, part_text};
use crate::xml::{Element, Node, Xml, decode};

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let watch = source.watch;
    let mut package = Package::open(source.bytes, "odt", watch)?;
    if let Some(manifest) = package.read("META-INF/manifest.xml")?
        && find(&manifest.bytes, b"encryption-data").is_some()
    {
        return Err(ParseError::Encrypted { what: "the OpenDocument text" });
    }
    let mut draft = Draft::new(watch);
    if let Some(meta) = package.read("meta.xml")? {
        dublin_core(&decode(&meta.bytes), watch, &mut draft.metadata)?;
    }
    let part = package.require("content.xml")?;
    let text = part_text(&part, "content.xml", &mut draft);
    Content::default().read(&text, watch, &mut draft)?;
    draft.finish("the document holds no text")
}

/// The content being read.
#[derive(Default)]
struct Content {
    /// Open paragraphs and headings with their text; notes and frames nest them.
    open: Vec<(Option<u8>, String)>,
    lists: usize,
    item_starts: bool,
    tables: Vec<Vec<Vec<String>>>,
    row: Vec<String>,
    cell: Option<String>,
}

impl Content {
    fn read(&mut self, text: &str, watch: &Watch<'_>, draft: &mut Draft<'_>) -> Result<()> {
        let mut xml = Xml::new(text, watch);
        while let Some(node) = xml.next()? {
            match node {
                Node::Open(element) => {
                    let name = element.name();
                    let skipped = ["tracked-changes", "annotation", "note-citation", "forms", "automatic-styles"];
                    if skipped.contains(&name.as_str()) {
                        xml.skip()?;
                    } else {
                        self.open(&name, &element);
                    }
                }
                Node::Close(name) => self.close(&name, draft),
                Node::Text(text) => {
                    if let Some((_, open)) = self.open.last_mut() {
                        open.push_str(&text);
                    }
                }
            }
        }
        note_damage(&xml, "content.xml", draft);
        while !self.open.is_empty() {
            self.close("p", draft);
        }
        while !self.tables.is_empty() {
            self.close("table", draft);
        }
        draft.end_lines();
        Ok(())
    }

    fn open(&mut self, name: &str, element: &Element<'_>) {
        match name {
            "h" => {
                let level = element.attribute("outline-level").and_then(|level| level.parse().ok());
                self.open.push((Some(level.unwrap_or(1)), String::new()));
            }
            "p" => self.open.push((None, String::new())),
            "s" => {
                let count = element.attribute("c").and_then(|count| count.parse().ok()).unwrap_or(1_usize);
                self.push(&" ".repeat(count.min(64)));
            }
            "tab" => self.push("\t"),
            "line-break" => self.push("\n"),
            "list" => self.lists += 1,
            "list-item" => self.item_starts = true,
            "table" => self.tables.push(Vec::new()),
            "table-cell" => self.cell = Some(String::new()),
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        if let Some((_, open)) = self.open.last_mut() {
            open.push_str(text);
        }
    }

    fn close(&mut self, name: &str, draft: &mut Draft<'_>) {
        match name {
            "h" | "p" => {
                if let Some((level, text)) = self.open.pop() {
                    self.paragraph(level, &text, draft);
                }
            }
            "list" => {
                self.lists = self.lists.saturating_sub(1);
                if self.lists == 0 {
                    draft.end_lines();
                }
            }
            "table-cell" => self.row.extend(self.cell.take()),
            "table-row" => {
                let row = std::mem::take(&mut self.row);
                if let Some(table) = self.tables.last_mut() {
                    table.push(row);
                }
            }
            "table" => {
                if let Some(rows) = self.tables.pop() {
                    draft.table(&rows);
                }
            }
            _ => {}
        }
    }

    fn paragraph(&mut self, level: Option<u8>, text: &str, draft: &mut Draft<'_>) {
        let text = clean::lines(text);
        if text.is_empty() {
            return;
        }
        if let Some(cell) = &mut self.cell {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(&text);
        } else if let Some(level) = level {
            draft.heading(level, &text);
        } else if self.lists > 0 {
            if std::mem::take(&mut self.item_starts) {
                draft.line(self.lists - 1, &format!("- {text}"));
            } else {
                draft.line(self.lists, &text);
            }
        } else {
            draft.paragraph(&text);
        }
    }
}
