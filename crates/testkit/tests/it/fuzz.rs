//! Fuzzing of the text analysis: what a question or a passage may do to sentences, names, terms and phrases.

use std::ops::Range;

use lorekeep_testkit::fuzz::Target;
use lorekeep_text as text;

const SEEDS: [&str; 6] = [
    "Who was the first director of the observatory, and when was it founded?",
    "Dr. A. B. Lind (b. 1911) met \"the crew\" at 3.5 km, e.g. in Trieste [12]. She left… Then U.S. law changed!",
    "Siapa yang mendirikan perpustakaan itu pada tahun 1931? Beliau wafat di Jakarta.",
    "Thư viện được thành lập năm nào? Ai là giám đốc đầu tiên của đài quan sát?",
    "天文台は誰が建てましたか。一九三一年です！次の文。",
    "1. Open\n2. Close\n\n# Head\n- one\n- two\n| a | b |\n|---|---|\n| c | d |",
];

const WORDS: [&str; 24] = [
    ". ", "? ", "! ", "… ", "。", "[12]", "[note 3]", "\"", "”", "«", "\n\n", "\n- ", "Mr. ", "U.S. ", "e.g. ", "the ",
    "Of ", "İ", "ß", "é", "\u{301}", "𝛼", "\u{200d}", "1931",
];

fn within(text: &str, spans: &[Range<usize>]) {
    let mut end = 0;
    for span in spans {
        assert!(span.start >= end && span.start < span.end, "spans in order: {spans:?}");
        assert!(text.get(span.clone()).is_some(), "spans on character boundaries: {spans:?}");
        end = span.end;
    }
}

#[test]
fn text() {
    let seeds = SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let target = Target { name: "text", root: env!("CARGO_MANIFEST_DIR"), seeds, words: &WORDS };
    target.run(|input| {
        let input = &String::from_utf8_lossy(input);
        let (sentences, names, quotes) =
            (text::sentences(input), text::capitalised_spans(input), text::quoted_spans(input));
        within(input, &sentences);
        within(input, &names);
        within(input, &quotes);
        let normalised = text::norm(input);
        assert_eq!(text::norm(&normalised), normalised, "normalising twice changes nothing");
        let language = text::language_of(input);
        let phrases = text::phrases(input, &[]).len();
        let query = text::query_phrases(input, |_| true, |word| word.len() > 3).len();
        for form in [text::Form::Exact, text::Form::Folded] {
            assert!(text::lexical_tokens(input, language, form).iter().all(|token| !token.is_empty()));
        }
        let counts = [sentences.len(), names.len(), quotes.len(), phrases, query].map(|count| count.min(12));
        let kinds = (text::answer_type(input), text::reads_as_english(input), text::begins_with_pronoun(input));
        format!("{counts:?} {kinds:?} {language:?} {}", text::without_citations(input).len().min(8))
    });
}
