//! JSON and JSON Lines as readable `key: value` lines, records apart. Read by one pass with an explicit stack,
//! so that nesting costs no call stack; numbers and key order stay as written.

use std::borrow::Cow;

use lorekeep_types::ParsedDocument;

use crate::draft::Draft;
use crate::error::{ParseError, Result};
use crate::readers::{NO_TEXT, Source, text};

/// Time is checked every this many values.
const CHECK_EVERY: usize = 10_000;
/// Values longer than this are paragraphs of their own.
const LONG_VALUE: usize = 300;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let decoded = source.decode();
    let mut draft = Draft::new(source.watch);
    for warning in &decoded.warnings {
        draft.warn(warning.clone());
    }
    let body = decoded.text.trim_start_matches('\u{feff}');
    let mut flattener = Flattener { draft, stack: Vec::new(), scalars: Vec::new(), values: 0 };
    match flattener.run(body, source) {
        Ok(()) => flattener.draft.finish(NO_TEXT),
        Err(Failure::Stop(error)) => Err(error),
        Err(Failure::Syntax { at, what }) => {
            let line = body.get(..at).map_or(1, |head| head.matches('\n').count() + 1);
            let mut document = text::read(source)?;
            document.warnings.push(format!("line {line} is not valid JSON ({what}); the file was read as plain text"));
            Ok(document)
        }
    }
}

enum Failure {
    Stop(ParseError),
    Syntax { at: usize, what: &'static str },
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::Stop(error)
    }
}

/// An open object or array.
enum Frame {
    Object { key: String },
    Array { index: usize },
}

struct Flattener<'w> {
    draft: Draft<'w>,
    stack: Vec<Frame>,
    /// Plain values of the array being read, joined into one line at its end.
    scalars: Vec<String>,
    values: usize,
}

