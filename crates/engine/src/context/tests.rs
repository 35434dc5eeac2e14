//! Properties of prompts over random inputs.

#![allow(clippy::unwrap_used, reason = "tests")]

use lorekeep_types::{ChatRole, ErrorCode, TokenCounter, Turn};
use proptest::prelude::*;

use super::*;

/// A counter that merges across pieces, as vocabularies do: a token is up to four letters, or a run of white space.
struct Fours;

impl TokenCounter for Fours {
    fn count(&self, text: &str) -> usize {
        self.ends(text).len()
    }

    fn cuts(&self, text: &str, every: usize) -> Vec<usize> {
        let ends = self.ends(text);
        let cuts = ends.chunks(every.max(1)).filter_map(|chunk| chunk.last().copied());
        cuts.filter(|end| *end < text.len()).collect()
    }
}

impl Fours {
    fn ends(&self, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        let (mut length, mut space) = (0, false);
        for (at, letter) in text.char_indices() {
            let same = letter.is_whitespace() == space && (space || length < 4);
            if length > 0 && !same {
                ends.push(at);
                length = 0;
            }
            space = letter.is_whitespace();
            length += 1;
        }
        if length > 0 {
            ends.push(text.len());
        }
        ends
    }
}

fn render(kept: &[&Artifact], question: &str) -> String {
    let lines: String = kept.iter().map(|artifact| format!("--- {}\n", artifact.text)).collect();
    format!("{lines}Question: {question}")
}

fn words(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec("[a-zé]{1,9}", 0..most).prop_map(|words| words.join(" "))
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    prop::collection::vec((any::<bool>(), words(40)), 0..8).prop_map(|turns| {
        let turn = |(asked, content)| Turn { role: if asked { ChatRole::User } else { ChatRole::Assistant }, content };
        turns.into_iter().map(turn).collect()
    })
}

fn artifacts() -> impl Strategy<Value = Vec<Artifact>> {
    let priority = prop::sample::select(vec![Priority::Low, Priority::Medium, Priority::High, Priority::Critical]);
    let relevance = prop_oneof![Just(f32::NAN), 0.0_f32..1.0];
    prop::collection::vec((priority, relevance, words(120)), 0..12).prop_map(|all| {
        let artifact = |(id, (priority, relevance, text)): (usize, (Priority, f32, String))| {
            let tokens = Fours.count(&text);
            Artifact { id, priority, relevance, text, tokens }
        };
        all.into_iter().enumerate().map(artifact).collect()
    })
}

fn budgets() -> impl Strategy<Value = TokenBudget> {
    (1_usize..60, 0_usize..80, 0_usize..60, 0_usize..200, 1_usize..60, 0_usize..300).prop_map(
        |(system, brief, turns, retrieved, completion, total)| TokenBudget {
            system,
            brief,
            turns,
            retrieved,
            completion,
            total,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_prompt_and_no_section_exceeds_its_limit(
        budget in budgets(), turns in turns(), artifacts in artifacts(),
        system in words(60), brief in words(80), question in words(60), completion in 0_usize..100
    ) {
        let draft = |artifacts: Vec<Artifact>, turns: &[Turn]| {
            assemble(&Fours, &budget, completion, Draft {
                system: &system, brief: &brief, turns, artifacts, question: &question, render: &render,
            })
        };
        let made = draft(artifacts.clone(), &turns);
        let system_kept = cut_to(&Fours, &system, budget.system);
        let least = REPLY_TOKENS + MESSAGE_TOKENS + Fours.count(&render(&[], &question))
            + if system_kept.is_empty() { 0 } else { MESSAGE_TOKENS + Fours.count(system_kept) }
            + completion.min(budget.completion);
        let Ok(made) = made else {
            // The one reason to fail: what cannot be left out does not fit.
            prop_assert!(least > budget.total);
            prop_assert_eq!(made.unwrap_err().code(), ErrorCode::TooLarge);
            return Ok(());
        };
        prop_assert!(least <= budget.total);
        let spent = made.spent;
        prop_assert_eq!(spent.prompt, prompt_tokens(&Fours, &made.messages));
        prop_assert!(spent.prompt + spent.completion <= budget.total);
        prop_assert!(spent.system <= budget.system && spent.brief <= budget.brief);
        prop_assert!(spent.turns <= budget.turns && spent.retrieved <= budget.retrieved);
        prop_assert!(spent.completion <= budget.completion);
        // The last turn, which is the question, is whole.
        let last = made.messages.last().unwrap().plain();
        let asked = format!("Question: {question}");
        prop_assert!(last.ends_with(&asked));
        // What stayed is what was needed most.
        let mut order = artifacts.clone();
        order.sort_by(Artifact::order);
        let mut kept: Vec<usize> = order.iter().take(made.kept.len()).map(|artifact| artifact.id).collect();
        kept.sort_unstable();
        prop_assert_eq!(&kept, &made.kept);
        // Fitting what fits changes nothing.
        let again: Vec<Artifact> = artifacts.iter().filter(|one| made.kept.contains(&one.id)).cloned().collect();
        prop_assert_eq!(draft(again, &turns).unwrap().messages, made.messages);
        let dropped = made.kept.len() < artifacts.len();
        prop_assert_eq!(dropped, made.overflows.iter().any(|(section, _)| *section == Section::Retrieved));
    }

    #[test]
    fn cutting_keeps_a_beginning_within_the_limit(text in words(60), most in 0_usize..50) {
        let cut = cut_to(&Fours, &text, most);
        prop_assert!(text.starts_with(cut) && Fours.count(cut) <= most);
        prop_assert_eq!(cut_to(&Fours, cut, most), cut);
    }

    #[test]
    fn a_conversation_is_shortened_to_the_limit(turns in turns(), most in 0_usize..80) {
        let short = extract(&Fours, &turns, most);
        prop_assert!(Fours.count(&short) <= most);
        let Split { older, recent } = split(&Fours, &turns, most);
        prop_assert_eq!(older.len() + recent.len(), turns.len());
        prop_assert!(recent.iter().map(|turn| message_tokens(&Fours, &turn.content)).sum::<usize>() <= most);
    }
}

#[test]
fn a_budget_whose_sections_exceed_the_total_is_refused() {
    assert!(TokenBudget::default().validate().is_ok());
    let error = TokenBudget { total: 7_000, ..TokenBudget::default() }.validate().unwrap_err();
    assert_eq!(error.message(), "the sections of `answer.tokens` take 7100 tokens together, over the total of 7000");
}

#[test]
fn a_question_that_cannot_fit_is_refused_with_the_numbers() {
    let budget = TokenBudget { completion: 10, total: 20, ..TokenBudget::default() };
    let question = "abcd ".repeat(10);
    let draft =
        Draft { system: "", brief: "", turns: &[], artifacts: Vec::new(), question: &question, render: &render };
    let error = assemble(&Fours, &budget, 10, draft).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
    assert!(error.message().contains("take 41 tokens, and 20 are the limit"), "{error}");
}

#[test]
fn the_latest_of_a_conversation_counts_most() {
    let turns = [
        Turn::asked("Who ran the old mill? I would like to know it."),
        Turn::answered("Zoë ran the mill [1]. It burned down in 1931."),
    ];
    assert_eq!(extract(&Fours, &turns, 100), "Question: Who ran the old mill?\nAnswer: Zoë ran the mill.");
    assert_eq!(extract(&Fours, &turns, 12), "Answer: Zoë ran the mill.");
}
