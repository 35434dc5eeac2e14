//! What has been found in a document so far, and its final form.

use std::collections::HashMap;

use lorekeep_types::{ByteSpan, Extraction, NewChunk, NewEntity, NewMention, NewRelation};

use super::cues::{Kind, Votes, read_name};

/// Definitions kept per entity.
const MOST_DEFINITIONS: usize = 3;

/// Gathers entities, mentions and relations; entities are numbered in order of appearance.
#[derive(Default)]
pub(super) struct Draft<'a> {
    numbers: HashMap<String, u32>,
    entities: Vec<Entity<'a>>,
    mentions: Vec<NewMention>,
    /// Place in `mentions` of each entity's latest mention.
    latest: Vec<Option<usize>>,
    relations: Vec<NewRelation>,
    /// End of the last sentence that was read, in the document's text.
    pub(super) read_to: usize,
}

struct Entity<'a> {
    key: String,
    names: Vec<(&'a str, u32)>,
    votes: Votes,
    definitions: Vec<(ByteSpan, u8)>,
    /// What a model says of it, by position of the chunk.
    descriptions: Vec<(u32, String)>,
    /// Types that a model gives it, and how often.
    told: Vec<(String, u32)>,
    introduced: bool,
    /// The entity that the document equates it with.
    same_as: Option<u32>,
}

