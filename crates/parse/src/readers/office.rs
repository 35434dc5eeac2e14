//! What the Office formats share: document properties, relationships, damage notes.

use std::collections::HashMap;

use lorekeep_types::Metadata;

use crate::clean;
use crate::dates;
use crate::draft::Draft;
use crate::error::Result;
use crate::limits::Watch;
use crate::package::{Package, Part, resolve};
use crate::xml::{Node, Xml, decode};

/// Decodes a part and notes when it is cut short.
pub(crate) fn part_text(part: &Part, name: &str, draft: &mut Draft<'_>) -> String {
    if let Some(reason) = &part.damage {
        draft.warn(format!("the part {name} is damaged ({reason}); what could be read was kept"));
    }
    decode(&part.bytes)
}

/// Notes where a part's XML stopped making sense.
pub(crate) fn note_damage(xml: &Xml<'_>, name: &str, draft: &mut Draft<'_>) {
    if let Some(reason) = xml.damage() {
        draft.warn(format!("the part {name} is damaged ({reason}); what stands before was kept"));
    }
}

/// Title, author, language and date from Dublin Core elements: `docProps/core.xml`, `meta.xml`, OPF.
pub(crate) fn dublin_core(text: &str, watch: &Watch<'_>, metadata: &mut Metadata) -> Result<()> {
    let mut xml = Xml::new(text, watch);
    let mut dates = HashMap::new();
    let mut authors: Vec<String> = Vec::new();
    while let Some(node) = xml.next()? {
        let Node::Open(element) = node else { continue };
        match element.name().as_str() {
            "title" if metadata.title.is_none() => {
                metadata.title = Some(clean::one_line(&xml.inner_text()?)).filter(|title| !title.is_empty());
            }
            "creator" | "initial-creator" => {
                let author = clean::one_line(&xml.inner_text()?);
                if !author.is_empty() && !authors.contains(&author) {
                    authors.push(author);
                }
            }
            "language" if metadata.language.is_none() => {
                metadata.language = Some(xml.inner_text()?).filter(|language| !language.trim().is_empty());
            }
            name @ ("modified" | "created" | "date" | "creation-date") => {
                let name = name.to_owned();
                if let Some(date) = dates::iso_date(&xml.inner_text()?) {
                    dates.entry(name).or_insert(date);
                }
            }
            // Manifest and content follow the metadata.
            "manifest" | "spine" | "body" => break,
            _ => {}
        }
    }
    if !authors.is_empty() {
        metadata.author = Some(authors.join(", "));
    }
    if metadata.date.is_none() {
        // The last change dates what the text says; the creation date may be that of a template.
        metadata.date = ["modified", "date", "created", "creation-date"].iter().find_map(|name| dates.remove(*name));
    }
    Ok(())
}

/// Reads `docProps/core.xml` when it is there.
pub(crate) fn core_properties(package: &mut Package<'_, '_>, draft: &mut Draft<'_>, watch: &Watch<'_>) -> Result<()> {
    if let Some(part) = package.read("docProps/core.xml")? {
        dublin_core(&decode(&part.bytes), watch, &mut draft.metadata)?;
    }
    Ok(())
}

/// A relationship: its type's last word and the part it points to.
pub(crate) struct Relation {
    pub(crate) kind: String,
    pub(crate) target: String,
}

/// The relationships of a part by id, targets resolved to part names.
pub(crate) fn relations(
    package: &mut Package<'_, '_>,
    part: &str,
    watch: &Watch<'_>,
) -> Result<HashMap<String, Relation>> {
    let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
    let name = if folder.is_empty() { format!("_rels/{file}.rels") } else { format!("{folder}/_rels/{file}.rels") };
    let mut relations = HashMap::new();
    let Some(rels) = package.read(&name)? else { return Ok(relations) };
    let text = decode(&rels.bytes);
    let mut xml = Xml::new(&text, watch);
    while let Some(node) = xml.next()? {
        if let Node::Open(element) = node
            && let (Some(id), Some(target)) = (element.attribute("Id"), element.attribute("Target"))
            && element.attribute("TargetMode").as_deref() != Some("External")
        {
            let kind = element.attribute("Type").unwrap_or_default();
            let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
            relations.insert(id, Relation { kind, target: resolve(part, &target) });
        }
    }
    Ok(relations)
}
