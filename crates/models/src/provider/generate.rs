//! A local server of `POST /v1/generate`: one prompt in, one text out. It knows neither messages nor streams nor
//! usage, and its text may begin with the prompt itself; all of that is made good here.

use lorekeep_types::{ChatMessage, ChatRequest, ChatRole, ModelFault, OutputFormat, Part};
use serde_json::{Value, json};

use super::openai::{error_message, parse, rounded, string};
use super::wire::{ChatWire, Piece, StreamDecoder, WireFault, WireRequest};

/// Most tokens to write where the request does not say.
const MAX_TOKENS: u32 = 2048;
const TEMPERATURE: f32 = 0.7;
const TOP_P: f32 = 0.95;

/// Marks of Llama 3's template, which a server's decoder keeps, drops or doubles.
const MARKS: [&str; 5] =
    ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"];

/// What asks for [`OutputFormat::Json`], for which the server has no field.
const AS_JSON: &str = "Answer with one JSON object and nothing else.";

/// How a conversation becomes one prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// A line per message, `System: …`, `User: …`, `Assistant: …`, and `Assistant: ` at the end.
    #[default]
    Plain,
    /// Llama 3's own, <https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/>.
    Llama3,
}

impl Template {
    /// The template that a model was trained with, as far as its name tells: Llama 3 and its kin by their own.
    #[must_use]
    pub fn of_model(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let is_llama = ["llama-3", "llama3", "llama_3"].iter().any(|mark| name.contains(mark));
        if is_llama { Self::Llama3 } else { Self::Plain }
    }

    /// The prompt of a conversation.
    fn prompt(self, messages: &[ChatMessage]) -> String {
        let turns = messages.iter().map(|message| self.turn(message.role, &message.plain()));
        match self {
            Self::Plain => turns.chain(["Assistant: ".to_owned()]).collect(),
            Self::Llama3 => {
                let end = "<|start_header_id|>assistant<|end_header_id|>\n\n".to_owned();
                ["<|begin_of_text|>".to_owned()].into_iter().chain(turns).chain([end]).collect()
            }
        }
    }

    /// One message; what looks like a mark in its text is broken up, so that it ends no turn.
    fn turn(self, role: ChatRole, text: &str) -> String {
        let text = text.trim().replace("<|", "< |");
        match (self, role) {
            (Self::Plain, ChatRole::System) => format!("System: {text}\n"),
            (Self::Plain, ChatRole::User) => format!("User: {text}\n"),
            (Self::Plain, ChatRole::Assistant) => format!("Assistant: {text}\n"),
            (Self::Plain, ChatRole::Tool) => format!("Tool: {text}\n"),
            (Self::Llama3, role) => {
                format!("<|start_header_id|>{}<|end_header_id|>\n\n{text}<|eot_id|>", role.name())
            }
        }
    }
}

/// The wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generate {
    /// How a conversation becomes one prompt.
    pub template: Template,
}

impl Generate {
    fn prompt(self, request: &ChatRequest) -> String {
        let mut messages = request.messages.clone();
        if request.output == OutputFormat::Json {
            messages.push(ChatMessage::text(ChatRole::System, AS_JSON));
        }
        self.template.prompt(&messages)
    }

    /// The answer in a text: after the echoed prompt, before the next turn; and whether anything ended it.
    fn answer_in(self, text: &str, request: &ChatRequest) -> (String, bool) {
        let answer = after_echo(text, &self.prompt(request)).trim_start();
        let mut ends: Vec<usize> = MARKS.iter().filter_map(|mark| answer.find(mark)).collect();
        ends.extend(request.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| answer.find(stop.as_str())));
        if self.template == Template::Plain {
            ends.extend(if answer.starts_with("User:") { Some(0) } else { answer.find("\nUser:") });
        }
        let end = ends.iter().min();
        (end.map_or(answer, |end| answer.get(..*end).unwrap_or_default()).trim().to_owned(), end.is_some())
    }
}

impl ChatWire for Generate {
    fn request(&self, _model: &str, request: &ChatRequest, _streamed: bool) -> Result<WireRequest, WireFault> {
        let lacks = |what: &str| Err(WireFault::new(ModelFault::Capability, format!("a local model {what}")));
        if request.messages.iter().flat_map(|message| &message.parts).any(|part| matches!(part, Part::Image { .. })) {
            return lacks("reads no pictures");
        }
        if matches!(request.output, OutputFormat::Schema { .. }) {
            return lacks("keeps to no schema");
        }
        let temperature = request.temperature.unwrap_or(TEMPERATURE);
        let body = json!({
            "prompt": self.prompt(request),
            "max_tokens": request.max_tokens.unwrap_or(MAX_TOKENS),
            "temperature": rounded(temperature),
            "top_p": rounded(request.top_p.unwrap_or(TOP_P)),
            "do_sample": temperature > 0.0,
        });
        Ok(WireRequest::new("/v1/generate", body))
    }

