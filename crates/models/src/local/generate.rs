//! One answer, token by token.

use std::time::Instant;

use lorekeep_types::FinishReason;

use super::fault::LocalError;
use super::llama::Llama;
use super::sample::Sampler;
use super::text::Text;

/// Tokens of a prompt that are read at once; between two such pieces a caller who went away is noticed.
const STRIDE: usize = 256;
/// Most tokens to write where the request does not say.
pub(super) const MOST_TOKENS: u32 = 2_048;

/// What to write.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The prompt's tokens, at least one.
    pub(super) prompt: Vec<u32>,
    pub(super) max_tokens: u32,
    pub(super) temperature: f32,
    pub(super) top_p: f32,
    pub(super) seed: Option<u64>,
    /// Texts that end the answer and are not part of it.
    pub(super) stop: Vec<String>,
    pub(super) deadline: Option<Instant>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) finish: FinishReason,
    /// Tokens written, the one that ended the answer included.
    pub(super) tokens: u64,
}

/// Writes an answer; `seen` follows it.
///
/// # Errors
/// [`LocalError::TooLong`], [`LocalError::Gone`], [`LocalError::Deadline`], or what the computation says.
pub(super) fn write(
    model: &mut Llama,
    text: &Text,
    order: &Order,
    seen: &mut dyn Listener,
) -> Result<Written, LocalError> {
    let (read, room) = (order.prompt.len(), model.context());
    if read >= room {
        return Err(LocalError::TooLong { tokens: read, room });
    }
    model.reset();
    let mut logits = Vec::new();
    for piece in order.prompt.chunks(STRIDE) {
        still_wanted(order, seen)?;
        logits = model.forward(piece)?;
        seen.read(piece.len());
    }
    let most = (order.max_tokens as usize).min(room - read);
    let mut sampler = Sampler::new(order.temperature, order.top_p, order.seed);
    let mut writer = text.writer();
    let mut draft = Draft::new(&order.stop);
    let mut tokens = 0;
    let finish = loop {
        if tokens == most {
            break FinishReason::Length;
        }
        still_wanted(order, seen)?;
        let token = sampler.pick(&logits)?;
        tokens += 1;
        seen.wrote(model);
        if text.ends(token) {
            break FinishReason::Stop;
        }
        if let Some(piece) = writer.push(token)? {
            let stopped = draft.push(&piece);
            seen.say(draft.ready());
            if stopped {
                break FinishReason::Stop;
            }
        }
        if tokens < most {
            logits = model.forward(&[token])?;
        }
    };
    seen.say(draft.rest());
    Ok(Written { text: draft.text, finish, tokens: tokens as u64 })
}

fn still_wanted(order: &Order, seen: &dyn Listener) -> Result<(), LocalError> {
    if seen.gone() {
        return Err(LocalError::Gone);
    }
    if order.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(LocalError::Deadline);
    }
    Ok(())
}

/// Who follows an answer.
pub(super) trait Listener {
    /// The next piece of the text; may be empty.
    fn say(&mut self, piece: String);
    /// Whether nobody waits any more.
    fn gone(&self) -> bool;
    /// So many tokens of the prompt were read.
    fn read(&mut self, tokens: usize);
    /// One token was written.
    fn wrote(&mut self, model: &Llama);
}

/// The text so far; what may be the beginning of a stop text is held back.
struct Draft<'a> {
    text: String,
    shown: usize,
    stop: Vec<&'a str>,
    over: bool,
}

impl<'a> Draft<'a> {
    fn new(stop: &'a [String]) -> Self {
        let stop = stop.iter().map(String::as_str).filter(|stop| !stop.is_empty()).collect();
        Self { text: String::new(), shown: 0, stop, over: false }
    }

    /// Adds a piece; whether a stop text is complete, which is then cut off.
    fn push(&mut self, piece: &str) -> bool {
        self.text.push_str(piece);
        let unseen = self.text.get(self.shown..).unwrap_or_default();
        let end = self.stop.iter().filter_map(|stop| unseen.find(stop)).min();
        if let Some(end) = end {
            self.text.truncate(self.shown + end);
            self.over = true;
        }
        self.over
    }

    /// What can be shown by now.
    fn ready(&mut self) -> String {
        let unseen = self.text.get(self.shown..).unwrap_or_default();
        let held = if self.over { 0 } else { self.stop.iter().map(|stop| overlap(unseen, stop)).max().unwrap_or(0) };
        self.show(self.text.len() - held)
    }

    /// All that was held back.
    fn rest(&mut self) -> String {
        self.show(self.text.len())
    }

    fn show(&mut self, until: usize) -> String {
        let piece = self.text.get(self.shown..until).unwrap_or_default().to_owned();
        self.shown = until;
        piece
    }
}

/// Bytes at the end of `text` that `stop` begins with.
fn overlap(text: &str, stop: &str) -> usize {
    let starts = stop.char_indices().map(|(at, _)| at).skip(1);
    starts.filter(|at| text.ends_with(stop.get(..*at).unwrap_or_default())).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::local::folder::Found;

    /// Leaves after so many tokens.
    struct Impatient {
        tokens: usize,
        patience: usize,
    }

    impl Listener for Impatient {
        fn say(&mut self, _piece: String) {}

        fn gone(&self) -> bool {
            self.tokens >= self.patience
        }

        fn read(&mut self, _tokens: usize) {}

        fn wrote(&mut self, _model: &Llama) {
            self.tokens += 1;
        }
    }

    fn wrote(patience: usize, deadline: Option<Instant>) -> (Result<Written, LocalError>, usize) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/local/llama");
        let found = Found::Llama(folder);
        let (mut model, text) = (Llama::load(&found, 512).unwrap(), Text::of(&found).unwrap());
        let order = Order {
            prompt: vec![0, 40, 50],
            max_tokens: 20,
            temperature: 0.0,
            top_p: 1.0,
            seed: None,
            stop: Vec::new(),
            deadline,
        };
        let mut seen = Impatient { tokens: 0, patience };
        (write(&mut model, &text, &order, &mut seen), seen.tokens)
    }

    #[test]
    fn nothing_is_computed_for_those_who_left_or_whose_time_is_over() {
        assert!(matches!(wrote(3, None), (Err(LocalError::Gone), 3)));
        assert!(matches!(wrote(0, None), (Err(LocalError::Gone), 0)));
        assert!(matches!(wrote(9, Some(Instant::now())), (Err(LocalError::Deadline), 0)));
    }

    #[test]
    fn stop_texts_are_cut_off_and_their_beginnings_held_back() {
        let stop = vec!["END".to_owned(), String::new()];
        let mut draft = Draft::new(&stop);
        let mut shown = Vec::new();
        for piece in ["It was ", "Ada. E", "N", "o, EN", "D of it"] {
            let over = draft.push(piece);
            shown.push(draft.ready());
            assert_eq!(over, piece == "D of it");
        }
        assert_eq!(shown, ["It was ", "Ada. ", "", "ENo, ", ""]);
        assert_eq!((draft.rest().as_str(), draft.text.as_str()), ("", "It was Ada. ENo, "));
    }

    #[test]
    fn what_was_held_back_in_vain_is_shown_at_the_end() {
        let stop = vec!["stop".to_owned()];
        let mut draft = Draft::new(&stop);
        draft.push("non");
        draft.push("st");
        assert_eq!((draft.ready().as_str(), draft.rest().as_str()), ("non", "st"));
    }
}
