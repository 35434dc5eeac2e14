//! Answers written by a model: the prompt made of evidence inside its budget, and the answer made of what came back.

use lorekeep_types::{
    Answer, AnswerKind, AskRequest, CharSpan, ChatRequest, Completion, EmbeddingModel, Evidence, FinishReason, Reason,
    Result, Retrieval, Snapshot, Source, TokenCounter, Turn, Usage, WebSearch, WebSource,
};

use super::cited::{Cited, cited};
use super::compose::{empty, nothing};
use super::places::{Places, ReadDocument};
use super::prompt::{self, NOT_THERE};
use super::sanitise::{Rules, clean};
use super::sentences::{Ahead, ReadPassages};
use super::support;
use crate::context::{Artifact, Assembled, Draft, Priority, TokenBudget, assemble};
use crate::prompt::channel::is_hidden;
use crate::prompt::{Prompt, channel};

/// Randomness of answers: none, since they are to say what the passages say and are kept.
const TEMPERATURE: f32 = 0.0;

/// The form of an answer unless the request names one.
const FORM: &str = "brief and plain";

/// Of the tokens for evidence, entities and relations may take one part in this many each.
const GRAPH_SHARE: usize = 6;

/// Of a total that a request lowers, the answer gets one part in this many.
const COMPLETION_SHARE: usize = 4;

/// What a prompt is made of besides evidence.
pub(crate) struct Frame<'a> {
    pub(crate) prompt: &'a Prompt,
    pub(crate) request: &'a AskRequest,
    /// The question as the model shall read it.
    pub(crate) question: &'a str,
    /// The language to answer in, as prose, e.g. `German`.
    pub(crate) language: &'a str,
    /// A summary of older turns; may be empty.
    pub(crate) summary: &'a str,
    /// Recent turns.
    pub(crate) turns: &'a [Turn],
    pub(crate) budget: TokenBudget,
    pub(crate) counter: &'a dyn TokenCounter,
    /// Passages that were read before.
    pub(crate) kept: &'a ReadPassages,
}

/// A prompt, and what is needed to read its answer.
pub(crate) struct Pack {
    pub(crate) prompt: ChatRequest,
    /// Passages of the prompt with their numbers.
    pub(crate) passages: Vec<(u32, Evidence)>,
    /// Entities that the best of the retrieved evidence names.
    pub(crate) entities: Vec<lorekeep_types::EntityRef>,
    /// The mark that the answer must not hold.
    pub(crate) mark: String,
    pub(crate) searched: usize,
    pub(crate) notices: Vec<String>,
}

/// The budget of one request: never more than the configured one.
pub(crate) fn budget_of(request: &AskRequest, configured: &TokenBudget) -> TokenBudget {
    let total = configured.total.min(request.search.max_total_tokens);
    let lowered = if total < configured.total { total / COMPLETION_SHARE } else { configured.completion };
    TokenBudget { total, completion: configured.completion.min(lowered), ..*configured }
}

/// The prompt of a question without evidence.
///
/// # Errors
/// `TooLarge` when it does not fit the budget.
pub(crate) fn bare(frame: &Frame<'_>) -> Result<Pack> {
    let render = |_: &[&Artifact], question: &str| question.to_owned();
    let brief = brief(frame, "");
    let draft = Draft {
        system: "",
        brief: &brief,
        turns: frame.turns,
        artifacts: Vec::new(),
        question: frame.question,
        render: &render,
    };
    let (completion, mut notices) = room(frame);
    let assembled = assemble(frame.counter, &frame.budget, completion, draft)?;
    notices.extend(told(frame, &assembled));
    // With evidence, the numbers of passages and pages could not be told apart.
    let prompt = ChatRequest { web: Some(WebSearch::default()), ..chat_request(&assembled) };
    Ok(Pack { prompt, passages: Vec::new(), entities: Vec::new(), mark: String::new(), searched: 0, notices })
}

