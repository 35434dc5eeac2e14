//! What a kind of provider is said to offer is what a provider of it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use lorekeep_models::gateway::Gateway;
use lorekeep_models::gateway::build::Provider;
use lorekeep_models::gateway::settings::{GatewaySettings, ProviderKind, ProviderSettings};
use lorekeep_store::SqliteLedger;
use lorekeep_testkit::upstream::{Reply, Upstream};
use lorekeep_types::{Error, ErrorCode, ModelId, Result, Role, Secret};

use crate::conformance::{call, question};
use crate::gateway::Fixed;

/// A provider of the kind with all that any kind needs.
fn settings(kind: ProviderKind, url: &str) -> ProviderSettings {
    let options = [("project_id", "p"), ("path", "tests/fixtures/local/llama")];
    ProviderSettings {
        name: "one".to_owned(),
        kind,
        base_url: Some(url.to_owned()),
        api_key: Some(Secret::new("k")),
        options: options.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    }
}

fn provider(kind: ProviderKind, url: &str) -> Provider {
    Provider::new(&settings(kind, url), &GatewaySettings::default()).unwrap()
}

/// Models in this process are files: which of them writes and which embeds is theirs to say.
fn kinds() -> impl Iterator<Item = ProviderKind> {
    ProviderKind::ALL.into_iter().filter(|kind| *kind != ProviderKind::Local)
}

#[tokio::test]
async fn the_table_says_what_a_provider_has() {
    fn has<M>(outcome: Result<M>) -> bool {
        let code = outcome.err().map(|error: Error| error.code());
        assert!(code.is_none_or(|code| code == ErrorCode::CapabilityMissing), "{code:?}");
        code.is_none()
    }
    for kind in kinds() {
        let (provider, says) = (provider(kind, "http://127.0.0.1:1"), kind.capabilities());
        let objects = [
            ("chat", has(provider.chat("m")), says.chat),
            ("vision", has(provider.vision("m")), says.vision),
            ("embed", has(provider.embed("m")), says.embed),
            ("rerank", has(provider.rerank("m")), says.rerank),
            ("transcribe", has(provider.transcribe("m")), says.transcribe),
            ("speak", has(provider.speak("m")), says.speak),
        ];
        for (capability, has, says) in objects {
            assert_eq!(has, says, "{capability} of {}", kind.name());
        }
        if let Ok(model) = provider.chat("m") {
            assert_eq!(model.capabilities(), says, "{}", kind.name());
        }
        assert!(says.chat || !(says.stream || says.json_schema || says.vision || says.web), "{}", kind.name());
    }
}

/// The headers that OpenRouter ranks applications by come from the settings.
#[tokio::test]
async fn settings_become_headers() {
    let upstream = Upstream::start([Reply::written("Ada.")]).await.unwrap();
    let mut settings = settings(ProviderKind::OpenRouter, &upstream.url());
    for (key, value) in [("referer", "https://lab.example"), ("title", "Lab")] {
        settings.options.insert(key.to_owned(), value.to_owned());
    }
    let provider = Provider::new(&settings, &GatewaySettings::default()).unwrap();
    provider.chat("m").unwrap().chat(&call(), &question()).await.unwrap();
    let asked = &upstream.asked()[0];
    assert_eq!((asked.header("http-referer"), asked.header("x-title")), (Some("https://lab.example"), Some("Lab")));
}

#[tokio::test]
async fn a_role_takes_only_models_that_can_fill_it() {
    let make = |kind, role| {
        let settings = GatewaySettings {
            providers: vec![settings(kind, "http://127.0.0.1:1")],
            roles: BTreeMap::from([(role, vec![ModelId::new("one", "m")])]),
            ..GatewaySettings::default()
        };
        Gateway::new(settings, BTreeMap::new(), Arc::new(SqliteLedger::in_memory().unwrap()), Arc::new(Fixed))
    };
    let Err(error) = make(ProviderKind::Generate, Role::Vision) else { panic!("it reads no pictures") };
    assert_eq!(error.code(), ErrorCode::CapabilityMissing);
    assert!(error.message().contains("the provider `one` (generate) has no vision"), "{error}");
    assert!(make(ProviderKind::Generate, Role::Answer).is_ok());
    assert!(make(ProviderKind::Ollama, Role::Vision).is_ok());
}
