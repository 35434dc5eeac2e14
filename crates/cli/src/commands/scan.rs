//! The folder that LightRAG's `POST /documents/scan` reads.

use std::path::PathBuf;

use lorekeep_engine::{AddRequest, Engine};
use lorekeep_server::ScanFolder;
use lorekeep_types::{Error, ErrorCode, NewItem, RequestContext, Result, WorkspaceName};
use tokio::runtime::Handle;

use super::read;
use super::walk::{self, Found};

/// Files handed over at once.
const BATCH: usize = 64;

/// A folder on this machine.
pub struct InputFolder {
    folder: PathBuf,
    engine: Engine,
    runtime: Handle,
}

impl InputFolder {
    /// The folder at `folder`, read into `engine`.
    pub fn new(folder: PathBuf, engine: Engine, runtime: Handle) -> Self {
        Self { folder, engine, runtime }
    }
}

impl ScanFolder for InputFolder {
    fn scan(&self, workspace: &WorkspaceName, label: &str) -> Result<usize> {
        let extensions: Vec<String> =
            self.engine.formats().iter().flat_map(|format| format.extensions.iter().map(ToString::to_string)).collect();
        let walked = walk::walk(std::slice::from_ref(&self.folder), &extensions).map_err(|error| {
            Error::new(ErrorCode::NotFound, format!("{error:#}")).hint("set `ingest.input_dir` to a readable folder")
        })?;
        let count = walked.files.len();
        let ctx = RequestContext::new(workspace.clone(), label);
        let (engine, label) = (self.engine.clone(), label.to_owned());
        self.runtime.spawn(async move {
            if let Err(error) = add(&engine, &ctx, &walked.files, &label).await {
                tracing::error!(%error, "the scan ended early");
            }
        });
        Ok(count)
    }

    fn folder(&self) -> String {
        self.folder.display().to_string()
    }
}

async fn add(engine: &Engine, ctx: &RequestContext, files: &[Found], label: &str) -> Result<()> {
    let mut job = None;
    for batch in files.chunks(BATCH) {
        let mut items = Vec::with_capacity(batch.len());
        for found in batch {
            match read::whole_elsewhere(found.path.clone()).await {
                Ok(bytes) => {
                    items.push(NewItem::new(found.path.display().to_string(), &found.name, bytes));
                }
                Err(error) => tracing::warn!(name = found.name, %error, "a file of the input folder cannot be read"),
            }
        }
        if items.is_empty() {
            continue;
        }
        let named = job.is_none().then(|| label.to_owned());
        let request = AddRequest { items: items.clone(), label: named, job: job.clone() };
        let added = match engine.add(ctx, request).await {
            // The work overtook the reading: the job has ended, the rest becomes another.
            Err(error) if error.code() == ErrorCode::Conflict && job.is_some() => {
                engine.add(ctx, AddRequest { items, ..AddRequest::default() }).await?
            }
            added => added?,
        };
        job = Some(added.id);
    }
    Ok(())
}
