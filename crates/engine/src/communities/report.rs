//! What is told of a community: without a model its central entities and the phrases of its relations, with one a summary
//! that is written from them.

use std::collections::{HashMap, HashSet};

use lorekeep_text::{self as text, Form};
use lorekeep_types::{Community, EntityDetail, EntityId, EntityRef, RelationDetail, Result, Snapshot};
use serde_json::json;

use super::detect::Group;
use crate::prompt::channel;

/// Entities that a community is described by.
const CENTRAL: usize = 8;

/// Names in its title.
const NAMED: usize = 3;

/// Phrases that it is described by.
const PHRASES: usize = 8;

/// Relations around its central entities that are read.
const RELATIONS_READ: usize = 400;

/// Relations that a summary is written from.
const RELATIONS_TOLD: usize = 40;

/// Longest description in a record, in characters.
const LONGEST: usize = 400;

/// What a community holds, as far as it is told.
pub(super) struct Content {
    pub(super) community: Community,
    entities: Vec<EntityDetail>,
    relations: Vec<RelationDetail>,
}

impl Content {
    /// Reads a community; `None` when nothing of it is there any more.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub(super) fn read(snapshot: &dyn Snapshot, id: u32, group: &Group) -> Result<Option<Self>> {
        let central: Vec<EntityId> = group.members.iter().copied().take(CENTRAL).collect();
        let entities: Vec<EntityDetail> =
            snapshot.entities(&central)?.iter().map(|entity| entity.as_ref().clone()).collect();
        if entities.is_empty() {
            return Ok(None);
        }
        let members: HashSet<EntityId> = group.members.iter().copied().collect();
        let inside =
            |relation: &RelationDetail| members.contains(&relation.source.0) && members.contains(&relation.target.0);
        let around = snapshot.relations_of(&central, RELATIONS_READ)?;
        let relations: Vec<RelationDetail> =
            around.iter().filter(|relation| inside(relation)).map(|relation| relation.as_ref().clone()).collect();
        let names = entities.iter().take(NAMED).map(|entity| entity.name.as_str());
        let documents: HashSet<&str> =
            entities.iter().flat_map(|entity| &entity.documents).map(String::as_str).collect();
        let community = Community {
            id,
            level: group.level,
            parent: group.parent,
            size: group.members.len(),
            title: names.collect::<Vec<_>>().join(", "),
            key_phrases: phrases(&relations),
            central: entities
                .iter()
                .map(|entity| EntityRef { name: entity.name.clone(), kind: entity.kind.clone() })
                .collect(),
            documents: documents.len(),
            summary: None,
        };
        Ok(Some(Self { community, entities, relations }))
    }

    /// The records that a summary is written from: entities and relations, one JSON object per line, as a reader sees them.
    pub(super) fn records(&self) -> [String; 2] {
        let entity =
            |one: &EntityDetail| json!({ "name": one.name, "type": one.kind, "description": cut(&one.description) });
        let relation = |one: &RelationDetail| json!({ "source": one.source.1, "target": one.target.1, "keywords": one.keywords, "description": cut(&one.description) });
        let entities = self.entities.iter().map(|one| entity(one).to_string());
        let relations = self.relations.iter().take(RELATIONS_TOLD).map(|one| relation(one).to_string());
        [entities.collect::<Vec<_>>(), relations.collect()].map(|lines| channel::visible(&lines.join("\n")))
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(LONGEST).map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

/// Whether a phrase holds a word with a topic: "is in" does not.
fn says_something(phrase: &str) -> bool {
    !text::lexical_tokens(phrase, None, Form::Folded).is_empty()
}

/// The verb phrases and keywords of relations, those with most weight first.
fn phrases(relations: &[RelationDetail]) -> Vec<String> {
    let mut weights: HashMap<&str, f32> = HashMap::new();
    for relation in relations {
        for phrase in relation.keywords.split(',').map(str::trim).filter(|phrase| says_something(phrase)) {
            *weights.entry(phrase).or_default() += relation.weight;
        }
    }
    let mut phrases: Vec<(&str, f32)> = weights.into_iter().collect();
    phrases.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(other.0)));
    phrases.into_iter().take(PHRASES).map(|(phrase, _)| phrase.to_owned()).collect()
}
