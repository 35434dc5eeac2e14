//! Files built in code, and the call under test.

use std::io::{Cursor, Write};

use lorekeep_parse::{Limits, Parser};
use lorekeep_types::{Cancel, DocumentParser, ParseInput, ParsedDocument, Problem};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::invariants;

/// Parses with the default limits and checks the promises of every document that comes out.
pub(crate) fn parse_all(name: &str, bytes: &[u8]) -> Result<Vec<(String, ParsedDocument)>, Problem> {
    parse_with(Limits::default(), name, bytes)
}

/// As [`parse_all`], with other limits.
pub(crate) fn parse_with(limits: Limits, name: &str, bytes: &[u8]) -> Result<Vec<(String, ParsedDocument)>, Problem> {
    let documents = Parser::new(limits).parse(ParseInput { name, bytes, cancel: &Cancel::default() });
    for (_, document) in documents.iter().flatten() {
        invariants::check(document);
    }
    documents
}

/// Parses a file that gives one document.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> ParsedDocument {
    let mut documents = parse_all(name, bytes).unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
    assert_eq!(documents.len(), 1);
    documents.remove(0).1
}

/// The problem with a file that cannot be read.
pub(crate) fn problem(name: &str, bytes: &[u8]) -> Problem {
    match parse_all(name, bytes) {
        Err(problem) => problem,
        Ok(documents) => panic!("{name} gave {documents:?}"),
    }
}

/// A zip of these members.
pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A Word document with this body and style sheet entries for two headings.
pub(crate) fn docx(body: &str) -> Vec<u8> {
    let document = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="w"><w:body>{body}</w:body></w:document>"#
    );
    let styles = r#"<w:styles xmlns:w="w">
        <w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
        <w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style></w:styles>"#;
    let core = r#"<cp:coreProperties xmlns:cp="c" xmlns:dc="d" xmlns:dcterms="t"><dc:title>Harbour plan</dc:title>
        <dc:creator>Ada Lind</dc:creator><dcterms:created>2019-01-01T00:00:00Z</dcterms:created>
        <dcterms:modified>2024-05-17T08:00:00Z</dcterms:modified></cp:coreProperties>"#;
    zip(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("word/document.xml", document.as_bytes()),
        ("word/styles.xml", styles.as_bytes()),
        ("docProps/core.xml", core.as_bytes()),
    ])
}

/// A paragraph of a Word document.
pub(crate) fn word_paragraph(style: &str, text: &str) -> String {
    let style = if style.is_empty() { String::new() } else { format!(r#"<w:pStyle w:val="{style}"/>"#) };
    format!(r#"<w:p><w:pPr>{style}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>"#)
}

/// A presentation with these slides (title, body paragraphs), the list of slides in reverse file order.
pub(crate) fn pptx(slides: &[(&str, &[&str])]) -> Vec<u8> {
    let mut list = String::new();
    let mut relations = String::new();
    let mut members: Vec<(String, String)> = vec![("[Content_Types].xml".into(), "<Types/>".into())];
    for (index, (title, body)) in slides.iter().enumerate() {
        let file = slides.len() - index;
        list.push_str(&format!(r#"<p:sldId id="{}" r:id="rId{file}"/>"#, 256 + index));
        relations
            .push_str(&format!(r#"<Relationship Id="rId{file}" Type="x/slide" Target="slides/slide{file}.xml"/>"#));
        let body: String = body.iter().map(|text| format!("<a:p><a:r><a:t>{text}</a:t></a:r></a:p>")).collect();
        let shape = |kind: &str, inner: &str| {
            format!(
                r#"<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:txBody>{inner}</p:txBody></p:sp>"#
            )
        };
        let title = format!("<a:p><a:r><a:t>{title}</a:t></a:r></a:p>");
        let number = "<a:p><a:fld><a:t>7</a:t></a:fld></a:p>";
        members.push((
            format!("ppt/slides/slide{file}.xml"),
            format!("<p:sld>{}{}{}</p:sld>", shape("title", &title), shape("body", &body), shape("sldNum", number)),
        ));
    }
    members.push((
        "ppt/presentation.xml".into(),
        format!("<p:presentation><p:sldIdLst>{list}</p:sldIdLst></p:presentation>"),
    ));
    members.push(("ppt/_rels/presentation.xml.rels".into(), format!("<Relationships>{relations}</Relationships>")));
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    zip(&members)
}

/// A workbook with one sheet of inline strings and numbers; cells as (reference, value).
pub(crate) fn xlsx(sheet: &str, cells: &[(&str, &str)]) -> Vec<u8> {
    let mut rows: Vec<(u32, String)> = Vec::new();
    for (reference, value) in cells {
        let row: u32 = reference.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().unwrap();
        let cell = if value.parse::<f64>().is_ok() {
            format!(r#"<c r="{reference}"><v>{value}</v></c>"#)
        } else {
            format!(r#"<c r="{reference}" t="inlineStr"><is><t>{value}</t></is></c>"#)
        };
        match rows.last_mut() {
            Some((last, text)) if *last == row => text.push_str(&cell),
            _ => rows.push((row, cell)),
        }
    }
    let data: String = rows.iter().map(|(row, cells)| format!(r#"<row r="{row}">{cells}</row>"#)).collect();
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    zip(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("_rels/.rels", format!(r#"<Relationships xmlns="{package}"><Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#).as_bytes()),
        ("xl/workbook.xml", format!(r#"<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="{sheet}" sheetId="1" r:id="rId1"/></sheets></workbook>"#).as_bytes()),
        ("xl/_rels/workbook.xml.rels", format!(r#"<Relationships xmlns="{package}"><Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#).as_bytes()),
        ("xl/worksheets/sheet1.xml", format!(r#"<worksheet xmlns="{main}"><sheetData>{data}</sheetData></worksheet>"#).as_bytes()),
    ])
}

/// An OpenDocument text with this body.
pub(crate) fn odt(body: &str) -> Vec<u8> {
    zip(&[
        ("mimetype", b"application/vnd.oasis.opendocument.text"),
        ("content.xml", format!("<office:document-content><office:body><office:text>{body}</office:text></office:body></office:document-content>").as_bytes()),
        ("meta.xml", b"<office:document-meta><office:meta><dc:title>Tide tables</dc:title><dc:language>en-GB</dc:language><dc:date>2023-11-02T10:00:00</dc:date></office:meta></office:document-meta>"),
    ])
}

/// A book with these chapters.
pub(crate) fn epub(chapters: &[&str]) -> Vec<u8> {
    let mut manifest = String::new();
    let mut spine = String::new();
    let mut members: Vec<(String, String)> = vec![
        ("mimetype".into(), "application/epub+zip".into()),
        (
            "META-INF/container.xml".into(),
            r#"<container><rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles></container>"#.into(),
        ),
    ];
    for (index, chapter) in chapters.iter().enumerate() {
        manifest.push_str(&format!(r#"<item id="c{index}" href="text/c%20{index}.xhtml"/>"#));
        spine.push_str(&format!(r#"<itemref idref="c{index}"/>"#));
        members.push((
            format!("OEBPS/text/c {index}.xhtml"),
            format!("<html><head><title>c{index}</title></head><body>{chapter}</body></html>"),
        ));
    }
    members.push((
        "OEBPS/content.opf".into(),
        format!(
            "<package><metadata><dc:title>The Lighthouse</dc:title><dc:creator>M. Okafor</dc:creator>\
             <dc:language>en</dc:language></metadata><manifest>{manifest}</manifest><spine>{spine}</spine></package>"
        ),
    ));
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    zip(&members)
}
