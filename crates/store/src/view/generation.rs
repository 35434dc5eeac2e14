//! One generation of the views: text index, passage table, vectors and title dictionary of one folder, and the
//! steps that bring them from one change of the truth to a later one. Which generation is in use, and who may
//! write, is decided by [`super::Views`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorekeep_text::{TitleDictionary, norm};
use lorekeep_types::{Cancel, ChunkId, EmbeddingModelId, PhraseGraph, VectorKind};

use super::analyse::links;
use super::lazy::LazyVectors;
use super::passages::{Delta, PassageLog, Passages, PhraseUse};
use super::stage::{Parts, Stage, link};
use super::text::{TextReader, TextView};
use super::vectors::VectorSet;
use crate::error::{Result, StoreError};
use crate::truth::Truth;
use crate::truth::reader::Reader;

/// Changes read in one transaction.
const PAGE: usize = 50_000;

/// See the module's text.
pub(super) struct Generation {
    pub(super) text: TextView,
    pub(super) passages: Passages,
    pub(super) titles: TitleDictionary,
    pub(super) vectors: VectorSet,
    /// The model of all vectors.
    pub(super) model: Option<EmbeddingModelId>,
    pub(super) entities: Arc<LazyVectors>,
    pub(super) relations: Arc<LazyVectors>,
    pub(super) counts: (u64, u64),
    aliases: Vec<(String, String)>,
    /// `None` when it is out of date.
    pub(super) graph: Option<Arc<PhraseGraph>>,
    log: Option<PassageLog>,
    /// Keys that the log holds.
    logged: u32,
    /// The log lacks something that is in memory: it must be written anew.
    log_behind: bool,
    /// Memory holds a part of a commit only: the generation must be built anew.
    torn: bool,
}

impl Generation {
    /// An empty generation in an empty folder, or in memory.
    pub(super) fn create(folder: Option<&Path>) -> Result<Self> {
        let text = match folder.map(text_folder) {
            Some(folder) => {
                std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
                TextView::create(Some(&folder))?
            }
            None => TextView::create(None)?,
        };
        let log = folder.map(|folder| PassageLog::create(&log_file(folder))).transpose()?;
        Ok(Self::with(text, Passages::default(), log))
    }

    /// Opens a generation as it was left, without following the truth.
    pub(super) fn open(folder: &Path, truth: &Truth) -> Result<Self> {
        let (log, passages) = PassageLog::open(&log_file(folder))?;
        let text = TextView::open(&text_folder(folder))?;
        let mut generation = Self::with(text, passages, Some(log));
        let reader = truth.read()?;
        generation.read_vectors(&reader)?;
        generation.aliases = reader.aliases()?;
        generation.counts = reader.graph_counts()?;
        Ok(generation)
    }

    /// Reads the vectors of the chunks it has, and whose they are.
    fn read_vectors(&mut self, reader: &Reader<'_>) -> Result<()> {
        let mut vectors = VectorSet::default();
        reader.each_vector(VectorKind::Chunk, &mut |chunk, vector| {
            if self.passages.locate(chunk).is_some() {
                vectors.put(chunk, &vector);
            }
            Ok(())
        })?;
        self.vectors = vectors;
        self.model = reader.embedding_model()?;
        Ok(())
    }

    fn with(text: TextView, passages: Passages, log: Option<PassageLog>) -> Self {
        Self {
            titles: titles_of(&passages),
            logged: passages.names.len(),
            text,
            passages,
            vectors: VectorSet::default(),
            model: None,
            entities: Arc::new(LazyVectors::new(VectorKind::Entity)),
            relations: Arc::new(LazyVectors::new(VectorKind::Relation)),
            counts: (0, 0),
            aliases: Vec::new(),
            graph: None,
            log,
            log_behind: false,
            torn: false,
        }
    }

    /// Fills an empty generation with everything the truth holds.
    pub(super) fn fill(&mut self, truth: &Truth, cancel: &Cancel, progress: &dyn Fn(u64, u64)) -> Result<()> {
        let reader = truth.read()?;
        let mut stage = Stage::after(0);
        stage.everything(&reader, &mut self.parts(), cancel, progress)?;
        self.commit(&reader, stage)
    }

