//! One written answer: everything between an understood question and a checked text.
//!
//! Steps that not every answer takes are futures of their own: what they need would otherwise be room that every answer
//! takes up, and that is copied as often as its future is handed on.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use lorekeep_text as text;
use lorekeep_types::{
    Answer, AnswerKind, AskRequest, CacheKind, Call, ChatEvent, ChatModel, Completion, Mode, ModelError, ModelFault,
    OutputFormat, RequestContext, Result, Role, SearchRequest, Turn, Usage,
};

use super::spoken::Saying;
use super::{AskEvent, Failed, Step, Teller, add, language};
use crate::answer::prompt::NOT_THERE;
use crate::answer::sanitise::Held;
use crate::answer::write::{self, Check, Frame, Pack};
use crate::context::{TokenBudget, cut_to, extract, lines, split};
use crate::engine::Engine;
use crate::prompt::PromptName;

/// Raised when what is read from a kept text of an answer changes its meaning.
const FORM: &str = "answer 1";

/// Bytes of a conversation without evidence up to which its prompt is made where it stands.
const AT_ONCE: usize = 16 << 10;

/// Words for each token of a summary, as a model is told.
const WORDS_PER_TOKEN: f64 = 0.7;

/// A question ready to be searched for and answered.
#[derive(Default)]
struct Ready {
    /// To search for.
    query: String,
    said: Said,
    /// The code of the language to answer in, where it is known.
    code: Option<String>,
    usage: Option<Usage>,
    notices: Vec<String>,
}

/// What is put to the model.
#[derive(Clone, Default)]
struct Said {
    question: String,
    /// To answer in, as prose.
    language: String,
    summary: String,
    recent: Vec<Turn>,
}

impl Ready {
    /// Bytes of what the person said.
    fn bytes(&self) -> usize {
        let said = &self.said;
        said.question.len() + said.summary.len() + said.recent.iter().map(|turn| turn.content.len()).sum::<usize>()
    }

    fn took(&mut self, usage: Usage) {
        add(self.usage.get_or_insert(Usage::NONE), usage);
    }

    fn failed(&mut self, notice: String) {
        tracing::warn!(notice, "a call around an answer failed");
        self.notices.push(notice);
    }
}

impl Engine {
    /// Writes an answer with a model.
    pub(super) async fn written(
        &self,
        ctx: &RequestContext,
        request: &AskRequest,
        model: &Arc<dyn ChatModel>,
        teller: &Teller,
        started: Instant,
    ) -> Result<Answer, Failed> {
        let budget = write::budget_of(request, &self.parts.settings.answer.tokens);
        teller.tell(AskEvent::Step(Step::Understanding)).await;
        let mut ready = self.ready(ctx, request, &budget).await?;
        let pack = self.packed(ctx, request, &budget, &mut ready, teller).await?;
        let Some(pack) = pack else {
            // Nothing to write from: the statement that says so costs nothing.
            let answer = Box::pin(self.quoted(ctx, request.clone())).await?;
            return Ok(with_usage(answer, &ready));
        };
        let pack = Arc::new(pack);
        let (completion, first_token_ms) = self.spoken_answer(ctx, request, model, (&pack, teller, started)).await?;
        let answer = self.checked(ctx, request, &pack, completion).await?;
        let answer = self.in_its_language(ctx, answer, &mut ready).await;
        Ok(Answer { first_token_ms, ..with_usage(answer, &ready) })
    }

    /// Understands the question: conversation, language, what of the conversation goes along.
    async fn ready(&self, ctx: &RequestContext, request: &AskRequest, budget: &TokenBudget) -> Result<Ready> {
        let asked = request.search.query.as_str();
        let said = Said { question: asked.to_owned(), ..Said::default() };
        let mut ready = Ready { query: asked.to_owned(), said, ..Ready::default() };
        let counter = self.parts.prompt_tokens.as_ref();
        let parts = split(counter, &request.history, budget.turns);
        ready.said.recent = parts.recent.to_vec();
        if !parts.older.is_empty() {
            Box::pin(self.summarise(ctx, parts.older, budget.brief / 2, &mut ready)).await;
        }
        if request.search.mode != Mode::Bypass {
            let (whole, failed) = Box::pin(self.whole_question(ctx, asked, &request.history)).await;
            ready.took(whole.usage);
            failed.into_iter().for_each(|notice| ready.failed(notice));
            ready.query.clone_from(&whole.value);
            ready.said.question = whole.value;
        }
        self.choose_language(ctx, request, &mut ready).await?;
        Ok(ready)
    }

