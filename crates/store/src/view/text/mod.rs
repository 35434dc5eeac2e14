//! The text view: one tantivy index whose documents are chunks. It owns schema, opening, checking and writing;
//! reading is [`search`]. It stores no text and no scores: lengths come from the passage table, statistics from
//! the live postings.

mod search;
mod tokens;

use std::path::Path;

use crate::error::Result;
use tantivy::directory::{MmapDirectory, RamDirectory};
use tantivy::indexer::IndexWriterOptions;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};
use tantivy::{Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term};

pub(super) use search::TextSearch;

use super::fault::{damaged, text_fault};
use tokens::SpaceTokenizer;

/// Memory in which new postings gather before they become a segment.
const WRITER_BYTES: usize = 20 << 20;

/// Name of the tokenizer in the index's metadata.
const TOKENIZER: &str = "spaces";

/// The analysed words of one chunk, each joined by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IndexedWords {
    /// Terms with diacritics.
    pub(super) exact: String,
    /// Terms without diacritics.
    pub(super) folded: String,
    /// Normalised words of the text, not stemmed.
    pub(super) words: String,
}

/// The fields of the index.
#[derive(Clone, Copy, Debug)]
struct Fields {
    exact: Field,
    folded: Field,
    words: Field,
    chunk: Field,
    version: Field,
}

/// One generation of the index.
pub(super) struct TextView {
    index: Index,
    reader: IndexReader,
    fields: Fields,
    /// Made at the first write, so that a process that only reads has no writer threads.
    writer: Option<IndexWriter>,
    seq: u64,
}

impl TextView {
    /// Makes an empty index in an empty folder, or in memory.
    pub(super) fn create(folder: Option<&Path>) -> Result<Self> {
        let (schema, fields) = schema();
        let builder = Index::builder().schema(schema).tokenizers(tokenizers()).settings(IndexSettings::default());
        let index = match folder {
            Some(folder) => {
                let directory = MmapDirectory::open(folder).map_err(text_fault)?;
                builder.open_or_create(directory).map_err(text_fault)?
            }
            None => builder.open_or_create(RamDirectory::create()).map_err(text_fault)?,
        };
        Self::with_index(index, fields, 0)
    }

    /// Opens an index and verifies the checksum of every file of it.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let (schema, fields) = schema();
        let directory = MmapDirectory::open(folder).map_err(text_fault)?;
        let mut index = Index::open(directory).map_err(text_fault)?;
        index.set_tokenizers(tokenizers());
        if index.schema() != schema {
            return Err(damaged("the text view has another format"));
        }
        let broken = index.validate_checksum().map_err(text_fault)?;
        if let Some(file) = broken.iter().next() {
            return Err(damaged(format!("`{}` of the text view is damaged", file.display())));
        }
        let payload = index.load_metas().map_err(text_fault)?.payload;
        let seq = payload.and_then(|seq| seq.parse().ok()).ok_or_else(|| damaged("the text view names no change"))?;
        Self::with_index(index, fields, seq)
    }

    fn with_index(index: Index, fields: Fields, seq: u64) -> Result<Self> {
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(0)
            .try_into()
            .map_err(text_fault)?;
        Ok(Self { index, reader, fields, writer: None, seq })
    }

    /// The last change committed.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Removes every chunk of a version from the next commit on. Unknown versions are no error.
    pub(super) fn remove(&mut self, version: i64) -> Result<()> {
        let term = Term::from_field_u64(self.fields.version, version.cast_unsigned());
        self.writer()?.delete_term(term);
        Ok(())
    }

    /// Adds a chunk to the next commit.
    pub(super) fn add(&mut self, version: i64, chunk: i64, words: &IndexedWords) -> Result<()> {
        let Fields { exact, folded, words: plain, chunk: id, version: of } = self.fields;
        let mut document = TantivyDocument::new();
        document.add_text(exact, &words.exact);
        document.add_text(folded, &words.folded);
        document.add_text(plain, &words.words);
        document.add_u64(id, chunk.cast_unsigned());
        document.add_u64(of, version.cast_unsigned());
        self.writer()?.add_document(document).map_err(text_fault)?;
        Ok(())
    }

    /// Makes everything since the last commit durable and visible, as of change `seq`. A failed commit leaves
    /// the index as it was, without what was added since.
    pub(super) fn commit(&mut self, seq: u64) -> Result<()> {
        if let Err(fault) = self.try_commit(seq) {
            self.writer = None;
            return Err(fault);
        }
        self.reader.reload().map_err(text_fault)?;
        self.seq = seq;
        Ok(())
    }

    fn try_commit(&mut self, seq: u64) -> Result<()> {
        let mut prepared = self.writer()?.prepare_commit().map_err(text_fault)?;
        prepared.set_payload(&seq.to_string());
        prepared.commit().map_err(text_fault)?;
        Ok(())
    }

    /// Forgets everything since the last commit.
    pub(super) fn abandon(&mut self) {
        self.writer = None;
    }

    /// Waits until running merges are done and ends the writer.
    pub(super) fn settle(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.wait_merging_threads().map_err(text_fault)?;
            self.reader.reload().map_err(text_fault)?;
        }
        Ok(())
    }

    /// What readers see since the last commit.
    pub(super) fn searcher(&self) -> TextReader {
        TextReader { searcher: self.reader.searcher(), fields: self.fields }
    }

    fn writer(&mut self) -> Result<&mut IndexWriter> {
        if self.writer.is_none() {
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(WRITER_BYTES)
                .build();
            self.writer = Some(self.index.writer_with_options(options).map_err(text_fault)?);
        }
        self.writer.as_mut().ok_or_else(|| damaged("the text view has no writer"))
    }
}

/// One commit of the index, before ordinals are known.
pub(super) struct TextReader {
    searcher: Searcher,
    fields: Fields,
}

fn tokenizers() -> TokenizerManager {
    // The engine asks for its own default tokenizer even for numbers.
    let tokenizers = TokenizerManager::default();
    tokenizers.register(TOKENIZER, TextAnalyzer::from(SpaceTokenizer::default()));
    tokenizers
}

fn schema() -> (Schema, Fields) {
    let text = |record| {
        let indexing =
            TextFieldIndexing::default().set_tokenizer(TOKENIZER).set_fieldnorms(false).set_index_option(record);
        TextOptions::default().set_indexing_options(indexing)
    };
    let mut schema = Schema::builder();
    let fields = Fields {
        exact: schema.add_text_field("exact", text(IndexRecordOption::WithFreqs)),
        folded: schema.add_text_field("folded", text(IndexRecordOption::WithFreqs)),
        words: schema.add_text_field("words", text(IndexRecordOption::WithFreqsAndPositions)),
        chunk: schema.add_u64_field("chunk", FAST),
        version: schema.add_u64_field("version", INDEXED),
    };
    (schema.build(), fields)
}
