//! What a file is: by its first bytes and members, with the extension as a hint among text formats.

use crate::encoding;
use crate::error::{ParseError, Result};
use crate::formats::Kind;
use crate::limits::Watch;
use crate::package::Package;

/// The reader to use, and a warning when the name promised something else.
pub(crate) struct Detected {
    pub(crate) kind: Kind,
    pub(crate) warning: Option<String>,
}

/// First bytes of formats that are recognised in order to refuse them with the right advice.
const REFUSED: [(&[u8], &str, &str); 19] = [
    (b"\x89PNG", "a PNG image", IMAGE_HINT),
    (b"\xff\xd8\xff", "a JPEG image", IMAGE_HINT),
    (b"GIF8", "a GIF image", IMAGE_HINT),
    (b"II*\0", "a TIFF image", IMAGE_HINT),
    (b"MM\0*", "a TIFF image", IMAGE_HINT),
    (b"BM", "a BMP image", IMAGE_HINT),
    (b"\x1f\x8b", "a gzip archive", UNPACK_HINT),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK_HINT),
    (b"Rar!", "a RAR archive", UNPACK_HINT),
    (b"BZh", "a bzip2 archive", UNPACK_HINT),
    (b"\xfd7zXZ", "an xz archive", UNPACK_HINT),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK_HINT),
    (b"SQLite format 3", "an SQLite database", "export the tables as CSV and add those"),
    (b"\x7fELF", "a program", OTHER_HINT),
    (b"MZ", "a program", OTHER_HINT),
    (b"ID3", "an audio recording", MEDIA_HINT),
    (b"OggS", "an audio recording", MEDIA_HINT),
    (b"RIFF", "a media file", MEDIA_HINT),
    (b"fLaC", "an audio recording", MEDIA_HINT),
];
const IMAGE_HINT: &str = "run the image through OCR and add the resulting PDF or text";
const UNPACK_HINT: &str = "unpack it and add the files, or pack them as .zip";
const MEDIA_HINT: &str = "transcribe it and add the transcript";
const OTHER_HINT: &str = "add a text, PDF, Office, HTML, e-book, e-mail or data file; `GET /v1/formats` lists all";

/// Finds the reader for `bytes` called `name`.
pub(crate) fn detect(name: &str, bytes: &[u8], watch: &Watch<'_>) -> Result<Detected> {
    let extension = extension(name);
    let hint = Kind::of_extension(&extension);
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return zip_kind(bytes, &extension, hint, watch).map(|kind| expected(kind, hint, &extension));
    }
    if find(&bytes[..bytes.len().min(1024)], b"%PDF-").is_some() && hint.is_none_or(|kind| !kind.is_text()) {
        return Ok(expected(Kind::Pdf, hint, &extension));
    }
    if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return Err(compound_file(bytes, &extension));
    }
    if bytes.starts_with(b"{\\rtf") {
        return Ok(expected(Kind::Rtf, hint, &extension));
    }
    if encoding::looks_binary(bytes) {
        return Err(refused(bytes, hint, &extension));
    }
    text_kind(bytes, &extension, hint)
}

fn expected(kind: Kind, hint: Option<Kind>, extension: &str) -> Detected {
    let warning = (hint.is_some_and(|hint| hint != kind))
        .then(|| format!("the file is named .{extension} but holds {}; it was read as that", kind.name()));
    Detected { kind, warning }
}

/// The lower-case extension of a file name or path, empty when there is none.
pub(crate) fn extension(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_ascii_lowercase())
}

