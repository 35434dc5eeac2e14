//! Answers written by a model: the prompt made of passages, and the citations read back from what it wrote.

use std::collections::BTreeSet;

use lorekeep_types::{
    Answer, AnswerKind, AskRequest, CharSpan, ChatMessage, ChatRequest, ChatRole, Citation, Completion, Evidence,
    FinishReason, Retrieval, Usage,
};

use super::compose::empty;

/// The instructions; their version is part of every cache key that an answer gets.
const INSTRUCTIONS: &str = include_str!("prompts/answer.txt");

/// Most tokens of a written answer unless the request says otherwise.
const MOST_TOKENS: u32 = 1_000;

/// Randomness of answers: low, since they are to say what the passages say.
const TEMPERATURE: f32 = 0.1;

/// The request for an answer to `question` from `passages`; without passages, the question alone.
pub(crate) fn prompt(request: &AskRequest, question: &str, passages: &[Evidence]) -> ChatRequest {
    let mut messages = Vec::new();
    let earlier = request.history.iter().map(|question| ChatMessage::text(ChatRole::User, question));
    if passages.is_empty() {
        messages.extend(earlier);
        messages.push(ChatMessage::text(ChatRole::User, question));
    } else {
        messages.push(ChatMessage::text(ChatRole::System, INSTRUCTIONS.trim()));
        messages.extend(earlier);
        messages.push(ChatMessage::text(ChatRole::User, with_passages(question, passages)));
    }
    ChatRequest {
        messages,
        max_tokens: Some(request.max_output_tokens.unwrap_or(MOST_TOKENS)),
        temperature: Some(TEMPERATURE),
        ..ChatRequest::default()
    }
}

fn with_passages(question: &str, passages: &[Evidence]) -> String {
    let mut text = String::from("Passages:\n");
    for (number, passage) in (1..).zip(passages) {
        let chunk = &passage.chunk;
        let page = chunk.chunk.page.map(|page| format!(", p. {page}")).unwrap_or_default();
        let headings = match chunk.chunk.heading_path.as_slice() {
            [] => String::new(),
            path => format!(" ({})", path.join(" → ")),
        };
        text.push_str(&format!("\n[{number}] {}{page}{headings}\n{}\n", chunk.document_name, chunk.chunk.text.trim()));
    }
    text.push_str(&format!("\nQuestion: {question}"));
    text
}

/// The answer made of what the model wrote. Numbers that no passage has are taken out of the text, and said.
pub(crate) fn answer(request: &AskRequest, retrieval: &Retrieval, completion: Completion) -> Answer {
    let passages = &retrieval.passages;
    let Cited { text, numbers, unknown } = cited(&completion.text, passages.len());
    let citations = numbers.into_iter().filter_map(|n| Some(citation(n, passages.get(n as usize - 1)?))).collect();
    let mut notices = retrieval.notices.clone();
    if unknown > 0 {
        notices.push(format!("the model cited {unknown} passages that it was not given; they were taken out"));
    }
    match &completion.finish {
        FinishReason::Length => notices.push("the answer was cut at the limit of tokens".to_owned()),
        FinishReason::ContentFilter => notices.push("the provider withheld the rest of the answer".to_owned()),
        _ => {}
    }
    if completion.usage.estimated {
        notices.push("the provider reported no usable token counts; they were estimated".to_owned());
    }
    Answer {
        citations,
        mode: request.search.mode,
        searched: retrieval.searched,
        usage: Usage {
            prompt_tokens: completion.usage.prompt,
            completion_tokens: completion.usage.completion,
            total_tokens: completion.usage.total(),
            cost_nano_usd: completion.cost.map(i64::unsigned_abs),
            estimated: completion.usage.estimated,
        },
        model: Some(completion.model),
        notices,
        ..empty(AnswerKind::Generated, text)
    }
}

/// The passage as evidence of a written answer.
fn citation(n: u32, passage: &Evidence) -> Citation {
    let chunk = &passage.chunk;
    let length = chunk.chunk.text.chars().count();
    Citation {
        n,
        document_id: chunk.document.clone(),
        name: chunk.document_name.clone(),
        version: chunk.version,
        page: chunk.chunk.page,
        span: CharSpan { start: chunk.char_start, end: chunk.char_start + length },
        quote: chunk.chunk.text.clone(),
        score: passage.score,
        bridge: None,
    }
}

/// A text whose every citation is one of the passages.
struct Cited {
    text: String,
    numbers: BTreeSet<u32>,
    unknown: usize,
}

/// Reads `[3]` and `[1, 4]`; brackets that hold anything else are left alone.
fn cited(text: &str, passages: usize) -> Cited {
    let mut found = cited_once(text, passages);
    loop {
        // What is taken out may bring together what then looks like a citation.
        let again = cited_once(&found.text, passages);
        if again.text == found.text {
            return found;
        }
        found = Cited { unknown: found.unknown + again.unknown, ..again };
    }
}

fn cited_once(text: &str, passages: usize) -> Cited {
    let mut found = Cited { text: String::with_capacity(text.len()), numbers: BTreeSet::new(), unknown: 0 };
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('[') {
        found.text.push_str(before);
        let Some((inner, after)) = from.split_once(']').filter(|(inner, _)| is_numbers(inner)) else {
            found.text.push('[');
            rest = from;
            continue;
        };
        let all: Vec<u32> = inner.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        let known: Vec<u32> = all.iter().copied().filter(|n| (1..=passages).contains(&(*n as usize))).collect();
        found.unknown += inner.split(',').count() - known.len();
        known.iter().for_each(|n| found.text.push_str(&format!("[{n}]")));
        if known.is_empty() {
            // The space before the brackets goes with them.
            found.text.truncate(found.text.trim_end_matches(' ').len());
        }
        found.numbers.extend(known);
        rest = after;
    }
    found.text.push_str(rest);
    found
}

fn is_numbers(inner: &str) -> bool {
    !inner.is_empty()
        && inner.split(',').all(|part| {
            let part = part.trim();
            !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (String, Vec<u32>, usize) {
        let found = cited(text, 5);
        (found.text, found.numbers.into_iter().collect(), found.unknown)
    }

    #[test]
    fn citations_are_read_and_unknown_ones_removed() {
        assert_eq!(read("A [2]. B [1, 4]."), ("A [2]. B [1][4].".to_owned(), vec![1, 2, 4], 0));
        assert_eq!(read("A [9]. B [0][3]."), ("A. B[3].".to_owned(), vec![3], 2));
        assert_eq!(read("x[i] = [a, 1] []"), ("x[i] = [a, 1] []".to_owned(), vec![], 0));
        assert_eq!(read("open [1 and [2]"), ("open [1 and [2]".to_owned(), vec![2], 0));
        assert_eq!(read("[99999999999]").1, Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn what_remains_cites_passages_only(text in "[a\\[\\]0-9, ]{0,40}") {
            let first = cited(&text, 5);
            let again = cited(&first.text, 5);
            prop_assert_eq!(again.unknown, 0);
            prop_assert!(first.numbers.iter().all(|n| (1..=5).contains(n)));
        }
    }
}
