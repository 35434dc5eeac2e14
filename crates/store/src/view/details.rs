//! Entities, relations and neighbours that queries read again and again, kept in memory.
//!
//! One question in LightRAG's modes reads hundreds of them, each several rows of the truth. What is kept is what the
//! truth held when it was read: every entry carries the number of writes that the truth had seen before the read,
//! so an entry is never served after a later write.

use std::sync::Arc;

use lorekeep_types::{EntityDetail, EntityId, RelationDetail, RelationId};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::error::Result;
use crate::truth::Truth;
use crate::truth::reader::Reader;

/// Bytes that entities, relations and lists of neighbours may take, each.
const MOST_BYTES: u64 = 12 << 20;

/// What an entry takes beside its text: the structure itself and the cache's own bookkeeping.
const ENTRY_BYTES: usize = 400;

/// Number of writes before the read, and the row.
type Key = (u64, i64);

/// Weight and id of the relations of one entity, heaviest first.
pub(super) type Touching = Arc<[(f64, i64)]>;

/// A cache of such rows.
type Kept<T> = Arc<Cache<Key, T, Bytes>>;

/// See the module's text. Cheap to clone; clones share what they keep.
#[derive(Clone, Debug)]
pub(super) struct Details {
    entities: Kept<Arc<EntityDetail>>,
    relations: Kept<Arc<RelationDetail>>,
    touching: Kept<Touching>,
}

/// Bytes that an entry takes.
#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Key, Arc<EntityDetail>> for Bytes {
    fn weight(&self, _: &Key, one: &Arc<EntityDetail>) -> u64 {
        let text = one.key.len() + one.name.len() + one.description.len();
        (ENTRY_BYTES + text + 8 * one.chunks.len() + names(&one.documents)) as u64
    }
}

impl Weighter<Key, Arc<RelationDetail>> for Bytes {
    fn weight(&self, _: &Key, one: &Arc<RelationDetail>) -> u64 {
        let text = one.source.1.len() + one.target.1.len() + one.keywords.len() + one.description.len();
        let lists = 8 * one.chunks.len() + 16 * one.evidence.len() + names(&one.documents);
        (ENTRY_BYTES + text + lists) as u64
    }
}

impl Weighter<Key, Touching> for Bytes {
    fn weight(&self, _: &Key, list: &Touching) -> u64 {
        (ENTRY_BYTES + 16 * list.len()) as u64
    }
}

impl Details {
    pub(super) fn new() -> Self {
        Self { entities: kept(), relations: kept(), touching: kept() }
    }

    /// Entities in the order asked for; unknown ones are left out.
    pub(super) fn entities(&self, truth: &Truth, ids: &[EntityId]) -> Result<Vec<Arc<EntityDetail>>> {
        let ids = ids.iter().map(|id| id.0);
        read_through(&self.entities, truth, ids, |reader, id| Ok(reader.entity(EntityId(id))?.map(Arc::new)))
    }

    /// Relations in the order asked for; unknown ones are left out.
    pub(super) fn relations(&self, truth: &Truth, ids: &[RelationId]) -> Result<Vec<Arc<RelationDetail>>> {
        let ids = ids.iter().map(|id| id.0);
        read_through(&self.relations, truth, ids, |reader, id| Ok(reader.relation(RelationId(id))?.map(Arc::new)))
    }

    /// Relations that touch one of `entities`, heaviest first (ties by id), at most `limit`.
    pub(super) fn relations_of(
        &self,
        truth: &Truth,
        entities: &[EntityId],
        limit: usize,
    ) -> Result<Vec<Arc<RelationDetail>>> {
        let ids = entities.iter().map(|id| id.0);
        let lists = read_through(&self.touching, truth, ids, |reader, id| {
            reader.touching(EntityId(id)).map(|list| Some(list.into()))
        })?;
        // Each list is sorted already, so no more than `limit` of it can survive.
        let mut found: Vec<(f64, i64)> = lists.iter().flat_map(|list| list.iter().take(limit).copied()).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.dedup_by_key(|(_, id)| *id);
        let ids: Vec<_> = found.iter().take(limit).map(|(_, id)| RelationId(*id)).collect();
        self.relations(truth, &ids)
    }
}

fn names(names: &[String]) -> usize {
    names.iter().map(|name| name.len() + 24).sum()
}

fn kept<T: Clone>() -> Kept<T>
where
    Bytes: Weighter<Key, T>,
{
    let usual = usize::try_from(MOST_BYTES).unwrap_or_default() / (2 * ENTRY_BYTES);
    Arc::new(Cache::with_weighter(usual, MOST_BYTES, Bytes))
}

/// Takes what is kept and reads the rest in one transaction.
fn read_through<T: Clone>(
    cache: &Cache<Key, T, Bytes>,
    truth: &Truth,
    ids: impl Iterator<Item = i64>,
    read: impl Fn(&Reader<'_>, i64) -> Result<Option<T>>,
) -> Result<Vec<T>>
where
    Bytes: Weighter<Key, T>,
{
    let writes = truth.writes();
    let mut reader = None;
    let mut values = Vec::with_capacity(ids.size_hint().0);
    for id in ids {
        if let Some(kept) = cache.get(&(writes, id)) {
            values.push(kept);
            continue;
        }
        let reader = match &mut reader {
            Some(reader) => reader,
            None => reader.insert(truth.read()?),
        };
        if let Some(value) = read(reader, id)? {
            cache.insert((writes, id), value.clone());
            values.push(value);
        }
    }
    Ok(values)
}
