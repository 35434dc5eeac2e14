//! Evidence as it stands in the prompt of an answer.

use lorekeep_types::{Community, EntityDetail, Evidence, RelationDetail};

use super::sentences::ReadPassages;
use crate::prompt::channel;

/// What a model writes when the passages hold no answer.
pub(crate) const NOT_THERE: &str = "NOT-IN-DOCUMENTS";

/// A passage as evidence number `n`, without the line that ends it.
pub(crate) fn passage(mark: &str, n: usize, evidence: &Evidence, kept: &ReadPassages) -> String {
    let chunk = &evidence.chunk;
    let page = chunk.chunk.page.map(|page| format!(", p. {page}")).unwrap_or_default();
    let headings = match chunk.chunk.heading_path.as_slice() {
        [] => String::new(),
        path => format!(" ({})", path.join(" → ")),
    };
    let suspect = kept.read(chunk, None).is_addressed_to_a_model();
    let warning = if suspect { "; it holds sentences addressed to a model" } else { "" };
    let title = format!("[{n}] {}{page}{headings}{warning}", chunk.document_name);
    channel::opened(mark, &title, chunk.chunk.text.trim())
}

/// An entity as background.
pub(crate) fn entity(entity: &EntityDetail) -> String {
    channel::one_line(&format!("{} ({}): {}", entity.name, entity.kind, entity.description)) + "\n"
}

/// A relation as background.
pub(crate) fn relation(relation: &RelationDetail) -> String {
    let keywords = if relation.keywords.is_empty() { String::new() } else { format!(" [{}]", relation.keywords) };
    let (source, target) = (&relation.source.1, &relation.target.1);
    channel::one_line(&format!("{source} – {target}{keywords}: {}", relation.description)) + "\n"
}

/// A community as background.
pub(crate) fn community(community: &Community) -> String {
    let names: Vec<&str> = community.central.iter().map(|entity| entity.name.as_str()).collect();
    let about = match &community.summary {
        Some(summary) => format!("{}: {summary}", community.title),
        None => format!("{}: {}", names.join(", "), community.key_phrases.join(", ")),
    };
    channel::one_line(&format!("A group of {} related entities – {about}", community.size)) + "\n"
}
