//! Vectors that are kept: each text is paid for once, and told apart by everything its vector depends on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lorekeep_models::gateway::Gateway;
use lorekeep_models::gateway::settings::{GatewaySettings, ProviderKind, ProviderSettings};
use lorekeep_models::layer::kept::Kept;
use lorekeep_models::price::Prices;
use lorekeep_store::{CacheLimits, SqliteCache, SqliteLedger};
use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use lorekeep_types::{
    CacheKind, Call, CallRow, EmbedKind, ErrorCode, Ledger, ModelCache, ModelDesk as _, ModelId, Models as _, Role,
    WorkspaceName,
};
use serde_json::{Value, json};

use crate::gateway::{Bench, Fixed, upstream};

/// OpenAI's answer: the vector of a text is its length and the length of the shortest vector asked for.
fn vectors(asked: &Asked) -> Option<Reply> {
    let body = asked.json();
    let texts: Vec<&str> = body["input"].as_array()?.iter().filter_map(Value::as_str).collect();
    let item = |(index, text): (usize, &&str)| json!({ "index": index, "embedding": [text.len(), 1.0] });
    let data: Vec<Value> = texts.iter().enumerate().map(item).collect();
    let usage = json!({ "prompt_tokens": 10 * texts.len(), "total_tokens": 10 * texts.len() });
    Some(Reply::json(200, &json!({ "data": data, "model": "m-1", "usage": usage })))
}

fn call() -> Call {
    Call::new("embed", WorkspaceName::default_workspace(), "request-1").kept(CacheKind::Embedding, "embed 1")
}

fn cache() -> Arc<dyn ModelCache> {
    Arc::new(SqliteCache::in_memory(Arc::new(Fixed), CacheLimits::default()).unwrap())
}

fn bench(provider: &Upstream, cache: &Arc<dyn ModelCache>, options: &[(&str, &str)]) -> Bench {
    let option = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let settings = GatewaySettings {
        providers: vec![ProviderSettings {
            name: "p0".to_owned(),
            kind: ProviderKind::Compatible,
            base_url: Some(provider.url()),
            api_key: None,
            options: options.iter().map(option).collect(),
        }],
        roles: BTreeMap::from([(Role::Embed, vec![ModelId::new("p0", "m")])]),
        prices: Arc::new(Prices::from_toml("[prices.m]\ninput_per_mtok = 1\noutput_per_mtok = 1\n").unwrap()),
        ..GatewaySettings::default()
    };
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().unwrap());
    let gateway = Gateway::new(settings, BTreeMap::new(), Arc::clone(&ledger), Arc::new(Fixed)).unwrap();
    Bench { gateway: gateway.keeping(Some(Kept::new(Arc::clone(cache)))), ledger }
}

async fn embed(bench: &Bench, call: &Call, texts: &[&str], kind: EmbedKind) -> Vec<Vec<f32>> {
    bench.gateway.embed().unwrap().unwrap().embed(call, texts, kind).await.unwrap().vectors
}

fn sent(provider: &Upstream) -> Vec<Vec<String>> {
    let texts = |asked: Asked| serde_json::from_value(asked.json()["input"].clone()).unwrap();
    provider.asked().into_iter().map(texts).collect()
}

#[tokio::test]
async fn only_texts_that_were_never_embedded_are_sent() {
    let (provider, cache) = (upstream(vectors).await, cache());
    let first = embed(&bench(&provider, &cache, &[]), &call(), &["a", "bb"], EmbedKind::Passage).await;
    assert_eq!(first, [[1.0, 1.0], [2.0, 1.0]]);
    let bench = bench(&provider, &cache, &[]);
    let more = embed(&bench, &call(), &["ccc", "bb", "a"], EmbedKind::Passage).await;
    assert_eq!(more, [[3.0, 1.0], [2.0, 1.0], [1.0, 1.0]]);
    assert_eq!(sent(&provider), [vec!["a", "bb"], vec!["ccc"]]);
    let rows = bench.closed().await;
    let of = |hit: bool| rows.iter().filter(|row| row.cache_hit == hit).collect::<Vec<&CallRow>>();
    assert_eq!((of(true).len(), of(false).len()), (1, 1), "{rows:?}");
    assert_eq!((of(true)[0].saved.tokens, of(true)[0].cost), (20, Some(0)));
    assert_eq!((of(false)[0].usage.prompt, of(false)[0].operation.as_str()), (10, "embed"));
    assert_eq!(of(true)[0].saved.cost, 2 * of(false)[0].cost.unwrap());
}

