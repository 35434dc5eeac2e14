//! An evaluation corpus as documents: passages that name a document are joined into it and stay the passages they
//! are; the others are documents of one passage.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use lorekeep_engine::answer::says_one_of;
use lorekeep_engine::eval::{EvalPassage, EvalSet};
use lorekeep_types::{
    Answer, ByteSpan, DocumentId, DocumentParser, ErrorCode, Format, Heading, Metadata, NewItem, ParseInput,
    ParsedDocument, Problem, StoredChunk,
};
use serde::{Deserialize, Serialize};

/// Between the passages of one document.
const JOINT: &str = "\n\n";

/// A document as it is handed to the engine.
#[derive(Serialize, Deserialize)]
struct Source {
    title: String,
    passages: Vec<SourcePassage>,
}

#[derive(Serialize, Deserialize)]
struct SourcePassage {
    text: String,
    headings: Vec<String>,
}

/// The documents of a set, and which passage each of their chunks is.
pub struct Corpus {
    items: Vec<NewItem>,
    ids: HashMap<DocumentId, Vec<String>>,
    passages: usize,
}

impl Corpus {
    /// Groups the passages of a set.
    pub fn of(set: &EvalSet) -> Self {
        let mut documents: BTreeMap<String, Vec<&EvalPassage>> = BTreeMap::new();
        for passage in &set.passages {
            let key = match &passage.document {
                Some(document) => format!("document/{document}"),
                None => format!("passage/{}", passage.id),
            };
            documents.entry(key).or_default().push(passage);
        }
        let (mut items, mut ids) = (Vec::new(), HashMap::new());
        for (key, mut passages) in documents {
            passages.sort_by_key(|passage| passage.position);
            let source = format!("eval:{key}");
            let ids_in_order = passages.iter().map(|passage| passage.id.clone()).collect();
            ids.insert(DocumentId::of_source(&source), ids_in_order);
            let title = passages.first().map(|passage| passage.title.clone()).unwrap_or_default();
            let metadata = Metadata { title: Some(title).filter(|title| !title.is_empty()), ..Metadata::default() };
            items.push(NewItem { metadata, ..NewItem::new(source, key, bytes_of(&passages)) });
        }
        Self { items, ids, passages: set.passages.len() }
    }

    /// The documents.
    pub fn items(&self) -> &[NewItem] {
        &self.items
    }

    /// How many documents.
    pub fn documents(&self) -> usize {
        self.items.len()
    }

    /// How many passages.
    pub fn passages(&self) -> usize {
        self.passages
    }

    /// The passage that a chunk is.
    pub fn passage_of(&self, chunk: &StoredChunk) -> Option<&str> {
        self.ids.get(&chunk.document)?.get(chunk.chunk.position as usize).map(String::as_str)
    }
}

fn bytes_of(passages: &[&EvalPassage]) -> Vec<u8> {
    let source = Source {
        title: passages.first().map(|passage| passage.title.clone()).unwrap_or_default(),
        passages: passages
            .iter()
            .map(|passage| SourcePassage { text: passage.text.clone(), headings: passage.headings.clone() })
            .collect(),
    };
    // Strings and lists of them: this cannot fail.
    serde_json::to_vec(&source).unwrap_or_default()
}

/// Reads the documents that [`Corpus`] makes.
pub struct CorpusParser;

impl DocumentParser for CorpusParser {
    fn formats(&self) -> &'static [Format] {
        &[]
    }

    fn parse(&self, input: ParseInput<'_>) -> Result<Vec<(String, ParsedDocument)>, Problem> {
        let source: Source = serde_json::from_slice(input.bytes).map_err(|error| Problem {
            code: ErrorCode::Internal,
            message: error.to_string(),
            hint: None,
        })?;
        Ok(vec![(String::new(), parsed(&source))])
    }
}

fn parsed(source: &Source) -> ParsedDocument {
    let mut document = ParsedDocument::default();
    let mut open: Vec<String> = Vec::new();
    for passage in &source.passages {
        if !document.text.is_empty() {
            document.text.push_str(JOINT);
        }
        let start = document.text.len();
        document.text.push_str(&passage.text);
        let end = document.text.len();
        document.passages.push(ByteSpan::new(start, end));
        for title in &passage.headings {
            if open.last() != Some(title) {
                let at = passage.text.find(title.as_str()).map_or(start, |at| start + at);
                document.headings.push(Heading { title: title.clone(), level: 1, start: at, end });
                open = vec![title.clone()];
            } else if let Some(heading) = document.headings.last_mut() {
                heading.end = end;
            }
        }
    }
    // A section ends where the next one starts.
    let starts: Vec<usize> = document.headings.iter().skip(1).map(|heading| heading.start).collect();
    for (heading, next) in document.headings.iter_mut().zip(starts) {
        heading.end = heading.end.min(next).max(heading.start);
    }
    document.metadata.title = Some(source.title.clone()).filter(|title| !title.is_empty());
    document.metadata.language = lorekeep_text::language_of(&document.text).map(str::to_owned);
    document
}

/// Gold answers by question, from the text of `answers.jsonl`.
pub fn answers(text: Option<&str>) -> Result<HashMap<String, Vec<String>>> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "_id")]
        id: String,
        answers: Vec<String>,
    }
    let mut gold = HashMap::new();
    for (number, line) in text.unwrap_or_default().lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row: Row = serde_json::from_str(line).with_context(|| format!("answers.jsonl, line {}", number + 1))?;
        // A bare yes or no stands in no document: such questions are not scored.
        if row.answers.iter().any(|answer| !matches!(lorekeep_text::norm(answer).as_str(), "yes" | "no" | "")) {
            gold.insert(row.id, row.answers);
        }
    }
    Ok(gold)
}

/// Whether a gold answer stands, as whole normalised words, in the first and in one of the first three quotes.
pub fn quoted(answer: &Answer, gold: &[String]) -> (bool, bool) {
    let said = answer.citations.iter().take(3).map(|citation| says_one_of(&citation.quote, gold));
    let hits: Vec<bool> = said.collect();
    (hits.first().copied().unwrap_or_default(), hits.contains(&true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_of_a_document_keep_their_places_and_headings() {
        let passage = |text: &str, headings: &[&str]| SourcePassage {
            text: text.to_owned(),
            headings: headings.iter().map(ToString::to_string).collect(),
        };
        let source = Source {
            title: "Volume".to_owned(),
            passages: vec![passage("A\nabout a", &["A"]), passage("more a\nB\nabout b", &["A", "B"])],
        };
        let document = parsed(&source);
        let texts: Vec<&str> = document.passages.iter().map(|span| span.of(&document.text)).collect();
        assert_eq!(texts, ["A\nabout a", "more a\nB\nabout b"]);
        let sections: Vec<(&str, &str)> = document
            .headings
            .iter()
            .map(|heading| (heading.title.as_str(), ByteSpan::new(heading.start, heading.end).of(&document.text)))
            .collect();
        assert_eq!(sections, [("A", "A\nabout a\n\nmore a\n"), ("B", "B\nabout b")]);
    }
}
