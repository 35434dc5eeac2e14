//! Answers: quoted from the documents without any model, or written by one from passages (`write`).
//!
//! For quotes, `question` reads the question, `candidates` cuts passages into sentences, `vocabulary` compares their words with
//! the question once, `bridge` links sentences over shared names, `features` weighs them and [`choose`] decides.
//! For written answers, `write` makes the prompt and reads what came back, `prompt` says how evidence stands in it,
//! `sanitise` makes the text harmless, `cited` reads citations, `support` judges statements against `sentences` and `stance` sees
//! denials.
//!
//! `places` finds the sentences in their documents, `table` tells what the cells of a row mean, and `compose` makes
//! the answer. Finding passages is [`crate::retrieve`]'s.

mod bridge;
mod candidates;
pub(crate) mod cited;
mod compose;
mod features;
mod follow_up;
mod places;
pub(crate) mod prompt;
mod question;
mod quote;
pub(crate) mod sanitise;
pub(crate) mod sentences;
mod show;
mod stance;
mod support;
mod table;
#[cfg(test)]
mod tests;
mod vocabulary;
pub(crate) mod write;

use lorekeep_types::{
    Answer, AskRequest, DocumentFilter, EmbeddingModel, Error, Evidence, Result, Retrieval, Snapshot,
};

pub use follow_up::{complete, leans_on_history};
pub use places::ReadDocument;
pub use quote::{BridgeQuote, Quote, Quotes, choose, says_one_of};

use compose::Composer;

/// Most sentences an answer may quote.
pub const MOST_SENTENCES: usize = 10;

/// Sentences chosen beyond those asked for, in case some turn out to lie inside others.
const SPARE: usize = 4;

/// What an answer reads.
#[derive(Clone, Copy)]
pub struct Answerer<'a> {
    /// The views that the evidence came from.
    pub snapshot: &'a dyn Snapshot,
    /// The embedder, if the workspace has vectors.
    pub embedder: Option<&'a dyn EmbeddingModel>,
    /// Reads the text of a cited document, for pages and for sentences at the edge of a chunk.
    pub document: &'a ReadDocument<'a>,
}

impl Answerer<'_> {
    /// Quotes the sentences of `retrieval` that answer the request, or says that nothing does. The caller adds
    /// the time it took.
    ///
    /// # Errors
    /// `InvalidRequest` for a number of sentences out of range; when views or documents cannot be read.
    pub fn answer(&self, request: &AskRequest, retrieval: &Retrieval) -> Result<Answer> {
        if !(1..=MOST_SENTENCES).contains(&request.sentences) {
            let asked = request.sentences;
            return Err(Error::invalid(format!("`sentences` is {asked}; it must be 1 to {MOST_SENTENCES}")));
        }
        let question = complete(&request.search.query, &request.history);
        let evidence: &[Evidence] = &retrieval.passages;
        let most = request.sentences + SPARE;
        let quotes = choose(self.snapshot, self.embedder, &question, evidence, most)?;
        let composer = Composer {
            snapshot: self.snapshot,
            document: self.document,
            question: &question,
            sentences: request.sentences,
        };
        let insisted = request.insist && !quotes.sentences.is_empty();
        let answer = if quotes.answers() || insisted {
            composer.quoted(&quotes)?
        } else {
            composer.abstained(&quotes, request.search.filter != DocumentFilter::default())?
        };
        let notices = retrieval.notices.clone();
        Ok(Answer { mode: request.search.mode, searched: retrieval.searched, notices, ..answer })
    }
}
