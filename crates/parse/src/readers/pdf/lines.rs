//! A page as lines of text in reading order, each with its type size and, where it is a table row, its cells.

use std::collections::HashMap;

use pdf_oxide::PdfDocument;
use pdf_oxide::layout::{FontWeight, TextSpan};

use crate::clean;

/// Runs of at most this many pieces on a baseline are looked up as one line.
const MAX_PIECES: usize = 12;
/// Pieces further apart than this many type sizes (blanks take a quarter to a half) are cells of a row.
const CELL_GAP: f32 = 1.0;

/// Lines that are not one run are known by this many signs at their start.
const START_CHARS: usize = 12;

/// A line of text.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) text: String,
    /// Type size in points, 0 when unknown.
    pub(super) size: f32,
    pub(super) bold: bool,
    /// Two cells or more when the line reads as a table row.
    pub(super) cells: Vec<String>,
    /// Whether a gap stands before it.
    pub(super) gap: bool,
}

/// The lines of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct PageLines {
    pub(super) lines: Vec<Line>,
}

impl PageLines {
    pub(super) fn characters(&self) -> usize {
        self.lines.iter().map(|line| line.text.len()).sum()
    }

    pub(super) fn alphanumeric(&self) -> usize {
        self.lines.iter().flat_map(|line| line.text.chars()).filter(|c| c.is_alphanumeric()).count()
    }
}

/// Reads page `index`, from 0.
pub(super) fn page(document: &PdfDocument, index: usize) -> Result<PageLines, String> {
    let text = document.extract_text(index).map_err(|error| error.to_string())?;
    let spans = document.extract_spans(index).unwrap_or_default();
    let runs = runs(&spans);
    let starts: HashMap<String, Line> = spans.iter().map(|span| (start(&key(&span.text)), style(&[span]))).collect();
    let mut lines: Vec<Line> = Vec::new();
    let mut gap = true;
    for raw in text.lines() {
        let clean = clean::one_line(&ligatures(&bullet(raw)));
        if clean.is_empty() {
            gap = true;
            continue;
        }
        let key = key(raw);
        // The library closes hyphens over line ends: such a line is known by its start only.
        let style = runs.get(&key).or_else(|| starts.get(&start(&key))).cloned().unwrap_or_default();
        lines.push(Line { text: clean, gap, ..style });
        gap = false;
    }
    Ok(PageLines { lines })
}

/// Type size, weight and cells of everything that stands side by side, by its letters.
fn runs(spans: &[TextSpan]) -> HashMap<String, Line> {
    let mut rows: HashMap<i64, Vec<&TextSpan>> = HashMap::new();
    for span in spans.iter().filter(|span| span.bbox.y.is_finite() && span.bbox.x.is_finite()) {
        #[expect(clippy::cast_possible_truncation, reason = "a page coordinate; saturates")]
        let baseline = (span.bbox.y * 2.0).round() as i64;
        rows.entry(baseline).or_default().push(span);
    }
    let mut runs = HashMap::new();
    for row in rows.values_mut() {
        row.sort_by(|a, b| a.bbox.x.total_cmp(&b.bbox.x));
        for from in 0..row.len() {
            for to in from + 1..=row.len().min(from + MAX_PIECES) {
                let pieces = &row[from..to];
                let key: String = pieces.iter().map(|span| key(&span.text)).collect();
                runs.entry(key).or_insert_with(|| style(pieces));
            }
        }
    }
    runs
}

fn style(pieces: &[&TextSpan]) -> Line {
    let worded = || pieces.iter().filter(|span| span.text.chars().any(char::is_alphanumeric));
    let size = worded().map(|span| span.font_size).fold(0.0, f32::max);
    let bold = worded().count() > 0 && worded().all(|span| is_bold(span));
    let mut cells: Vec<String> = Vec::new();
    let mut end = f32::NEG_INFINITY;
    for span in pieces.iter().filter(|span| !span.text.trim().is_empty()) {
        let words = clean::one_line(&ligatures(&span.text));
        match cells.last_mut() {
            Some(cell) if span.bbox.x - end < CELL_GAP * span.font_size.max(1.0) => {
                if span.bbox.x - end > 0.15 * span.font_size {
                    cell.push(' ');
                }
                cell.push_str(&words);
            }
            _ => cells.push(words),
        }
        end = span.bbox.x + span.bbox.width;
    }
    if cells.len() < 2 {
        cells.clear();
    }
    Line { text: String::new(), size, bold, cells, gap: false }
}

fn is_bold(span: &TextSpan) -> bool {
    span.font_weight >= FontWeight::SemiBold || span.font_name.to_ascii_lowercase().contains("bold")
}

/// Letters and signs without blanks and controls: how a line of text and its pieces are matched.
fn key(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect()
}

/// The first signs of a key.
fn start(key: &str) -> String {
    key.chars().take(START_CHARS).collect()
}

/// A symbol font's bullet comes out as a control character or a private one.
fn bullet(line: &str) -> String {
    let trimmed = line.trim_start();
    match trimmed.strip_prefix(['\u{7f}', '\u{f0b7}', '\u{f0a7}', '\u{2022}', '\u{25cf}', '\u{25aa}', '\u{25e6}']) {
        Some(rest) => format!("- {}", rest.trim_start()),
        None => line.to_owned(),
    }
}

fn ligatures(text: &str) -> String {
    if !text.contains(|c| ('\u{fb00}'..='\u{fb06}').contains(&c)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\u{fb00}' => out.push_str("ff"),
            '\u{fb01}' => out.push_str("fi"),
            '\u{fb02}' => out.push_str("fl"),
            '\u{fb03}' => out.push_str("ffi"),
            '\u{fb04}' => out.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => out.push_str("st"),
            c => out.push(c),
        }
    }
    out
}
