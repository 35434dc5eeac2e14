//! Answers of models in every dress, and their findings beside those of the rules.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Mutex;

use futures::FutureExt as _;
use futures::future::ready;
use lorekeep_types::{ByteSpan, Cancel, ChatRole, Extraction, FinishReason, ModelFault, ModelId, NewChunk, TokenUsage};
use proptest::prelude::*;

use super::answer::{self, FoundEntity, FoundRelation};
use super::*;
use crate::prompt::Prompts;

/// `name/kind/description` and `source-target/keywords/description` of all that an answer gives.
fn told(text: &str) -> (Vec<String>, Vec<String>) {
    let found = answer::read(text).found;
    let entity = |one: &FoundEntity| format!("{}/{}/{}", one.name, one.kind, one.description);
    let relation = |one: &FoundRelation| format!("{}-{}/{}/{}", one.source, one.target, one.keywords, one.description);
    (found.entities.iter().map(entity).collect(), found.relations.iter().map(relation).collect())
}

const ADA: &str = r#"{"name": "Ada", "type": "Person", "description": "A poet."}"#;
const MET: &str = r#"{"source": "Ada", "target": "Bob", "keywords": "meeting", "description": "Ada met Bob."}"#;

#[test]
fn answers_are_read_in_whatever_dress_they_come() {
    let entities = vec!["Ada/person/A poet.".to_owned()];
    let relations = vec!["Ada-Bob/meeting/Ada met Bob.".to_owned()];
    let whole = format!(r#"{{"entities": [{ADA}], "relationships": [{MET}]}}"#);
    let records = "entity<|#|>Ada<|#|>Person<|#|>A poet.\nrelation<|#|>Ada<|#|>Bob<|#|>meeting<|#|>Ada met Bob.";
    for text in [
        whole.clone(),
        format!("```json\n{whole}\n```"),
        format!("Sure! Here it is, \"as asked\":\n\n{whole}\n\nAnything else?"),
        format!("<think>An {{entity}}? {{\"name\": \"Eve\"}}</think>{whole}"),
        // Cut in the middle of the next object.
        format!(r#"{{"entities": [{ADA}], "relationships": [{MET}, {{"source": "Bob", "targ"#),
        format!("[{ADA}, {MET}]"),
        format!("{ADA}\n{MET}"),
        records.to_owned(),
        format!("{records}\n<|COMPLETE|>\nentity<|#|>Eve<|#|>person<|#|>After the end."),
        format!("```\n{records}\n<|COMPLETE|>\n```"),
        "(\"entity\"<|#|>\"Ada\"<|#|>Person<|#|>A poet.)\n- RELATION<|#|>Ada<|#|>Bob<|#|>meeting<|#|>Ada met Bob.)"
            .to_owned(),
        format!("{records}<|#|>one field too many\nrelation<|#|>Ada"),
    ] {
        assert_eq!(told(&text), (entities.clone(), relations.clone()), "{text}");
    }
}

#[test]
fn missing_and_strange_fields_cost_only_themselves() {
    assert_eq!(told(r#"{"name": "Ada"} {"name": ""} {"type": "person"}"#).0, ["Ada//"]);
    assert_eq!(
        told(r#"{"name": 1963, "type": ["Natural", "Object!"], "description": null}"#).0,
        ["1963/natural_object/"]
    );
    assert_eq!(told(r#"{"source": "Ada", "target": ""} {"source": "A", "target": "A"}"#).1, Vec::<String>::new());
    assert_eq!(told("entity<|#|>Ada\nentity\nentity<|#|>\n<|COMPLETE|>").0, ["Ada//"]);
    assert_eq!(told("entity<|#|>**“Ada”**<|#|>person<|#|>a\u{200b}b").0, ["Ada/person/ab"]);
    // A description that breaks its own quotation marks costs its object, not the next one.
    let broken = format!("{{\"name\": \"Bob\", \"description\": \"He said \"hi}}\"\n}}\n{ADA}");
    assert!(told(&broken).0.contains(&"Ada/person/A poet.".to_owned()));
}

#[test]
fn sizes_are_bounded() {
    let name = "x".repeat(5_000);
    let text = format!("entity<|#|>{name}<|#|>person<|#|>y\nentity<|#|>Ada<|#|>{name}<|#|>{}", "é".repeat(9_000));
    let found = answer::read(&text).found;
    assert_eq!(found.entities.len(), 1);
    assert_eq!((found.entities[0].kind.as_str(), found.entities[0].description.chars().count()), ("", 2_000));
    let many: String = (0..5_000).map(|n| format!("entity<|#|>Name {n}<|#|>person<|#|>d\n")).collect();
    let mut joined = Found::default();
    assert!(joined.join(answer::read(&many).found, (MOST_ENTITIES, MOST_RECORDS)));
    assert_eq!(joined.entities.len(), MOST_ENTITIES);
}

#[test]
fn only_what_says_neither_something_nor_nothing_is_unreadable() {
    for nothing in ["<|COMPLETE|>", r#"{"entities": [], "relationships": []}"#] {
        assert!(!answer::read(nothing).is_unreadable(), "{nothing}");
    }
    for strange in ["", "I cannot help with that.", "{}", "{{{{", "[1, 2"] {
        assert!(answer::read(strange).is_unreadable(), "{strange}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "([{}\\[\\]\",:\\\\\n]|entity|relation|<\\|#\\|>|<\\|COMPLETE\\|>|name|source|Đà|[a-c ])*") {
        let found = answer::read(&text).found;
        prop_assert!(found.entities.iter().all(|one| !one.name.is_empty() && one.name.chars().count() <= 200));
        prop_assert!(found.relations.iter().all(|one| one.source != one.target));
    }

    #[test]
    fn a_cut_answer_gives_no_more_than_the_whole(cut in 0_usize..400) {
        let text = format!("{{\"entities\": [{ADA}], \"relationships\": [{MET}]}}");
        let mut cut = cut.min(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let (entities, relations) = told(&text[..cut]);
        let whole = told(&text);
        prop_assert!(entities.iter().all(|one| whole.0.contains(one)) && relations.iter().all(|one| whole.1.contains(one)));
    }
}

const TYPES: &[&str] = &["person", "work"];

fn types() -> Vec<String> {
    TYPES.iter().map(|kind| (*kind).to_owned()).collect()
}

fn completion(text: &str) -> Completion {
    Completion {
        tool_calls: Vec::new(),
        text: text.to_owned(),
        finish: FinishReason::Stop,
        usage: TokenUsage::default(),
        model: "m".to_owned(),
        id: None,
        sources: Vec::new(),
        cost: None,
        cache_hit: false,
    }
}

/// Reads a passage with a model that gives these answers one after the other; also everything it was asked.
fn read_with(answers: &[Result<&str, ModelFault>], gleanings: u32, schema: bool) -> (Reading, Vec<ChatRequest>) {
    let (prompts, types) = (Prompts::default(), types());
    let asking = Asking { prompts: &prompts, types: &types, gleanings, schema };
    let asked = Mutex::new(Vec::new());
    let ask = |request: ChatRequest| {
        let mut asked = asked.lock().unwrap();
        let answer = answers.get(asked.len()).cloned().unwrap_or(Err(ModelFault::Server));
        asked.push(request);
        let id = ModelId::new("p", "m");
        ready(answer.map(completion).map_err(|fault| ModelError::new(fault, &id, "as the test says"))).boxed()
    };
    let passage = Passage { title: "Poets", text: "Ada met Bob. {{types}}", language: Some("de") };
    let reading = read(&asking, passage, &ask).now_or_never().unwrap();
    let asked = asked.into_inner().unwrap();
    (reading, asked)
}

#[test]
fn a_model_is_asked_in_its_form_with_the_passage_as_data() {
    let (_, asked) = read_with(&[Ok("<|COMPLETE|>")], 1, false);
    let (system, user) = (asked[0].messages[0].plain(), asked[0].messages[1].plain());
    assert!(system.contains("person, work") && system.contains("in German") && system.contains("<|#|>"), "{system}");
    assert!(!system.contains("{{") && user.contains("Ada met Bob. {{types}}"), "{user}");
    let mark = user.lines().find_map(|line| line.strip_prefix("=== ")?.strip_suffix(" passage")).unwrap();
    assert!(user.contains(&format!("=== {mark} end")) && system.contains(mark));
    let (_, asked) = read_with(&[Ok("{}")], 1, true);
    let lorekeep_types::OutputFormat::Schema { schema, .. } = &asked[0].output else { panic!("a schema") };
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let kinds = &schema["properties"]["entities"]["items"]["properties"]["type"]["enum"];
    assert_eq!(kinds, &serde_json::json!(["person", "work", "other"]));
}

#[test]
fn a_passage_is_read_again_until_nothing_new_comes() {
    let (ada, bob) = ("entity<|#|>Ada<|#|>person<|#|>A poet.", "entity<|#|>Bob<|#|>person<|#|>A friend.");
    let (reading, asked) = read_with(&[Ok(ada), Ok(bob), Ok(ada), Ok(bob)], 5, false);
    assert_eq!((reading.found.entities.len(), asked.len()), (2, 3), "the third answer brought nothing new");
    assert!(reading.unread.is_none());
    let last = &asked[2].messages;
    assert_eq!(
        last.iter().filter(|one| one.role == ChatRole::Assistant).map(ChatMessageText::text).collect::<Vec<_>>(),
        [ada, bob]
    );
    assert!(last.last().unwrap().plain().contains("<|COMPLETE|>"));
    for (answers, gleanings, calls) in
        [(vec![Ok(ada), Ok(bob)], 1, 2), (vec![Ok(ada)], 0, 1), (vec![Ok("<|COMPLETE|>")], 3, 1)]
    {
        assert_eq!(read_with(&answers, gleanings, false).1.len(), calls);
    }
}

trait ChatMessageText {
    fn text(&self) -> String;
}

impl ChatMessageText for lorekeep_types::ChatMessage {
    fn text(&self) -> String {
        self.plain()
    }
}

#[test]
fn a_failure_leaves_what_was_found_before() {
    let ada = "entity<|#|>Ada<|#|>person<|#|>A poet.";
    let (reading, _) = read_with(&[Ok(ada), Err(ModelFault::Server)], 1, false);
    assert_eq!(reading.found.entities.len(), 1);
    assert!(matches!(reading.unread, Some(Unread::Call(_))));
    let (reading, asked) = read_with(&[Ok("I am sorry.")], 1, false);
    assert!(matches!(reading.unread, Some(Unread::Text)) && asked.len() == 1);
}

fn chunk(position: u32, start: usize, text: &str) -> NewChunk {
    let span = ByteSpan::new(start, start + text.len());
    NewChunk { position, span, text: text.to_owned(), ..NewChunk::default() }
}

fn found(records: &str) -> Option<Found> {
    Some(answer::read(records).found)
}

fn combined(chunks: &[NewChunk], found: &[Option<Found>], how: Combine) -> Extraction {
    combine("notes", chunks, found, (&types(), how), &Cancel::default()).unwrap()
}

fn keys(extraction: &Extraction) -> Vec<&str> {
    extraction.entities.iter().map(|entity| entity.key.as_str()).collect()
}

const TEXT: &str = "Ada Byron wrote a letter. In Paris, ada byron met BOB’s sister; Bob was away.";

#[test]
fn what_a_model_found_joins_what_the_rules_find_as_one_node() {
    let records = "entity<|#|>ADA BYRON<|#|>person<|#|>A writer of letters.\nentity<|#|>sister of Bob<|#|>alien<|#|>Met in Paris.\n\
                   entity<|#|>Bob<|#|>person<|#|>\nrelation<|#|>Bob<|#|>Ada Byron<|#|>acquaintance<|#|>They nearly met.";
    let chunks = [chunk(0, 100, TEXT)];
    let extraction = combined(&chunks, &[found(records)], Combine::Both);
    assert!(keys(&extraction).contains(&"paris"), "the rules' own finds stay");
    let at = |key: &str| extraction.entities.iter().position(|entity| entity.key == key).unwrap();
    let ada = &extraction.entities[at("ada byron")];
    assert_eq!((ada.name.as_str(), ada.kind.as_str()), ("Ada Byron", "person"));
    assert_eq!(ada.descriptions, [(0, "A writer of letters.".to_owned())]);
    let stranger = &extraction.entities[at("sister of bob")];
    assert_eq!((stranger.kind.as_str(), stranger.name.as_str()), ("unknown", "sister of Bob"), "`alien` is no type");
    let mention = extraction.mentions.iter().find(|one| one.entity as usize == at("sister of bob")).unwrap();
    assert!(mention.span.is_empty() && !mention.own, "the text does not spell it out");
    let pair = |one: &lorekeep_types::NewRelation| {
        let mut ends = [
            extraction.entities[one.source as usize].key.as_str(),
            extraction.entities[one.target as usize].key.as_str(),
        ];
        ends.sort_unstable();
        ends == ["ada byron", "bob"]
    };
    let relations: Vec<_> = extraction.relations.iter().filter(|one| pair(one)).collect();
    assert_eq!(relations.len(), 1, "the model's word replaces the rules'");
    assert_eq!(
        (relations[0].keywords.as_str(), relations[0].description.as_str()),
        ("acquaintance", "They nearly met.")
    );
    let evidence = relations[0].evidence;
    assert_eq!(&TEXT[evidence.start - 100..evidence.end - 100], "In Paris, ada byron met BOB’s sister; Bob was away.");
}

#[test]
fn alone_means_alone_and_an_unread_chunk_is_read_by_the_rules() {
    let chunks = [chunk(0, 0, "Ada met Bobby."), chunk(1, 20, "Carol met Dave Miller.")];
    let extraction = combined(&chunks, &[found("entity<|#|>Ada<|#|>person<|#|>x"), None], Combine::Model);
    assert_eq!(keys(&extraction), ["ada", "carol", "dave miller", "notes"], "the rules add the topic of their chunk");
    let none = combined(&chunks, &[None, None], Combine::Both);
    assert_eq!(none, crate::extract::extract("notes", &chunks, &Cancel::default()).unwrap());
}

#[test]
fn names_without_spaces_are_found_in_their_text() {
    let text = "王明在北京大学学习。他住在上海。";
    let records = "entity<|#|>王明<|#|>person<|#|>学生\nentity<|#|>北京大学<|#|>work<|#|>大学\n\
                   relation<|#|>王明<|#|>北京大学<|#|>学习<|#|>王明在北京大学学习";
    let extraction = combined(&[chunk(0, 0, text)], &[found(records)], Combine::Model);
    let place = |key: &str| {
        let at = extraction.entities.iter().position(|entity| entity.key == key).unwrap();
        extraction.mentions.iter().find(|one| one.entity as usize == at).unwrap().span.of(text)
    };
    assert_eq!((place("王明"), place("北京大学")), ("王明", "北京大学"));
    assert!(extraction.relations[0].evidence.of(text).starts_with("王明在北京大学学习"));
}

#[test]
fn names_that_are_no_names_are_left_out() {
    let records =
        "entity<|#|>1963<|#|>date<|#|>A year\nentity<|#|>the<|#|>x<|#|>y\nrelation<|#|>1963<|#|>Ada<|#|>k<|#|>d";
    let extraction = combined(&[chunk(0, 0, "Ada was born in 1963.")], &[found(records)], Combine::Model);
    assert!(
        extraction.entities.is_empty() && extraction.relations.is_empty(),
        "a number is no name, nor is a stop word"
    );
}

#[test]
fn relations_end_at_what_was_named_as_an_entity_by_the_model_or_the_rules() {
    let records = "entity<|#|>Ada<|#|>person<|#|>A poet.\nrelation<|#|>Ada<|#|>Paris<|#|>stay<|#|>She stayed there.\n\
                   relation<|#|>Ada<|#|>much of her time<|#|>loss<|#|>She lost it.";
    let chunks = [chunk(0, 0, "Ada lost much of her time in Paris.")];
    let both = combined(&chunks, &[found(records)], Combine::Both);
    assert!(keys(&both).contains(&"paris") && !keys(&both).contains(&"much of her time"));
    assert_eq!(both.relations.iter().map(|one| one.keywords.as_str()).collect::<Vec<_>>(), ["stay"]);
    assert_eq!(keys(&combined(&chunks, &[found(records)], Combine::Model)), ["ada"]);
}