impl<'a> Draft<'a> {
    /// The entity with this key, made if need be, with one more use of `name`.
    pub(super) fn named(&mut self, key: String, name: &'a str) -> u32 {
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => self.make(key),
        };
        if let Some(entity) = self.entities.get_mut(number as usize) {
            match entity.names.iter_mut().find(|(known, _)| *known == name) {
                Some((_, uses)) => *uses += 1,
                None => entity.names.push((name, 1)),
            }
        }
        number
    }

    /// The entity with this key, made if need be and then called `name`.
    pub(super) fn entity(&mut self, key: &str, name: impl FnOnce() -> &'a str) -> u32 {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.make(key.to_owned());
        if let Some(entity) = self.entities.get_mut(number as usize) {
            entity.names.push((name(), 0));
        }
        number
    }

    fn make(&mut self, key: String) -> u32 {
        let number = u32::try_from(self.entities.len()).unwrap_or(u32::MAX);
        self.entities.push(Entity {
            votes: read_name(&key),
            key: key.clone(),
            names: Vec::new(),
            definitions: Vec::new(),
            descriptions: Vec::new(),
            told: Vec::new(),
            introduced: false,
            same_as: None,
        });
        self.latest.push(None);
        self.numbers.insert(key, number);
        number
    }

    /// The entity with this key, if there is one.
    pub(super) fn known(&self, key: &str) -> Option<u32> {
        self.numbers.get(key).copied()
    }

    /// Whether the entity has this key.
    pub(super) fn is(&self, entity: u32, key: &str) -> bool {
        self.entities.get(entity as usize).is_some_and(|entity| entity.key == key)
    }

    /// One more occurrence of an entity in a chunk; chunks come in order.
    pub(super) fn mention(&mut self, entity: u32, chunk: &NewChunk, span: ByteSpan, own: bool) {
        let Some(latest) = self.latest.get_mut(entity as usize) else { return };
        let same_chunk = latest.and_then(|at| self.mentions.get_mut(at)).filter(|m| m.chunk == chunk.position);
        if let Some(mention) = same_chunk {
            mention.count += 1;
        } else {
            *latest = Some(self.mentions.len());
            self.mentions.push(NewMention { entity, chunk: chunk.position, span, count: 1, own });
        }
    }

    /// Makes sure that a chunk mentions its own topic, with an empty span where its text does not spell it out.
    pub(super) fn mention_unspoken(&mut self, entity: u32, chunk: &NewChunk) {
        let latest = self.latest.get(entity as usize).copied().flatten().and_then(|at| self.mentions.get(at));
        if latest.is_none_or(|mention| mention.chunk != chunk.position) {
            self.mention(entity, chunk, ByteSpan::new(chunk.span.start, chunk.span.start), true);
        }
    }

    /// Makes sure that a chunk mentions what a model found in it; `span` is where it stands, if the text spells it out.
    pub(super) fn mention_told(&mut self, entity: u32, chunk: &NewChunk, span: Option<ByteSpan>) {
        let latest = self.latest.get(entity as usize).copied().flatten().and_then(|at| self.mentions.get(at));
        if latest.is_none_or(|mention| mention.chunk != chunk.position) {
            let nowhere = ByteSpan::new(chunk.span.start, chunk.span.start);
            self.mention(entity, chunk, span.unwrap_or(nowhere), false);
        }
    }

    /// What a model says of an entity in a chunk, and the type that it gives it; both may be empty.
    pub(super) fn describe(&mut self, entity: u32, chunk: u32, kind: &str, description: &str) {
        let Some(entity) = self.entities.get_mut(entity as usize) else { return };
        match entity.told.iter_mut().find(|(known, _)| known == kind) {
            Some((_, times)) => *times += 1,
            None if kind.is_empty() => {}
            None => entity.told.push((kind.to_owned(), 1)),
        }
        if !description.is_empty() {
            entity.descriptions.push((chunk, description.to_owned()));
        }
    }

    /// Drops the relations of a chunk that were read between two of these entities.
    pub(super) fn forget_relations(&mut self, chunk: u32, among: &[u32]) {
        let known = |entity: &u32| among.contains(entity);
        self.relations.retain(|one| one.chunk != chunk || !known(&one.source) || !known(&one.target));
    }

    pub(super) fn vote(&mut self, entity: u32, kind: Kind, weight: u16) {
        if let Some(entity) = self.entities.get_mut(entity as usize) {
            entity.votes.add(kind, weight);
        }
    }

    /// Notes a defining sentence; the best few are kept, the earlier one of equals.
    pub(super) fn define(&mut self, entity: u32, sentence: ByteSpan, quality: u8) {
        let Some(entity) = self.entities.get_mut(entity as usize) else { return };
        keep_definition(&mut entity.definitions, (sentence, quality));
    }

    /// Whether the section that the entity heads was introduced.
    pub(super) fn is_introduced(&self, entity: u32) -> bool {
        self.entities.get(entity as usize).is_some_and(|entity| entity.introduced)
    }

    pub(super) fn set_introduced(&mut self, entity: u32) {
        if let Some(entity) = self.entities.get_mut(entity as usize) {
            entity.introduced = true;
        }
    }

    pub(super) fn relate(&mut self, (source, target): (u32, u32), keywords: String, evidence: ByteSpan, chunk: u32) {
        self.relations.push(NewRelation { source, target, keywords, evidence, chunk, description: String::new() });
    }

    /// A relation that a model found.
    pub(super) fn relate_told(&mut self, relation: NewRelation) {
        self.relations.push(relation);
    }

    /// The document uses `alias` as another name of `entity`. The first such statement counts.
    pub(super) fn equate(&mut self, alias: u32, entity: u32) {
        let is_alias = |number: u32| self.entities.get(number as usize).is_none_or(|entity| entity.same_as.is_some());
        let is_target = self.entities.iter().any(|entity| entity.same_as == Some(alias));
        if is_alias(alias) || is_alias(entity) || is_target {
            return;
        }
        if let Some(alias) = self.entities.get_mut(alias as usize) {
            alias.same_as = Some(entity);
        }
    }

    /// The final form: aliases joined to their entities, one mention per entity and chunk.
    pub(super) fn finish(self) -> Extraction {
        let (numbers, mut entities) = joined(self.entities);
        let number = |old: u32| numbers.get(old as usize).copied().unwrap_or_default();
        let mut mentions: Vec<NewMention> = self.mentions;
        mentions.iter_mut().for_each(|mention| mention.entity = number(mention.entity));
        merge_mentions(&mut mentions);
        let mut relations = self.relations;
        for relation in &mut relations {
            (relation.source, relation.target) = (number(relation.source), number(relation.target));
        }
        relations.retain(|relation| relation.source != relation.target);
        entities.iter_mut().for_each(|entity| entity.definitions.truncate(MOST_DEFINITIONS));
        Extraction { entities, mentions, relations }
    }
}

