//! Joining entities that mean one thing: those whose vectors and names are alike are shown to a model in pairs, and what it
//! says is kept, so that no pair is asked about twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use lorekeep_types::{
    CacheKind, Call, ChatMessage, ChatRequest, ChatRole, Comparable, EntityDetail, EntityId, ModelError, Result,
    Snapshot, VectorKind, Verdict,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::run::Run;
use super::{Bench, Extractor};
use crate::engine::join;
use crate::extract::likeness::Names;
use crate::ingest::publish::embed_batch;
use crate::prompt::{PromptName, channel};

/// As the ledger names the calls.
const OPERATION: &str = "entity_resolution";
/// Raised when what is read of an answer changes its meaning.
const FORM: &str = "resolution 1";

/// Entities that are compared and written at once.
const BATCH: usize = 1_024;
/// Pairs in one prompt.
const PAIRS: usize = 25;
/// Pairs of one entity that are asked about: the nearest.
const MOST_PAIRS: usize = 3;
/// Most characters of a description that are shown.
const SHOWN: usize = 240;
/// Most tokens of an answer: a short line for each pair.
const WRITTEN: u32 = 400;

/// The keys of two entities, the smaller first.
type Pair = (String, String);

/// Compares every entity that was not compared before, and joins what is the same; how many were joined. Ends early when
/// the job is stopped; what could not be asked about waits for the next job, and what the model leaves open stays apart.
pub(super) async fn resolve(bench: &Bench, run: &Run, job: &str) -> Result<u64> {
    let workspace = Arc::clone(&bench.ingest.workspace);
    let entities = join(tokio::task::spawn_blocking(move || workspace.comparable())).await?;
    if entities.iter().all(|entity| entity.compared) {
        return Ok(0);
    }
    let extractor = Extractor::of(&bench.ingest.parts)?;
    let resolver = Resolver { bench, run, job, extractor: &extractor };
    // What is found is asked about while more is looked for.
    let (sender, mut found) = mpsc::channel(1);
    let bench = bench.clone();
    let finding = tokio::task::spawn_blocking(move || find_candidates(&bench, &entities, &sender));
    let mut joined = 0;
    while let Some(candidates) = found.recv().await {
        if run.stopped().is_some() {
            break;
        }
        joined += resolver.settle(candidates).await?;
    }
    drop(found);
    join(finding).await?;
    Ok(joined)
}

/// Gives every entity its vector, and finds the pairs of those not compared yet that may be the same, until nobody takes
/// them any more.
fn find_candidates(bench: &Bench, entities: &[Comparable], found: &mpsc::Sender<Candidates>) -> Result<()> {
    let mut last = None;
    while let Some(first) = embed_batch(&bench.ingest, last)? {
        last = Some(first);
    }
    bench.ingest.lane.publish(bench.ingest.workspace.as_ref())?;
    let snapshot = bench.ingest.workspace.snapshot();
    let names = Names::of(entities);
    let new: Vec<&Comparable> = entities.iter().filter(|entity| !entity.compared).collect();
    for batch in new.chunks(BATCH) {
        let mut candidates = Candidates::default();
        for entity in batch {
            let pairs = pairs_of(snapshot.as_ref(), entity, &names)?;
            candidates.entities.push((entity.id, pairs.iter().map(|(pair, _)| pair.clone()).collect()));
            candidates.pairs.extend(pairs);
        }
        if found.blocking_send(candidates).is_err() {
            break;
        }
    }
    Ok(())
}

struct Resolver<'a> {
    bench: &'a Bench,
    run: &'a Run,
    job: &'a str,
    extractor: &'a Extractor,
}

/// Entities, with the pairs that each is to be asked about.
#[derive(Default)]
struct Candidates {
    entities: Vec<(EntityId, Vec<Pair>)>,
    /// The two of each pair.
    pairs: BTreeMap<Pair, (EntityId, EntityId)>,
}

/// Pairs with what a model says of them: `None` where it leaves that open.
type Said = Vec<(Pair, Option<bool>)>;

/// A pair and what a prompt says of both.
type Question = (Pair, [serde_json::Value; 2]);

