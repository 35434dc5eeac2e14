//! How one document is cut when its sender says so instead of the configuration.

use serde::{Deserialize, Serialize};

/// A sender's choice of strategy and sizes; sizes are o200k tokens, and one that is left out takes the strategy's
/// default. The strategies and their parameters are those of LightRAG's `chunking` option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum ChunkOptions {
    /// Windows of a fixed size with overlap, after an optional cut at a text.
    FixedToken {
        /// Tokens of a window; 1200.
        size: Option<usize>,
        /// Tokens that neighbours share, less than `size`; 100.
        overlap: Option<usize>,
        /// Text to cut at first; no window crosses it and it belongs to no chunk.
        split_by: Option<String>,
        /// Cut at `split_by` alone, whatever the size of the pieces.
        split_only: bool,
    },
    /// Cuts at the first separator that occurs, then at the next one where pieces are still too large, and joins
    /// neighbours up to the size.
    RecursiveCharacter {
        /// Tokens of a chunk at most; 1200.
        size: Option<usize>,
        /// Tokens that neighbours share at most, less than `size`; 100.
        overlap: Option<usize>,
        /// Separators, the coarsest first; an empty one cuts between tokens. Paragraph, line, word, token.
        separators: Option<Vec<String>>,
    },
    /// Along headings, tables, paragraphs and sentences.
    ParagraphSemantic {
        /// Tokens of a chunk at most; 2000.
        size: Option<usize>,
        /// Leave out the section that lists references.
        drop_references: bool,
    },
    /// Between sentences whose neighbourhoods differ most in meaning.
    SemanticVector {
        /// Tokens of a chunk at most; 1200.
        size: Option<usize>,
        /// What counts as differing most.
        breakpoint: Breakpoint,
        /// Thousandths of the breakpoint's amount; its default when left out.
        amount_milli: Option<u32>,
        /// Sentences on each side that are compared together with one; 1.
        buffer: Option<usize>,
    },
}

/// Which distances between neighbouring sentences are breakpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breakpoint {
    /// Above a percentile of all distances; the 95th.
    #[default]
    Percentile,
    /// More than so many standard deviations above the mean; 3.
    StandardDeviation,
    /// More than so many interquartile ranges above the mean; 1.5.
    Interquartile,
    /// Where distances rise more steeply than a percentile of all rises; the 95th.
    Gradient,
}
