//! The languages of question, documents and answer, and translation between them where a model can.

use lorekeep_text as text;
use lorekeep_types::{CacheKind, OutputFormat, RequestContext, Role, Snapshot};

use super::spoken::{Saying, Spoken};
use crate::engine::Engine;
use crate::prompt::PromptName;

/// A language of which the documents hold less than one part in this many passages is not one of theirs.
const RARE: u32 = 20;

/// Tokens of a translation for each token of the text, at most.
const GROWTH: usize = 3;

/// Language names as prompts write them; a code without a name is written as it is.
const NAMES: [(&str, &str); 40] = [
    ("ar", "Arabic"),
    ("bg", "Bulgarian"),
    ("bn", "Bengali"),
    ("ca", "Catalan"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("de", "German"),
    ("el", "Greek"),
    ("en", "English"),
    ("es", "Spanish"),
    ("et", "Estonian"),
    ("fa", "Persian"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hr", "Croatian"),
    ("hu", "Hungarian"),
    ("id", "Indonesian"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("ko", "Korean"),
    ("lt", "Lithuanian"),
    ("lv", "Latvian"),
    ("nb", "Norwegian"),
    ("nl", "Dutch"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("sk", "Slovak"),
    ("sl", "Slovenian"),
    ("sr", "Serbian"),
    ("sv", "Swedish"),
    ("ta", "Tamil"),
    ("th", "Thai"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("vi", "Vietnamese"),
    ("zh", "Chinese"),
];

/// A language as a prompt writes it.
pub(crate) fn name_of(code: &str) -> &str {
    NAMES.iter().find(|(known, _)| *known == code).map_or(code, |(_, name)| name)
}

/// The language to search in, if it is another than the question's: that of most passages.
pub(super) fn language_to_search(question: &str, snapshot: &dyn Snapshot) -> Option<(&'static str, String)> {
    let languages = &snapshot.stats().languages;
    let chunks: u32 = languages.iter().map(|(_, chunks)| *chunks).sum();
    let (main, _) = languages.first()?;
    let asked = text::language_of(question)?;
    let own = languages.iter().any(|(code, count)| code == asked && *count >= chunks.div_ceil(RARE));
    (!own).then(|| (asked, main.clone()))
}

impl Engine {
    /// `said` in another language; `None` when no model can. Marks of citations survive or the translation is refused.
    pub(super) async fn translated(
        &self,
        ctx: &RequestContext,
        said: &str,
        language: &str,
    ) -> Option<Result<Spoken<String>, String>> {
        let tokens = self.parts.prompt_tokens.count(said) * GROWTH + 50;
        let saying = Saying {
            roles: &[Role::Translate],
            operation: "translate",
            kind: CacheKind::Translation,
            prompt: PromptName::Translation,
            values: &[("language", name_of(language))],
            data: said,
            max_tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
            output: OutputFormat::Text,
        };
        let marks = marks(said);
        self.say(ctx, saying, |translation| {
            let text = unwrapped(translation);
            (!text.is_empty() && self::marks(text) == marks).then(|| text.to_owned())
        })
        .await
    }
}

/// The text without the lines of the channel that a model may have copied.
fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("===").and_then(|rest| rest.split_once('\n')).map_or(text, |(_, inner)| inner);
    inner.rsplit_once("\n===").map_or(inner, |(before, _)| before).trim()
}

/// Numbers in brackets, sorted.
fn marks(text: &str) -> Vec<u32> {
    let mut marks: Vec<u32> =
        text.split('[').skip(1).filter_map(|part| part.split_once(']')?.0.trim().parse().ok()).collect();
    marks.sort_unstable();
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_compared_whatever_their_order() {
        assert_eq!(marks("Sie brannte [2], 1931 [1]."), marks("In 1931 [1] it burned [2]."));
        assert_ne!(marks("a [1]"), marks("a"));
    }

    #[test]
    fn copied_lines_of_the_channel_go() {
        assert_eq!(unwrapped("=== ab data\nHallo\n=== ab end\n"), "Hallo");
        assert_eq!(unwrapped(" Hallo "), "Hallo");
    }
}
