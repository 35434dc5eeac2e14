//! The graph of chunks and phrases that the embedded default walks: plain data, built once, read-only.
//!
//! Built by the store's graph view from mentions; walked by the engine. Phrases met in one chunk only are kept
//! for look-ups but are not nodes, and phrases of more than [`most_chunks`] chunks carry no edges.

mod build;
mod key_table;
mod lists;

use key_table::KeyTable;
use lists::{Lists, bounds};

/// The phrases of one chunk, as the builder takes them; chunks come in ordinal order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkPhrases {
    /// Which document version it belongs to; consecutive chunks of one version are joined.
    pub version: i64,
    /// Position in that version.
    pub position: u32,
    /// `(key, occurrences, whether it is an own key of the chunk)`, one entry per key.
    pub phrases: Vec<(String, u32, bool)>,
}

/// The most chunks a phrase may be in to carry edges, among `chunks` chunks.
#[must_use]
pub fn most_chunks(chunks: u32) -> u32 {
    let most = (f64::from(chunks) * 0.03).max(20.0) as u32;
    if chunks >= 50_000 { most.min(200) } else { most }
}

/// Chunks and the phrases they share, with transition shares for walks. Empty by default.
///
/// Phrases are numbered from 0: first those that are nodes (in 2 to [`most_chunks`] chunks), then the more common
/// ones, then those of one chunk. Nodes are numbered chunks first, by ordinal, then phrases.
#[derive(Clone, Debug, Default)]
pub struct PhraseGraph {
    chunks: u32,
    /// Keys of phrases, then aliases.
    keys: KeyTable,
    /// The phrase of each alias.
    aliased: Vec<u32>,
    /// Chunks per phrase.
    frequencies: Vec<u32>,
    /// Phrases that are nodes.
    walkable: u32,
    /// The chunk of each phrase that has one only.
    sole: Vec<u32>,
    /// Own keys by chunk.
    own: Lists,
    /// Chunks by own key.
    sharers: Lists,
    /// Phrases too common to be nodes, by chunk.
    common: Lists,
    /// Edges by node: where they begin, whither they lead, their shares of the node's weight.
    offsets: Vec<u32>,
    targets: Vec<u32>,
    shares: Vec<f32>,
}

impl PhraseGraph {
    /// Builds the graph in time proportional to the number of phrases. `aliases` are pairs of a normalised name
    /// and the key it stands for: chunks that hold the name count as holding the key, and look-ups of the name
    /// find it. Chains of aliases are followed a few steps.
    #[must_use]
    pub fn build<K: AsRef<str>>(
        chunks: impl IntoIterator<Item = ChunkPhrases>,
        aliases: impl IntoIterator<Item = (K, K)>,
    ) -> Self {
        build::build(chunks.into_iter(), aliases.into_iter())
    }

