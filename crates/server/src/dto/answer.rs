//! Questions and answers on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Filter, search::mode_of};
use lorekeep_types::{AnswerStyle, AskRequest, Error, OnFailure, Result, Turn};

/// A question.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"question": "Who signed the retrofit contract?", "sentences": 3}))]
pub struct AskBody {
    /// The question, at most 65,536 characters, in any language.
    pub question: String,
    /// `auto`, `naive`, `local`, `global`, `hybrid`, `mix` or `bypass`; default `auto`.
    #[serde(default)]
    pub mode: Option<String>,
    /// Most sentences to quote, 1 to 10; default 3.
    #[serde(default)]
    pub sentences: Option<usize>,
    /// What was said before in the conversation, oldest first, at most 128 messages; a text alone is an earlier question.
    #[serde(default)]
    pub history: Vec<Earlier>,
    /// Which documents may answer.
    #[serde(default)]
    pub filter: Filter,
    /// Most entities and relations to consider in graph modes, 1 to 1,000.
    #[serde(default)]
    pub top_k: Option<usize>,
    /// Most passages to read, 1 to 1,000.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Quote the closest sentences even where the evidence is too weak to call them an answer.
    #[serde(default)]
    pub insist: bool,
    /// Quote in any case, even where a model could write.
    #[serde(default)]
    pub quote_only: bool,
    /// The model to write, `provider/model`; without it, the one of the role `answer`.
    #[serde(default)]
    pub model: Option<String>,
    /// Most tokens that a model writes, 1 to 100,000.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// What a written answer shall be like, beyond the question; at most 65,536 characters.
    #[serde(default)]
    pub instructions: Option<String>,
    /// Language of a written answer (ISO 639-1, e.g. `de`); without it, that of the question.
    #[serde(default)]
    pub language: Option<String>,
    /// When the model fails: `error`, or `quote` for quotes with a notice; without it, as the server is configured.
    #[serde(default)]
    pub on_failure: Option<String>,
    /// Write the answer anew even where one is kept.
    #[serde(default)]
    pub no_cache: bool,
    /// Answer as server-sent events, as with `Accept: text/event-stream`.
    #[serde(default)]
    pub stream: bool,
}

/// A message of a conversation, or an earlier question alone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Earlier {
    /// An earlier question.
    Question(String),
    /// A message.
    Message(Message),
}

/// A message of a conversation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `user` or `assistant`.
    pub role: String,
    /// What was said, at most 65,536 characters.
    pub content: String,
}

impl TryFrom<Earlier> for Turn {
    type Error = Error;

    fn try_from(earlier: Earlier) -> Result<Self> {
        let turn = match earlier {
            Earlier::Question(content) => Self::asked(content),
            Earlier::Message(Message { role, content }) => match role.as_str() {
                "user" => Self::asked(content),
                "assistant" => Self::answered(content),
                _ => {
                    let message = format!("`{role}` is not a role in `history`");
                    return Err(Error::invalid(message).hint("use `user` or `assistant`"));
                }
            },
        };
        limited("history", &turn.content)?;
        Ok(turn)
    }
}

const MAX_HISTORY: usize = 128;

/// Longest text beside the question, in characters.
const MAX_TEXT: usize = 65_536;

fn limited(field: &str, text: &str) -> Result<()> {
    if text.len() > MAX_TEXT && text.chars().count() > MAX_TEXT {
        return Err(Error::invalid(format!("a text in `{field}` is longer than {MAX_TEXT} characters")));
    }
    Ok(())
}

