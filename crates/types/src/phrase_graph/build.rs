//! Building a [`PhraseGraph`]: interning, ordering phrases by use, weighing edges.
//!
//! Weights: phrase `k` of a chunk ln(1 + N/df)·w, where w is max(1, 4/sharers) for an own key, else
//! 1 + ln(count); consecutive chunks of a version 2. Each node's weights are divided by their sum.

use std::collections::HashMap;

use super::key_table::KeyTable;
use super::lists::{Lists, bounds, offsets};
use super::{ChunkPhrases, PhraseGraph, most_chunks};

/// Weight of the edge between consecutive chunks.
const NEIGHBOUR_WEIGHT: f32 = 2.0;

/// An own key weighs up to this factor, shared among the chunks that own it.
const OWN_WEIGHT: f32 = 4.0;

/// Aliases of aliases are followed this many steps, which also ends circles.
const MOST_ALIAS_STEPS: usize = 4;

/// A phrase of a chunk, numbered.
#[derive(Clone, Copy)]
struct Entry {
    chunk: u32,
    phrase: u32,
    count: u32,
    own: bool,
}

/// An edge and its weight.
#[derive(Clone, Copy)]
struct Edge {
    from: u32,
    to: u32,
    weight: f32,
}

/// Everything read from the input.
#[derive(Default)]
struct Input {
    chunks: u32,
    keys: KeyTable,
    entries: Vec<Entry>,
    /// First of each pair of consecutive chunks.
    joined: Vec<u32>,
}

/// How phrases are numbered: nodes first, then common phrases, then those of one chunk.
struct Order {
    keys: KeyTable,
    frequencies: Vec<u32>,
    walkable: u32,
    first_sole: u32,
}

pub(super) fn build<K: AsRef<str>>(
    chunks: impl Iterator<Item = ChunkPhrases>,
    aliases: impl Iterator<Item = (K, K)>,
) -> PhraseGraph {
    let aliases: HashMap<String, String> =
        aliases.map(|(alias, key)| (alias.as_ref().to_owned(), key.as_ref().to_owned())).collect();
    let mut input = read(chunks, &aliases);
    let mut order = order(&mut input);
    let (entries, chunks) = (&input.entries, input.chunks);
    let own = || entries.iter().filter(|entry| entry.own);
    let common = || entries.iter().filter(|entry| (order.walkable..order.first_sole).contains(&entry.phrase));
    let sharers = Lists::collect(order.frequencies.len(), || own().map(|entry| (entry.phrase, entry.chunk)));
    let edges = weigh(&input, &order, &sharers);
    let (offsets, targets, shares) = rows((chunks + order.walkable) as usize, &edges);
    PhraseGraph {
        chunks,
        walkable: order.walkable,
        sole: sole_chunks(entries, &order),
        own: Lists::collect(chunks as usize, || own().map(|entry| (entry.chunk, entry.phrase))),
        common: Lists::collect(chunks as usize, || common().map(|entry| (entry.chunk, entry.phrase))),
        sharers,
        offsets,
        targets,
        shares,
        aliased: intern_aliases(&mut order.keys, &aliases),
        keys: order.keys,
        frequencies: order.frequencies,
    }
}

/// What `key` stands for.
fn resolve<'a>(key: &'a str, aliases: &'a HashMap<String, String>) -> &'a str {
    let mut current = key;
    for _ in 0..MOST_ALIAS_STEPS {
        match aliases.get(current) {
            Some(next) => current = next,
            None => break,
        }
    }
    current
}

fn read(chunks: impl Iterator<Item = ChunkPhrases>, aliases: &HashMap<String, String>) -> Input {
    let mut input = Input::default();
    // Where each phrase was met last, to join names of one chunk that are aliases of one another.
    let mut latest: Vec<usize> = Vec::new();
    let mut before: Option<(i64, u32)> = None;
    for chunk in chunks {
        let first = input.entries.len();
        if before.is_some_and(|(version, position)| version == chunk.version && position < chunk.position) {
            input.joined.push(input.chunks - 1);
        }
        before = Some((chunk.version, chunk.position));
        for (key, count, own) in &chunk.phrases {
            let phrase = input.keys.intern(resolve(key, aliases));
            latest.resize(input.keys.len(), usize::MAX);
            let Some(place) = latest.get_mut(phrase as usize) else {
                continue;
            };
            match input.entries.get_mut(*place).filter(|_| *place >= first) {
                Some(entry) => {
                    entry.count += count;
                    entry.own |= own;
                }
                None => {
                    *place = input.entries.len();
                    input.entries.push(Entry { chunk: input.chunks, phrase, count: *count, own: *own });
                }
            }
        }
        input.chunks += 1;
    }
    input
}

