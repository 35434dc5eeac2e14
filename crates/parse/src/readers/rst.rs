//! reStructuredText to readable text: underlined titles become headings, roles and links lose their markup,
//! literal blocks and tables stay whole. Directives keep their content; those about files and images go.

use lorekeep_types::{Metadata, ParsedDocument};

use crate::dates;
use crate::draft::Draft;
use crate::error::Result;
use crate::readers::{NO_TEXT, Source};

/// Directives whose content is code or a table, kept as it is.
const VERBATIM: [&str; 6] = ["code", "code-block", "sourcecode", "literalinclude", "math", "parsed-literal"];

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let decoded = source.decode();
    let mut draft = Draft::new(source.watch);
    for warning in decoded.warnings {
        draft.warn(warning);
    }
    let text = decoded.text.replace("\r\n", "\n").replace('\t', "        ");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut reader = Rst { lines, at: 0, styles: Vec::new() };
    while reader.at < reader.lines.len() {
        source.watch.check()?;
        reader.block(&mut draft);
    }
    draft.finish(NO_TEXT)
}

struct Rst<'a> {
    lines: Vec<&'a str>,
    at: usize,
    /// Adornments in order of appearance; their place is the level.
    styles: Vec<(char, bool)>,
}

impl<'a> Rst<'a> {
    fn line(&self, offset: usize) -> &'a str {
        self.lines.get(self.at + offset).copied().unwrap_or_default()
    }

    /// Reads one block and moves past it.
    fn block(&mut self, draft: &mut Draft<'_>) {
        let line = self.line(0);
        if line.is_empty() {
            self.at += 1;
        } else if self.heading(draft) {
        } else if let Some(comment) = line.trim_start().strip_prefix("..")
            && (comment.is_empty() || comment.starts_with(' '))
        {
            self.directive(comment.trim(), draft);
        } else if is_adornment(line) && !is_table_border(line) {
            self.at += 1;
        } else if is_table_border(line) {
            self.table(draft);
        } else if let Some((name, value)) = field(line) {
            metadata(&mut draft.metadata, name, value);
            draft.line(0, &format!("{name}: {}", inline(value)));
            self.at += 1;
        } else {
            self.paragraph(draft);
        }
    }

    /// A title with an underline, and perhaps an overline.
    fn heading(&mut self, draft: &mut Draft<'_>) -> bool {
        let (over, title, under) = (self.line(0), self.line(1), self.line(2));
        if is_adornment(over) && is_adornment(under) && !title.is_empty() && over == under {
            self.push_heading(title, under, true, draft);
            self.at += 3;
            return true;
        }
        let (title, under) = (self.line(0), self.line(1));
        let long_enough = under.chars().count() >= title.chars().count().min(4);
        if is_adornment(under) && !is_adornment(title) && !title.starts_with(' ') && long_enough {
            self.push_heading(title, under, false, draft);
            self.at += 2;
            return true;
        }
        false
    }

    fn push_heading(&mut self, title: &str, under: &str, overlined: bool, draft: &mut Draft<'_>) {
        let style = (under.chars().next().unwrap_or('='), overlined);
        let at = self.styles.iter().position(|known| *known == style).unwrap_or_else(|| {
            self.styles.push(style);
            self.styles.len() - 1
        });
        let title = inline(title);
        if draft.metadata.title.is_none() && at == 0 {
            draft.metadata.title = Some(title.clone());
        }
        draft.heading(u8::try_from(at + 1).unwrap_or(u8::MAX), &title);
    }

    /// Lines indented more than `indent`, with blank lines between them.
    fn indented(&mut self, indent: usize) -> Vec<&'a str> {
        let mut block = Vec::new();
        while self.at < self.lines.len() {
            let line = self.line(0);
            if !line.is_empty() && leading(line) <= indent {
                break;
            }
            block.push(line);
            self.at += 1;
        }
        while block.last().is_some_and(|line| line.is_empty()) {
            block.pop();
        }
        block
    }

    fn directive(&mut self, head: &str, draft: &mut Draft<'_>) {
        let indent = leading(self.line(0));
        self.at += 1;
        let mut body = self.indented(indent);
        let Some((name, argument)) = head.split_once("::") else { return };
        let option = |line: &&str| field(line.trim_start()).is_some() || line.is_empty();
        let options = body.iter().take_while(|line| option(line)).count();
        let body: Vec<&str> = body.drain(options..).collect();
        if matches!(name, "image" | "figure" | "include" | "toctree" | "contents" | "raw" | "index" | "highlight") {
            return;
        }
        if VERBATIM.contains(&name) {
            return draft.verbatim(&dedent(&body));
        }
        let mut words = inline(argument.trim());
        for line in body {
            if line.is_empty() {
                draft.paragraph(&words);
                words.clear();
            } else {
                words.push(' ');
                words.push_str(&inline(line.trim()));
            }
        }
        draft.paragraph(&words);
    }

    fn table(&mut self, draft: &mut Draft<'_>) {
        let mut rows = Vec::new();
        let simple = self.line(0).starts_with('=');
        let mut borders = 0;
        while self.at < self.lines.len() {
            let line = self.line(0);
            // A simple table has two or three borders and may hold blank lines; a grid ends at the first.
            if line.is_empty() && (!simple || borders >= 2) {
                break;
            }
            if is_table_border(line) {
                borders += 1;
            } else if !line.is_empty() {
                let split: Vec<String> = if simple {
                    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(inline).collect()
                } else {
                    line.trim_matches('|').split('|').map(|cell| inline(cell.trim())).collect()
                };
                rows.push(split);
            }
            self.at += 1;
        }
        draft.table(&rows);
    }

    /// A paragraph or list item: lines up to a blank one, a new item or a heading's underline.
    fn paragraph(&mut self, draft: &mut Draft<'_>) {
        let first = self.line(0);
        let indent = leading(first);
        let (marker, rest) = list_marker(first.trim_start());
        let mut words = inline(rest);
        self.at += 1;
        while !self.line(0).is_empty() && self.at < self.lines.len() {
            let line = self.line(0).trim_start();
            if list_marker(line).0.is_some() || is_adornment(self.line(1)) && leading(self.line(0)) == 0 {
                break;
            }
            words.push(' ');
            words.push_str(&inline(line));
            self.at += 1;
        }
        let literal = words.ends_with("::");
        if literal {
            words.pop();
        }
        match marker {
            Some(marker) => draft.line(indent / 2, &format!("{marker} {words}")),
            None if words == ":" => {}
            None => draft.paragraph(&words),
        }
        if literal {
            let block = self.indented(indent);
            draft.verbatim(&dedent(&block));
        }
    }
}

