//! Passages as sentences, ready to be compared with what an answer says: their words and their vectors.
//!
//! To read a passage takes far longer than to compare it, and the passages that answer a library's common questions come
//! again and again; so those read last are kept.

use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::{Arc, LazyLock, OnceLock};

use foldhash::quality::RandomState;
use lorekeep_text::{self as text, Form};
use lorekeep_types::{EmbeddingModel, Result, StoredChunk, Vector};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::prompt::channel;

/// Bytes that kept passages may take.
const MOST_BYTES: u64 = 16 << 20;

/// So many of usual length are that.
const USUAL: usize = 3_000;

/// What one entry takes besides, the cache's own bookkeeping included.
const ENTRY_BYTES: usize = 400;

/// Seeded anew in each process: no document can hold a word that is taken for another.
static NUMBERS: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// A set of words, each as a number that stands for it in this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms(Box<[u64]>);

impl Terms {
    /// Those of words, repeated ones once.
    pub(super) fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut terms: Vec<u64> = words.into_iter().map(Self::number).collect();
        terms.sort_unstable();
        terms.dedup();
        Self(terms.into())
    }

    fn number(word: &str) -> u64 {
        NUMBERS.hash_one(word)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The numbers of the words.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    /// Whether a word of this number is there.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.0.binary_search(&number).is_ok()
    }

    /// How many of them are also in `other`.
    pub(super) fn shared(&self, other: &Self) -> usize {
        self.iter().filter(|number| other.holds(*number)).count()
    }
}

/// A sentence of a passage.
#[derive(Debug)]
pub(super) struct Sentence {
    /// Bytes of the passage.
    pub(super) span: Range<usize>,
    /// Its words.
    pub(super) terms: Terms,
}

/// A passage; what is to be known of it is found out when it is first asked for.
#[derive(Debug)]
pub(super) struct Passage {
    text: String,
    language: Option<String>,
    sentences: OnceLock<Vec<Sentence>>,
    vectors: OnceLock<Vec<Vector>>,
    is_addressed: OnceLock<bool>,
}

impl Passage {
    fn new(text: &str, language: Option<&str>) -> Self {
        Self {
            text: text.to_owned(),
            language: language.map(str::to_owned),
            sentences: OnceLock::new(),
            vectors: OnceLock::new(),
            is_addressed: OnceLock::new(),
        }
    }

    /// Its sentences.
    pub(super) fn sentences(&self) -> &[Sentence] {
        self.sentences.get_or_init(|| {
            let sentence = |span: Range<usize>| {
                let said = self.text.get(span.clone()).unwrap_or_default();
                let words = text::lexical_tokens(said, self.language.as_deref(), Form::Folded);
                Sentence { terms: Terms::of(words.iter().map(String::as_str)), span }
            };
            text::sentences(&self.text).into_iter().map(sentence).collect()
        })
    }

    /// The vector of each sentence.
    ///
    /// # Errors
    /// When the embedder fails.
    pub(super) fn vectors(&self, embedder: &dyn EmbeddingModel) -> Result<&[Vector]> {
        if let Some(vectors) = self.vectors.get() {
            return Ok(vectors);
        }
        let said = |one: &Sentence| self.text.get(one.span.clone()).unwrap_or_default();
        let said: Vec<&str> = self.sentences().iter().map(said).collect();
        let vectors = embedder.embed(&said)?;
        Ok(self.vectors.get_or_init(|| vectors.iter().map(|vector| Vector::quantise(vector)).collect()))
    }

    /// Whether it seems to give orders to a model.
    pub(super) fn is_addressed_to_a_model(&self) -> bool {
        *self.is_addressed.get_or_init(|| channel::reads_as_instructions(&self.text))
    }

    /// Finds out all that the check of an answer asks for.
    fn read(&self, embedder: Option<&dyn EmbeddingModel>) {
        self.sentences();
        let language = self.language.as_deref();
        if let Some(embedder) = embedder.filter(|embedder| language.is_none_or(|code| embedder.covers(code))) {
            // Where this fails the check will, and tells of it.
            let _ = self.vectors(embedder);
        }
    }

    /// What it takes once all of it is known: its text, and some five times as much for words and vectors.
    fn bytes(&self) -> usize {
        6 * self.text.len() + ENTRY_BYTES
    }
}

/// Passages to be read before they are asked for.
pub(crate) struct Ahead(Vec<Arc<Passage>>);

impl Ahead {
    /// Those of `passages` that were not read, if any.
    pub(super) fn of(passages: impl Iterator<Item = Arc<Passage>>) -> Option<Self> {
        let unread: Vec<_> = passages.filter(|passage| passage.sentences.get().is_none()).collect();
        (!unread.is_empty()).then_some(Self(unread))
    }

    /// Reads them. Who asks for one meanwhile waits for that one only.
    pub(crate) fn read(&self, embedder: Option<&dyn EmbeddingModel>) {
        self.0.iter().for_each(|passage| passage.read(embedder));
    }
}

/// The passages read last. Cheap to clone; clones share what they keep.
#[derive(Clone, Debug)]
pub(crate) struct ReadPassages(Arc<Cache<blake3::Hash, Arc<Passage>, Bytes>>);

/// Bytes that an entry takes.
#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<blake3::Hash, Arc<Passage>> for Bytes {
    fn weight(&self, _: &blake3::Hash, one: &Arc<Passage>) -> u64 {
        one.bytes() as u64
    }
}

impl Default for ReadPassages {
    fn default() -> Self {
        Self(Arc::new(Cache::with_weighter(USUAL, MOST_BYTES, Bytes)))
    }
}

impl ReadPassages {
    /// A passage; `language` counts where that of its document is not known.
    pub(super) fn read(&self, chunk: &StoredChunk, language: Option<&str>) -> Arc<Passage> {
        let text = chunk.chunk.text.as_str();
        let language = chunk.metadata.language.as_deref().or(language);
        let mut key = blake3::Hasher::new();
        key.update(language.unwrap_or_default().as_bytes()).update(b"\0").update(text.as_bytes());
        let make = || Ok::<_, Infallible>(Arc::new(Passage::new(text, language)));
        let Ok(passage) = self.0.get_or_insert_with(&key.finalize(), make);
        passage
    }
}

#[cfg(test)]
mod tests {
    use super::super::places::tests::chunk;
    use super::*;
    use lorekeep_types::ByteSpan;

    #[test]
    fn a_passage_is_kept_by_its_text_and_language() {
        let kept = ReadPassages::default();
        let mut one = chunk(ByteSpan::new(0, 10), 0, None);
        one.metadata.language = None;
        let first = kept.read(&one, Some("en"));
        assert!(Arc::ptr_eq(&first, &kept.read(&one, Some("en"))));
        assert!(!Arc::ptr_eq(&first, &kept.read(&one, Some("de"))));
        one.chunk.text.push_str(" More.");
        assert!(!Arc::ptr_eq(&first, &kept.read(&one, Some("en"))));
    }

    #[test]
    fn words_are_a_set() {
        let (one, other) = (Terms::of(["mill", "burn", "mill"]), Terms::of(["burn", "down"]));
        assert_eq!((one.len(), one.shared(&other)), (2, 1));
    }
}
