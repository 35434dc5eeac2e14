//! What becomes of documents: taken in, changed, repeated, deleted.

use lorekeep_types::{DocumentState, ErrorCode};

use crate::ports::{ALL, Bench, at, item};

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_text_chunks_and_graph() {
    let mut bench = Bench::new().await;
    let text = "# Bergen\n\nBergen is a city in Norway. It was founded by Olaf Kyrre.\n";
    let job = bench.take_in(&[("bergen.txt", text)]).await;
    assert_eq!((job.counts.ready, job.counts.open), (1, 0));
    let document = bench.document("bergen.txt").await;
    assert_eq!((document.state, document.version, document.chunks), (DocumentState::Ready, 1, 1));
    assert_eq!(bench.engine.document_text(&bench.ctx, &document.id).await.unwrap().text, text);
    assert_eq!(bench.engine.document_bytes(&bench.ctx, &document.id).await.unwrap().1, text.as_bytes());
    let chunks = bench.engine.document_chunks(&bench.ctx, &document.id, ALL).await.unwrap();
    assert_eq!(at(text, chunks[0].chunk.span), chunks[0].chunk.text);
    assert_eq!(chunks[0].chunk.heading_path, ["Bergen"]);
    let bergen = bench.engine.entity(&bench.ctx, "bergen").await.unwrap();
    assert_eq!((bergen.name.as_str(), bergen.kind.as_str()), ("Bergen", "location"));
    assert!(bergen.description.contains("Bergen is a city in Norway."));
    let relation = bench.engine.relation(&bench.ctx, "Olaf Kyrre", "Bergen").await.unwrap().unwrap();
    assert_eq!(relation.keywords, "was founded by");
    assert_eq!(bench.engine.stats(&bench.ctx).await.unwrap().chunks, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_kept_once() {
    let mut bench = Bench::new().await;
    let job = bench.take_in(&[("a.txt", "Oslo is a city."), ("b.txt", "Oslo is a city.")]).await;
    assert_eq!((job.counts.ready, job.counts.duplicate), (1, 1));
    assert_eq!(bench.names().await, ["a.txt"]);
    let items = bench.items(&job).await;
    assert_eq!(items[1].duplicate_of, Some(bench.document("a.txt").await.id));
    let again = bench.take_in(&[("a.txt", "Oslo is a city.")]).await;
    assert_eq!(again.counts.duplicate, 1);
    let document = bench.document("a.txt").await;
    assert_eq!((document.state, document.version), (DocumentState::Ready, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_document_takes_its_old_contributions_away() {
    let mut bench = Bench::new().await;
    bench.take_in(&[("a.txt", "Oslo is a city. Bergen rains."), ("b.txt", "Bergen is wet.")]).await;
    bench.take_in(&[("a.txt", "Trondheim is a city.")]).await;
    assert_eq!(bench.document("a.txt").await.version, 2);
    assert!(!bench.knows("Oslo").await && bench.knows("Trondheim").await && bench.knows("Bergen").await);
    assert_eq!(bench.engine.stats(&bench.ctx).await.unwrap().chunks, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_added_in_a_hurry_end_as_the_last_one() {
    let mut bench = Bench::new().await;
    let mut last = None;
    for n in 0..5 {
        last = Some(bench.add(&[("a.txt", &format!("Town{n} is a city."))]).await);
    }
    let last = last.unwrap();
    bench.ended(&last).await;
    assert!(bench.knows("Town4").await && !bench.knows("Town0").await && !bench.knows("Town3").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_is_seen_at_once() {
    let mut bench = Bench::new().await;
    bench.take_in(&[("a.txt", "Oslo is a city."), ("b.txt", "Bergen is wet.")]).await;
    let id = bench.document("a.txt").await.id;
    assert_eq!(bench.engine.delete(&bench.ctx, vec![id.clone()]).await.unwrap(), std::slice::from_ref(&id));
    assert!(bench.engine.delete(&bench.ctx, vec![id.clone()]).await.unwrap().is_empty());
    assert!(!bench.knows("Oslo").await && bench.knows("Bergen").await);
    let missing = bench.engine.document(&bench.ctx, &id).await.unwrap_err();
    assert_eq!(missing.code(), ErrorCode::NotFound);
    assert_eq!(bench.engine.delete_all(&bench.ctx).await.unwrap(), 1);
    assert!(bench.names().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_deleted_while_it_is_read_stays_away() {
    let mut bench = Bench::new().await;
    bench.doors.shut("at-parse");
    let job = bench.add(&[("a.txt", "Oslo at-parse"), ("b.txt", "Bergen is wet.")]).await;
    bench.doors.wait_for("at-parse");
    let id = bench.document("a.txt").await.id;
    bench.engine.delete(&bench.ctx, vec![id]).await.unwrap();
    bench.doors.open("at-parse");
    bench.ended(&job).await;
    let after = bench.take_in(&[("c.txt", "Voss is near.")]).await;
    assert_eq!(after.counts.ready, 1);
    assert!(!bench.knows("Oslo").await && bench.knows("Bergen").await);
    assert_eq!(bench.names().await, ["b.txt", "c.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_and_deleting_together_leaves_all_or_nothing() {
    let bench = Bench::new().await;
    let id = lorekeep_types::DocumentId::of_source("text:a.txt");
    let rounds = (0..20).map(|n| {
        let (engine, ctx, id) = (bench.engine.clone(), bench.ctx.clone(), id.clone());
        tokio::spawn(async move {
            let text = format!("Oslo is city number {n}.");
            let items = vec![item("a.txt", text.as_bytes())];
            engine.add(&ctx, lorekeep_engine::AddRequest { items, ..Default::default() }).await.unwrap();
            engine.delete(&ctx, vec![id]).await.unwrap();
        })
    });
    for round in rounds.collect::<Vec<_>>() {
        round.await.unwrap();
    }
    let mut bench = bench;
    bench.take_in(&[("last.txt", "Voss is near.")]).await;
    let found = bench.engine.documents_named(&bench.ctx, "a.txt").await.unwrap();
    let ready = found.iter().filter(|document| document.state == DocumentState::Ready).count();
    assert_eq!(bench.knows("Oslo").await, ready > 0);
    assert!(bench.engine.check(&bench.ctx).await.unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_one_document_with_a_section_per_member() {
    let mut bench = Bench::new().await;
    bench.take_in(&[("all.zip", "archive")]).await;
    let id = bench.document("all.zip").await.id;
    let text = bench.engine.document_text(&bench.ctx, &id).await.unwrap();
    let titles: Vec<_> = text.headings.iter().map(|heading| heading.title.as_str()).collect();
    assert_eq!(titles, ["a.txt", "b/c.txt"]);
    assert!(bench.knows("Bergen").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_metadata_and_tags_win() {
    let mut bench = Bench::new().await;
    let mut given = item("a.txt", b"Oslo is a city.");
    given.metadata.title = Some("Capitals".to_owned());
    given.tags = vec!["towns".to_owned()];
    let job = bench.add_items(vec![given]).await;
    bench.ended(&job).await;
    let document = bench.document("a.txt").await;
    assert_eq!(
        (document.metadata.title.as_deref(), document.tags.as_slice()),
        (Some("Capitals"), &["towns".to_owned()][..])
    );
    let tagged = bench.engine.set_tags(&bench.ctx, &document.id, vec!["norway".to_owned()]).await.unwrap();
    assert_eq!(tagged.tags, ["norway"]);
    let refused = bench.engine.set_tags(&bench.ctx, &document.id, vec![" ".to_owned()]).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidRequest);
}
