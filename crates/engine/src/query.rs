//! Questions: search and ask, from one snapshot each.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use lorekeep_types::{
    Answer, AnswerStyle, AskRequest, Call, ChatEvent, ChatModel, Completion, Error, ErrorCode, Mode, ModelError,
    ModelFault, RequestContext, Result, Retrieval, Role, SearchRequest, Snapshot, Workspace,
};

use crate::answer::{Answerer, complete, write};
use crate::engine::Engine;
use crate::retrieve::Searcher;

/// A step of an answer on its way.
#[derive(Clone, Debug, PartialEq)]
pub enum AskEvent {
    /// Evidence was found, and a model begins to write.
    Writing {
        /// The model, `provider/name`.
        model: String,
    },
    /// The next piece of a written answer.
    Text(String),
    /// The whole answer: the end.
    Done(Box<Answer>),
}

/// An answer on its way; ends after [`AskEvent::Done`] or the first error.
pub type AskStream = BoxStream<'static, Result<AskEvent>>;

impl Engine {
    /// Finds evidence.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace; `InvalidRequest` for an empty or over-long question or a number out
    /// of range; `CapabilityMissing` for mode `bypass` without a model.
    pub async fn search(&self, ctx: &RequestContext, request: SearchRequest) -> Result<Retrieval> {
        self.blocking(ctx, move |engine, workspace, ctx| {
            engine.searcher(workspace.snapshot().as_ref(), ctx).search(&request)
        })
        .await
    }

    /// Answers a question: written by the model of the role `answer` where one is configured and the request allows,
    /// with quotes of the documents otherwise; or says that the documents hold no answer. A follow-up is completed
    /// from `history` before it is searched for.
    ///
    /// # Errors
    /// As [`Engine::search`]; `InvalidRequest` for a number of sentences out of range; `Upstream`,
    /// `UpstreamUnavailable`, `Timeout`, `BudgetExceeded` when the model fails.
    pub async fn ask(&self, ctx: &RequestContext, request: AskRequest) -> Result<Answer> {
        let started = Instant::now();
        let answer = match self.prepared(ctx, &request).await? {
            Prepared::Quoted(answer) => *answer,
            Prepared::ToWrite(writing) => match writing.model.chat(&call(ctx, &request), &writing.prompt).await {
                Ok(completion) => write::answer(&request, &writing.retrieval, completion),
                Err(error) => self.instead(ctx, request, error).await?,
            },
        };
        Ok(timed(answer, started))
    }

    /// The same piece by piece. A quoted answer comes as one [`AskEvent::Done`].
    ///
    /// # Errors
    /// As [`Engine::ask`] for what fails before the model begins; later failures come through the stream.
    pub async fn ask_streamed(&self, ctx: &RequestContext, request: AskRequest) -> Result<AskStream> {
        let started = Instant::now();
        let done = move |answer| stream::iter([Ok(AskEvent::Done(Box::new(timed(answer, started))))]).boxed();
        let writing = match self.prepared(ctx, &request).await? {
            Prepared::Quoted(answer) => return Ok(done(*answer)),
            Prepared::ToWrite(writing) => writing,
        };
        let pieces = match writing.model.stream(&call(ctx, &request), &writing.prompt).await {
            Ok(pieces) => pieces,
            Err(error) => return Ok(done(self.instead(ctx, request, error).await?)),
        };
        let head = AskEvent::Writing { model: writing.model.id().to_string() };
        let retrieval = writing.retrieval;
        let mut first_token_ms = None;
        let events = pieces.map(move |event| match event {
            Ok(ChatEvent::Text(text)) => {
                first_token_ms.get_or_insert_with(|| started.elapsed().as_secs_f64() * 1e3);
                Ok(AskEvent::Text(text))
            }
            Ok(ChatEvent::Done(completion)) => {
                let answer = write::answer(&request, &retrieval, Completion::clone(&completion));
                Ok(AskEvent::Done(Box::new(timed(Answer { first_token_ms, ..answer }, started))))
            }
            Err(error) => Err(error.into()),
        });
        Ok(stream::iter([Ok(head)]).chain(events).boxed())
    }