    /// Applies what happened since. `Ok(false)`: the generation cannot follow and must be built anew. After an
    /// error it is as it was, or says at the next call that it must be built anew.
    pub(super) fn follow(&mut self, truth: &Truth) -> Result<bool> {
        let outcome = self.try_follow(truth);
        if !matches!(outcome, Ok(true)) {
            self.text.abandon();
            self.titles = titles_of(&self.passages);
        }
        outcome
    }

    fn try_follow(&mut self, truth: &Truth) -> Result<bool> {
        if self.torn {
            return Ok(false);
        }
        let mut stage = Stage::after(self.passages.seq.min(self.text.seq()));
        let known = self.passages.seq;
        loop {
            let reader = truth.read()?;
            let page = reader.changes_after(stage.seq, PAGE)?;
            if !page.complete {
                return Ok(false);
            }
            if page.changes.is_empty() {
                if stage.seq > known || stage.touches_chunks() || self.log_behind {
                    self.commit(&reader, stage)?;
                }
                return Ok(true);
            }
            stage.follow(&reader, &page.changes, &mut self.parts())?;
        }
    }

    fn parts(&mut self) -> Parts<'_> {
        Parts {
            passages: &mut self.passages,
            titles: &mut self.titles,
            text: &mut self.text,
            vectors: &mut self.vectors,
        }
    }

    /// Makes the stage part of the generation: text first, for the passage table tells how far both are.
    fn commit(&mut self, reader: &Reader<'_>, stage: Stage) -> Result<()> {
        if stage.touches_chunks() || self.text.seq() == 0 {
            self.text.commit(stage.seq)?;
        }
        self.torn = true;
        self.follow_graph(reader, &stage)?;
        let replaced = stage.vectors;
        let (mut delta, mending) = self.apply(stage);
        if replaced {
            self.read_vectors(reader)?;
        } else {
            self.model = reader.embedding_model()?;
        }
        delta.links = self.relink(reader, mending)?;
        self.passages.apply(Delta { seq: delta.seq, links: delta.links.clone(), ..Delta::default() });
        self.torn = false;
        self.persist(delta)
    }

    fn follow_graph(&mut self, reader: &Reader<'_>, stage: &Stage) -> Result<()> {
        if stage.vectors {
            self.entities = Arc::new(LazyVectors::new(VectorKind::Entity));
            self.relations = Arc::new(LazyVectors::new(VectorKind::Relation));
        }
        if !stage.entities.is_empty() {
            self.entities = self.entities.followed(reader, stage.entities.iter().copied())?;
        }
        if !stage.relations.is_empty() {
            self.relations = self.relations.followed(reader, stage.relations.iter().copied())?;
        }
        if stage.everything || !stage.entities.is_empty() || !stage.relations.is_empty() {
            self.counts = reader.graph_counts()?;
        }
        if stage.everything || stage.aliases {
            self.aliases = reader.aliases()?;
        }
        if stage.touches_chunks() || stage.aliases {
            self.graph = None;
        }
        Ok(())
    }

    fn apply(&mut self, stage: Stage) -> (Delta, Mending) {
        let mut mending = Mending { titles: stage.titles, ..Mending::default() };
        for version in stage.removed.iter().chain(stage.versions.keys()) {
            let Some(known) = self.passages.version(*version) else { continue };
            mending.outdated.extend(known.own_names());
            if stage.removed.contains(version) {
                known.passages.iter().for_each(|passage| self.vectors.remove(passage.chunk));
            }
        }
        let mut delta = Delta { seq: stage.seq, removed: stage.removed.into_iter().collect(), ..Delta::default() };
        for (id, (page, version)) in stage.versions {
            mending.analysed.insert(id, page);
            delta.added.push(Arc::new(version));
        }
        self.passages.apply(delta.clone());
        (delta, mending)
    }

    /// The links that differ because titles came or went.
    fn relink(&mut self, reader: &Reader<'_>, mending: Mending) -> Result<Vec<Relink>> {
        let mut affected = BTreeSet::new();
        let text = self.text.searcher();
        for (title, page) in self.changed_titles(mending.titles, &mending.outdated) {
            let words: Vec<&str> = title.split(' ').collect();
            if words.len() < 2 {
                continue;
            }
            for chunk in text.chunks_with(&words)? {
                let version = self.passages.locate(chunk).map(|(version, _)| version.version);
                let analysed = version.and_then(|version| mending.analysed.get(&version)).copied().unwrap_or(0);
                if analysed < page {
                    affected.insert(chunk);
                }
            }
        }
        self.links_of(reader, &affected)
    }

    /// Titles that came, with the page that first knew them, and titles that went, with [`u32::MAX`].
    fn changed_titles(&mut self, came: BTreeMap<String, u32>, outdated: &BTreeSet<u32>) -> Vec<(String, u32)> {
        let went = outdated.iter().map(|name| (self.passages.names.get(*name).to_owned(), u32::MAX));
        let candidates: Vec<(String, u32)> = went.chain(came).collect();
        let mut changed = Vec::new();
        for (title, page) in candidates {
            let is_own = self.passages.names.find(&title).is_some_and(|name| self.passages.is_own(name));
            if !is_own {
                if self.titles.remove(&title) {
                    changed.push((title, u32::MAX));
                }
            } else if page != u32::MAX {
                changed.push((title, page));
            }
        }
        changed
    }

    fn links_of(&mut self, reader: &Reader<'_>, chunks: &BTreeSet<i64>) -> Result<Vec<Relink>> {
        let mut relinks = Vec::new();
        for chunk in reader.chunks(&chunks.iter().copied().map(ChunkId).collect::<Vec<_>>())? {
            let found = links(&norm(&chunk.chunk.text), &self.titles);
            let links: Box<[PhraseUse]> =
                found.iter().map(|(key, count)| link(&mut self.passages.names, key, *count)).collect();
            let Some((version, place)) = self.passages.locate(chunk.id.0) else { continue };
            if version.passages.get(place).is_some_and(|passage| passage.links != links) {
                relinks.push((version.version, u32::try_from(place).unwrap_or(u32::MAX), links));
            }
        }
        Ok(relinks)
    }

    /// Writes the commit into the log, or the whole table when the log is behind or overgrown.
    fn persist(&mut self, mut delta: Delta) -> Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let behind = std::mem::replace(&mut self.log_behind, true);
        if behind || log.is_overgrown() {
            self.passages = log.rewrite(&self.passages)?;
        } else {
            let names = self.logged..self.passages.names.len();
            delta.names = names.map(|name| self.passages.names.get(name).to_owned()).collect();
            log.append(&delta)?;
        }
        self.logged = self.passages.names.len();
        self.log_behind = false;
        Ok(())
    }

    /// Makes the generation durable and ends its writer.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.text.settle()?;
        self.log.as_ref().map_or(Ok(()), PassageLog::sync)
    }

    /// The phrase graph, built now if it is out of date.
    pub(super) fn graph(&mut self) -> Arc<PhraseGraph> {
        let (passages, aliases) = (&self.passages, &self.aliases);
        let build = || {
            let chunks = passages.chunk_phrases();
            Arc::new(PhraseGraph::build(chunks, aliases.iter().map(|(alias, key)| (alias.as_str(), key.as_str()))))
        };
        Arc::clone(self.graph.get_or_insert_with(build))
    }

    /// What readers of the text view see.
    pub(super) fn text(&self) -> TextReader {
        self.text.searcher()
    }
}

/// New links of the chunk at a place of a version.
type Relink = (i64, u32, Box<[PhraseUse]>);

/// What a commit may have made untrue of the links.
#[derive(Debug, Default)]
struct Mending {
    /// Titles that became known and the page that first knew them.
    titles: BTreeMap<String, u32>,
    /// Own keys that changed versions had before.
    outdated: BTreeSet<u32>,
    /// The page in which a version's text was analysed.
    analysed: BTreeMap<i64, u32>,
}

fn titles_of(passages: &Passages) -> TitleDictionary {
    let mut titles = TitleDictionary::default();
    for name in passages.own_names() {
        titles.insert(passages.names.get(name));
    }
    titles
}

fn text_folder(folder: &Path) -> PathBuf {
    folder.join("text")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("passages")
}
