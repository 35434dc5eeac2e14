//! The vocabulary of Lorekeep: nouns, ids, ports and error codes.
//!
//! Everything that crosses a crate boundary is named here once. This crate knows no runtime, no
//! HTTP, no file system and no vendor; it holds values, the arithmetic on them, and the traits
//! ([`Store`], [`Workspace`], [`Snapshot`], [`EmbeddingModel`], [`DocumentParser`] …) through which
//! the engine reaches the rest of the world.

mod audio;
mod cache;
mod chat;
mod chunk;
mod chunking;
mod context;
mod document;
mod error;
mod graph;
mod id;
mod job;
mod ledger;
mod model;
mod model_port;
mod models;
mod parser;
mod phrase_graph;
mod query;
mod resident;
mod secret;
mod snapshot;
mod span;
mod store;
mod usage;
mod vector_work;

pub use audio::{AudioFormat, Recording, Speech, SpeechModel, Transcript, TranscriptionModel, Utterance};
pub use cache::{CacheKey, CacheKind, CacheSize, ModelCache};
pub use chat::{
    Capabilities, ChatEvent, ChatMessage, ChatRequest, ChatRole, Completion, FinishReason, OutputFormat, Part,
    TokenUsage, Tool, ToolCall, ToolChoice, WebSearch, WebSource,
};
pub use chunk::{ChunkFilter, ChunkSet, NewChunk, StoredChunk};
pub use chunking::{Breakpoint, ChunkOptions};
pub use context::{Cancel, Clock, Ids, RequestContext};
pub use document::{
    DocumentFilter, DocumentOrder, DocumentPage, DocumentRecord, DocumentState, DocumentText, Heading, Metadata,
    OrderField, PageRequest, PageSpan, ParsedDocument, Problem, StateCounts,
};
pub use error::{Error, ErrorCode, Result};
pub use graph::{
    Communities, Community, EntityDetail, EntityEdit, EntityKind, Extraction, GraphEdit, GraphStats, Neighbourhood,
    NewEntity, NewMention, NewRelation, RelationDetail, RelationEdit,
};
pub use id::{ChunkId, ContentHash, DocumentId, EntityId, JobId, RelationId, VersionId, WorkspaceName};
pub use job::{
    GraphEnd, GraphItem, Job, JobCounts, JobEvent, JobItem, JobKind, JobState, NewGraphJob, NewItem, NewJob,
    PendingItem, Spending, Stage,
};
pub use ledger::budget::{
    ALERT_LEVELS, BudgetAction, BudgetAlert, BudgetRule, BudgetScope, BudgetState, BudgetWindow, Refusal, UnknownPrice,
    day_name,
};
pub use ledger::report::{
    ANSWER_OPERATION, Answered, CallPage, CallRow, EMBED_OPERATION, MOST_CALLS, Times, UsageFilter, UsageKey,
    UsageQuery, UsageReport, UsageRow, price_drift, tokens_per_second, usd,
};
pub use ledger::{Admission, CALL_CANCELLED, CALL_LOST, CALL_OK, CallNumber, Closing, Ledger, Opening, Saved};
pub use model::{EmbeddingModel, EmbeddingModelId, TokenCounter, Vector};
pub use model_port::{
    Call, ChatModel, ChatStream, EmbedKind, Embedded, EmbeddingProvider, Keep, ModelError, ModelFault, ModelId, Phase,
    Priority, RankedText, RerankModel, Reranked,
};
pub use models::{ModelDesk, ModelState, ModelTest, Models, ModelsOverview, ProviderInfo, Role};
pub use parser::{DocumentParser, Format, ParseInput};
pub use phrase_graph::*;
pub use query::{
    Answer, AnswerKind, AnswerStyle, AskRequest, BridgeSentence, Citation, EntityRef, Evidence, Keywords, Mode,
    OnFailure, Reason, Retrieval, SearchRequest, Source, Turn,
};
pub use resident::{PromptModel, ResidentEmbedder, ResidentFigures, ResidentModel};
pub use secret::Secret;
pub use snapshot::{CorpusStats, LexicalField, ScoredChunk, Snapshot, VectorKind};
pub use span::{ByteSpan, CharSpan, char_span};
pub use store::{
    ChunkVector, CommitOutcome, Comparable, DocumentWrite, GraphSource, GraphWrite, IntegrityReport, Store,
    SummaryTask, SummaryWrite, Verdict, Workspace, WorkspaceSummary,
};
pub use usage::Usage;
pub use vector_work::{EmbedTask, FreshVector, VectorTask, VectorWrite, VectorsStage};
