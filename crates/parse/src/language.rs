//! Language of a document as an ISO 639-1 code: declared, else detected.

use whatlang::Lang;

/// Fewer letters than this say too little about the language.
const MIN_LETTERS: usize = 40;
/// Detection reads at most this many bytes, from the middle of long texts, past covers and abstracts.
const SAMPLE_BYTES: usize = 8_000;

/// The code in a language tag such as `en-GB`, `vi_VN` or `ENG`.
pub(crate) fn declared(tag: &str) -> Option<String> {
    let primary: String =
        tag.trim().chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    match primary.len() {
        2 => Some(primary),
        3 => Lang::from_code(primary).map(|lang| iso_639_1(lang).to_owned()),
        _ => None,
    }
}

/// The language the text is written in, when that is certain enough to filter by.
pub(crate) fn detect(text: &str) -> Option<&'static str> {
    let sample = sample(text);
    if sample.chars().filter(|c| c.is_alphabetic()).take(MIN_LETTERS).count() < MIN_LETTERS {
        return None;
    }
    let info = whatlang::detect(sample)?;
    info.is_reliable().then(|| iso_639_1(info.lang()))
}

fn sample(text: &str) -> &str {
    if text.len() <= SAMPLE_BYTES {
        return text;
    }
    let from = (text.len() - SAMPLE_BYTES) / 2;
    let start = text.ceil_char_boundary(from);
    let end = text.floor_char_boundary(from + SAMPLE_BYTES);
    text.get(start..end).unwrap_or(text)
}

/// ISO 639-1 for the detector's ISO 639-3; macrolanguages by their usual code.
const fn iso_639_1(lang: Lang) -> &'static str {
    match lang {
        Lang::Epo => "eo",
        Lang::Eng => "en",
        Lang::Rus => "ru",
        Lang::Cmn => "zh",
        Lang::Spa => "es",
        Lang::Por => "pt",
        Lang::Ita => "it",
        Lang::Ben => "bn",
        Lang::Fra => "fr",
        Lang::Deu => "de",
        Lang::Ukr => "uk",
        Lang::Kat => "ka",
        Lang::Ara => "ar",
        Lang::Hin => "hi",
        Lang::Jpn => "ja",
        Lang::Heb => "he",
        Lang::Yid => "yi",
        Lang::Pol => "pl",
        Lang::Amh => "am",
        Lang::Jav => "jv",
        Lang::Kor => "ko",
        Lang::Nob => "no",
        Lang::Dan => "da",
        Lang::Swe => "sv",
        Lang::Fin => "fi",
        Lang::Tur => "tr",
        Lang::Nld => "nl",
        Lang::Hun => "hu",
        Lang::Ces => "cs",
        Lang::Ell => "el",
        Lang::Bul => "bg",
        Lang::Bel => "be",
        Lang::Mar => "mr",
        Lang::Kan => "kn",
        Lang::Ron => "ro",
        Lang::Slv => "sl",
        Lang::Hrv => "hr",
        Lang::Srp => "sr",
        Lang::Mkd => "mk",
        Lang::Lit => "lt",
        Lang::Lav => "lv",
        Lang::Est => "et",
        Lang::Tam => "ta",
        Lang::Vie => "vi",
        Lang::Urd => "ur",
        Lang::Tha => "th",
        Lang::Guj => "gu",
        Lang::Uzb => "uz",
        Lang::Pan => "pa",
        Lang::Aze => "az",
        Lang::Ind => "id",
        Lang::Tel => "te",
        Lang::Pes => "fa",
        Lang::Mal => "ml",
        Lang::Ori => "or",
        Lang::Mya => "my",
        Lang::Nep => "ne",
        Lang::Sin => "si",
        Lang::Khm => "km",
        Lang::Tuk => "tk",
        Lang::Aka => "ak",
        Lang::Zul => "zu",
        Lang::Sna => "sn",
        Lang::Afr => "af",
        Lang::Lat => "la",
        Lang::Slk => "sk",
        Lang::Cat => "ca",
        Lang::Tgl => "tl",
        Lang::Hye => "hy",
        Lang::Cym => "cy",
    }
}

#[cfg(test)]
mod tests {
    use super::{declared, detect};

    #[test]
    fn declared_tags_are_shortened() {
        assert_eq!(declared("en-GB").as_deref(), Some("en"));
        assert_eq!(declared("vie").as_deref(), Some("vi"));
        assert_eq!(declared("x-none"), None);
    }

    #[test]
    fn only_certain_detections_count() {
        assert_eq!(detect("Hội đồng quản trị đã thông qua kế hoạch xây dựng bến cảng mới trong năm nay."), Some("vi"));
        assert_eq!(detect("ok 12"), None);
    }
}