fn language_of(code: String) -> Result<String> {
    let is_code = (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_code {
        Ok(code)
    } else {
        Err(Error::invalid(format!("`{code}` is not a language")).hint("use a code such as `de`"))
    }
}

impl TryFrom<AskBody> for AskRequest {
    type Error = Error;

    fn try_from(body: AskBody) -> Result<Self> {
        let mut request = Self::new(super::search::question("question", body.question)?);
        request.search.mode = mode_of(body.mode.as_deref())?;
        request.search.filter = body.filter.try_into()?;
        super::search::set("top_k", body.top_k, 1..=1_000, &mut request.search.top_k)?;
        super::search::set("limit", body.limit, 1..=1_000, &mut request.search.limit)?;
        super::search::set("sentences", body.sentences, 1..=10, &mut request.sentences)?;
        if body.history.len() > MAX_HISTORY {
            return Err(Error::invalid(format!("`history` holds more than {MAX_HISTORY} messages")));
        }
        request.history = body.history.into_iter().map(Turn::try_from).collect::<Result<_>>()?;
        limited("instructions", body.instructions.as_deref().unwrap_or_default())?;
        request.instructions = body.instructions;
        request.language = body.language.map(language_of).transpose()?;
        request.on_failure = body.on_failure.as_deref().map(OnFailure::parse).transpose()?;
        request.fresh = body.no_cache;
        request.insist = body.insist;
        if body.quote_only {
            request.style = AnswerStyle::Quote;
        }
        request.model = body.model.as_deref().map(crate::routes::model_of).transpose()?;
        if let Some(tokens) = body.max_tokens.filter(|tokens| !(1..=100_000).contains(tokens)) {
            return Err(Error::invalid(format!("`max_tokens` is {tokens}; it must be 1 to 100000")));
        }
        request.max_output_tokens = body.max_tokens;
        Ok(request)
    }
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// `quoted`: sentences of the documents, word for word; `generated`: written by a model; `abstained`: the
    /// documents hold no answer and the citations are the closest passages.
    #[schema(example = "quoted")]
    pub kind: String,
    /// The text, with `[n]` after each quoted sentence.
    pub answer: String,
    /// The evidence.
    pub citations: Vec<Citation>,
    /// Entities it rests on.
    pub entities: Vec<EntityRef>,
    /// How evidence was found.
    pub mode: String,
    /// `likely` or `possibly`; absent for abstentions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    /// Milliseconds inside the process.
    pub took_ms: f64,
    /// Chunks of the workspace that were searched.
    pub searched: usize,
    /// Tokens and cost.
    pub usage: Usage,
    /// The model that wrote it, as its provider names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Milliseconds until the first piece of a written answer had arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// Sentences of a written answer for which no support was found in its sources: code points of `answer`, end exclusive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<[usize; 2]>,
    /// Passages that the model was given, with the numbers by which the answer cites them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Pages of the web that the model searched, where the question went to it alone (mode `bypass`): the first is what
    /// the text calls `[1]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub web_sources: Vec<WebSource>,
    /// Whether it was kept from an earlier, equal question, or shared with one at the same time, and cost nothing.
    #[serde(default)]
    pub cached: bool,
    /// What was left out or could not be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// A page of the web.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebSource {
    /// Its address; empty where the model names none.
    pub url: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// When it was published or changed, as the provider writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// A piece of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
}

/// A passage that a model was given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// The number by which the answer cites it.
    pub n: u32,
    /// The document.
    pub document_id: String,
    /// Its name.
    pub name: String,
    /// Page on which it begins, for paged formats.
    pub page: Option<u32>,
    /// Where it lies in the document's text, in code points, end exclusive.
    pub span: [usize; 2],
}

/// The passages that a model is about to write from, before it does.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Sources {
    /// In order of their numbers.
    pub sources: Vec<Source>,
}

impl From<lorekeep_types::Source> for Source {
    fn from(source: lorekeep_types::Source) -> Self {
        let lorekeep_types::Source { n, document_id, name, page, span, text: _ } = source;
        Self { n, document_id: document_id.into(), name, page, span: span.into() }
    }
}

