//! CSV and TSV: quoted fields, sniffed delimiter, rows as records.

use lorekeep_types::ParsedDocument;

use crate::draft::Draft;
use crate::error::Result;
use crate::readers::table::Records;
use crate::readers::{NO_TEXT, Source};

/// Time is checked every this many rows.
const CHECK_EVERY: usize = 1_000;
/// The delimiter is guessed from this many lines.
const SNIFF_LINES: usize = 20;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let decoded = source.decode();
    let mut draft = Draft::new(source.watch);
    for warning in decoded.warnings {
        draft.warn(warning);
    }
    let text = decoded.text.trim_start_matches('\u{feff}');
    let (delimiter, text) = delimiter(text, &source.extension());
    let mut records = Records::new();
    let mut rows = Rows { rest: text, delimiter };
    let mut count = 0_usize;
    while let Some(row) = rows.next_row() {
        records.row(&mut draft, &row);
        count += 1;
        if count.is_multiple_of(CHECK_EVERY) {
            source.watch.check()?;
        }
    }
    let written = !draft.is_empty();
    records.end(&mut draft, written);
    draft.finish(NO_TEXT)
}

/// The delimiter, and the text without Excel's `sep=` line.
fn delimiter<'a>(text: &'a str, extension: &str) -> (char, &'a str) {
    if let Some(rest) = text.strip_prefix("sep=")
        && let Some(delimiter) = rest.chars().next()
    {
        let body = rest.split_once('\n').map_or("", |(_, body)| body);
        return (delimiter, body);
    }
    if extension == "tsv" {
        return ('\t', text);
    }
    let best = [',', ';', '\t', '|'].into_iter().max_by_key(|delimiter| (score(text, *delimiter), *delimiter == ','));
    (best.unwrap_or(','), text)
}

/// Rows that agree with the first on their number of delimiters, times that number.
fn score(text: &str, delimiter: char) -> usize {
    let mut rows = Rows { rest: text, delimiter };
    let first = rows.next_row().map_or(0, |row| row.len());
    if first < 2 {
        return 0;
    }
    let agreeing =
        std::iter::from_fn(|| rows.next_row()).take(SNIFF_LINES).filter(|row| row.len().abs_diff(first) <= 1).count();
    (agreeing + 1) * first
}

/// A reader of rows, RFC 4180 with tolerance: a quote inside an unquoted field is text, an unclosed one ends
/// with its line.
struct Rows<'a> {
    rest: &'a str,
    delimiter: char,
}

impl Rows<'_> {
    fn next_row(&mut self) -> Option<Vec<String>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut row = Vec::new();
        loop {
            let (field, end) = self.field();
            row.push(field);
            if end {
                return Some(row);
            }
        }
    }

    /// The next field, and whether it ends the row.
    fn field(&mut self) -> (String, bool) {
        if let Some(quoted) = self.rest.trim_start_matches(' ').strip_prefix('"')
            && let Some((mut field, rest)) = quoted_field(quoted)
        {
            self.rest = rest;
            let (tail, end) = self.plain_field();
            field.push_str(tail.trim_end());
            return (field, end);
        }
        let (field, end) = self.plain_field();
        (field.to_owned(), end)
    }

    fn plain_field(&mut self) -> (&str, bool) {
        let delimiter = self.delimiter;
        let text = self.rest;
        let Some(at) = text.find([delimiter, '\n', '\r']) else {
            self.rest = "";
            return (text, true);
        };
        let (field, tail) = text.split_at(at);
        if let Some(rest) = tail.strip_prefix(delimiter) {
            self.rest = rest;
            return (field, false);
        }
        let rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        self.rest = rest;
        (field, true)
    }
}

/// The content of a quoted field and what follows its closing quote; `None` when it never closes nearby.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    const MAX_FIELD: usize = 1 << 20;
    let mut field = String::new();
    let mut rest = text.get(..text.floor_char_boundary(MAX_FIELD))?;
    let mut consumed = 0;
    loop {
        let at = rest.find('"')?;
        field.push_str(&rest[..at]);
        consumed += at + 1;
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                consumed += 1;
                rest = after;
            }
            None => return Some((field, &text[consumed..])),
        }
    }
}
