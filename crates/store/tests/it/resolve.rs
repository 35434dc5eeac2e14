//! Entities that mean one thing are joined by verdicts on their names, which are kept.

use lorekeep_types::{EntityEdit, EntityId, GraphEdit, GraphWrite, Verdict, Workspace};

use crate::support::{ALL, NOW, add, assert_sound, extraction_of, id, memory};

const DOCUMENTS: &[(&str, &str)] =
    &[("1.txt", "Ada met Bob. Ada met Carol."), ("2.txt", "Bo met Carol. Bob is old."), ("3.txt", "Bo is a poet.")];

/// A library whose graph a model has made, as the mark of every document says.
fn library() -> std::sync::Arc<dyn Workspace> {
    let workspace = memory();
    add(&*workspace, DOCUMENTS);
    for (name, _) in DOCUMENTS {
        read_by_model(&*workspace, name);
    }
    workspace.refresh().unwrap();
    workspace
}

/// Writes the graph of a document as it is once more, as if by a model.
fn read_by_model(workspace: &dyn Workspace, name: &str) {
    let chunks = workspace.document_chunks(&id(name), ALL).unwrap();
    let text = workspace.document_text(&id(name)).unwrap().unwrap().text;
    let mut extraction = extraction_of(&text);
    for entity in &mut extraction.entities {
        entity.descriptions = vec![(0, format!("{} as told.", entity.name))];
    }
    let write =
        GraphWrite { document: id(name), version: chunks[0].version_id, maker: Some("m".to_owned()), extraction };
    assert!(workspace.write_graph(write, NOW).unwrap());
}

fn uncompared(workspace: &dyn Workspace) -> Vec<EntityId> {
    let entities = workspace.comparable().unwrap();
    entities.into_iter().filter(|entity| !entity.compared).map(|entity| entity.id).collect()
}

fn names(workspace: &dyn Workspace, ids: &[EntityId]) -> Vec<String> {
    let entities = workspace.snapshot().entities(ids).unwrap();
    entities.iter().map(|entity| entity.name.clone()).collect()
}

fn say(workspace: &dyn Workspace, said: &[(&str, &str, bool)]) -> u64 {
    let verdict = |(a, b, same): &(&str, &str, bool)| Verdict { keys: ((*a).to_owned(), (*b).to_owned()), same: *same };
    let verdicts: Vec<Verdict> = said.iter().map(verdict).collect();
    let joined = workspace.resolve(&[], &verdicts, NOW).unwrap();
    workspace.refresh().unwrap();
    assert_sound(workspace);
    joined
}

fn named(workspace: &dyn Workspace, name: &str) -> Option<String> {
    workspace.snapshot().entity_named(name).unwrap().map(|entity| entity.name)
}

fn known(workspace: &dyn Workspace, a: &str, b: &str) -> Option<bool> {
    workspace.verdicts(&[(a.to_owned(), b.to_owned())]).unwrap()[0]
}

#[test]
fn every_entity_of_a_models_graph_is_compared_once() {
    let workspace = memory();
    add(&*workspace, DOCUMENTS);
    assert!(uncompared(&*workspace).is_empty(), "the built-in graph is not a model's");
    read_by_model(&*workspace, "1.txt");
    workspace.refresh().unwrap();
    let first = uncompared(&*workspace);
    let mut seen = names(&*workspace, &first);
    seen.sort();
    assert_eq!(seen, ["Ada", "Bob", "Carol"]);
    workspace.resolve(&first, &[], NOW).unwrap();
    assert!(uncompared(&*workspace).is_empty());
    read_by_model(&*workspace, "2.txt");
    assert_eq!(names(&*workspace, &uncompared(&*workspace)), ["Bo"], "what is new alone");
}

