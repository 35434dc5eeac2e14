//! What the extractor reads from small documents.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use lorekeep_types::{ByteSpan, Cancel, Extraction, NewChunk, NewEntity};
use proptest::prelude::*;

use super::extract;

fn chunk(position: u32, start: usize, text: &str, headings: &[&str]) -> NewChunk {
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    NewChunk {
        position,
        span: ByteSpan::new(start, start + text.len()),
        text: text.to_owned(),
        heading_path: headings.clone(),
        headings,
        page: None,
        tokens: 0,
    }
}

fn read(text: &str) -> Extraction {
    extract("", &[chunk(0, 0, text, &[])], &Cancel::default()).unwrap()
}

fn entity<'a>(extraction: &'a Extraction, key: &str) -> &'a NewEntity {
    let found = extraction.entities.iter().find(|entity| entity.key == key);
    found.unwrap_or_else(|| panic!("no `{key}` among {:?}", extraction.entities))
}

fn relations(extraction: &Extraction) -> Vec<(&str, &str, &str)> {
    let name = |number: u32| extraction.entities[number as usize].key.as_str();
    extraction.relations.iter().map(|r| (name(r.source), name(r.target), r.keywords.as_str())).collect()
}

#[test]
fn names_types_definitions_and_relations() {
    let text = "Ada Lovelace was an English mathematician. She worked with Charles Babbage on the Analytical Engine. \
                Acme Shipping Ltd was founded by Dr. Vinter in Bergen. Bergen is a city in Norway.";
    let found = read(text);
    let kinds: Vec<_> = found.entities.iter().map(|e| (e.key.as_str(), e.kind.as_str())).collect();
    for expected in [
        ("ada lovelace", "person"),
        ("charles babbage", "person"),
        ("acme shipping ltd", "organization"),
        ("vinter", "person"),
        ("bergen", "location"),
        ("norway", "location"),
        ("analytical engine", "unknown"),
    ] {
        assert!(kinds.contains(&expected), "{expected:?} is not in {kinds:?}");
    }
    let definition = entity(&found, "bergen").definitions[0].0;
    assert_eq!(definition.of(text), "Bergen is a city in Norway.");
    assert!(relations(&found).contains(&("acme shipping ltd", "vinter", "was founded by")));
    assert!(relations(&found).contains(&("charles babbage", "analytical engine", "on")));
}

#[test]
fn sentences_about_the_topic_join_it() {
    let text = "Bergen\n\nA port on the coast of Norway. It was founded by Olaf Kyrre in 1070.";
    let found = extract("Towns", &[chunk(0, 0, text, &["Bergen"])], &Cancel::default()).unwrap();
    assert!(relations(&found).contains(&("bergen", "olaf kyrre", "was founded by")), "{:?}", relations(&found));
    assert_eq!(entity(&found, "bergen").definitions[0].0.of(text), "A port on the coast of Norway.");
    let own: Vec<_> = found.mentions.iter().filter(|mention| mention.own).collect();
    assert_eq!(own.len(), 1);
}

#[test]
fn a_topic_that_is_not_spelt_out_is_mentioned_all_the_same() {
    let found = extract("Retrofit Plan", &[chunk(0, 0, "nothing capital here", &[])], &Cancel::default()).unwrap();
    assert_eq!(entity(&found, "retrofit plan").name, "Retrofit Plan");
    assert_eq!((found.mentions[0].span, found.mentions[0].own), (ByteSpan::new(0, 0), true));
}

#[test]
fn an_abbreviation_is_its_long_name() {
    let text = "The Harbour Safety Board (HSB) met in Oslo. The HSB is a committee of the city.";
    let found = read(text);
    let board = entity(&found, "harbour safety board");
    assert_eq!(board.aliases, ["hsb"]);
    assert_eq!(board.kind, "organization");
    assert!(found.entities.iter().all(|entity| entity.key != "hsb"));
    let mention = found.mentions.iter().find(|m| found.entities[m.entity as usize].key == board.key).unwrap();
    assert_eq!((mention.count, mention.span.of(text)), (3, "Harbour Safety Board"));
    let found = read("Bob Dylan, also known as Robert Zimmerman, sang.");
    assert_eq!(entity(&found, "bob dylan").aliases, ["robert zimmerman"]);
}

#[test]
fn overlapping_chunks_give_a_sentence_once() {
    let text = "Oslo lies near Drammen. Bergen lies near Voss.";
    let second = text.find("Bergen").unwrap();
    let chunks = [chunk(0, 0, text, &[]), chunk(1, second, &text[second..], &[])];
    let found = extract("", &chunks, &Cancel::default()).unwrap();
    assert_eq!(relations(&found), [("oslo", "drammen", "lies near"), ("bergen", "voss", "lies near")]);
    assert_eq!(found.mentions.len(), 6);
}

#[test]
fn long_lists_are_bounded() {
    let text: String = (0..40).map(|n| format!("Name{n}, ")).collect();
    assert!(read(&text).relations.len() <= super::MOST_RELATIONS);
}

#[test]
fn cancelling_stops() {
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(extract("", &[chunk(0, 0, "Oslo", &[])], &cancel).is_err());
}

proptest! {
    #[test]
    fn extractions_hold_together(
        text in "((Oslo|Bergen|The|HSB|[(]HSB[)]|Harbour Safety Board|\"a song\"|is a|city|[a-z]{1,6}|né|中文)[ .,\n]{1,2}){0,40}",
        heading in "(Oslo|Topic|)",
    ) {
        let chunk = chunk(3, 10, &text, &[&heading]);
        let found = extract("Title", std::slice::from_ref(&chunk), &Cancel::default()).unwrap();
        let entities = u32::try_from(found.entities.len()).unwrap();
        let mut pairs = std::collections::HashSet::new();
        let keys: std::collections::HashSet<_> = found.entities.iter().map(|entity| &entity.key).collect();
        prop_assert_eq!(keys.len(), found.entities.len());
        for mention in &found.mentions {
            prop_assert!(mention.entity < entities && mention.chunk == 3 && mention.count > 0);
            prop_assert!(pairs.insert((mention.entity, mention.chunk)));
            prop_assert!(mention.span.start >= 10 && mention.span.end <= 10 + text.len());
        }
        for relation in &found.relations {
            prop_assert!(relation.source < entities && relation.target < entities && relation.source != relation.target);
            prop_assert!(!relation.evidence.is_empty() && relation.evidence.end <= 10 + text.len());
        }
        for entity in &found.entities {
            prop_assert!(!entity.name.is_empty() && !entity.kind.is_empty());
        }
        // Questions look phrases up as `phrases` finds them: every one of them is an entity or its alias.
        let own = lorekeep_text::own_keys(&chunk.headings, "Title");
        for phrase in lorekeep_text::phrases(&text, &own) {
            let known = found.entities.iter().any(|e| e.key == phrase.key || e.aliases.contains(&phrase.key));
            prop_assert!(known, "{:?}", phrase.key);
        }
    }
}
