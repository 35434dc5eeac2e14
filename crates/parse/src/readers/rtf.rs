//! Rich Text Format to plain paragraphs. Groups of no text (fonts, colours, pictures, styles) are left out.

use encoding_rs::{Encoding, WINDOWS_1252};
use lorekeep_types::ParsedDocument;

use crate::dates;
use crate::draft::Draft;
use crate::error::Result;
use crate::readers::{NO_TEXT, Source};

/// Groups that hold no text of the document.
const SKIPPED: [&str; 17] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "pict",
    "object",
    "themedata",
    "datastore",
    "latentstyles",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "filetbl",
    "header",
    "footer",
    "fldinst",
    "xmlnstbl",
];
const MAX_WORD: usize = 32;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let mut reader = Rtf {
        draft: Draft::new(source.watch),
        encoding: WINDOWS_1252,
        groups: Vec::new(),
        group: Group { skip: false, unicode_fallback: 1, field: None },
        text: String::new(),
        pending: Vec::new(),
        swallow: 0,
        cells: Vec::new(),
        rows: Vec::new(),
        date: [0; 3],
    };
    reader.run(source)?;
    reader.flush_bytes();
    reader.end_paragraph();
    reader.end_table();
    reader.draft.finish(NO_TEXT)
}

#[derive(Clone, Copy)]
struct Group {
    skip: bool,
    /// Characters that follow `\u` for readers without Unicode.
    unicode_fallback: usize,
    /// The property whose value this group holds.
    field: Option<Field>,
}

#[derive(Clone, Copy)]
enum Field {
    Title,
    Author,
    Date,
}

struct Rtf<'w> {
    draft: Draft<'w>,
    encoding: &'static Encoding,
    groups: Vec<Group>,
    group: Group,
    text: String,
    /// Bytes in the code page that are not decoded yet.
    pending: Vec<u8>,
    swallow: usize,
    cells: Vec<String>,
    rows: Vec<Vec<String>>,
    date: [u16; 3],
}

