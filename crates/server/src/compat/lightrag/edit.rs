//! Changes of the graph: create, edit, merge.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use lorekeep_types::{EntityDetail, EntityEdit, GraphEdit, RelationDetail, RelationEdit, RequestContext};
use serde_json::{Map, Value, json};

use super::data::source_id;
use super::graph::{edge_properties, find, node_properties};
use super::refuse::{Answer, Refusal};
use super::validate;
use crate::scope::Scope;
use crate::state::{App, Shared};

const ANY: (usize, usize) = (1, usize::MAX);

/// The relation between two entities, if both and it exist.
pub(super) async fn relation(app: &App, ctx: &RequestContext, a: &str, b: &str) -> Answer<Option<RelationDetail>> {
    if find(app, ctx, a).await?.is_none() || find(app, ctx, b).await?.is_none() {
        return Ok(None);
    }
    Ok(app.engine().relation(ctx, a, b).await?)
}

fn bad(text: String) -> Refusal {
    Refusal::detail(StatusCode::BAD_REQUEST, text)
}

fn entity_data(entity: &EntityDetail) -> Value {
    json!({
        "entity_name": entity.name,
        "source_id": source_id(&entity.chunks),
        "graph_data": node_properties(entity),
    })
}

fn relation_data(relation: &RelationDetail) -> Value {
    json!({
        "src_entity": relation.source.1,
        "tgt_entity": relation.target.1,
        "source_id": source_id(&relation.chunks),
        "graph_data": edge_properties(relation),
    })
}

