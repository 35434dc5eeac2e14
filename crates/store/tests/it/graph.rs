//! The graph that documents make: always what the present documents say, whatever happened before.

use std::collections::BTreeMap;
use std::sync::Arc;

use lorekeep_types::{EntityDetail, EntityId, VectorKind, VectorWrite, Workspace};
use proptest::prelude::*;

use crate::support::{NOW, add, assert_sound, id, memory, vector_of};

/// Everything a reader sees of the graph, by name.
type Shown = (BTreeMap<String, String>, BTreeMap<(String, String), String>);

fn shown(workspace: &dyn Workspace) -> Shown {
    let snapshot = workspace.snapshot();
    let entities = snapshot.popular_entities(0, 10_000).unwrap();
    let ids: Vec<EntityId> = entities.iter().map(|entity| entity.id).collect();
    let relations = snapshot.relations_of(&ids, 10_000).unwrap();
    let entity = |entity: EntityDetail| {
        let mut documents = entity.documents;
        documents.sort();
        let EntityDetail { name, kind, description, degree, chunks, .. } = entity;
        (entity.key, format!("{name} {kind} {description:?} {degree} {} {documents:?}", chunks.len()))
    };
    let relation = |relation: lorekeep_types::RelationDetail| {
        let mut documents = relation.documents;
        documents.sort();
        let said = format!(
            "{} {:?} {} {} {documents:?}",
            relation.keywords,
            relation.description,
            relation.weight,
            relation.evidence.len()
        );
        ((relation.source.1, relation.target.1), said)
    };
    (
        entities.into_iter().map(entity).collect(),
        relations.into_iter().map(Arc::unwrap_or_clone).map(relation).collect(),
    )
}

fn entity(workspace: &dyn Workspace, name: &str) -> EntityDetail {
    workspace.snapshot().entity_named(name).unwrap().unwrap_or_else(|| panic!("{name} is an entity"))
}

#[test]
fn entities_and_relations_carry_their_evidence() {
    let workspace = memory();
    add(
        &*workspace,
        &[("1.txt", "Ada is a poet. Ada met Bob.\n\nAda praised Bob. Bob smiled."), ("2.txt", "Bob met Ada. Bob is.")],
    );
    let ada = entity(&*workspace, "Ada");
    assert_eq!((ada.name.as_str(), ada.kind.as_str(), ada.degree), ("Ada", "person", 1));
    assert_eq!(ada.description, "Ada is a poet.");
    assert_eq!(ada.chunks.len(), 3);
    assert_eq!(ada.documents, ["1.txt", "2.txt"]);
    assert_eq!(ada.created_at, NOW);

    let relations = workspace.snapshot().relations_of(&[ada.id], 10).unwrap();
    assert_eq!(relations.len(), 1);
    let relation = &relations[0];
    assert_eq!((relation.source.1.as_str(), relation.target.1.as_str()), ("Ada", "Bob"));
    assert_eq!(relation.keywords, "met, praised");
    assert_eq!(relation.description, "Ada met Bob. Ada praised Bob. Bob met Ada.");
    assert!((relation.weight - 3.0).abs() < f32::EPSILON);
    assert_eq!((relation.chunks.len(), relation.documents.len()), (3, 2));
    for (chunk, span) in &relation.evidence {
        let ordinal = workspace.snapshot().ordinal(*chunk).unwrap();
        let (_, chunk) = workspace.snapshot().chunks(&[ordinal]).unwrap().remove(0);
        let text = workspace.document_text(&chunk.document).unwrap().unwrap().text;
        assert!(["Ada met Bob.", "Ada praised Bob.", "Bob met Ada."].contains(&span.of(&text)));
    }
}

#[test]
fn names_are_found_by_key_alias_and_part() {
    let workspace = memory();
    add(&*workspace, &[("1.txt", "Agency (Eso) met Ada. Adam met Ada. Nevada is far.")]);
    assert_eq!(entity(&*workspace, "aDA").name, "Ada");
    assert_eq!(entity(&*workspace, "eso").key, "eso", "a name that is an entity of its own stays one");
    let names = |text: &str| -> Vec<String> {
        let found = workspace.snapshot().search_entities(text, 10).unwrap();
        found.into_iter().map(|entity| entity.name).collect()
    };
    assert_eq!(names("ada"), ["Ada", "Adam", "Nevada"]);
    assert_eq!(names("zz"), Vec::<String>::new());
    assert_eq!(workspace.snapshot().popular_entities(0, 1).unwrap()[0].name, "Ada");
    assert!(workspace.snapshot().entity_named("nobody").unwrap().is_none());
}

