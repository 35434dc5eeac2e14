//! Reading a model's answer, whatever it looks like: JSON or records, in a fence or in the middle of prose, cut at the end,
//! with fields missing or too many. What is read is bounded, and nothing of it is trusted.

use serde_json::Value;

use crate::prompt::channel;

/// Longest answer that is looked at, in bytes.
const LONGEST: usize = 256 << 10;
/// Objects that are read of one answer.
const MOST_READ: usize = 1_000;
/// Longest name, and longest description, in characters.
const LONGEST_NAME: usize = 200;
const LONGEST_TEXT: usize = 2_000;
/// Longest type and longest list of keywords, in characters.
const LONGEST_KIND: usize = 40;
const LONGEST_KEYWORDS: usize = 200;

/// Between the fields of a record.
const FIELD: &str = "<|#|>";
/// After the last record.
const COMPLETE: &str = "<|COMPLETE|>";

/// An entity that a model found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundEntity {
    pub(crate) name: String,
    /// Lower case; empty where it has none.
    pub(crate) kind: String,
    pub(crate) description: String,
}

/// A relation that a model found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundRelation {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) keywords: String,
    pub(crate) description: String,
}

/// What a model found in a passage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) entities: Vec<FoundEntity>,
    pub(crate) relations: Vec<FoundRelation>,
}

impl Found {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.entities.is_empty() && self.relations.is_empty()
    }

    /// Adds what a later answer found, up to so many entities and records; of two descriptions the longer one stays.
    /// Whether any of it was new.
    pub(super) fn join(&mut self, more: Self, (most_entities, most_records): (usize, usize)) -> bool {
        let mut is_new = false;
        let (mut entities, mut records) = (self.entities.len(), self.entities.len() + self.relations.len());
        for entity in more.entities {
            let key = lorekeep_text::norm(&entity.name);
            match self.entities.iter_mut().find(|known| lorekeep_text::norm(&known.name) == key) {
                Some(known) => {
                    longer(&mut known.description, entity.description);
                    if known.kind.is_empty() {
                        known.kind = entity.kind;
                    }
                }
                None if entities < most_entities => {
                    (is_new, entities, records) = (true, entities + 1, records + 1);
                    self.entities.push(entity);
                }
                None => {}
            }
        }
        for relation in more.relations {
            match self.relations.iter_mut().find(|known| known.joins_the_same(&relation)) {
                Some(known) => {
                    longer(&mut known.description, relation.description);
                    longer(&mut known.keywords, relation.keywords);
                }
                None if records < most_records => {
                    (is_new, records) = (true, records + 1);
                    self.relations.push(relation);
                }
                None => {}
            }
        }
        is_new
    }
}

impl FoundRelation {
    fn joins_the_same(&self, other: &Self) -> bool {
        let norm = lorekeep_text::norm;
        let (a, b, c, d) = (norm(&self.source), norm(&self.target), norm(&other.source), norm(&other.target));
        (a == c && b == d) || (a == d && b == c)
    }
}

fn longer(kept: &mut String, other: String) {
    if other.len() > kept.len() {
        *kept = other;
    }
}

/// An answer as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) found: Found,
    /// It has a form in which it could have said that there is nothing.
    formed: bool,
}

impl Answer {
    /// Whether it says neither what there is nor that there is nothing.
    pub(super) fn is_unreadable(&self) -> bool {
        self.found.is_empty() && !self.formed
    }
}