#[tokio::test]
async fn a_vector_is_that_of_one_address_kind_workspace_and_length() {
    let (provider, other, cache) = (upstream(vectors).await, upstream(vectors).await, cache());
    let ask = async |upstream: &Upstream, options: &[(&str, &str)], call: &Call, kind| {
        embed(&bench(upstream, &cache, options), call, &["a"], kind).await;
    };
    ask(&provider, &[], &call(), EmbedKind::Passage).await;
    ask(&provider, &[], &call(), EmbedKind::Query).await;
    ask(&provider, &[("dimensions", "2")], &call(), EmbedKind::Passage).await;
    let elsewhere = Call { workspace: WorkspaceName::parse("lab").unwrap(), ..call() };
    ask(&provider, &[], &elsewhere, EmbedKind::Passage).await;
    ask(&other, &[], &call(), EmbedKind::Passage).await;
    assert_eq!((provider.asked().len(), other.asked().len()), (4, 1));
    assert_eq!(provider.asked()[2].json()["dimensions"], 2);
    for (upstream, options, call, kind) in [
        (&provider, vec![], call(), EmbedKind::Query),
        (&provider, vec![("dimensions", "2")], call(), EmbedKind::Passage),
        (&other, vec![], call(), EmbedKind::Passage),
    ] {
        ask(upstream, &options, &call, kind).await;
    }
    assert_eq!((provider.asked().len(), other.asked().len()), (4, 1));
    ask(&provider, &[], &Call { keep: None, ..call() }, EmbedKind::Passage).await;
    assert_eq!(provider.asked().len(), 5, "what is not to be kept is asked");
}

#[tokio::test]
async fn texts_get_the_prefixes_that_the_model_was_trained_with() {
    let (provider, cache) = (upstream(vectors).await, cache());
    let bench = bench(&provider, &cache, &[("query_prefix", "query: "), ("passage_prefix", "passage: ")]);
    embed(&bench, &call(), &["a"], EmbedKind::Passage).await;
    embed(&bench, &call(), &["a"], EmbedKind::Query).await;
    assert_eq!(sent(&provider), [["passage: a"], ["query: a"]]);
}

#[tokio::test]
async fn the_role_takes_one_model_that_can_embed() {
    let (provider, cache) = (upstream(vectors).await, cache());
    let bench = bench(&provider, &cache, &[]);
    let two = vec![ModelId::new("p0", "m"), ModelId::new("p0", "n")];
    let error = bench.gateway.set_role(Role::Embed, two).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.remedy().unwrap().contains("cannot be compared"), "{error:?}");
    bench.gateway.set_role(Role::Embed, vec![ModelId::new("p0", "n")]).unwrap();
    assert_eq!(bench.gateway.embed().unwrap().unwrap().id().model, "n");
}

#[tokio::test]
async fn answers_of_another_address_are_others() {
    let (one, other) =
        (upstream(|_| Some(crate::gateway::good())).await, upstream(|_| Some(crate::gateway::good())).await);
    let cache = cache();
    for provider in [&one, &other, &one] {
        let bench = Bench::new(&[provider], |_| ());
        let bench = Bench { gateway: bench.gateway.keeping(Some(Kept::new(Arc::clone(&cache)))), ledger: bench.ledger };
        let call = crate::conformance::call().kept(CacheKind::Extraction, "extract-1");
        bench.model().chat(&call, &crate::gateway::question()).await.unwrap();
    }
    assert_eq!((one.asked().len(), other.asked().len()), (1, 1));
}

fn slow_vectors(asked: &Asked) -> Option<Reply> {
    let reply = vectors(asked)?;
    Some(Reply::raw(std::iter::once(Step::Wait(Duration::from_millis(200))).chain(reply.steps).collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_equal_batches_are_one() {
    let (provider, cache) = (upstream(slow_vectors).await, cache());
    let bench = bench(&provider, &cache, &[]);
    let call = call();
    let calls = (0..50).map(|_| embed(&bench, &call, &["a", "bb"], EmbedKind::Passage));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|vectors| vectors == &[[1.0, 1.0], [2.0, 1.0]]), "{answers:?}");
    assert_eq!(provider.asked().len(), 1);
    let rows = bench.closed().await;
    assert_eq!((rows.len(), rows.iter().filter(|row| row.cache_hit).count()), (50, 49));
    assert_eq!(rows.iter().map(|row| row.usage.prompt).sum::<u64>(), 20, "tokens are counted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_only_what_no_other_call_embeds_is_sent() {
    let (provider, cache) = (upstream(slow_vectors).await, cache());
    let bench = bench(&provider, &cache, &[]);
    let call = call();
    let (one, other) = futures::join!(
        embed(&bench, &call, &["a", "bb", "a"], EmbedKind::Passage),
        embed(&bench, &call, &["ccc", "bb"], EmbedKind::Passage),
    );
    assert_eq!(
        (one, other),
        (vec![vec![1.0, 1.0], vec![2.0, 1.0], vec![1.0, 1.0]], vec![vec![3.0, 1.0], vec![2.0, 1.0]])
    );
    let mut texts = sent(&provider);
    texts.sort();
    assert_eq!(texts, [vec!["a", "bb"], vec!["ccc"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_although_the_first_caller_leaves() {
    let (provider, cache) = (upstream(slow_vectors).await, cache());
    let bench = bench(&provider, &cache, &[]);
    let call = call();
    let mut first = Box::pin(embed(&bench, &call, &["a"], EmbedKind::Passage));
    while provider.asked().is_empty() {
        assert!(futures::poll!(&mut first).is_pending());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut second = Box::pin(embed(&bench, &call, &["a"], EmbedKind::Passage));
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await, [[1.0, 1.0]]);
    assert_eq!(provider.asked().len(), 1);
}