fn leading(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn dedent(lines: &[&str]) -> String {
    let indent = lines.iter().filter(|line| !line.is_empty()).map(|line| leading(line)).min().unwrap_or(0);
    lines.iter().map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// A line of one repeated punctuation character.
fn is_adornment(line: &str) -> bool {
    let mut chars = line.chars();
    let Some(first) = chars.next() else { return false };
    first.is_ascii_punctuation() && line.len() >= 3 && chars.all(|c| c == first)
}

fn is_table_border(line: &str) -> bool {
    let grid = line.starts_with('+') && line.ends_with('+') && line.chars().all(|c| matches!(c, '+' | '-' | '='));
    let simple = line.starts_with("==") && line.trim().contains(' ') && line.chars().all(|c| matches!(c, '=' | ' '));
    (grid && line.len() > 2) || simple
}

/// `:name: value`.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix(':')?.split_once(':')?;
    let plain = !name.is_empty() && !name.contains('`') && (value.is_empty() || value.starts_with(' '));
    plain.then(|| (name, value.trim()))
}

fn metadata(metadata: &mut Metadata, name: &str, value: &str) {
    match name.to_ascii_lowercase().as_str() {
        "author" | "authors" => metadata.author = Some(value.to_owned()),
        "date" => metadata.date = dates::iso_date(value),
        _ => {}
    }
}

/// The marker of a list item as it is written out, and the words after it.
fn list_marker(line: &str) -> (Option<String>, &str) {
    for bullet in ["* ", "- ", "+ ", "• "] {
        if let Some(rest) = line.strip_prefix(bullet) {
            return (Some("-".to_owned()), rest);
        }
    }
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let number_end = if line.starts_with("#.") { 1 } else { digits };
    if (1..=4).contains(&number_end)
        && let Some(rest) = line.get(number_end..).and_then(|rest| rest.strip_prefix(". "))
    {
        let number = if digits > 0 { format!("{}.", &line[..digits]) } else { "-".to_owned() };
        return (Some(number), rest);
    }
    (None, line)
}

/// Text without inline markup: emphasis, literals, roles, links, substitutions.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '|']) {
        let (before, tail) = rest.split_at(at);
        let role = if tail.starts_with('`') { strip_role(before) } else { before };
        out.push_str(role);
        let doubled = tail.starts_with("``") || tail.starts_with("**");
        let mark = &tail[..if doubled { 2 } else { 1 }];
        let after = &tail[mark.len()..];
        match after.find(mark) {
            Some(end) if end > 0 && !after.starts_with(' ') => {
                let inner = &after[..end];
                let inner = if mark == "`" { inner.split(" <").next().unwrap_or(inner) } else { inner };
                out.push_str(inner.trim_start_matches(['~', '!']));
                rest = &after[end + mark.len()..];
                if mark == "`" {
                    rest = rest.trim_start_matches('_');
                }
            }
            _ => {
                out.push_str(mark);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// `text :role:` without the role.
fn strip_role(text: &str) -> &str {
    let Some(inner) = text.strip_suffix(':') else { return text };
    match inner.rfind(':') {
        Some(at) if inner[at + 1..].chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':')) => &text[..at],
        _ => text,
    }
}