    /// Everything up to the model's part.
    async fn prepared(&self, ctx: &RequestContext, request: &AskRequest) -> Result<Prepared> {
        let model = self.writer(request)?;
        let question = complete(&request.search.query, &request.history).into_owned();
        if let Some(model) = model.clone().filter(|_| request.search.mode == Mode::Bypass) {
            ctx.check()?;
            let prompt = write::prompt(request, &request.search.query, &[]);
            return Ok(Prepared::ToWrite(Box::new(Writing { model, prompt, retrieval: Retrieval::default() })));
        }
        let Some(model) = model else {
            let request = request.clone();
            let quoted = self.blocking(ctx, move |engine, workspace, ctx| {
                engine.quoted(workspace.as_ref(), workspace.snapshot().as_ref(), ctx, &request)
            });
            return Ok(Prepared::Quoted(Box::new(quoted.await?)));
        };
        let retrieval = self.search(ctx, SearchRequest { query: question.clone(), ..request.search.clone() }).await?;
        if retrieval.passages.is_empty() {
            // Nothing to write from: the statement that says so costs nothing.
            let request = AskRequest { style: AnswerStyle::Quote, ..request.clone() };
            return Ok(Prepared::Quoted(Box::new(Box::pin(self.ask(ctx, request)).await?)));
        }
        let prompt = write::prompt(request, &question, &retrieval.passages);
        Ok(Prepared::ToWrite(Box::new(Writing { model, prompt, retrieval })))
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

    /// What is answered when a model failed: the quoted answer where a budget says so, the failure otherwise.
    async fn instead(&self, ctx: &RequestContext, request: AskRequest, error: ModelError) -> Result<Answer> {
        if error.fault != ModelFault::OverBudget(lorekeep_types::BudgetAction::Quote) {
            return Err(error.into());
        }
        let notice = format!("{}; the answer is quoted instead", error.message);
        let mut answer = Box::pin(self.ask(ctx, AskRequest { style: AnswerStyle::Quote, ..request })).await?;
        answer.notices.push(notice);
        Ok(answer)
    }

    fn quoted(
        &self,
        workspace: &dyn Workspace,
        snapshot: &dyn Snapshot,
        ctx: &RequestContext,
        request: &AskRequest,
    ) -> Result<Answer> {
        let query = complete(&request.search.query, &request.history).into_owned();
        let retrieval = self.searcher(snapshot, ctx).search(&SearchRequest { query, ..request.search.clone() })?;
        ctx.check()?;
        let document = |id: &lorekeep_types::DocumentId| workspace.document_text(id);
        Answerer { snapshot, embedder: self.parts.embedder.as_deref(), document: &document }.answer(request, &retrieval)
    }

    fn searcher<'a>(&'a self, snapshot: &'a dyn Snapshot, ctx: &'a RequestContext) -> Searcher<'a> {
        Searcher { snapshot, embedder: self.parts.embedder.as_deref(), tokens: self.parts.tokens.as_ref(), ctx }
    }
}

/// What an answer needs next.
enum Prepared {
    /// Nothing: it is quoted.
    Quoted(Box<Answer>),
    /// A model.
    ToWrite(Box<Writing>),
}

struct Writing {
    model: Arc<dyn ChatModel>,
    prompt: lorekeep_types::ChatRequest,
    retrieval: Retrieval,
}

fn call(ctx: &RequestContext, request: &AskRequest) -> Call {
    let operation = if request.search.mode == Mode::Bypass { "chat" } else { "answer" };
    Call { deadline: ctx.deadline, ..Call::new(operation, ctx.workspace.clone(), ctx.request_id.clone()) }
}

fn timed(answer: Answer, started: Instant) -> Answer {
    Answer { took_ms: started.elapsed().as_secs_f64() * 1e3, ..answer }
}
