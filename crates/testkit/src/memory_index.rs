//! A [`Snapshot`] held in plain collections: exact, simple, rebuilt from scratch. It knows chunks and phrases; of
//! entities and relations it holds none.

use std::collections::HashMap;
use std::sync::Arc;

use lorekeep_text::{self as text, Form, TitleDictionary};
use lorekeep_types::{
    ChunkFilter, ChunkId, ChunkPhrases, ChunkSet, CorpusStats, DocumentFilter, DocumentId, EmbeddingModel,
    EmbeddingModelId, EntityDetail, EntityId, GraphStats, LexicalField, Metadata, Neighbourhood, NewChunk, PhraseGraph,
    RelationDetail, RelationId, Result, ScoredChunk, Snapshot, StoredChunk, Vector, VectorKind, VersionId,
};

use crate::Lexicon;

/// A document to index.
#[derive(Clone, Debug, Default)]
pub struct MemoryDocument {
    /// Title.
    pub title: String,
    /// Language (ISO 639-1).
    pub language: Option<String>,
    /// Chunks in order.
    pub chunks: Vec<NewChunk>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct MemoryIndex {
    stats: CorpusStats,
    chunks: Vec<StoredChunk>,
    exact: Lexicon,
    folded: Lexicon,
    words: Lexicon,
    /// Normalised texts with a space at both ends, for finding phrases.
    normalised: Vec<String>,
    vectors: Vec<Vector>,
    model: Option<EmbeddingModelId>,
    graph: PhraseGraph,
}

impl MemoryIndex {
    /// Indexes `documents`; ordinals follow their order. Without an embedder chunks have no vectors.
    ///
    /// # Errors
    /// When the embedder fails.
    pub fn build(documents: Vec<MemoryDocument>, embedder: Option<&dyn EmbeddingModel>) -> Result<Self> {
        let mut index = Self { model: embedder.map(EmbeddingModel::id), ..Self::default() };
        let mut languages: HashMap<String, u32> = HashMap::new();
        let (mut marked, mut all) = (0_u64, 0_u64);
        for (version, document) in (0..).zip(&documents) {
            for chunk in &document.chunks {
                let words = text::diacritic_words(&chunk.text);
                (marked, all) = (marked + u64::from(words.0), all + u64::from(words.1));
                if let Some(language) = &document.language {
                    *languages.entry(language.clone()).or_default() += 1;
                }
                index.push(document, version, chunk, embedder)?;
            }
        }
        index.graph = phrase_graph(&index.chunks, &index.normalised);
        let mut languages: Vec<(String, u32)> = languages.into_iter().collect();
        languages.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
        index.stats = CorpusStats {
            documents: documents.len() as u64,
            chunks: index.chunks.len() as u32,
            diacritic_share: if all == 0 { 0.0 } else { (marked as f64 / all as f64) as f32 },
            languages,
            ..CorpusStats::default()
        };
        Ok(index)
    }

    fn push(
        &mut self,
        document: &MemoryDocument,
        version: i64,
        chunk: &NewChunk,
        embedder: Option<&dyn EmbeddingModel>,
    ) -> Result<()> {
        let governing = chunk.heading_path.last().map(String::as_str);
        let passage = text::passage_text(&document.title, governing, &chunk.text);
        let language = document.language.as_deref();
        self.exact.push(&text::lexical_tokens(&passage, language, Form::Exact));
        self.folded.push(&text::lexical_tokens(&passage, language, Form::Folded));
        self.words.push(&text::norm_words(&chunk.text));
        self.normalised.push(format!(" {} ", text::norm(&chunk.text)));
        if let Some(vector) = embedder.map(|model| model.embed(&[&passage])).transpose()? {
            self.vectors.extend(vector.first().map(|values| Vector::quantise(values)));
        }
        self.chunks.push(StoredChunk {
            id: ChunkId(self.chunks.len() as i64 + 1),
            document: DocumentId::of_source(&version.to_string()),
            document_name: document.title.clone(),
            document_title: document.title.clone(),
            version_id: VersionId(version),
            version: 1,
            metadata: Metadata { language: document.language.clone(), ..Metadata::default() },
            char_start: 0,
            chunk: chunk.clone(),
        });
        Ok(())
    }