impl Rtf<'_> {
    fn run(&mut self, source: &Source<'_>) -> Result<()> {
        let bytes = source.bytes;
        let mut at = 0;
        let mut steps = 0_usize;
        while let Some(&byte) = bytes.get(at) {
            steps += 1;
            if steps.is_multiple_of(1 << 16) {
                source.watch.check()?;
            }
            at += 1;
            match byte {
                b'{' => {
                    self.flush_bytes();
                    source.watch.nesting(self.groups.len())?;
                    self.groups.push(self.group);
                }
                b'}' => {
                    self.flush_bytes();
                    self.end_group();
                }
                b'\\' => at = self.control(bytes, at),
                b'\r' | b'\n' => {}
                _ => self.byte(byte),
            }
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) {
        if self.swallow > 0 {
            self.swallow -= 1;
        } else if !self.group.skip {
            self.pending.push(byte);
        }
    }

    fn flush_bytes(&mut self) {
        if !self.pending.is_empty() {
            let text = self.encoding.decode_without_bom_handling(&self.pending).0.into_owned();
            self.pending.clear();
            self.text.push_str(&text);
        }
    }

    fn end_group(&mut self) {
        if let Some(field) = self.group.field {
            let value = std::mem::take(&mut self.text);
            match field {
                Field::Title => self.draft.metadata.title = Some(value),
                Field::Author => self.draft.metadata.author = Some(value),
                Field::Date => {
                    let [year, month, day] = self.date;
                    let narrow = |number: u16| u8::try_from(number).unwrap_or(0);
                    self.draft.metadata.date = dates::from_parts(year, narrow(month), narrow(day));
                }
            }
        }
        if let Some(outer) = self.groups.pop() {
            self.group = outer;
        }
    }

    /// A control word or symbol after its backslash; gives where reading goes on.
    fn control(&mut self, bytes: &[u8], at: usize) -> usize {
        let Some(&first) = bytes.get(at) else { return at };
        if !first.is_ascii_alphabetic() {
            return self.symbol(first, bytes, at + 1);
        }
        let word_end = (at..bytes.len()).take(MAX_WORD).find(|at| !bytes[*at].is_ascii_alphabetic());
        let word_end = word_end.unwrap_or_else(|| bytes.len().min(at + MAX_WORD));
        let mut end = word_end;
        if bytes.get(end) == Some(&b'-') {
            end += 1;
        }
        while end < bytes.len() && end < word_end + 11 && bytes[end].is_ascii_digit() {
            end += 1;
        }
        let number = std::str::from_utf8(&bytes[word_end..end]).ok().and_then(|digits| digits.parse::<i32>().ok());
        let next = if bytes.get(end) == Some(&b' ') { end + 1 } else { end };
        let word = String::from_utf8_lossy(&bytes[at..word_end]).into_owned();
        if word != "u" {
            self.flush_bytes();
        }
        if word == "bin" {
            return next.saturating_add(usize::try_from(number.unwrap_or(0)).unwrap_or(0));
        }
        self.word(&word, number);
        next
    }

    fn symbol(&mut self, symbol: u8, bytes: &[u8], at: usize) -> usize {
        match symbol {
            b'\'' => {
                let hex = bytes.get(at..at + 2).and_then(|hex| std::str::from_utf8(hex).ok());
                if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    self.byte(byte);
                }
                return (at + 2).min(bytes.len());
            }
            b'*' => self.group.skip = true,
            b'~' => self.byte(b' '),
            b'_' => self.byte(b'-'),
            b'\\' | b'{' | b'}' => self.byte(symbol),
            b'\r' | b'\n' => {
                self.flush_bytes();
                self.end_paragraph();
            }
            _ => {}
        }
        at
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
        match word {
            "ansicpg" => {
                let label = number.map(|page| format!("windows-{page}"));
                if let Some(encoding) = label.and_then(|label| Encoding::for_label(label.as_bytes())) {
                    self.encoding = encoding;
                }
            }
            "uc" => self.group.unicode_fallback = usize::try_from(number.unwrap_or(1)).unwrap_or(1).min(16),
            "title" | "author" if self.groups.len() <= 3 => {
                self.text.clear();
                self.group.field = Some(if word == "title" { Field::Title } else { Field::Author });
            }
            "info" => self.text.clear(),
            "creatim" => self.group.field = Some(Field::Date),
            "yr" | "mo" | "dy" => {
                let place = usize::from(word == "mo") + 2 * usize::from(word == "dy");
                self.date[place] = number.and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
            }
            word if SKIPPED.contains(&word.trim_end_matches(['l', 'r', 'f'])) || SKIPPED.contains(&word) => {
                self.group.skip = true;
            }
            _ if self.group.skip => {}
            "u" => self.unicode(number.unwrap_or(0)),
            "par" | "sect" | "page" => self.end_paragraph(),
            "line" => self.text.push('\n'),
            "tab" => self.text.push(' '),
            "cell" => self.cells.push(std::mem::take(&mut self.text)),
            "row" => self.rows.push(std::mem::take(&mut self.cells)),
            "emdash" => self.text.push('—'),
            "endash" => self.text.push('–'),
            "bullet" => self.text.push('•'),
            "lquote" => self.text.push('‘'),
            "rquote" => self.text.push('’'),
            "ldblquote" => self.text.push('“'),
            "rdblquote" => self.text.push('”'),
            _ => {}
        }
    }

    /// `\uN`: a UTF-16 unit, negative above 32767; pairs make one character.
    fn unicode(&mut self, number: i32) {
        self.flush_bytes();
        let unit = u32::try_from(if number < 0 { number + 65_536 } else { number }).unwrap_or(0xfffd);
        let high = self.text.chars().next_back().filter(|c| ('\u{f0000}'..='\u{f03ff}').contains(c));
        match (high, unit) {
            // A high half waits as a private character until its low half comes.
            (_, 0xd800..=0xdbff) => self.text.extend(char::from_u32(0xf0000 + (unit - 0xd800))),
            (Some(high), 0xdc00..=0xdfff) => {
                self.text.pop();
                let scalar = 0x1_0000 + ((high as u32 - 0xf0000) << 10) + (unit - 0xdc00);
                self.text.extend(char::from_u32(scalar));
            }
            _ => self.text.push(char::from_u32(unit).unwrap_or('\u{fffd}')),
        }
        self.swallow = self.group.unicode_fallback;
    }

    fn end_paragraph(&mut self) {
        let text = std::mem::take(&mut self.text);
        if self.group.skip || self.group.field.is_some() {
            return;
        }
        if !self.cells.is_empty() {
            // Inside a row a paragraph ends within its cell.
            self.text = text + " ";
            return;
        }
        if !text.trim().is_empty() {
            self.end_table();
            match text.trim_start().strip_prefix('•') {
                Some(item) => self.draft.line(0, &format!("- {}", item.trim())),
                None => self.draft.paragraph(&text),
            }
        }
    }

    fn end_table(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        self.draft.table(&rows);
    }
}
