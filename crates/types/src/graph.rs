//! Entities, relations and their mentions.

use serde::{Deserialize, Serialize};

use crate::id::{ChunkId, EntityId, RelationId};
use crate::query::EntityRef;
use crate::span::ByteSpan;
use crate::usage::Usage;

/// A type of entity, lower case: `person`, `organization`, `location`, `event`, `work`, `date`, `concept`, `unknown` …
pub type EntityKind = String;

/// An entity as one document sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntity {
    /// Normalised name; one key is one node.
    pub key: String,
    /// The name as the document writes it.
    pub name: String,
    /// Type read from cues, or `unknown`.
    pub kind: EntityKind,
    /// Other normalised names that the document equates with it.
    pub aliases: Vec<String>,
    /// Sentences that define it, best first: place in the document's text and a quality (higher is better).
    pub definitions: Vec<(ByteSpan, u8)>,
    /// What a model says of it, at most once per chunk: the chunk's position in the document and the text.
    pub descriptions: Vec<(u32, String)>,
}

/// One occurrence of an entity in a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMention {
    /// Index into [`Extraction::entities`].
    pub entity: u32,
    /// Position of the chunk in the document.
    pub chunk: u32,
    /// Place of the first occurrence in the document's text.
    pub span: ByteSpan,
    /// Occurrences in the chunk.
    pub count: u32,
    /// Whether the entity names the chunk's own topic (a heading over it, or the title).
    pub own: bool,
}

/// Two entities joined by a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRelation {
    /// Index of the one entity.
    pub source: u32,
    /// Index of the other.
    pub target: u32,
    /// The verb phrase between them, e.g. `was founded by`; may be empty.
    pub keywords: String,
    /// The sentence, in the document's text.
    pub evidence: ByteSpan,
    /// Position of the chunk that holds it.
    pub chunk: u32,
    /// How a model puts it; empty where the sentence speaks for itself.
    pub description: String,
}

/// Everything an extractor found in one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extraction {
    /// Entities, one per key.
    pub entities: Vec<NewEntity>,
    /// Mentions; at most one per entity and chunk.
    pub mentions: Vec<NewMention>,
    /// Relations.
    pub relations: Vec<NewRelation>,
}

/// An entity as read back: its text comes from the passages that mention it, or from a user's edit.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityDetail {
    /// Identity.
    pub id: EntityId,
    /// Normalised name.
    pub key: String,
    /// Display name: the most frequent surface, or the user's.
    pub name: String,
    /// Normal forms of other names whose entities were joined to it, at most 20.
    pub aliases: Vec<String>,
    /// Type.
    pub kind: EntityKind,
    /// What models say of it, then its defining sentences, joined by a space, at most 1,200 characters; or the user's
    /// text.
    pub description: String,
    /// Tokens of the description (o200k), as counted when it was embedded; 0 before.
    pub description_tokens: u32,
    /// Chunks that mention it, most occurrences first, at most 200.
    pub chunks: Vec<ChunkId>,
    /// Names of the documents that mention it, at most 75.
    pub documents: Vec<String>,
    /// Number of distinct neighbours.
    pub degree: u32,
    /// Unix milliseconds of the first mention.
    pub created_at: i64,
}

/// A relation as read back. Undirected: `source` is the entity with the smaller name.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationDetail {
    /// Identity.
    pub id: RelationId,
    /// The one entity and its name.
    pub source: (EntityId, String),
    /// The other.
    pub target: (EntityId, String),
    /// Verb phrases, most frequent first, comma separated.
    pub keywords: String,
    /// The sentences that join the two, or how a model puts them, at most 1,200 characters; or the user's text.
    pub description: String,
    /// Tokens of the description (o200k), as counted when it was embedded; 0 before.
    pub description_tokens: u32,
    /// Number of sentences, or the user's weight.
    pub weight: f32,
    /// Chunks that hold a sentence, at most 200.
    pub chunks: Vec<ChunkId>,
    /// Each sentence's chunk and its place in the document's text, at most 20.
    pub evidence: Vec<(ChunkId, ByteSpan)>,
    /// Names of their documents, at most 75.
    pub documents: Vec<String>,
    /// Unix milliseconds of the first sentence.
    pub created_at: i64,
}

/// A part of the graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbourhood {
    /// Entities.
    pub entities: Vec<EntityDetail>,
    /// Relations among them.
    pub relations: Vec<RelationDetail>,
    /// Whether a limit left something out.
    pub truncated: bool,
}

/// Size of the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphStats {
    /// Entities.
    pub entities: u64,
    /// Relations.
    pub relations: u64,
    /// Mentions.
    pub mentions: u64,
    /// Entities without any relation.
    pub isolated: u64,
}

/// A group of entities that relations join closely.
#[derive(Clone, Debug, PartialEq)]
pub struct Community {
    /// Its number while the same communities are known; communities that are found anew are numbered anew.
    pub id: u32,
    /// 0 for those of the whole graph; those of a deeper level split one of the level above.
    pub level: u32,
    /// The community of the level above that it lies in.
    pub parent: Option<u32>,
    /// Number of its entities.
    pub size: usize,
    /// The title that a model gave it; the names of its most central entities without one.
    pub title: String,
    /// Keywords of the relations around its central entities, those with most weight first, at most 8.
    pub key_phrases: Vec<String>,
    /// The entities with most relations inside it, at most 8.
    pub central: Vec<EntityRef>,
    /// Documents that mention these.
    pub documents: usize,
    /// What a model wrote about it, if one did.
    pub summary: Option<String>,
}

/// Communities of one level.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Communities {
    /// The largest first.
    pub communities: Vec<Community>,
    /// How many the level has.
    pub total: usize,
    /// Levels there are.
    pub levels: u32,
    /// Changes of the workspace since they were found.
    pub changes: u64,
    /// What summaries took.
    pub usage: Usage,
    /// What could not be done, one sentence each.
    pub notices: Vec<String>,
}

/// New values for an entity; `None` keeps what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityEdit {
    /// New display name (and key).
    pub name: Option<String>,
    /// New type.
    pub kind: Option<EntityKind>,
    /// New description, replacing the one made from passages.
    pub description: Option<String>,
}

/// New values for a relation; `None` keeps what is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RelationEdit {
    /// New keywords.
    pub keywords: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New weight.
    pub weight: Option<f32>,
}

/// A user's change to the graph. Names are display names or keys; each change is one transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum GraphEdit {
    /// Creates an entity. Conflict when the name is taken.
    CreateEntity(String, EntityEdit),
    /// Changes an entity. A new name that is taken is a conflict.
    EditEntity(String, EntityEdit),
    /// Hides an entity and its relations until it is created again.
    DeleteEntity(String),
    /// Makes the first entities aliases of the last, which is created when missing.
    MergeEntities(Vec<String>, String),
    /// Creates a relation between two existing entities. Conflict when there is one.
    CreateRelation(String, String, RelationEdit),
    /// Changes a relation.
    EditRelation(String, String, RelationEdit),
    /// Hides a relation.
    DeleteRelation(String, String),
}
