//! Questions, evidence and answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::chat::{ChatRole, WebSource};
use crate::chunk::StoredChunk;
use crate::document::DocumentFilter;
use crate::error::{Error, Result};
use crate::graph::{Community, EntityDetail, RelationDetail};
use crate::id::DocumentId;
use crate::model_port::ModelId;
use crate::span::CharSpan;
use crate::usage::Usage;

/// How evidence is found. All but `auto` mean what LightRAG's users expect of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Lexical, dense and graph evidence fused.
    #[default]
    Auto,
    /// Chunks near the question's vector.
    Naive,
    /// Entities near the question, their relations and chunks.
    Local,
    /// Relations near the question, their entities and chunks.
    Global,
    /// Local and global.
    Hybrid,
    /// Hybrid and naive.
    Mix,
    /// No retrieval; needs a model.
    Bypass,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 7] =
        [Self::Auto, Self::Naive, Self::Local, Self::Global, Self::Hybrid, Self::Mix, Self::Bypass];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Naive => "naive",
            Self::Local => "local",
            Self::Global => "global",
            Self::Hybrid => "hybrid",
            Self::Mix => "mix",
            Self::Bypass => "bypass",
        }
    }

    /// Parses a name.
    ///
    /// # Errors
    /// `InvalidRequest` that lists the modes.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|mode| mode.name()).collect();
            Error::invalid(format!("`{name}` is not a mode")).hint(format!("use one of {}", names.join(", ")))
        })
    }
}

/// A request for passages.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRequest {
    /// The question, at most 65,536 code points.
    pub query: String,
    /// How.
    pub mode: Mode,
    /// Most passages to return, 1..1,000.
    pub limit: usize,
    /// Most entities and relations to consider in graph modes, 1..1,000.
    pub top_k: usize,
    /// Keywords given by the caller instead of those read from the question.
    pub keywords: Option<Keywords>,
    /// Which documents.
    pub filter: DocumentFilter,
    /// Chunks to add before and after each passage, 0..5.
    pub neighbours: u32,
    /// Most tokens of entities, of relations and of everything together.
    pub max_entity_tokens: usize,
    /// See `max_entity_tokens`.
    pub max_relation_tokens: usize,
    /// See `max_entity_tokens`.
    pub max_total_tokens: usize,
    /// Whether a model may order the passages, where one is configured for it.
    pub rerank: bool,
}

impl SearchRequest {
    /// LightRAG's defaults in mode `auto`.
    #[must_use]
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            mode: Mode::Auto,
            limit: 20,
            top_k: 40,
            keywords: None,
            filter: DocumentFilter::default(),
            neighbours: 0,
            max_entity_tokens: 6_000,
            max_relation_tokens: 8_000,
            max_total_tokens: 30_000,
            rerank: true,
        }
    }
}

/// The keywords of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keywords {
    /// Themes: content terms that are not entity phrases.
    pub high_level: Vec<String>,
    /// Entity phrases.
    pub low_level: Vec<String>,
}

/// Why a passage was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reason {
    /// It holds these words of the question.
    Terms {
        /// The words.
        terms: Vec<String>,
    },
    /// Its vector is near the question's.
    Similar {
        /// Cosine.
        cosine: f32,
    },
    /// The graph leads to it from the question over these phrases.
    Path {
        /// Names along the way, the question's phrase first.
        phrases: Vec<String>,
    },
    /// It mentions an entity, or supports a relation, that was retrieved.
    Graph {
        /// Names of the entities.
        entities: Vec<String>,
    },
    /// It stands next to a retrieved passage.
    Neighbour,
}

/// A passage with its score and the reasons for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Score, 1 for the best; comparable within one retrieval only.
    pub score: f32,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The passage.
    pub chunk: StoredChunk,
}

/// What retrieval found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retrieval {
    /// Keywords used.
    pub keywords: Keywords,
    /// Passages, best first.
    pub passages: Vec<Evidence>,
    /// Entities, best first (graph modes).
    pub entities: Vec<Arc<EntityDetail>>,
    /// Relations, best first (graph modes).
    pub relations: Vec<Arc<RelationDetail>>,
    /// Communities in which most of the entities lie, as background (mode `global`).
    pub communities: Vec<Community>,
    /// Entities and relations found before the token budget cut them.
    pub found: (usize, usize),
    /// Passages found before `limit` and the token budget cut them.
    pub merged_passages: usize,
    /// Chunks of the workspace that were searched.
    pub searched: usize,
    /// What was left out or could not be done, one sentence each.
    pub notices: Vec<String>,
}

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub struct AskRequest {
    /// The question and how to find evidence.
    pub search: SearchRequest,
    /// What was said before in the same conversation, oldest first.
    pub history: Vec<Turn>,
    /// Most sentences to quote, 1..10.
    pub sentences: usize,
    /// Quote the closest sentences even where the evidence is too weak to call them an answer.
    pub insist: bool,
    /// Whether a model may write.
    pub style: AnswerStyle,
    /// The model to write; `None` means the one configured for answers.
    pub model: Option<ModelId>,
    /// Most tokens that a model writes; `None` leaves it to the engine.
    pub max_output_tokens: Option<u32>,
    /// What the caller wants of a written answer beyond the question, in his own words.
    pub instructions: Option<String>,
    /// The form of a written answer, e.g. `Multiple Paragraphs`; `None` leaves it to the engine.
    pub form: Option<String>,
    /// Language of a written answer (ISO 639-1); `None` means that of the question.
    pub language: Option<String>,
    /// What happens when the model fails; `None` leaves it to the engine's settings.
    pub on_failure: Option<OnFailure>,
    /// Makes the answer anew even where one is kept; the new one is kept.
    pub fresh: bool,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who said it.
    pub role: ChatRole,
    /// What was said.
    pub content: String,
}

