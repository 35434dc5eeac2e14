//! Input that cannot be taken in is named and keeps nothing else out.

use lorekeep_engine::AddRequest;
use lorekeep_types::{DocumentState, ErrorCode, RequestContext, WorkspaceName};

use crate::ports::{ALL, Bench, item};

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_among_good_ones() {
    let mut bench = Bench::new().await;
    let documents = [
        ("broken.txt", "broken"),
        ("good.txt", "Oslo is a city."),
        ("panic.txt", "panic"),
        ("scan.pdf", "scan"),
        ("empty.txt", ""),
        ("blank.txt", " \n \n"),
        ("last.txt", "Bergen rains."),
    ];
    let job = bench.take_in(&documents).await;
    assert_eq!((job.counts.ready, job.counts.failed, job.counts.needs_ocr), (2, 4, 1));
    let expected = ["failed", "ready", "failed", "needs-ocr", "failed", "failed", "ready"];
    let outcomes = bench.outcomes(&job).await;
    assert_eq!(outcomes.iter().map(|(_, outcome)| outcome.as_str()).collect::<Vec<_>>(), expected);
    let scan = bench.document("scan.pdf").await;
    assert_eq!(scan.state, DocumentState::NeedsOcr);
    for (name, code) in [
        ("broken.txt", ErrorCode::Unprocessable),
        ("panic.txt", ErrorCode::Internal),
        ("empty.txt", ErrorCode::Unprocessable),
        ("scan.pdf", ErrorCode::CapabilityMissing),
    ] {
        assert_eq!(bench.document(name).await.problem.unwrap().code, code, "{name}");
    }
    assert!(bench.knows("Oslo").await && bench.knows("Bergen").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_add() {
    let bench = Bench::new().await;
    let refused = bench.engine.add(&bench.ctx, AddRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidRequest);
    assert!(bench.engine.jobs(&bench.ctx, None, ALL).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_line_is_cut() {
    let mut bench = Bench::new().await;
    let line = "word ".repeat(20_000);
    bench.take_in(&[("line.txt", &line)]).await;
    let document = bench.document("line.txt").await;
    let chunks = bench.engine.document_chunks(&bench.ctx, &document.id, ALL).await.unwrap();
    assert!(chunks.len() > 100);
    assert!(chunks.iter().all(|chunk| chunk.chunk.tokens <= 120));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_utf8_and_other_scripts() {
    let mut bench = Bench::new().await;
    let items = vec![item("bad.txt", b"Oslo \xff\xfe is a city."), item("zh.txt", "北京是中国的首都。".as_bytes())];
    let job = bench.add_items(items).await;
    assert_eq!(bench.ended(&job).await.counts.ready, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_workspace_is_not_found() {
    let bench = Bench::new().await;
    let ctx = RequestContext::new(WorkspaceName::parse("other").unwrap(), "test");
    let items = vec![item("a.txt", b"Oslo")];
    let added = bench.engine.add(&ctx, AddRequest { items, ..AddRequest::default() }).await;
    assert_eq!(added.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(bench.engine.graph_stats(&ctx).await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(bench.engine.watch_jobs(&ctx).await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(bench.engine.workspaces().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_and_late_requests_stop() {
    let bench = Bench::new().await;
    let cancelled = bench.ctx.clone();
    cancelled.cancel.cancel();
    assert_eq!(bench.engine.graph_stats(&cancelled).await.unwrap_err().code(), ErrorCode::Cancelled);
    bench.ctx.cancel.cancel();
    let mut late = RequestContext::new(WorkspaceName::default_workspace(), "test");
    late.deadline = Some(std::time::Instant::now());
    assert_eq!(bench.engine.graph_stats(&late).await.unwrap_err().code(), ErrorCode::Timeout);
}
