//! Answering: understand the question, find evidence, write from it inside the token budget or quote it, check what was
//! written, and keep it.
//!
//! One path serves whole answers and streamed ones; [`Teller`] carries what can be told on the way. `understand` turns a
//! question of a conversation into one to search for, `spoken` makes the small calls of models around an answer.
//!
//! Answers are kept by what keeps the answers of models ([`lorekeep_types::Call::kept`]): the key of an answer is its whole
//! prompt, the passages in it included. The passages are found anew for every question, so that what was kept before a
//! document was changed, added or deleted is found again only where that made no difference.

mod language;
mod spoken;
mod understand;
mod write;

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use lorekeep_types::{
    Answer, AnswerStyle, AskRequest, BudgetAction, ChatModel, Error, ErrorCode, Mode, ModelError, ModelFault,
    OnFailure, RequestContext, Result, Role, SearchRequest, Snapshot, Source, Usage, Workspace,
};
use tokio::sync::mpsc;

pub(crate) use self::language::name_of;
pub(crate) use self::spoken::{Saying, Spoken};
use crate::answer::{Answerer, complete};
use crate::engine::Engine;
pub(crate) use language::name_of as language_name;

/// Steps of an answer that wait to be read at most; a reader who is slower slows the model down.
const UNREAD: usize = 64;

/// A step of an answer on its way.
#[derive(Clone, Debug, PartialEq)]
pub enum AskEvent {
    /// Something begins that takes time.
    Step(Step),
    /// The passages that a model is given, before it writes.
    Sources(Vec<Source>),
    /// A model begins to write.
    Writing {
        /// The model, `provider/name`.
        model: String,
    },
    /// The next piece of a written answer, harmless and with whole citations.
    Text(String),
    /// The whole answer: the end.
    Done(Box<Answer>),
}

/// What takes time before a model writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The question is understood: keywords, the conversation before it, its language.
    Understanding,
    /// Evidence is looked for.
    Searching,
}

/// An answer on its way; ends after [`AskEvent::Done`] or the first error. Dropping it ends the work and closes the
/// connection to the model.
pub type AskStream = BoxStream<'static, Result<AskEvent>>;

/// Where steps are told, if anybody listens.
#[derive(Clone)]
pub(crate) struct Teller(Option<mpsc::Sender<Result<AskEvent>>>);

impl Teller {
    /// Whether pieces of the answer are wanted.
    fn streams(&self) -> bool {
        self.0.is_some()
    }

    async fn tell(&self, event: AskEvent) {
        if let Some(listener) = &self.0 {
            // A listener who has gone takes the whole work with him.
            let _ = listener.send(Ok(event)).await;
        }
    }
}

impl Engine {
    /// Answers a question: written by the model of the role `answer` where one is configured and the request allows,
    /// with quotes of the documents otherwise; or says that the documents hold no answer.
    ///
    /// # Errors
    /// As [`Engine::search`]; `InvalidRequest` for a number of sentences out of range; `TooLarge` when the question does
    /// not fit the token budget; `Upstream`, `UpstreamUnavailable`, `Timeout`, `BudgetExceeded` when the model fails
    /// and neither request nor settings allow quotes instead.
    pub async fn ask(&self, ctx: &RequestContext, request: AskRequest) -> Result<Answer> {
        let started = Instant::now();
        let answer = self.answered(ctx, request, &Teller(None), started).await?;
        Ok(timed(answer, started))
    }

    /// The same step by step.
    #[must_use]
    pub fn ask_streamed(&self, ctx: &RequestContext, request: AskRequest) -> AskStream {
        let started = Instant::now();
        let (tell, told) = mpsc::channel(UNREAD);
        let (engine, ctx) = (self.clone(), ctx.clone());
        let work = async move {
            let answer = engine.answered(&ctx, request, &Teller(Some(tell.clone())), started).await;
            let _ = tell.send(answer.map(|answer| AskEvent::Done(Box::new(timed(answer, started))))).await;
        };
        let events = stream::unfold(told, |mut told| async { Some((told.recv().await?, told)) });
        stream::select(events.map(Some), stream::once(work).map(|()| None)).filter_map(async |event| event).boxed()
    }

