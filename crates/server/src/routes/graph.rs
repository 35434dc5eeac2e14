//! The graph: look-ups, walks, size, and having a model make it. Changing it is left to the compatible surface for now.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use lorekeep_engine::BuildRequest;
use lorekeep_types::{ChunkId, DocumentId, Error, RelationDetail, RequestContext, Result, StoredChunk};
use serde::Deserialize;

use crate::dto;
use crate::dto::set;
use crate::error::ApiResult;
use crate::extract::{Args, JsonBody, Segment};
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::{App, Shared};

/// Relations and passages shown with an entity.
const RELATIONS_SHOWN: usize = 100;
const PASSAGES_SHOWN: usize = 20;

/// Size of the graph.
#[utoipa::path(get, path = "/v1/graph/stats", operation_id = "getGraphStats", tag = "graph",
    responses((status = 200, body = dto::GraphStats), Failures))]
pub(crate) async fn stats(State(app): State<Shared>, scope: Scope) -> ApiResult<Json<dto::GraphStats>> {
    Ok(Json(app.engine().graph_stats(&scope).await?.into()))
}

#[derive(Deserialize)]
pub(crate) struct EntitiesArgs {
    #[serde(default)]
    q: String,
    limit: Option<usize>,
}

/// Entities whose name matches, or the best connected ones when `q` is empty.
#[utoipa::path(get, path = "/v1/graph/entities", operation_id = "searchEntities", tag = "graph",
    params(("q" = Option<String>, Query, description = "name, or its beginning or a part of it"),
        ("limit" = Option<usize>, Query, description = "entities to return, 1 to 1,000; default 50")),
    responses((status = 200, body = dto::Entities), Failures))]
pub(crate) async fn entities(
    State(app): State<Shared>,
    mut scope: Scope,
    Args(args): Args<EntitiesArgs>,
) -> ApiResult<Json<dto::Entities>> {
    let mut limit = 50;
    set("limit", args.limit, 1..=1_000, &mut limit)?;
    let time = app.settings.request_timeout;
    let found = scope.within(time, async |ctx| app.engine().search_entities(ctx, &args.q, limit).await).await?;
    Ok(Json(dto::Entities { entities: found.into_iter().map(Into::into).collect() }))
}

/// An entity with its relations, their evidence, and passages that mention it.
#[utoipa::path(get, path = "/v1/graph/entities/{name}", operation_id = "getEntity", tag = "graph",
    params(("name" = String, Path, description = "display name, normalised name or alias")),
    responses((status = 200, body = dto::EntityPage), Failures))]
pub(crate) async fn entity(
    State(app): State<Shared>,
    mut scope: Scope,
    Segment(name): Segment,
) -> ApiResult<Json<dto::EntityPage>> {
    let time = app.settings.request_timeout;
    Ok(Json(scope.within(time, async |ctx| entity_page(&app, ctx, &name).await).await?))
}

async fn entity_page(app: &App, ctx: &RequestContext, name: &str) -> Result<dto::EntityPage> {
    let engine = app.engine();
    let entity = engine.entity(ctx, name).await?;
    let relations = engine.entity_relations(ctx, entity.id, RELATIONS_SHOWN).await?;
    let shown: Vec<ChunkId> = entity.chunks.iter().copied().take(PASSAGES_SHOWN).collect();
    let passages = engine.chunks(ctx, shown).await?;
    Ok(dto::EntityPage {
        entity: entity.into(),
        relations: with_evidence(app, ctx, relations).await?,
        passages: passages.into_iter().map(Into::into).collect(),
    })
}

/// Adds to each relation the sentences that it rests on.
async fn with_evidence(app: &App, ctx: &RequestContext, found: Vec<RelationDetail>) -> Result<Vec<dto::Relation>> {
    let mut wanted: Vec<ChunkId> = found.iter().flat_map(|one| one.evidence.iter().map(|(chunk, _)| *chunk)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let chunks = app.engine().chunks(ctx, wanted).await?;
    let by_id: HashMap<ChunkId, StoredChunk> = chunks.into_iter().map(|chunk| (chunk.id, chunk)).collect();
    let relations = found.into_iter().map(|relation| {
        let places = relation.evidence.iter();
        let evidence = places.filter_map(|(chunk, span)| dto::Evidence::new(by_id.get(chunk)?, *span)).collect();
        dto::Relation { evidence, ..relation.into() }
    });
    Ok(relations.collect())
}

#[derive(Deserialize)]
pub(crate) struct NeighbourhoodArgs {
    entity: Option<String>,
    depth: Option<usize>,
    limit: Option<usize>,
}

/// What lies around an entity, or around the best connected ones when none is named.
#[utoipa::path(get, path = "/v1/graph/neighbourhood", operation_id = "getNeighbourhood", tag = "graph",
    params(("entity" = Option<String>, Query, description = "where to start"),
        ("depth" = Option<usize>, Query, description = "relations to walk, 1 to 5; default 1"),
        ("limit" = Option<usize>, Query, description = "entities to return, 1 to 100,000; default 100")),
    responses((status = 200, body = dto::Graph), Failures))]