    /// Shortens older turns with a model, or by their first sentences where none is or it fails.
    async fn summarise(&self, ctx: &RequestContext, older: &[Turn], most: usize, ready: &mut Ready) {
        let counter = self.parts.prompt_tokens.as_ref();
        let words = ((most as f64) * WORDS_PER_TOKEN).round().to_string();
        let data = lines(older).join("\n");
        let saying = Saying {
            roles: &[Role::Summarize],
            operation: "summarize",
            kind: CacheKind::Summary,
            prompt: PromptName::ConversationSummary,
            values: &[("words", &words)],
            data: &data,
            max_tokens: u32::try_from(most).unwrap_or(u32::MAX),
            output: OutputFormat::Text,
        };
        let count = older.len();
        match self.say(ctx, saying, |text| Some(text.trim().to_owned()).filter(|text| !text.is_empty())).await {
            Some(Ok(spoken)) => {
                ready.took(spoken.usage);
                // What a model calls short is measured and cut.
                ready.said.summary = cut_to(counter, &spoken.value, most).to_owned();
                ready.notices.push(format!("{count} earlier turns were summarised by a model"));
            }
            Some(Err(error)) => {
                ready.said.summary = extract(counter, older, most);
                ready.failed(format!("{count} earlier turns were shortened to their first sentences: {error}"));
            }
            None => {
                ready.said.summary = extract(counter, older, most);
                ready.notices.push(format!("{count} earlier turns were shortened to their first sentences"));
            }
        }
    }

    /// The language to answer in, and the question in the language of the documents.
    async fn choose_language(&self, ctx: &RequestContext, request: &AskRequest, ready: &mut Ready) -> Result<()> {
        // A conversation without documents is the user's own: to translate into French is answered in French.
        let is_own = request.search.mode == Mode::Bypass;
        let asked = if is_own { None } else { text::language_of(&request.search.query) };
        ready.code = request.language.clone().or_else(|| asked.map(str::to_owned));
        ready.said.language = match &ready.code {
            Some(code) => language::name_of(code).to_owned(),
            None => "the language of the question".to_owned(),
        };
        if asked.is_none() {
            return Ok(());
        }
        // In memory, and sooner done than begun elsewhere: workspaces are opened when the engine starts.
        let snapshot = self.parts.store.workspace(&ctx.workspace)?.snapshot();
        let differs = language::language_to_search(&ready.query, snapshot.as_ref());
        drop(snapshot);
        let Some((from, into)) = differs else { return Ok(()) };
        match Box::pin(self.translated(ctx, &ready.query, &into)).await {
            Some(Ok(spoken)) => {
                ready.took(spoken.usage);
                let names = [from, into.as_str()].map(language::name_of);
                ready
                    .notices
                    .push(format!("the question was translated from {} to {} for the search", names[0], names[1]));
                ready.query = spoken.value;
            }
            Some(Err(error)) => ready.failed(format!("the question was searched for untranslated: {error}")),
            None => {}
        }
        Ok(())
    }

