//! What cannot be read says so with one clear reason and what to do.

use lorekeep_types::{Cancel, DocumentParser, ErrorCode, ParseInput};

use crate::fixtures::{docx, problem, zip};

#[test]
fn every_refusal_names_the_thing_and_the_remedy() {
    let ole = |name: &str| {
        let mut bytes = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        bytes.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        bytes
    };
    let cases: [(&str, Vec<u8>, ErrorCode, &str); 11] = [
        ("a.txt", Vec::new(), ErrorCode::Unprocessable, "the file is empty"),
        ("a.txt", b" \n \n".to_vec(), ErrorCode::Unprocessable, "no text"),
        ("a.doc", ole("WordDocument"), ErrorCode::Unsupported, ".doc"),
        ("a.xls", ole("Workbook"), ErrorCode::Unsupported, ".xls"),
        ("a.docx", ole("EncryptedPackage"), ErrorCode::Unsupported, "password"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0".to_vec(), ErrorCode::Unsupported, "PNG"),
        ("a.txt", (0..=255).cycle().take(4096).collect(), ErrorCode::Unsupported, "binary content in a .txt"),
        ("a.xyz", (0..=31).cycle().take(4096).collect(), ErrorCode::Unsupported, ".xyz"),
        ("a.docx", (0..=31).cycle().take(4096).collect(), ErrorCode::Unprocessable, "docx"),
        ("a.docx", docx("<w:p/>"), ErrorCode::Unprocessable, "no text"),
        ("a.zip", zip(&[("a.png", b"\x89PNG\r\n\x1a\n\0\0")]), ErrorCode::Unprocessable, "no member can be read"),
    ];
    for (name, bytes, code, words) in cases {
        let problem = problem(name, &bytes);
        assert_eq!(problem.code, code, "{name}: {problem:?}");
        assert!(problem.message.contains(words), "{name}: {problem:?}");
        assert!(problem.hint.is_some(), "{name}: {problem:?}");
    }
}

#[test]
fn a_truncated_container_is_damaged() {
    let bytes = docx(&"<w:p><w:r><w:t>words</w:t></w:r></w:p>".repeat(50));
    let problem = problem("a.docx", &bytes[..bytes.len() / 2]);
    assert_eq!(problem.code, ErrorCode::Unprocessable);
    assert!(problem.message.contains("docx file is damaged"), "{problem:?}");
}

#[test]
fn an_archive_with_a_password_says_so() {
    let mut bytes = zip(&[("a.txt", b"words")]);
    // The general purpose flags stand at 6 in the local header and at 8 in the directory's.
    bytes[6] |= 1;
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[directory + 8] |= 1;
    let problem = problem("a.zip", &bytes);
    assert_eq!(problem.code, ErrorCode::Unsupported);
    assert!(problem.message.contains("password"), "{problem:?}");
}

#[test]
fn cancelling_stops() {
    let cancel = Cancel::default();
    cancel.cancel();
    let input = ParseInput { name: "a.txt", bytes: b"words", cancel: &cancel };
    let problem = lorekeep_parse::Parser::default().parse(input).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Cancelled);
}

#[test]
fn the_table_of_formats_is_the_list() {
    let formats = lorekeep_parse::Parser::default().formats();
    let names: Vec<&str> = formats.iter().map(|format| format.name).collect();
    for wanted in "txt md rst html pdf docx pptx xlsx csv json odt epub eml code zip".split(' ') {
        assert!(names.contains(&wanted), "{wanted}");
    }
}
