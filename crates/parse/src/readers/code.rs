//! Source code, configuration and LaTeX: kept as it is; LaTeX sections become headings.

use lorekeep_types::ParsedDocument;

use crate::draft::Draft;
use crate::error::Result;
use crate::readers::{NO_TEXT, Source};

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    start(source).finish(NO_TEXT)
}

/// LaTeX source with its sections, title and author.
pub(crate) fn read_tex(source: &Source<'_>) -> Result<ParsedDocument> {
    let mut draft = start(source);
    let text = draft.text().to_owned();
    draft.metadata.title = argument(&text, "\\title");
    draft.metadata.author = argument(&text, "\\author");
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        for (level, command) in (1_u8..).zip(["\\chapter", "\\section", "\\subsection", "\\subsubsection"]) {
            if let Some(title) = argument_at(line.trim_start(), command) {
                draft.mark_heading(level, &title, at);
            }
        }
        at += line.len();
    }
    draft.finish(NO_TEXT)
}

fn start<'w>(source: &Source<'w>) -> Draft<'w> {
    let decoded = source.decode();
    let mut draft = Draft::new(source.watch);
    for warning in decoded.warnings {
        draft.warn(warning);
    }
    draft.body(&decoded.text);
    draft
}

/// The braced argument of the first `command` in `text`.
fn argument(text: &str, command: &str) -> Option<String> {
    text.match_indices(command).find_map(|(at, _)| argument_at(&text[at..], command))
}

/// The braced argument when `text` starts with `command` (starred or with an option).
fn argument_at(text: &str, command: &str) -> Option<String> {
    let rest = text.strip_prefix(command)?;
    let rest = rest.strip_prefix('*').unwrap_or(rest);
    let rest = match rest.strip_prefix('[') {
        Some(option) => option.split_once(']')?.1,
        None => rest,
    };
    let inner = rest.strip_prefix('{')?;
    let mut depth = 1_usize;
    for (at, c) in inner.char_indices().take(1_000) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let words = inner[..at].replace(['{', '}'], "").replace("\\\\", " ").replace('~', " ");
            return Some(words.trim().to_owned()).filter(|words| !words.is_empty());
        }
    }
    None
}
