//! Reading a part of the truth into a generation: what is gathered before a commit. Deciding when to commit, and
//! what a commit does, is [`super::generation`].

use std::collections::{BTreeMap, BTreeSet};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use lorekeep_text::TitleDictionary;
use lorekeep_types::{Cancel, VersionId};

use super::analyse::{Analysis, analyse};
use super::passages::{Names, Passage, Passages, PhraseUse, VersionPassages};
use super::text::TextView;
use super::vectors::VectorSet;
use crate::error::{Result, StoreError};
use crate::truth::changes::{Change, ChangeKind};
use crate::truth::reader::Reader;
use crate::truth::reader::follow::{ChunkRow, VersionRow};

/// Chunks analysed at a time.
const GROUP: usize = 256;

/// What a page of changes asks for, each row once.
#[derive(Debug, Default)]
struct Touched {
    added: BTreeSet<i64>,
    removed: BTreeSet<i64>,
    mentions: BTreeSet<i64>,
}

/// Everything gathered since the last commit.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// The last change contained.
    pub(super) seq: u64,
    /// Versions to add or replace, with the page that analysed their text (0: their text is as it was).
    pub(super) versions: BTreeMap<i64, (u32, VersionPassages)>,
    /// Versions that are gone.
    pub(super) removed: BTreeSet<i64>,
    /// Titles that became known, with the page before whose analysis they did.
    pub(super) titles: BTreeMap<String, u32>,
    /// Entities and relations to read anew.
    pub(super) entities: BTreeSet<i64>,
    /// See `entities`.
    pub(super) relations: BTreeSet<i64>,
    /// Whether the aliases differ.
    pub(super) aliases: bool,
    /// Whether all vectors are those of another model.
    pub(super) vectors: bool,
    /// Whether it holds all there is, not what changed.
    pub(super) everything: bool,
    page: u32,
}

/// The parts of a generation that staging writes to. All of it can be taken back.
pub(super) struct Parts<'g> {
    pub(super) passages: &'g mut Passages,
    pub(super) titles: &'g mut TitleDictionary,
    pub(super) text: &'g mut TextView,
    pub(super) vectors: &'g mut VectorSet,
}

/// Told how many chunks were analysed; an error ends the work.
pub(super) type Progress<'p> = &'p mut dyn FnMut(u64) -> Result<()>;

impl Stage {
    /// An empty stage after change `seq`.
    pub(super) fn after(seq: u64) -> Self {
        Self { seq, ..Self::default() }
    }

    /// Whether chunks, or what the graph knows of them, differ.
    pub(super) fn touches_chunks(&self) -> bool {
        !self.versions.is_empty() || !self.removed.is_empty()
    }

    /// Gathers what a page of changes asks for.
    pub(super) fn follow(&mut self, reader: &Reader<'_>, changes: &[Change], parts: &mut Parts<'_>) -> Result<()> {
        let touched = self.sort_out(changes);
        // After a crash text index and passage table may stand at different changes: what either has seen is
        // applied to both once more.
        let seen = parts.text.seq().max(parts.passages.seq);
        let replayed = seen >= changes.first().map_or(u64::MAX, |change| change.seq);
        self.page += 1;
        for version in &touched.removed {
            let staged = self.versions.remove(version).is_some();
            if staged || replayed || parts.passages.version(*version).is_some() {
                parts.text.remove(*version)?;
                self.removed.insert(*version);
            }
        }
        let mut added = Vec::new();
        for version in &touched.added {
            if let Some(row) = reader.version(VersionId(*version))? {
                if replayed || parts.passages.version(*version).is_some() || self.versions.contains_key(version) {
                    parts.text.remove(*version)?;
                }
                self.read_mentions(reader, &row, parts)?;
                added.push(row);
            }
        }
        for version in touched.mentions.difference(&touched.added) {
            if let Some(row) = reader.version(VersionId(*version))? {
                self.read_mentions(reader, &row, parts)?;
            }
        }
        self.seq = changes.last().map_or(self.seq, |change| change.seq);
        self.read_chunks(reader, &added, parts, &mut |_| Ok(()))
    }

    /// Gathers every version that the reader sees.
    pub(super) fn everything(
        &mut self,
        reader: &Reader<'_>,
        parts: &mut Parts<'_>,
        cancel: &Cancel,
        progress: &dyn Fn(u64, u64),
    ) -> Result<()> {
        self.seq = reader.seq();
        self.everything = true;
        self.page += 1;
        let total = reader.chunk_count()?;
        let versions = reader.versions()?;
        progress(0, total);
        for version in &versions {
            self.read_mentions(reader, version, parts)?;
        }
        self.read_chunks(reader, &versions, parts, &mut |done| {
            progress(done, total);
            if cancel.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
        })
    }

