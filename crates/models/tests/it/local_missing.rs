//! The kind `local` in a build without the feature `local-models`.

use std::collections::BTreeMap;

use lorekeep_models::gateway::settings::{ProviderKind, ProviderSettings};
use lorekeep_types::{ErrorCode, ModelId, Models as _, Role};

use crate::gateway::Bench;

#[test]
fn the_error_names_the_feature_and_how_to_build_it() {
    let bench = Bench::new(&[], |settings| {
        settings.providers = vec![ProviderSettings {
            name: "here".to_owned(),
            kind: ProviderKind::Local,
            base_url: None,
            api_key: None,
            options: BTreeMap::from([("path".to_owned(), "/models/tiny".to_owned())]),
        }];
        settings.roles = BTreeMap::from([(Role::Answer, vec![ModelId::new("here", "tiny")])]);
    });
    let error = bench.gateway.chat_by_id(&ModelId::new("here", "tiny")).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.to_string().contains("this build runs no models in its own process"), "{error}");
    assert!(error.remedy().unwrap().contains("cargo build --release --features local-models"));
}
