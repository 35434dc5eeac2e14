//! Engine methods on documents: lists, text, chunks, originals, deletion, tags. Adding is in `jobs`.

use lorekeep_types::{
    ChunkId, DocumentFilter, DocumentId, DocumentOrder, DocumentPage, DocumentRecord, DocumentState, DocumentText,
    Error, PageRequest, RequestContext, Result, StoredChunk,
};

use crate::engine::Engine;

impl Engine {
    /// A window of the document list. A document whose new version is written but not yet published is shown
    /// as being processed.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn documents(
        &self,
        ctx: &RequestContext,
        filter: DocumentFilter,
        order: DocumentOrder,
        page: PageRequest,
    ) -> Result<DocumentPage> {
        self.blocking(ctx, move |engine, workspace, _| {
            let mut found = workspace.documents(&filter, order, page)?;
            engine.ingest.masked(workspace.name(), |hidden| hidden.mask_page(&mut found));
            Ok(found)
        })
        .await
    }

    /// One document.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn document(&self, ctx: &RequestContext, id: &DocumentId) -> Result<DocumentRecord> {
        let id = id.clone();
        self.blocking(ctx, move |engine, workspace, _| {
            let mut record = workspace.document(&id)?.ok_or_else(|| missing(&id))?;
            engine.ingest.masked(workspace.name(), |hidden| hidden.mask_document(&mut record));
            Ok(record)
        })
        .await
    }

    /// The documents with exactly this display name; several sources may share one.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn documents_named(&self, ctx: &RequestContext, name: &str) -> Result<Vec<DocumentRecord>> {
        let name = name.to_owned();
        self.blocking(ctx, move |_, workspace, _| workspace.documents_named(&name)).await
    }

    /// The extracted text of the current version. A document without a version has no text yet.
    ///
    /// # Errors
    /// `NotFound` when the document or its first version does not exist.
    pub async fn document_text(&self, ctx: &RequestContext, id: &DocumentId) -> Result<DocumentText> {
        let id = id.clone();
        self.blocking(ctx, move |_, workspace, _| workspace.document_text(&id)?.ok_or_else(|| no_text(&id))).await
    }

    /// Chunks of the current version in order; none before the first version.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn document_chunks(
        &self,
        ctx: &RequestContext,
        id: &DocumentId,
        page: PageRequest,
    ) -> Result<Vec<StoredChunk>> {
        let id = id.clone();
        self.blocking(ctx, move |_, workspace, _| {
            let chunks = workspace.document_chunks(&id, page)?;
            if chunks.is_empty() && workspace.document(&id)?.is_none() {
                return Err(missing(&id));
            }
            Ok(chunks)
        })
        .await
    }

    /// The original bytes, with the document they belong to.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn document_bytes(&self, ctx: &RequestContext, id: &DocumentId) -> Result<(DocumentRecord, Vec<u8>)> {
        let id = id.clone();
        self.blocking(ctx, move |_, workspace, _| {
            let record = workspace.document(&id)?.ok_or_else(|| missing(&id))?;
            let bytes = workspace.document_bytes(&id)?.ok_or_else(|| missing(&id))?;
            Ok((record, bytes))
        })
        .await
    }

    /// Reads chunks by id; those that no longer exist are left out.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn chunks(&self, ctx: &RequestContext, ids: Vec<ChunkId>) -> Result<Vec<StoredChunk>> {
        self.reading(ctx, move |snapshot| {
            let ordinals: Vec<u32> = ids.iter().filter_map(|id| snapshot.ordinal(*id)).collect();
            Ok(snapshot.chunks(&ordinals)?.into_iter().map(|(_, chunk)| chunk).collect())
        })
        .await
    }

    /// Deletes documents and exactly what they contributed; returns those that existed. Their passages are
    /// gone from every answer that starts after this returns.
    ///
    /// # Errors
    /// `StorageFull` or `Storage`; then nothing was deleted.
    pub async fn delete(&self, ctx: &RequestContext, ids: Vec<DocumentId>) -> Result<Vec<DocumentId>> {
        self.blocking(ctx, move |engine, workspace, _| {
            let deleted = workspace.delete(&ids, engine.parts.clock.now_ms())?;
            engine.ingest.publish(workspace)?;
            Ok(deleted)
        })
        .await
    }

    /// Deletes every document of the workspace; returns how many there were.
    ///
    /// # Errors
    /// As [`Engine::delete`].
    pub async fn delete_all(&self, ctx: &RequestContext) -> Result<usize> {
        self.blocking(ctx, move |engine, workspace, ctx| {
            let mut deleted = 0;
            loop {
                ctx.check()?;
                let page = PageRequest { offset: 0, limit: 1_000 };
                let found = workspace.documents(&DocumentFilter::default(), DocumentOrder::default(), page)?;
                let ids: Vec<_> = found.documents.into_iter().map(|record| record.id).collect();
                let gone = workspace.delete(&ids, engine.parts.clock.now_ms())?.len();
                deleted += gone;
                if gone == 0 {
                    break;
                }
            }
            engine.ingest.publish(workspace)?;
            Ok(deleted)
        })
        .await
    }

    /// Replaces a document's tags and returns the document.
    ///
    /// # Errors
    /// `NotFound`; `InvalidRequest` for an empty tag or one of more than 100 characters.
    pub async fn set_tags(&self, ctx: &RequestContext, id: &DocumentId, tags: Vec<String>) -> Result<DocumentRecord> {
        if let Some(tag) = tags.iter().find(|tag| tag.trim().is_empty() || tag.chars().count() > 100) {
            return Err(Error::invalid(format!("`{tag}` is not a tag")).hint("use 1 to 100 characters per tag"));
        }
        let id = id.clone();
        self.blocking(ctx, move |engine, workspace, _| {
            workspace.set_tags(&id, &tags, engine.parts.clock.now_ms())?;
            workspace.document(&id)?.ok_or_else(|| missing(&id))
        })
        .await
    }
}

fn missing(id: &DocumentId) -> Error {
    Error::not_found("document", id.as_str())
}

fn no_text(id: &DocumentId) -> Error {
    missing(id).hint(format!("its text appears when its state is `{}`", DocumentState::Ready.name()))
}
