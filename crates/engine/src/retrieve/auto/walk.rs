//! Personalised PageRank by forward push (Andersen, Chung, Lang 2006): mass flows from the reset nodes until what
//! is left anywhere is too little to matter. The cost depends on the mass, not on the size of the graph.

use std::collections::VecDeque;

use lorekeep_types::PhraseGraph;

/// Share of a node's mass that moves on along its edges.
const DAMPING: f32 = 0.75;

/// A node keeps less than this much for each of its edges.
const TOLERANCE: f32 = 1e-5;

/// Where the mass of a walk came to rest.
pub(super) struct Walk {
    mass: Vec<f32>,
    /// Nodes that ever held mass.
    touched: Vec<u32>,
}

impl Walk {
    /// Walks from `reset`, which is scaled to sum 1; nodes may be named repeatedly.
    pub(super) fn run(graph: &PhraseGraph, reset: &[(u32, f32)]) -> Self {
        let nodes = graph.node_count() as usize;
        let mut push = Push {
            graph,
            left: vec![0.0; nodes],
            queued: vec![false; nodes],
            queue: VecDeque::new(),
            walk: Self { mass: vec![0.0; nodes], touched: Vec::new() },
        };
        let sum: f32 = reset.iter().map(|(_, mass)| mass).sum();
        if sum > 0.0 {
            reset.iter().for_each(|(node, mass)| push.receive(*node, mass / sum));
        }
        while let Some(node) = push.queue.pop_front() {
            push.pass_on(node);
        }
        push.walk
    }

    /// The mass of a node.
    pub(super) fn mass(&self, node: u32) -> f32 {
        self.mass.get(node as usize).copied().unwrap_or_default()
    }

    /// Every node with mass, in order of discovery.
    pub(super) fn touched(&self) -> &[u32] {
        &self.touched
    }
}

struct Push<'a> {
    graph: &'a PhraseGraph,
    left: Vec<f32>,
    queued: Vec<bool>,
    queue: VecDeque<u32>,
    walk: Walk,
}

impl Push<'_> {
    fn receive(&mut self, node: u32, mass: f32) {
        let at = node as usize;
        let (Some(left), Some(queued)) = (self.left.get_mut(at), self.queued.get_mut(at)) else { return };
        *left += mass;
        if !*queued && *left >= TOLERANCE * self.graph.edges(node).0.len().max(1) as f32 {
            *queued = true;
            self.queue.push_back(node);
        }
    }

    fn pass_on(&mut self, node: u32) {
        let at = node as usize;
        let (Some(left), Some(queued), Some(mass)) =
            (self.left.get_mut(at), self.queued.get_mut(at), self.walk.mass.get_mut(at))
        else {
            return;
        };
        let moved = std::mem::take(left);
        *queued = false;
        if *mass == 0.0 {
            self.walk.touched.push(node);
        }
        *mass += (1.0 - DAMPING) * moved;
        let (targets, shares) = self.graph.edges(node);
        for (target, share) in targets.iter().zip(shares) {
            self.receive(*target, DAMPING * moved * share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lorekeep_types::ChunkPhrases;
    use proptest::prelude::*;

    fn graph(lists: &[Vec<u8>]) -> PhraseGraph {
        let chunks = lists.iter().zip(0..).map(|(keys, version)| ChunkPhrases {
            version,
            position: 0,
            phrases: keys.iter().map(|key| (format!("key {key}"), 1, false)).collect(),
        });
        PhraseGraph::build(chunks, std::iter::empty::<(&str, &str)>())
    }

    /// The same by iterating x = (1 − d)·reset + d·Tᵀx.
    fn iterated(graph: &PhraseGraph, reset: &[f32]) -> Vec<f32> {
        let mut mass = reset.to_vec();
        for _ in 0..60 {
            let mut next: Vec<f32> = reset.iter().map(|value| value * (1.0 - DAMPING)).collect();
            for node in 0..graph.node_count() {
                let (targets, shares) = graph.edges(node);
                for (target, share) in targets.iter().zip(shares) {
                    next[*target as usize] += DAMPING * mass[node as usize] * share;
                }
            }
            mass = next;
        }
        mass
    }

    #[test]
    fn mass_reaches_chunks_over_phrases() {
        let graph = graph(&[vec![1], vec![1, 2], vec![2], vec![3]]);
        let walk = Walk::run(&graph, &[(0, 2.0)]);
        assert!(walk.mass(0) > walk.mass(1) && walk.mass(1) > walk.mass(2) && walk.mass(2) > 0.0);
        assert!(walk.mass(3) == 0.0 && !walk.touched().contains(&3));
        assert!(Walk::run(&graph, &[]).touched().is_empty());
        assert!(Walk::run(&graph, &[(99, 1.0)]).touched().is_empty());
    }

    proptest! {
        #[test]
        fn pushing_equals_iterating(
            lists in proptest::collection::vec(proptest::collection::btree_set(0_u8..8, 0..5), 1..15),
            start in 0_usize..15,
        ) {
            let lists: Vec<Vec<u8>> = lists.into_iter().map(|keys| keys.into_iter().collect()).collect();
            let graph = graph(&lists);
            let start = (start % lists.len()) as u32;
            let walk = Walk::run(&graph, &[(start, 1.0)]);
            let mut reset = vec![0.0; graph.node_count() as usize];
            reset[start as usize] = 1.0;
            let expected = iterated(&graph, &reset);
            for node in 0..graph.node_count() {
                prop_assert!((walk.mass(node) - expected[node as usize]).abs() < 2e-3);
            }
        }
    }
}
