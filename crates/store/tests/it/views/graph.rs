//! Neighbourhoods and paths.

use lorekeep_types::{EntityId, Neighbourhood, Workspace};

use crate::support::{add, memory};

fn names(part: &Neighbourhood) -> Vec<&str> {
    part.entities.iter().map(|entity| entity.name.as_str()).collect()
}

fn entity(workspace: &dyn Workspace, name: &str) -> EntityId {
    workspace.snapshot().entity_named(name).unwrap().unwrap().id
}

#[test]
fn neighbourhoods_grow_by_layers_and_say_when_they_are_cut() {
    let workspace = memory();
    let text = "Ada met Bob. Bob met Cid. Cid met Dan. Bob met Eve. Xan met Yan.";
    add(&*workspace, &[("a.txt", text)]);
    let snapshot = workspace.snapshot();
    let ada = entity(&*workspace, "ada");
    let around = |depth, limit| snapshot.neighbourhood(Some(ada), depth, limit).unwrap();
    assert_eq!(names(&around(0, 10)), ["Ada"]);
    assert_eq!(names(&around(1, 10)), ["Ada", "Bob"]);
    let two = around(2, 10);
    assert_eq!((names(&two), two.relations.len(), two.truncated), (vec!["Ada", "Bob", "Cid", "Eve"], 3, false));
    let cut = around(3, 3);
    assert_eq!((names(&cut), cut.relations.len(), cut.truncated), (vec!["Ada", "Bob", "Cid"], 2, true));
    let top = snapshot.neighbourhood(None, 1, 2).unwrap();
    assert_eq!((names(&top), top.truncated), (vec!["Bob", "Cid"], true));
}

#[test]
fn paths_are_shortest_and_bounded() {
    let workspace = memory();
    add(&*workspace, &[("a.txt", "Ada met Bob. Bob met Cid. Cid met Dan. Ada met Eve. Eve met Dan. Xan met Yan.")]);
    let snapshot = workspace.snapshot();
    let [ada, dan, xan] = ["ada", "dan", "xan"].map(|name| entity(&*workspace, name));
    let path = snapshot.path(ada, dan, 5).unwrap();
    assert_eq!((names(&path), path.relations.len()), (vec!["Ada", "Eve", "Dan"], 2));
    assert_eq!(snapshot.path(ada, dan, 1).unwrap(), Neighbourhood::default());
    assert_eq!(snapshot.path(ada, xan, 9).unwrap(), Neighbourhood::default());
    assert_eq!(names(&snapshot.path(ada, ada, 3).unwrap()), ["Ada"]);
}