impl Turn {
    /// A question of the person who asks.
    #[must_use]
    pub fn asked(content: impl Into<String>) -> Self {
        Self { role: ChatRole::User, content: content.into() }
    }

    /// An earlier answer.
    #[must_use]
    pub fn answered(content: impl Into<String>) -> Self {
        Self { role: ChatRole::Assistant, content: content.into() }
    }
}

/// What is answered when a model fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The failure.
    #[default]
    Error,
    /// Quotes of the documents, with a notice that says why.
    Quote,
}

impl OnFailure {
    /// Parses a name.
    ///
    /// # Errors
    /// `InvalidRequest` that lists the names.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "error" => Ok(Self::Error),
            "quote" => Ok(Self::Quote),
            _ => {
                Err(Error::invalid(format!("`{name}` is not a way to answer a failure")).hint("use `error` or `quote`"))
            }
        }
    }
}

/// Whether an answer may be written by a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerStyle {
    /// Written where a model is configured, quoted where none is.
    #[default]
    Auto,
    /// Quoted in any case.
    Quote,
}

impl AskRequest {
    /// A question with defaults: mode `auto`, three sentences.
    #[must_use]
    pub fn new(question: impl Into<String>) -> Self {
        Self {
            search: SearchRequest::new(question),
            history: Vec::new(),
            sentences: 3,
            insist: false,
            style: AnswerStyle::Auto,
            model: None,
            max_output_tokens: None,
            instructions: None,
            form: None,
            language: None,
            on_failure: None,
            fresh: false,
        }
    }
}

/// How an answer was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerKind {
    /// Sentences of the documents, word for word.
    Quoted,
    /// Written by a model.
    Generated,
    /// The documents hold no answer; the citations are the closest passages.
    Abstained,
}

/// A place in a document that supports a part of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// Number used in the answer, from 1.
    pub n: u32,
    /// The document.
    pub document_id: DocumentId,
    /// Its name.
    pub name: String,
    /// The version quoted.
    pub version: u32,
    /// Page, for paged formats.
    pub page: Option<u32>,
    /// Code points of the extracted text.
    pub span: CharSpan,
    /// Exactly the text at `span`.
    pub quote: String,
    /// Score of the sentence; higher is better.
    pub score: f32,
    /// The sentence of another passage that links the question to this one, if the answer needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<BridgeSentence>,
}

/// A sentence that leads from the question to a quoted sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BridgeSentence {
    /// The phrase that both sentences share.
    pub through: String,
    /// The document.
    pub document_id: DocumentId,
    /// Its name.
    pub name: String,
    /// Page.
    pub page: Option<u32>,
    /// Code points of the extracted text.
    pub span: CharSpan,
    /// Exactly the text at `span`.
    pub quote: String,
}

/// A passage that a model was given to write from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The number by which the answer cites it, from 1.
    pub n: u32,
    /// The document.
    pub document_id: DocumentId,
    /// Its name.
    pub name: String,
    /// Page on which it begins, for paged formats.
    pub page: Option<u32>,
    /// Code points of the extracted text.
    pub span: CharSpan,
    /// Exactly the text at `span`; empty where only its place is told.
    #[serde(default)]
    pub text: String,
}

/// An entity an answer rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRef {
    /// Display name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// How it was made.
    pub kind: AnswerKind,
    /// The text, with `[n]` after each quoted sentence; for an abstention, one sentence that says so.
    pub answer: String,
    /// The evidence.
    pub citations: Vec<Citation>,
    /// Entities it rests on.
    pub entities: Vec<EntityRef>,
    /// How evidence was found.
    pub mode: Mode,
    /// `likely` or `possibly`, by the margin between sentences; absent for abstentions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    /// Milliseconds inside the process.
    pub took_ms: f64,
    /// Chunks of the workspace that were searched.
    pub searched: usize,
    /// Tokens and cost.
    pub usage: Usage,
    /// The model that wrote it, as its provider names it; absent for quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Milliseconds until the first piece of a written answer had arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// Sentences of a written answer for which none of its sources gives support: code points of `answer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<CharSpan>,
    /// Passages that a written answer was written from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Pages of the web that the model searched, in the order of the numbers in the text; for questions that go to it
    /// alone. One whose address is not known holds its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub web_sources: Vec<WebSource>,
    /// Whether it was kept from an earlier, equal question and cost nothing now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// What was left out or could not be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}
