//! E-mail messages.

use crate::fixtures::parse;

#[test]
fn subject_body_and_attachments() {
    let source = "From: Ada Lind <ada@example.org>\r\nTo: crew@example.org\r\nSubject: =?utf-8?q?B=E1=BA=BFn_c=E1=BA=A3ng?=\r\nDate: Tue, 12 Mar 2024 10:15:00 +0700\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe crane works.\r\n--b\r\nContent-Type: text/csv; name=\"crew.csv\"\r\nContent-Disposition: attachment; filename=\"crew.csv\"\r\n\r\nname,role\r\nLinh,pilot\r\n--b\r\nContent-Type: image/png; name=\"x.png\"\r\nContent-Disposition: attachment; filename=\"x.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgoAAAA=\r\n--b--\r\n";
    let document = parse("mail.eml", source.as_bytes());
    assert_eq!(document.metadata.title.as_deref(), Some("Bến cảng"));
    assert_eq!(document.metadata.author.as_deref(), Some("Ada Lind <ada@example.org>"));
    assert_eq!(document.metadata.date.as_deref(), Some("2024-03-12"));
    assert!(document.text.contains("The crane works.") && document.text.contains("name: Linh; role: pilot"));
    let titles: Vec<(&str, u8)> =
        document.headings.iter().map(|heading| (heading.title.as_str(), heading.level)).collect();
    assert_eq!(titles, [("Bến cảng", 1), ("crew.csv", 2)]);
    assert!(document.warnings[0].contains("x.png"), "{:?}", document.warnings);
}

#[test]
fn html_only_messages_read_as_text() {
    let source = b"From: a@b.c\nSubject: Hi\nDate: Tue, 12 Mar 2024 10:15:00 +0000\nContent-Type: text/html\n\n<p>Dear <b>all</b>,</p><p>bye</p>";
    let document = parse("noname", source);
    assert!(document.text.ends_with("Dear all,\n\nbye"), "{}", document.text);
}