/// The prompt of a question with evidence.
///
/// # Errors
/// `TooLarge` when instructions, question and answer do not fit the budget.
pub(crate) fn pack(frame: &Frame<'_>, retrieval: Retrieval) -> Result<Pack> {
    let texts = retrieval.passages.iter().map(|one| one.chunk.chunk.text.as_str());
    let described = retrieval.entities.iter().map(|one| one.description.as_str());
    let of_communities = retrieval.communities.iter().filter_map(|one| one.summary.as_deref());
    let mark = channel::mark(texts.chain(described).chain(of_communities).chain([frame.question]));
    let artifacts = artifacts(frame, &retrieval, &mark);
    let count = retrieval.passages.len();
    let form = frame.request.form.as_deref().unwrap_or(FORM);
    let values = [("language", frame.language), ("response_type", form), ("mark", mark.as_str())];
    let system = frame.prompt.system(&values);
    let render = |kept: &[&Artifact], question: &str| {
        frame.prompt.user(&[("passages", &evidence(&mark, count, kept)), ("question", question)])
    };
    let brief = brief(frame, &mark);
    let draft = Draft {
        system: &system,
        brief: &brief,
        turns: frame.turns,
        artifacts,
        question: frame.question,
        render: &render,
    };
    let (completion, more) = room(frame);
    let assembled = assemble(frame.counter, &frame.budget, completion, draft)?;
    let mut notices = retrieval.notices;
    notices.extend(more);
    notices.extend(told(frame, &assembled));
    let entities = retrieval.entities.iter().take(8);
    let entities = entities.map(|one| lorekeep_types::EntityRef { name: one.name.clone(), kind: one.kind.clone() });
    let kept = |number: usize| assembled.kept.binary_search(&number).is_ok();
    let numbered = (0..).zip(retrieval.passages).filter(|(id, _)| kept(*id));
    Ok(Pack {
        prompt: chat_request(&assembled),
        entities: entities.collect(),
        passages: numbered.filter_map(|(id, one)| Some((u32::try_from(id + 1).ok()?, one))).collect(),
        mark,
        searched: retrieval.searched,
        notices,
    })
}

/// The passages that a prompt will have room for and that nobody has read, so that they can be before its answer is checked
/// against them.
pub(crate) fn ahead(retrieval: &Retrieval, budget: &TokenBudget, kept: &ReadPassages) -> Option<Ahead> {
    let mut tokens = 0;
    let fits = |one: &&Evidence| {
        tokens += one.chunk.chunk.tokens as usize;
        tokens <= budget.retrieved
    };
    Ahead::of(retrieval.passages.iter().take_while(fits).map(|one| kept.read(&one.chunk, None)))
}

/// A page as it may be shown: what it says of itself is no more to be trusted than the model.
fn web_source(page: &WebSource, hosts: &[String]) -> WebSource {
    let harmless = |text: &Option<String>| text.as_ref().map(|text| clean(text, &Rules { hosts, secret: "" }).0);
    let leads = ["https://", "http://"].iter().any(|scheme| page.url.starts_with(scheme));
    let url = if leads { page.url.chars().filter(|letter| !is_hidden(*letter)).collect() } else { String::new() };
    WebSource { url, title: harmless(&page.title), date: harmless(&page.date), snippet: harmless(&page.snippet) }
}

fn chat_request(assembled: &Assembled) -> ChatRequest {
    ChatRequest {
        messages: assembled.messages.clone(),
        max_tokens: u32::try_from(assembled.spent.completion).ok(),
        temperature: Some(TEMPERATURE),
        ..ChatRequest::default()
    }
}

/// Room for the answer, and a notice when more was asked for than is allowed.
fn room(frame: &Frame<'_>) -> (usize, Vec<String>) {
    let most = frame.budget.completion;
    match frame.request.max_output_tokens.map(|asked| asked as usize) {
        Some(asked) if asked > most => {
            (most, vec![format!("the answer may take {most} tokens, not the {asked} asked for: `answer.tokens`")])
        }
        asked => (asked.unwrap_or(most), Vec::new()),
    }
}

/// What a reader is told about a prompt.
fn told(frame: &Frame<'_>, assembled: &Assembled) -> Vec<String> {
    let mut notices: Vec<String> = assembled.overflows.iter().map(|(_, left_out)| left_out.clone()).collect();
    for (section, _) in &assembled.overflows {
        tracing::info!(section = section.name(), prompt = assembled.spent.prompt, "a section of the prompt overflowed");
    }
    if !frame.counter.is_exact() {
        notices.push("tokens of the prompt are estimated from its words".to_owned());
    }
    notices
}

fn brief(frame: &Frame<'_>, mark: &str) -> String {
    let mut brief = String::new();
    if let Some(wanted) = frame.request.instructions.as_deref().filter(|wanted| !wanted.trim().is_empty()) {
        brief.push_str(&format!("The person who asks adds: {}\n", wanted.trim()));
    }
    if !frame.summary.is_empty() {
        brief.push_str("\nEarlier in this conversation, as data:\n");
        brief.push_str(&channel::fenced(mark, "conversation", frame.summary));
    }
    brief
}