    fn answer(&self, request: &ChatRequest, body: &[u8]) -> Result<Vec<Piece>, WireFault> {
        let body: Value = parse(body)?;
        let text = body.get("text").and_then(Value::as_str);
        let text = text.ok_or_else(|| WireFault::malformed("the answer has no text"))?;
        let (answer, ended) = self.answer_in(text, request);
        let finish = ended.then(|| Piece::Finish("stop".to_owned()));
        Ok([Piece::Text(answer)].into_iter().chain(finish).collect())
    }

    fn decoder(&self, _request: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::new(NoStream)
    }

    /// `{detail}`: a sentence, or the list of a request that FastAPI refused.
    fn error_message(&self, body: &[u8]) -> Option<String> {
        let value: Option<Value> = serde_json::from_slice(body).ok();
        value.and_then(|value| string(&value, "/detail/0/msg")).or_else(|| error_message(body))
    }
}

/// Never asked: the wire cannot stream.
struct NoStream;

impl StreamDecoder for NoStream {
    fn frame(&mut self, _event: &str, _data: &[u8]) -> Result<Vec<Piece>, WireFault> {
        Err(WireFault::malformed("the server does not stream"))
    }
}

/// What follows the prompt in a text that begins with it, else the whole text. White space and marks do not count:
/// decoders drop and double both.
fn after_echo<'a>(text: &'a str, prompt: &str) -> &'a str {
    let (mut rest, mut wanted) = (text, prompt);
    loop {
        wanted = skip(wanted);
        let Some(next) = wanted.chars().next() else { return skip_marks(rest) };
        let Some(after) = skip(rest).strip_prefix(next) else { return text };
        rest = after;
        wanted = wanted.get(next.len_utf8()..).unwrap_or_default();
    }
}

fn skip(text: &str) -> &str {
    skip_marks(text).trim_start()
}

/// Without the marks that it begins with, and the white space around them.
fn skip_marks(mut text: &str) -> &str {
    while let Some(rest) = MARKS.iter().find_map(|mark| text.trim_start().strip_prefix(mark)) {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ChatRequest {
        ChatRequest {
            messages: vec![
                ChatMessage::text(ChatRole::System, "Be brief."),
                ChatMessage::text(ChatRole::User, "Who wrote <|eot_id|>?"),
            ],
            ..ChatRequest::default()
        }
    }

    #[test]
    fn prompts_of_both_templates() {
        let prompt = |template| Generate { template }.prompt(&request());
        assert_eq!(prompt(Template::Plain), "System: Be brief.\nUser: Who wrote < |eot_id|>?\nAssistant: ");
        assert_eq!(
            prompt(Template::Llama3),
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nWho wrote < |eot_id|>?<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n"
        );
    }

    #[test]
    fn models_of_a_family_have_its_template() {
        for name in ["llama-3.2-3b-instruct-frog", "meta-llama/Llama-3.2-3B-Instruct", "llama3.1:8b"] {
            assert_eq!(Template::of_model(name), Template::Llama3, "{name}");
        }
        for name in ["local", "llama-2-7b-chat", "mistral-nemo"] {
            assert_eq!(Template::of_model(name), Template::Plain, "{name}");
        }
    }

    #[test]
    fn the_echoed_prompt_is_stripped() {
        let wires = [Generate { template: Template::Plain }, Generate { template: Template::Llama3 }];
        for wire in wires {
            let prompt = wire.prompt(&request());
            let bare = MARKS.iter().fold(prompt.clone(), |prompt, mark| prompt.replace(mark, ""));
            for echo in
                [String::new(), prompt.clone(), bare, format!("<|begin_of_text|>{prompt}"), prompt.replace('\n', " ")]
            {
                let (answer, _) = wire.answer_in(&format!("{echo} It was Ada. "), &request());
                assert_eq!(answer, "It was Ada.", "{echo}");
            }
            assert_eq!(wire.answer_in(&prompt, &request()).0, "", "nothing but the echo");
            let other = "System: Be brief. I mean it.";
            assert_eq!(wire.answer_in(other, &request()).0, other, "half an echo is no echo");
        }
    }

    #[test]
    fn what_follows_the_answer_is_cut() {
        let cut = |template, text: &str| Generate { template }.answer_in(text, &request());
        let (plain, llama) = (Template::Plain, Template::Llama3);
        assert_eq!(cut(plain, "Ada.\nUser: And who else?\nAssistant: Bob."), ("Ada.".to_owned(), true));
        assert_eq!(cut(plain, "User: I ask myself."), (String::new(), true));
        assert_eq!(cut(plain, "Each User: has one."), ("Each User: has one.".to_owned(), false));
        assert_eq!(cut(llama, "Ada.\nUser: a word"), ("Ada.\nUser: a word".to_owned(), false));
        assert_eq!(cut(llama, "Ada.<|eot_id|><|start_header_id|>user"), ("Ada.".to_owned(), true));
        let stopping = ChatRequest { stop: vec![String::new(), "END".to_owned()], ..request() };
        assert_eq!(Generate::default().answer_in("Ada. END of it", &stopping), ("Ada.".to_owned(), true));
    }
}
