//! Entities and relations as a model finds them in a passage: what it is asked (`request`), what is read of its answer
//! (`answer`), and the rounds of asking again for what it missed.
//!
//! What is found joins what the built-in rules find in the same document (`told`), so that names are normalised in one
//! way and one thing stays one node.

mod answer;
mod request;
mod told;

use futures::future::BoxFuture;
use lorekeep_types::{ChatRequest, Completion, ModelError};

pub(crate) use answer::Found;
pub(crate) use request::{Asking, MOST_WRITTEN};
pub use told::Combine;
pub(crate) use told::combine;

/// Entities and records that one answer may hold.
const MOST_ENTITIES: usize = 40;
const MOST_RECORDS: usize = 100;

/// The version of what is read of an answer: raised when the same text comes to mean something else.
pub(crate) const FORM: &str = "extraction 1";

/// A passage to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage<'a> {
    /// The title of its document.
    pub(crate) title: &'a str,
    /// Its text.
    pub(crate) text: &'a str,
    /// The language of its document, as an ISO 639-1 code.
    pub(crate) language: Option<&'a str>,
}

/// Why a passage was not, or not wholly, read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The call failed.
    Call(ModelError),
    /// The model's text holds no records and does not say that there are none.
    Text,
}

/// What became of a passage: what was found, and why not more.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) found: Found,
    pub(crate) unread: Option<Unread>,
}

/// Makes one call.
pub(crate) type Ask<'a> = &'a (dyn Fn(ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>> + Send + Sync);

/// Reads a passage: once, and again for what was missed until nothing new comes or `asking.gleanings` is reached. A
/// failure after the first answer leaves what was found before.
pub(crate) async fn read(asking: &Asking<'_>, passage: Passage<'_>, ask: Ask<'_>) -> Reading {
    let mut reading = Reading::default();
    let mut request = asking.request(passage);
    for round in 0..=asking.gleanings {
        let completion = match ask(request.clone()).await {
            Ok(completion) => completion,
            Err(error) => {
                reading.unread = Some(Unread::Call(error));
                break;
            }
        };
        let answer = answer::read(&completion.text);
        if answer.is_unreadable() && round == 0 {
            reading.unread = Some(Unread::Text);
            break;
        }
        let is_new = reading.found.join(answer.found, (MOST_ENTITIES, MOST_RECORDS));
        if !is_new || round == asking.gleanings {
            break;
        }
        request = asking.again(request, completion.text);
    }
    reading
}

#[cfg(test)]
mod tests;
