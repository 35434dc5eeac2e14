//! Bytes of text files to UTF-8: byte order marks, UTF-8, UTF-16, Windows code pages.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Text and what had to be guessed or dropped on the way to it.
pub(crate) struct Decoded<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) warnings: Vec<String>,
}

/// The detector reads at most this many bytes: enough to see the rarest letters, bounded for huge files.
const SAMPLE_BYTES: usize = 1 << 20;

/// Decodes a text file. `declared` is a label the content itself gives (an HTML or XML declaration).
pub(crate) fn decode<'a>(bytes: &'a [u8], declared: Option<&str>) -> Decoded<'a> {
    let mut warnings = Vec::new();
    let text = decode_bytes(bytes, declared, &mut warnings);
    let text = if text.contains('\0') {
        let count = text.matches('\0').count();
        warnings.push(format!("{count} NUL characters were removed"));
        Cow::Owned(text.replace('\0', ""))
    } else {
        text
    };
    Decoded { text, warnings }
}

fn decode_bytes<'a>(bytes: &'a [u8], declared: Option<&str>, warnings: &mut Vec<String>) -> Cow<'a, str> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        let (text, malformed) = encoding.decode_with_bom_removal(bytes);
        if malformed {
            warnings.push(lossy(encoding));
        }
        return text;
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && utf16_without_bom(bytes).is_none()
    {
        return Cow::Borrowed(text);
    }
    let encoding = guess(bytes, declared, warnings);
    let (text, malformed) = encoding.decode_without_bom_handling(bytes);
    if malformed {
        warnings.push(lossy(encoding));
    }
    text
}

fn guess(bytes: &[u8], declared: Option<&str>, warnings: &mut Vec<String>) -> &'static Encoding {
    if let Some(encoding) = utf16_without_bom(bytes) {
        return encoding;
    }
    if let Some(encoding) = declared.and_then(|label| Encoding::for_label(label.as_bytes()))
        && encoding != UTF_8
    {
        return encoding;
    }
    if nearly_utf8(bytes) {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let sample = &bytes[..bytes.len().min(SAMPLE_BYTES)];
    detector.feed(sample, true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    warnings.push(format!("the text is not UTF-8; it was read as {}", encoding.name()));
    encoding
}

fn lossy(encoding: &'static Encoding) -> String {
    format!("some bytes are not valid {} and were replaced by U+FFFD", encoding.name())
}

/// Every second byte zero means UTF-16 of a Latin script, which is also valid UTF-8 with NULs.
fn utf16_without_bom(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(4096) & !1];
    let pairs = sample.len() / 2;
    if pairs < 2 {
        return None;
    }
    let even = sample.iter().step_by(2).filter(|byte| **byte == 0).count();
    let odd = sample.iter().skip(1).step_by(2).filter(|byte| **byte == 0).count();
    if odd * 10 >= pairs * 7 && even * 10 < pairs {
        Some(UTF_16LE)
    } else if even * 10 >= pairs * 7 && odd * 10 < pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// UTF-8 with a few broken places (a cut log, a pasted byte) is still UTF-8: at least two multi-byte
/// characters decode and fewer than one in ten of the non-ASCII places is broken.
fn nearly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in bytes[..bytes.len().min(SAMPLE_BYTES)].utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good >= 2 && bad * 10 <= good
}

/// Whether the bytes are no text in any encoding: many control characters that are no white space.
pub(crate) fn looks_binary(bytes: &[u8]) -> bool {
    if Encoding::for_bom(bytes).is_some() || utf16_without_bom(bytes).is_some() {
        return false;
    }
    let sample = &bytes[..bytes.len().min(64 << 10)];
    let controls = sample.iter().filter(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127)).count();
    controls >= 3 && controls * 20 > sample.len()
}

#[cfg(test)]
mod tests {
    use super::{decode, looks_binary};

    #[test]
    fn code_pages_are_recognised() {
        let windows_1252 = b"Caf\xe9 M\xfcller serves cr\xe8me br\xfbl\xe9e \x96 na\xefve \x93quotes\x94.";
        assert!(decode(windows_1252, None).text.starts_with("Café Müller serves crème brûlée – naïve “quotes”"));
        let (cyrillic, _, _) =
            encoding_rs::WINDOWS_1251.encode("Совет утвердил план строительства новой гавани в этом году.");
        assert_eq!(decode(&cyrillic, None).text, "Совет утвердил план строительства новой гавани в этом году.");
        let utf16: Vec<u8> = "Plain text".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&utf16, None).text, "Plain text");
        assert!(!looks_binary(&utf16));
    }

    #[test]
    fn losses_are_named() {
        let cut = "Ăn quả nhớ kẻ trồng cây, uống nước nhớ nguồn".as_bytes();
        let decoded = decode(&cut[..cut.len() - 2], None);
        assert!(decoded.text.starts_with("Ăn quả") && decoded.warnings[0].contains("UTF-8"));
        assert_eq!(decode(b"a\0b", None).text, "ab");
        assert!(decode(b"a\0b", None).warnings[0].contains("NUL"));
        assert!(looks_binary(&[0, 1, 2, 3, 200, 4, 5]));
    }
}