/// Reads an answer in either form.
pub(super) fn read(text: &str) -> Answer {
    let text = bounded(text);
    let text = text.rsplit_once("</think>").map_or(text, |(_, after)| after);
    if text.contains(FIELD) || text.contains(COMPLETE) {
        return Answer { found: records(text), formed: true };
    }
    let mut answer = Answer::default();
    let mut read = 0;
    let mut from = 0;
    // Objects are taken one by one, so that a cut answer gives all that came before the cut.
    while let Some(object) = next_object(text, &mut from) {
        read += 1;
        if read > MOST_READ {
            break;
        }
        take(&object, &mut answer.found);
    }
    answer.formed = text.contains("\"entities\"");
    answer
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Records of lines; a record that runs into the next one on the same line, and fields beyond those wanted, are cut off.
fn records(text: &str) -> Found {
    let mut found = Found::default();
    let text = text.split(COMPLETE).next().unwrap_or_default();
    for line in text.lines().take(MOST_READ) {
        let line = line.trim().trim_start_matches(['(', '-', '*', '`', '"', ' ']);
        let mut fields = line.split(FIELD).map(|field| field.trim().trim_end_matches([')', '`']).trim());
        let kind = fields.next().unwrap_or_default().trim_matches(['"', '\'']).to_lowercase();
        let mut next = || fields.next().unwrap_or_default();
        match kind.as_str() {
            "entity" => {
                let (name, kind, description) = (next(), next(), next());
                push_entity(&mut found, name, kind, description);
            }
            "relation" | "relationship" => {
                let (source, target, keywords, description) = (next(), next(), next(), next());
                push_relation(&mut found, (source, target), keywords, description);
            }
            _ => {}
        }
    }
    found
}

/// The next innermost JSON object of a text: from a brace that opens to the first that closes, strings aside.
fn next_object(text: &str, from: &mut usize) -> Option<Value> {
    let (mut open, mut in_string, mut escaped) = (None, false, false);
    for (at, byte) in text.bytes().enumerate().skip(*from) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            // A quotation mark in the prose before an object opens no string.
            b'"' if open.is_some() => in_string = !in_string,
            // A brace inside a string of an object whose string never ended: the object is given up.
            b'{' if !in_string => open = Some(at),
            b'}' if !in_string => {
                let Some(start) = open.take() else { continue };
                if let Some(Ok(value)) = text.get(start..=at).map(serde_json::from_str) {
                    *from = at + 1;
                    return Some(value);
                }
            }
            _ => {}
        }
    }
    *from = text.len();
    None
}

fn take(object: &Value, found: &mut Found) {
    let text = |names: &[&str]| names.iter().find_map(|name| field(object.get(*name)?)).unwrap_or_default();
    let (source, target) = (text(&["source", "src", "subject"]), text(&["target", "tgt", "object"]));
    let description = text(&["description", "desc"]);
    if !source.is_empty() || !target.is_empty() {
        let keywords = text(&["keywords", "relation", "predicate", "type"]);
        push_relation(found, (&source, &target), &keywords, &description);
    } else {
        let name = text(&["name", "entity", "entity_name"]);
        push_entity(found, &name, &text(&["type", "entity_type"]), &description);
    }
}

/// A field as text: numbers are taken as they are written, lists are joined.
fn field(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        _ => None,
    }
}

fn push_entity(found: &mut Found, name: &str, kind: &str, description: &str) {
    let entity = FoundEntity { name: name_of(name), kind: kind_of(kind), description: cut(description, LONGEST_TEXT) };
    if !entity.name.is_empty() {
        found.entities.push(entity);
    }
}

fn push_relation(found: &mut Found, (source, target): (&str, &str), keywords: &str, description: &str) {
    let (source, target) = (name_of(source), name_of(target));
    if source.is_empty() || target.is_empty() || source == target {
        return;
    }
    let keywords = cut(keywords, LONGEST_KEYWORDS);
    found.relations.push(FoundRelation { source, target, keywords, description: cut(description, LONGEST_TEXT) });
}

/// A name without quotation marks around it; one that is too long is none.
fn name_of(name: &str) -> String {
    let name = channel::one_line(name);
    let name = name.trim_matches(['"', '\'', '`', '*', '“', '”', ' ']);
    if name.chars().count() > LONGEST_NAME { String::new() } else { name.to_owned() }
}

/// A type in lower case, of letters and digits with `_` between.
fn kind_of(kind: &str) -> String {
    let kind = kind.to_lowercase();
    let words: Vec<&str> = kind.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let kind = words.join("_");
    if kind.chars().count() > LONGEST_KIND { String::new() } else { kind }
}

fn cut(text: &str, most: usize) -> String {
    channel::one_line(text).chars().take(most).collect()
}
