//! What must hold of every document, whatever the input was.

use lorekeep_types::ParsedDocument;

/// Fails when a promise of [`ParsedDocument`] is broken.
pub(crate) fn check(document: &ParsedDocument) {
    let text = &document.text;
    assert!(!text.trim().is_empty(), "a document without text is a problem, not a document");
    assert!(!text.contains(['\0', '\r']), "only \\n newlines and no NUL");
    assert!(!text.contains("\n\n\n"), "one blank line between paragraphs");
    assert!(text.lines().all(|line| line.trim_end() == line), "no trailing blanks");
    pages(document);
    headings(document);
    let mut end = 0;
    for block in &document.blocks {
        assert!(block.start >= end && block.start < block.end, "blocks in order");
        assert!(text.get(block.start..block.end).is_some(), "blocks on character boundaries");
        end = block.end;
    }
    assert!(document.warnings.iter().all(|warning| !warning.trim().is_empty()));
    if let Some(date) = &document.metadata.date {
        assert!(date.len() == 10 && date.is_ascii(), "{date}");
    }
}

fn pages(document: &ParsedDocument) {
    let mut end = 0;
    for page in &document.pages {
        assert_eq!(page.span.start, end, "pages cover the text without gaps");
        assert!(document.text.get(page.span.start..page.span.end).is_some(), "pages on character boundaries");
        end = page.span.end;
    }
    assert!(document.pages.is_empty() || end == document.text.len(), "pages cover the text to its end");
    assert!(document.pages.windows(2).all(|pair| pair[0].number < pair[1].number), "page numbers rise");
}

fn headings(document: &ParsedDocument) {
    let text = &document.text;
    for (index, heading) in document.headings.iter().enumerate() {
        assert!(heading.level >= 1 && !heading.title.is_empty());
        assert!(heading.start < heading.end && heading.end <= text.len());
        assert!(text.get(heading.start..heading.end).is_some(), "headings on character boundaries");
        assert!(heading.start == 0 || text.as_bytes()[heading.start - 1] == b'\n', "a heading starts a line");
        let next = document.headings[index + 1..].iter().find(|next| next.level <= heading.level);
        assert_eq!(heading.end, next.map_or(text.len(), |next| next.start), "a section reaches to its next peer");
    }
    assert!(document.headings.windows(2).all(|pair| pair[0].start < pair[1].start), "headings in order");
}
