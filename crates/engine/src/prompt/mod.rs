//! Prompts as files with versions: compiled in, and replaced one by one by files of the user's.
//!
//! A prompt is a text whose first line says its version (`version: 3`), with an optional part for the system and one for
//! the user, each opened by a line of its own (`=== system ===`, `=== user ===`). What stands in `{{…}}` is filled in
//! once: text of documents that is put in is never looked at again, so it cannot pose as a place to fill; [`channel`] keeps it apart from what the prompt says. Reading files is
//! the command line's; it hands their texts to [`Prompts::with`].

pub(crate) mod channel;

use std::collections::BTreeMap;
use std::sync::Arc;

use lorekeep_types::{Error, ErrorCode, Result};

/// Opens the part of the system.
const SYSTEM: &str = "=== system ===";
/// Opens the part of the user.
const USER: &str = "=== user ===";

/// Longest prompt, in bytes.
const LONGEST: usize = 64 << 10;

/// Every prompt: its name, which is also its file's name before `.txt`, and the compiled-in text.
macro_rules! prompts {
    ($($(#[$doc:meta])* $variant:ident => $name:literal),+ $(,)?) => {
        /// The prompts there are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum PromptName {
            $($(#[$doc])* $variant,)+
        }

        impl PromptName {
            /// Every prompt.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name: that of its file without `.txt`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            const fn built_in(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("files/", $name, ".txt")),)+
                }
            }
        }
    };
}

prompts! {
    /// Finds entities and relations in a passage.
    EntityExtraction => "entity_extraction",
    /// The form of an extraction for models that keep to JSON; part of the prompt above.
    ExtractionJson => "extraction_json",
    /// The form of an extraction for other models; part of the prompt above.
    ExtractionRecords => "extraction_records",
    /// Asks for what an extraction missed.
    Gleaning => "gleaning",
    /// Joins descriptions of one entity or relation.
    Summarisation => "summarisation",
    /// Tells whether two names mean the same.
    EntityResolution => "entity_resolution",
    /// Describes a community of entities.
    CommunitySummary => "community_summary",
    /// Writes an answer from passages.
    Answer => "answer",
    /// Finds the keywords of a question.
    Keywords => "keywords",
    /// Makes a follow-up understandable on its own.
    Rewrite => "rewrite",
    /// Shortens the earlier part of a conversation.
    ConversationSummary => "conversation_summary",
    /// Translates a question or an answer.
    Translation => "translation",
}

/// One prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    version: String,
    system: String,
    user: String,
}

