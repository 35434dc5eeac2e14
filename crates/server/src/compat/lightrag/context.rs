//! The context text that LightRAG's clients get: entities, relations and chunks as JSON lines, then the list of
//! references. What is in it was chosen by the engine.

use std::collections::HashMap;

use lorekeep_types::{EntityDetail, Evidence, RelationDetail, Retrieval};
use serde::Serialize;

use super::python;

/// A document that passages come from.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reference {
    pub(crate) reference_id: String,
    pub(crate) file_path: String,
}

/// References numbered from "1": the document with the most passages first, then by first appearance.
pub(crate) struct References {
    pub(crate) list: Vec<Reference>,
    by_name: HashMap<String, usize>,
}

impl References {
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for name in names {
            let place = *seen.entry(name).or_insert_with(|| {
                counts.push((name, 0));
                counts.len() - 1
            });
            if let Some((_, count)) = counts.get_mut(place) {
                *count += 1;
            }
        }
        // Stable: documents with equally many passages keep their order.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let by_name = counts.iter().enumerate().map(|(index, (name, _))| ((*name).to_owned(), index + 1)).collect();
        let list = counts.iter().enumerate().map(|(index, (name, _))| Reference {
            reference_id: (index + 1).to_string(),
            file_path: (*name).to_owned(),
        });
        Self { list: list.collect(), by_name }
    }

    /// The number of a document, from 1.
    pub(crate) fn number(&self, name: &str) -> usize {
        self.by_name.get(name).copied().unwrap_or(0)
    }
}

/// References of the passages found.
pub(crate) fn references(found: &Retrieval) -> References {
    References::of(found.passages.iter().map(|passage| passage.chunk.document_name.as_str()))
}

#[derive(Serialize)]
struct EntityLine<'a> {
    entity: &'a str,
    r#type: &'a str,
    description: &'a str,
}

#[derive(Serialize)]
struct RelationLine<'a> {
    entity1: &'a str,
    entity2: &'a str,
    description: &'a str,
}

#[derive(Serialize)]
struct ChunkLine<'a> {
    reference_id: String,
    content: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    content_headings: String,
}

/// The context; `graph` says whether the mode has entities and relations.
pub(crate) fn text(found: &Retrieval, references: &References, graph: bool) -> String {
    let size: usize = found.passages.iter().map(|passage| passage.chunk.chunk.text.len() + 64).sum();
    let mut out = Vec::with_capacity(size + 256 * (found.entities.len() + found.relations.len()) + 1_024);
    out.push(b'\n');
    if graph {
        block(&mut out, "Knowledge Graph Data (Entity):", found.entities.iter().map(|one| entity_line(one)));
        block(&mut out, "Knowledge Graph Data (Relationship):", found.relations.iter().map(|one| relation_line(one)));
    }
    block(
        &mut out,
        "Document Chunks (each `reference_id` stands in the `Reference Document List`; `content_headings`, where \
         given, is the path of headings above the chunk):",
        found.passages.iter().map(|passage| chunk_line(passage, references)),
    );
    out.extend_from_slice(b"Reference Document List (each line begins with the [reference_id] used above):\n\n```\n");
    for reference in &references.list {
        out.extend_from_slice(format!("[{}] {}\n", reference.reference_id, reference.file_path).as_bytes());
    }
    out.extend_from_slice(b"```\n\n");
    String::from_utf8(out).unwrap_or_default()
}

fn block<T: Serialize>(out: &mut Vec<u8>, title: &str, lines: impl Iterator<Item = T>) {
    out.extend_from_slice(title.as_bytes());
    out.extend_from_slice(b"\n\n```json\n");
    for line in lines {
        python::append(out, &line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"```\n\n");
}

fn entity_line(entity: &EntityDetail) -> EntityLine<'_> {
    EntityLine { entity: &entity.name, r#type: &entity.kind, description: &entity.description }
}

fn relation_line(relation: &RelationDetail) -> RelationLine<'_> {
    RelationLine { entity1: &relation.source.1, entity2: &relation.target.1, description: &relation.description }
}

fn chunk_line<'a>(passage: &'a Evidence, references: &References) -> ChunkLine<'a> {
    let stored = &passage.chunk;
    ChunkLine {
        reference_id: references.number(&stored.document_name).to_string(),
        content: &stored.chunk.text,
        content_headings: stored.chunk.heading_path.join(" → "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_ordered_by_passages_then_appearance() {
        let found = References::of(["a", "b", "c", "b", "c"].into_iter());
        let list: Vec<_> = found.list.iter().map(|one| (one.reference_id.as_str(), one.file_path.as_str())).collect();
        assert_eq!(list, [("1", "b"), ("2", "c"), ("3", "a")]);
        assert_eq!(found.number("a"), 3);
    }
}
