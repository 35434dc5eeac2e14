//! Formats inside zip containers: Word, PowerPoint, Excel, OpenDocument, EPUB, archives, text packs.

use crate::fixtures::{docx, epub, odt, parse, parse_all, pptx, word_paragraph, xlsx, zip};

#[test]
fn word_headings_lists_and_tables() {
    let cell = |text: &str| format!("<w:tc>{}</w:tc>", word_paragraph("", text));
    let body = [
        word_paragraph("berschrift1", "Overview"),
        word_paragraph("", "The crane &amp; the dock."),
        "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"1\"/><w:numId w:val=\"3\"/></w:numPr></w:pPr><w:r><w:t>inner item</w:t></w:r></w:p>".to_owned(),
        format!("<w:tbl><w:tr>{}{}</w:tr><w:tr>{}{}</w:tr></w:tbl>", cell("item"), cell("cost"), cell("crane"), cell("12")),
        "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:t>kept</w:t></w:r></w:p>".to_owned(),
        word_paragraph("berschrift2", "Details"),
    ]
    .concat();
    let document = parse("plan.docx", &docx(&body));
    assert_eq!(
        document.text,
        "Overview\n\nThe crane & the dock.\n\n  - inner item\n\nitem | cost\ncrane | 12\n\nkept\n\nDetails"
    );
    let levels: Vec<u8> = document.headings.iter().map(|heading| heading.level).collect();
    assert_eq!(levels, [1, 2]);
    assert_eq!(document.blocks[0].of(&document.text), "item | cost\ncrane | 12");
    assert_eq!(document.metadata.title.as_deref(), Some("Harbour plan"));
    assert_eq!(document.metadata.author.as_deref(), Some("Ada Lind"));
    assert_eq!(document.metadata.date.as_deref(), Some("2024-05-17"));
}

#[test]
fn a_cut_word_part_gives_what_stands_before() {
    let body = format!("{}<w:p><w:r><w:t>second", word_paragraph("", "First paragraph."));
    let bytes = zip(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("word/document.xml", format!("<w:document><w:body>{body}</w:t></w:r><w:p w:x=").as_bytes()),
    ]);
    let document = parse("cut.docx", &bytes);
    assert!(document.text.starts_with("First paragraph."));
    assert!(document.warnings[0].contains("word/document.xml is damaged"), "{:?}", document.warnings);
}

#[test]
fn slides_are_pages_in_shown_order() {
    let bytes = pptx(&[("Opening", &["one", "two"]), ("Costs", &["three"])]);
    let document = parse("talk.pptx", &bytes);
    assert_eq!(document.text, "Opening\n\n- one\n- two\n\nCosts\n\n- three");
    let pages: Vec<(u32, &str)> =
        document.pages.iter().map(|page| (page.number, page.span.of(&document.text))).collect();
    assert_eq!(pages, [(1, "Opening\n\n- one\n- two\n\n"), (2, "Costs\n\n- three")]);
    assert_eq!(document.headings.len(), 2);
}

#[test]
fn sheets_read_as_records_and_far_cells_cost_nothing() {
    let bytes = xlsx("Crew", &[("A1", "name"), ("B1", "years"), ("A2", "Linh"), ("B2", "4.5"), ("XFD1048576", "far")]);
    let document = parse("crew.xlsx", &bytes);
    assert_eq!(document.text, "Crew\n\nname: Linh; years: 4.5\nfar");
    assert_eq!(document.headings[0].title, "Crew");
    assert_eq!(document.pages.len(), 1);
}

#[test]
fn open_document_text() {
    let body = "<text:h text:outline-level=\"2\">Tides</text:h><text:p>High<text:s text:c=\"2\"/>at<text:line-break/>noon.</text:p>\
        <text:list><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>two</text:p></text:list-item></text:list></text:list-item></text:list>\
        <table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell><table:table-cell><text:p>b</text:p></table:table-cell></table:table-row></table:table>";
    let document = parse("tides.odt", &odt(body));
    assert_eq!(document.text, "Tides\n\nHigh at\nnoon.\n\n- one\n  - two\n\na | b");
    assert_eq!(document.headings[0].level, 2);
    assert_eq!(document.metadata.language.as_deref(), Some("en"));
    assert_eq!(document.metadata.date.as_deref(), Some("2023-11-02"));
}

#[test]
fn book_chapters_in_spine_order() {
    let document =
        parse("book.epub", &epub(&["<h1>One</h1><p>First &ldquo;light&rdquo;.</p>", "<h1>Two</h1><p>Last.</p>"]));
    assert_eq!(document.text, "One\n\nFirst “light”.\n\nTwo\n\nLast.");
    assert_eq!(document.metadata.title.as_deref(), Some("The Lighthouse"));
    assert_eq!(document.metadata.author.as_deref(), Some("M. Okafor"));
}

#[test]
fn archives_give_one_document_per_member() {
    let inner = zip(&[("deep.md", b"# Deep\n\nWords.")]);
    let bytes = zip(&[
        ("notes/a.txt", b"Alpha is here."),
        ("__MACOSX/._a.txt", b"clutter"),
        ("inner.zip", &inner),
        ("photo.png", b"\x89PNG\r\n\x1a\n\0\0\0"),
        ("../../etc/passwd", b"root:x:0:0"),
    ]);
    let documents = parse_all("all.zip", &bytes).unwrap();
    let names: Vec<&str> = documents.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["notes/a.txt", "inner.zip/deep.md"]);
    let warnings = documents[0].1.warnings.join("\n");
    assert!(warnings.contains("photo.png") && warnings.contains("outside the archive"), "{warnings}");
}

#[test]
fn text_packs_hold_markdown() {
    let bytes = zip(&[("x.textbundle/info.json", b"{}"), ("x.textbundle/text.md", b"# Note\n\nBody.")]);
    assert_eq!(parse("x.textpack", &bytes).text, "Note\n\nBody.");
}