impl Prompt {
    /// Reads a prompt file.
    ///
    /// # Errors
    /// A sentence on what is wrong with it.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let version = first.trim_start_matches('\u{feff}').strip_prefix("version:").map(str::trim);
        let Some(version) = version.filter(|version| !version.is_empty()) else {
            return Err("does not begin with a line like `version: 1`".to_owned());
        };
        let (system, user) = match rest.split_once(USER) {
            Some((system, user)) => (system, user),
            None if rest.contains(SYSTEM) => (rest, ""),
            None => ("", rest),
        };
        let system = system.split_once(SYSTEM).map_or(system, |(_, system)| system);
        let prompt =
            Self { version: version.to_owned(), system: system.trim().to_owned(), user: user.trim().to_owned() };
        if prompt.system.is_empty() && prompt.user.is_empty() { Err("is empty".to_owned()) } else { Ok(prompt) }
    }

    /// Its version, for keys of caches: changes whenever its text does, even where its file was not given a new one.
    #[must_use]
    pub fn version(&self) -> String {
        let mut parts: Vec<&str> = vec![&self.version];
        parts.extend([self.system.as_str(), self.user.as_str()]);
        format!("{}-{:016x}", self.version, fingerprint(&parts))
    }

    /// What the system says, filled in.
    #[must_use]
    pub fn system(&self, values: &[(&str, &str)]) -> String {
        fill(&self.system, values)
    }

    /// What the user says, filled in; a prompt without parts is all the user's.
    #[must_use]
    pub fn user(&self, values: &[(&str, &str)]) -> String {
        fill(&self.user, values)
    }

    /// The names that stand in `{{…}}`.
    fn places(&self) -> Vec<&str> {
        let mut places: Vec<&str> = [&self.system, &self.user].into_iter().flat_map(|text| places(text)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// FNV-1a: stable across builds, which `std`'s hashes do not promise.
fn fingerprint(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|after| after.split_once("}}").map(|(name, _)| name))
}

/// Puts values into their places in one pass. A place without a value stays as it is written.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let known = after.split_once("}}").and_then(|(name, behind)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, behind))
        });
        match known {
            Some((value, behind)) => {
                filled.push_str(value);
                rest = behind;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Every prompt that the program uses. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompts(Arc<BTreeMap<PromptName, Prompt>>);

impl Default for Prompts {
    fn default() -> Self {
        let built_in = |name: &PromptName| Prompt::parse(name.built_in()).ok().map(|prompt| (*name, prompt));
        Self(Arc::new(PromptName::ALL.iter().filter_map(built_in).collect()))
    }
}

impl Prompts {
    /// The compiled-in prompts with some replaced: `files` are texts by name.
    ///
    /// # Errors
    /// `Configuration` for a name that is no prompt, a file that is none, or one with a place in `{{…}}` that this prompt
    /// does not have, or without one that it needs.
    pub fn with(files: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut prompts = Self::default().0.as_ref().clone();
        for (file, text) in files {
            let name =
                PromptName::ALL.iter().copied().find(|name| name.name() == file).ok_or_else(|| unknown(&file))?;
            let wrong = |what: String| {
                Error::new(ErrorCode::Configuration, format!("the prompt `{file}` {what}"))
                    .hint("start from the built-in one: `lorekeep config prompts DIR`")
            };
            let prompt = Prompt::parse(&text).map_err(wrong)?;
            if let Some(built_in) = prompts.get(&name) {
                check_places(built_in, &prompt).map_err(wrong)?;
            }
            prompts.insert(name, prompt);
        }
        Ok(Self(Arc::new(prompts)))
    }

    /// One prompt.
    #[must_use]
    pub fn get(&self, name: PromptName) -> &Prompt {
        static NONE: Prompt = Prompt { version: String::new(), system: String::new(), user: String::new() };
        // A test reads every compiled-in prompt, so that none is missing here.
        self.0.get(&name).unwrap_or(&NONE)
    }

    /// The compiled-in files, by name.
    pub fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
        PromptName::ALL.iter().map(|name| (name.name(), name.built_in()))
    }
}

fn unknown(file: &str) -> Error {
    let names: Vec<&str> = PromptName::ALL.iter().map(|name| name.name()).collect();
    Error::new(ErrorCode::Configuration, format!("`{file}` is not the name of a prompt"))
        .hint(format!("use one of {}", names.join(", ")))
}

/// Places may be left out except those through which the documents' text comes in.
fn check_places(built_in: &Prompt, new: &Prompt) -> std::result::Result<(), String> {
    const NEEDED: [&str; 8] = ["text", "form", "descriptions", "pairs", "passages", "question", "data", "mark"];
    let (known, found) = (built_in.places(), new.places());
    if let Some(strange) = found.iter().find(|place| !known.contains(place)) {
        return Err(format!("has the place `{{{{{strange}}}}}`, which nothing fills"));
    }
    match known.iter().find(|place| NEEDED.contains(place) && !found.contains(place)) {
        Some(missing) => Err(format!("lacks the place `{{{{{missing}}}}}`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compiled_in_prompt_can_be_read() {
        for (name, text) in Prompts::files() {
            assert!(Prompt::parse(text).is_ok(), "{name}");
        }
        assert_eq!(Prompts::default().0.len(), PromptName::ALL.len());
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        let prompt =
            Prompt::parse("version: 1\n=== system ===\nBe {{how}}.\n=== user ===\n{{text}} {{how}} {{no}}").unwrap();
        let values = [("text", "{{how}} {{text}}"), ("how", "brief")];
        assert_eq!(prompt.system(&values), "Be brief.");
        assert_eq!(prompt.user(&values), "{{how}} {{text}} brief {{no}}");
    }

    #[test]
    fn a_file_replaces_a_prompt_and_changes_its_version() {
        let replace = |text: &str| Prompts::with([("gleaning".to_owned(), text.to_owned())]);
        let changed = replace("version: 1\nMore? Else {{nothing}}.").unwrap();
        let (new, old) = (changed.get(PromptName::Gleaning), Prompts::default());
        assert_eq!(new.user(&[("nothing", "{}")]), "More? Else {}.");
        assert_ne!(new.version(), old.get(PromptName::Gleaning).version());
        assert_eq!(changed.get(PromptName::Summarisation), old.get(PromptName::Summarisation));
        for (text, fault) in
            [("More?", "`version: 1`"), ("version: 1\n", "is empty"), ("version: 1\n{{what}}", "which nothing fills")]
        {
            assert!(replace(text).unwrap_err().to_string().contains(fault), "{text}");
        }
        assert!(Prompts::with([("gleanin".to_owned(), String::new())]).is_err());
        let without = Prompts::with([("summarisation".to_owned(), "version: 2\nJoin them.".to_owned())]);
        assert!(without.unwrap_err().to_string().contains("lacks the place `{{descriptions}}`"));
    }
}
