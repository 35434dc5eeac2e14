//! Putting a prompt together so that no section and no sum exceeds its limit.
//!
//! What gives way when the whole is too large, in this order: evidence from the least needed on, then the oldest of the
//! recent turns, then the brief. Instructions, the question and room for the answer stay.

use std::cell::OnceCell;

use lorekeep_types::{ChatMessage, ChatRole, Error, ErrorCode, Result, TokenCounter, Turn};

use super::artifact::Artifact;
use super::budget::{MESSAGE_TOKENS, REPLY_TOKENS, TokenBudget, cut_to, message_tokens};

/// A section of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// The instructions of the program.
    System,
    /// The caller's instructions and the summary of older turns.
    Brief,
    /// Recent turns.
    Turns,
    /// Evidence.
    Retrieved,
    /// Room for the answer.
    Completion,
}

impl Section {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Brief => "brief",
            Self::Turns => "turns",
            Self::Retrieved => "retrieved",
            Self::Completion => "completion",
        }
    }
}

/// What goes into a prompt.
pub struct Draft<'a> {
    /// The instructions of the program.
    pub system: &'a str,
    /// The caller's instructions and the summary of older turns; may be empty.
    pub brief: &'a str,
    /// Recent turns, oldest first.
    pub turns: &'a [Turn],
    /// Evidence in any order.
    pub artifacts: Vec<Artifact>,
    /// The question.
    pub question: &'a str,
    /// Makes the text of the last message of the evidence that stays, given in order of `id`, and the question.
    pub render: &'a dyn Fn(&[&Artifact], &str) -> String,
}

/// Tokens of the sections of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Instructions.
    pub system: usize,
    /// Brief.
    pub brief: usize,
    /// Recent turns with their marks.
    pub turns: usize,
    /// Evidence.
    pub retrieved: usize,
    /// Room for the answer.
    pub completion: usize,
    /// The whole prompt as a provider counts it.
    pub prompt: usize,
}

/// A prompt that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembled {
    /// The messages.
    pub messages: Vec<ChatMessage>,
    /// Evidence that stayed, by id, ascending.
    pub kept: Vec<usize>,
    /// Tokens.
    pub spent: Spent,
    /// Sections that had more to say than they may, with what was left out of each.
    pub overflows: Vec<(Section, String)>,
}

/// Makes the prompt. `completion` is the room wanted for the answer, cut to its section.
///
/// # Errors
/// `TooLarge` with the numbers when instructions, question and room for the answer do not fit the total.
pub fn assemble(
    counter: &dyn TokenCounter,
    budget: &TokenBudget,
    completion: usize,
    draft: Draft<'_>,
) -> Result<Assembled> {
    let mut work = Work::new(counter, budget, completion, draft)?;
    work.fit_sections();
    work.fit_total();
    Ok(work.finish())
}

struct Work<'a> {
    counter: &'a dyn TokenCounter,
    budget: &'a TokenBudget,
    completion: usize,
    system: &'a str,
    brief: &'a str,
    turns: &'a [Turn],
    /// Most needed first.
    artifacts: Vec<Artifact>,
    question: &'a str,
    render: &'a dyn Fn(&[&Artifact], &str) -> String,
    /// Tokens of the last message without evidence.
    bare: usize,
    /// The last message with the evidence that is left, and its tokens: counting it is most of the work.
    last: OnceCell<(String, usize)>,
    given: usize,
    overflows: Vec<(Section, String)>,
}

impl<'a> Work<'a> {
    fn new(
        counter: &'a dyn TokenCounter,
        budget: &'a TokenBudget,
        completion: usize,
        draft: Draft<'a>,
    ) -> Result<Self> {
        let mut overflows = Vec::new();
        let system = cut_to(counter, draft.system, budget.system);
        if system.len() < draft.system.trim_end().len() {
            overflows.push((Section::System, format!("the instructions were cut to {} tokens", budget.system)));
        }
        let completion = completion.min(budget.completion);
        let bare = counter.count(&(draft.render)(&[], draft.question));
        let system_tokens = if system.is_empty() { 0 } else { message_tokens(counter, system) };
        let least = REPLY_TOKENS + system_tokens + MESSAGE_TOKENS + bare + completion;
        if least > budget.total {
            let message = format!(
                "the question does not fit: instructions, question and answer take {least} tokens, and {} are the limit",
                budget.total
            );
            let hint = "shorten the question, ask for a shorter answer, or raise `answer.tokens.total`";
            return Err(Error::new(ErrorCode::TooLarge, message).hint(hint));
        }
        let mut artifacts = draft.artifacts;
        artifacts.sort_by(Artifact::order);
        Ok(Self {
            counter,
            budget,
            completion,
            system,
            brief: draft.brief,
            turns: draft.turns,
            given: artifacts.len(),
            artifacts,
            question: draft.question,
            render: draft.render,
            bare,
            last: OnceCell::new(),
            overflows,
        })
    }

