//! Markup to tokens, tolerantly and in linear time: what is no tag is text, what never closes is not looked
//! for again.

use std::borrow::Cow;

/// A piece of markup.
pub(crate) enum Token<'a> {
    /// Text with its references still in place.
    Text(&'a str),
    /// A start tag.
    Open(Tag<'a>),
    /// An end tag, lower case.
    Close(String),
}

/// A start tag.
pub(crate) struct Tag<'a> {
    /// Lower case, without prefix handling.
    pub(crate) name: String,
    attributes: &'a str,
}

impl Tag<'_> {
    /// Value of an attribute by lower-case name; empty for one without value.
    pub(crate) fn attribute(&self, wanted: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len()).max(1);
            let end = rest.ceil_char_boundary(end);
            let name = &rest[..end];
            let after = rest[end..].trim_start();
            let (value, next) = match after.strip_prefix('=') {
                Some(value) => attribute_value(value.trim_start()),
                None => ("", &rest[end..]),
            };
            if name.eq_ignore_ascii_case(wanted) {
                return Some(unescape(value).into_owned());
            }
            rest = next;
        }
    }
}

fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// The tokens of a document.
pub(crate) struct Tokens<'a> {
    rest: &'a str,
    /// The element whose content is raw: only its end tag ends it.
    raw: Option<&'static str>,
    /// Ends that are known not to occur any more; asking again would make reading quadratic.
    absent: Vec<&'static str>,
}

/// Elements whose content is no markup.
const RAW: [&str; 6] = ["script", "style", "textarea", "title", "xmp", "noembed"];

impl<'a> Tokens<'a> {
    pub(crate) const fn new(markup: &'a str) -> Self {
        Self { rest: markup, raw: None, absent: Vec::new() }
    }

    fn find(&mut self, from: usize, needle: &'static str) -> Option<usize> {
        if self.absent.contains(&needle) {
            return None;
        }
        let found = self.rest.get(from..).and_then(|rest| rest.find(needle)).map(|at| at + from);
        if found.is_none() {
            self.absent.push(needle);
        }
        found
    }

    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// The content of a raw element, up to its end tag or the end.
    fn raw_text(&mut self, name: &'static str) -> &'a str {
        let bytes = self.rest.as_bytes();
        let mut from = 0;
        while let Some(at) = self.rest[from..].find("</").map(|at| at + from) {
            let tail = bytes.get(at + 2..at + 2 + name.len());
            if tail.is_some_and(|tail| tail.eq_ignore_ascii_case(name.as_bytes())) {
                return self.take(at);
            }
            from = at + 2;
        }
        self.take(self.rest.len())
    }

    /// The length of the tag that starts at the front, with its `>`; `None` when it never ends.
    fn tag_len(&mut self) -> Option<usize> {
        let mut from = 1;
        let mut end = self.find(from, ">")?;
        loop {
            // A quoted value may hold `>`. Quotes count only after `=`, as apostrophes in text would not close.
            let Some(open) = self.rest.get(from..end).and_then(|inside| inside.find(['"', '\''])) else {
                return Some(end + 1);
            };
            let open = from + open;
            from = open + 1;
            if !self.rest[..open].trim_end().ends_with('=') {
                continue;
            }
            let quote = if self.rest.as_bytes().get(open) == Some(&b'"') { "\"" } else { "'" };
            let Some(close) = self.find(from, quote) else {
                return Some(end + 1);
            };
            from = close + 1;
            if from > end {
                end = self.find(from, ">")?;
            }
        }
    }

    /// The token at a `<`; `None` when it opens nothing.
    fn markup(&mut self) -> Option<Option<Token<'a>>> {
        let text = self.rest;
        if text.starts_with("<!--") {
            // An unclosed comment hides nothing: its opening is dropped and reading goes on.
            let end = self.find(4, "-->").map_or(4, |at| at + 3);
            self.take(end);
            return Some(None);
        }
        let next = text.as_bytes().get(1).copied()?;
        if matches!(next, b'!' | b'?') {
            let len = self.find(1, ">").map_or(2, |at| at + 1);
            self.take(len);
            return Some(None);
        }
        let close = next == b'/';
        let name_at = if close { 2 } else { 1 };
        if !text.as_bytes().get(name_at).is_some_and(u8::is_ascii_alphabetic) {
            return None;
        }
        let len = self.tag_len()?;
        let tag = self.take(len);
        let inner = tag.get(name_at..len - 1).unwrap_or_default();
        let end = inner.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(inner.len());
        let name = inner[..end].to_ascii_lowercase();
        if close {
            return Some(Some(Token::Close(name)));
        }
        if !inner.ends_with('/') {
            self.raw = RAW.into_iter().find(|raw| *raw == name);
        }
        Some(Some(Token::Open(Tag { name, attributes: &inner[end..] })))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if let Some(name) = self.raw.take() {
                let text = self.raw_text(name);
                if !text.is_empty() {
                    return Some(Token::Text(text));
                }
            }
            if self.rest.is_empty() {
                return None;
            }
            if self.rest.starts_with('<') {
                match self.markup() {
                    Some(Some(token)) => return Some(token),
                    Some(None) => continue,
                    None => {}
                }
                let len = self.rest[1..].find('<').map_or(self.rest.len(), |at| at + 1);
                return Some(Token::Text(self.take(len)));
            }
            let len = self.rest.find('<').unwrap_or(self.rest.len());
            return Some(Token::Text(self.take(len)));
        }
    }
}

/// Longest named reference that is looked up.
const MAX_REFERENCE: usize = 40;

/// Resolves character references.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let window = &rest[..rest.floor_char_boundary(MAX_REFERENCE)];
        match window.find(';') {
            Some(end) if window[1..end].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#') && end > 1 => {
                reference(&mut out, &window[..=end]);
                rest = &rest[end + 1..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn reference(out: &mut String, token: &str) {
    let digits = token.trim_start_matches("&#").trim_end_matches(';');
    if token.starts_with("&#")
        && let Ok(byte @ 0x80..=0x9f) = digits.parse::<u8>()
    {
        // Numeric references to C1 controls mean Windows-1252 on the web.
        out.push_str(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(&[byte]).0);
        return;
    }
    mail_parser::decoders::html::add_html_token(out, token.as_bytes(), false);
}