/// Tells the package formats apart by their members.
fn zip_kind(bytes: &[u8], extension: &str, hint: Option<Kind>, watch: &Watch<'_>) -> Result<Kind> {
    let mut package = Package::open(bytes, hint.map_or("zip", Kind::name), watch)?;
    let has = |prefix: &str| package.names().any(|name| name.starts_with(prefix));
    if has("word/") && has("[Content_Types].xml") {
        return Ok(Kind::Docx);
    }
    if has("ppt/") && has("[Content_Types].xml") {
        return Ok(Kind::Pptx);
    }
    if has("xl/") && has("[Content_Types].xml") {
        return if has("xl/workbook.bin") {
            Err(ParseError::Unsupported {
                what: "a binary workbook (.xlsb)".into(),
                hint: "save it as .xlsx and add that",
            })
        } else {
            Ok(Kind::Xlsx)
        };
    }
    if extension == "textpack" {
        return Ok(Kind::Textpack);
    }
    let container = has("META-INF/container.xml");
    let mimetype = package.read("mimetype")?.map(|part| String::from_utf8_lossy(&part.bytes).trim().to_owned());
    match mimetype.as_deref() {
        Some("application/vnd.oasis.opendocument.text") => Ok(Kind::Odt),
        Some("application/epub+zip") => Ok(Kind::Epub),
        Some(other) if other.starts_with("application/vnd.oasis.opendocument.") => Err(ParseError::Unsupported {
            what: format!("an OpenDocument {} file", other.rsplit('.').next().unwrap_or("package")),
            hint: "export it as .xlsx, .pptx or PDF and add that",
        }),
        _ if container => Ok(Kind::Epub),
        _ => Ok(Kind::Zip),
    }
}

/// OLE compound files: encrypted modern Office documents, and the legacy formats.
fn compound_file(bytes: &[u8], extension: &str) -> ParseError {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    if find(bytes, &utf16("EncryptedPackage")).is_some() {
        return ParseError::Encrypted { what: "the Office document" };
    }
    match extension {
        "xls" => legacy("a legacy Excel workbook (.xls)", "save it as .xlsx and add that"),
        "ppt" => legacy("a legacy PowerPoint presentation (.ppt)", "save it as .pptx and add that"),
        "msg" => legacy("an Outlook message (.msg)", "save it as .eml and add that"),
        _ => legacy("a legacy Word document (.doc)", "save it as .docx (or PDF) and add that"),
    }
}

fn legacy(what: &str, hint: &'static str) -> ParseError {
    ParseError::Unsupported { what: what.to_owned(), hint }
}

fn refused(bytes: &[u8], hint: Option<Kind>, extension: &str) -> ParseError {
    if let Some((_, what, hint)) = REFUSED.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return legacy(what, hint);
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return legacy("a video or audio file", MEDIA_HINT);
    }
    match hint {
        Some(kind) if kind.is_text() => legacy(&format!("binary content in a .{extension} file"), OTHER_HINT),
        Some(kind) => ParseError::broken(kind.name(), "it does not start as such a file does"),
        None if extension.is_empty() => legacy("binary content of an unknown format", OTHER_HINT),
        None => legacy(&format!("the binary format .{extension}"), OTHER_HINT),
    }
}

/// Text formats: the extension decides where the content allows it, else the content.
fn text_kind(bytes: &[u8], extension: &str, hint: Option<Kind>) -> Result<Detected> {
    match hint {
        Some(kind) if kind.is_text() => Ok(Detected { kind, warning: None }),
        Some(kind) if kind == Kind::Pdf && find(bytes, b"endobj").is_some() => Ok(Detected { kind, warning: None }),
        _ => {
            let kind = sniff(bytes);
            Ok(expected(kind, hint, extension))
        }
    }
}

/// The format of text whose name does not tell.
fn sniff(bytes: &[u8]) -> Kind {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2048)]);
    let head = head.trim_start_matches('\u{feff}').trim_start();
    let lower = head.to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") || lower.contains("<html") {
        Kind::Html
    } else if lower.starts_with("<?xml") {
        Kind::Xml
    } else if is_mail(&lower) {
        Kind::Eml
    } else {
        Kind::Text
    }
}

/// A message starts with header fields, two of the usual ones among them.
fn is_mail(head: &str) -> bool {
    let fields = ["from:", "to:", "subject:", "date:", "received:", "message-id:", "mime-version:", "return-path:"];
    let header: Vec<&str> = head.lines().take_while(|line| !line.trim().is_empty()).collect();
    let known = header.iter().filter(|line| fields.iter().any(|field| line.starts_with(field))).count();
    known >= 3 && header.first().is_some_and(|line| line.contains(':'))
}

/// The first place of `needle` in `haystack`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
