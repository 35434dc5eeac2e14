//! One search: checks the request, finds candidates in the mode asked for, reads them, adds their
//! neighbours, and packs everything into the token budget.

use std::collections::{BTreeMap, HashSet};

use lorekeep_text::{self as text, Form};
use lorekeep_types::{
    ChunkFilter, EmbeddingModel, Error, ErrorCode, Evidence, Keywords, LexicalField, Mode, Reason, RequestContext,
    Result, Retrieval, SearchRequest, Snapshot, StoredChunk, TokenCounter,
};

use super::modes::{Candidate, Found, Modes, chunks_of_graph, merge};
use super::{auto, keywords, pack};

/// Longest question, in code points.
pub const MOST_CHARACTERS: usize = 65_536;
/// Most passages, entities or relations asked for at once.
pub const MOST_RESULTS: usize = 1_000;
/// Most chunks added on each side of a passage.
pub(super) const MOST_NEIGHBOURS: u32 = 5;

/// What a search reads.
#[derive(Clone, Copy)]
pub struct Searcher<'a> {
    /// The views.
    pub snapshot: &'a dyn Snapshot,
    /// The embedder, if the workspace has vectors.
    pub embedder: Option<&'a dyn EmbeddingModel>,
    /// Counts tokens.
    pub tokens: &'a dyn TokenCounter,
    /// Deadline and cancellation.
    pub ctx: &'a RequestContext,
}

/// A passage on its way to becoming evidence: ordinal, score, reasons.
type Pick = (u32, f32, Vec<Reason>);

