//! Answers that are kept: given again while nothing changed, and never after.

use std::collections::HashMap;

use lorekeep_engine::AnswerSettings;
use lorekeep_types::{Answer, AnswerKind, AskRequest, ModelFault};

use crate::ports::Bench;
use crate::scripted::{Scripted, all_text};

const QUESTION: &str = "What is the height of Tista Tower?";

/// A model that answers with every height that it is sent.
fn reader() -> Scripted {
    Scripted::new(|_, request| {
        let sent = all_text(request);
        let heights: Vec<&str> =
            sent.split("Tista Tower is ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
        Ok(format!("Its height: {}.", heights.join(" ")))
    })
}

fn tower(height: usize) -> String {
    format!("Tista Tower is {height} metres high. The height of Tista Tower was measured by surveyors.")
}

#[tokio::test]
async fn an_equal_question_costs_once_and_a_different_one_again() {
    let model = reader();
    let mut bench = Bench::with_model(&model, AnswerSettings::default()).await;
    bench.take_in(&[("tower.txt", &tower(40))]).await;
    let first = bench.engine.ask(&bench.ctx, AskRequest::new(QUESTION)).await.unwrap();
    let again = bench.engine.ask(&bench.ctx, AskRequest::new(QUESTION)).await.unwrap();
    assert_eq!((first.cached, again.cached, &again.answer), (false, true, &first.answer));
    assert_eq!((again.usage.total_tokens, again.usage.cost_nano_usd), (0, Some(0)));
    assert_eq!((again.citations, again.sources), (first.citations, first.sources));
    assert_eq!(model.count("answer"), 1);
    let others = [
        AskRequest { fresh: true, ..AskRequest::new(QUESTION) },
        AskRequest { language: Some("sv".into()), ..AskRequest::new(QUESTION) },
        AskRequest { instructions: Some("Be brief.".into()), ..AskRequest::new(QUESTION) },
        AskRequest { max_output_tokens: Some(77), ..AskRequest::new(QUESTION) },
    ];
    for (count, other) in (2..).zip(others) {
        assert!(!bench.engine.ask(&bench.ctx, other).await.unwrap().cached);
        assert_eq!(model.count("answer"), count);
    }
}

#[tokio::test]
async fn failures_and_cut_answers_are_not_kept() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let model = Scripted::new(move |_, _| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Err(ModelFault::Server),
        1 => Ok("Its height is<cut>".to_owned()),
        _ => Ok("Its height is 40 metres.".to_owned()),
    });
    let mut bench = Bench::with_model(&model, AnswerSettings::default()).await;
    bench.take_in(&[("tower.txt", &tower(40))]).await;
    assert!(bench.engine.ask(&bench.ctx, AskRequest::new(QUESTION)).await.is_err());
    for cached in [false, false, true] {
        assert_eq!(bench.engine.ask(&bench.ctx, AskRequest::new(QUESTION)).await.unwrap().cached, cached);
    }
}

#[tokio::test]
async fn off_means_off() {
    let model = reader();
    let mut bench = Bench::with_model(&model, AnswerSettings { cache: false, ..AnswerSettings::default() }).await;
    bench.take_in(&[("tower.txt", &tower(40))]).await;
    for count in [1, 2] {
        bench.engine.ask(&bench.ctx, AskRequest::new(QUESTION)).await.unwrap();
        assert_eq!(model.count("answer"), count);
    }
}

/// A small generator: the order of the steps is random, and the same in every run.
struct Steps(u64);

impl Steps {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Documents as they should be, and what may be told of them.
struct Towers {
    bench: Bench,
    steps: Steps,
    heights: HashMap<String, usize>,
}

impl Towers {
    fn known(&self) -> Vec<usize> {
        let mut known: Vec<usize> = self.heights.values().copied().collect();
        known.sort_unstable();
        known
    }

    /// Adds a document that contradicts the others, changes one, or deletes one that was cited.
    async fn change(&mut self, step: usize) {
        let name = format!("tower-{}.txt", self.steps.next(3));
        if self.heights.contains_key(&name) && self.steps.next(2) == 0 {
            let id = self.bench.document(&name).await.id;
            self.bench.engine.delete(&self.bench.ctx, vec![id]).await.unwrap();
            self.heights.remove(&name);
        } else {
            self.bench.take_in(&[(&name, &tower(1_000 + step))]).await;
            self.heights.insert(name, 1_000 + step);
        }
    }

    async fn ask(&self) -> Answer {
        self.bench.engine.ask(&self.bench.ctx, AskRequest::new(QUESTION)).await.unwrap()
    }
}

/// The heights that an answer tells, all of which its citations must be able to show.
fn told(answer: &Answer) -> Vec<usize> {
    if answer.kind != AnswerKind::Generated {
        return Vec::new();
    }
    let mut told: Vec<usize> = answer.answer.split([' ', '.']).filter_map(|word| word.parse().ok()).collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn in_1000_interleavings_no_answer_is_older_than_the_documents() {
    let model = reader();
    let bench = Bench::with_model(&model, AnswerSettings::default()).await;
    let mut towers = Towers { bench, steps: Steps(7), heights: HashMap::new() };
    let (mut asked, mut kept, mut overtaken) = (0, 0, 0);
    for step in 0..1_000_usize {
        match towers.steps.next(10) {
            0 => towers.change(step).await,
            1 | 2 => {
                // The documents change once more while an answer is under way.
                towers.change(step).await;
                let before = towers.known();
                model.shut(true);
                let (engine, ctx) = (towers.bench.engine.clone(), towers.bench.ctx.clone());
                let mut asking = Box::pin(async move { engine.ask(&ctx, AskRequest::new(QUESTION)).await.unwrap() });
                let early = tokio::select! {
                    answer = &mut asking => Some(answer),
                    () = model.waits(1) => None,
                };
                overtaken += usize::from(early.is_none());
                towers.change(step + 1_000).await;
                model.shut(false);
                let answer = match early {
                    Some(answer) => answer,
                    None => asking.await,
                };
                assert_eq!(told(&answer), before, "step {step}: what was asked before the change");
            }
            _ => {}
        }
        let answer = towers.ask().await;
        asked += 1;
        kept += usize::from(answer.cached);
        assert_eq!(told(&answer), towers.known(), "step {step}");
        assert!(answer.citations.iter().all(|one| towers.heights.contains_key(&one.name)), "step {step}");
    }
    assert!(asked == 1_000 && kept > 300 && overtaken > 100, "{kept} kept, {overtaken} overtaken");
}
