//! Walks over the graph of entities: neighbourhoods and shortest paths, straight from the truth's tables through
//! one reader. Single entities and relations are read by the reader itself.

use std::collections::{HashMap, HashSet};

use lorekeep_types::{EntityId, Neighbourhood, RelationId};

use crate::error::Result;
use crate::truth::reader::Reader;

/// Entities looked at in search of a path before it is given up.
const MOST_VISITED: usize = 50_000;

/// See [`lorekeep_types::Snapshot::neighbourhood`].
pub(super) fn neighbourhood(
    reader: &Reader<'_>,
    from: Option<EntityId>,
    depth: u32,
    limit: usize,
) -> Result<Neighbourhood> {
    let (entities, truncated) = match from {
        Some(from) => around(reader, from, depth, limit)?,
        None => {
            let mut popular = reader.popular_entities(0, limit.saturating_add(1))?;
            let truncated = popular.len() > limit;
            popular.truncate(limit);
            (popular, truncated)
        }
    };
    let relations = relations_among(reader, &entities)?;
    Ok(Neighbourhood { entities: reader.entities(&entities)?, relations: reader.relations(&relations)?, truncated })
}

/// Breadth-first: layer by layer, within a layer higher degree first, ties by id.
fn around(reader: &Reader<'_>, from: EntityId, depth: u32, limit: usize) -> Result<(Vec<EntityId>, bool)> {
    let mut known: HashSet<EntityId> = HashSet::from([from]);
    let mut reached = vec![from];
    let mut layer = vec![from];
    for _ in 0..depth {
        let mut next = Vec::new();
        for entity in layer {
            for (neighbour, _, _) in reader.neighbours(entity)? {
                if known.insert(neighbour) {
                    next.push((std::cmp::Reverse(reader.degree(neighbour)?), neighbour));
                }
            }
        }
        next.sort_unstable();
        layer = next.into_iter().map(|(_, entity)| entity).collect();
        reached.extend(&layer);
        if layer.is_empty() || reached.len() > limit {
            break;
        }
    }
    let truncated = reached.len() > limit;
    reached.truncate(limit);
    Ok((reached, truncated))
}

/// Relations with both ends among `entities`, by id.
fn relations_among(reader: &Reader<'_>, entities: &[EntityId]) -> Result<Vec<RelationId>> {
    let members: HashSet<EntityId> = entities.iter().copied().collect();
    let mut relations = Vec::new();
    for entity in entities {
        let neighbours = reader.neighbours(*entity)?.into_iter();
        let inside = neighbours.filter(|(other, _, _)| entity <= other && members.contains(other));
        relations.extend(inside.map(|(_, relation, _)| relation));
    }
    relations.sort_unstable();
    Ok(relations)
}

/// One side of a search from both ends: who was reached, from whom, over which relation.
struct Side {
    reached: HashMap<EntityId, Option<(EntityId, RelationId)>>,
    edge: Vec<EntityId>,
}

impl Side {
    fn at(start: EntityId) -> Self {
        Self { reached: HashMap::from([(start, None)]), edge: vec![start] }
    }

    /// Goes one relation further; returns the first entity that the other side has reached too.
    fn advance(&mut self, reader: &Reader<'_>, other: &Self) -> Result<Option<EntityId>> {
        let mut next = Vec::new();
        for entity in std::mem::take(&mut self.edge) {
            for (neighbour, relation, _) in reader.neighbours(entity)? {
                if self.reached.contains_key(&neighbour) {
                    continue;
                }
                self.reached.insert(neighbour, Some((entity, relation)));
                if other.reached.contains_key(&neighbour) {
                    return Ok(Some(neighbour));
                }
                next.push(neighbour);
            }
        }
        self.edge = next;
        Ok(None)
    }

    /// From `entity` back to the start: entities without `entity`, and the relations between.
    fn back(&self, mut entity: EntityId) -> (Vec<EntityId>, Vec<RelationId>) {
        let (mut entities, mut relations) = (Vec::new(), Vec::new());
        while let Some(Some((before, relation))) = self.reached.get(&entity) {
            entities.push(*before);
            relations.push(*relation);
            entity = *before;
        }
        (entities, relations)
    }
}

/// See [`lorekeep_types::Snapshot::path`]. A search that grows beyond [`MOST_VISITED`] is given up and said to be
/// truncated.
pub(super) fn path(reader: &Reader<'_>, from: EntityId, to: EntityId, depth: u32) -> Result<Neighbourhood> {
    if from == to {
        return Ok(Neighbourhood { entities: reader.entities(&[from])?, ..Neighbourhood::default() });
    }
    let (mut near, mut far) = (Side::at(from), Side::at(to));
    for _ in 0..depth {
        let met =
            if near.edge.len() <= far.edge.len() { near.advance(reader, &far)? } else { far.advance(reader, &near)? };
        if let Some(met) = met {
            return joined(reader, &near, &far, met);
        }
        if near.edge.is_empty() || far.edge.is_empty() {
            break;
        }
        if near.reached.len() + far.reached.len() > MOST_VISITED {
            return Ok(Neighbourhood { truncated: true, ..Neighbourhood::default() });
        }
    }
    Ok(Neighbourhood::default())
}

fn joined(reader: &Reader<'_>, near: &Side, far: &Side, met: EntityId) -> Result<Neighbourhood> {
    let (mut entities, mut relations) = near.back(met);
    entities.reverse();
    relations.reverse();
    let (rest, onward) = far.back(met);
    entities.push(met);
    entities.extend(rest);
    relations.extend(onward);
    Ok(Neighbourhood {
        entities: reader.entities(&entities)?,
        relations: reader.relations(&relations)?,
        truncated: false,
    })
}
