//! Users' changes to the graph and how they live with changing documents.

use std::sync::Arc;

use lorekeep_types::{EntityDetail, EntityEdit, ErrorCode, GraphEdit, RelationDetail, RelationEdit, Workspace};

use crate::support::{NOW, add, assert_sound, id, memory};

fn edit(workspace: &dyn Workspace, edit: GraphEdit) {
    workspace.edit_graph(&edit, NOW).unwrap();
    workspace.refresh().unwrap();
    assert_sound(workspace);
}

fn refused(workspace: &dyn Workspace, edit: GraphEdit) -> ErrorCode {
    workspace.edit_graph(&edit, NOW).unwrap_err().code()
}

fn entity(workspace: &dyn Workspace, name: &str) -> Option<EntityDetail> {
    workspace.snapshot().entity_named(name).unwrap()
}

fn relations(workspace: &dyn Workspace, name: &str) -> Vec<RelationDetail> {
    let entity = entity(workspace, name).expect("the entity is there");
    workspace.snapshot().relations_of(&[entity.id], 100).unwrap().into_iter().map(Arc::unwrap_or_clone).collect()
}

fn described(description: &str) -> EntityEdit {
    EntityEdit { description: Some(description.to_owned()), ..EntityEdit::default() }
}

fn named(name: &str) -> EntityEdit {
    EntityEdit { name: Some(name.to_owned()), ..EntityEdit::default() }
}

fn s(text: &str) -> String {
    text.to_owned()
}

#[test]
fn an_entity_made_by_a_user_needs_no_document() {
    let workspace = memory();
    let kind = EntityEdit { kind: Some(s("city")), ..described("A town.") };
    edit(&*workspace, GraphEdit::CreateEntity(s("New Town"), kind));
    let town = entity(&*workspace, "new town").unwrap();
    assert_eq!((town.name.as_str(), town.kind.as_str(), town.description.as_str()), ("New Town", "city", "A town."));
    assert!(town.chunks.is_empty());
    assert_eq!(
        refused(&*workspace, GraphEdit::CreateEntity(s("NEW  town"), EntityEdit::default())),
        ErrorCode::Conflict
    );
    assert_eq!(refused(&*workspace, GraphEdit::CreateEntity(s(" "), EntityEdit::default())), ErrorCode::InvalidRequest);
    assert_eq!(workspace.embed_tasks(9).unwrap()[0].text, "New Town\nA town.");
}

