//! What every route can reach: the engine, the ports, the limits that are shared by all requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use lorekeep_engine::Engine;
use lorekeep_types::{Clock, Error, ErrorCode, Ids, Ledger, ModelDesk, Result, WorkspaceName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::settings::ServerSettings;

/// The folder that LightRAG's `/documents/scan` reads. Opening files is left to the implementer.
pub trait ScanFolder: Send + Sync {
    /// Starts adding new and changed files of the folder to `workspace` as one job labelled `label`; returns how
    /// many files it will read. The work goes on in the background.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn scan(&self, workspace: &WorkspaceName, label: &str) -> Result<usize>;

    /// The folder, for messages.
    fn folder(&self) -> String;
}

/// How far the process is between start and stop; shared by `/readyz` and the caller of [`crate::serve`].
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    stage: Arc<AtomicU8>,
    stop: CancellationToken,
}

impl Readiness {
    /// Requests are served from now on.
    pub fn ready(&self) {
        let _ = self.stage.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// No new work is wanted; open event streams end. Permanent.
    pub fn stopping(&self) {
        self.stage.store(2, Ordering::Release);
        self.stop.cancel();
    }

    /// `starting`, `ready` or `stopping`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.stage.load(Ordering::Acquire) {
            0 => "starting",
            1 => "ready",
            _ => "stopping",
        }
    }

    /// Resolves when [`Readiness::stopping`] was called.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }
}

/// Which build this is, for `/version`.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Release, e.g. `0.1.0`.
    pub version: &'static str,
    /// Revision of the source, if known.
    pub commit: Option<&'static str>,
}

/// What the server is given.
#[derive(Clone)]
pub struct AppState {
    /// The engine.
    pub engine: Engine,
    /// Time, for track ids and tokens.
    pub clock: Arc<dyn Clock>,
    /// Request ids and track ids.
    pub ids: Arc<dyn Ids>,
    /// The folder of LightRAG's scan, if one is configured.
    pub scan: Option<Arc<dyn ScanFolder>>,
    /// Models that are called, if any provider is configured.
    pub models: Option<Arc<dyn ModelDesk>>,
    /// What calling them took.
    pub ledger: Arc<dyn Ledger>,
    /// Start and stop.
    pub readiness: Readiness,
    /// Version.
    pub build: Build,
    /// The data folder, for `/health`.
    pub folder: String,
}

/// [`AppState`] with the settings and the limits that follow from them.
pub(crate) struct App {
    pub(crate) state: AppState,
    pub(crate) settings: ServerSettings,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

/// Uploads are accounted in units of this many bytes, because a semaphore counts to 2³² only.
const UPLOAD_UNIT: usize = 1 << 10;

pub(crate) type Shared = Arc<App>;

impl App {
    pub(crate) fn new(state: AppState, settings: ServerSettings) -> Shared {
        Arc::new(Self {
            requests: Arc::new(Semaphore::new(settings.max_concurrent_requests)),
            streams: Arc::new(Semaphore::new(settings.max_event_streams)),
            uploads: Arc::new(Semaphore::new(settings.max_upload_memory / UPLOAD_UNIT)),
            state,
            settings,
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.state.engine
    }

    /// A place among the requests worked on at once.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit> {
        let limit = self.settings.max_concurrent_requests;
        self.requests.clone().try_acquire_owned().map_err(|_| {
            Error::new(ErrorCode::Busy, format!("{limit} requests are being worked on, which is the limit"))
                .hint("try again in a moment, or raise `server.max_concurrent_requests`")
        })
    }

    /// A place among the open event streams.
    pub(crate) fn admit_stream(&self) -> Result<OwnedSemaphorePermit> {
        let limit = self.settings.max_event_streams;
        self.streams.clone().try_acquire_owned().map_err(|_| {
            Error::new(ErrorCode::Busy, format!("{limit} event streams are open, which is the limit"))
                .hint("close a stream, or follow the job by asking for its state")
        })
    }

    /// Room for an upload of at most `bytes`, until the permit is dropped.
    pub(crate) fn admit_upload(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let most = bytes.min(self.settings.max_upload_memory);
        let units = u32::try_from(most / UPLOAD_UNIT).unwrap_or(u32::MAX);
        self.uploads.clone().try_acquire_many_owned(units).map_err(|_| {
            Error::new(ErrorCode::Busy, "other uploads fill the memory set aside for uploads")
                .hint("try again when they have ended, or send smaller files")
        })
    }
}
