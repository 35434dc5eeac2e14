//! Answers over a small corpus held in memory, as the engine composes them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::HashMap;

use lorekeep_testkit::{MemoryDocument, MemoryIndex};
use lorekeep_types::{
    Answer, AnswerKind, AskRequest, ByteSpan, DocumentFilter, EmbeddingModel, EmbeddingModelId, Evidence, NewChunk,
    Result, Retrieval, Snapshot,
};

use super::Answerer;

const MILL: &str = "Halden Mill is a paper mill in Norrland. It was founded by Åke Lind in 1871.[4] The mill burned \
                    down in 1931.";
const LIND: &str = "Åke Lind was a Swedish engineer. He was born in Uppsala in the spring of 1840.";
const BREAD: &str = "Bread is baked from flour and water. Many bakers add salt. The mill burned down in 1931.";

/// Words as dimensions: texts are alike as far as they share words.
struct WordCounts;

impl EmbeddingModel for WordCounts {
    fn id(&self) -> EmbeddingModelId {
        EmbeddingModelId { name: "word-counts".to_owned(), dimensions: 64 }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| counts(text)).collect())
    }

    fn covers(&self, language: &str) -> bool {
        language == "en"
    }
}

fn counts(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; 64];
    for word in lorekeep_text::norm_words(text) {
        let slot = word.bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        vector[slot % 64] += 1.0;
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.into_iter().map(|value| value / length).collect()
}

fn index() -> MemoryIndex {
    let documents = [("Halden Mill", MILL), ("Åke Lind", LIND), ("Bread", BREAD)];
    let documents = documents.map(|(title, text)| MemoryDocument {
        title: title.to_owned(),
        language: Some("en".to_owned()),
        chunks: vec![NewChunk { span: ByteSpan::new(0, text.len()), text: text.to_owned(), ..NewChunk::default() }],
    });
    MemoryIndex::build(documents.into(), None).unwrap()
}

fn ask_with(embedder: Option<&dyn EmbeddingModel>, request: &AskRequest) -> Answer {
    let index = index();
    let passages = index.chunks(&[0, 1, 2]).unwrap().into_iter().zip([1.0, 0.6, 0.2]);
    let passages =
        passages.map(|((_, chunk), score)| Evidence { score, reasons: Vec::new(), chunk }).collect::<Vec<_>>();
    let retrieval = Retrieval { passages, searched: 3, ..Retrieval::default() };
    let answer = Answerer { snapshot: &index, embedder, document: &|_| Ok(None) }.answer(request, &retrieval).unwrap();
    let texts: HashMap<&str, &str> = [("Halden Mill", MILL), ("Åke Lind", LIND), ("Bread", BREAD)].into();
    for citation in &answer.citations {
        let span = citation.span;
        let at: String = texts[citation.name.as_str()].chars().skip(span.start).take(span.end - span.start).collect();
        assert_eq!(at, citation.quote);
    }
    answer
}

fn ask(question: &str) -> Answer {
    let answer = ask_with(None, &AskRequest::new(question));
    let dense = ask_with(Some(&WordCounts), &AskRequest::new(question));
    assert_eq!(answer.kind, dense.kind, "{question}");
    answer
}

#[test]
fn sentences_are_quoted_with_their_places() {
    let answer = ask("When did Halden Mill burn down?");
    assert_eq!(answer.kind, AnswerKind::Quoted);
    assert_eq!(answer.citations[0].quote, "The mill burned down in 1931.");
    assert_eq!(answer.citations[0].name, "Halden Mill");
    assert!(answer.answer.starts_with("The mill burned down in 1931. [1]\n"), "{}", answer.answer);
    assert_eq!(answer.citations.len(), 3);
    assert_eq!((answer.searched, answer.usage.total_tokens), (3, 0));
    assert!(answer.confidence.is_some());
}

#[test]
fn the_same_sentence_is_quoted_once() {
    let mut request = AskRequest::new("When did Halden Mill burn down?");
    request.sentences = 10;
    let answer = ask_with(None, &request);
    assert_eq!(answer.citations.iter().filter(|citation| citation.quote.contains("burned down")).count(), 1);
}

#[test]
fn a_pronoun_brings_the_sentence_before() {
    let answer = ask("Who founded Halden Mill?");
    let first = &answer.citations[0];
    assert_eq!(first.quote, "Halden Mill is a paper mill in Norrland. It was founded by Åke Lind in 1871.[4]");
    assert_eq!(answer.citations.iter().filter(|citation| citation.quote.contains("paper mill")).count(), 1);
}

#[test]
fn a_bridge_is_shown_where_two_sentences_are_linked() {
    let question = "In which city was the engineer who founded the Halden paper mill born?";
    let answer = ask_with(None, &AskRequest { insist: true, ..AskRequest::new(question) });
    let bridged = answer.citations.iter().find_map(|citation| citation.bridge.as_ref());
    let bridge = bridged.unwrap_or_else(|| panic!("no bridge in {answer:?}"));
    assert_eq!(bridge.through, "Åke Lind");
}

#[test]
fn weak_evidence_abstains_with_the_closest_passages() {
    let question = "How many moons does Jupiter have?";
    let answer = ask(question);
    assert_eq!(answer.kind, AnswerKind::Abstained);
    assert_eq!(answer.answer, "Nothing in these 3 documents answers this.");
    assert_eq!(answer.citations.len(), 3);
    assert!(answer.confidence.is_none() && answer.entities.is_empty());
    let insisted = ask_with(None, &AskRequest { insist: true, ..AskRequest::new(question) });
    assert_eq!(insisted.kind, AnswerKind::Quoted);
    let mut narrowed = AskRequest::new(question);
    narrowed.search.filter = DocumentFilter { tags: vec!["old".to_owned()], ..DocumentFilter::default() };
    assert_eq!(ask_with(None, &narrowed).answer, "Nothing in the documents selected answers this.");
}

#[test]
fn odd_questions_are_answered_or_declined() {
    for question in ["the of and", "?", "这里有多少人？", &"mill ".repeat(5_000)] {
        let answer = ask_with(Some(&WordCounts), &AskRequest::new(question));
        assert!(matches!(answer.kind, AnswerKind::Quoted | AnswerKind::Abstained));
    }
    let none = Answerer { snapshot: &index(), embedder: None, document: &|_| Ok(None) }
        .answer(&AskRequest::new("When?"), &Retrieval::default())
        .unwrap();
    assert_eq!((none.kind, none.citations.len()), (AnswerKind::Abstained, 0));
}

#[test]
fn the_number_of_sentences_has_limits() {
    let index = index();
    let answerer = Answerer { snapshot: &index, embedder: None, document: &|_| Ok(None) };
    for sentences in [0, 11] {
        let request = AskRequest { sentences, ..AskRequest::new("When?") };
        assert!(answerer.answer(&request, &Retrieval::default()).is_err());
    }
}
