//! Lines to text: wrapped lines joined into paragraphs over line and page ends, hyphens closed, headings by
//! type size and weight, rows of cells as tables.

use std::collections::{HashMap, HashSet};

use crate::draft::Draft;

use super::lines::{Line, PageLines};

/// Type this much larger than the body's is a heading.
const HEADING_SCALE: f32 = 1.12;
/// Longer lines are no headings.
const MAX_HEADING_CHARS: usize = 150;
/// Larger shares of bold lines mean that bold is the body's weight.
const MAX_BOLD_SHARE: f32 = 0.2;

/// Writes all pages.
pub(super) fn write(pages: &[PageLines], draft: &mut Draft<'_>) {
    let style = Style::of(pages);
    let hyphenated = hyphenated_words(pages);
    let mut writer = Writer { style, hyphenated, width: 0, paragraph: String::new(), fresh_page: false };
    for (number, page) in (1_u32..).zip(pages) {
        writer.page(number, page, draft);
    }
    writer.flush(draft);
}

/// What the document's type says.
struct Style {
    body: f32,
    /// Sizes of headings, largest first, in half points.
    sizes: Vec<u32>,
    bold_headings: bool,
}

impl Style {
    fn of(pages: &[PageLines]) -> Self {
        let lines = || pages.iter().flat_map(|page| &page.lines);
        let mut weights: HashMap<u32, usize> = HashMap::new();
        for line in lines().filter(|line| line.size > 0.0) {
            *weights.entry(half_points(line.size)).or_default() += line.text.len();
        }
        let body = weights.iter().max_by_key(|(size, weight)| (**weight, **size)).map_or(0, |(size, _)| *size);
        let all = lines().count().max(1);
        let bold = lines().filter(|line| line.bold).count();
        #[expect(clippy::cast_precision_loss, reason = "a share of lines")]
        let bold_headings = (bold as f32) < MAX_BOLD_SHARE * all as f32;
        let mut style = Self { body: half(body), sizes: Vec::new(), bold_headings };
        let mut sizes: Vec<u32> =
            lines().filter(|line| style.is_larger(line)).map(|line| half_points(line.size)).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.dedup();
        style.sizes = sizes;
        style
    }

    fn is_larger(&self, line: &Line) -> bool {
        self.body > 0.0 && line.size >= self.body * HEADING_SCALE && reads_as_heading(&line.text)
    }

    /// The level when the line is a heading.
    fn level(&self, line: &Line) -> Option<u8> {
        if line.cells.len() > 1 && !self.is_larger(line) {
            return None;
        }
        if self.is_larger(line) {
            let rank = self.sizes.iter().position(|size| *size == half_points(line.size)).unwrap_or_default();
            return u8::try_from(rank + 1).ok().map(|level| level.min(6));
        }
        let stands_out = self.bold_headings && line.bold && line.size >= self.body * 0.95;
        let alone = line.text.chars().count() <= 90 && !line.text.ends_with(['.', ',', ';', ':']);
        (stands_out && alone && reads_as_heading(&line.text))
            .then(|| u8::try_from(self.sizes.len() + 1).unwrap_or(6).min(6))
    }
}

fn half_points(size: f32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a type size; saturates")]
    {
        (size * 2.0).round() as u32
    }
}

fn half(points: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a type size")]
    {
        points as f32 / 2.0
    }
}

fn reads_as_heading(text: &str) -> bool {
    let chars = text.chars().count();
    chars <= MAX_HEADING_CHARS && text.chars().filter(|c| c.is_alphabetic()).count() >= 2 && !text.starts_with("- ")
}

/// Words the document itself writes with a hyphen inside a line: those keep it at a line end, too.
fn hyphenated_words(pages: &[PageLines]) -> HashSet<String> {
    pages
        .iter()
        .flat_map(|page| &page.lines)
        .flat_map(|line| line.text.split_whitespace())
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| word.contains('-'))
        .map(str::to_lowercase)
        .collect()
}

struct Writer {
    style: Style,
    hyphenated: HashSet<String>,
    /// Length of a full line on this page, in characters.
    width: usize,
    paragraph: String,
    /// The paragraph is the first of its page and may continue the page before.
    fresh_page: bool,
}

impl Writer {
    fn page(&mut self, number: u32, page: &PageLines, draft: &mut Draft<'_>) {
        self.flush(draft);
        draft.page(number);
        self.fresh_page = true;
        let mut lengths: Vec<usize> = page.lines.iter().map(|line| line.text.chars().count()).collect();
        lengths.sort_unstable();
        self.width = lengths.get(lengths.len() * 9 / 10).copied().unwrap_or_default();
        let mut at = 0;
        while let Some(line) = page.lines.get(at) {
            let rest = &page.lines[at..];
            if let Some(level) = self.style.level(line) {
                at += self.heading(level, rest, draft);
            } else if let Some(rows) = table(rest, &self.style) {
                self.flush(draft);
                self.fresh_page = false;
                let cells: Vec<Vec<String>> = rest[..rows].iter().map(|line| line.cells.clone()).collect();
                draft.table(&cells);
                at += rows;
            } else {
                let previous = at.checked_sub(1).and_then(|before| page.lines.get(before));
                self.text(line, previous, draft);
                at += 1;
            }
        }
    }

