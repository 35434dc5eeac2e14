//! Word documents: paragraphs with heading styles, lists, tables, foot- and endnotes, text boxes.
//! Headers, footers, deleted text and field codes are left out.

use std::collections::HashMap;

use lorekeep_types::ParsedDocument;

use crate::draft::Draft;
use crate::error::Result;
use crate::limits::Watch;
use crate::package::Package;
use crate::readers::Source;
use crate::readers::office::{core_properties, note_damage, part_text, relations};
use crate::xml::{Element, Node, Xml, decode};

const MAIN: &str = "word/document.xml";

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let watch = source.watch;
    let mut package = Package::open(source.bytes, "docx", watch)?;
    let mut draft = Draft::new(watch);
    core_properties(&mut package, &mut draft, watch)?;
    let main = main_part(&mut package, watch)?;
    let styles = styles(&mut package, watch)?;
    let part = package.require(&main)?;
    let text = part_text(&part, &main, &mut draft);
    Body::new(&mut draft, &styles).read(&text, &main, watch)?;
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(part) = package.read(notes)? {
            let text = part_text(&part, notes, &mut draft);
            Body::new(&mut draft, &styles).read(&text, notes, watch)?;
        }
    }
    draft.finish("the document holds no text")
}

/// The main part is usually `word/document.xml`; the package's relationships have the last word.
fn main_part(package: &mut Package<'_, '_>, watch: &Watch<'_>) -> Result<String> {
    if package.names().any(|name| name == MAIN) {
        return Ok(MAIN.to_owned());
    }
    let relations = relations(package, "", watch)?;
    let found = relations.into_values().find(|relation| relation.kind == "officeDocument");
    Ok(found.map_or_else(|| MAIN.to_owned(), |relation| relation.target))
}

/// What a paragraph style means.
#[derive(Clone, Copy, Default)]
struct Style {
    heading: Option<u8>,
    title: bool,
    list: bool,
    code: bool,
}

/// Styles by id, by their names (which do not change with the language) and outline levels.
fn styles(package: &mut Package<'_, '_>, watch: &Watch<'_>) -> Result<HashMap<String, Style>> {
    let mut styles = HashMap::new();
    let Some(part) = package.read("word/styles.xml")? else { return Ok(styles) };
    let text = decode(&part.bytes);
    let mut xml = Xml::new(&text, watch);
    let mut current: Option<(String, Style)> = None;
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(element) => match element.name().as_str() {
                "style" => current = element.attribute("styleId").map(|id| (id, Style::default())),
                "name" => {
                    if let (Some((_, style)), Some(name)) = (&mut current, element.attribute("val")) {
                        *style = style_by_name(&name);
                    }
                }
                "outlineLvl" => {
                    if let Some((_, style)) = &mut current {
                        style.heading = style.heading.or(outline_level(&element));
                    }
                }
                _ => {}
            },
            Node::Close(name) if name == "style" => styles.extend(current.take()),
            _ => {}
        }
    }
    Ok(styles)
}

fn style_by_name(name: &str) -> Style {
    let name = name.to_ascii_lowercase().replace(' ', "");
    let heading = name.strip_prefix("heading").and_then(|level| level.parse().ok());
    Style {
        heading: heading.filter(|level| (1..=9).contains(level)),
        title: name == "title",
        list: name.starts_with("list") && !name.starts_with("listparagraph"),
        code: name.contains("code") || name.contains("preformatted"),
    }
}

fn outline_level(element: &Element<'_>) -> Option<u8> {
    element.attribute("val")?.parse::<u8>().ok().filter(|level| *level < 9).map(|level| level + 1)
}

/// A paragraph being read.
#[derive(Default)]
struct Paragraph {
    text: String,
    style: Style,
    /// Depth of its list, when it is a list item.
    list: Option<usize>,
}

/// A table being read.
#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    row: Vec<String>,
    cell: String,
}

/// The story of a part: its paragraphs and tables.
struct Body<'d, 'w> {
    draft: &'d mut Draft<'w>,
    styles: &'d HashMap<String, Style>,
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    in_text: bool,
}

impl<'d, 'w> Body<'d, 'w> {
    const fn new(draft: &'d mut Draft<'w>, styles: &'d HashMap<String, Style>) -> Self {
        Self { draft, styles, paragraphs: Vec::new(), tables: Vec::new(), in_text: false }
    }

