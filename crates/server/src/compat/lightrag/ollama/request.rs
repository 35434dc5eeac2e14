//! The bodies of `/api/chat` and `/api/generate`, and what a message asks for.

use axum::extract::Request;
use axum::http::StatusCode;
use lorekeep_types::{AskRequest, ErrorCode, Mode, SearchRequest, Turn};
use serde::Deserialize;

use super::super::refuse::{Answer, Refusal};
use crate::extract;

const MAX_MODEL: usize = 256;
const MAX_PROMPT: usize = 65_536;
const MAX_SYSTEM: usize = 32_768;
const MAX_CONTENT: usize = 32_768;
const MAX_ROLE: usize = 64;
const MAX_MESSAGES: usize = 128;

/// The form of an answer, as LightRAG asks for it.
const FORM: &str = "Multiple Paragraphs";

#[derive(Deserialize)]
struct ChatBody {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    system: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct GenerateBody {
    model: String,
    prompt: String,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    system: Option<String>,
}

/// A conversation whose last message asks.
pub(super) struct Chat {
    pub(super) stream: bool,
    text: String,
    history: Vec<Turn>,
    system: Option<String>,
}

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    Answer(Box<AskRequest>),
    Context(Box<SearchRequest>),
}

impl Chat {
    pub(super) async fn read(request: Request, limit: usize) -> Answer<Self> {
        let body: ChatBody = body(request, limit).await?;
        limited("model", &body.model, MAX_MODEL)?;
        limited("system", body.system.as_deref().unwrap_or_default(), MAX_SYSTEM)?;
        if body.messages.len() > MAX_MESSAGES {
            return Err(invalid(format!("messages holds more than {MAX_MESSAGES}")));
        }
        for message in &body.messages {
            limited("messages.role", &message.role, MAX_ROLE)?;
            limited("messages.content", &message.content, MAX_CONTENT)?;
        }
        let Some((last, before)) = body.messages.split_last() else {
            return Err(Refusal::detail(StatusCode::BAD_REQUEST, "No messages provided"));
        };
        if last.role != "user" {
            return Err(Refusal::detail(StatusCode::BAD_REQUEST, "Last message must be from user"));
        }
        let turn = |message: &Message| match message.role.as_str() {
            "user" => Some(Turn::asked(&message.content)),
            "assistant" => Some(Turn::answered(&message.content)),
            _ => None,
        };
        Ok(Self {
            stream: body.stream.unwrap_or(true),
            text: last.content.clone(),
            history: before.iter().filter_map(turn).collect(),
            system: body.system,
        })
    }

    pub(super) fn asked(self) -> Asked {
        // Open WebUI has titles and tags of conversations made this way, which no document can tell.
        if !self.stream && self.text.contains("\n<chat_history>\nUSER:") {
            return Asked::Answer(Box::new(alone(self.text, self.system, Vec::new())));
        }
        let Prefix { mode, context, wishes, query } = prefix(&self.text);
        if mode == Mode::Bypass {
            return Asked::Answer(Box::new(alone(query, self.system, self.history)));
        }
        let search = SearchRequest { mode, ..SearchRequest::new(query) };
        if context {
            return Asked::Context(Box::new(search));
        }
        let request = AskRequest {
            search,
            history: self.history,
            instructions: wishes,
            form: Some(FORM.to_owned()),
            ..AskRequest::new("")
        };
        Asked::Answer(Box::new(request))
    }
}

/// What `/api/generate` asks for, and whether it is streamed.
pub(super) async fn generation(request: Request, limit: usize) -> Answer<(AskRequest, bool)> {
    let body: GenerateBody = body(request, limit).await?;
    limited("model", &body.model, MAX_MODEL)?;
    limited("prompt", &body.prompt, MAX_PROMPT)?;
    limited("system", body.system.as_deref().unwrap_or_default(), MAX_SYSTEM)?;
    Ok((alone(body.prompt, body.system, Vec::new()), body.stream.unwrap_or(false)))
}

/// A question to the model alone.
fn alone(query: String, system: Option<String>, history: Vec<Turn>) -> AskRequest {
    let search = SearchRequest { mode: Mode::Bypass, ..SearchRequest::new(query) };
    AskRequest { search, history, instructions: system.filter(|text| !text.trim().is_empty()), ..AskRequest::new("") }
}

/// Reads a body whatever its content type, as the peer does.
async fn body<T: for<'a> Deserialize<'a>>(request: Request, limit: usize) -> Answer<T> {
    let bytes = extract::bytes(request.into_body(), limit)
        .await
        .map_err(|error| if error.code() == ErrorCode::TooLarge { Refusal::too_large(limit) } else { error.into() })?;
    serde_json::from_slice(&bytes).map_err(|fault| invalid(fault.to_string()))
}

fn invalid(what: String) -> Refusal {
    Refusal::detail(StatusCode::BAD_REQUEST, format!("Invalid request body: {what}"))
}

fn limited(field: &str, text: &str, most: usize) -> Answer<()> {
    if text.len() > most && text.chars().count() > most {
        return Err(invalid(format!("{field} is longer than {most} characters")));
    }
    Ok(())
}

/// What the beginning of a message chooses.
#[derive(Debug, PartialEq)]
struct Prefix {
    mode: Mode,
    context: bool,
    wishes: Option<String>,
    query: String,
}

fn prefix(text: &str) -> Prefix {
    let plain = || Prefix { mode: Mode::Mix, context: false, wishes: None, query: text.to_owned() };
    let Some(rest) = text.strip_prefix('/') else { return plain() };
    let word: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
    let after = rest.get(word.len()..).unwrap_or_default();
    let (name, context) = match word.strip_suffix("context") {
        Some(name) => (name, true),
        None => (word.as_str(), false),
    };
    let mode = match name {
        "" => Mode::Mix,
        "local" => Mode::Local,
        "global" => Mode::Global,
        "naive" => Mode::Naive,
        "hybrid" => Mode::Hybrid,
        "mix" => Mode::Mix,
        "bypass" if !context => Mode::Bypass,
        _ => return plain(),
    };
    if let Some((wishes, query)) = after.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        let wishes = Some(wishes.trim().to_owned()).filter(|wishes| !wishes.is_empty());
        return Prefix { mode, context, wishes, query: query.trim_start().to_owned() };
    }
    match after.strip_prefix(' ') {
        Some(query) if !word.is_empty() => Prefix { mode, context, wishes: None, query: query.trim_start().to_owned() },
        _ => plain(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_chooses() {
        let read = |text: &str| {
            let Prefix { mode, context, wishes, query } = prefix(text);
            (mode, context, wishes.unwrap_or_default(), query)
        };
        let expected = |mode, context, wishes: &str, query: &str| (mode, context, wishes.to_owned(), query.to_owned());
        assert_eq!(read("Who?"), expected(Mode::Mix, false, "", "Who?"));
        assert_eq!(read("/naive Who?"), expected(Mode::Naive, false, "", "Who?"));
        assert_eq!(read("/localcontext Who?"), expected(Mode::Local, true, "", "Who?"));
        assert_eq!(read("/context Who?"), expected(Mode::Mix, true, "", "Who?"));
        assert_eq!(read("/global[as a table] Who?"), expected(Mode::Global, false, "as a table", "Who?"));
        assert_eq!(read("/[briefly] Who?"), expected(Mode::Mix, false, "briefly", "Who?"));
        for text in ["/unknown Who?", "/ Who?", "/localWho?", "/bypasscontext x", "/mix[open Who?", "/naive"] {
            assert_eq!(read(text), expected(Mode::Mix, false, "", text), "{text}");
        }
    }
}
