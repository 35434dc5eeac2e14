//! The body of LightRAG's query routes.

use axum::extract::Request;
use lorekeep_types::{AskRequest, Keywords, Mode, SearchRequest, Turn};
use serde_json::{Value, json};

use super::refuse::{Answer, Fault};
use super::validate::{self, Fields};

const MODES: [&str; 6] = ["local", "global", "hybrid", "naive", "mix", "bypass"];
const MAX_QUERY: usize = 65_536;
const MAX_KEYWORDS: usize = 64;
const MAX_KEYWORD: usize = 512;
const MAX_MESSAGES: usize = 128;
const MAX_MESSAGE: usize = 32_768;
const MAX_ROLE: usize = 64;
const MAX_TEXT: usize = 131_072;
const TOKENS: (usize, usize) = (1, 1_000_000);
const TOP: (usize, usize) = (1, 1_000);

/// A validated body. Rerankers and prefixes of prompts have no counterpart here; their fields are read and ignored.
#[derive(Debug)]
pub(super) struct QueryBody {
    pub(super) query: String,
    pub(super) mode: Mode,
    pub(super) only_need_context: bool,
    pub(super) only_need_prompt: bool,
    pub(super) response_type: String,
    pub(super) user_prompt: String,
    pub(super) include_references: bool,
    pub(super) include_chunk_content: bool,
    pub(super) include_progress: bool,
    pub(super) stream: bool,
    top_k: usize,
    chunk_top_k: usize,
    max_entity_tokens: usize,
    max_relation_tokens: usize,
    max_total_tokens: usize,
    enable_rerank: bool,
    keywords: Option<Keywords>,
    conversation: Vec<Value>,
}

impl QueryBody {
    pub(super) async fn read(request: Request, limit: usize) -> Answer<Self> {
        Self::parse(validate::body(request, limit).await?)
    }

    fn parse(mut fields: Fields) -> Answer<Self> {
        let query = query_text(&mut fields);
        let mode = fields.one_of("mode", &MODES).unwrap_or("mix");
        let low_level = keywords(&mut fields, "ll_keywords");
        let high_level = keywords(&mut fields, "hl_keywords");
        let given = !(low_level.is_empty() && high_level.is_empty());
        let body = Self {
            query,
            mode: Mode::parse(mode)?,
            only_need_context: fields.flag("only_need_context", false),
            only_need_prompt: fields.flag("only_need_prompt", false),
            response_type: fields
                .text("response_type", false, (1, 256))
                .unwrap_or_else(|| "Multiple Paragraphs".into()),
            user_prompt: fields.text("user_prompt", false, (0, MAX_QUERY)).unwrap_or_default(),
            include_references: fields.flag("include_references", true),
            include_chunk_content: fields.flag("include_chunk_content", false),
            include_progress: fields.flag("include_progress", false),
            stream: fields.flag("stream", true),
            top_k: fields.number("top_k", 40, TOP),
            chunk_top_k: fields.number("chunk_top_k", 20, TOP),
            max_entity_tokens: fields.number("max_entity_tokens", 6_000, TOKENS),
            max_relation_tokens: fields.number("max_relation_tokens", 8_000, TOKENS),
            max_total_tokens: fields.number("max_total_tokens", 30_000, TOKENS),
            enable_rerank: fields.flag("enable_rerank", true),
            keywords: given.then_some(Keywords { high_level, low_level }),
            conversation: conversation(&mut fields),
        };
        fields.flag("disable_user_prompt_prefix", false);
        fields.check()?;
        body.check_together(&mut fields);
        fields.check()?;
        Ok(body)
    }

    /// Rules that concern the whole request.
    fn check_together(&self, fields: &mut Fields) {
        if self.mode != Mode::Bypass && !has_weight(&self.query) {
            fields.broken_rule(
                "RAG query is too short. Enter at least 3 English characters or an equivalent combination where \
                 each Chinese, Japanese or Korean character counts as 2.",
            );
        }
        let history =
            if self.conversation.is_empty() { 0 } else { json!(self.conversation).to_string().chars().count() };
        let total = self.query.chars().count() + self.user_prompt.chars().count() + history;
        if total > MAX_TEXT {
            fields
                .broken_rule(format!("total request text is {total} characters, over the {MAX_TEXT} character limit"));
        }
    }

    pub(super) fn search_request(&self) -> SearchRequest {
        SearchRequest {
            mode: self.mode,
            limit: self.chunk_top_k,
            top_k: self.top_k,
            keywords: self.keywords.clone(),
            max_entity_tokens: self.max_entity_tokens,
            max_relation_tokens: self.max_relation_tokens,
            max_total_tokens: self.max_total_tokens,
            rerank: self.enable_rerank,
            ..SearchRequest::new(self.query.clone())
        }
    }

    pub(super) fn ask_request(&self) -> AskRequest {
        AskRequest {
            search: self.search_request(),
            history: self.history(),
            instructions: Some(self.user_prompt.clone()).filter(|wanted| !wanted.is_empty()),
            form: Some(self.response_type.clone()),
            ..AskRequest::new("")
        }
    }

