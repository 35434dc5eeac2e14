//! Entities and relations on the wire.

use lorekeep_types::{ByteSpan, EntityDetail, Neighbourhood, RelationDetail, StoredChunk};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A thing that documents speak of.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Entity {
    /// Its id in this workspace.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Normal forms of other names whose entities were joined to it.
    pub aliases: Vec<String>,
    /// Its type: `person`, `organization`, `location`, …, or `unknown`.
    #[schema(example = "organization")]
    pub r#type: String,
    /// Its defining sentences.
    pub description: String,
    /// Number of distinct neighbours.
    pub degree: u32,
    /// Names of the documents that mention it.
    pub documents: Vec<String>,
    /// Chunks that mention it, most occurrences first.
    pub chunks: Vec<i64>,
}

impl From<EntityDetail> for Entity {
    fn from(entity: EntityDetail) -> Self {
        Self {
            id: entity.id.0,
            name: entity.name,
            aliases: entity.aliases,
            r#type: entity.kind,
            description: entity.description,
            degree: entity.degree,
            documents: entity.documents,
            chunks: entity.chunks.into_iter().map(|chunk| chunk.0).collect(),
        }
    }
}

/// Two entities joined by sentences.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Relation {
    /// Its id in this workspace.
    pub id: i64,
    /// Name of the one entity.
    pub source: String,
    /// Name of the other.
    pub target: String,
    /// Verb phrases, most frequent first, comma separated.
    pub keywords: String,
    /// The sentences that join the two.
    pub description: String,
    /// Number of sentences, or what a user set.
    pub weight: f32,
    /// The sentences with their places, where asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

impl From<RelationDetail> for Relation {
    fn from(relation: RelationDetail) -> Self {
        Self {
            id: relation.id.0,
            source: relation.source.1,
            target: relation.target.1,
            keywords: relation.keywords,
            description: relation.description,
            weight: relation.weight,
            evidence: Vec::new(),
        }
    }
}

/// A sentence that joins two entities.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// The document.
    pub document_id: String,
    /// Its name.
    pub name: String,
    /// Page, for paged formats.
    pub page: Option<u32>,
    /// Where it lies in the document's text, in code points.
    pub span: [usize; 2],
    /// Exactly the text at `span`.
    pub quote: String,
}

impl Evidence {
    /// The part of `chunk` at `span` of the document; `None` when it does not lie inside the chunk.
    pub(crate) fn new(chunk: &StoredChunk, span: ByteSpan) -> Option<Self> {
        let start = span.start.checked_sub(chunk.chunk.span.start)?;
        let quote = chunk.chunk.text.get(start..start + span.len())?;
        let first = chunk.char_start + chunk.chunk.text.get(..start)?.chars().count();
        Some(Self {
            document_id: chunk.document.as_str().to_owned(),
            name: chunk.document_name.clone(),
            page: chunk.chunk.page,
            span: [first, first + quote.chars().count()],
            quote: quote.to_owned(),
        })
    }
}

/// Entities that match.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Entities {
    /// Best match first.
    pub entities: Vec<Entity>,
}

/// An entity with what is known of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EntityPage {
    /// The entity.
    pub entity: Entity,
    /// Its relations, most evidence first, each with its sentences.
    pub relations: Vec<Relation>,
    /// Passages that mention it, most occurrences first.
    pub passages: Vec<Passage>,
}

/// A passage that mentions an entity.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Passage {
    /// The chunk.
    pub chunk_id: i64,
    /// The document.
    pub document_id: String,
    /// Its name.
    pub name: String,
    /// Page, for paged formats.
    pub page: Option<u32>,
    /// Where it lies, in code points.
    pub span: [usize; 2],
    /// The text.
    pub text: String,
}

impl From<StoredChunk> for Passage {
    fn from(stored: StoredChunk) -> Self {
        let span = super::document::chunk_span(&stored);
        Self {
            chunk_id: stored.id.0,
            document_id: stored.document.into(),
            name: stored.document_name,
            page: stored.chunk.page,
            span,
            text: stored.chunk.text,
        }
    }
}

/// A part of the graph.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Graph {
    /// Entities.
    pub entities: Vec<Entity>,
    /// Relations among them.
    pub relations: Vec<Relation>,
    /// Whether a limit left something out.
    pub truncated: bool,
}

impl From<Neighbourhood> for Graph {
    fn from(part: Neighbourhood) -> Self {
        Self {
            entities: part.entities.into_iter().map(Into::into).collect(),
            relations: part.relations.into_iter().map(Into::into).collect(),
            truncated: part.truncated,
        }
    }
}

/// Size of the graph.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
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

impl From<lorekeep_types::GraphStats> for GraphStats {
    fn from(stats: lorekeep_types::GraphStats) -> Self {
        let lorekeep_types::GraphStats { entities, relations, mentions, isolated } = stats;
        Self { entities, relations, mentions, isolated }
    }
}

/// What a model is to make the graph of.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GraphBuildRequest {
    /// Ids of documents; empty means all whose graph was not yet made by this model with these prompts.
    pub documents: Vec<String>,
    /// Says what it would take, and sends nothing.
    pub dry_run: bool,
    /// Stops before more is spent than this. What is made by then is kept.
    pub max_cost_usd: Option<f64>,
}

/// What was begun, or would be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GraphBuild {
    /// What it would take; for a dry run only.
    pub plan: Option<GraphPlan>,
    /// The job; absent for a dry run, and when there is nothing to do.
    pub job: Option<super::Job>,
}

/// What making graphs would take. Tokens, cost and time are estimates of reading only: how many descriptions will be summed up
/// and names compared afterwards is not known before.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GraphPlan {
    /// The model, `provider/model`.
    pub model: String,
    /// Documents.
    pub documents: u64,
    /// Their passages.
    pub passages: u64,
    /// Passages whose answers are kept: they cost nothing.
    pub cached: u64,
    /// Calls to make.
    pub calls: u64,
    /// Tokens to send.
    pub prompt_tokens: u64,
    /// Tokens to be written.
    pub completion_tokens: u64,
    /// What it would cost; `null` when the price is not known.
    pub cost_usd: Option<f64>,
    /// Why the cost is not known.
    pub cost_unknown: Option<String>,
    /// Seconds that it would take.
    pub seconds: f64,
    /// Passages read at once.
    pub parallel: usize,
}

impl From<lorekeep_engine::GraphPlan> for GraphPlan {
    fn from(plan: lorekeep_engine::GraphPlan) -> Self {
        let unknown = || format!("no price is configured for `{}`", plan.model);
        Self {
            cost_unknown: plan.cost.is_none().then(unknown),
            model: plan.model.to_string(),
            documents: plan.documents,
            passages: plan.passages,
            cached: plan.cached,
            calls: plan.calls,
            prompt_tokens: plan.prompt_tokens,
            completion_tokens: plan.completion_tokens,
            cost_usd: plan.cost.map(super::gateway::usd),
            seconds: plan.seconds,
            parallel: plan.parallel,
        }
    }
}