    fn lexicon(&self, field: LexicalField) -> &Lexicon {
        match field {
            LexicalField::Exact => &self.exact,
            LexicalField::Folded => &self.folded,
        }
    }
}

/// Phrases of every chunk, with the titles of all chunks found in running text.
fn phrase_graph(chunks: &[StoredChunk], normalised: &[String]) -> PhraseGraph {
    let own: Vec<Vec<String>> =
        chunks.iter().map(|stored| text::own_keys(&stored.chunk.headings, &stored.document_title)).collect();
    let mut titles = TitleDictionary::default();
    own.iter().flatten().for_each(|key| {
        titles.insert(key);
    });
    let lists = chunks.iter().zip(&own).zip(normalised).map(|((stored, own), normalised)| {
        let mut phrases: Vec<(String, u32, bool)> = text::phrases(&stored.chunk.text, own)
            .into_iter()
            .map(|phrase| (phrase.key, phrase.count, phrase.own))
            .collect();
        for (key, count) in titles.matches(normalised.trim()) {
            match phrases.iter_mut().find(|(known, _, _)| known == key) {
                Some((_, known, _)) => *known = count.max(*known),
                None => phrases.push((key.to_owned(), count, false)),
            }
        }
        ChunkPhrases { version: stored.version_id.0, position: stored.chunk.position, phrases }
    });
    PhraseGraph::build(lists, std::iter::empty::<(&str, &str)>())
}

impl Snapshot for MemoryIndex {
    fn seq(&self) -> u64 {
        1
    }

    fn stats(&self) -> &CorpusStats {
        &self.stats
    }

    fn lexical(&self, field: LexicalField, terms: &[String]) -> Result<Vec<ScoredChunk>> {
        Ok(self.lexicon(field).score(terms))
    }

    fn document_frequency(&self, field: LexicalField, term: &str) -> Result<u32> {
        Ok(self.lexicon(field).frequency(term))
    }

    fn phrase_frequency(&self, words: &[&str]) -> Result<u32> {
        let rarest = words.iter().min_by_key(|word| self.words.frequency(word));
        let phrase = format!(" {} ", words.join(" "));
        let holds = |chunk: &u32| self.normalised.get(*chunk as usize).is_some_and(|text| text.contains(&phrase));
        Ok(rarest.map_or(0, |word| self.words.chunks(word).filter(holds).count() as u32))
    }

    fn embedding_model(&self) -> Option<&EmbeddingModelId> {
        self.model.as_ref()
    }

    fn chunk_similarity(&self, query: &[f32]) -> Vec<f32> {
        self.vectors.iter().map(|vector| vector.dot(query)).collect()
    }

    fn nearest(&self, kind: VectorKind, query: &[f32], limit: usize, least: f32) -> Result<Vec<(i64, f32)>> {
        if kind != VectorKind::Chunk {
            return Ok(Vec::new());
        }
        let mut near: Vec<(i64, f32)> = (1..).zip(self.chunk_similarity(query)).collect();
        near.retain(|(_, cosine)| *cosine >= least);
        near.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        near.truncate(limit);
        Ok(near)
    }

    fn cosines(&self, kind: VectorKind, row: i64, others: &[i64]) -> Result<Vec<f32>> {
        let of = |row: i64| {
            let vector = usize::try_from(row - 1).ok().and_then(|at| self.vectors.get(at));
            vector.filter(|_| kind == VectorKind::Chunk)
        };
        let Some(own) = of(row) else { return Ok(vec![0.0; others.len()]) };
        let own: Vec<f32> = own.bytes.iter().map(|byte| f32::from(*byte) * own.scale).collect();
        Ok(others.iter().map(|other| of(*other).map_or(0.0, |vector| vector.dot(&own))).collect())
    }

    fn phrases(&self) -> &PhraseGraph {
        &self.graph
    }

