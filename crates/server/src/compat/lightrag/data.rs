//! The body of `/query/data`: entities, relations, chunks and references as data.

use lorekeep_types::{ChunkId, EntityDetail, Evidence, Mode, RelationDetail, Retrieval};
use serde_json::{Value, json};

use super::context::{self, References};
use super::request::QueryBody;

/// Joins values of one field.
const SEPARATOR: &str = "<SEP>";

/// What was found.
pub(super) fn of(body: &QueryBody, found: &Retrieval) -> Value {
    if found.passages.is_empty() && found.entities.is_empty() && found.relations.is_empty() {
        return json!({
            "status": "failure", "message": "Query returned no results", "data": {},
            "metadata": { "query_mode": body.mode.name(), "failure_reason": "no_results" }
        });
    }
    let references = context::references(found);
    json!({
        "status": "success",
        "message": "Query executed successfully",
        "data": {
            "entities": found.entities.iter().map(|one| entity(one)).collect::<Vec<_>>(),
            "relationships": found.relations.iter().map(|one| relation(one)).collect::<Vec<_>>(),
            "chunks": found.passages.iter().map(|passage| chunk(passage, &references)).collect::<Vec<_>>(),
            "references": references.list,
        },
        "metadata": {
            "query_mode": body.mode.name(),
            "keywords": { "high_level": found.keywords.high_level, "low_level": found.keywords.low_level },
            "processing_info": processing(body.mode, found),
        }
    })
}

/// The answer of mode `bypass`, which retrieves nothing.
pub(super) fn bypass() -> Value {
    json!({
        "status": "success",
        "message": "Bypass mode does not retrieve data",
        "data": { "entities": [], "relationships": [], "chunks": [], "references": [] },
        "metadata": { "query_mode": "bypass", "keywords": { "high_level": [], "low_level": [] } }
    })
}

fn processing(mode: Mode, found: &Retrieval) -> Value {
    if mode == Mode::Naive {
        return json!({ "total_chunks_found": found.merged_passages, "final_chunks_count": found.passages.len() });
    }
    json!({
        "total_entities_found": found.found.0,
        "total_relations_found": found.found.1,
        "entities_after_truncation": found.entities.len(),
        "relations_after_truncation": found.relations.len(),
        "merged_chunks_count": found.merged_passages,
        "final_chunks_count": found.passages.len(),
    })
}

fn entity(entity: &EntityDetail) -> Value {
    json!({
        "entity_name": entity.name,
        "entity_type": entity.kind,
        "description": entity.description,
        "source_id": source_id(&entity.chunks),
        "file_path": entity.documents.join(SEPARATOR),
        "created_at": entity.created_at / 1_000,
    })
}

fn relation(relation: &RelationDetail) -> Value {
    json!({
        "src_id": relation.source.1,
        "tgt_id": relation.target.1,
        "description": relation.description,
        "keywords": relation.keywords,
        "weight": relation.weight,
        "source_id": source_id(&relation.chunks),
        "file_path": relation.documents.join(SEPARATOR),
        "created_at": relation.created_at / 1_000,
    })
}

fn chunk(passage: &Evidence, references: &References) -> Value {
    json!({
        "reference_id": references.number(&passage.chunk.document_name).to_string(),
        "content": passage.chunk.chunk.text,
        "file_path": passage.chunk.document_name,
        "chunk_id": chunk_id(passage.chunk.id),
    })
}

/// A chunk's id on this surface.
pub(super) fn chunk_id(id: ChunkId) -> String {
    format!("chunk-{id}")
}

/// Ids of chunks in one field.
pub(super) fn source_id(chunks: &[ChunkId]) -> String {
    chunks.iter().map(|id| chunk_id(*id)).collect::<Vec<_>>().join(SEPARATOR)
}

/// Names of documents in one field.
pub(super) fn file_path(documents: &[String]) -> String {
    documents.join(SEPARATOR)
}
