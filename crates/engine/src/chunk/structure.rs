//! The structure-aware strategy: whole paragraphs, tables and code are packed up to a target size; a chunk
//! begins at a heading where the text before it is long enough to stand alone; headings stay with their text.

use lorekeep_types::{ByteSpan, Cancel, ParsedDocument, Result, TokenCounter};

use super::check;
use super::units::{Kind, Unit, parts, units};
use crate::settings::ChunkSettings;

/// A chunk of less than this share of the target does not stand alone.
const SMALL: usize = 8;

/// The spans of the chunks, in order and disjoint.
pub(super) fn spans(
    document: &ParsedDocument,
    settings: &ChunkSettings,
    tokens: &dyn TokenCounter,
    cancel: &Cancel,
) -> Result<Vec<ByteSpan>> {
    let units = units(document, tokens, cancel)?;
    let most = settings.max_tokens.max(16);
    let target = settings.target_tokens.clamp(8, most);
    let mut packer = Packer { text: &document.text, target, most, tokens, open: Vec::new(), done: Vec::new() };
    let mut ahead = units.as_slice();
    while let Some((unit, rest)) = ahead.split_first() {
        check(cancel)?;
        packer.take(*unit, rest);
        ahead = rest;
    }
    Ok(packer.finish())
}

/// A finished chunk.
struct Packed {
    span: ByteSpan,
    tokens: usize,
    /// It begins with a heading, so that it must not be joined to the chunk before.
    headed: bool,
}

struct Packer<'a> {
    text: &'a str,
    target: usize,
    most: usize,
    tokens: &'a dyn TokenCounter,
    /// Units of the chunk being filled.
    open: Vec<Unit>,
    done: Vec<Packed>,
}

impl Packer<'_> {
    fn size(&self) -> usize {
        self.open.iter().map(|unit| unit.tokens).sum()
    }

    fn has_body(&self) -> bool {
        self.open.iter().any(|unit| !is_heading(*unit))
    }

    fn take(&mut self, unit: Unit, rest: &[Unit]) {
        match unit.kind {
            Kind::Heading(level) => self.take_heading(unit, level, rest),
            Kind::Block => self.take_block(unit),
            Kind::Prose => self.take_prose(unit),
        }
    }

    fn take_heading(&mut self, unit: Unit, level: u8, rest: &[Unit]) {
        let size = self.size();
        let above = self.open.iter().find_map(|open| match open.kind {
            Kind::Heading(level) => Some(level),
            Kind::Block | Kind::Prose => None,
        });
        let deeper = above.is_some_and(|above| level > above);
        let fits = size + unit.tokens + section_size(level, rest, self.target) <= self.target;
        if self.has_body() && size >= self.target / SMALL && !(deeper && fits) {
            self.close();
        }
        self.add(unit);
    }

    fn take_block(&mut self, unit: Unit) {
        if self.has_body() && self.size() + unit.tokens > self.target {
            self.close();
        }
        if self.size() + unit.tokens <= self.most {
            self.add(unit);
        } else {
            self.take_parts(unit, self.target);
        }
    }

    fn take_prose(&mut self, unit: Unit) {
        if self.size() + unit.tokens > self.target && self.has_body() && self.size() >= self.target / 2 {
            self.close();
        }
        if self.size() + unit.tokens <= self.target {
            self.add(unit);
        } else {
            self.take_parts(unit, self.target);
        }
    }

    /// Fills chunks with the parts of a unit; a part alone may exceed `limit`, never the maximum.
    fn take_parts(&mut self, unit: Unit, limit: usize) {
        for part in parts(self.text, unit, self.most, self.tokens) {
            if self.has_body() && self.size() + part.tokens > limit {
                self.close();
            }
            self.add(part);
        }
    }

    /// Adds a unit; closes before it where headings alone have filled the chunk.
    fn add(&mut self, unit: Unit) {
        if !self.open.is_empty() && self.size() + unit.tokens > self.most {
            self.flush();
        }
        if unit.tokens > self.most {
            let pieces = parts(self.text, unit, self.most, self.tokens);
            for piece in pieces {
                self.flush();
                self.open.push(piece);
            }
        } else {
            self.open.push(unit);
        }
    }

    /// Ends the chunk; headings at its end begin the next one.
    fn close(&mut self) {
        let body = self.open.iter().rposition(|unit| !is_heading(*unit)).map_or(0, |last| last + 1);
        let carried = self.open.split_off(body);
        self.flush();
        self.open = carried;
    }

    fn flush(&mut self) {
        let (Some(first), Some(last)) = (self.open.first(), self.open.last()) else { return };
        let packed = Packed {
            span: ByteSpan::new(first.span.start, last.span.end),
            tokens: self.size(),
            headed: is_heading(*first),
        };
        self.open.clear();
        let room = self.most.min(self.target + self.target / 4);
        let small = !packed.headed && packed.tokens < self.target / SMALL;
        match self.done.last_mut() {
            // Too small to stand alone, and it continues the chunk before.
            Some(before) if small && before.tokens + packed.tokens <= room => {
                before.span.end = packed.span.end;
                before.tokens += packed.tokens;
            }
            _ => self.done.push(packed),
        }
    }

    fn finish(mut self) -> Vec<ByteSpan> {
        self.flush();
        self.done.into_iter().map(|packed| packed.span).collect()
    }
}

fn is_heading(unit: Unit) -> bool {
    matches!(unit.kind, Kind::Heading(_))
}

/// Tokens up to the next heading of the same or a smaller level; counting stops past `enough`.
fn section_size(level: u8, rest: &[Unit], enough: usize) -> usize {
    let mut size = 0;
    for unit in rest {
        if size > enough || matches!(unit.kind, Kind::Heading(next) if next <= level) {
            break;
        }
        size += unit.tokens;
    }
    size
}