    /// What a prompt is made of besides evidence.
    fn frame<'a>(&'a self, request: &'a AskRequest, budget: TokenBudget, said: &'a Said) -> Frame<'a> {
        let Said { question, language, summary, recent: turns } = said;
        let counter = self.parts.prompt_tokens.as_ref();
        let prompt = self.parts.settings.prompts.get(PromptName::Answer);
        let kept = &self.read_passages;
        Frame { prompt, request, question, language, summary, turns, budget, counter, kept }
    }

    /// Evidence and the prompt made of it; `None` when there is no evidence.
    async fn packed(
        &self,
        ctx: &RequestContext,
        request: &AskRequest,
        budget: &TokenBudget,
        ready: &mut Ready,
        teller: &Teller,
    ) -> Result<Option<Pack>> {
        // The prompt has limits of its own; a search that kept to them first would say too early that nothing was found.
        let max_total_tokens = request.search.max_total_tokens.max(SearchRequest::new("").max_total_tokens);
        let mut search = SearchRequest { query: ready.query.clone(), max_total_tokens, ..request.search.clone() };
        if let Some(found) = Box::pin(self.keywords_of(ctx, &search)).await {
            match found {
                Ok(spoken) => {
                    ready.took(spoken.usage);
                    search.keywords = Some(spoken.value);
                }
                Err(notice) => ready.failed(notice),
            }
        }
        let is_bare = request.search.mode == Mode::Bypass;
        let is_short = ready.bytes() + request.instructions.as_ref().map_or(0, String::len) <= AT_ONCE;
        let budget = *budget;
        if is_bare && is_short {
            // Away from here it would take longer to get there than to be done.
            self.parts.store.workspace(&ctx.workspace)?;
            return write::bare(&self.frame(request, budget, &ready.said)).map(Some);
        }
        let (request, said) = (request.clone(), ready.said.clone());
        if is_bare {
            let work = move |engine: &Self, _: &_, _: &_| write::bare(&engine.frame(&request, budget, &said)).map(Some);
            return Box::pin(self.blocking(ctx, work)).await;
        }
        teller.tell(AskEvent::Step(Step::Searching)).await;
        let pack = self.found_with_communities(ctx, search, move |engine, retrieval| {
            if retrieval.passages.is_empty() {
                return Ok(None);
            }
            // There is time while the prompt is made and the model writes.
            if let Some(ahead) = write::ahead(&retrieval, &budget, &engine.read_passages) {
                let parts = Arc::clone(&engine.parts);
                tokio::task::spawn_blocking(move || ahead.read(parts.embedder.as_deref()));
            }
            write::pack(&engine.frame(&request, budget, &said), retrieval).map(Some)
        });
        let pack = Box::pin(pack).await?;
        if let Some(pack) = pack.as_ref().filter(|_| teller.streams()) {
            teller.tell(AskEvent::Sources(pack.sources())).await;
        }
        Ok(pack)
    }

    /// What the model writes, told piece by piece where somebody listens; and the milliseconds to its first piece.
    async fn spoken_answer(
        &self,
        ctx: &RequestContext,
        request: &AskRequest,
        model: &Arc<dyn ChatModel>,
        (pack, teller, started): (&Pack, &Teller, Instant),
    ) -> Result<(Completion, Option<f64>), Failed> {
        let operation = if request.search.mode == Mode::Bypass { "chat" } else { "answer" };
        let mut call = Call::of(ctx, operation);
        if operation == "answer" && self.parts.settings.answer.cache && !request.fresh {
            call = call.kept(CacheKind::Answer, FORM);
        }
        let before = |error| Failed::Model(error, false);
        if !teller.streams() {
            return Ok((model.chat(&call, &pack.prompt).await.map_err(before)?, None));
        }
        let mut pieces = model.stream(&call, &pack.prompt).await.map_err(before)?;
        teller.tell(AskEvent::Writing { model: model.id().to_string() }).await;
        let mut showing = Showing { pack, hosts: &self.parts.settings.answer.link_hosts, ..Showing::new(pack) };
        let mut first = None;
        while let Some(event) = pieces.next().await {
            match event.map_err(|error| Failed::Model(error, showing.began))? {
                ChatEvent::Text(text) => {
                    first.get_or_insert_with(|| started.elapsed().as_secs_f64() * 1e3);
                    showing.tell(teller, Some(&text)).await;
                }
                ChatEvent::Done(completion) => {
                    showing.tell(teller, None).await;
                    return Ok((*completion, first));
                }
            }
        }
        let error =
            ModelError::new(ModelFault::Cut { began: showing.began }, model.id(), "the answer ended without an end");
        Err(Failed::Model(error, showing.began))
    }

    async fn checked(
        &self,
        ctx: &RequestContext,
        request: &AskRequest,
        pack: &Arc<Pack>,
        completion: Completion,
    ) -> Result<Answer> {
        let (request, pack) = (request.clone(), Arc::clone(pack));
        if pack.passages.is_empty() && request.search.mode == Mode::Bypass {
            // No workspace is read: the text alone is made harmless.
            return Ok(pack.finish_bare(&request, &completion, &self.parts.settings.answer.link_hosts));
        }
        self.blocking(ctx, move |engine, workspace, _| {
            let document = |id: &lorekeep_types::DocumentId| workspace.document_text(id);
            let snapshot = workspace.snapshot();
            let check = Check {
                snapshot: snapshot.as_ref(),
                embedder: engine.parts.embedder.as_deref(),
                document: &document,
                kept: &engine.read_passages,
                hosts: &engine.parts.settings.answer.link_hosts,
            };
            pack.finish(&check, &request, &completion)
        })
        .await
    }

    /// The answer in the language it was asked for in, where the model wrote another and one can translate.
    async fn in_its_language(&self, ctx: &RequestContext, answer: Answer, ready: &mut Ready) -> Answer {
        let Some(wanted) = ready.code.clone().filter(|_| answer.kind == AnswerKind::Generated) else { return answer };
        if text::language_of(&answer.answer).is_none_or(|written| written == wanted) {
            return answer;
        }
        match Box::pin(self.translated(ctx, &answer.answer, &wanted)).await {
            Some(Ok(spoken)) => {
                ready.took(spoken.usage);
                ready.notices.push(format!("the answer was translated to {}", language::name_of(&wanted)));
                // Marks of unsupported sentences stand at places of the untranslated text.
                Answer { answer: spoken.value, unsupported: Vec::new(), ..answer }
            }
            Some(Err(error)) => {
                ready.failed(format!("the answer was left untranslated: {error}"));
                answer
            }
            None => answer,
        }
    }
}

