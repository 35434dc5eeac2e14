//! Reading of bodies and queries by the rules of LightRAG's models (pydantic), with the same faults.

use axum::extract::{Query, Request};
use axum::http::Uri;
use lorekeep_types::ErrorCode;
use serde_json::{Map, Value, json};

use super::refuse::{Answer, Fault, Refusal};
use crate::extract;

/// Reads a JSON object of at most `limit` bytes, whatever its content type.
pub(crate) async fn body(request: Request, limit: usize) -> Answer<Fields> {
    let bytes = extract::bytes(request.into_body(), limit)
        .await
        .map_err(|error| if error.code() == ErrorCode::TooLarge { Refusal::too_large(limit) } else { error.into() })?;
    if bytes.is_empty() {
        return Err(Refusal::Invalid(vec![Fault::new("missing", vec![json!("body")], "Field required", Value::Null)]));
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|fault| {
        let place = byte_offset(&bytes, fault.line(), fault.column());
        let loc = vec![json!("body"), json!(place)];
        let fault =
            Fault::new("json_invalid", loc, "JSON decode error", json!({})).ctx(json!({"error": fault.to_string()}));
        Refusal::Invalid(vec![fault])
    })?;
    match value {
        Value::Object(fields) => Ok(Fields { place: "body", fields, faults: Vec::new() }),
        other => Err(Refusal::Invalid(vec![Fault::new(
            "model_attributes_type",
            vec![json!("body")],
            "Input should be a valid dictionary or object to extract fields from",
            other,
        )])),
    }
}

fn byte_offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize = bytes.split(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(|row| row.len() + 1).sum();
    before + column.saturating_sub(1)
}

/// The query string as fields; all values are text.
pub(crate) fn query(uri: &Uri) -> Fields {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|query| query.0).unwrap_or_default();
    let fields = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    Fields { place: "query", fields, faults: Vec::new() }
}

