//! Workspaces keep to themselves, travel as archives, and end whole.

use std::io::Write;
use std::sync::{Arc, Mutex};

use lorekeep_types::{ErrorCode, GraphEdit, RequestContext, WorkspaceName};

use crate::ports::Bench;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_stay_in_their_workspace() {
    let mut bench = Bench::new().await;
    bench.take_in(&[("a.txt", "Oslo is a city.")]).await;
    let other = WorkspaceName::parse("other").unwrap();
    bench.engine.create_workspace(&other).await.unwrap();
    assert_eq!(bench.engine.create_workspace(&other).await.unwrap_err().code(), ErrorCode::Conflict);
    bench.ctx = RequestContext::new(other.clone(), "test");
    bench.events = bench.engine.watch_jobs(&bench.ctx).await.unwrap();
    assert!(!bench.knows("Oslo").await);
    bench.take_in(&[("b.txt", "Bergen rains.")]).await;
    assert!(bench.knows("Bergen").await);
    bench.engine.remove_workspace(&other).await.unwrap();
    assert_eq!(bench.engine.graph_stats(&bench.ctx).await.unwrap_err().code(), ErrorCode::NotFound);
    bench.engine.create_workspace(&other).await.unwrap();
    assert!(bench.names().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_brings_everything_back() {
    let mut bench = Bench::new().await;
    bench.take_in(&[("a.txt", "Oslo is a city in Norway.")]).await;
    let archive = Buffer::default();
    let size = bench.engine.export(&bench.ctx, Box::new(archive.clone())).await.unwrap();
    let bytes = archive.0.lock().unwrap().clone();
    assert_eq!(size, bytes.len() as u64);
    let copy = WorkspaceName::parse("copy").unwrap();
    let cut = bytes[..bytes.len() / 2].to_vec();
    assert!(bench.engine.import(&copy, Box::new(std::io::Cursor::new(cut))).await.is_err());
    bench.engine.import(&copy, Box::new(std::io::Cursor::new(bytes))).await.unwrap();
    bench.ctx = RequestContext::new(copy, "test");
    assert_eq!(bench.names().await, ["a.txt"]);
    assert!(bench.knows("Oslo").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_rebuilt_and_agree() {
    let mut bench = Bench::new().await;
    bench.take_in(&[("a.txt", "Oslo is a city in Norway."), ("b.txt", "Bergen rains.")]).await;
    bench.engine.reindex(&bench.ctx, |done, total| assert!(done <= total)).await.unwrap();
    let report = bench.engine.check(&bench.ctx).await.unwrap();
    assert_eq!((report.problems.len(), report.chunks), (0, 2));
    assert!(bench.knows("Bergen").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_the_graph_are_seen_at_once() {
    let mut bench = Bench::new().await;
    bench.take_in(&[("a.txt", "Oslo lies near Drammen. Bergen lies near Voss.")]).await;
    let path = bench.engine.path(&bench.ctx, "Oslo", "Drammen", 3).await.unwrap();
    assert_eq!(path.relations.len(), 1);
    assert_eq!(bench.engine.search_entities(&bench.ctx, "ber", 5).await.unwrap()[0].name, "Bergen");
    bench.engine.edit_graph(&bench.ctx, GraphEdit::DeleteEntity("Oslo".into())).await.unwrap();
    assert!(!bench.knows("Oslo").await);
    let missing = bench.engine.edit_graph(&bench.ctx, GraphEdit::DeleteEntity("Oslo".into())).await.unwrap_err();
    assert_eq!(missing.code(), ErrorCode::NotFound);
    assert_eq!(bench.engine.graph_stats(&bench.ctx).await.unwrap().entities, 3);
}
