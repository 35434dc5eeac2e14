//! Arbitrary bytes, truncations and flipped bits of good files: a document with its promises kept, or a problem.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::fixtures::{docx, epub, odt, parse_all, pptx, word_paragraph, xlsx, zip};
use crate::pdf_builder::{Page, column, pdf};

/// One good file per format.
pub(crate) fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let page = || Page::Lines(column(72, 720, &["Harbour survey", "The crane works.", "It lifts ten tons."]));
    vec![
        ("a.txt", "Title\n\nThe crane wörks.\x0cNext".as_bytes().to_vec()),
        ("a.md", b"---\ntitle: x\n---\n# A\n\n- b\n\n| c | d |\n|---|---|\n| e | f |\n\n```\ng\n```\n".to_vec()),
        ("a.rst", b"A\n=\n\n* b\n\nc::\n\n  d\n\n=== ===\n e   f\n=== ===\n".to_vec()),
        ("a.html", b"<h1 class='a'>A</h1><ul><li>b</ul><table><tr><td>c<td>d</table><pre>e</pre>&amp;&#8364;".to_vec()),
        ("a.csv", b"a,b\n\"c \"\"d\",e\n".to_vec()),
        ("a.json", br#"{"a": [1, {"b": "c\u00e9"}], "d": {"e": null}}"#.to_vec()),
        ("a.xml", b"<a b='c'><d>e &lt; f</d><![CDATA[g]]></a>".to_vec()),
        ("a.rtf", br"{\rtf1\ansi{\fonttbl x}\b a\'e9 \u8364?\par c\cell d\row}".to_vec()),
        ("a.tex", b"\\section{A}\nb\n".to_vec()),
        ("a.eml", b"From: a@b.c\nSubject: =?utf-8?b?w6k=?=\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nhi\n--x\nContent-Type: text/html\n\n<p>a\n--x--\n".to_vec()),
        ("a.docx", docx(&(word_paragraph("berschrift1", "A") + &word_paragraph("", "b")))),
        ("a.pptx", pptx(&[("A", &["b"])])),
        ("a.xlsx", xlsx("S", &[("A1", "n"), ("A2", "1.5")])),
        ("a.odt", odt("<text:h>A</text:h><text:p>b</text:p>")),
        ("a.epub", epub(&["<h1>A</h1><p>b</p>"])),
        ("a.zip", zip(&[("a.txt", b"words"), ("b/c.md", b"# D")])),
        ("a.pdf", pdf(&[page(), page()], "")),
    ]
}

#[test]
fn every_sample_is_read_whole() {
    for (name, bytes) in samples() {
        let documents = parse_all(name, &bytes).unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
        assert!(documents.iter().all(|(_, document)| document.warnings.is_empty()), "{name}: {documents:?}");
    }
}

#[test]
fn truncations_and_flips_never_panic() {
    // Bounded by time, not by count: the walk is the same in every run, only how far it gets differs.
    let budget = Duration::from_secs(10);
    let started = Instant::now();
    let samples = samples();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    for round in 0..200 {
        for (name, bytes) in &samples {
            if started.elapsed() > budget {
                return;
            }
            let mut broken = bytes.clone();
            if round % 2 == 0 {
                broken.truncate(random(bytes.len()));
            }
            for _ in 0..=random(4) {
                let at = random(broken.len());
                if let Some(byte) = broken.get_mut(at) {
                    *byte ^= 1 << random(8);
                }
            }
            let problem = parse_all(name, &broken).err();
            let panicked = problem.is_some_and(|problem| problem.message.contains("reader failed"));
            assert!(!panicked || *name == "a.pdf" || *name == "a.xlsx", "{name} panicked");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for (name, _) in samples().iter().filter(|(name, _)| *name != "a.pdf") {
            let _ = parse_all(name, &bytes);
        }
    }

    #[test]
    fn arbitrary_text_keeps_the_promises(text in "[ -~\n\té€\u{a0}<>&|#*`\\[\\]{}:,;\"'=-]{0,300}") {
        for name in ["a.txt", "a.md", "a.rst", "a.html", "a.csv", "a.json", "a.xml", "a.tex", "a.py", "a.eml"] {
            let _ = parse_all(name, text.as_bytes());
        }
        let _ = parse_all("a.rtf", format!("{{\\rtf1 {text}}}").as_bytes());
    }
}
