//! The views of one workspace: text, vectors and phrase graph, derived from the truth and published together as
//! immutable snapshots.
//!
//! A [`generation::Generation`] is one set of views in one folder; it follows the truth's change log. [`Views`]
//! owns the one in use, publishes what it shows, and builds a new one beside it when asked, or when the old one
//! is missing, damaged, of another format or too far behind. Nothing here is precious: the folder can be deleted
//! at any time.

mod analyse;
mod check;
mod details;
mod fault;
mod folder;
mod generation;
mod graph;
mod lazy;
mod passages;
mod snapshot;
mod stage;
mod text;
mod vectors;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use lorekeep_types::{Cancel, ErrorCode, Snapshot};

use self::details::Details;
use self::generation::Generation;
use self::snapshot::Published;
use crate::error::Result;
use crate::truth::Truth;

/// Times a comparison is begun anew when the truth changed in between.
const CHECK_ATTEMPTS: usize = 20;

/// See the module's text. Readers take a snapshot without ever waiting for a writer.
pub(crate) struct Views {
    /// `None`: everything in memory.
    folder: Option<PathBuf>,
    truth: Arc<Truth>,
    published: RwLock<Arc<Published>>,
    details: Details,
    live: Mutex<Live>,
    /// Held while a new generation is built, so that one is built at a time.
    rebuilding: Mutex<()>,
}

/// The generation in use and where it lies.
struct Live {
    generation: Generation,
    folder: Option<PathBuf>,
}

impl Views {
    /// Opens the views of `truth` under `folder` and brings them up to date; builds them when they cannot be used.
    pub(crate) fn open(folder: Option<&Path>, truth: Arc<Truth>) -> Result<Self> {
        let opened = match folder {
            Some(views) => open_current(views, &truth)?,
            None => None,
        };
        let mut live = match opened {
            Some(live) => live,
            None => build_somewhere(folder, &truth)?,
        };
        if let (Some(views), Some(current)) = (folder, &live.folder) {
            folder::sweep(views, current);
        }
        let details = Details::new();
        let published = Published::of(&mut live.generation, &truth, &details)?;
        Ok(Self {
            folder: folder.map(Path::to_owned),
            truth,
            published: RwLock::new(Arc::new(published)),
            details,
            live: Mutex::new(live),
            rebuilding: Mutex::new(()),
        })
    }

    /// The latest published state.
    pub(crate) fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::clone(&*self.published.read().unwrap_or_else(PoisonError::into_inner)) as Arc<dyn Snapshot>
    }

    /// Follows the truth to its present and publishes; returns the last change shown. Work is proportional to what
    /// changed, except that the phrase graph is built anew when chunks changed. After an error the former
    /// snapshot keeps serving.
    pub(crate) fn refresh(&self) -> Result<u64> {
        let mut live = self.live();
        if live.generation.follow(&self.truth)? {
            return self.publish(&mut live.generation);
        }
        drop(live);
        tracing::warn!("the views cannot follow the truth; they are rebuilt");
        self.rebuild(&Cancel::default(), &|_, _| ())?;
        Ok(self.snapshot().seq())
    }

    /// Builds a new generation beside the one in use, which serves and follows meanwhile, and swaps them.
    pub(crate) fn rebuild(&self, cancel: &Cancel, progress: &dyn Fn(u64, u64)) -> Result<()> {
        let _one_at_a_time = self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = build(self.folder.as_deref(), &self.truth, cancel, progress)?;
        let mut live = self.live();
        // Whatever was published meanwhile must not be taken back.
        fresh.generation.follow(&self.truth)?;
        self.publish(&mut fresh.generation)?;
        let former = std::mem::replace(&mut *live, fresh);
        drop(live);
        drop(former.generation);
        former.folder.as_deref().into_iter().for_each(folder::discard);
        Ok(())
    }

    /// Follows the truth, then compares with it: every disagreement in one sentence.
    pub(crate) fn check(&self) -> Result<Vec<String>> {
        for _ in 0..CHECK_ATTEMPTS {
            self.refresh()?;
            let live = self.live();
            let reader = self.truth.read()?;
            if reader.seq() == live.generation.passages.seq {
                return check::compare(&live.generation, &reader);
            }
        }
        Ok(vec!["documents change too fast for views and truth to be compared".to_owned()])
    }

    fn publish(&self, generation: &mut Generation) -> Result<u64> {
        let shown = Arc::clone(&*self.published.read().unwrap_or_else(PoisonError::into_inner));
        if !shown.is_current(generation) {
            let published = Arc::new(Published::of(generation, &self.truth, &self.details)?);
            *self.published.write().unwrap_or_else(PoisonError::into_inner) = published;
        }
        Ok(generation.passages.seq)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        // A panic in the midst of following leaves a generation that says itself whether it is whole.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the generation in use and follows the truth; `None` when there is none that can be used.
fn open_current(views: &Path, truth: &Truth) -> Result<Option<Live>> {
    let Some(folder) = folder::current(views)? else { return Ok(None) };
    let opened = Generation::open(&folder, truth).and_then(|mut generation| {
        let follows = generation.follow(truth)?;
        Ok(follows.then_some(generation))
    });
    match opened {
        Ok(Some(generation)) => Ok(Some(Live { generation, folder: Some(folder) })),
        Ok(None) => {
            tracing::warn!("the views are too far behind the truth; they are rebuilt");
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(%error, "the views cannot be used; they are rebuilt");
            Ok(None)
        }
    }
}

/// Builds a generation; in memory when the disk takes no more, so that a full disk stops no reader.
fn build_somewhere(views: Option<&Path>, truth: &Truth) -> Result<Live> {
    match build(views, truth, &Cancel::default(), &|_, _| ()) {
        Err(error) if views.is_some() && error.code() == ErrorCode::StorageFull => {
            tracing::warn!(%error, "the views cannot be written; they are held in memory until the next start");
            build(None, truth, &Cancel::default(), &|_, _| ())
        }
        outcome => outcome,
    }
}

/// Builds a generation from the truth's tables and, with a folder, makes it the one in use.
fn build(views: Option<&Path>, truth: &Truth, cancel: &Cancel, progress: &dyn Fn(u64, u64)) -> Result<Live> {
    let folder = views.map(folder::fresh).transpose()?;
    let built = Generation::create(folder.as_deref()).and_then(|mut generation| {
        generation.fill(truth, cancel, progress)?;
        generation.follow(truth)?;
        generation.settle()?;
        if let (Some(views), Some(folder)) = (views, &folder) {
            folder::switch(views, folder)?;
        }
        Ok(generation)
    });
    if built.is_err() {
        folder.as_deref().into_iter().for_each(folder::discard);
    }
    Ok(Live { generation: built?, folder })
}
