//! How much a cache may hold, how long, and in which form.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read as _, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::error::{Result, StoreError};

/// What a cache may hold. Least recently used values go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Bytes of all values, as stored.
    pub bytes: u64,
    /// Values of all kinds.
    pub entries: u64,
    /// Values of the kind `answer`, which go out of date and are worth least.
    pub answers: u64,
    /// How long an answer is kept whose caller does not say.
    pub answer_lifetime: Duration,
}

impl Default for CacheLimits {
    /// A GiB, a million values, ten thousand answers, each for an hour.
    fn default() -> Self {
        Self { bytes: 1 << 30, entries: 1_000_000, answers: 10_000, answer_lifetime: Duration::from_secs(3_600) }
    }
}

/// Longer values are compressed.
const PACKED_ABOVE: usize = 1_024;

/// No value unpacks to more, so that damage cannot fill the memory.
const MOST_UNPACKED: u64 = 64 << 20;

/// A value as stored, and whether it is compressed.
pub(super) fn pack(value: &[u8]) -> (Cow<'_, [u8]>, bool) {
    if value.len() > PACKED_ABOVE {
        let mut packed = DeflateEncoder::new(Vec::with_capacity(value.len() / 2), Compression::fast());
        let packed = packed.write_all(value).and_then(|()| packed.finish());
        // Writing into memory does not fail; if it did, the value would be stored as it is.
        if let Some(packed) = packed.ok().filter(|packed| packed.len() < value.len()) {
            return (Cow::Owned(packed), true);
        }
    }
    (Cow::Borrowed(value), false)
}

/// The value that was packed.
pub(super) fn unpack(stored: Vec<u8>, packed: bool) -> Result<Vec<u8>> {
    if !packed {
        return Ok(stored);
    }
    let mut value = Vec::with_capacity(stored.len() * 3);
    let unpacked = DeflateDecoder::new(stored.as_slice()).take(MOST_UNPACKED).read_to_end(&mut value);
    unpacked.map(|_| value).map_err(|_| StoreError::Damaged("a value of the cache cannot be unpacked".to_owned()))
}

/// A lifetime with up to a tenth more or less, so that what was put together does not end together.
#[derive(Debug, Default)]
pub(super) struct Jitter(RandomState);

impl Jitter {
    pub(super) fn spread(&self, lifetime: Duration, of: &[u8]) -> Duration {
        // Any even spread serves; the key's keyed hash is one that needs no source of chance.
        let part = self.0.hash_one(of) % 2_001;
        #[expect(clippy::cast_precision_loss, reason = "below 2,001")]
        lifetime.mul_f64(0.9 + part as f64 / 10_000.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn long_values_are_compressed_where_that_helps() {
        let long = "the same words again and again ".repeat(100).into_bytes();
        let (stored, packed) = pack(&long);
        assert!(packed && stored.len() < long.len() / 5);
        assert_eq!(unpack(stored.into_owned(), true).unwrap(), long);
        assert_eq!(pack(b"short"), (Cow::Borrowed(&b"short"[..]), false));
        let random: Vec<u8> = (0_u32..500).flat_map(|at| *blake3::hash(&at.to_le_bytes()).as_bytes()).collect();
        assert!(!pack(&random).1);
    }

    #[test]
    fn damage_is_an_error() {
        for stored in [vec![1, 2], vec![0xff; 64], vec![200, 0, 0, 0, 1]] {
            assert!(unpack(stored, true).is_err());
        }
    }

    #[test]
    fn lifetimes_vary_by_a_tenth() {
        let jitter = Jitter::default();
        let spread: Vec<_> = (0_u32..1_000)
            .map(|at| jitter.spread(Duration::from_secs(1_000), &at.to_le_bytes()).as_secs_f64())
            .collect();
        assert!(spread.iter().all(|seconds| (900.0..=1_100.01).contains(seconds)));
        assert!(spread.iter().any(|seconds| *seconds < 920.0) && spread.iter().any(|seconds| *seconds > 1_080.0));
    }
}
