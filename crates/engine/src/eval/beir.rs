//! Evaluation sets in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels.tsv`. A passage may name the longer
//! document it was cut from, with its position and headings.

use std::collections::{HashMap, HashSet};

use lorekeep_types::{Error, Result};
use serde::Deserialize;

/// A passage of the corpus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EvalPassage {
    /// Identity.
    #[serde(rename = "_id")]
    pub id: String,
    /// Title of its document.
    #[serde(default)]
    pub title: String,
    /// Text.
    pub text: String,
    /// The longer document it was cut from.
    #[serde(default)]
    pub document: Option<String>,
    /// Position in that document.
    #[serde(default)]
    pub position: u32,
    /// Titles of the headings whose sections overlap it.
    #[serde(default)]
    pub headings: Vec<String>,
}

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EvalQuery {
    /// Identity.
    #[serde(rename = "_id")]
    pub id: String,
    /// The question.
    pub text: String,
}

/// Passages, questions and the passages that answer them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvalSet {
    /// Passages in order of the file.
    pub passages: Vec<EvalPassage>,
    /// Questions that have at least one relevant passage, in order of the file.
    pub queries: Vec<EvalQuery>,
    /// Ids of the relevant passages by id of the question.
    pub relevant: HashMap<String, HashSet<String>>,
}

/// Reads the three files of a set from their text.
///
/// # Errors
/// `InvalidRequest` that names file and line.
pub fn read_set(corpus: &str, queries: &str, qrels: &str) -> Result<EvalSet> {
    let passages = lines::<EvalPassage>("corpus.jsonl", corpus)?;
    let relevant = judgements(qrels)?;
    let mut queries = lines::<EvalQuery>("queries.jsonl", queries)?;
    queries.retain(|query| relevant.contains_key(&query.id));
    Ok(EvalSet { passages, queries, relevant })
}

fn lines<T: for<'a> Deserialize<'a>>(name: &str, text: &str) -> Result<Vec<T>> {
    let read = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| Error::invalid(format!("{name}, line {}: {error}", number + 1)))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(read).collect()
}

/// `query-id TAB corpus-id TAB score`, with or without a header; scores of 0 and less are not relevant.
fn judgements(qrels: &str) -> Result<HashMap<String, HashSet<String>>> {
    let mut relevant: HashMap<String, HashSet<String>> = HashMap::new();
    for (number, line) in qrels.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.split('\t').map(str::trim);
        let (Some(query), Some(passage), Some(score)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Error::invalid(format!("qrels.tsv, line {}: expected three columns", number + 1)));
        };
        match score.parse::<f32>() {
            Ok(score) if score > 0.0 => {
                relevant.entry(query.to_owned()).or_default().insert(passage.to_owned());
            }
            Err(_) if number > 0 => {
                return Err(Error::invalid(format!("qrels.tsv, line {}: `{score}` is no number", number + 1)));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(relevant)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_set_is_read() {
        let corpus = "{\"_id\":\"a\",\"title\":\"T\",\"text\":\"x\"}\n{\"_id\":\"b\",\"text\":\"y\",\"document\":\"d\",\"position\":2,\"headings\":[\"H\"]}\n";
        let queries = "{\"_id\":\"q\",\"text\":\"what?\"}\n{\"_id\":\"unjudged\",\"text\":\"?\"}";
        let set = read_set(corpus, queries, "query-id\tcorpus-id\tscore\nq\tb\t1\nq\ta\t0\n").unwrap();
        assert_eq!((set.passages.len(), set.queries.len()), (2, 1));
        assert_eq!(set.passages[1].headings, ["H"]);
        assert!(set.relevant["q"].contains("b") && set.relevant["q"].len() == 1);
    }

    #[test]
    fn broken_lines_are_named() {
        let error = read_set("{}", "", "").unwrap_err();
        assert!(error.to_string().contains("corpus.jsonl, line 1"), "{error}");
        assert!(read_set("", "", "h\n a b").is_err());
    }
}