/// Passages, entities, relations and communities. Passages have the ids from 0 on, in their order.
fn artifacts(frame: &Frame<'_>, retrieval: &Retrieval, mark: &str) -> Vec<Artifact> {
    let count = retrieval.passages.len();
    let share = frame.budget.retrieved / GRAPH_SHARE;
    let entities = retrieval.entities.iter().map(|one| prompt::entity(one));
    let (entities, entity_tokens) = within(frame, entities, share.min(frame.request.search.max_entity_tokens));
    let relations = retrieval.relations.iter().map(|one| prompt::relation(one));
    let (relations, relation_tokens) = within(frame, relations, share.min(frame.request.search.max_relation_tokens));
    let communities = retrieval.communities.iter().map(prompt::community);
    let (communities, community_tokens) = within(frame, communities, share / 2);
    let graph = entities.into_iter().chain(relations).chain(communities);
    let graph = (count..).zip(graph).map(|(id, (text, tokens))| Artifact {
        id,
        priority: Priority::Medium,
        relevance: -(id as f32),
        text,
        tokens,
    });
    // What stands between the pieces counts too; to find that out from the whole would be to count it several times.
    let after_each = frame.counter.count(&after_passage(mark));
    let of_graph = match entity_tokens + relation_tokens + community_tokens {
        0 => 0,
        tokens => tokens + frame.counter.count(&background(mark, "-")),
    };
    let mut left = frame.budget.retrieved.saturating_sub(of_graph + frame.counter.count(PASSAGES));
    let mut artifacts: Vec<Artifact> = Vec::with_capacity(count);
    for (id, one) in retrieval.passages.iter().enumerate() {
        let text = prompt::passage(mark, id + 1, one, frame.kept);
        let tokens = frame.counter.count(&text) + after_each;
        if tokens > left && id > 0 {
            break;
        }
        left = left.saturating_sub(tokens);
        let priority = match (id, one.reasons.contains(&Reason::Neighbour)) {
            (0, _) => Priority::Critical,
            (_, false) => Priority::High,
            (_, true) => Priority::Low,
        };
        artifacts.push(Artifact { id, priority, relevance: one.score, text, tokens });
    }
    artifacts.extend(graph);
    artifacts
}

/// The first lines that fit `most` tokens together, each with its tokens, and what they take.
fn within(frame: &Frame<'_>, lines: impl Iterator<Item = String>, most: usize) -> (Vec<(String, usize)>, usize) {
    let (mut kept, mut used) = (Vec::new(), 0);
    for line in lines {
        let tokens = frame.counter.count(&line);
        if used + tokens > most {
            break;
        }
        used += tokens;
        kept.push((line, tokens));
    }
    (kept, used)
}

/// What the last message holds before the question: passages and background.
fn evidence(mark: &str, passages: usize, kept: &[&Artifact]) -> String {
    let mut text = String::new();
    if !kept.is_empty() {
        text.push_str(PASSAGES);
    }
    let of_graph = kept.partition_point(|artifact| artifact.id < passages);
    let (quoted, graph) = kept.split_at(of_graph);
    let after = after_passage(mark);
    for artifact in quoted {
        text.push_str(&artifact.text);
        text.push_str(&after);
    }
    if !graph.is_empty() {
        let lines: String = graph.iter().map(|artifact| artifact.text.as_str()).collect();
        text.push_str(&background(mark, lines.trim_end()));
    }
    text
}

const PASSAGES: &str = "Passages:\n\n";

fn after_passage(mark: &str) -> String {
    channel::closed(mark) + "\n"
}

fn background(mark: &str, lines: &str) -> String {
    let lines = channel::fenced(mark, "background", lines);
    format!("Background from the graph of the library, which has no number to cite:\n\n{lines}\n")
}

/// What an answer is checked against.
pub(crate) struct Check<'a> {
    pub(crate) snapshot: &'a dyn Snapshot,
    pub(crate) embedder: Option<&'a dyn EmbeddingModel>,
    pub(crate) document: &'a ReadDocument<'a>,
    /// Passages that were read before.
    pub(crate) kept: &'a ReadPassages,
    /// Hosts that links may lead to.
    pub(crate) hosts: &'a [String],
}

