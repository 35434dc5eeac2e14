//! Models in this process against what `transformers` computes with the same weights (`fixtures/local/make.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use lorekeep_models::gateway::settings::{ProviderKind, ProviderSettings};
use lorekeep_models::local::bert::Bert;
use lorekeep_models::local::folder::find;
use lorekeep_models::local::llama::Llama;
use lorekeep_models::local::{LocalChat, LocalEmbed, LocalError, LocalSettings};
use lorekeep_types::{
    ChatEvent, ChatMessage, ChatModel as _, ChatRequest, ChatRole, Completion, EmbedKind, EmbeddingProvider as _,
    ErrorCode, FinishReason, ModelError, ModelFault, ModelId, Models as _, OutputFormat, PromptModel as _,
    ResidentModel as _, Role,
};
use serde_json::Value;

use crate::conformance::call;
use crate::gateway::Bench;

const MINUTE: Duration = Duration::from_secs(60);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/local").join(name)
}

fn reference(of: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(of).join("reference.json")).unwrap()).unwrap()
}

fn numbers<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}

fn llama(name: &str) -> Llama {
    Llama::load(&find(&fixture(name)).unwrap(), 512).unwrap()
}

/// How far computed logits are from the expected ones, relative to the largest of the latter: at most, and on average
/// (root of the mean square).
fn difference(model: &mut Llama, expected: &str) -> (f32, f32) {
    let reference = reference("llama");
    let prompt: Vec<u32> = numbers(&reference["prompt"]);
    let positions: Vec<usize> = numbers(&reference["positions"]);
    let (mut worst, mut squares, mut count): (f32, f32, f32) = (0.0, 0.0, 0.0);
    for (at, row) in positions.iter().zip(reference[expected].as_array().unwrap()) {
        let expected: Vec<f32> = numbers(row);
        model.reset();
        let logits = model.forward(&prompt[..=*at]).unwrap();
        assert_eq!(logits.len(), expected.len());
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for apart in logits.iter().zip(&expected).map(|(one, other)| (one - other).abs() / largest) {
            worst = worst.max(apart);
            squares += apart * apart;
            count += 1.0;
        }
    }
    (worst, (squares / count).sqrt())
}

#[test]
fn logits_are_those_of_transformers() {
    for name in ["llama", "llama-f16.gguf"] {
        let (worst, _) = difference(&mut llama(name), "logits");
        assert!(worst <= 1e-3, "{name}: {worst:e}");
    }
}

#[test]
fn quantised_logits_are_those_of_the_same_weights_taken_apart() {
    // The kernels round states to eight bits as well, which the reference does not.
    let (worst, average) = difference(&mut llama("llama-q8_0.gguf"), "quantised_logits");
    assert!(worst <= 8e-2 && average <= 1.5e-2, "{worst:e} {average:e}");
}

#[test]
fn a_prompt_read_in_pieces_is_the_same_prompt() {
    let prompt: Vec<u32> = numbers(&reference("llama")["prompt"]);
    let mut model = llama("llama");
    let whole = model.forward(&prompt).unwrap();
    model.reset();
    let mut pieces = Vec::new();
    for piece in prompt.chunks(7) {
        pieces = model.forward(piece).unwrap();
    }
    let apart = whole.iter().zip(&pieces).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-3, "{apart:e}");
    assert_eq!(model.read(), prompt.len());
}

#[test]
fn vectors_are_those_of_the_reference() {
    let (reference, model) = (reference("bert"), Bert::load(&fixture("bert")).unwrap());
    let texts: Vec<String> = numbers(&reference["texts"]);
    let made = model.embed(&texts).unwrap();
    assert_eq!((made.vectors.len(), made.cut), (texts.len(), 1), "the last text is longer than the model reads");
    for (text, (vector, expected)) in
        texts.iter().zip(made.vectors.iter().zip(reference["vectors"].as_array().unwrap()))
    {
        let expected: Vec<f32> = numbers(expected);
        let apart = vector.iter().zip(&expected).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{text:?}: {apart:e}");
    }
}

fn id(name: &str) -> ModelId {
    ModelId::new("here", name)
}

fn chat(name: &str) -> LocalChat {
    LocalChat::open(id(name), &fixture(name), LocalSettings::default(), MINUTE).unwrap()
}

fn greedy(max_tokens: u32) -> ChatRequest {
    ChatRequest { max_tokens: Some(max_tokens), temperature: Some(0.0), ..ChatRequest::default() }
}

fn question() -> Vec<ChatMessage> {
    vec![ChatMessage::text(ChatRole::User, "Who measured the tides?")]
}

