//! Cleaning of extracted text: no control characters, no NUL, `\n` newlines, no trailing blanks.

use std::borrow::Cow;

/// Characters that carry no text: controls, byte order marks, soft hyphens, noncharacters.
fn is_noise(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{feff}' | '\u{ad}' | '\u{fffe}' | '\u{ffff}')
}

/// White space in prose, with the no-break and typographic kinds.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{200b}'
}

/// All on one line, white space collapsed, ends trimmed.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.chars() {
        if is_blank(c) {
            gap = true;
        } else if !is_noise(c) {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            out.push(c);
        }
    }
    out
}

/// As [`one_line`], but line breaks stay; empty lines go.
pub(crate) fn lines(text: &str) -> String {
    if !text.contains(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}', '\u{b}', '\u{c}']) {
        return one_line(text);
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}', '\u{b}', '\u{c}']) {
        let line = one_line(line);
        if !line.is_empty() {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&line);
        }
    }
    out
}

/// Keeps lines, indentation and inner blanks; trims line ends, drops noise, and leaves at most one empty line
/// between lines and none at the ends.
pub(crate) fn verbatim(text: &str) -> String {
    let text: Cow<'_, str> = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let mut out = String::with_capacity(text.len());
    let mut empty_run = 0_usize;
    for line in text.split('\n') {
        let start = out.len();
        if start > 0 {
            out.push('\n');
        }
        let line_start = out.len();
        out.extend(line.chars().filter(|c| !is_noise(*c)));
        let kept = out.trim_end_matches(is_blank).len().max(line_start);
        out.truncate(kept);
        if out.len() == line_start {
            empty_run += 1;
            // The newline of the first empty line is the blank line; further ones go, as do leading ones.
            if empty_run > 1 || start == 0 {
                out.truncate(start);
            }
        } else {
            empty_run = 0;
        }
    }
    out.truncate(out.trim_end_matches('\n').len());
    out
}

#[cfg(test)]
mod tests {
    use super::{lines, one_line, verbatim};

    #[test]
    fn prose_is_collapsed_and_code_is_kept() {
        assert_eq!(one_line("  a\u{a0}\u{0}b \n\t c\u{ad}d "), "a b cd");
        assert_eq!(lines(" a  b \r\n\r\n c "), "a b\nc");
        assert_eq!(verbatim("\n\n  x = 1 \r\n\r\n\r\n\r\n\ty\u{0} \n"), "  x = 1\n\n\ty");
    }
}
