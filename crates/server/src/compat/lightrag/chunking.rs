//! The `chunking` option of inserts: read strictly, with a fault for every field that is not what it should be.

use lorekeep_types::{Breakpoint, ChunkOptions};
use serde_json::{Map, Value, json};

use super::refuse::Fault;
use super::validate::Fields;

const STRATEGIES: [&str; 5] = ["fixed_token", "recursive_character", "semantic_vector", "paragraph_semantic", "custom"];
const BREAKPOINTS: [&str; 4] = ["percentile", "standard_deviation", "interquartile", "gradient"];
const MOST_SEPARATORS: usize = 64;
const LONGEST_SEPARATOR: usize = 256;

/// Reads `chunking`; `None` when it is absent or faulty. LightRAG's `custom` calls a function that its operator
/// installs and that cuts by tokens when none is; here it always does.
pub(super) fn read(body: &mut Fields) -> Option<ChunkOptions> {
    let chunking = body.object("chunking", false)?;
    let mut reader = Params { params: Map::new(), faults: Vec::new() };
    let mut strategy = "fixed_token";
    for (name, value) in chunking {
        match (name.as_str(), value) {
            ("strategy", Value::String(given)) if STRATEGIES.contains(&given.as_str()) => {
                strategy = STRATEGIES.into_iter().find(|known| *known == given).unwrap_or(strategy);
            }
            ("strategy", value) => {
                reader.fault("literal_error", &["strategy"], format!("Input should be one of {STRATEGIES:?}"), value);
            }
            ("params", Value::Object(params)) => reader.params = params,
            ("params", value) => reader.fault("dict_type", &["params"], "Input should be a valid dictionary", value),
            (other, value) => {
                reader.fault("extra_forbidden", &[other], "Extra inputs are not permitted", value);
            }
        }
    }
    let options = reader.options(strategy);
    reader.refuse_rest();
    let sound = reader.faults.is_empty();
    reader.faults.into_iter().for_each(|fault| body.fault(fault));
    sound.then_some(options)
}

/// The parameters that are left to read, and what was wrong so far.
struct Params {
    params: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Params {
    fn options(&mut self, strategy: &str) -> ChunkOptions {
        let size = self.whole("chunk_token_size", 1);
        match strategy {
            "recursive_character" => {
                ChunkOptions::RecursiveCharacter { size, overlap: self.overlap(size), separators: self.separators() }
            }
            "paragraph_semantic" => {
                // Sections do not overlap; the parameter is LightRAG's and harmless.
                self.overlap(size);
                ChunkOptions::ParagraphSemantic { size, drop_references: self.flag("drop_references") }
            }
            "semantic_vector" => ChunkOptions::SemanticVector {
                size,
                breakpoint: self.breakpoint(),
                amount_milli: self.amount_milli(),
                buffer: self.whole("buffer_size", 1),
            },
            _ => ChunkOptions::FixedToken {
                size,
                overlap: self.overlap(size),
                split_by: self.text("split_by_character"),
                split_only: self.flag("split_by_character_only"),
            },
        }
    }

    fn fault(&mut self, kind: &'static str, place: &[&str], message: impl Into<String>, input: Value) {
        let mut loc = vec![json!("body"), json!("chunking")];
        loc.extend(place.iter().map(|part| json!(part)));
        self.faults.push(Fault::new(kind, loc, message, input));
    }

    /// Takes a parameter; `null` is the same as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.params.remove(name).filter(|value| !value.is_null())
    }

    fn whole(&mut self, name: &str, least: u64) -> Option<usize> {
        let value = self.take(name)?;
        match value.as_u64() {
            Some(number) if number >= least => usize::try_from(number).ok(),
            _ if value.is_i64() || value.is_u64() => {
                let message = format!("Input should be greater than or equal to {least}");
                self.fault("greater_than_equal", &["params", name], message, value);
                None
            }
            _ => {
                self.fault("int_type", &["params", name], "Input should be a valid integer", value);
                None
            }
        }
    }

    /// Less than the size, LightRAG's default size where none is given.
    fn overlap(&mut self, size: Option<usize>) -> Option<usize> {
        let overlap = self.whole("chunk_overlap_token_size", 0)?;
        if size.is_some_and(|size| overlap >= size) || (size.is_none() && overlap >= 1_200) {
            let message = "Value error, chunk_overlap_token_size must be less than chunk_token_size";
            self.fault("value_error", &["params", "chunk_overlap_token_size"], message, json!(overlap));
        }
        Some(overlap)
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.fault("bool_type", &["params", name], "Input should be a valid boolean", other);
                false
            }
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => {
                self.fault("string_type", &["params", name], "Input should be a valid string", other);
                None
            }
        }
    }

    fn separators(&mut self) -> Option<Vec<String>> {
        let value = self.take("separators")?;
        let separators: Option<Vec<String>> =
            value.as_array().and_then(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        let fits = |all: &Vec<String>| {
            all.len() <= MOST_SEPARATORS && all.iter().all(|one| one.chars().count() <= LONGEST_SEPARATOR)
        };
        let separators = separators.filter(fits);
        if separators.is_none() {
            let message = format!(
                "Input should be a list of at most {MOST_SEPARATORS} strings of at most {LONGEST_SEPARATOR} characters"
            );
            self.fault("list_type", &["params", "separators"], message, value);
        }
        separators
    }

    fn breakpoint(&mut self) -> Breakpoint {
        let name = "breakpoint_threshold_type";
        let Some(value) = self.take(name) else { return Breakpoint::default() };
        serde_json::from_value(value.clone()).unwrap_or_else(|_| {
            let message = format!("Input should be one of {BREAKPOINTS:?}");
            self.fault("literal_error", &["params", name], message, value);
            Breakpoint::default()
        })
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be from 0 to 100")]
    fn amount_milli(&mut self) -> Option<u32> {
        let name = "breakpoint_threshold_amount";
        let value = self.take(name)?;
        let amount = value.as_f64().filter(|amount| *amount > 0.0 && *amount <= 100.0);
        if amount.is_none() {
            let message = "Input should be a number greater than 0 and at most 100";
            self.fault("value_error", &["params", name], message, value);
        }
        amount.map(|amount| (amount * 1_000.0).round() as u32)
    }

    /// What no strategy of this name takes.
    fn refuse_rest(&mut self) {
        for (name, value) in std::mem::take(&mut self.params) {
            self.fault("extra_forbidden", &["params", &name], "Extra inputs are not permitted", value);
        }
    }
}
