//! Reading the numbers of vectors without a tree of JSON values between: answers of many megabytes are common.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// A vector written as a list of numbers, or as base64 of little-endian 32-bit floats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub Vec<f32>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading).map(Self)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers, or base64 of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::with_capacity(list.size_hint().unwrap_or(1_024).min(1 << 16));
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(values)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let bytes = STANDARD.decode(text).map_err(|_| E::custom("a vector is not base64"))?;
        let (values, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(E::custom("a vector is not a whole number of 32-bit floats"));
        }
        Ok(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

/// The vectors themselves.
#[must_use]
pub fn plain(values: Vec<Values>) -> Vec<Vec<f32>> {
    values.into_iter().map(|values| values.0).collect()
}