#[test]
fn what_is_the_same_becomes_one_entity_and_stays_so() {
    let workspace = library();
    assert_eq!(say(&*workspace, &[("bob", "bo", true), ("ada", "carol", false)]), 1);
    assert_eq!((known(&*workspace, "bo", "bob"), known(&*workspace, "carol", "ada")), (Some(true), Some(false)));
    assert_eq!(known(&*workspace, "bob", "ada"), None);
    let bob = workspace.snapshot().entity_named("Bo").unwrap().unwrap();
    assert_eq!(bob.aliases, [if bob.key == "bob" { "bo" } else { "bob" }]);
    let mut documents = bob.documents.clone();
    documents.sort();
    assert_eq!((documents, bob.degree), (vec!["1.txt".to_owned(), "2.txt".to_owned(), "3.txt".to_owned()], 2));
    assert_eq!(say(&*workspace, &[("bob", "bo", true)]), 0, "said twice");
    // A document that is read again finds the one entity, and so does one that is new.
    read_by_model(&*workspace, "3.txt");
    add(&*workspace, &[("4.txt", "Bo met Dave.")]);
    workspace.refresh().unwrap();
    assert_eq!(workspace.snapshot().entity_named("Bob").unwrap().unwrap().degree, 3);
    assert_sound(&*workspace);
}

#[test]
fn deleting_documents_takes_names_and_verdicts_away_with_the_last_of_them() {
    let workspace = library();
    say(&*workspace, &[("bob", "bo", true), ("carol", "bo", false)]);
    workspace.delete(&[id("1.txt"), id("2.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert_sound(&*workspace);
    assert!(named(&*workspace, "Bob").is_some(), "the last document still speaks of it");
    assert_eq!(known(&*workspace, "bo", "carol"), None, "Carol is gone");
    workspace.delete(&[id("3.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert_sound(&*workspace);
    assert_eq!((named(&*workspace, "Bob"), known(&*workspace, "bo", "bob")), (None, None));
    add(&*workspace, &[("3.txt", "Bo is a poet."), ("1.txt", "Ada met Bob.")]);
    workspace.refresh().unwrap();
    assert_eq!(named(&*workspace, "Bo").as_deref(), Some("Bo"), "two names again");
    assert_eq!(named(&*workspace, "Bob").as_deref(), Some("Bob"));
    assert_sound(&*workspace);
}

#[test]
fn a_chain_of_names_does_not_join_what_is_known_to_differ() {
    let workspace = library();
    say(&*workspace, &[("ada", "carol", false), ("ada", "bob", true), ("bob", "carol", true)]);
    assert_ne!(named(&*workspace, "Ada"), named(&*workspace, "Carol"));
    assert!(named(&*workspace, "Carol").is_some());
}

#[test]
fn a_chain_of_names_joins_in_one_transaction() {
    let workspace = library();
    assert_eq!(say(&*workspace, &[("ada", "bo", true), ("ada", "bob", true), ("bob", "carol", true)]), 3);
    let one = named(&*workspace, "Ada");
    assert!(one.is_some() && ["Bo", "Bob", "Carol"].iter().all(|name| named(&*workspace, name) == one));
}

#[test]
fn users_entities_keep_their_names_and_are_never_joined_to_one_another() {
    let workspace = library();
    let edit = |name: &str, kind: &str| {
        let edit = EntityEdit { kind: Some(kind.to_owned()), ..EntityEdit::default() };
        workspace.edit_graph(&GraphEdit::EditEntity(name.to_owned(), edit), NOW).unwrap();
    };
    edit("Bo", "person");
    assert_eq!(say(&*workspace, &[("bo", "bob", true)]), 1);
    assert_eq!(workspace.snapshot().entity_named("Bob").unwrap().unwrap().key, "bo", "the user's stays");
    edit("Ada", "person");
    assert_eq!(say(&*workspace, &[("ada", "bo", true)]), 0);
    workspace.edit_graph(&GraphEdit::DeleteEntity("Carol".to_owned()), NOW).unwrap();
    assert_eq!(say(&*workspace, &[("ada", "carol", true)]), 0, "nobody sees Carol");
}