#[test]
fn a_users_words_survive_changing_documents() {
    let workspace = memory();
    add(&*workspace, &[("1.txt", "Ada is a poet. Ada met Bob.")]);
    edit(&*workspace, GraphEdit::EditEntity(s("Ada"), described("The countess.")));
    let weight = RelationEdit { weight: Some(9.0), keywords: Some(s("knew")), ..RelationEdit::default() };
    edit(&*workspace, GraphEdit::EditRelation(s("Bob"), s("Ada"), weight));
    add(&*workspace, &[("1.txt", "Ada is a lady. Ada saw Bob."), ("2.txt", "Ada is back.")]);
    assert_eq!(entity(&*workspace, "Ada").unwrap().description, "The countess.");
    let relation = &relations(&*workspace, "Ada")[0];
    assert_eq!((relation.keywords.as_str(), relation.description.as_str()), ("knew", "Ada saw Bob."));
    assert!((relation.weight - 9.0).abs() < f32::EPSILON);

    workspace.delete(&[id("1.txt"), id("2.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert!(entity(&*workspace, "Ada").is_none(), "an edit alone does not keep it in sight");
    assert_sound(&*workspace);
    add(&*workspace, &[("3.txt", "Ada is here.")]);
    assert_eq!(entity(&*workspace, "Ada").unwrap().description, "The countess.");
    assert_sound(&*workspace);
}

#[test]
fn a_renamed_entity_keeps_its_mentions_old_and_new() {
    let workspace = memory();
    add(&*workspace, &[("1.txt", "Ada met Bob.")]);
    edit(&*workspace, GraphEdit::EditEntity(s("Ada"), named("Countess Lovelace")));
    add(&*workspace, &[("2.txt", "Ada met Carol.")]);
    let ada = entity(&*workspace, "Countess Lovelace").unwrap();
    assert_eq!((ada.key.as_str(), ada.chunks.len(), ada.degree), ("countess lovelace", 2, 2));
    assert_eq!(entity(&*workspace, "Ada").unwrap().id, ada.id);
    assert_eq!(refused(&*workspace, GraphEdit::EditEntity(s("Ada"), named("Bob"))), ErrorCode::Conflict);
    assert_eq!(refused(&*workspace, GraphEdit::EditEntity(s("Nobody"), named("X"))), ErrorCode::NotFound);
    assert_eq!(refused(&*workspace, GraphEdit::CreateEntity(s("Ada"), EntityEdit::default())), ErrorCode::Conflict);
    edit(&*workspace, GraphEdit::EditEntity(s("Ada"), named("Ada")));
    assert_eq!(entity(&*workspace, "Ada").unwrap().key, "ada");
    assert_sound(&*workspace);
}

#[test]
fn a_deleted_entity_stays_away_until_it_is_created_again() {
    let workspace = memory();
    add(&*workspace, &[("1.txt", "Ada met Bob. Bob met Carol.")]);
    edit(&*workspace, GraphEdit::DeleteEntity(s("Bob")));
    add(&*workspace, &[("2.txt", "Ada saw Bob.")]);
    assert!(entity(&*workspace, "Bob").is_none());
    assert!(relations(&*workspace, "Ada").is_empty());
    assert_eq!(entity(&*workspace, "Ada").unwrap().degree, 0);
    assert_eq!(workspace.snapshot().graph_stats().unwrap().relations, 0);
    assert_sound(&*workspace);

    edit(&*workspace, GraphEdit::CreateEntity(s("Bob"), described("Back.")));
    let bob = entity(&*workspace, "Bob").unwrap();
    assert_eq!((bob.description.as_str(), bob.degree, bob.chunks.len()), ("Back.", 2, 2));
    assert_eq!(relations(&*workspace, "Ada")[0].keywords, "met, saw");
}

#[test]
fn merged_entities_are_one_now_and_later() {
    let workspace = memory();
    add(
        &*workspace,
        &[
            ("1.txt", "Ada is kind. Ada met Lovelace. Ada met Bob."),
            ("2.txt", "Lovelace is a poet. Bob saw Lovelace. Lovelace met Carol."),
        ],
    );
    edit(&*workspace, GraphEdit::MergeEntities(vec![s("Lovelace"), s("Ada")], s("Ada")));
    add(&*workspace, &[("3.txt", "Lovelace met Dora.")]);
    let ada = entity(&*workspace, "Lovelace").unwrap();
    assert_eq!((ada.name.as_str(), ada.chunks.len(), ada.degree), ("Ada", 3, 3));
    assert_eq!(ada.description, "Ada is kind. Lovelace is a poet.");
    let with: Vec<_> =
        relations(&*workspace, "Ada").into_iter().map(|relation| (relation.target.1, relation.keywords)).collect();
    assert_eq!(with, [(s("Bob"), s("met, saw")), (s("Carol"), s("met")), (s("Dora"), s("met"))]);

    edit(&*workspace, GraphEdit::MergeEntities(vec![s("Bob"), s("Carol")], s("Staff")));
    let staff = entity(&*workspace, "Carol").unwrap();
    assert_eq!((staff.name.as_str(), staff.degree), ("Staff", 1));
    assert_eq!(refused(&*workspace, GraphEdit::MergeEntities(vec![s("Nobody")], s("Ada"))), ErrorCode::NotFound);
    workspace.delete(&[id("1.txt"), id("2.txt"), id("3.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert_eq!(workspace.snapshot().graph_stats().unwrap().entities, 0);
    assert_sound(&*workspace);
}

#[test]
fn relations_are_made_changed_and_hidden() {
    let workspace = memory();
    add(&*workspace, &[("1.txt", "Ada met Bob. Carol slept.")]);
    let knows = RelationEdit { keywords: Some(s("knows")), ..RelationEdit::default() };
    let pair = |a: &str, b: &str| (s(a), s(b));
    let (a, c) = pair("Ada", "Carol");
    edit(&*workspace, GraphEdit::CreateRelation(a.clone(), c.clone(), knows.clone()));
    assert_eq!(entity(&*workspace, "Carol").unwrap().degree, 1);
    let made = relations(&*workspace, "Carol").remove(0);
    assert_eq!(made.keywords, "knows");
    assert!((made.weight - 1.0).abs() < f32::EPSILON);
    assert_eq!(
        refused(&*workspace, GraphEdit::CreateRelation(c.clone(), a.clone(), knows.clone())),
        ErrorCode::Conflict
    );
    assert_eq!(
        refused(&*workspace, GraphEdit::CreateRelation(s("Ada"), s("ada"), knows.clone())),
        ErrorCode::InvalidRequest
    );
    assert_eq!(refused(&*workspace, GraphEdit::EditRelation(s("Bob"), s("Carol"), knows.clone())), ErrorCode::NotFound);
    assert_eq!(refused(&*workspace, GraphEdit::CreateRelation(s("Ada"), s("Zed"), knows.clone())), ErrorCode::NotFound);

    edit(&*workspace, GraphEdit::DeleteRelation(s("Ada"), s("Bob")));
    add(&*workspace, &[("2.txt", "Bob met Ada.")]);
    assert_eq!(relations(&*workspace, "Ada").len(), 1);
    edit(&*workspace, GraphEdit::CreateRelation(s("Ada"), s("Bob"), RelationEdit::default()));
    assert!((relations(&*workspace, "Bob")[0].weight - 2.0).abs() < f32::EPSILON);

    workspace.delete(&[id("1.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert!(entity(&*workspace, "Carol").is_none());
    assert_sound(&*workspace);
    add(&*workspace, &[("4.txt", "Carol woke.")]);
    assert_eq!(relations(&*workspace, "Carol")[0].keywords, "knows", "a user's relation waits for its ends");
    assert_sound(&*workspace);
}
