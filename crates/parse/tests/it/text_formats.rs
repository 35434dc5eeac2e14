//! Text formats: plain text, Markdown, reStructuredText, HTML, CSV, JSON, XML, RTF, LaTeX, code.

use lorekeep_types::ParsedDocument;

use crate::fixtures::parse;

fn titles(document: &ParsedDocument) -> Vec<(&str, u8)> {
    document.headings.iter().map(|heading| (heading.title.as_str(), heading.level)).collect()
}

#[test]
fn plain_text_stays_as_it_is() {
    let document = parse("a.txt", "Harbour minutes\r\n\r\n\r\n\r\nThe crane works.  \r\n  Indented.\r\n".as_bytes());
    assert_eq!(document.text, "Harbour minutes\n\nThe crane works.\n  Indented.");
    assert_eq!(document.metadata.title.as_deref(), Some("Harbour minutes"));
    assert!(document.warnings.is_empty() && document.pages.is_empty());
}

#[test]
fn form_feeds_are_page_breaks() {
    let document = parse("a.txt", b"One.\n\x0cTwo.\n\x0c");
    let pages: Vec<(u32, &str)> =
        document.pages.iter().map(|page| (page.number, page.span.of(&document.text))).collect();
    assert_eq!(pages, [(1, "One.\n\n"), (2, "Two.")]);
}

#[test]
fn encodings_are_recognised_and_losses_named() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("Giấy phép số 12".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(parse("a.txt", &utf16).text, "Giấy phép số 12");
    let latin = parse("a.txt", b"Caf\xe9 M\xfcller serves cr\xe8me br\xfbl\xe9e every day.");
    assert!(latin.text.starts_with("Café Müller") && latin.warnings[0].contains("windows-1252"));
    let nul = parse("a.txt", b"The cr\0ane works.");
    assert_eq!(nul.text, "The crane works.");
    assert!(nul.warnings[0].contains("NUL"));
    let broken =
        parse("a.txt", "Trần Hưng Đạo đã thắng trận\u{0}".as_bytes().split_last().unwrap().1.split_last().unwrap().1);
    assert!(broken.text.starts_with("Trần Hưng Đạo"));
}

#[test]
fn language_is_detected_when_certain() {
    let vietnamese = parse(
        "a.txt",
        "Hội đồng quản trị đã thông qua kế hoạch xây dựng bến cảng mới trong năm nay và giao cho ban quản lý."
            .as_bytes(),
    );
    assert_eq!(vietnamese.metadata.language.as_deref(), Some("vi"));
    assert_eq!(parse("a.txt", b"ok").metadata.language, None);
}

#[test]
fn markdown_reads_without_markup() {
    let source = "---\ntitle: \"Retrofit\"\nauthor: Ada Lind\ndate: 2024-03-12\nlang: en\n---\n# Retrofit *plan*\n\nThe **crane**\nworks, see [the log](http://x.y).\n\n- one\n  - two\n- three\n\n1. first\n2. second\n\n## Costs\n\n| item | cost |\n|---|---|\n| crane | 12 |\n\n```rust\nfn main() {}\n\n\nlet x = 1;\n```\n\n<div>Inline <b>markup</b></div>\n";
    let document = parse("a.md", source.as_bytes());
    assert_eq!(
        document.text,
        "Retrofit plan\n\nThe crane works, see the log.\n\n- one\n  - two\n- three\n\n1. first\n2. second\n\nCosts\n\nitem | cost\ncrane | 12\n\nfn main() {}\n\nlet x = 1;\n\nInline markup"
    );
    assert_eq!(titles(&document), [("Retrofit plan", 1), ("Costs", 2)]);
    let blocks: Vec<&str> = document.blocks.iter().map(|block| block.of(&document.text)).collect();
    assert_eq!(blocks, ["item | cost\ncrane | 12", "fn main() {}\n\nlet x = 1;"]);
    let metadata = &document.metadata;
    assert_eq!(
        (metadata.title.as_deref(), metadata.author.as_deref(), metadata.date.as_deref(), metadata.language.as_deref()),
        (Some("Retrofit"), Some("Ada Lind"), Some("2024-03-12"), Some("en"))
    );
}

#[test]
fn restructured_text_reads_without_markup() {
    let source = "=======\nHarbour\n=======\n\n:Author: Ada Lind\n:Date: 2024-03-12\n\nThe *crane* is ``ready``; see :ref:`the log <log>` and\n`notes <http://x>`_.\n\nCosts\n-----\n\n* one\n* two\n\nExample::\n\n    x = 1\n    y = 2\n\n.. note::\n\n   Mind the gap.\n\n.. image:: a.png\n\n=====  =====\nitem   cost\n=====  =====\ncrane  12\n=====  =====\n\nEnd.\n";
    let document = parse("a.rst", source.as_bytes());
    assert_eq!(titles(&document), [("Harbour", 1), ("Costs", 2)]);
    assert!(document.text.contains("The crane is ready; see the log and notes."), "{}", document.text);
    assert!(document.text.contains("- one\n- two") && document.text.contains("Mind the gap."));
    assert!(document.text.contains("x = 1\ny = 2") && !document.text.contains("a.png"));
    assert!(document.text.contains("item | cost\ncrane | 12\n\nEnd."), "{}", document.text);
    assert_eq!(document.metadata.date.as_deref(), Some("2024-03-12"));
}