fn text_of(data: &Map<String, Value>, name: &str) -> Option<String> {
    data.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn entity_edit(data: &Map<String, Value>) -> EntityEdit {
    EntityEdit { name: None, kind: text_of(data, "entity_type"), description: text_of(data, "description") }
}

#[expect(clippy::cast_possible_truncation, reason = "weights are small; precision beyond f32 has no meaning")]
fn relation_edit(data: &Map<String, Value>) -> RelationEdit {
    RelationEdit {
        keywords: text_of(data, "keywords"),
        description: text_of(data, "description"),
        weight: data.get("weight").and_then(Value::as_f64).map(|weight| weight as f32),
    }
}

async fn required(app: &App, ctx: &RequestContext, name: &str) -> Answer<EntityDetail> {
    find(app, ctx, name).await?.ok_or_else(|| bad(format!("Entity '{name}' does not exist")))
}

/// `POST /graph/entity/create`.
pub(super) async fn create_entity(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let name = body.text("entity_name", true, ANY).unwrap_or_default().trim().to_owned();
    let data = body.object("entity_data", true).unwrap_or_default();
    body.check()?;
    if find(&app, &scope, &name).await?.is_some() {
        return Err(bad(format!("Entity '{name}' already exists")));
    }
    app.engine().edit_graph(&scope, GraphEdit::CreateEntity(name.clone(), entity_edit(&data))).await?;
    let entity = required(&app, &scope, &name).await?;
    Ok(Json(json!({
        "status": "success", "message": format!("Entity '{name}' created successfully"), "data": entity_data(&entity),
    })))
}

/// `POST /graph/entity/edit`: new values, a new name, or, when that is taken and it is allowed, a merge.
pub(super) async fn edit_entity(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let name = body.text("entity_name", true, ANY).unwrap_or_default();
    let data = body.object("updated_data", true).unwrap_or_default();
    let (allow_rename, allow_merge) = (body.flag("allow_rename", false), body.flag("allow_merge", false));
    body.check()?;
    let entity = find(&app, &scope, &name).await?;
    let entity = entity.ok_or_else(|| bad(format!("Entity '{name}' does not exist")))?;
    let target = text_of(&data, "entity_name").filter(|target| *target != entity.name);
    let taken = match &target {
        None => None,
        Some(_) if !allow_rename => {
            return Err(bad("Entity renaming is not allowed. Set allow_rename=True".to_owned()));
        }
        Some(target) => find(&app, &scope, target).await?.filter(|other| other.id != entity.id),
    };
    if let (Some(_), Some(other)) = (&target, &taken) {
        if !allow_merge {
            return Err(bad(format!("Entity name '{}' already exists, cannot rename", other.name)));
        }
        let edit = GraphEdit::MergeEntities(vec![entity.name.clone()], other.name.clone());
        app.engine().edit_graph(&scope, edit).await?;
        return edited(&app, &scope, &other.name, &entity.name, Change::Merged).await;
    }
    let edit = EntityEdit { name: target.clone(), ..entity_edit(&data) };
    app.engine().edit_graph(&scope, GraphEdit::EditEntity(entity.name.clone(), edit)).await?;
    let change = if target.is_some() { Change::Renamed } else { Change::Edited };
    edited(&app, &scope, target.as_deref().unwrap_or(&entity.name), &entity.name, change).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Edited,
    Renamed,
    Merged,
}

async fn edited(app: &App, ctx: &RequestContext, now: &str, before: &str, change: Change) -> Answer<Json<Value>> {
    let entity = required(app, ctx, now).await?;
    let merged = change == Change::Merged;
    let message = if merged {
        format!("Entity merged successfully into '{now}'")
    } else {
        "Entity updated successfully".to_owned()
    };
    Ok(Json(json!({
        "status": "success",
        "message": message,
        "data": entity_data(&entity),
        "operation_summary": {
            "merged": merged,
            "merge_status": if merged { "success" } else { "not_attempted" },
            "merge_error": null,
            "operation_status": "success",
            "target_entity": if change == Change::Edited { before } else { now },
            "final_entity": now,
            "renamed": change == Change::Renamed,
        }
    })))
}

/// `POST /graph/entities/merge`.
pub(super) async fn merge(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let names = body.texts("entities_to_change", true, ANY);
    if let Some(names) = &names {
        body.length("entities_to_change", names.len(), (1, usize::MAX));
    }
    let target = body.text("entity_to_change_into", true, ANY).unwrap_or_default();
    body.check()?;
    let names: Vec<String> = names.unwrap_or_default().into_iter().filter(|name| *name != target).collect();
    for name in &names {
        required(&app, &scope, name).await?;
    }
    let count = names.len();
    if count > 0 {
        app.engine().edit_graph(&scope, GraphEdit::MergeEntities(names, target.clone())).await?;
    }
    let entity = required(&app, &scope, &target).await?;
    Ok(Json(json!({
        "status": "success",
        "message": format!("Successfully merged {count} entities into '{target}'"),
        "data": entity_data(&entity),
    })))
}

/// `POST /graph/relation/create`.
pub(super) async fn create_relation(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let source = body.text("source_entity", true, ANY).unwrap_or_default();
    let target = body.text("target_entity", true, ANY).unwrap_or_default();
    let data = body.object("relation_data", true).unwrap_or_default();
    body.check()?;
    for name in [&source, &target] {
        required(&app, &scope, name).await?;
    }
    if relation(&app, &scope, &source, &target).await?.is_some() {
        return Err(bad(format!("Relation from '{source}' to '{target}' already exists")));
    }
    let edit = GraphEdit::CreateRelation(source.clone(), target.clone(), relation_edit(&data));
    app.engine().edit_graph(&scope, edit).await?;
    let message = format!("Relation created successfully between '{source}' and '{target}'");
    changed_relation(&app, &scope, (&source, &target), &message).await
}

/// `POST /graph/relation/edit`.
pub(super) async fn edit_relation(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let source = body.text("source_id", true, ANY).unwrap_or_default();
    let target = body.text("target_id", true, ANY).unwrap_or_default();
    let data = body.object("updated_data", true).unwrap_or_default();
    body.check()?;
    if relation(&app, &scope, &source, &target).await?.is_none() {
        return Err(bad(format!("Relation from '{source}' to '{target}' does not exist")));
    }
    let edit = GraphEdit::EditRelation(source.clone(), target.clone(), relation_edit(&data));
    app.engine().edit_graph(&scope, edit).await?;
    changed_relation(&app, &scope, (&source, &target), "Relation updated successfully").await
}

async fn changed_relation(app: &App, ctx: &RequestContext, ends: (&str, &str), message: &str) -> Answer<Json<Value>> {
    let found = relation(app, ctx, ends.0, ends.1).await?;
    let data = found.as_ref().map(relation_data);
    Ok(Json(json!({ "status": "success", "message": message, "data": data })))
}