    fn read(&mut self, text: &str, name: &str, watch: &Watch<'_>) -> Result<()> {
        let mut xml = Xml::new(text, watch);
        while let Some(node) = xml.next()? {
            match node {
                Node::Open(element) => {
                    let name = element.name();
                    // A fallback repeats the choice before it; moved-away and deleted text is no text.
                    if matches!(name.as_str(), "Fallback" | "moveFrom" | "del" | "instrText" | "delText") {
                        xml.skip()?;
                    } else {
                        self.open(&name, &element);
                    }
                }
                Node::Close(name) => self.close(&name),
                Node::Text(text) => {
                    if self.in_text
                        && let Some(paragraph) = self.paragraphs.last_mut()
                    {
                        paragraph.text.push_str(&text);
                    }
                }
            }
        }
        note_damage(&xml, name, self.draft);
        while !self.paragraphs.is_empty() {
            self.close("p");
        }
        while !self.tables.is_empty() {
            self.close("tbl");
        }
        self.draft.end_lines();
        Ok(())
    }

    fn open(&mut self, name: &str, element: &Element<'_>) {
        match name {
            "p" => self.paragraphs.push(Paragraph::default()),
            "tbl" => self.tables.push(Table::default()),
            "t" => self.in_text = true,
            _ => {
                if let Some(paragraph) = self.paragraphs.last_mut() {
                    property(paragraph, name, element, self.styles);
                }
            }
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "p" => {
                if let Some(paragraph) = self.paragraphs.pop() {
                    self.paragraph(&paragraph);
                }
            }
            "tc" => {
                if let Some(table) = self.tables.last_mut() {
                    table.row.push(std::mem::take(&mut table.cell));
                }
            }
            "tr" => {
                if let Some(table) = self.tables.last_mut() {
                    table.rows.push(std::mem::take(&mut table.row));
                }
            }
            "tbl" => self.table(),
            _ => {}
        }
    }

    fn paragraph(&mut self, paragraph: &Paragraph) {
        let Paragraph { text, style, list } = paragraph;
        if text.trim().is_empty() {
            return;
        }
        if let Some(table) = self.tables.last_mut() {
            if !table.cell.is_empty() {
                table.cell.push(' ');
            }
            table.cell.push_str(text.trim());
        } else if let Some(level) = style.heading {
            self.draft.heading(level, text);
        } else if style.title {
            self.draft.metadata.title.get_or_insert_with(|| text.clone());
            self.draft.heading(1, text);
        } else if style.code {
            self.draft.verbatim(text);
        } else if list.is_some() || style.list {
            self.draft.line(list.unwrap_or_default(), &format!("- {}", text.trim()));
        } else {
            self.draft.paragraph(text);
        }
    }

    fn table(&mut self) {
        let Some(table) = self.tables.pop() else { return };
        if let Some(outer) = self.tables.last_mut() {
            let inner: Vec<String> = table.rows.iter().map(|row| row.join(" | ")).collect();
            if !outer.cell.is_empty() {
                outer.cell.push(' ');
            }
            outer.cell.push_str(&inner.join("; "));
        } else if table.rows.iter().all(|row| row.len() < 2) {
            for cell in table.rows.iter().flatten() {
                self.draft.paragraph(cell);
            }
        } else {
            self.draft.table(&table.rows);
        }
    }
}

/// Properties and special characters of a paragraph.
fn property(paragraph: &mut Paragraph, name: &str, element: &Element<'_>, styles: &HashMap<String, Style>) {
    match name {
        "pStyle" => {
            if let Some(id) = element.attribute("val") {
                let named = || style_by_name(&id);
                paragraph.style = styles.get(&id).copied().unwrap_or_else(named);
            }
        }
        "outlineLvl" => paragraph.style.heading = outline_level(element),
        "ilvl" => {
            let level = element.attribute("val").and_then(|level| level.parse().ok());
            paragraph.list = Some(level.unwrap_or_default());
        }
        // Number 0 takes a paragraph out of the list its style puts it in.
        "numId" if element.attribute("val").as_deref() == Some("0") => {
            paragraph.list = None;
            paragraph.style.list = false;
        }
        "tab" | "ptab" => paragraph.text.push('\t'),
        "br" | "cr" => paragraph.text.push('\n'),
        "noBreakHyphen" => paragraph.text.push('-'),
        "sym" => paragraph.text.push(' '),
        _ => {}
    }
}