/// What the calls around the answer took and had to tell.
fn with_usage(mut answer: Answer, ready: &Ready) -> Answer {
    if let Some(usage) = ready.usage {
        add(&mut answer.usage, usage);
    }
    answer.notices.extend(ready.notices.iter().cloned());
    answer
}

/// An answer on its way to whoever reads along.
struct Showing<'a> {
    pack: &'a Pack,
    hosts: &'a [String],
    held: Held,
    /// The beginning, as long as it may still become the statement that there is no answer.
    opening: String,
    began: bool,
    /// Whether it is that statement, of which nothing is shown.
    silent: bool,
}

impl<'a> Showing<'a> {
    fn new(pack: &'a Pack) -> Self {
        Self { pack, hosts: &[], held: Held::default(), opening: String::new(), began: false, silent: false }
    }

    /// Tells the next piece, or at the end what still waits.
    async fn tell(&mut self, teller: &Teller, piece: Option<&str>) {
        let ready = match piece {
            Some(piece) => self.held.push(piece),
            None => self.held.finish(),
        };
        let text = self.opened(ready, piece.is_none());
        if self.silent || text.is_empty() {
            return;
        }
        self.began = true;
        let shown = self.pack.shown(&text, self.hosts);
        if !shown.is_empty() {
            teller.tell(AskEvent::Text(shown)).await;
        }
    }

    fn opened(&mut self, ready: String, end: bool) -> String {
        if self.began || self.pack.passages.is_empty() {
            return ready;
        }
        self.opening.push_str(&ready);
        let start = self.opening.trim_start().trim_start_matches(['"', '*', '`']);
        if start.starts_with(NOT_THERE) {
            self.silent = true;
        }
        if self.silent || (!end && NOT_THERE.starts_with(start)) {
            return String::new();
        }
        std::mem::take(&mut self.opening)
    }
}