impl Flattener<'_> {
    /// Reads values one after the other: JSON, JSON Lines and concatenated JSON alike.
    fn run(&mut self, text: &str, source: &Source<'_>) -> Result<(), Failure> {
        let mut cursor = Cursor { text, at: 0 };
        loop {
            cursor.skip_blank();
            if cursor.at == text.len() {
                break;
            }
            self.value(&mut cursor, source)?;
            self.draft.end_lines();
        }
        Ok(())
    }

    /// One top-level value with everything inside it.
    fn value(&mut self, cursor: &mut Cursor<'_>, source: &Source<'_>) -> Result<(), Failure> {
        loop {
            self.values += 1;
            if self.values.is_multiple_of(CHECK_EVERY) {
                source.watch.check()?;
            }
            cursor.skip_blank();
            match cursor.peek() {
                Some(b'{') => {
                    cursor.at += 1;
                    self.open(Frame::Object { key: String::new() }, source)?;
                    cursor.skip_blank();
                    if cursor.peek() != Some(b'}') {
                        self.key(cursor)?;
                        continue;
                    }
                }
                Some(b'[') => {
                    cursor.at += 1;
                    self.open(Frame::Array { index: 0 }, source)?;
                    cursor.skip_blank();
                    if cursor.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => {
                    let scalar = cursor.scalar()?;
                    self.scalar(&scalar);
                }
            }
            if self.advance(cursor)? {
                return Ok(());
            }
        }
    }

    /// After a value: on to the next one of its container, closing containers that end. True at the top.
    fn advance(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Failure> {
        loop {
            cursor.skip_blank();
            let (next, close) = match self.stack.last_mut() {
                None => return Ok(true),
                Some(Frame::Object { .. }) => (cursor.peek(), b'}'),
                Some(Frame::Array { index }) => {
                    *index += 1;
                    (cursor.peek(), b']')
                }
            };
            match next {
                Some(b',') => {
                    cursor.at += 1;
                    if close == b'}' {
                        cursor.skip_blank();
                        self.key(cursor)?;
                    }
                    return Ok(false);
                }
                Some(byte) if byte == close => {
                    cursor.at += 1;
                    self.close();
                }
                _ => return Err(Failure::Syntax { at: cursor.at, what: "a comma or closing bracket is missing" }),
            }
        }
    }

    fn open(&mut self, frame: Frame, source: &Source<'_>) -> Result<(), Failure> {
        self.flush_scalars();
        let key = match (self.stack.as_slice(), &frame) {
            ([Frame::Object { key }], Frame::Object { .. }) => Some(key.clone()),
            ([Frame::Object { key }, Frame::Array { index: 0 }], _) => Some(key.clone()),
            _ => None,
        };
        if let Some(key) = key {
            self.draft.end_lines();
            self.draft.heading(1, &key);
        }
        self.stack.push(frame);
        source.watch.nesting(self.stack.len())?;
        if self.starts_record() {
            self.draft.end_lines();
        }
        Ok(())
    }

    fn close(&mut self) {
        self.flush_scalars();
        if self.starts_record() {
            self.draft.end_lines();
        }
        self.stack.pop();
    }

    /// Whether the innermost container is an object near the top: a record.
    fn starts_record(&self) -> bool {
        matches!(
            self.stack.as_slice(),
            [Frame::Object { .. }]
                | [_, Frame::Object { .. }]
                | [Frame::Object { .. }, Frame::Array { .. }, Frame::Object { .. }]
        )
    }

    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
        if cursor.peek() != Some(b'"') {
            return Err(Failure::Syntax { at: cursor.at, what: "a key in double quotes is missing" });
        }
        let name = cursor.string()?;
        cursor.skip_blank();
        if cursor.peek() != Some(b':') {
            return Err(Failure::Syntax { at: cursor.at, what: "a colon is missing" });
        }
        cursor.at += 1;
        if let Some(Frame::Object { key }) = self.stack.last_mut() {
            *key = name;
        }
        Ok(())
    }

    fn scalar(&mut self, value: &str) {
        if value.is_empty() || value == "null" {
            return;
        }
        if let Some(Frame::Array { .. }) = self.stack.last() {
            if value.chars().count() <= LONG_VALUE {
                self.scalars.push(value.to_owned());
            } else {
                self.flush_scalars();
                self.draft.paragraph(value);
            }
            return;
        }
        let path = self.path();
        if value.len() > LONG_VALUE || value.contains('\n') {
            self.draft.end_lines();
            self.draft.paragraph(&format!("{path}:\n{value}"));
        } else if path.is_empty() {
            self.draft.line(0, value);
        } else {
            self.draft.line(0, &format!("{path}: {value}"));
        }
    }

    fn flush_scalars(&mut self) {
        if self.scalars.is_empty() {
            return;
        }
        let joined = std::mem::take(&mut self.scalars).join(", ");
        let path = self.path();
        if path.is_empty() {
            self.draft.line(0, &joined);
        } else {
            self.draft.line(0, &format!("{path}: {joined}"));
        }
    }

    /// Keys from the innermost record to here. What lies above is said by the heading.
    fn path(&self) -> String {
        let skip = match self.stack.as_slice() {
            [Frame::Array { .. }, ..] | [Frame::Object { .. }, Frame::Object { .. }, ..] => 1,
            [Frame::Object { .. }, Frame::Array { .. }, _, ..] => 2,
            _ => 0,
        };
        let mut path = String::new();
        for (depth, frame) in self.stack.iter().enumerate().skip(skip) {
            match frame {
                Frame::Object { key } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                }
                Frame::Array { index } if depth + 1 < self.stack.len() => path.push_str(&format!("[{}]", index + 1)),
                Frame::Array { .. } => {}
            }
        }
        path
    }
}

/// A position in the text.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || byte == 0x1e) {
            self.at += 1;
        }
    }

    /// A string, number, boolean or null, as readers see it.
    fn scalar(&mut self) -> Result<Cow<'a, str>, Failure> {
        if self.peek() == Some(b'"') {
            return self.string().map(Cow::Owned);
        }
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        let known = matches!(word, "true" | "false" | "null" | "NaN" | "Infinity" | "-Infinity");
        if known || word.parse::<f64>().is_ok() {
            return Ok(Cow::Borrowed(word));
        }
        Err(Failure::Syntax { at: start, what: "a value is missing" })
    }

    fn string(&mut self) -> Result<String, Failure> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => return Err(Failure::Syntax { at: start, what: "a string does not end" }),
            }
        }
        self.at = at + 1;
        let raw = self.text.get(start..self.at).unwrap_or_default();
        if !raw.contains('\\') {
            return Ok(raw.trim_matches('"').to_owned());
        }
        serde_json::from_str(raw).map_err(|_| Failure::Syntax { at: start, what: "a string is not well formed" })
    }
}