    /// Understands names and languages; the other fields admit everything.
    fn select(&self, filter: &DocumentFilter) -> Result<ChunkFilter> {
        if filter.documents.is_empty() && filter.languages.is_empty() {
            return Ok(None);
        }
        let mut admitted = ChunkSet::with_capacity(self.chunks.len());
        for (ordinal, stored) in (0..).zip(&self.chunks) {
            let named = filter.documents.is_empty() || filter.documents.contains(&stored.document_name);
            let language = stored.metadata.language.as_ref();
            let spoken = filter.languages.is_empty() || language.is_some_and(|code| filter.languages.contains(code));
            if named && spoken {
                admitted.insert(ordinal);
            }
        }
        Ok(Some(admitted))
    }

    fn ordinal(&self, chunk: ChunkId) -> Option<u32> {
        u32::try_from(chunk.0 - 1).ok().filter(|ordinal| *ordinal < self.stats.chunks)
    }

    fn chunks(&self, ordinals: &[u32]) -> Result<Vec<(u32, StoredChunk)>> {
        let stored = |ordinal: &u32| self.chunks.get(*ordinal as usize).map(|chunk| (*ordinal, chunk.clone()));
        Ok(ordinals.iter().filter_map(stored).collect())
    }

    fn entities(&self, _ids: &[EntityId]) -> Result<Vec<Arc<EntityDetail>>> {
        Ok(Vec::new())
    }

    fn relations(&self, _ids: &[RelationId]) -> Result<Vec<Arc<RelationDetail>>> {
        Ok(Vec::new())
    }

    fn relations_of(&self, _entities: &[EntityId], _limit: usize) -> Result<Vec<Arc<RelationDetail>>> {
        Ok(Vec::new())
    }

    fn entity_named(&self, _name: &str) -> Result<Option<EntityDetail>> {
        Ok(None)
    }

    fn search_entities(&self, _text: &str, _limit: usize) -> Result<Vec<EntityDetail>> {
        Ok(Vec::new())
    }

    fn popular_entities(&self, _offset: usize, _limit: usize) -> Result<Vec<EntityDetail>> {
        Ok(Vec::new())
    }

    fn neighbourhood(&self, _from: Option<EntityId>, _depth: u32, _limit: usize) -> Result<Neighbourhood> {
        Ok(Neighbourhood::default())
    }

    fn path(&self, _from: EntityId, _to: EntityId, _depth: u32) -> Result<Neighbourhood> {
        Ok(Neighbourhood::default())
    }

    fn relation_ends(&self) -> Result<Vec<(EntityId, EntityId, f32)>> {
        Ok(Vec::new())
    }

    fn graph_stats(&self) -> Result<GraphStats> {
        Ok(GraphStats::default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn index() -> MemoryIndex {
        let document = |title: &str, texts: &[&str]| MemoryDocument {
            title: title.to_owned(),
            language: Some("en".to_owned()),
            chunks: (0..)
                .zip(texts)
                .map(|(position, text)| NewChunk { position, text: (*text).to_owned(), ..NewChunk::default() })
                .collect(),
        };
        let documents = vec![
            document("River Seine", &["The Seine crosses Paris.", "It ends at the sea."]),
            document("Paris", &["Paris lies on the river seine."]),
        ];
        MemoryIndex::build(documents, None).unwrap()
    }

    #[test]
    fn words_phrases_and_links() {
        let index = index();
        let scored = index.lexical(LexicalField::Folded, &["cross".to_owned()]).unwrap();
        assert_eq!(scored.iter().map(|scored| scored.ordinal).collect::<Vec<_>>(), [0]);
        assert_eq!(index.phrase_frequency(&["river", "seine"]).unwrap(), 1);
        assert_eq!(index.phrase_frequency(&["seine", "river"]).unwrap(), 0);
        let title = index.phrases().find("river seine").unwrap();
        assert_eq!((index.phrases().frequency(title), index.phrases().sharers(title)), (3, &[0, 1][..]));
    }

    #[test]
    fn filters_by_name() {
        let filter = DocumentFilter { documents: vec!["Paris".to_owned()], ..DocumentFilter::default() };
        let admitted = index().select(&filter).unwrap().unwrap();
        assert!(admitted.contains(2) && admitted.len() == 1);
        assert_eq!(index().select(&DocumentFilter::default()).unwrap(), None);
    }
}
