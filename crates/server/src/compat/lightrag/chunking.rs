//! The `chunking` option of inserts. Chunking is chosen once, in the configuration; the option is validated so that
//! a client's mistake is told, and otherwise has no effect.

use serde_json::{Value, json};

use super::refuse::Fault;
use super::validate::Fields;

const STRATEGIES: [&str; 5] = ["fixed_token", "recursive_character", "semantic_vector", "paragraph_semantic", "custom"];
const PARAMS: [&str; 9] = [
    "chunk_token_size",
    "chunk_overlap_token_size",
    "split_by_character",
    "split_by_character_only",
    "separators",
    "drop_references",
    "breakpoint_threshold_type",
    "breakpoint_threshold_amount",
    "buffer_size",
];

/// Reads and checks `chunking`.
pub(super) fn check(body: &mut Fields) {
    let Some(chunking) = body.object("chunking", false) else { return };
    for (name, value) in &chunking {
        let loc = vec![json!("body"), json!("chunking"), json!(name)];
        let fault = match name.as_str() {
            "strategy" if !value.as_str().is_some_and(|name| STRATEGIES.contains(&name)) => {
                Some(Fault::new("enum", loc, format!("Input should be one of {STRATEGIES:?}"), value.clone()))
            }
            "strategy" => None,
            "params" => params(body, value),
            _ => Some(Fault::new("extra_forbidden", loc, "Extra inputs are not permitted", value.clone())),
        };
        if let Some(fault) = fault {
            body.fault(fault);
        }
    }
}

fn params(body: &mut Fields, value: &Value) -> Option<Fault> {
    let loc = vec![json!("body"), json!("chunking"), json!("params")];
    let Value::Object(params) = value else {
        return Some(Fault::new("dict_type", loc, "Input should be a valid dictionary", value.clone()));
    };
    for (name, value) in params {
        let mut loc = loc.clone();
        loc.push(json!(name));
        if !PARAMS.contains(&name.as_str()) {
            body.fault(Fault::new("extra_forbidden", loc, "Extra inputs are not permitted", value.clone()));
        } else if name == "chunk_token_size" && value.as_u64().is_none_or(|size| size == 0) {
            let fault =
                Fault::new("greater_than_equal", loc, "Input should be greater than or equal to 1", value.clone());
            body.fault(fault.ctx(json!({"ge": 1})));
        }
    }
    None
}
