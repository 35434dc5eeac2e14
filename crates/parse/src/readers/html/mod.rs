//! HTML to readable text: headings, paragraphs, lists, tables and code stay; scripts, styles, navigation,
//! forms and footers go. `tokens` splits the markup, `flow` writes the text; neither needs the call stack.

mod flow;
mod tokens;

use lorekeep_types::ParsedDocument;

use crate::draft::Draft;
use crate::encoding;
use crate::error::Result;
use crate::readers::{NO_TEXT, Source};

use flow::Flow;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let declared = declared_charset(source.bytes);
    let decoded = encoding::decode(source.bytes, declared.as_deref());
    let mut draft = Draft::new(source.watch);
    write(&mut draft, &decoded.text, source, true)?;
    if draft.is_empty() {
        // A page that is all navigation still says something.
        draft = Draft::new(source.watch);
        write(&mut draft, &decoded.text, source, false)?;
    }
    for warning in decoded.warnings {
        draft.warn(warning);
    }
    draft.finish(NO_TEXT)
}

/// Writes markup into `draft`; with `prune` navigation, footers and forms are left out.
pub(crate) fn write(draft: &mut Draft<'_>, markup: &str, source: &Source<'_>, prune: bool) -> Result<()> {
    let mut flow = Flow::new(draft, prune);
    for (count, token) in tokens::Tokens::new(markup).enumerate() {
        if count.is_multiple_of(4096) {
            source.watch.check()?;
        }
        flow.token(token);
    }
    flow.end();
    Ok(())
}

/// The label in `<meta charset=…>` or `<meta http-equiv … charset=…>` near the start.
fn declared_charset(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).to_ascii_lowercase();
    let after = &head[head.find("charset=")? + "charset=".len()..];
    let label: String = after
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect();
    Some(label).filter(|label| !label.is_empty())
}
