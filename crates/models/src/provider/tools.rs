//! Tools in OpenAI's shape, in which most wires have them.

use lorekeep_types::{ChatMessage, ChatRequest, ModelFault, Part, Tool, ToolCall, ToolChoice};
use serde_json::{Value, json};

use super::openai::string;
use super::wire::{Piece, ToolPiece, WireFault};

/// The list of tools; `None` without any.
///
/// # Errors
/// `Request` when the parameters of one are not JSON.
pub fn list(request: &ChatRequest) -> Result<Option<Value>, WireFault> {
    let tool = |tool: &Tool| {
        let function = json!({ "name": tool.name, "description": tool.description, "parameters": parameters(tool)? });
        Ok(json!({ "type": "function", "function": function }))
    };
    let tools = request.tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    Ok((!tools.is_empty()).then_some(Value::Array(tools)))
}

/// The schema of a tool's arguments.
///
/// # Errors
/// `Request` when it is not JSON.
pub fn parameters(tool: &Tool) -> Result<Value, WireFault> {
    serde_json::from_str(&tool.parameters).map_err(|error| {
        let message = format!("the parameters of the tool `{}` are not JSON: {error}", tool.name);
        WireFault::new(ModelFault::Request, message)
    })
}

/// Whether tools are asked for; `None` where the provider's usual is meant, or there are no tools.
#[must_use]
pub fn choice(request: &ChatRequest) -> Option<Value> {
    let choice = match &request.tool_choice {
        ToolChoice::Auto => return None,
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({ "type": "function", "function": { "name": name } }),
    };
    (!request.tools.is_empty()).then_some(choice)
}

/// The calls that an earlier answer asked for.
pub fn calls(message: &ChatMessage) -> impl Iterator<Item = &ToolCall> {
    message.parts.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    })
}

/// An earlier call's arguments as the JSON that they are, for wires that do not take text.
///
/// # Errors
/// `Request` when they are not JSON.
pub fn arguments(call: &ToolCall) -> Result<Value, WireFault> {
    serde_json::from_str(&call.arguments).map_err(|error| {
        let message = format!("the arguments of the call `{}` of `{}` are not JSON: {error}", call.id, call.name);
        WireFault::new(ModelFault::Request, message)
    })
}

/// A message's calls and results: the messages of OpenAI's shape for it, `None` when it has neither.
#[must_use]
pub fn messages(message: &ChatMessage) -> Option<Vec<Value>> {
    let results: Vec<Value> = message.parts.iter().filter_map(result).collect();
    if !results.is_empty() {
        return Some(results);
    }
    let call = |call: &ToolCall| {
        let function = json!({ "name": call.name, "arguments": call.arguments });
        json!({ "id": call.id, "type": "function", "function": function })
    };
    let calls: Vec<Value> = calls(message).map(call).collect();
    let text = Some(message.plain()).filter(|text| !text.is_empty());
    let asked = || json!({ "role": message.role.name(), "content": text, "tool_calls": calls });
    (!calls.is_empty()).then(|| vec![asked()])
}

fn result(part: &Part) -> Option<Value> {
    match part {
        Part::ToolResult { id, text, .. } => Some(json!({ "role": "tool", "tool_call_id": id, "content": text })),
        _ => None,
    }
}

/// The calls in an answer's message, or the pieces of calls in a delta.
#[must_use]
pub fn pieces(message: &Value) -> Vec<Piece> {
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    calls.enumerate().map(|(at, call)| Piece::ToolCall(piece(call, at))).collect()
}

fn piece(call: &Value, at: usize) -> ToolPiece {
    let index = call.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
    ToolPiece {
        index: index.unwrap_or(at),
        id: string(call, "/id").unwrap_or_default(),
        name: string(call, "/function/name").unwrap_or_default(),
        arguments: string(call, "/function/arguments").unwrap_or_default(),
        signature: None,
    }
}
