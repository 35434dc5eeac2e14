//! Vectors that are to be made, and those that were.

use crate::model::Vector;
use crate::snapshot::VectorKind;

/// An entity or relation whose text changed since it was embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedTask {
    /// `Entity` or `Relation`.
    pub kind: VectorKind,
    /// Row id.
    pub row: i64,
    /// Changes when the text does.
    pub revision: i64,
    /// What to embed.
    pub text: String,
    /// The description alone, for its token count.
    pub description: String,
}

/// A vector for an [`EmbedTask`]; ignored when the revision is no longer current.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorWrite {
    /// `Entity` or `Relation`.
    pub kind: VectorKind,
    /// Row id.
    pub row: i64,
    /// As in the task.
    pub revision: i64,
    /// The vector.
    pub vector: Vector,
    /// Tokens of the description.
    pub description_tokens: u32,
}

/// A text whose vector is made anew; see [`Workspace::begin_vectors`](crate::Workspace::begin_vectors).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorTask {
    /// What the vector stands for.
    pub kind: VectorKind,
    /// Row id.
    pub row: i64,
    /// What to embed.
    pub text: String,
    /// The language of a chunk's document (ISO 639-1), if known.
    pub language: Option<String>,
}

/// A vector that waits beside the present ones for its turn.
#[derive(Clone, Debug, PartialEq)]
pub struct FreshVector {
    /// As in the task.
    pub kind: VectorKind,
    /// As in the task.
    pub row: i64,
    /// The vector.
    pub vector: Vector,
}

/// Where a job of new vectors stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorsStage {
    /// Vectors are being made; the present ones serve.
    Making,
    /// They have taken their place; the job is yet to be ended.
    Swapped,
    /// The job has ended, or was cancelled.
    Ended,
}