pub(crate) async fn neighbourhood(
    State(app): State<Shared>,
    mut scope: Scope,
    Args(args): Args<NeighbourhoodArgs>,
) -> ApiResult<Json<dto::Graph>> {
    let (mut depth, mut limit) = (1, 100);
    set("depth", args.depth, 1..=5, &mut depth)?;
    set("limit", args.limit, 1..=100_000, &mut limit)?;
    let depth = u32::try_from(depth).unwrap_or(1);
    let time = app.settings.request_timeout;
    let part = scope.within(time, async |ctx| app.engine().neighbourhood(ctx, args.entity, depth, limit).await);
    Ok(Json(part.await?.into()))
}

#[derive(Deserialize)]
pub(crate) struct PathArgs {
    from: String,
    to: String,
    depth: Option<usize>,
}

/// A shortest path between two entities, with the evidence of each step; empty when there is none.
#[utoipa::path(get, path = "/v1/graph/path", operation_id = "getPath", tag = "graph",
    params(("from" = String, Query, description = "where it starts"), ("to" = String, Query, description = "where it ends"),
        ("depth" = Option<usize>, Query, description = "most relations to walk, 1 to 10; default 6")),
    responses((status = 200, body = dto::Graph), Failures))]
pub(crate) async fn path(
    State(app): State<Shared>,
    mut scope: Scope,
    Args(args): Args<PathArgs>,
) -> ApiResult<Json<dto::Graph>> {
    let mut depth = 6;
    set("depth", args.depth, 1..=10, &mut depth)?;
    let depth = u32::try_from(depth).unwrap_or(6);
    let time = app.settings.request_timeout;
    let graph = scope.within(time, async |ctx| {
        let found = app.engine().path(ctx, &args.from, &args.to, depth).await?;
        let relations = with_evidence(&app, ctx, found.relations).await?;
        let entities = found.entities.into_iter().map(Into::into).collect();
        Ok(dto::Graph { entities, relations, truncated: found.truncated })
    });
    Ok(Json(graph.await?))
}

/// Nano-USD of one USD.
const NANO: f64 = 1e9;
/// Most that a limit may be, in USD.
const LARGEST_LIMIT: f64 = 1e6;

/// Has the model of the role `extract` make the graph of documents, as a job; or says what that would take.
#[utoipa::path(post, path = "/v1/graph/build", operation_id = "buildGraph", tag = "graph",
    request_body = dto::GraphBuildRequest, responses((status = 200, body = dto::GraphBuild), Failures))]
pub(crate) async fn build(
    State(app): State<Shared>,
    scope: Scope,
    JsonBody(asked): JsonBody<dto::GraphBuildRequest>,
) -> ApiResult<Json<dto::GraphBuild>> {
    let documents = asked.documents.iter().map(|id| DocumentId::parse(id)).collect::<Result<Vec<_>>>()?;
    let request = BuildRequest { documents, limit: asked.max_cost_usd.map(limit).transpose()? };
    if asked.dry_run {
        let plan = app.engine().plan_graph(&scope, &request).await?;
        return Ok(Json(dto::GraphBuild { plan: Some(plan.into()), job: None }));
    }
    let job = app.engine().build_graph(&scope, request).await?;
    Ok(Json(dto::GraphBuild { plan: None, job: job.map(Into::into) }))
}

fn limit(usd: f64) -> Result<i64> {
    if !(usd > 0.0 && usd <= LARGEST_LIMIT) {
        return Err(Error::invalid(format!(
            "`max_cost_usd` is {usd}; it must be above 0, and at most {LARGEST_LIMIT}"
        )));
    }
    Ok((usd * NANO).round() as i64)
}
