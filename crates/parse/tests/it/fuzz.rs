//! Fuzzing of the readers: bytes as they are, and text inside the packages that a flipped bit would only break.

use lorekeep_testkit::fuzz::Target;

use crate::fixtures::{docx, epub, odt, parse_all, pptx, word_paragraph, zip};
use crate::never_panics::samples;

const WORDS: [&str; 40] = [
    "<",
    ">",
    "</",
    "/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "&#x10FFFF;",
    "&amp;",
    "<table><tr><td>",
    "</table>",
    "<pre>",
    "<h1>",
    "<ul><li>",
    "|---|",
    "\n\n",
    "```\n",
    "# ",
    "===\n",
    "[[",
    "](",
    "\\'e9",
    "\\u8364?",
    "{\\",
    "}",
    "\"\"",
    ",",
    "\u{feff}",
    "é€𝛼",
    "\0",
    "\u{200f}",
    "--x\n",
    "=?utf-8?b?",
    "stream\n",
    "endobj",
    "/Kids[1 0 R]",
    "9999999999",
    "<w:tbl>",
    "<w:p><w:r><w:t>",
];

/// Which packages hold the input as their text.
const PACKAGES: u8 = 5;

/// The first byte names the format; the rest is the file, or what is inside it.
fn file(input: &[u8]) -> (&'static str, Vec<u8>) {
    let (kind, rest) = input.split_first().unwrap_or((&0, &[]));
    let samples = names();
    let plain = u8::try_from(samples.len()).unwrap();
    let kind = kind % (plain + PACKAGES);
    let text = String::from_utf8_lossy(rest);
    match kind.checked_sub(plain) {
        None => (samples[usize::from(kind)], rest.to_vec()),
        Some(0) => ("a.docx", docx(&text)),
        Some(1) => ("a.odt", odt(&text)),
        Some(2) => ("a.epub", epub(&[&text])),
        Some(3) => ("a.pptx", pptx(&[("A", &[&text])])),
        Some(_) => ("a.zip", zip(&[("a.html", rest), ("b.zip", &zip(&[("c.md", rest)]))])),
    }
}

fn names() -> [&'static str; 17] {
    [
        "a.txt", "a.md", "a.rst", "a.html", "a.csv", "a.json", "a.xml", "a.rtf", "a.tex", "a.eml", "a.docx", "a.pptx",
        "a.xlsx", "a.odt", "a.epub", "a.zip", "a.pdf",
    ]
}

fn seeds() -> Vec<Vec<u8>> {
    let plain = samples().into_iter().zip(0_u8..).map(|((_, bytes), kind)| [vec![kind], bytes].concat());
    let inner = [
        word_paragraph("berschrift1", "A")
            + &word_paragraph("", "b")
            + "<w:tbl><w:tr><w:tc><w:p/></w:tc></w:tr></w:tbl>",
        "<text:h>A</text:h><table:table><table:table-row><table:table-cell/></table:table-row></table:table>"
            .to_owned(),
        "<h1>A</h1><p>b</p><table><tr><td>c</table>".to_owned(),
        "b".to_owned(),
        "# A\n\n| b |\n|---|\n| c |".to_owned(),
    ];
    plain.chain(inner.into_iter().zip(17_u8..).map(|(text, kind)| [vec![kind], text.into_bytes()].concat())).collect()
}

#[test]
fn parse() {
    let target = Target { name: "parse", root: env!("CARGO_MANIFEST_DIR"), seeds: seeds(), words: &WORDS };
    target.run(|input| {
        let (name, bytes) = file(input);
        match parse_all(name, &bytes) {
            Ok(documents) => {
                let count = |of: fn(&lorekeep_types::ParsedDocument) -> usize| {
                    documents.iter().map(|(_, document)| of(document)).sum::<usize>().min(9)
                };
                let (headings, blocks) = (count(|one| one.headings.len()), count(|one| one.blocks.len()));
                let (pages, warnings) = (count(|one| one.pages.len()), count(|one| one.warnings.len()));
                format!("{name} {headings} {blocks} {pages} {warnings}")
            }
            Err(problem) => {
                // What the libraries of these two formats do to broken files is caught at their door.
                let ours = name != "a.pdf" && name != "a.xlsx";
                assert!(!ours || !problem.message.contains("reader failed"), "{name}: {problem:?}");
                format!("{name} {:?}", problem.code)
            }
        }
    });
}