#[test]
fn html_keeps_the_content_and_drops_the_rest() {
    let source = r#"<!DOCTYPE html><html lang="en-GB"><head><title>Harbour &amp; crane</title>
        <meta name="author" content="Ada Lind"><meta property="article:published_time" content="2024-03-12T10:00Z">
        <style>p { color: red }</style></head><body><nav><a href="/">Home</a></nav>
        <h1>Harbour</h1><p>The crane<br>works &mdash; at <b>last</b>&nbsp;now.</p>
        <script>if (a < b) { alert("<p>no</p>") }</script>
        <ul><li>one<ul><li>inner</li></ul></li><li><p>two</p></li></ul><ol><li>first</ol>
        <table><tr><th>item</th><th>cost</th></tr><tr><td>crane</td><td>12 &euro;</td></tr></table>
        <pre>a  b
   c</pre><footer>Imprint</footer></body></html>"#;
    let document = parse("page.html", source.as_bytes());
    assert_eq!(
        document.text,
        "Harbour\n\nThe crane\nworks — at last now.\n\n- one\n  - inner\n- two\n\n1. first\n\nitem | cost\ncrane | 12 €\n\na  b\n   c"
    );
    assert_eq!(document.metadata.title.as_deref(), Some("Harbour & crane"));
    assert_eq!(document.metadata.date.as_deref(), Some("2024-03-12"));
    assert_eq!(document.metadata.language.as_deref(), Some("en"));
    assert_eq!(document.blocks.len(), 2);
}

#[test]
fn broken_html_still_reads() {
    let document =
        parse("a.html", b"<h1>Title<p>One <b>two</p></i> three < four <a href='x>y'>five</a> <!-- open <p>six");
    assert!(document.text.contains("One two") && document.text.contains("three < four five"), "{}", document.text);
    assert!(document.text.contains("six"));
    let declared = parse("a.html", b"<meta charset=windows-1251><p>\xd1\xee\xe2\xe5\xf2</p>");
    assert_eq!(declared.text, "Совет");
}

#[test]
fn csv_rows_are_records() {
    let document = parse("a.csv", b"name;role;note\nLinh;engineer;\"a; \"\"b\"\"\nc\"\nOkafor;;pilot\n");
    assert_eq!(document.text, "name: Linh; role: engineer; note: a; \"b\" c\nname: Okafor; note: pilot");
    assert_eq!(document.blocks.len(), 2);
    let numbers = parse("b.csv", b"1,2\n3,4\n");
    assert_eq!(numbers.text, "1; 2\n3; 4");
    assert_eq!(parse("c.tsv", b"a\tb\nx\ty\n").text, "a: x; b: y");
    assert_eq!(parse("d.csv", b"name,role\n").text, "name; role");
}

#[test]
fn json_reads_as_lines_and_records() {
    let source = r#"{"title": "Crew", "size": 1.50, "tags": ["a", "b"], "none": null,
        "crew": [{"name": "Linh", "home": {"city": "Hu\u1ebf"}}, {"name": "Okafor", "years": [1, 2]}]}"#;
    let document = parse("a.json", source.as_bytes());
    assert_eq!(
        document.text,
        "title: Crew\nsize: 1.50\ntags: a, b\n\ncrew\n\nname: Linh\nhome.city: Huế\n\nname: Okafor\nyears: 1, 2"
    );
    assert_eq!(titles(&document), [("crew", 1)]);
    assert_eq!(parse("a.jsonl", b"{\"a\":1}\n{\"a\":2}\n").text, "a: 1\n\na: 2");
    let broken = parse("a.json", b"{\"a\": 1,\n \"b\" 2}");
    assert!(broken.warnings[0].contains("line 2 is not valid JSON"), "{:?}", broken.warnings);
    assert!(broken.text.contains("\"b\" 2"));
}

#[test]
fn xml_reads_as_lines() {
    let source = b"<?xml version='1.0'?><ships><ship id='7'><name>Aurora</name><log>Left <i>Oslo</i> &amp; came back.</log></ship></ships>";
    assert_eq!(parse("a.xml", source).text, "ship: id = 7\nname: Aurora\nlog: Left Oslo & came back.");
}

#[test]
fn rtf_reads_as_paragraphs() {
    let source = br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Times;}}{\info{\title Harbour}{\author Ada}{\creatim\yr2024\mo3\dy12}}{\*\generator x;}\pard The cr\'e2ne \u7871?works\par Second \{one\}.\par}";
    let document = parse("a.rtf", source);
    assert_eq!(document.text, "The crâne ếworks\n\nSecond {one}.");
    assert_eq!(document.metadata.title.as_deref(), Some("Harbour"));
    assert_eq!(document.metadata.date.as_deref(), Some("2024-03-12"));
}

#[test]
fn code_keeps_its_shape_and_latex_its_sections() {
    let code = parse("a.py", b"def f():\n\treturn 1\n\n\n\nx = 2\n");
    assert_eq!(code.text, "def f():\n\treturn 1\n\nx = 2");
    let tex = parse("a.tex", b"\\title{Harbour \\emph{x}}\n\\section{First}\ntext\n\\subsection*{Inner}\nmore\n");
    assert_eq!(titles(&tex), [("First", 2), ("Inner", 3)]);
}

#[test]
fn content_decides_where_the_name_does_not() {
    assert_eq!(parse("README", b"Just words here.").text, "Just words here.");
    assert_eq!(parse("page", b"<!doctype html><p>Hi there</p>").text, "Hi there");
    let lying = parse("report.pdf", b"<html><body><p>Not found</p></body></html>");
    assert_eq!(lying.text, "Not found");
    assert!(lying.warnings[0].contains("named .pdf but holds html"));
}
