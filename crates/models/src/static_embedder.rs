//! The built-in embedder: a table of one vector per WordPiece, compiled into the program. A text's vector is the
//! normalised sum of its pieces' rows, so that embedding costs microseconds and needs no download.

use std::sync::OnceLock;

use lorekeep_types::{EmbeddingModel, EmbeddingModelId, Error, ErrorCode, Result};

use crate::wordpiece::pieces;

/// A safetensors file: length of the header (u64), header (JSON), tensors.
static FILE: &[u8] = include_bytes!("../data/static-en-256-i8.safetensors");

const NAME: &str = "static-en-256";
const DIMENSIONS: usize = 256;

/// English text to vectors of 256 dimensions. Free to construct; the table is shared by the process and opened
/// at the first use.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticEmbedder;

impl EmbeddingModel for StaticEmbedder {
    fn id(&self) -> EmbeddingModelId {
        EmbeddingModelId { name: NAME.to_owned(), dimensions: DIMENSIONS }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let table = Table::shared()
            .ok_or_else(|| Error::new(ErrorCode::Internal, "the built-in embedding table is not readable"))?;
        Ok(texts.iter().map(|text| table.vector(text)).collect())
    }

    fn covers(&self, language: &str) -> bool {
        language == "en"
    }
}

/// Rows of signed bytes and the factor of each.
struct Table {
    rows: &'static [u8],
    scales: Vec<f32>,
}

impl Table {
    fn shared() -> Option<&'static Self> {
        static TABLE: OnceLock<Option<Table>> = OnceLock::new();
        TABLE.get_or_init(|| Self::read(FILE)).as_ref()
    }

    fn read(file: &'static [u8]) -> Option<Self> {
        let (length, rest) = file.split_first_chunk()?;
        let (header, tensors) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let header: serde_json::Value = serde_json::from_slice(header).ok()?;
        let tensor = |name: &str, kind: &str| {
            let entry = header.get(name).filter(|entry| entry.get("dtype").is_some_and(|dtype| dtype == kind))?;
            let offset = |end: usize| usize::try_from(entry.get("data_offsets")?.get(end)?.as_u64()?).ok();
            tensors.get(offset(0)?..offset(1)?)
        };
        let rows = tensor("embeddings", "I8")?;
        let scales: Vec<f32> =
            tensor("scale", "F32")?.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        (rows.len() == scales.len() * DIMENSIONS).then_some(Self { rows, scales })
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0_f32; DIMENSIONS];
        for piece in pieces(text) {
            let start = piece as usize * DIMENSIONS;
            let row = self.rows.get(start..start + DIMENSIONS).unwrap_or_default();
            let scale = self.scales.get(piece as usize).copied().unwrap_or_default();
            for (total, byte) in sum.iter_mut().zip(row) {
                *total += scale * f32::from(byte.cast_signed());
            }
        }
        let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            sum.iter_mut().for_each(|value| *value /= length);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn embed(texts: &[&str]) -> Vec<Vec<f32>> {
        StaticEmbedder.embed(texts).unwrap()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn vectors_have_length_one() {
        let vectors = embed(&["The bridge was repaired.", "", "😀"]);
        let id = StaticEmbedder.id();
        assert!(vectors.iter().all(|vector| vector.len() == id.dimensions));
        assert!((cosine(&vectors[0], &vectors[0]) - 1.0).abs() < 1e-5);
        assert!(vectors[1].iter().chain(&vectors[2]).all(|value| *value == 0.0));
    }

    #[test]
    fn near_in_meaning_is_near_in_space() {
        let vectors = embed(&["doctors treat patients", "a physician in the hospital", "the stock market fell"]);
        assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.2);
    }

    #[test]
    fn the_table_covers_english_only() {
        assert!(StaticEmbedder.covers("en"));
        assert!(!StaticEmbedder.covers("id"));
    }

    #[test]
    fn broken_tables_are_refused() {
        assert!(Table::read(&[]).is_none());
        assert!(Table::read(FILE.get(..1_000).unwrap()).is_none());
    }
}
