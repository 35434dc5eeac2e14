//! The passage table: per chunk the lengths, the phrases and the dictionary links that the graph view and the
//! scores need, in memory and, through [`log`], in one append-only file. It analyses nothing itself.

mod codec;
mod log;
mod names;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lorekeep_types::ChunkPhrases;

pub(super) use log::PassageLog;
pub(super) use names::Names;

/// Why a phrase belongs to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PhraseUse {
    /// Number of the key in [`Names`].
    pub(super) name: u32,
    /// Occurrences.
    pub(super) count: u32,
    /// Whether it names the chunk's own topic.
    pub(super) own: bool,
}

/// One chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Passage {
    /// Its row in the truth.
    pub(super) chunk: i64,
    /// Its place in the document.
    pub(super) position: u32,
    /// Terms in the exact field.
    pub(super) exact: u32,
    /// Terms in the folded field.
    pub(super) folded: u32,
    /// Words that carry a diacritic, and all words.
    pub(super) diacritics: (u32, u32),
    /// What the extractor found.
    pub(super) mentions: Box<[PhraseUse]>,
    /// Titles of the workspace that its text spells out.
    pub(super) links: Box<[PhraseUse]>,
}

/// One version of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct VersionPassages {
    /// Its row in the truth.
    pub(super) version: i64,
    /// Its language, if known.
    pub(super) language: Option<String>,
    /// Its chunks in order.
    pub(super) passages: Vec<Passage>,
}

/// What one commit changes. Applying it twice changes nothing more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    /// The last change of the truth that is contained.
    pub(super) seq: u64,
    /// Keys new to [`Names`], in the order of their numbers.
    pub(super) names: Vec<String>,
    /// Versions that are gone.
    pub(super) removed: Vec<i64>,
    /// Versions that are new or analysed anew.
    pub(super) added: Vec<Arc<VersionPassages>>,
    /// New links: version, place of the chunk in it, links.
    pub(super) links: Vec<(i64, u32, Box<[PhraseUse]>)>,
}

/// All passages.
#[derive(Debug, Default)]
pub(super) struct Passages {
    /// The last change of the truth that is contained.
    pub(super) seq: u64,
    /// The keys.
    pub(super) names: Names,
    /// By version; chunk ids ascend with version ids.
    versions: BTreeMap<i64, Arc<VersionPassages>>,
    /// Versions by their first chunk.
    starts: BTreeMap<i64, i64>,
    /// How many chunks have a key as their own.
    owners: HashMap<u32, u32>,
}

impl Passages {
    /// Applies a commit.
    pub(super) fn apply(&mut self, delta: Delta) {
        for name in &delta.names {
            self.names.intern(name);
        }
        for version in &delta.removed {
            self.remove(*version);
        }
        for version in delta.added {
            self.remove(version.version);
            for phrase in version.own_names() {
                *self.owners.entry(phrase).or_default() += 1;
            }
            if let Some(first) = version.passages.first() {
                self.starts.insert(first.chunk, version.version);
            }
            self.versions.insert(version.version, version);
        }
        for (version, place, links) in delta.links {
            let passages = self.versions.get_mut(&version).map(Arc::make_mut);
            if let Some(passage) = passages.and_then(|version| version.passages.get_mut(place as usize)) {
                passage.links = links;
            }
        }
        self.seq = delta.seq;
    }

    fn remove(&mut self, version: i64) {
        let Some(removed) = self.versions.remove(&version) else { return };
        if let Some(first) = removed.passages.first() {
            self.starts.remove(&first.chunk);
        }
        for phrase in removed.own_names() {
            if let Some(count) = self.owners.get_mut(&phrase) {
                *count -= 1;
                if *count == 0 {
                    self.owners.remove(&phrase);
                }
            }
        }
    }

    /// One version.
    pub(super) fn version(&self, version: i64) -> Option<&Arc<VersionPassages>> {
        self.versions.get(&version)
    }

    /// All versions by id.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Arc<VersionPassages>> {
        self.versions.values()
    }

    /// Every key that some chunk has as its own.
    pub(super) fn own_names(&self) -> impl Iterator<Item = u32> {
        self.owners.keys().copied()
    }

    /// Whether some chunk has the key as its own.
    pub(super) fn is_own(&self, name: u32) -> bool {
        self.owners.contains_key(&name)
    }

    /// The phrases of every chunk, by chunk: mentions, and titles that the text spells out. A title that is
    /// mentioned too counts as often as the more thorough of the two found it.
    pub(super) fn chunk_phrases(&self) -> impl Iterator<Item = ChunkPhrases> {
        self.versions.values().flat_map(move |version| {
            version.passages.iter().map(move |passage| ChunkPhrases {
                version: version.version,
                position: passage.position,
                phrases: self.phrases(passage),
            })
        })
    }

    fn phrases(&self, passage: &Passage) -> Vec<(String, u32, bool)> {
        let count_of = |name: u32, among: &[PhraseUse]| {
            among.iter().find(|phrase| phrase.name == name).map_or(0, |phrase| phrase.count)
        };
        let mentions = passage.mentions.iter().map(|mention| {
            let count = mention.count.max(count_of(mention.name, &passage.links));
            (self.names.get(mention.name).to_owned(), count, mention.own)
        });
        let others = passage.links.iter().filter(|link| count_of(link.name, &passage.mentions) == 0);
        let others = others.map(|link| (self.names.get(link.name).to_owned(), link.count, link.own));
        mentions.chain(others).collect()
    }

    /// The passage of a chunk: its version and its place in it.
    pub(super) fn locate(&self, chunk: i64) -> Option<(&Arc<VersionPassages>, usize)> {
        let (_, version) = self.starts.range(..=chunk).next_back()?;
        let version = self.versions.get(version)?;
        let place = version.passages.binary_search_by_key(&chunk, |passage| passage.chunk).ok()?;
        Some((version, place))
    }
}

impl VersionPassages {
    /// The own keys of its chunks, with repetitions.
    pub(super) fn own_names(&self) -> impl Iterator<Item = u32> {
        let mentions = self.passages.iter().flat_map(|passage| passage.mentions.iter());
        mentions.filter(|phrase| phrase.own).map(|phrase| phrase.name)
    }
}