    /// Cuts each section to its own limit.
    fn fit_sections(&mut self) {
        let brief = cut_to(self.counter, self.brief, self.budget.brief);
        if brief.len() < self.brief.trim_end().len() {
            let left_out = format!("instructions and earlier conversation were cut to {} tokens", self.budget.brief);
            self.overflows.push((Section::Brief, left_out));
        }
        self.brief = brief;
        let recent = super::turns::split(self.counter, self.turns, self.budget.turns).recent;
        self.drop_turns(self.turns.len() - recent.len());
        let most = self.budget.retrieved;
        let mut used = 0;
        let fitting = self.artifacts.iter().take_while(|artifact| {
            used += artifact.tokens;
            used <= most
        });
        let fitting = fitting.count();
        if fitting == 0
            && let Some(first) = self.artifacts.first_mut()
        {
            // The best evidence is cut rather than lost.
            cut(self.counter, first, most);
        }
        self.artifacts.truncate(fitting.max(1));
        // What joins the pieces counts too.
        while !self.artifacts.is_empty() && self.retrieved() > most {
            self.spare_evidence(self.retrieved() - most);
        }
    }

    /// Lets things go until the whole fits.
    fn fit_total(&mut self) {
        loop {
            let over = (self.prompt() + self.completion).saturating_sub(self.budget.total);
            if over == 0 {
                return;
            }
            if !self.artifacts.is_empty() {
                self.spare_evidence(over);
            } else if !self.turns.is_empty() {
                self.drop_turns(1);
            } else if self.brief.is_empty() {
                return;
            } else {
                let most = self.counter.count(self.brief).saturating_sub(over);
                self.brief = cut_to(self.counter, self.brief, most);
            }
        }
    }

    /// Lets the least needed evidence go; the last piece is cut first.
    fn spare_evidence(&mut self, over: usize) {
        self.last = OnceCell::new();
        if self.artifacts.len() > 1 {
            self.artifacts.pop();
            return;
        }
        let Some(last) = self.artifacts.last_mut() else { return };
        let most = last.tokens.saturating_sub(over.max(1));
        cut(self.counter, last, most);
        if last.text.is_empty() {
            self.artifacts.pop();
        }
    }

    fn drop_turns(&mut self, count: usize) {
        if count > 0 {
            self.turns = self.turns.get(count..).unwrap_or_default();
            self.overflows.push((Section::Turns, format!("{count} earlier turns were left out")));
        }
    }

    fn in_order(&self) -> Vec<&Artifact> {
        let mut kept: Vec<&Artifact> = self.artifacts.iter().collect();
        kept.sort_by_key(|artifact| artifact.id);
        kept
    }

    /// The last message and its tokens.
    fn last(&self) -> &(String, usize) {
        self.last.get_or_init(|| {
            let text = (self.render)(&self.in_order(), self.question);
            let tokens = self.counter.count(&text);
            (text, tokens)
        })
    }

    /// Tokens that the evidence adds to the last message.
    fn retrieved(&self) -> usize {
        self.last().1.saturating_sub(self.bare)
    }

    fn messages(&self) -> Vec<ChatMessage> {
        let mut messages = Vec::with_capacity(self.turns.len() + 3);
        messages.extend((!self.system.is_empty()).then(|| ChatMessage::text(ChatRole::System, self.system)));
        messages.extend((!self.brief.is_empty()).then(|| ChatMessage::text(ChatRole::System, self.brief)));
        messages.extend(self.turns.iter().map(|turn| ChatMessage::text(turn.role, &turn.content)));
        messages.push(ChatMessage::text(ChatRole::User, &self.last().0));
        messages
    }

    fn turn_tokens(&self) -> usize {
        self.turns.iter().map(|turn| message_tokens(self.counter, &turn.content)).sum()
    }

    /// Tokens of all messages, as a provider counts them.
    fn prompt(&self) -> usize {
        let instructions = [self.system, self.brief].into_iter().filter(|text| !text.is_empty());
        let instructions: usize = instructions.map(|text| message_tokens(self.counter, text)).sum();
        REPLY_TOKENS + instructions + self.turn_tokens() + MESSAGE_TOKENS + self.last().1
    }

    fn finish(mut self) -> Assembled {
        let dropped = self.given - self.artifacts.len();
        if dropped > 0 {
            let left_out = format!(
                "{dropped} of {} pieces of evidence were left out: {} tokens is their limit",
                self.given, self.budget.retrieved
            );
            self.overflows.push((Section::Retrieved, left_out));
        }
        let spent = Spent {
            system: self.counter.count(self.system),
            brief: self.counter.count(self.brief),
            turns: self.turn_tokens(),
            retrieved: self.retrieved(),
            completion: self.completion,
            prompt: self.prompt(),
        };
        let messages = self.messages();
        let kept = self.in_order().iter().map(|artifact| artifact.id).collect();
        Assembled { messages, kept, spent, overflows: self.overflows }
    }
}

/// Cuts the text of a piece of evidence.
fn cut(counter: &dyn TokenCounter, artifact: &mut Artifact, most: usize) {
    artifact.text = cut_to(counter, &artifact.text, most).to_owned();
    artifact.tokens = counter.count(&artifact.text);
}
