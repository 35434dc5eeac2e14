//! Finding communities: the Leiden algorithm by modularity over weighted relations, and inside each large community again.
//!
//! Splitting from the top, as GraphRAG does, makes levels that nest: every community of a level lies inside one of the level
//! above. A fixed seed makes equal graphs give equal communities. Source: Traag, Waltman and van Eck, “From Louvain to
//! Leiden”, 2019.

use std::collections::HashMap;

use leiden_rs::{GraphDataBuilder, Leiden, LeidenConfig};
use lorekeep_types::{EntityId, Error, ErrorCode, Result};

/// Communities of at most so many members are not split further.
const LARGE: usize = 24;

/// Levels at most.
const DEEPEST: u32 = 4;

/// Smaller ones are no community but a pair.
const LEAST: usize = 3;

const SEED: u64 = 42;

/// A community as the graph has it: its members alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// 0 for those of the whole graph.
    pub(super) level: u32,
    /// The community of the level above that it lies in, by its place in the list.
    pub(super) parent: Option<u32>,
    /// Members, those with most weight inside the community first.
    pub(super) members: Vec<EntityId>,
}

/// A weighted relation of two entities.
pub(super) type Edge = (EntityId, EntityId, f32);

/// The communities of a graph, those of a level before those of the next, the largest first.
///
/// # Errors
/// `Internal` when the algorithm refuses the graph.
pub(super) fn groups(edges: &[Edge]) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut waiting: Vec<(Option<u32>, Vec<Edge>)> = vec![(None, edges.to_vec())];
    for level in 0..DEEPEST {
        let mut next = Vec::new();
        for (parent, edges) in waiting {
            for (members, inside) in split(&edges)? {
                let place = u32::try_from(groups.len()).unwrap_or(u32::MAX);
                if members.len() > LARGE {
                    next.push((Some(place), inside));
                }
                groups.push(Group { level, parent, members });
            }
        }
        waiting = next;
    }
    Ok(groups)
}

/// The communities of one graph with the relations inside each; none when it is one community as a whole.
fn split(edges: &[Edge]) -> Result<Vec<(Vec<EntityId>, Vec<Edge>)>> {
    let mut nodes: Vec<EntityId> = edges.iter().flat_map(|(one, other, _)| [*one, *other]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let community = partition(&nodes, edges)?;
    let of = |entity: &EntityId| nodes.binary_search(entity).ok().and_then(|at| community.get(at).copied());
    let mut inside: HashMap<usize, Vec<Edge>> = HashMap::new();
    for edge in edges {
        if let Some(own) = of(&edge.0).filter(|own| of(&edge.1) == Some(*own)) {
            inside.entry(own).or_default().push(*edge);
        }
    }
    let parts = inside.into_values().map(|edges| (by_weight(&edges), edges));
    let mut parts: Vec<_> = parts.filter(|(members, _)| members.len() >= LEAST).collect();
    parts.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    // The whole once more would be a level that says nothing.
    let whole = parts.first().is_some_and(|(members, _)| members.len() == nodes.len());
    Ok(if whole && parts.first().is_some_and(|(members, _)| members.len() > LARGE) { Vec::new() } else { parts })
}

/// The community of each node.
fn partition(nodes: &[EntityId], edges: &[Edge]) -> Result<Vec<usize>> {
    let fault = |error: leiden_rs::LeidenError| {
        Error::new(ErrorCode::Internal, "the communities of the graph cannot be found").caused_by(error)
    };
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let mut builder = GraphDataBuilder::new(nodes.len());
    for (one, other, weight) in edges.iter().filter(|(one, other, weight)| one != other && *weight > 0.0) {
        if let (Ok(one), Ok(other)) = (nodes.binary_search(one), nodes.binary_search(other)) {
            builder.add_edge(one, other, f64::from(*weight)).map_err(fault)?;
        }
    }
    let graph = builder.build().map_err(fault)?;
    let config = LeidenConfig { seed: Some(SEED), ..LeidenConfig::default() };
    let found = Leiden::new(config).run(&graph).map_err(fault)?;
    Ok((0..nodes.len()).map(|node| found.partition.community_of(node)).collect())
}

/// Entities by the weight of their relations, the heaviest first.
fn by_weight(edges: &[Edge]) -> Vec<EntityId> {
    let mut weights: HashMap<EntityId, f32> = HashMap::new();
    for (one, other, weight) in edges {
        *weights.entry(*one).or_default() += weight;
        *weights.entry(*other).or_default() += weight;
    }
    let mut members: Vec<(EntityId, f32)> = weights.into_iter().collect();
    members.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    members.into_iter().map(|(entity, _)| entity).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    fn edge(one: i64, other: i64) -> Edge {
        (EntityId(one), EntityId(other), 1.0)
    }

    /// `count` rings of five that are whole inside, joined in a row by one relation each.
    fn cliques(count: i64) -> Vec<Edge> {
        let inside = (0..count).flat_map(|ring| {
            (0..5).flat_map(move |one| (one + 1..5).map(move |other| edge(ring * 5 + one, ring * 5 + other)))
        });
        inside.chain((1..count).map(|ring| edge(ring * 5 - 1, ring * 5))).collect()
    }

    #[test]
    fn what_is_closely_joined_is_one_community() {
        let found = groups(&cliques(4)).unwrap();
        assert_eq!(found.len(), 4, "{found:?}");
        for group in &found {
            let rings: HashSet<i64> = group.members.iter().map(|member| member.0 / 5).collect();
            assert_eq!((rings.len(), group.members.len(), group.level, group.parent), (1, 5, 0, None));
        }
        assert_eq!(found, groups(&cliques(4)).unwrap(), "an equal graph gives equal communities");
        assert!(groups(&[]).unwrap().is_empty());
        assert!(groups(&[edge(1, 2)]).unwrap().is_empty(), "a pair is no community");
    }

    proptest! {
        #[test]
        fn levels_nest_and_communities_hold_together(
            ends in prop::collection::vec((0_i64..120, 0_i64..120), 0..400)
        ) {
            let edges: Vec<Edge> = ends.into_iter().filter(|(one, other)| one < other).map(|(one, other)| edge(one, other)).collect();
            let found = groups(&edges).unwrap();
            for (place, group) in found.iter().enumerate() {
                let members: HashSet<EntityId> = group.members.iter().copied().collect();
                prop_assert_eq!(members.len(), group.members.len());
                prop_assert!(members.len() >= LEAST);
                // Everybody is reached from the first over relations inside.
                let mut reached = HashSet::from([group.members[0]]);
                while let Some(next) = edges.iter().find_map(|(one, other, _)| {
                    let step = |from: &EntityId, to: &EntityId| (reached.contains(from) && members.contains(to) && !reached.contains(to)).then_some(*to);
                    step(one, other).or_else(|| step(other, one))
                }) {
                    reached.insert(next);
                }
                prop_assert_eq!(&reached, &members);
                if let Some(parent) = group.parent {
                    let above = &found[parent as usize];
                    prop_assert!(above.level + 1 == group.level && (parent as usize) < place);
                    prop_assert!(group.members.iter().all(|member| above.members.contains(member)));
                }
                let same_level = found.iter().enumerate().filter(|(other, one)| *other != place && one.level == group.level);
                for (_, other) in same_level {
                    prop_assert!(other.members.iter().all(|member| !members.contains(member)), "no member twice in a level");
                }
            }
        }
    }
}