/// Keeps definitions best first; a sentence counts once.
fn keep_definition(definitions: &mut Vec<(ByteSpan, u8)>, (sentence, quality): (ByteSpan, u8)) {
    if let Some(at) = definitions.iter().position(|(known, _)| *known == sentence) {
        if definitions.get(at).is_some_and(|(_, known)| *known >= quality) {
            return;
        }
        definitions.remove(at);
    }
    // The weakest kind is a stopgap where nothing better is known.
    if quality == super::quality::SUBJECT && !definitions.is_empty() {
        return;
    }
    let at = definitions.iter().take_while(|(_, known)| *known >= quality).count();
    definitions.insert(at, (sentence, quality));
    definitions.truncate(MOST_DEFINITIONS);
}

/// Entities without those that are aliases, and the new number of every old one.
fn joined(drafts: Vec<Entity<'_>>) -> (Vec<u32>, Vec<NewEntity>) {
    let mut numbers: Vec<u32> = Vec::with_capacity(drafts.len());
    let mut next = 0;
    for draft in &drafts {
        numbers.push(next);
        next += u32::from(draft.same_as.is_none());
    }
    for (old, draft) in drafts.iter().enumerate() {
        if let Some(target) = draft.same_as.and_then(|target| numbers.get(target as usize).copied())
            && let Some(number) = numbers.get_mut(old)
        {
            *number = target;
        }
    }
    let mut votes: Vec<Votes> = drafts.iter().filter(|draft| draft.same_as.is_none()).map(|d| d.votes).collect();
    let mut entities: Vec<NewEntity> =
        drafts.iter().filter(|draft| draft.same_as.is_none()).map(Entity::finished).collect();
    for (alias, number) in drafts.iter().zip(&numbers).filter(|(draft, _)| draft.same_as.is_some()) {
        let at = *number as usize;
        if let (Some(entity), Some(votes)) = (entities.get_mut(at), votes.get_mut(at)) {
            entity.aliases.push(alias.key.clone());
            alias.definitions.iter().for_each(|definition| keep_definition(&mut entity.definitions, *definition));
            entity.descriptions.extend(alias.descriptions.iter().cloned());
            votes.merge(alias.votes);
        }
    }
    let kinds = drafts.iter().filter(|draft| draft.same_as.is_none()).map(Entity::told_kind);
    for ((entity, votes), told) in entities.iter_mut().zip(votes).zip(kinds) {
        told.unwrap_or_else(|| votes.winner()).clone_into(&mut entity.kind);
        describe(entity);
    }
    (numbers, entities)
}

/// A document whose chunks are described by a model has no need of its own sentences; one text per chunk.
fn describe(entity: &mut NewEntity) {
    entity.descriptions.sort_by_key(|(chunk, _)| *chunk);
    entity.descriptions.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same && !first.1.contains(&later.1) {
            first.1 = format!("{} {}", first.1, later.1);
        }
        same
    });
    if !entity.descriptions.is_empty() {
        entity.definitions.clear();
    }
}

impl Entity<'_> {
    fn finished(&self) -> NewEntity {
        let mut name = ("", 0);
        for (known, uses) in &self.names {
            if *uses > name.1 || name.0.is_empty() {
                name = (known, *uses);
            }
        }
        NewEntity {
            key: self.key.clone(),
            name: one_line(name.0),
            kind: String::new(),
            aliases: Vec::new(),
            definitions: self.definitions.clone(),
            descriptions: self.descriptions.clone(),
        }
    }

    /// The type that a model gives it most often.
    fn told_kind(&self) -> Option<&str> {
        let most = self.told.iter().map(|(_, times)| *times).max()?;
        self.told.iter().find(|(_, times)| *times == most).map(|(kind, _)| kind.as_str())
    }
}

/// A name may run over a line's end.
fn one_line(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One mention per entity and chunk: aliases add up.
fn merge_mentions(mentions: &mut Vec<NewMention>) {
    mentions.sort_by_key(|mention| (mention.chunk, mention.entity, mention.span.is_empty(), mention.span.start));
    mentions.dedup_by(|later, first| {
        let same = later.chunk == first.chunk && later.entity == first.entity;
        if same {
            // An unspoken mention adds nothing to a spoken one.
            first.count += if later.span.is_empty() { 0 } else { later.count };
            first.own |= later.own;
        }
        same
    });
}
