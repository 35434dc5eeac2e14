//! The prompt that `only_need_prompt` shows: what a model would be told to answer from the context.

use super::request::QueryBody;

/// The prompt around `context`, and the question after LightRAG's marker.
pub(super) fn text(body: &QueryBody, context: &str) -> String {
    let more = if body.user_prompt.is_empty() { "n/a" } else { &body.user_prompt };
    format!(
        "---Role---\n\nYou answer questions from the documents in the context and from nothing else.\n\n\
         ---Instructions---\n\n\
         1. Use only what the context states. Where it holds no answer, say so.\n\
         2. Put the [reference_id] of its chunk after every statement.\n\
         3. Answer in the language of the question, as {}.\n\
         4. End with a section `### References` that lists the documents used.\n\
         5. Further instructions: {more}\n\n\
         ---Context---\n{context}\n---User Query---\n\n{}",
        body.response_type, body.query
    )
}