/// A place in a document that supports a part of the answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// The number used in the answer, from 1.
    pub n: u32,
    /// The document.
    pub document_id: String,
    /// Its name.
    pub name: String,
    /// The version quoted.
    pub version: u32,
    /// Page, for paged formats.
    pub page: Option<u32>,
    /// Where the quote lies in the document's text, in code points, end exclusive.
    pub span: [usize; 2],
    /// Exactly the text at `span`.
    pub quote: String,
    /// Score; higher is better.
    pub score: f32,
    /// The sentence of another passage that links the question to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
}

/// A sentence that leads from the question to a quoted sentence.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Bridge {
    /// The phrase that both sentences share.
    pub through: String,
    /// The document.
    pub document_id: String,
    /// Its name.
    pub name: String,
    /// Page, for paged formats.
    pub page: Option<u32>,
    /// Where the quote lies, in code points.
    pub span: [usize; 2],
    /// Exactly the text at `span`.
    pub quote: String,
}

/// An entity an answer rests on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EntityRef {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
}

/// Tokens and cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Tokens sent to a model.
    pub prompt_tokens: u64,
    /// Tokens written by a model.
    pub completion_tokens: u64,
    /// Their sum.
    pub total_tokens: u64,
    /// Cost in 10⁻⁹ USD; `null` when the price is unknown.
    pub cost_nano_usd: Option<u64>,
    /// Whether tokens were counted here because the provider did not report them.
    #[serde(default)]
    pub estimated: bool,
}

/// A step of a streamed answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stage {
    /// `searching`, then `answering` (sentences are chosen) or `writing` (by a model).
    pub stage: String,
}

impl From<lorekeep_types::Answer> for Answer {
    fn from(answer: lorekeep_types::Answer) -> Self {
        let kind = match answer.kind {
            lorekeep_types::AnswerKind::Quoted => "quoted",
            lorekeep_types::AnswerKind::Generated => "generated",
            lorekeep_types::AnswerKind::Abstained => "abstained",
        };
        let entities = answer.entities.into_iter().map(|entity| EntityRef { name: entity.name, r#type: entity.kind });
        Self {
            kind: kind.to_owned(),
            answer: answer.answer,
            citations: answer.citations.into_iter().map(Into::into).collect(),
            entities: entities.collect(),
            mode: answer.mode.name().to_owned(),
            confidence: answer.confidence,
            took_ms: answer.took_ms,
            searched: answer.searched,
            usage: answer.usage.into(),
            model: answer.model,
            first_token_ms: answer.first_token_ms,
            unsupported: answer.unsupported.into_iter().map(Into::into).collect(),
            sources: answer.sources.into_iter().map(Into::into).collect(),
            web_sources: answer.web_sources.into_iter().map(Into::into).collect(),
            cached: answer.cached,
            notices: answer.notices,
        }
    }
}

impl From<lorekeep_types::WebSource> for WebSource {
    fn from(page: lorekeep_types::WebSource) -> Self {
        let lorekeep_types::WebSource { url, title, date, snippet } = page;
        Self { url, title, date, snippet }
    }
}

impl From<lorekeep_types::Citation> for Citation {
    fn from(citation: lorekeep_types::Citation) -> Self {
        Self {
            n: citation.n,
            document_id: citation.document_id.into(),
            name: citation.name,
            version: citation.version,
            page: citation.page,
            span: citation.span.into(),
            quote: citation.quote,
            score: citation.score,
            bridge: citation.bridge.map(|bridge| Bridge {
                through: bridge.through,
                document_id: bridge.document_id.into(),
                name: bridge.name,
                page: bridge.page,
                span: bridge.span.into(),
                quote: bridge.quote,
            }),
        }
    }
}

impl From<lorekeep_types::Usage> for Usage {
    fn from(usage: lorekeep_types::Usage) -> Self {
        let lorekeep_types::Usage { prompt_tokens, completion_tokens, total_tokens, cost_nano_usd, estimated } = usage;
        Self { prompt_tokens, completion_tokens, total_tokens, cost_nano_usd, estimated }
    }
}