impl Searcher<'_> {
    /// Finds evidence for a request.
    ///
    /// # Errors
    /// `InvalidRequest` for an empty or over-long question or a number out of range; `CapabilityMissing` for
    /// mode `bypass`, which needs a model; `Cancelled`, `Timeout`; when the views cannot be read.
    pub fn search(&self, request: &SearchRequest) -> Result<Retrieval> {
        let mut retrieval = self.find(request)?;
        fit(request, &mut retrieval, self.tokens);
        Ok(retrieval)
    }

    /// The same before the passages are cut to the whole budget.
    pub(crate) fn find(&self, request: &SearchRequest) -> Result<Retrieval> {
        validate(request)?;
        self.ctx.check()?;
        let admitted = self.snapshot.select(&request.filter)?;
        let mut retrieval = Retrieval {
            keywords: request
                .keywords
                .clone()
                .unwrap_or_else(|| keywords::read(&request.query, self.snapshot.phrases())),
            searched: admitted.as_ref().map_or(self.snapshot.stats().chunks as usize, lorekeep_types::ChunkSet::len),
            ..Retrieval::default()
        };
        let picks = match request.mode {
            Mode::Auto => self.auto(request, &admitted)?,
            _ => self.by_mode(request, &admitted, &mut retrieval)?,
        };
        self.ctx.check()?;
        retrieval.merged_passages = picks.len();
        retrieval.passages = self.read(picks, request)?;
        Ok(retrieval)
    }

    fn auto(&self, request: &SearchRequest, admitted: &ChunkFilter) -> Result<Vec<Pick>> {
        let ranking = auto::rank(self.snapshot, self.embedder, &request.query, admitted, request.limit)?;
        let best = ranking.passages.first().map_or(1.0, |first| first.score).max(f32::MIN_POSITIVE);
        Ok(ranking
            .passages
            .into_iter()
            .map(|ranked| {
                let mut reasons = Vec::new();
                if !ranked.path.is_empty() {
                    reasons.push(Reason::Path { phrases: ranked.path });
                }
                reasons.extend(ranked.cosine.map(|cosine| Reason::Similar { cosine }));
                (ranked.ordinal, ranked.score / best, reasons)
            })
            .collect())
    }

    fn by_mode(&self, request: &SearchRequest, admitted: &ChunkFilter, retrieval: &mut Retrieval) -> Result<Vec<Pick>> {
        let keywords: Keywords = retrieval.keywords.clone();
        let similarity = self.similarity(&request.query)?;
        let modes = Modes {
            snapshot: self.snapshot,
            embedder: self.embedder,
            request,
            keywords: &keywords,
            admitted,
            similarity: &similarity,
        };
        let mut found = modes.run()?;
        retrieval.found = (found.entities.len(), found.relations.len());
        self.fit_graph(request, &mut found);
        let (of_entities, of_relations) = chunks_of_graph(&modes, &found);
        let merged = merge([std::mem::take(&mut found.near), of_entities, of_relations]);
        retrieval.entities = found.entities;
        retrieval.relations = found.relations;
        Ok(picks(merged))
    }

    /// Cosine of every chunk with the question; empty when the embedder does not cover its language.
    fn similarity(&self, question: &str) -> Result<Vec<f32>> {
        let language = text::language_of(question);
        let embedder = self.embedder.filter(|model| language.is_none_or(|code| model.covers(code)));
        let Some(embedder) = embedder else { return Ok(Vec::new()) };
        let vector = embedder.embed_query(question)?;
        Ok(if vector.is_empty() { Vec::new() } else { self.snapshot.chunk_similarity(&vector) })
    }

    /// Reads the best passages and, around each, its neighbours in the same document.
    fn read(&self, mut picks: Vec<Pick>, request: &SearchRequest) -> Result<Vec<Evidence>> {
        picks.truncate(request.limit);
        let ordinals: Vec<u32> = picks.iter().map(|pick| pick.0).collect();
        let mut chunks: BTreeMap<u32, StoredChunk> = self.snapshot.chunks(&ordinals)?.into_iter().collect();
        if request.neighbours > 0 {
            self.add_neighbours(&mut picks, &mut chunks, request.neighbours)?;
        }
        Ok(picks
            .into_iter()
            .filter_map(|(ordinal, score, mut reasons)| {
                let chunk = chunks.remove(&ordinal)?;
                if request.mode == Mode::Auto && !reasons.contains(&Reason::Neighbour) {
                    let terms = auto::matched_terms(&request.query, &lexical_text(&chunk), language(&chunk));
                    reasons.insert(0, Reason::Terms { terms });
                }
                Some(Evidence { score, reasons, chunk })
            })
            .collect())
    }

    fn add_neighbours(&self, picks: &mut Vec<Pick>, chunks: &mut BTreeMap<u32, StoredChunk>, reach: u32) -> Result<()> {
        let known: HashSet<u32> = picks.iter().map(|pick| pick.0).collect();
        let around: Vec<u32> = known
            .iter()
            .flat_map(|ordinal| ordinal.saturating_sub(reach)..=ordinal.saturating_add(reach))
            .filter(|ordinal| !known.contains(ordinal) && *ordinal < self.snapshot.stats().chunks)
            .collect::<HashSet<u32>>()
            .into_iter()
            .collect();
        let neighbours: BTreeMap<u32, StoredChunk> = self.snapshot.chunks(&around)?.into_iter().collect();
        let mut placed = HashSet::new();
        let mut widened = Vec::with_capacity(picks.len() + neighbours.len());
        for (ordinal, score, reasons) in picks.drain(..) {
            let version = chunks.get(&ordinal).map(|chunk| chunk.version_id);
            let range = ordinal.saturating_sub(reach)..=ordinal.saturating_add(reach);
            widened.push((ordinal, score, reasons));
            for (near, chunk) in neighbours.range(range) {
                if Some(chunk.version_id) == version && placed.insert(*near) {
                    widened.push((*near, score, vec![Reason::Neighbour]));
                }
            }
        }
        chunks.extend(neighbours);
        *picks = widened;
        Ok(())
    }

    /// Cuts entities and relations to their own budgets.
    fn fit_graph(&self, request: &SearchRequest, found: &mut Found) {
        pack::keep_within(&mut found.entities, request.max_entity_tokens, |one| pack::entity_tokens(one, self.tokens));
        pack::keep_within(&mut found.relations, request.max_relation_tokens, |one| {
            pack::relation_tokens(one, self.tokens)
        });
    }
}