/// Fields being read; faults are gathered, so that a client hears of all at once.
#[derive(Debug)]
pub(crate) struct Fields {
    place: &'static str,
    fields: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Fields {
    /// The faults found, or nothing.
    pub(crate) fn check(&mut self) -> Answer<()> {
        if self.faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(std::mem::take(&mut self.faults))) }
    }

    /// The whole input.
    pub(crate) fn input(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// A rule over several fields that is broken.
    pub(crate) fn broken_rule(&mut self, message: impl std::fmt::Display) {
        let input = self.input();
        let message = format!("Value error, {message}");
        let fault = Fault::new("value_error", vec![json!(self.place)], message, input).ctx(json!({"error": {}}));
        self.faults.push(fault);
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(crate) fn loc(&self, name: &str) -> Vec<Value> {
        vec![json!(self.place), json!(name)]
    }

    fn given(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A field of any type; a required one must be there and not null.
    pub(crate) fn take(&mut self, name: &str, required: bool) -> Option<Value> {
        match self.given(name) {
            Some(value) => Some(value.clone()),
            None => {
                if required {
                    self.missing(name);
                }
                None
            }
        }
    }

    fn missing(&mut self, name: &str) {
        let fault = Fault::new("missing", self.loc(name), "Field required", self.input());
        self.faults.push(fault);
    }

    /// A text of `least` to `most` code points.
    pub(crate) fn text(&mut self, name: &str, required: bool, (least, most): (usize, usize)) -> Option<String> {
        let value = self.take(name, required)?;
        let loc = self.loc(name);
        match checked_text(value, loc, least, most) {
            Ok(text) => Some(text),
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    /// `true` or `false`, also as pydantic reads them from text and numbers.
    pub(crate) fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.take(name, false) else { return default };
        let read = match &value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => match number.as_f64() {
                Some(0.0) => Some(false),
                Some(1.0) => Some(true),
                _ => None,
            },
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "t" | "y" | "yes" | "on" => Some(true),
                "false" | "0" | "f" | "n" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        read.unwrap_or_else(|| {
            let (kind, message) = if value.is_string() || value.is_number() {
                ("bool_parsing", "Input should be a valid boolean, unable to interpret input")
            } else {
                ("bool_type", "Input should be a valid boolean")
            };
            self.faults.push(Fault::new(kind, self.loc(name), message, value));
            default
        })
    }

    /// A whole number of `least` to `most`.
    pub(crate) fn number(&mut self, name: &str, default: usize, (least, most): (usize, usize)) -> usize {
        let Some(value) = self.take(name, false) else { return default };
        match whole(&value, self.loc(name), least, most) {
            Ok(number) => number,
            Err(fault) => {
                self.faults.push(fault);
                default
            }
        }
    }

    /// One of the texts in `allowed`.
    pub(crate) fn one_of(&mut self, name: &str, allowed: &[&'static str]) -> Option<&'static str> {
        let value = self.take(name, false)?;
        let found = allowed.iter().find(|known| value.as_str() == Some(known)).copied();
        if found.is_none() {
            let expected = listed(allowed);
            let fault = Fault::new("literal_error", self.loc(name), format!("Input should be {expected}"), value)
                .ctx(json!({"expected": expected}));
            self.faults.push(fault);
        }
        found
    }

    /// A list of texts, each of `least` to `most` code points; `None` when it is absent or faulty.
    pub(crate) fn texts(&mut self, name: &str, required: bool, each: (usize, usize)) -> Option<Vec<String>> {
        let items = self.list(name, required)?;
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let mut loc = self.loc(name);
            loc.push(json!(index));
            match checked_text(item, loc, each.0, each.1) {
                Ok(text) => texts.push(text),
                Err(fault) => self.faults.push(fault),
            }
        }
        Some(texts)
    }

    /// A list.
    pub(crate) fn list(&mut self, name: &str, required: bool) -> Option<Vec<Value>> {
        match self.take(name, required)? {
            Value::Array(items) => Some(items),
            other => {
                self.faults.push(Fault::new("list_type", self.loc(name), "Input should be a valid list", other));
                None
            }
        }
    }

    /// Says that a list is shorter or longer than it may be.
    pub(crate) fn length(&mut self, name: &str, actual: usize, (least, most): (usize, usize)) {
        let items = |count: usize| if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
        let input = self.fields.get(name).cloned().unwrap_or(Value::Null);
        let (kind, message, ctx) = if actual < least {
            let message = format!("List should have at least {} after validation, not {actual}", items(least));
            ("too_short", message, json!({"field_type": "List", "min_length": least, "actual_length": actual}))
        } else if actual > most {
            let message = format!("List should have at most {} after validation, not {actual}", items(most));
            ("too_long", message, json!({"field_type": "List", "max_length": most, "actual_length": actual}))
        } else {
            return;
        };
        self.faults.push(Fault::new(kind, self.loc(name), message, input).ctx(ctx));
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str, required: bool) -> Option<Map<String, Value>> {
        match self.take(name, required)? {
            Value::Object(fields) => Some(fields),
            other => {
                self.faults.push(Fault::new("dict_type", self.loc(name), "Input should be a valid dictionary", other));
                None
            }
        }
    }
}

fn checked_text(value: Value, loc: Vec<Value>, least: usize, most: usize) -> Result<String, Fault> {
    let Value::String(text) = value else {
        return Err(Fault::new("string_type", loc, "Input should be a valid string", value));
    };
    let characters = |count: usize| if count == 1 { "1 character".to_owned() } else { format!("{count} characters") };
    let length = if text.len() < least || text.len() > most { text.chars().count() } else { text.len() };
    if length < least || (least > 0 && text.is_empty()) {
        let message = format!("String should have at least {}", characters(least));
        return Err(Fault::new("string_too_short", loc, message, json!(text)).ctx(json!({"min_length": least})));
    }
    if length > most {
        let message = format!("String should have at most {}", characters(most));
        // The input is not sent back: it may be the megabyte that is being refused.
        return Err(Fault::new("string_too_long", loc, message, json!(head(&text))).ctx(json!({"max_length": most})));
    }
    Ok(text)
}

fn head(text: &str) -> String {
    text.chars().take(80).collect::<String>() + "…"
}

fn whole(value: &Value, loc: Vec<Value>, least: usize, most: usize) -> Result<usize, Fault> {
    let number = match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole,
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole; out of range saturates")]
            (None, Some(real)) if real.fract() == 0.0 => real as i64,
            _ => {
                let message = "Input should be a valid integer, got a number with a fractional part";
                return Err(Fault::new("int_from_float", loc, message, value.clone()));
            }
        },
        Value::String(text) => text.trim().parse().map_err(|_| {
            let message = "Input should be a valid integer, unable to parse string as an integer";
            Fault::new("int_parsing", loc.clone(), message, value.clone())
        })?,
        _ => return Err(Fault::new("int_type", loc, "Input should be a valid integer", value.clone())),
    };
    let size = usize::try_from(number).unwrap_or(0);
    if number < 0 || size < least {
        let message = format!("Input should be greater than or equal to {least}");
        return Err(Fault::new("greater_than_equal", loc, message, value.clone()).ctx(json!({"ge": least})));
    }
    if size > most {
        let message = format!("Input should be less than or equal to {most}");
        return Err(Fault::new("less_than_equal", loc, message, value.clone()).ctx(json!({"le": most})));
    }
    Ok(size)
}

/// `'a', 'b' or 'c'`.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
