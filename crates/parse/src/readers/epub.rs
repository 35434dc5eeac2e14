//! E-books: the spine's chapters in reading order, read as HTML.

use std::collections::HashMap;

use lorekeep_types::ParsedDocument;

use crate::detect::find;
use crate::draft::Draft;
use crate::error::{ParseError, Result};
use crate::limits::Watch;
use crate::package::{Package, resolve};
use crate::readers::Source;
use crate::readers::html;
use crate::readers::office::{dublin_core, part_text};
use crate::xml::{Node, Xml, decode};

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let watch = source.watch;
    let mut package = Package::open(source.bytes, "epub", watch)?;
    refuse_protected(&mut package)?;
    let container = package.require("META-INF/container.xml")?;
    let opf = rootfile(&decode(&container.bytes), watch)?
        .or_else(|| package.names().find(|name| name.ends_with(".opf")).map(str::to_owned))
        .ok_or_else(|| ParseError::broken("epub", "it names no package document"))?;
    let manifest = package.require(&opf)?;
    let manifest = decode(&manifest.bytes);
    let mut draft = Draft::new(watch);
    dublin_core(&manifest, watch, &mut draft.metadata)?;
    let metadata = draft.metadata.clone();
    for chapter in spine(&manifest, &opf, watch)? {
        watch.check()?;
        match package.read(&chapter) {
            Ok(Some(part)) => {
                let text = part_text(&part, &chapter, &mut draft);
                html::write(&mut draft, &text, source, true)?;
            }
            Ok(None) => draft.warn(format!("the chapter {chapter} is missing in the file")),
            Err(error) if error.stops_everything() => return Err(error),
            Err(error) => draft.warn(format!("the chapter {chapter} was left out: {error}")),
        }
    }
    // A chapter's own title must not stand for a book without one.
    draft.metadata.title = metadata.title;
    draft.finish("the book holds no text")
}

/// Encrypted content other than obfuscated fonts is copy protection.
fn refuse_protected(package: &mut Package<'_, '_>) -> Result<()> {
    if let Some(part) = package.read("META-INF/encryption.xml")?
        && (find(&part.bytes, b".xhtml").is_some() || find(&part.bytes, b".html").is_some())
    {
        return Err(ParseError::Unsupported {
            what: "a copy-protected e-book".into(),
            hint: "add an edition without copy protection",
        });
    }
    Ok(())
}

fn rootfile(text: &str, watch: &Watch<'_>) -> Result<Option<String>> {
    let mut xml = Xml::new(text, watch);
    while let Some(node) = xml.next()? {
        if let Node::Open(element) = node
            && element.name() == "rootfile"
            && let Some(path) = element.attribute("full-path")
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Chapters in reading order; the navigation document, which repeats all headings, is left out.
fn spine(manifest: &str, opf: &str, watch: &Watch<'_>) -> Result<Vec<String>> {
    let mut xml = Xml::new(manifest, watch);
    let mut items: HashMap<String, String> = HashMap::new();
    let mut chapters = Vec::new();
    while let Some(node) = xml.next()? {
        let Node::Open(element) = node else { continue };
        match element.name().as_str() {
            "item" => {
                let navigation = element.attribute("properties").is_some_and(|all| all.split(' ').any(|p| p == "nav"));
                if let (Some(id), Some(href), false) = (element.attribute("id"), element.attribute("href"), navigation)
                {
                    items.insert(id, resolve(opf, &percent_decode(&href)));
                }
            }
            "itemref" => chapters.extend(element.attribute("idref").and_then(|id| items.get(&id).cloned())),
            _ => {}
        }
    }
    Ok(chapters)
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