/// Numbers phrases anew by use and rewrites the entries accordingly.
fn order(input: &mut Input) -> Order {
    let mut frequencies = vec![0_u32; input.keys.len()];
    for entry in &input.entries {
        if let Some(frequency) = frequencies.get_mut(entry.phrase as usize) {
            *frequency += 1;
        }
    }
    let most = most_chunks(input.chunks);
    let class = |frequency: u32| {
        if frequency <= 1 { 2 } else { usize::from(frequency > most) }
    };
    let mut starts = [0_u32; 4];
    for frequency in &frequencies {
        if let Some(count) = starts.get_mut(class(*frequency) + 1) {
            *count += 1;
        }
    }
    let (walkable, first_sole) = (starts[1], starts[1] + starts[2]);
    let mut next = [0, walkable, first_sole];
    let mut numbers = vec![0_u32; frequencies.len()];
    for (number, frequency) in numbers.iter_mut().zip(&frequencies) {
        if let Some(free) = next.get_mut(class(*frequency)) {
            *number = *free;
            *free += 1;
        }
    }
    for entry in &mut input.entries {
        entry.phrase = numbers.get(entry.phrase as usize).copied().unwrap_or_default();
    }
    let (keys, frequencies) = permuted(&input.keys, &frequencies, &numbers);
    Order { keys, frequencies, walkable, first_sole }
}

/// Keys and frequencies in the order of their new numbers.
fn permuted(keys: &KeyTable, frequencies: &[u32], numbers: &[u32]) -> (KeyTable, Vec<u32>) {
    let mut former = vec![0_u32; numbers.len()];
    for (old, new) in numbers.iter().enumerate() {
        if let Some(place) = former.get_mut(*new as usize) {
            *place = old as u32;
        }
    }
    let mut ordered = KeyTable::default();
    let mut counts = Vec::with_capacity(former.len());
    for old in former {
        ordered.intern(keys.key(old));
        counts.push(frequencies.get(old as usize).copied().unwrap_or_default());
    }
    (ordered, counts)
}

fn sole_chunks(entries: &[Entry], order: &Order) -> Vec<u32> {
    let mut sole = vec![0_u32; order.frequencies.len() - order.first_sole as usize];
    for entry in entries {
        let place = entry.phrase.checked_sub(order.first_sole);
        if let Some(chunk) = place.and_then(|place| sole.get_mut(place as usize)) {
            *chunk = entry.chunk;
        }
    }
    sole
}

/// Every edge once: chunk to phrase in the order of input, and chunk to next chunk.
fn weigh(input: &Input, order: &Order, sharers: &Lists) -> Vec<Edge> {
    let total = input.chunks as f32;
    let neighbours = input.joined.iter().map(|from| Edge { from: *from, to: from + 1, weight: NEIGHBOUR_WEIGHT });
    let phrases = input.entries.iter().filter(|entry| entry.phrase < order.walkable).map(|entry| {
        let frequency = order.frequencies.get(entry.phrase as usize).copied().unwrap_or(1) as f32;
        let factor = if entry.own {
            (OWN_WEIGHT / sharers.get(entry.phrase).len() as f32).max(1.0)
        } else {
            1.0 + (entry.count.max(1) as f32).ln()
        };
        let weight = (1.0 + total / frequency).ln() * factor;
        Edge { from: entry.chunk, to: input.chunks + entry.phrase, weight }
    });
    neighbours.chain(phrases).collect()
}

/// Both directions of every edge by node, weights divided by their sum.
fn rows(nodes: usize, edges: &[Edge]) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
    let offsets = offsets(nodes, edges.iter().flat_map(|edge| [edge.from, edge.to]));
    let (mut targets, mut shares) = (vec![0; edges.len() * 2], vec![0.0_f32; edges.len() * 2]);
    let mut next = offsets.clone();
    for edge in edges {
        for (node, other) in [(edge.from, edge.to), (edge.to, edge.from)] {
            let Some(at) = next.get_mut(node as usize) else {
                continue;
            };
            let place = *at as usize;
            *at += 1;
            if let (Some(target), Some(share)) = (targets.get_mut(place), shares.get_mut(place)) {
                (*target, *share) = (other, edge.weight);
            }
        }
    }
    for node in 0..nodes as u32 {
        let row = shares.get_mut(bounds(&offsets, node)).unwrap_or_default();
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|share| *share /= sum);
    }
    (offsets, targets, shares)
}

/// Makes aliases findable; returns the phrase of each in the order of their numbers.
fn intern_aliases(keys: &mut KeyTable, aliases: &HashMap<String, String>) -> Vec<u32> {
    let mut aliased = Vec::new();
    for alias in aliases.keys() {
        if let Some(phrase) = keys.find(resolve(alias, aliases))
            && keys.find(alias).is_none()
        {
            keys.intern(alias);
            aliased.push(phrase);
        }
    }
    keys.shrink();
    aliased
}