#[test]
fn changed_texts_wait_to_be_embedded_and_stale_vectors_are_ignored() {
    let workspace = memory();
    add(&*workspace, &[("1.txt", "Ada is a poet. Ada met Bob.")]);
    let tasks = workspace.embed_tasks(100).unwrap();
    assert_eq!(tasks.len(), 3, "two entities and a relation");
    assert!(tasks.iter().any(|task| task.text == "Ada\nAda is a poet." && task.description == "Ada is a poet."));
    assert!(tasks.iter().any(|task| task.text == "met\nAda\nBob\nAda met Bob."));

    let write = |task: &lorekeep_types::EmbedTask| VectorWrite {
        kind: task.kind,
        row: task.row,
        revision: task.revision,
        vector: vector_of(&task.text),
        description_tokens: 7,
    };
    add(&*workspace, &[("2.txt", "Ada is kind.")]);
    workspace.put_vectors(tasks.iter().map(write).collect()).unwrap();
    workspace.refresh().unwrap();
    let left = workspace.embed_tasks(100).unwrap();
    assert_eq!(left.len(), 1, "Ada's text changed before its vector came");
    assert_eq!(left[0].description, "Ada is a poet. Ada is kind.");
    assert_eq!(entity(&*workspace, "Bob").description_tokens, 7);
    assert_eq!(entity(&*workspace, "Ada").description_tokens, 0);
    workspace.put_vectors(left.iter().map(write).collect()).unwrap();
    workspace.refresh().unwrap();
    assert!(workspace.embed_tasks(100).unwrap().is_empty());

    let query: Vec<f32> = vector_of("Ada\nAda is a poet. Ada is kind.").bytes.iter().map(|b| f32::from(*b)).collect();
    let length = query.iter().map(|value| value * value).sum::<f32>().sqrt();
    let query: Vec<f32> = query.iter().map(|value| value / length).collect();
    let nearest = workspace.snapshot().nearest(VectorKind::Entity, &query, 1, 0.5).unwrap();
    assert_eq!(nearest[0].0, entity(&*workspace, "Ada").id.0);

    workspace.delete(&[id("1.txt"), id("2.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert!(workspace.snapshot().nearest(VectorKind::Entity, &query, 9, -1.0).unwrap().is_empty());
    assert!(workspace.embed_tasks(100).unwrap().is_empty());
}

#[test]
fn a_hub_costs_no_more_than_its_first_sentences() {
    let workspace = memory();
    let texts: Vec<_> =
        (0..60).map(|n| (format!("{n}.txt"), format!("Ada is number {n}. Ada met Bob in {n}."))).collect();
    let documents: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    add(&*workspace, &documents);
    let ada = entity(&*workspace, "Ada");
    assert!(ada.description.chars().count() <= 1_200);
    assert!(ada.description.starts_with("Ada is number 0. Ada is number 1."));
    let relation = workspace.snapshot().relations_of(&[ada.id], 1).unwrap().remove(0);
    assert!((relation.weight - 60.0).abs() < f32::EPSILON);
    assert_eq!((relation.chunks.len(), relation.evidence.len(), relation.documents.len()), (60, 20, 60));
    assert!(workspace.document(&id("59.txt")).unwrap().is_some());
    assert_sound(&*workspace);
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<(u8, u8, u8)>),
    Delete(u8),
}

fn text_of(sentences: &[(u8, u8, u8)]) -> String {
    const NAMES: [&str; 6] = ["Ada", "Bob", "Carol", "Dora", "Eve", "EVE"];
    const VERBS: [&str; 4] = ["met", "is", "saw the", "left"];
    let sentence = |(a, verb, b): &(u8, u8, u8)| {
        format!("{} {} {}.", NAMES[usize::from(*a)], VERBS[usize::from(*verb)], NAMES[usize::from(*b)])
    };
    sentences.iter().map(sentence).collect::<Vec<_>>().join("\n\n")
}

fn step() -> impl Strategy<Value = Step> {
    let sentences = proptest::collection::vec((0..6_u8, 0..4_u8, 0..6_u8), 0..5);
    prop_oneof![3 => (0..4_u8, sentences).prop_map(|(document, said)| Step::Put(document, said)),
                1 => (0..4_u8).prop_map(Step::Delete)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Adding, changing and deleting leaves exactly what adding the surviving texts alone would have made.
    #[test]
    fn history_leaves_no_trace(steps in proptest::collection::vec(step(), 1..14)) {
        let lived = memory();
        let mut present: Vec<(String, String)> = Vec::new();
        for step in steps {
            match step {
                Step::Put(document, said) => {
                    let (name, text) = (format!("{document}.txt"), text_of(&said));
                    add(&*lived, &[(&name, &text)]);
                    present.retain(|(known, _)| *known != name);
                    present.push((name, text));
                }
                Step::Delete(document) => {
                    let name = format!("{document}.txt");
                    lived.delete(&[id(&name)], NOW).unwrap();
                    lived.refresh().unwrap();
                    present.retain(|(known, _)| *known != name);
                }
            }
        }
        assert_sound(&*lived);
        let fresh = memory();
        for (name, text) in &present {
            add(&*fresh, &[(name, text)]);
        }
        prop_assert_eq!(shown(&*lived), shown(&*fresh));
    }
}