    async fn answered(
        &self,
        ctx: &RequestContext,
        request: AskRequest,
        teller: &Teller,
        started: Instant,
    ) -> Result<Answer> {
        let Some(model) = self.writer(&request)? else {
            teller.tell(AskEvent::Step(Step::Understanding)).await;
            teller.tell(AskEvent::Step(Step::Searching)).await;
            return Box::pin(self.quoted(ctx, request)).await;
        };
        match Box::pin(self.written(ctx, &request, &model, teller, started)).await {
            Ok(answer) => Ok(answer),
            Err(Failed::Otherwise(error)) => Err(error),
            Err(Failed::Model(error, began)) => Box::pin(self.instead(ctx, request, error, began)).await,
        }
    }

    /// The model that writes the answer; `None` for a quoted one.
    fn writer(&self, request: &AskRequest) -> Result<Option<Arc<dyn ChatModel>>> {
        if request.style == AnswerStyle::Quote {
            return Ok(None);
        }
        match (&request.model, &self.parts.models) {
            (Some(id), Some(models)) => models.chat_by_id(id).map(Some),
            (Some(id), None) => {
                let message = format!("the model `{id}` cannot be asked: no provider is configured");
                Err(Error::new(ErrorCode::CapabilityMissing, message).hint("configure one: `lorekeep model set`"))
            }
            (None, models) => Ok(models.as_ref().and_then(|models| models.chat(Role::Answer))),
        }
    }

    /// What is answered when a model failed: quotes where a budget, the request or the settings say so and nothing of the
    /// answer was shown yet, the failure otherwise.
    async fn instead(
        &self,
        ctx: &RequestContext,
        request: AskRequest,
        error: ModelError,
        began: bool,
    ) -> Result<Answer> {
        let allowed = request.on_failure.unwrap_or(self.parts.settings.answer.on_failure) == OnFailure::Quote;
        let by_budget =
            matches!(&error.fault, ModelFault::OverBudget(refusal) if refusal.action == BudgetAction::Quote);
        let gone = matches!(error.fault, ModelFault::Cancelled);
        if began || gone || !(allowed || by_budget) || request.search.mode == Mode::Bypass {
            return Err(error.into());
        }
        let notice = format!("{}; the answer is quoted instead", error.message);
        let mut answer = self.quoted(ctx, request).await?;
        answer.notices.push(notice);
        Ok(answer)
    }

    async fn quoted(&self, ctx: &RequestContext, request: AskRequest) -> Result<Answer> {
        let work = move |engine: &Self, workspace: &Arc<dyn Workspace>, ctx: &RequestContext| {
            engine.quote(workspace.as_ref(), workspace.snapshot().as_ref(), ctx, &request)
        };
        self.blocking(ctx, work).await
    }

    fn quote(
        &self,
        workspace: &dyn Workspace,
        snapshot: &dyn Snapshot,
        ctx: &RequestContext,
        request: &AskRequest,
    ) -> Result<Answer> {
        let query = complete(&request.search.query, &request.history).into_owned();
        let search = SearchRequest { query, ..request.search.clone() };
        let retrieval = self.searching(workspace, snapshot, ctx, |searcher| searcher.search(&search))?;
        ctx.check()?;
        let document = |id: &lorekeep_types::DocumentId| workspace.document_text(id);
        Answerer { snapshot, embedder: self.parts.embedder.as_deref(), document: &document }.answer(request, &retrieval)
    }
}

/// Why no answer was written.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The model that writes failed; whether a part of its answer had been shown.
    Model(ModelError, bool),
    /// Something else did.
    Otherwise(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Otherwise(error)
    }
}

/// Adds what another call consumed. An unknown price makes the sum unknown.
pub(crate) fn add(usage: &mut Usage, other: Usage) {
    usage.prompt_tokens += other.prompt_tokens;
    usage.completion_tokens += other.completion_tokens;
    usage.total_tokens += other.total_tokens;
    usage.cost_nano_usd = usage.cost_nano_usd.zip(other.cost_nano_usd).map(|(one, two)| one + two);
    usage.estimated |= other.estimated;
}

fn timed(answer: Answer, started: Instant) -> Answer {
    Answer { took_ms: started.elapsed().as_secs_f64() * 1e3, ..answer }
}