impl Resolver<'_> {
    /// What was decided of these pairs before, and what to ask about the others.
    async fn questions(
        &self,
        pairs: BTreeMap<Pair, (EntityId, EntityId)>,
    ) -> Result<(Vec<(Pair, bool)>, Vec<Question>)> {
        let workspace = Arc::clone(&self.bench.ingest.workspace);
        join(tokio::task::spawn_blocking(move || {
            let snapshot = workspace.snapshot();
            let (keys, ends): (Vec<Pair>, Vec<(EntityId, EntityId)>) = pairs.into_iter().unzip();
            let verdicts = workspace.verdicts(&keys)?;
            let (mut known, mut questions) = (Vec::new(), Vec::new());
            for ((pair, (a, b)), verdict) in keys.into_iter().zip(ends).zip(verdicts) {
                if let Some(same) = verdict {
                    known.push((pair, same));
                } else if let [a, b] = snapshot.entities(&[a, b])?.as_slice() {
                    questions.push((pair, [shown(a), shown(b)]));
                }
                // Else one of them has gone, or was joined to another, meanwhile.
            }
            Ok((known, questions))
        }))
        .await
    }

    /// Asks about what is not known, and writes what follows.
    async fn settle(&self, candidates: Candidates) -> Result<u64> {
        let Candidates { entities, pairs } = candidates;
        let (known, questions) = self.questions(pairs).await?;
        let mut groups: Vec<BoxFuture<'_, Said>> = Vec::new();
        for group in questions.chunks(PAIRS) {
            groups.push(self.group(group).boxed());
        }
        let parallel = self.bench.ingest.parts.settings.graph.parallel.max(1);
        let said: Vec<Said> = stream::iter(groups).buffered(parallel).collect().await;
        let known = known.into_iter().map(|(pair, same)| (pair, Some(same)));
        let known: BTreeMap<Pair, Option<bool>> = known.chain(said.into_iter().flatten()).collect();
        let compared: Vec<EntityId> = entities
            .into_iter()
            .filter(|(_, pairs)| pairs.iter().all(|pair| known.contains_key(pair)))
            .map(|(entity, _)| entity)
            .collect();
        let verdict = |(keys, same): (Pair, Option<bool>)| Some(Verdict { keys, same: same? });
        let verdicts: Vec<Verdict> = known.into_iter().filter_map(verdict).collect();
        let (workspace, now_ms) = (Arc::clone(&self.bench.ingest.workspace), self.bench.ingest.parts.clock.now_ms());
        join(tokio::task::spawn_blocking(move || workspace.resolve(&compared, &verdicts, now_ms))).await
    }

    /// What the model says of some pairs, `None` of those that it leaves open; nothing when the call failed.
    async fn group(&self, questions: &[Question]) -> Said {
        match self.ask(questions).await {
            Ok(text) => {
                let said = read(&text);
                let verdict = |(place, (pair, _)): (usize, &Question)| (pair.clone(), said.get(&(place + 1)).copied());
                questions.iter().enumerate().map(verdict).collect()
            }
            Err(error) => {
                tracing::warn!(%error, pairs = questions.len(), "names that look alike were not told apart");
                Vec::new()
            }
        }
    }

    async fn ask(&self, questions: &[Question]) -> Result<String, ModelError> {
        let prompt = self.bench.ingest.parts.settings.prompts.get(PromptName::EntityResolution);
        let line = |(place, (_, [a, b])): (usize, &Question)| json!({ "pair": place + 1, "a": a, "b": b }).to_string();
        let lines: Vec<String> = questions.iter().enumerate().map(line).collect();
        let lines = lines.join("\n");
        let values = [("pairs", lines.as_str())];
        let request = ChatRequest {
            messages: vec![
                ChatMessage::text(ChatRole::System, prompt.system(&values)),
                ChatMessage::text(ChatRole::User, prompt.user(&values)),
            ],
            max_tokens: Some(WRITTEN),
            temperature: Some(0.0),
            ..ChatRequest::default()
        };
        let call = Call::new(OPERATION, self.bench.ingest.workspace.name().clone(), self.job);
        let call = self.run.paid(call.kept(CacheKind::Extraction, FORM));
        let model = self.extractor.model.as_ref();
        Ok(self.run.ask(&self.bench.ingest.parts, (model, &call), &request).await?.text)
    }
}

/// The entities that may be the same as one, as pairs, the nearest first.
fn pairs_of(
    snapshot: &dyn Snapshot,
    entity: &Comparable,
    names: &Names<'_>,
) -> Result<Vec<(Pair, (EntityId, EntityId))>> {
    let like = names.like(entity);
    let rows: Vec<i64> = like.iter().map(|(other, _)| other.id.0).collect();
    let cosines = snapshot.cosines(VectorKind::Entity, entity.id.0, &rows)?;
    let mut near: Vec<(f32, &Comparable)> = like
        .into_iter()
        .zip(cosines)
        .filter(|((_, least), cosine)| cosine >= least)
        .map(|((other, _), cosine)| (cosine, other))
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.id.cmp(&other.1.id)));
    near.truncate(MOST_PAIRS);
    let pair = |(_, other): (f32, &Comparable)| {
        let (a, b) = if entity.key <= other.key { (entity, other) } else { (other, entity) };
        ((a.key.clone(), b.key.clone()), (a.id, b.id))
    };
    Ok(near.into_iter().map(pair).collect())
}

/// What a prompt says of an entity.
fn shown(entity: &EntityDetail) -> serde_json::Value {
    let description: String = channel::one_line(&entity.description).chars().take(SHOWN).collect();
    json!({ "name": channel::one_line(&entity.name), "type": entity.kind, "description": description })
}

/// Reads lines like `3: no` by their number; anything else is passed over, and of two lines on one pair the first counts.
fn read(text: &str) -> HashMap<usize, bool> {
    let mut said = HashMap::new();
    for line in text.lines() {
        let line = line.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let digits = line.len() - line.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (number, rest) = line.split_at(digits);
        let word: String = rest
            .trim_start_matches(|letter: char| !letter.is_alphabetic())
            .chars()
            .take_while(|letter| letter.is_alphabetic())
            .collect();
        let same = match word.to_lowercase().as_str() {
            "yes" => true,
            "no" => false,
            _ => continue,
        };
        if let Ok(number) = number.parse() {
            said.entry(number).or_insert(same);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_line_by_line() {
        let said = read(
            "Sure:\n1: yes\n 2) **No**\n- 3 = YES, a spelling variant\n4: perhaps\n1: no\nno\n99999999999999999999999: yes",
        );
        assert_eq!(said, HashMap::from([(1, true), (2, false), (3, true)]));
        assert_eq!(read(""), HashMap::new());
    }
}
