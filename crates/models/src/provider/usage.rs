//! Tokens of a call: as reported where that makes sense, counted here where not.

use lorekeep_types::{ChatRequest, TokenCounter, TokenUsage, Tool, ToolCall};

use super::tools::calls;
use super::wire::RawUsage;
use crate::O200k;

/// More tokens than any model reads or writes in one call: a report above it is an error of the provider.
const ABSURD: f64 = 1e8;

/// Tokens that the roles and separators of one message take (OpenAI's cookbook gives 3 to 4).
const FRAME: usize = 4;

/// Tokens of a text by the vocabulary of GPT-4o: an estimate for other models.
#[must_use]
pub fn count(text: &str) -> u64 {
    O200k.count(text) as u64
}

/// Tokens of a request by the same vocabulary, tools and their calls included; pictures are not counted.
#[must_use]
pub fn count_request(request: &ChatRequest) -> u64 {
    let frame = FRAME as u64;
    let said = request.messages.iter().map(|message| count(&message.plain()) + count_calls(calls(message)) + frame);
    let tool = |tool: &Tool| count(&tool.name) + count(&tool.description) + count(&tool.parameters) + frame;
    said.sum::<u64>() + request.tools.iter().map(tool).sum::<u64>()
}

/// Tokens of calls of tools by the same vocabulary.
pub fn count_calls<'c>(calls: impl Iterator<Item = &'c ToolCall>) -> u64 {
    calls.map(|call| count(&call.name) + count(&call.arguments)).sum()
}

/// Tokens written of an answer of which only these bytes came, by their longest string: what the prompt took is not
/// known here, and left out.
#[must_use]
pub fn of_part(body: &[u8]) -> TokenUsage {
    let text = String::from_utf8_lossy(body);
    let longest = text.split('"').max_by_key(|piece| piece.len()).unwrap_or_default();
    TokenUsage { completion: count(longest), estimated: true, ..TokenUsage::default() }
}

/// What is believed of `raw`; what is missing or impossible is counted by `prompt` and `completion`, and marked.
#[must_use]
pub fn settle(raw: RawUsage, prompt: impl FnOnce() -> u64, completion: impl FnOnce() -> u64) -> TokenUsage {
    let prompt_reported = sane(raw.prompt);
    let completion_reported = sane(raw.completion);
    let estimated = prompt_reported.is_none() || completion_reported.is_none();
    let prompt = prompt_reported.unwrap_or_else(prompt);
    let completion = completion_reported.unwrap_or_else(completion);
    TokenUsage {
        prompt,
        completion,
        cached: sane(raw.cached).unwrap_or(0).min(prompt),
        cache_written: sane(raw.cache_written).unwrap_or(0).min(prompt),
        reasoning: sane(raw.reasoning).unwrap_or(0).min(completion),
        searches: sane(raw.searches).unwrap_or(0),
        estimated,
        reported_cost: raw.cost_usd.filter(|cost| (0.0..1e6).contains(cost)).map(nano_usd),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below 1e6 USD, far inside the range")]
fn nano_usd(usd: f64) -> i64 {
    (usd * 1e9).round() as i64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..=1e8")]
fn sane(value: Option<f64>) -> Option<u64> {
    value.filter(|value| (0.0..=ABSURD).contains(value) && value.fract() == 0.0).map(|value| value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lorekeep_types::{ChatMessage, ChatRole};

    fn raw(prompt: f64, completion: f64) -> RawUsage {
        RawUsage { prompt: Some(prompt), completion: Some(completion), ..RawUsage::default() }
    }

    #[test]
    fn reports_are_believed_unless_impossible() {
        let good = settle(raw(12.0, 3.0), || 0, || 0);
        assert_eq!((good.prompt, good.completion, good.estimated), (12, 3, false));
        for bad in [raw(-1.0, 3.0), raw(1e18, 3.0), raw(f64::NAN, 3.0), raw(1.5, 3.0), RawUsage::default()] {
            let settled = settle(bad, || 7, || 8);
            assert_eq!((settled.prompt, settled.estimated), (7, true), "{bad:?}");
        }
    }

    #[test]
    fn the_text_of_a_broken_answer_is_counted() {
        let part =
            br#"{"id":"chatcmpl-1","choices":[{"message":{"role":"assistant","content":"The capital of France is"#;
        let seen = of_part(part);
        assert_eq!((seen.prompt, seen.completion, seen.estimated), (0, count("The capital of France is"), true));
        assert_eq!(of_part(b"").completion, 0);
        assert_eq!(of_part(&[0xff, 0xfe]).prompt, 0);
    }

    #[test]
    fn parts_never_exceed_their_whole() {
        let raw = RawUsage { cached: Some(50.0), reasoning: Some(9.0), ..raw(10.0, 4.0) };
        let settled = settle(raw, || 0, || 0);
        assert_eq!((settled.cached, settled.reasoning), (10, 4));
    }

    #[test]
    fn requests_are_counted() {
        let request = ChatRequest {
            messages: vec![ChatMessage::text(ChatRole::User, "one two three")],
            ..ChatRequest::default()
        };
        assert_eq!(count_request(&request), 7);
        let tool = Tool { name: "one".to_owned(), description: "two".to_owned(), parameters: "three".to_owned() };
        assert_eq!(count_request(&ChatRequest { tools: vec![tool], ..request }), 14);
    }
}
