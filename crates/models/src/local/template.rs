//! Chat templates as Hugging Face publishes them with models
//! (<https://huggingface.co/docs/transformers/chat_templating>): Jinja with Python's methods on strings, lists and maps.
//!
//! A template gets `messages`, `add_generation_prompt`, `bos_token` and `eos_token`; it has no clock (those that ask for
//! the date of the day fall back to the one written in them) and no tools.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, context};
use serde_json::Value;

use super::fault::LocalError;
use super::folder;

/// Largest template, in bytes.
const MOST_TEXT: u64 = 1 << 20;
/// Most steps of one rendering: thousands per message, so that a loop without an end has one.
const FUEL: u64 = 20_000_000;
const NAME: &str = "chat";

/// A model's template.
pub(super) struct Template {
    environment: Environment<'static>,
    begin: String,
    end: String,
}

impl Template {
    /// A template and the texts of the tokens that begin and end a text; `path` is where it was found.
    ///
    /// # Errors
    /// When it is no Jinja.
    pub(super) fn new(path: &Path, text: &str, begin: String, end: String) -> Result<Self, LocalError> {
        let unread =
            |error: minijinja::Error| LocalError::malformed(path, format!("its chat template cannot be read: {error}"));
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(unread)?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, text.to_owned()).map_err(unread)?;
        Ok(Self { environment, begin, end })
    }

    /// The template that lies in a folder: `chat_template.jinja`, or the one in `tokenizer_config.json`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn beside(folder: &Path) -> Result<Option<Self>, LocalError> {
        let (config, apart) = (folder.join("tokenizer_config.json"), folder.join("chat_template.jinja"));
        let described: Value = if config.exists() { folder::json(&config)? } else { Value::Null };
        let mark = |key: &str| {
            let mark = described[key].as_str().or_else(|| described[key]["content"].as_str());
            mark.unwrap_or_default().to_owned()
        };
        let (begin, end) = (mark("bos_token"), mark("eos_token"));
        if apart.exists() {
            let size = std::fs::metadata(&apart).map_err(|error| LocalError::io(&apart, &error))?.len();
            if size > MOST_TEXT {
                return Err(LocalError::malformed(&apart, "it is too large to be a chat template"));
            }
            let text = std::fs::read_to_string(&apart).map_err(|error| LocalError::io(&apart, &error))?;
            return Self::new(&apart, &text, begin, end).map(Some);
        }
        let text = match &described["chat_template"] {
            Value::Array(named) => named.iter().find(|one| one["name"] == "default").map(|one| &one["template"]),
            one => Some(one),
        };
        let text = text.and_then(Value::as_str);
        text.map(|text| Self::new(&config, text, begin, end)).transpose()
    }

    /// The prompt of a conversation of roles and texts, up to where the model goes on.
    ///
    /// # Errors
    /// [`LocalError::Unable`] with what the template says, such as that turns must alternate.
    pub(super) fn render(&self, turns: &[(&str, String)]) -> Result<String, LocalError> {
        let messages: Vec<minijinja::Value> =
            turns.iter().map(|(role, content)| context! { role => *role, content => content.as_str() }).collect();
        let given = context! {
            messages,
            add_generation_prompt => true,
            bos_token => self.begin.as_str(),
            eos_token => self.end.as_str(),
        };
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(given));
        rendered.map_err(|error| {
            let said = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            LocalError::Unable(format!("the model's chat template refuses the conversation: {said}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<Template, LocalError> {
        Template::new(Path::new("tokenizer_config.json"), text, "<s>".to_owned(), "</s>".to_owned())
    }

    fn turn(content: &str) -> Vec<(&'static str, String)> {
        vec![("user", content.to_owned())]
    }

    #[test]
    fn refusals_and_faults_name_the_template() {
        let refused = template("{{ raise_exception('no system role') }}").unwrap().render(&turn("x")).unwrap_err();
        assert_eq!(refused.to_string(), "the model's chat template refuses the conversation: no system role");
        let broken = template("{% for x in %}").err().unwrap();
        assert!(
            broken.to_string().starts_with("tokenizer_config.json: its chat template cannot be read: "),
            "{broken}"
        );
    }

    #[test]
    fn a_template_without_an_end_is_ended() {
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}x{% endfor %}\
                       {% endfor %}{% endfor %}";
        assert!(template(endless).unwrap().render(&turn("x")).is_err());
    }

    #[test]
    fn what_a_message_says_is_not_read_as_a_template() {
        let plain = template("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}").unwrap();
        assert_eq!(plain.render(&turn("{{ bos_token }} <b>")).unwrap(), "<s>{{ bos_token }} <b></s>");
    }

    #[test]
    fn a_folder_tells_its_template_in_three_ways() {
        let folder = tempfile::tempdir().unwrap();
        let said = || Template::beside(folder.path()).unwrap().map(|found| found.render(&turn("x")).unwrap());
        assert_eq!(said(), None);
        let named = r#"{"bos_token": {"content": "<b>"}, "chat_template": [{"name": "tools", "template": "no"},
            {"name": "default", "template": "{{ bos_token }}named"}]}"#;
        std::fs::write(folder.path().join("tokenizer_config.json"), named).unwrap();
        assert_eq!(said().unwrap(), "<b>named");
        std::fs::write(folder.path().join("chat_template.jinja"), "{{ bos_token }}apart").unwrap();
        assert_eq!(said().unwrap(), "<b>apart");
    }
}