/// Continues the reference's prompt: the pieces of the text, and its end.
async fn continued(model: &LocalChat, request: &ChatRequest) -> (Vec<String>, Result<Completion, ModelError>) {
    let text = "The observatory was founded in 1921 by Ada Moreau";
    let mut events = model.complete(&call(), text, request).await.unwrap();
    let mut pieces = Vec::new();
    loop {
        match events.next().await.unwrap() {
            Ok(ChatEvent::Text(piece)) => pieces.push(piece),
            Ok(ChatEvent::Done(done)) => return (pieces, Ok(*done)),
            Err(error) => return (pieces, Err(error)),
        }
    }
}

#[test]
fn the_likeliest_tokens_are_those_of_transformers() {
    let reference = reference("llama");
    let (mut tokens, expected): (Vec<u32>, Vec<u32>) =
        (numbers(&reference["prompt"]), numbers(&reference["generated"]));
    let mut model = llama("llama");
    let mut written = Vec::new();
    for _ in &expected {
        let logits = model.forward(&tokens).unwrap();
        let best = (0..).zip(&logits).max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap().0;
        written.push(best);
        tokens = vec![best];
    }
    assert_eq!(written, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_streams_and_reports_its_tokens() {
    let model = chat("llama");
    let (pieces, done) = continued(&model, &greedy(24)).await;
    let done = done.unwrap();
    assert!(pieces.len() > 3, "{pieces:?}");
    assert_eq!((pieces.concat(), &done.finish, done.usage.completion), (done.text.clone(), &FinishReason::Length, 24));
    assert!(done.usage.prompt > 10 && !done.usage.estimated);
    assert!(!done.text.contains("observatory"), "the prompt is not repeated");
    let figures = model.figures();
    assert_eq!((figures.device.as_str(), figures.context), ("cpu", 512));
    assert!(figures.weight_bytes > 50_000 && figures.cache_bytes > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_and_file_write_the_same() {
    let request = ChatRequest { messages: question(), ..greedy(16) };
    let from_folder = chat("llama").chat(&call(), &request).await.unwrap();
    let from_file = chat("llama-f16.gguf").chat(&call(), &request).await.unwrap();
    assert_eq!((from_folder.text, from_folder.usage), (from_file.text, from_file.usage));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_repeats_an_answer_and_a_stop_text_ends_it() {
    let model = chat("llama");
    let seeded = |seed| ChatRequest { temperature: Some(1.5), seed: Some(seed), ..greedy(24) };
    let one = continued(&model, &seeded(1)).await.1.unwrap().text;
    assert_eq!(continued(&model, &seeded(1)).await.1.unwrap().text, one);
    assert_ne!(continued(&model, &seeded(2)).await.1.unwrap().text, one);
    let whole = continued(&model, &greedy(24)).await.1.unwrap().text;
    let stop: String = whole.chars().skip(5).take(3).collect();
    let stopped = continued(&model, &ChatRequest { stop: vec![stop.clone()], ..greedy(24) }).await;
    let text = stopped.1.unwrap();
    assert_eq!((text.finish, stopped.0.concat()), (FinishReason::Stop, text.text.clone()));
    assert_eq!(text.text, whole.split(&stop).next().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let settings = LocalSettings { context: 16, ..LocalSettings::default() };
    let narrow = LocalChat::open(id("narrow"), &fixture("llama"), settings, MINUTE).unwrap();
    let long = ChatRequest { messages: question(), ..greedy(8) };
    let error = narrow.chat(&call(), &long).await.unwrap_err();
    assert_eq!(error.fault, ModelFault::Request);
    assert!(error.message.contains("the model is loaded with room for 16; ask with less context"), "{error}");

    let output = OutputFormat::Schema { name: "x".to_owned(), schema: "{}".to_owned() };
    let error = chat("llama").chat(&call(), &ChatRequest { output, ..long.clone() }).await.unwrap_err();
    assert_eq!(error.fault, ModelFault::Capability);

    let twice = [question(), question()].concat();
    let error = chat("llama").chat(&call(), &ChatRequest { messages: twice, ..greedy(8) }).await.unwrap_err();
    assert!(error.message.ends_with("refuses the conversation: turns must alternate"), "{error}");

    let late = lorekeep_types::Call { deadline: Some(Instant::now()), ..call() };
    let error = chat("llama").chat(&late, &long).await.unwrap_err();
    assert!(matches!(error.fault, ModelFault::Timeout(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_come_through_the_port() {
    let model = LocalEmbed::open(id("bert"), &fixture("bert"), LocalSettings::default()).unwrap();
    let expected: Vec<f32> = numbers(&reference("bert")["vectors"][4]);
    let made = model.embed(&call(), &["tides"], EmbedKind::Query).await.unwrap();
    let apart = made.vectors[0].iter().zip(&expected).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-4 && made.usage.prompt > 2, "{apart:e}");
    let many = vec!["x"; model.batch() + 1];
    assert_eq!(model.embed(&call(), &many, EmbedKind::Query).await.unwrap_err().fault, ModelFault::Request);
}

fn copied(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let from = entry.unwrap().path();
        std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_are_named_before_anything_is_computed() {
    assert!(matches!(find(Path::new("/nowhere")), Err(LocalError::Missing { .. })));
    let empty = tempfile::tempdir().unwrap();
    let error = find(empty.path()).unwrap_err();
    assert!(error.to_string().ends_with("config.json is missing") && error.remedy().unwrap().contains(".gguf"));

    let foreign = copied("llama");
    std::fs::write(foreign.path().join("config.json"), r#"{"model_type": "mamba"}"#).unwrap();
    let error = find(foreign.path()).unwrap_err();
    assert!(error.to_string().contains("a model of the kind `mamba`"), "{error}");

    let cut = copied("llama");
    let weights = cut.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 100]).unwrap();
    let model = LocalChat::open(id("cut"), cut.path(), LocalSettings::default(), MINUTE).unwrap();
    let error = model.ready().await.unwrap_err();
    assert!(matches!(error, LocalError::Truncated { promised, found, .. } if promised == found + 100), "{error}");
    let error = model.chat(&call(), &ChatRequest { messages: question(), ..greedy(1) }).await.unwrap_err();
    assert!(error.message.contains("is cut off"), "{error}");

    let file = std::fs::read(fixture("llama-f16.gguf")).unwrap();
    let shorter = empty.path().join("short.gguf");
    std::fs::write(&shorter, &file[..file.len() - 100]).unwrap();
    assert!(matches!(Llama::load(&find(&shorter).unwrap(), 64).err().unwrap(), LocalError::Truncated { .. }));

    let error = LocalChat::open(id("bert"), &fixture("bert"), LocalSettings::default(), MINUTE).err().unwrap();
    assert!(error.to_string().contains("it embeds and does not write"), "{error}");
}

fn provider(path: &str) -> ProviderSettings {
    ProviderSettings {
        name: "here".to_owned(),
        kind: ProviderKind::Local,
        base_url: None,
        api_key: None,
        options: BTreeMap::from([("path".to_owned(), path.to_owned())]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_filled_by_a_model_that_stays_in_memory() {
    let folder = copied("llama");
    let bench = Bench::new(&[], |settings| {
        settings.providers = vec![provider(&folder.path().display().to_string())];
        settings.roles = BTreeMap::from([(Role::Answer, vec![id("tiny")])]);
    });
    let request = ChatRequest { messages: question(), ..greedy(12) };
    let answer = bench.model().chat(&call(), &request).await.unwrap();
    let rows = bench.closed().await;
    assert_eq!((rows.len(), rows[0].status.as_str(), rows[0].usage.completion), (1, "ok", answer.usage.completion));
    assert_eq!(rows[0].model, id("tiny"));
    let same = LocalChat::open(id("again"), folder.path(), LocalSettings::default(), MINUTE).unwrap();
    assert_eq!(same.figures().completion_tokens, answer.usage.completion);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_could_not_be_loaded_is_tried_anew() {
    let folder = copied("llama");
    let weights = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..100]).unwrap();
    let bench = Bench::new(&[], |settings| {
        settings.providers = vec![provider(&folder.path().display().to_string())];
        settings.roles = BTreeMap::from([(Role::Answer, vec![id("tiny")])]);
    });
    let request = ChatRequest { messages: question(), ..greedy(4) };
    let error = bench.model().chat(&call(), &request).await.unwrap_err();
    assert!(error.message.contains("is cut off"), "{error}");
    std::fs::write(&weights, &bytes).unwrap();
    assert_eq!(bench.model().chat(&call(), &request).await.unwrap().usage.completion, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_a_model_names_what_it_lacks() {
    let bench = Bench::new(&[], |settings| {
        settings.providers = vec![provider("/nowhere")];
        settings.roles = BTreeMap::from([(Role::Answer, vec![id("tiny")])]);
    });
    let error = bench.gateway.chat_by_id(&id("tiny")).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.to_string().contains("the provider `here` (local): /nowhere is missing"), "{error}");
}