    /// Number of chunks.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        self.chunks
    }

    /// Number of distinct phrases, those of one chunk included.
    #[must_use]
    pub fn phrase_count(&self) -> u32 {
        self.frequencies.len() as u32
    }

    /// The phrase with this key or alias.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<u32> {
        let number = self.keys.find(key)?;
        match (number as usize).checked_sub(self.frequencies.len()) {
            Some(alias) => self.aliased.get(alias).copied(),
            None => Some(number),
        }
    }

    /// The key of a phrase; empty for an unknown one.
    #[must_use]
    pub fn key(&self, phrase: u32) -> &str {
        if phrase < self.phrase_count() { self.keys.key(phrase) } else { "" }
    }

    /// Number of chunks that have the phrase.
    #[must_use]
    pub fn frequency(&self, phrase: u32) -> u32 {
        self.frequencies.get(phrase as usize).copied().unwrap_or_default()
    }

    /// Whether the phrase is in too many chunks to tell one from another.
    #[must_use]
    pub fn is_common(&self, phrase: u32) -> bool {
        self.frequency(phrase) > most_chunks(self.chunks)
    }

    /// The one chunk of a phrase of frequency 1.
    #[must_use]
    pub fn sole_chunk(&self, phrase: u32) -> Option<u32> {
        let first = self.frequencies.len() - self.sole.len();
        self.sole.get((phrase as usize).checked_sub(first)?).copied()
    }

    /// The chunks that have the phrase as an own key, ascending.
    #[must_use]
    pub fn sharers(&self, phrase: u32) -> &[u32] {
        self.sharers.get(phrase)
    }

    /// The own keys of a chunk.
    #[must_use]
    pub fn own_keys(&self, chunk: u32) -> &[u32] {
        self.own.get(chunk)
    }

    /// Every phrase of a chunk that at least one other chunk has as well.
    pub fn phrases_of(&self, chunk: u32) -> impl Iterator<Item = u32> {
        let (targets, _) = if chunk < self.chunks { self.edges(chunk) } else { (&[][..], &[][..]) };
        let walkable = targets.iter().filter_map(|node| node.checked_sub(self.chunks));
        walkable.chain(self.common.get(chunk).iter().copied())
    }

    /// Number of nodes.
    #[must_use]
    pub fn node_count(&self) -> u32 {
        self.chunks + self.walkable
    }

    /// The node of a phrase, unless it is too common or in one chunk only.
    #[must_use]
    pub fn node_of(&self, phrase: u32) -> Option<u32> {
        (phrase < self.walkable).then(|| self.chunks + phrase)
    }

    /// The phrase that a node stands for; `None` for a chunk.
    #[must_use]
    pub fn phrase_at(&self, node: u32) -> Option<u32> {
        node.checked_sub(self.chunks).filter(|phrase| *phrase < self.walkable)
    }

    /// The neighbours of a node and the share of its weight that each edge has; shares sum to 1 unless there
    /// are no neighbours.
    #[must_use]
    pub fn edges(&self, node: u32) -> (&[u32], &[f32]) {
        let range = bounds(&self.offsets, node);
        (self.targets.get(range.clone()).unwrap_or_default(), self.shares.get(range).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(version: i64, position: u32, phrases: &[(&str, u32, bool)]) -> ChunkPhrases {
        let phrases = phrases.iter().map(|(key, count, own)| ((*key).to_owned(), *count, *own)).collect();
        ChunkPhrases { version, position, phrases }
    }

    fn graph(chunks: &[ChunkPhrases], aliases: &[(&str, &str)]) -> PhraseGraph {
        PhraseGraph::build(chunks.iter().cloned(), aliases.iter().copied())
    }

    fn small() -> Vec<ChunkPhrases> {
        vec![
            chunk(1, 0, &[("paris", 2, true), ("seine", 1, false), ("only here", 1, false)]),
            chunk(1, 1, &[("seine", 1, false)]),
            chunk(2, 0, &[("paris", 1, false)]),
            chunk(3, 0, &[]),
        ]
    }

    #[test]
    fn phrases_are_found_with_their_chunks() {
        let graph = graph(&small(), &[]);
        let paris = graph.find("paris").unwrap_or(u32::MAX);
        assert_eq!((graph.frequency(paris), graph.key(paris)), (2, "paris"));
        assert_eq!(graph.sharers(paris), [0]);
        assert_eq!(graph.own_keys(0), [paris]);
        assert!(graph.own_keys(2).is_empty());
        let sole = graph.find("only here").unwrap_or(u32::MAX);
        assert_eq!((graph.sole_chunk(sole), graph.node_of(sole)), (Some(0), None));
        assert_eq!(graph.sole_chunk(paris), None);
        assert_eq!(graph.find("london"), None);
        let mut keys: Vec<&str> = graph.phrases_of(0).map(|phrase| graph.key(phrase)).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["paris", "seine"]);
    }

    #[test]
    fn edges_follow_the_weights() {
        let graph = graph(&small(), &[]);
        let paris = graph.find("paris").and_then(|phrase| graph.node_of(phrase)).unwrap_or(u32::MAX);
        let seine = graph.find("seine").and_then(|phrase| graph.node_of(phrase)).unwrap_or(u32::MAX);
        let idf = (1.0_f32 + 4.0 / 2.0).ln();
        let sum = 2.0 + idf * 4.0 + idf;
        let (targets, shares) = graph.edges(0);
        let share_of = |node: u32| targets.iter().position(|to| *to == node).map(|at| shares[at]);
        assert_eq!(targets.len(), 3);
        assert!(share_of(1).is_some_and(|share| (share - 2.0 / sum).abs() < 1e-6));
        assert!(share_of(paris).is_some_and(|share| (share - idf * 4.0 / sum).abs() < 1e-6));
        assert!(share_of(seine).is_some_and(|share| (share - idf / sum).abs() < 1e-6));
        assert!(graph.edges(3).0.is_empty());
        assert_eq!(graph.phrase_at(paris).map(|phrase| graph.key(phrase)), Some("paris"));
        assert_eq!(graph.phrase_at(0), None);
    }

    #[test]
    fn aliases_are_one_phrase() {
        let chunks = [
            chunk(1, 0, &[("who", 1, false), ("world health organization", 2, false)]),
            chunk(2, 0, &[("world health organization", 1, false)]),
        ];
        let graph = graph(&chunks, &[("who", "world health organization"), ("a", "b"), ("b", "a")]);
        let phrase = graph.find("who");
        assert_eq!(phrase, graph.find("world health organization"));
        assert_eq!(phrase.map(|phrase| graph.frequency(phrase)), Some(2));
        assert_eq!(graph.phrase_count(), 1);
        assert_eq!(graph.find("a"), None);
    }

    #[test]
    fn common_phrases_carry_no_edges() {
        let chunks: Vec<_> = (0..30).map(|version| chunk(version, 0, &[("everywhere", 1, false)])).collect();
        let graph = graph(&chunks, &[]);
        let phrase = graph.find("everywhere").unwrap_or(u32::MAX);
        assert!(graph.is_common(phrase));
        assert_eq!(graph.node_of(phrase), None);
        assert_eq!(graph.phrases_of(7).collect::<Vec<_>>(), [phrase]);
        assert_eq!(graph.node_count(), 30);
    }

    #[test]
    fn limits_of_frequency() {
        assert_eq!(
            (most_chunks(0), most_chunks(1_000), most_chunks(49_999), most_chunks(1_000_000)),
            (20, 30, 1_499, 200)
        );
    }

    #[test]
    fn the_empty_graph_answers() {
        let graph = PhraseGraph::default();
        assert_eq!((graph.chunk_count(), graph.node_count(), graph.find("x")), (0, 0, None));
        assert!(graph.edges(0).0.is_empty());
    }

    proptest! {
        #[test]
        fn rows_are_distributions_and_symmetric(
            lists in proptest::collection::vec(proptest::collection::btree_map("[a-d]", (1_u32..4, any::<bool>()), 0..4), 0..12)
        ) {
            let chunks: Vec<ChunkPhrases> = lists.iter().enumerate().map(|(at, phrases)| ChunkPhrases {
                version: at as i64 / 3,
                position: at as u32 % 3,
                phrases: phrases.iter().map(|(key, (count, own))| (key.clone(), *count, *own)).collect(),
            }).collect();
            let graph = PhraseGraph::build(chunks.clone(), std::iter::empty::<(&str, &str)>());
            for node in 0..graph.node_count() {
                let (targets, shares) = graph.edges(node);
                let sum: f32 = shares.iter().sum();
                prop_assert!(targets.is_empty() || (sum - 1.0).abs() < 1e-4);
                for to in targets {
                    prop_assert!(graph.edges(*to).0.contains(&node));
                }
            }
            for (at, chunk) in chunks.iter().enumerate() {
                for (key, _, own) in &chunk.phrases {
                    let phrase = graph.find(key);
                    prop_assert!(phrase.is_some());
                    let phrase = phrase.unwrap_or_default();
                    let frequency = chunks.iter().filter(|c| c.phrases.iter().any(|(k, _, _)| k == key)).count();
                    prop_assert_eq!(graph.frequency(phrase) as usize, frequency);
                    prop_assert_eq!(graph.own_keys(at as u32).contains(&phrase), *own);
                    prop_assert_eq!(graph.sole_chunk(phrase).is_some(), frequency == 1);
                }
            }
        }
    }
}