    /// What was said before by either side; messages of other roles are none of the conversation.
    fn history(&self) -> Vec<Turn> {
        let turn = |message: &Value| {
            let content = message.get("content").and_then(Value::as_str)?;
            match message.get("role").and_then(Value::as_str)? {
                "user" => Some(Turn::asked(content)),
                "assistant" => Some(Turn::answered(content)),
                _ => None,
            }
        };
        self.conversation.iter().filter_map(turn).collect()
    }

    /// The steps that LightRAG's progress lines name, as far as this mode takes them.
    pub(super) fn progress(&self) -> &'static [&'static str] {
        match self.mode {
            Mode::Naive => &["retrieving_chunks"],
            Mode::Local => &["extracting_keywords", "retrieving_entities"],
            Mode::Global => &["extracting_keywords", "retrieving_relations"],
            Mode::Hybrid => &["extracting_keywords", "retrieving_entities", "retrieving_relations"],
            Mode::Mix | Mode::Auto => {
                &["extracting_keywords", "retrieving_entities", "retrieving_relations", "retrieving_chunks"]
            }
            Mode::Bypass => &[],
        }
    }
}

fn query_text(fields: &mut Fields) -> String {
    let Some(text) = fields.text("query", true, (0, MAX_QUERY)) else { return String::new() };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        let fault =
            Fault::new("value_error", fields.loc("query"), "Value error, Query must not be empty.", json!(text));
        fields.fault(fault.ctx(json!({"error": {}})));
    }
    trimmed.to_owned()
}

fn keywords(fields: &mut Fields, name: &str) -> Vec<String> {
    let Some(words) = fields.texts(name, false, (0, usize::MAX)) else { return Vec::new() };
    fields.length(name, words.len(), (0, MAX_KEYWORDS));
    if words.iter().any(|word| word.chars().count() > MAX_KEYWORD) {
        let message = format!("Value error, each keyword must be at most {MAX_KEYWORD} characters");
        let fault = Fault::new("value_error", fields.loc(name), message, json!([])).ctx(json!({"error": {}}));
        fields.fault(fault);
    }
    words
}

fn conversation(fields: &mut Fields) -> Vec<Value> {
    let Some(messages) = fields.list("conversation_history", false) else { return Vec::new() };
    if let Some(message) = conversation_fault(&messages) {
        let loc = fields.loc("conversation_history");
        let fault = Fault::new("value_error", loc, format!("Value error, {message}"), json!([]));
        fields.fault(fault.ctx(json!({"error": {}})));
    }
    messages
}

fn conversation_fault(messages: &[Value]) -> Option<String> {
    if messages.len() > MAX_MESSAGES {
        return Some(format!("conversation_history must hold at most {MAX_MESSAGES} messages"));
    }
    messages.iter().find_map(|message| {
        let Some(role) = message.get("role") else { return Some("Each message must have a 'role' key.".to_owned()) };
        let Some(role) = role.as_str().filter(|role| !role.trim().is_empty()) else {
            return Some("Each message 'role' must be a non-empty string.".to_owned());
        };
        if role.chars().count() > MAX_ROLE {
            return Some(format!("Each message 'role' must be at most {MAX_ROLE} characters."));
        }
        let Some(content) = message.get("content") else {
            return Some("Each message must have a 'content' key.".to_owned());
        };
        match content.as_str() {
            None => Some("Each message 'content' must be a string.".to_owned()),
            Some(text) if text.chars().count() > MAX_MESSAGE => {
                Some(format!("Each message 'content' must be at most {MAX_MESSAGE} characters."))
            }
            Some(_) => None,
        }
    })
}

/// Whether a query has a weight of at least 3; East Asian letters weigh 2, others 1.
fn has_weight(query: &str) -> bool {
    query
        .chars()
        .map(|letter| if is_wide(letter) { 2 } else { 1 })
        .scan(0, |sum, one| {
            *sum += one;
            Some(*sum)
        })
        .any(|sum| sum >= 3)
}

/// Han, kana and Hangul, with their half-width forms.
fn is_wide(letter: char) -> bool {
    matches!(letter,
        '\u{1100}'..='\u{11FF}' | '\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{3130}'..='\u{318F}'
        | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{A960}'..='\u{A97F}'
        | '\u{AC00}'..='\u{D7A3}' | '\u{D7B0}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FF9D}'
        | '\u{FFA1}'..='\u{FFDC}' | '\u{1B000}'..='\u{1B16F}' | '\u{20000}'..='\u{3134F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_east_asian_letters_weigh_enough() {
        for query in ["abc", "漢字", "ねこ", "오늘", "a漢"] {
            assert!(has_weight(query), "{query}");
        }
        for query in ["ab", "漢", ""] {
            assert!(!has_weight(query), "{query}");
        }
    }
}
