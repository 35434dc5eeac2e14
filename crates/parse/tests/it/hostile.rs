//! Bombs and abuse: every limit holds and is named.

use std::time::Duration;

use lorekeep_parse::Limits;
use lorekeep_types::ErrorCode;

use crate::fixtures::{docx, parse, parse_with, xlsx, zip};

fn refusal(limits: Limits, name: &str, bytes: &[u8], words: &str) {
    let problem = parse_with(limits, name, bytes).unwrap_err();
    assert!(matches!(problem.code, ErrorCode::TooLarge | ErrorCode::Timeout), "{problem:?}");
    assert!(problem.message.contains(words) && problem.message.contains("limit"), "{problem:?}");
    assert!(problem.hint.is_some());
}

#[test]
fn sizes_are_limited() {
    let small = Limits { input_bytes: 1 << 20, ..Limits::default() };
    refusal(small, "a.txt", &vec![b'a'; 2 << 20], "the file size exceeds the limit of 1 MiB");
    let short = Limits { characters: 1_000, ..Limits::default() };
    refusal(short, "a.txt", "words ".repeat(1_000).as_bytes(), "1000 characters");
    refusal(short, "a.csv", "a,b\nc,d\n".repeat(1_000).as_bytes(), "1000 characters");
    let few = Limits { pages: 3, ..Limits::default() };
    refusal(few, "a.txt", b"1\x0c2\x0c3\x0c4", "the number of pages");
    let impatient = Limits { time: Duration::ZERO, ..Limits::default() };
    refusal(impatient, "a.txt", b"words", "longer");
}

#[test]
fn zip_bombs_are_refused_by_ratio_and_by_size() {
    let zeros = vec![b' '; 64 << 20];
    let bomb = zip(&[("a.txt", &zeros)]);
    refusal(Limits::default(), "bomb.zip", &bomb, "compression ratio");
    let limits = Limits { ratio: u64::MAX, decompressed_bytes: 8 << 20, ..Limits::default() };
    refusal(limits, "bomb.zip", &bomb, "decompressed content exceeds the limit of 8 MiB");
    refusal(
        Limits::default(),
        "bomb.xlsx",
        &zip(&[
            ("[Content_Types].xml", b"<Types/>"),
            ("xl/workbook.xml", b"<workbook/>"),
            ("xl/sharedStrings.xml", &zeros),
        ]),
        "compression ratio",
    );
}

#[test]
fn archives_in_archives_and_many_members_are_limited() {
    let mut nested = zip(&[("a.txt", b"words")]);
    for _ in 0..4 {
        nested = zip(&[("inner.zip", &nested)]);
    }
    refusal(Limits::default(), "a.zip", &nested, "the nesting of archives");
    let names: Vec<String> = (0..50).map(|number| format!("{number}.txt")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    refusal(Limits { members: 10, ..Limits::default() }, "a.zip", &zip(&members), "the number of archive members");
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let depth = 200_000;
    refusal(Limits::default(), "a.json", "[".repeat(depth).as_bytes(), "the nesting depth");
    refusal(Limits::default(), "a.xml", "<a>".repeat(depth).as_bytes(), "the nesting depth");
    refusal(Limits::default(), "a.docx", &docx(&"<w:sdt>".repeat(1_000)), "the nesting depth");
    let html =
        parse("a.html", format!("{}deep words{}", "<div><ul><li><table>".repeat(depth / 4), "</div>").as_bytes());
    assert!(html.text.contains("deep words"));
    let markdown = parse("a.md", format!("{}deep words", "> ".repeat(5_000)).as_bytes());
    assert!(markdown.text.contains("deep words"));
    let rtf = parse_with(Limits::default(), "a.rtf", format!("{{\\rtf1 {}", "{".repeat(depth)).as_bytes());
    assert!(rtf.is_err());
}

#[test]
fn entities_do_not_expand() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;\">]><x><y>words &c; &amp; more</y></x>";
    assert_eq!(parse("a.xml", bomb.as_bytes()).text, "y: words & more");
}

#[test]
fn pathological_markup_reads_in_linear_time() {
    let cases = [
        ("a.html", "<a ".repeat(300_000)),
        ("a.html", "<a x='".repeat(200_000)),
        ("a.html", format!("<a {}>x", "'\"".repeat(300_000))),
        ("a.html", format!("x{}", "<!--".repeat(300_000))),
        ("a.html", format!("x{}", "</script".repeat(100_000))),
        ("a.html", format!("x{}", "&amp".repeat(300_000))),
        ("a.csv", format!("a,b\n{}", "\"".repeat(500_001))),
        ("a.json", format!("\"{}", "\\\"".repeat(300_000))),
        ("a.rst", "`*".repeat(20_000)),
        ("a.tex", format!("x {}", "\\title{".repeat(2_000))),
    ];
    for (name, content) in cases {
        let result = parse_with(Limits::default(), name, content.as_bytes());
        assert!(result.err().is_none_or(|problem| problem.code != ErrorCode::Timeout), "{name}: {content:.30}");
    }
}

#[test]
fn a_sparse_sheet_is_not_expanded() {
    let cells: Vec<(String, &str)> = (1..200).map(|row| (format!("XFD{row}"), "x")).collect();
    let cells: Vec<(&str, &str)> = cells.iter().map(|(at, value)| (at.as_str(), *value)).collect();
    let document = parse("wide.xlsx", &xlsx("S", &cells));
    assert!(document.text.len() < 2_000);
}
