//! Engine methods on the graph: look-ups, walks and users' edits.

use std::sync::Arc;

use lorekeep_types::{
    EntityDetail, EntityId, Error, GraphEdit, GraphStats, Neighbourhood, RelationDetail, RequestContext, Result,
    Snapshot,
};

use crate::engine::Engine;

impl Engine {
    /// Entities whose name matches `text`: equal, then prefix, then substring. An empty text lists the best
    /// connected ones.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn search_entities(&self, ctx: &RequestContext, text: &str, limit: usize) -> Result<Vec<EntityDetail>> {
        let text = text.trim().to_owned();
        self.reading(ctx, move |snapshot| {
            if text.is_empty() { snapshot.popular_entities(0, limit) } else { snapshot.search_entities(&text, limit) }
        })
        .await
    }

    /// Entities by falling degree.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn popular_entities(
        &self,
        ctx: &RequestContext,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<EntityDetail>> {
        self.reading(ctx, move |snapshot| snapshot.popular_entities(offset, limit)).await
    }

    /// The entity with this display name, normalised name or alias.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn entity(&self, ctx: &RequestContext, name: &str) -> Result<EntityDetail> {
        let name = name.to_owned();
        self.reading(ctx, move |snapshot| named(snapshot, &name)).await
    }

    /// Relations of an entity, most evidence first.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn entity_relations(
        &self,
        ctx: &RequestContext,
        entity: EntityId,
        limit: usize,
    ) -> Result<Vec<RelationDetail>> {
        self.reading(ctx, move |snapshot| {
            let found = snapshot.relations_of(&[entity], limit)?;
            Ok(found.into_iter().map(Arc::unwrap_or_clone).collect())
        })
        .await
    }

    /// The relation between two entities, in either direction; `None` when there is none.
    ///
    /// # Errors
    /// `NotFound` when one of the entities does not exist.
    pub async fn relation(&self, ctx: &RequestContext, a: &str, b: &str) -> Result<Option<RelationDetail>> {
        let (a, b) = (a.to_owned(), b.to_owned());
        self.reading(ctx, move |snapshot| {
            let (a, b) = (named(snapshot, &a)?, named(snapshot, &b)?);
            let step = snapshot.path(a.id, b.id, 1)?;
            Ok(step.relations.into_iter().next())
        })
        .await
    }

    /// What lies within `depth` relations of an entity (of the best connected ones when `from` is absent), at
    /// most `limit` entities.
    ///
    /// # Errors
    /// `NotFound` when the entity does not exist.
    pub async fn neighbourhood(
        &self,
        ctx: &RequestContext,
        from: Option<String>,
        depth: u32,
        limit: usize,
    ) -> Result<Neighbourhood> {
        self.reading(ctx, move |snapshot| {
            let from = from.map(|name| named(snapshot, &name)).transpose()?;
            snapshot.neighbourhood(from.map(|entity| entity.id), depth, limit)
        })
        .await
    }

    /// A shortest path between two entities of at most `depth` relations; empty when there is none.
    ///
    /// # Errors
    /// `NotFound` when one of them does not exist.
    pub async fn path(&self, ctx: &RequestContext, from: &str, to: &str, depth: u32) -> Result<Neighbourhood> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.reading(ctx, move |snapshot| {
            let (from, to) = (named(snapshot, &from)?, named(snapshot, &to)?);
            snapshot.path(from.id, to.id, depth)
        })
        .await
    }

    /// Size of the graph.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn graph_stats(&self, ctx: &RequestContext) -> Result<GraphStats> {
        self.reading(ctx, |snapshot| snapshot.graph_stats()).await
    }

    /// Applies a user's change; queries that start after this returns see it.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `StorageFull`.
    pub async fn edit_graph(&self, ctx: &RequestContext, edit: GraphEdit) -> Result<()> {
        self.blocking(ctx, move |engine, workspace, _| {
            workspace.edit_graph(&edit, engine.parts.clock.now_ms())?;
            engine.ingest.publish(workspace)?;
            engine.ingest.wake(workspace)
        })
        .await
    }
}

fn named(snapshot: &dyn Snapshot, name: &str) -> Result<EntityDetail> {
    snapshot.entity_named(name)?.ok_or_else(|| Error::not_found("entity", name))
}
