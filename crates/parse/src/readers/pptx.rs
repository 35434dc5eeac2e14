//! PowerPoint presentations: one page per slide, its title as heading, tables and speaker notes.

use lorekeep_types::ParsedDocument;

use crate::draft::Draft;
use crate::error::Result;
use crate::limits::Watch;
use crate::package::Package;
use crate::readers::Source;
use crate::readers::office::{core_properties, note_damage, part_text, relations};
use crate::xml::{Element, Node, Xml, decode};

const MAIN: &str = "ppt/presentation.xml";

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let watch = source.watch;
    let mut package = Package::open(source.bytes, "pptx", watch)?;
    let mut draft = Draft::new(watch);
    core_properties(&mut package, &mut draft, watch)?;
    let slides = slides(&mut package, watch)?;
    watch.page_limit(slides.len())?;
    for (number, slide) in (1_u32..).zip(slides) {
        watch.check()?;
        draft.page(number);
        let Some(part) = package.read(&slide)? else {
            draft.warn(format!("slide {number} is missing in the file"));
            continue;
        };
        let text = part_text(&part, &slide, &mut draft);
        Slide::default().read(&text, &slide, watch, &mut draft)?;
        notes(&mut package, &slide, watch, &mut draft)?;
    }
    draft.finish("the presentation holds no text; slides that are pictures need OCR")
}

/// Slide parts in the order they are shown; in the order of their numbers when that list is missing.
fn slides(package: &mut Package<'_, '_>, watch: &Watch<'_>) -> Result<Vec<String>> {
    let relations = relations(package, MAIN, watch)?;
    let mut slides = Vec::new();
    if let Some(part) = package.read(MAIN)? {
        let text = decode(&part.bytes);
        let mut xml = Xml::new(&text, watch);
        while let Some(node) = xml.next()? {
            if let Node::Open(element) = node
                && element.name() == "sldId"
            {
                // Both `id` and `r:id` have the local name `id`; the relationship is the one that is known.
                let ids = element.attributes().filter(|(name, _)| name == "id");
                slides.extend(ids.filter_map(|(_, id)| relations.get(&id)).map(|relation| relation.target.clone()));
            }
        }
    }
    if slides.is_empty() {
        slides = package
            .names()
            .filter(|name| name.starts_with("ppt/slides/slide") && name.ends_with(".xml"))
            .map(str::to_owned)
            .collect();
        slides.sort_by_key(|name| (name.len(), name.clone()));
    }
    Ok(slides)
}

fn notes(package: &mut Package<'_, '_>, slide: &str, watch: &Watch<'_>, draft: &mut Draft<'_>) -> Result<()> {
    let notes = relations(package, slide, watch)?.into_values().find(|relation| relation.kind == "notesSlide");
    let Some(notes) = notes else { return Ok(()) };
    if let Some(part) = package.read(&notes.target)? {
        let text = part_text(&part, &notes.target, draft);
        Slide { notes_only: true, ..Slide::default() }.read(&text, &notes.target, watch, draft)?;
    }
    Ok(())
}

/// A slide being read.
#[derive(Default)]
struct Slide {
    /// Take the notes' body only: number, date and picture of the slide are placeholders beside it.
    notes_only: bool,
    role: Role,
    level: usize,
    text: String,
    in_text: bool,
    title: String,
    rows: Vec<Vec<String>>,
    row: Vec<String>,
    cell: Option<String>,
}

/// What the shape being read is for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Box,
    Title,
    Body,
    /// Slide numbers, dates, footers.
    Furniture,
}

impl Slide {
    fn read(&mut self, text: &str, name: &str, watch: &Watch<'_>, draft: &mut Draft<'_>) -> Result<()> {
        let mut xml = Xml::new(text, watch);
        while let Some(node) = xml.next()? {
            match node {
                Node::Open(element) => {
                    let name = element.name();
                    if name == "Fallback" {
                        xml.skip()?;
                    } else {
                        self.open(&name, &element);
                    }
                }
                Node::Close(name) => self.close(&name, draft),
                Node::Text(text) if self.in_text => self.text.push_str(&text),
                Node::Text(_) => {}
            }
        }
        note_damage(&xml, name, draft);
        self.close("p", draft);
        self.close("sp", draft);
        draft.end_lines();
        Ok(())
    }

    fn open(&mut self, name: &str, element: &Element<'_>) {
        match name {
            "sp" => self.role = Role::Box,
            "ph" => {
                self.role = match element.attribute("type").as_deref() {
                    Some("title" | "ctrTitle") => Role::Title,
                    Some("sldNum" | "dt" | "ftr" | "hdr") => Role::Furniture,
                    _ => Role::Body,
                };
            }
            "p" => self.level = 0,
            "pPr" => {
                self.level = element.attribute("lvl").and_then(|level| level.parse().ok()).unwrap_or_default();
            }
            "t" => self.in_text = true,
            "br" => self.text.push('\n'),
            "tbl" => self.rows.clear(),
            "tc" => self.cell = Some(String::new()),
            _ => {}
        }
    }

    fn close(&mut self, name: &str, draft: &mut Draft<'_>) {
        match name {
            "t" => self.in_text = false,
            "p" => self.paragraph(draft),
            "sp" => {
                let title = std::mem::take(&mut self.title);
                draft.heading(1, &title);
                draft.end_lines();
                self.role = Role::Box;
            }
            "tc" => self.row.extend(self.cell.take()),
            "tr" => self.rows.push(std::mem::take(&mut self.row)),
            "tbl" => draft.table(&std::mem::take(&mut self.rows)),
            _ => {}
        }
    }

    fn paragraph(&mut self, draft: &mut Draft<'_>) {
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        if text.is_empty() || self.role == Role::Furniture {
            return;
        }
        if let Some(cell) = &mut self.cell {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(text);
        } else if self.notes_only {
            if self.role == Role::Body {
                draft.paragraph(text);
            }
        } else {
            match self.role {
                Role::Title => {
                    self.title.push(' ');
                    self.title.push_str(text);
                }
                Role::Body => draft.line(self.level, &format!("- {text}")),
                Role::Box | Role::Furniture => draft.line(self.level, text),
            }
        }
    }
}