/// Cuts passages to what entities, relations and the question leave of the whole budget.
pub(crate) fn fit(request: &SearchRequest, retrieval: &mut Retrieval, tokens: &dyn TokenCounter) {
    let entities: usize = retrieval.entities.iter().map(|one| pack::entity_tokens(one, tokens)).sum();
    let relations: usize = retrieval.relations.iter().map(|one| pack::relation_tokens(one, tokens)).sum();
    let taken = entities + relations + pack::question_tokens(&request.query, tokens) + pack::RESERVE;
    let before = retrieval.passages.len();
    pack::keep_within(&mut retrieval.passages, request.max_total_tokens.saturating_sub(taken), pack::passage_tokens);
    let dropped = before - retrieval.passages.len();
    if dropped > 0 {
        retrieval.notices.push(format!(
            "{dropped} of {before} passages were left out: the context is limited to {} tokens",
            request.max_total_tokens
        ));
    }
}

/// Chunks that hold words of the question, for where vectors say nothing.
///
/// # Errors
/// When the views cannot be read.
pub(super) fn lexical_candidates(snapshot: &dyn Snapshot, question: &str) -> Result<Vec<Candidate>> {
    let terms = text::lexical_tokens(question, text::language_of(question), Form::Folded);
    let scored = snapshot.lexical(LexicalField::Folded, &terms)?;
    let best = scored.iter().map(|hit| hit.score).fold(f32::MIN_POSITIVE, f32::max);
    Ok(scored
        .into_iter()
        .map(|hit| Candidate {
            ordinal: hit.ordinal,
            score: hit.score / best,
            reason: Reason::Terms { terms: Vec::new() },
        })
        .collect())
}

/// Merged candidates keep their order; the score falls with the place.
fn picks(merged: Vec<Candidate>) -> Vec<Pick> {
    let count = merged.len().max(1) as f32;
    merged
        .into_iter()
        .zip(0_u16..)
        .map(|(candidate, place)| {
            let reasons = match candidate.reason {
                Reason::Terms { .. } => Vec::new(),
                reason => vec![reason],
            };
            (candidate.ordinal, 1.0 - f32::from(place) / count, reasons)
        })
        .collect()
}

/// What the text view holds of a chunk.
pub(super) fn lexical_text(chunk: &StoredChunk) -> String {
    let governing = chunk.chunk.heading_path.last().map(String::as_str);
    text::passage_text(&chunk.document_title, governing, &chunk.chunk.text)
}

fn language(chunk: &StoredChunk) -> Option<&str> {
    chunk.metadata.language.as_deref()
}

fn validate(request: &SearchRequest) -> Result<()> {
    let characters = request.query.chars().count();
    if request.query.trim().is_empty() {
        return Err(Error::invalid("the question is empty").hint("ask for something"));
    }
    if characters > MOST_CHARACTERS {
        return Err(Error::invalid(format!(
            "the question has {characters} characters; {MOST_CHARACTERS} is the limit"
        ))
        .hint("put long text into a document and ask about it"));
    }
    if request.mode == Mode::Bypass {
        return Err(Error::new(ErrorCode::CapabilityMissing, "mode `bypass` asks a model, and none is configured")
            .hint("use mode `auto`, which quotes your documents"));
    }
    for (name, value) in [("limit", request.limit), ("top_k", request.top_k)] {
        if !(1..=MOST_RESULTS).contains(&value) {
            return Err(Error::invalid(format!("`{name}` is {value}; it must be 1 to {MOST_RESULTS}")));
        }
    }
    if request.neighbours > MOST_NEIGHBOURS {
        let asked = request.neighbours;
        return Err(Error::invalid(format!("`neighbours` is {asked}; it must be 0 to {MOST_NEIGHBOURS}")));
    }
    Ok(())
}