    /// A heading, with the lines it runs on over; gives how many those are.
    fn heading(&mut self, level: u8, lines: &[Line], draft: &mut Draft<'_>) -> usize {
        self.flush(draft);
        self.fresh_page = false;
        let first = &lines[0];
        let same = |line: &&Line| {
            !line.gap
                && half_points(line.size) == half_points(first.size)
                && line.bold == first.bold
                && self.style.level(line) == Some(level)
                && !line.text.starts_with(|c: char| c.is_ascii_digit())
        };
        let count = 1 + lines[1..].iter().take(2).take_while(same).count();
        let title: Vec<&str> = lines[..count].iter().map(|line| line.text.as_str()).collect();
        let title = title.join(" ");
        if draft.is_empty() && draft.metadata.title.is_none() {
            draft.metadata.title = Some(title.clone());
        }
        draft.heading(level, &title);
        count
    }

    fn text(&mut self, line: &Line, previous: Option<&Line>, draft: &mut Draft<'_>) {
        let item = is_list_item(&line.text);
        let ended = self.paragraph.ends_with(['.', '!', '?', ':', '”', '"', ')', '。', '！', '？']);
        let short = previous.is_none_or(|previous| previous.text.chars().count() * 5 < self.width * 4);
        let starts = line.text.starts_with(|c: char| c.is_uppercase() || c.is_numeric());
        // A gap inside a sentence is an artefact of the layout, such as a column's end.
        let gap = line.gap && (ended || starts);
        if gap || item || (ended && short && starts) {
            self.flush(draft);
        } else if short && starts && !self.paragraph.is_empty() {
            self.paragraph.push('\n');
        }
        self.append(&line.text);
    }

    fn append(&mut self, text: &str) {
        if self.paragraph.is_empty() || self.paragraph.ends_with('\n') {
            self.paragraph.push_str(text);
            return;
        }
        match joint(&self.paragraph, text, &self.hyphenated) {
            Joint::Close => {
                self.paragraph.pop();
            }
            Joint::Bare => {}
            Joint::Blank => self.paragraph.push(' '),
        }
        self.paragraph.push_str(text);
    }

    fn flush(&mut self, draft: &mut Draft<'_>) {
        if self.paragraph.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.paragraph);
        let first_of_page = std::mem::take(&mut self.fresh_page);
        let before = draft.last_paragraph();
        let open = !before.is_empty() && !before.ends_with(['.', '!', '?', ':', '”', '"', ')', '。']);
        let continues = text.starts_with(char::is_lowercase);
        if first_of_page && open && continues && !draft.ends_with_heading() {
            match joint(before, &text, &self.hyphenated) {
                Joint::Close => {
                    draft.drop_last_char();
                    draft.continue_paragraph("", &text);
                }
                Joint::Bare => draft.continue_paragraph("", &text),
                Joint::Blank => draft.continue_paragraph(" ", &text),
            }
        } else if is_list_item(&text) {
            draft.line(0, &text.replace('\n', " "));
        } else {
            draft.paragraph(&text);
        }
    }
}

/// How two lines of a paragraph meet.
enum Joint {
    /// Without the hyphen at the end of the first.
    Close,
    /// As they are.
    Bare,
    /// With a blank.
    Blank,
}

fn joint(before: &str, after: &str, hyphenated: &HashSet<String>) -> Joint {
    let mut end = before.chars().rev();
    let (last, inner) = (end.next(), end.next());
    let next = after.chars().next();
    if matches!(last, Some('-' | '\u{2010}')) && inner.is_some_and(char::is_alphabetic) {
        let lower = next.is_some_and(char::is_lowercase);
        let head = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        let tail = after.split(char::is_whitespace).next().unwrap_or_default();
        let word = format!("{head}{tail}");
        let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let kept = hyphenated.contains(&word) || head.trim_end_matches('-').contains('-');
        return if lower && !kept { Joint::Close } else { Joint::Bare };
    }
    match (last, next) {
        (Some(last), Some(next)) if is_unspaced(last) && is_unspaced(next) => Joint::Bare,
        _ => Joint::Blank,
    }
}

/// Scripts that are written without blanks between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
}

fn is_list_item(text: &str) -> bool {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let numbered =
        (1..=3).contains(&digits) && text[digits..].starts_with([')', '.']) && text[digits + 1..].starts_with(' ');
    text.starts_with("- ") || text.starts_with("– ") || text.starts_with("* ") || numbered
}

/// How many lines from here on are rows of one table: at least two, with as many cells.
fn table(lines: &[Line], style: &Style) -> Option<usize> {
    let columns = lines.first().map(|line| line.cells.len()).filter(|columns| *columns >= 2)?;
    let is_row =
        |line: &&Line| line.cells.len() >= 2 && line.cells.len().abs_diff(columns) <= 1 && style.level(line).is_none();
    let rows = lines.iter().take_while(is_row).count();
    (rows >= 2).then_some(rows)
}
