//! JSON as Python's `json.dumps` writes it: a space after `:` and `,`, and, on the wire of streams, ASCII only.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

struct Spaced {
    ascii: bool,
}

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if !self.ascii || fragment.is_ascii() {
            return out.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for letter in fragment.chars() {
            if letter.is_ascii() {
                write!(out, "{letter}")?;
                continue;
            }
            for unit in letter.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(out, escape)
    }
}

/// Appends `value` as one line without its end, letters as they are.
pub(crate) fn append(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory cannot fail, and the wire types have text keys only.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut *out, Spaced { ascii: false }));
}

/// `value` as one line of a stream, ASCII only, with its end.
pub(crate) fn line(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, Spaced { ascii: true }));
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_look_like_pythons() {
        let value = json!({"response": "Grüße \"漢\" 🦀\n", "references": [1, 2.5, null, true]});
        assert_eq!(
            String::from_utf8_lossy(&line(&value)),
            "{\"references\": [1, 2.5, null, true], \
             \"response\": \"Gr\\u00fc\\u00dfe \\\"\\u6f22\\\" \\ud83e\\udd80\\n\"}\n"
        );
    }
}
