//! `/graphs` and `/graph/*`.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use lorekeep_types::{EntityDetail, ErrorCode, RelationDetail, RequestContext};
use serde_json::{Value, json};

use super::data::{file_path, source_id};
use super::refuse::{Answer, Refusal};
use super::validate;
use crate::scope::Scope;
use crate::state::{App, Shared};

/// Most nodes of one answer, whatever is asked for.
const MAX_NODES: usize = 1_000;
/// Deepest walk; deeper ones reach everything that a thousand nodes can show.
const MAX_DEPTH: usize = 10;
/// Names read at once, and most of them in a list without bounds.
const NAMES_PAGE: usize = 1_000;
const MAX_NAMES: usize = 1_000_000;

/// `GET /graph/label/list`: every entity's name, sorted.
pub(super) async fn labels(State(app): State<Shared>, scope: Scope) -> Answer<Json<Vec<String>>> {
    let mut names = Vec::new();
    while names.len() < MAX_NAMES {
        let page = app.engine().popular_entities(&scope, names.len(), NAMES_PAGE).await?;
        let last = page.len() < NAMES_PAGE;
        names.extend(page.into_iter().map(|entity| entity.name));
        if last {
            break;
        }
    }
    names.sort_unstable();
    Ok(Json(names))
}

/// `GET /graph/label/popular`.
pub(super) async fn popular(State(app): State<Shared>, scope: Scope, uri: Uri) -> Answer<Json<Vec<String>>> {
    let mut query = validate::query(&uri);
    let limit = query.number("limit", 300, (1, 1_000));
    query.check()?;
    let found = app.engine().popular_entities(&scope, 0, limit).await?;
    Ok(Json(found.into_iter().map(|entity| entity.name).collect()))
}

/// `GET /graph/label/search`.
pub(super) async fn search(State(app): State<Shared>, scope: Scope, uri: Uri) -> Answer<Json<Vec<String>>> {
    let mut query = validate::query(&uri);
    let text = query.text("q", true, (0, usize::MAX)).unwrap_or_default();
    let limit = query.number("limit", 50, (1, 100));
    query.check()?;
    if text.trim().is_empty() {
        return Ok(Json(Vec::new()));
    }
    let found = app.engine().search_entities(&scope, &text, limit).await?;
    Ok(Json(found.into_iter().map(|entity| entity.name).collect()))
}

/// `GET /graphs`: a part of the graph, or the best connected nodes for `*`.
pub(super) async fn graphs(State(app): State<Shared>, scope: Scope, uri: Uri) -> Answer<Json<Value>> {
    let mut query = validate::query(&uri);
    let label = query.text("label", true, (0, usize::MAX)).unwrap_or_default();
    let depth = query.number("max_depth", 3, (1, usize::MAX)).min(MAX_DEPTH);
    let nodes = query.number("max_nodes", 1_000, (1, usize::MAX)).min(MAX_NODES);
    query.check()?;
    let from = if label == "*" { None } else { Some(label) };
    if let Some(name) = &from
        && find(&app, &scope, name).await?.is_none()
    {
        return Ok(Json(json!({ "nodes": [], "edges": [], "is_truncated": false })));
    }
    let depth = u32::try_from(depth).unwrap_or(1);
    let part = app.engine().neighbourhood(&scope, from, depth, nodes).await?;
    Ok(Json(json!({
        "nodes": part.entities.iter().map(node).collect::<Vec<_>>(),
        "edges": part.relations.iter().map(edge).collect::<Vec<_>>(),
        "is_truncated": part.truncated,
    })))
}

/// The entity called `name`, if there is one. An unknown workspace stays an error.
pub(super) async fn find(app: &App, ctx: &RequestContext, name: &str) -> Answer<Option<EntityDetail>> {
    match app.engine().entity(ctx, name).await {
        Ok(entity) => Ok(Some(entity)),
        Err(error) if error.code() == ErrorCode::NotFound => {
            app.engine().stats(ctx).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn node(entity: &EntityDetail) -> Value {
    json!({ "id": entity.name, "labels": [entity.name], "properties": node_properties(entity) })
}

/// An entity's properties as the peer stores them.
pub(super) fn node_properties(entity: &EntityDetail) -> Value {
    json!({
        "entity_id": entity.name,
        "entity_type": entity.kind,
        "description": entity.description,
        "source_id": source_id(&entity.chunks),
        "file_path": file_path(&entity.documents),
        "created_at": entity.created_at / 1_000,
        "truncate": "",
    })
}

fn edge(relation: &RelationDetail) -> Value {
    let (mut source, mut target) = (&relation.source.1, &relation.target.1);
    if source > target {
        std::mem::swap(&mut source, &mut target);
    }
    json!({
        "id": format!("{source}-{target}"), "type": "DIRECTED", "source": source, "target": target,
        "properties": edge_properties(relation),
    })
}

/// A relation's properties as the peer stores them.
pub(super) fn edge_properties(relation: &RelationDetail) -> Value {
    json!({
        "weight": relation.weight,
        "description": relation.description,
        "keywords": relation.keywords,
        "source_id": source_id(&relation.chunks),
        "file_path": file_path(&relation.documents),
        "created_at": relation.created_at / 1_000,
        "truncate": "",
    })
}

/// `GET /graph/entity/exists`.
pub(super) async fn exists(State(app): State<Shared>, scope: Scope, uri: Uri) -> Answer<Json<Value>> {
    let mut query = validate::query(&uri);
    let name = query.text("name", true, (0, usize::MAX)).unwrap_or_default();
    query.check()?;
    let found = find(&app, &scope, &name).await?;
    Ok(Json(json!({ "exists": found.is_some() })))
}

/// `DELETE /graph/entity/delete`.
pub(super) async fn delete_entity(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let name = body.text("entity_name", true, (1, usize::MAX)).unwrap_or_default();
    body.check()?;
    if find(&app, &scope, &name).await?.is_none() {
        return Err(Refusal::detail(StatusCode::NOT_FOUND, format!("Entity '{name}' not found.")));
    }
    app.engine().edit_graph(&scope, lorekeep_types::GraphEdit::DeleteEntity(name.clone())).await?;
    Ok(Json(deleted(&format!("Entity '{name}' and its relationships have been deleted."))))
}

/// `DELETE /graph/relation/delete`.
pub(super) async fn delete_relation(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let source = body.text("source_entity", true, (1, usize::MAX)).unwrap_or_default();
    let target = body.text("target_entity", true, (1, usize::MAX)).unwrap_or_default();
    body.check()?;
    if super::edit::relation(&app, &scope, &source, &target).await?.is_none() {
        let text = format!("Relation from '{source}' to '{target}' does not exist");
        return Err(Refusal::detail(StatusCode::NOT_FOUND, text));
    }
    let edit = lorekeep_types::GraphEdit::DeleteRelation(source.clone(), target.clone());
    app.engine().edit_graph(&scope, edit).await?;
    Ok(Json(deleted(&format!("Relation from '{source}' to '{target}' deleted successfully"))))
}

fn deleted(message: &str) -> Value {
    json!({ "status": "success", "doc_id": "", "message": message, "status_code": 200, "file_path": null })
}