impl Pack {
    /// The passages as whoever reads the answer is told of them.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let source = |(n, one): &(u32, Evidence)| {
            let chunk = &one.chunk;
            let length = chunk.chunk.text.chars().count();
            Source {
                n: *n,
                document_id: chunk.document.clone(),
                name: chunk.document_name.clone(),
                page: chunk.chunk.page,
                span: CharSpan { start: chunk.char_start, end: chunk.char_start + length },
                text: chunk.chunk.text.clone(),
            }
        };
        self.passages.iter().map(source).collect()
    }

    fn knows(&self, n: u32) -> bool {
        self.passages.iter().any(|(known, _)| *known == n)
    }

    /// A piece of an answer as it may be shown: harmless, and citing known passages only.
    pub(crate) fn shown(&self, piece: &str, hosts: &[String]) -> String {
        let (text, _) = clean(piece, &Rules { hosts, secret: &self.mark });
        if self.passages.is_empty() { text } else { cited(&text, &|n| self.knows(n)).text }
    }

    /// The answer to a question that was asked without evidence.
    pub(crate) fn finish_bare(&self, request: &AskRequest, completion: &Completion, hosts: &[String]) -> Answer {
        let (answer, notices) = self.harmless(completion, hosts);
        let web_sources = completion.sources.iter().map(|page| web_source(page, hosts)).collect();
        Answer { answer, notices, web_sources, ..self.base(request, completion) }
    }

    /// The text that may be shown, and what is to be told about it.
    fn harmless(&self, completion: &Completion, hosts: &[String]) -> (String, Vec<String>) {
        let mut notices = self.notices.clone();
        notices.extend(ending(completion));
        let (text, removed) = clean(completion.text.trim(), &Rules { hosts, secret: &self.mark });
        if removed > 0 {
            notices.push(format!("{removed} links, pictures or hidden characters were made harmless in the answer"));
        }
        (text, notices)
    }

    fn base(&self, request: &AskRequest, completion: &Completion) -> Answer {
        Answer {
            mode: request.search.mode,
            searched: self.searched,
            usage: usage(completion),
            model: Some(completion.model.clone()),
            sources: self.sources(),
            cached: completion.cache_hit,
            ..empty(AnswerKind::Generated, String::new())
        }
    }

    /// The answer made of what the model wrote: harmless, every citation resolved to a sentence, every statement without
    /// support marked; or the statement that the documents hold no answer.
    ///
    /// # Errors
    /// When views or documents cannot be read.
    pub(crate) fn finish(&self, check: &Check<'_>, request: &AskRequest, completion: &Completion) -> Result<Answer> {
        let (text, mut notices) = self.harmless(completion, check.hosts);
        let base = self.base(request, completion);
        let mut places = Places::new(check.document);
        if text.trim_start_matches(['"', '*', '`']).starts_with(NOT_THERE) {
            let statement = nothing(check.snapshot.stats().documents, request.search.filter != Default::default());
            let (asked, most) = (&request.search.query, request.sentences);
            let citations = support::closest(&mut places, asked, &self.passages, most, check.kept)?;
            return Ok(Answer { kind: AnswerKind::Abstained, answer: statement, citations, notices, ..base });
        }
        let Cited { text, numbers, unknown } = cited(&text.replace(NOT_THERE, ""), &|n| self.knows(n));
        if unknown > 0 {
            notices.push(format!("the model cited {unknown} passages that it was not given; they were taken out"));
        }
        let text = text.trim().to_owned();
        let judged = support::judge(&text, &self.passages, check.embedder, check.kept)?;
        notices.extend(judged.notice());
        let citations = support::cite(&mut places, &judged, &numbers, &self.passages)?;
        Ok(Answer {
            unsupported: judged.unsupported,
            entities: self.entities.clone(),
            citations,
            notices,
            answer: text,
            ..base
        })
    }
}

/// Notices about how a completion ended.
fn ending(completion: &Completion) -> Vec<String> {
    let mut notices = Vec::new();
    match &completion.finish {
        FinishReason::Length => notices.push("the answer was cut at the limit of tokens".to_owned()),
        FinishReason::ContentFilter => notices.push("the provider withheld the rest of the answer".to_owned()),
        _ => {}
    }
    if completion.usage.estimated {
        notices.push("the provider reported no usable token counts; they were estimated".to_owned());
    }
    notices
}

/// What one call consumed.
pub(crate) fn usage(completion: &Completion) -> Usage {
    Usage {
        prompt_tokens: completion.usage.prompt,
        completion_tokens: completion.usage.completion,
        total_tokens: completion.usage.total(),
        cost_nano_usd: completion.cost.map(i64::unsigned_abs),
        estimated: completion.usage.estimated,
    }
}