    fn sort_out(&mut self, changes: &[Change]) -> Touched {
        let mut touched = Touched::default();
        for change in changes {
            match change.kind {
                ChangeKind::VersionAdded(version) => _ = touched.added.insert(version.0),
                ChangeKind::VersionRemoved(version) => {
                    touched.added.remove(&version.0);
                    touched.mentions.remove(&version.0);
                    touched.removed.insert(version.0);
                }
                ChangeKind::MentionsChanged(version) => _ = touched.mentions.insert(version.0),
                ChangeKind::EntityChanged(row) | ChangeKind::EntityRemoved(row) | ChangeKind::EntityVector(row) => {
                    self.entities.insert(row);
                }
                ChangeKind::RelationChanged(row)
                | ChangeKind::RelationRemoved(row)
                | ChangeKind::RelationVector(row) => _ = self.relations.insert(row),
                ChangeKind::AliasesChanged => self.aliases = true,
                ChangeKind::VectorsReplaced => self.vectors = true,
            }
        }
        touched
    }

    /// Stages a version with its present mentions. Text, lengths and links stay as they were known; a version
    /// that was not known gets them from [`Self::read_chunks`].
    fn read_mentions(&mut self, reader: &Reader<'_>, row: &VersionRow, parts: &mut Parts<'_>) -> Result<()> {
        let mut mentions: Vec<Vec<PhraseUse>> = vec![Vec::new(); row.chunks as usize];
        let mut titles = Vec::new();
        reader.each_mention(row, &mut |chunk, key, count, own| {
            let name = parts.passages.names.intern(key);
            let place = usize::try_from(chunk.0 - row.first_chunk.0).unwrap_or(usize::MAX);
            if let Some(mentions) = mentions.get_mut(place) {
                mentions.push(PhraseUse { name, count, own });
            }
            if own && parts.titles.insert(key) {
                titles.push(key.to_owned());
            }
            Ok(())
        })?;
        let page = self.page;
        self.titles.extend(titles.into_iter().map(|title| (title, page)));
        let (analysed, mut version) = self.versions.remove(&row.id.0).unwrap_or_else(|| {
            let known = parts.passages.version(row.id.0);
            (0, known.map_or_else(|| blank(row), |known| VersionPassages::clone(known)))
        });
        for (passage, mentions) in version.passages.iter_mut().zip(mentions) {
            passage.mentions = mentions.into_boxed_slice();
        }
        self.versions.insert(row.id.0, (analysed, version));
        Ok(())
    }

    /// Reads, analyses and indexes the chunks and the vectors of staged versions.
    fn read_chunks(
        &mut self,
        reader: &Reader<'_>,
        versions: &[VersionRow],
        parts: &mut Parts<'_>,
        progress: Progress<'_>,
    ) -> Result<()> {
        let mut group: Vec<(&VersionRow, ChunkRow)> = Vec::with_capacity(GROUP);
        let mut done = 0;
        for row in versions {
            reader.each_chunk(row, &mut |chunk| {
                group.push((row, chunk));
                if group.len() == GROUP {
                    done += self.index(&mut group, parts)?;
                    progress(done)?;
                }
                Ok(())
            })?;
            reader.each_chunk_vector(row, &mut |chunk, vector| {
                parts.vectors.put(chunk.0, &vector);
                Ok(())
            })?;
        }
        done += self.index(&mut group, parts)?;
        progress(done)
    }

    fn index(&mut self, group: &mut Vec<(&VersionRow, ChunkRow)>, parts: &mut Parts<'_>) -> Result<u64> {
        let titles = &*parts.titles;
        let analyses: Vec<Analysis> = group.par_iter().map(|(row, chunk)| analyse(row, chunk, titles)).collect();
        for ((row, chunk), analysis) in group.iter().zip(analyses) {
            parts.text.add(row.id.0, chunk.id.0, &analysis.words)?;
            let links =
                analysis.links.iter().map(|(key, count)| link(&mut parts.passages.names, key, *count)).collect();
            let Some((page, version)) = self.versions.get_mut(&row.id.0) else { continue };
            *page = self.page;
            let place = usize::try_from(chunk.id.0 - row.first_chunk.0).unwrap_or(usize::MAX);
            if let Some(passage) = version.passages.get_mut(place) {
                (passage.exact, passage.folded) = analysis.lengths;
                passage.diacritics = analysis.diacritics;
                passage.position = chunk.position;
                passage.links = links;
            }
        }
        let count = group.len() as u64;
        group.clear();
        Ok(count)
    }
}

/// A title that a chunk spells out.
pub(super) fn link(names: &mut Names, key: &str, count: u32) -> PhraseUse {
    PhraseUse { name: names.intern(key), count, own: false }
}

fn blank(row: &VersionRow) -> VersionPassages {
    let chunks = row.first_chunk.0..row.first_chunk.0 + i64::from(row.chunks);
    VersionPassages {
        version: row.id.0,
        language: row.language.clone(),
        passages: chunks.map(|chunk| Passage { chunk, ..Passage::default() }).collect(),
    }
}
