//! Plain text: kept as it is. Form feeds are page breaks; a short first line over a blank one is the title.

use lorekeep_types::ParsedDocument;

use crate::draft::Draft;
use crate::error::Result;
use crate::readers::{NO_TEXT, Source};

/// Longer first lines are no titles.
const MAX_TITLE_CHARS: usize = 120;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let decoded = source.decode();
    let mut draft = Draft::new(source.watch);
    for warning in decoded.warnings {
        draft.warn(warning);
    }
    if decoded.text.contains('\u{c}') {
        let pages: Vec<&str> = decoded.text.trim_end_matches(['\u{c}', '\n', '\r', ' ']).split('\u{c}').collect();
        source.watch.page_limit(pages.len())?;
        for (number, page) in (1_u32..).zip(pages) {
            source.watch.check()?;
            draft.page(number);
            if !page.trim().is_empty() {
                draft.body(page);
            }
        }
    } else {
        draft.body(&decoded.text);
    }
    draft.metadata.title = title(draft.text());
    draft.finish(NO_TEXT)
}

/// A title stands alone on the first line and is no sentence.
fn title(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let first = lines.next()?.trim();
    let second = lines.next()?.trim();
    let alone = second.is_empty() || (second.len() >= 3 && second.chars().all(|c| matches!(c, '=' | '-' | '*')));
    let short = first.chars().count() <= MAX_TITLE_CHARS && first.chars().filter(|c| c.is_alphabetic()).count() >= 3;
    (alone && short && !first.ends_with(['.', ',', ';', ':', '?', '!'])).then(|| first.to_owned())
}
