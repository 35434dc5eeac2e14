//! Upload bodies (RFC 7578), made by hand because they go to the router of this process as well as over HTTP.

use lorekeep_types::Ids;

use crate::ports::UuidIds;

/// One file of an upload.
pub struct FilePart {
    /// Identity of the document.
    pub source: String,
    /// Display name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The content type and the body. `fields` come first and apply to the whole upload.
pub fn encode(fields: &[(&str, &str)], files: &[FilePart]) -> (String, Vec<u8>) {
    // Unique and unguessable enough that no file holds it.
    let boundary = format!("lorekeep-{}", UuidIds.next());
    let size: usize = files.iter().map(|file| file.bytes.len() + 512).sum();
    let mut body = Vec::with_capacity(size);
    for (name, value) in fields {
        text_part(&mut body, &boundary, name, value);
    }
    for file in files {
        text_part(&mut body, &boundary, "source", &file.source);
        let name = file.name.replace('\\', "\\\\").replace('"', "%22").replace(['\r', '\n'], " ");
        body.extend_from_slice(
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 content-type: application/octet-stream\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(&file.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

fn text_part(body: &mut Vec<u8>, boundary: &str, name: &str, value: &str) {
    body.extend_from_slice(
        format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes(),
    );
}
