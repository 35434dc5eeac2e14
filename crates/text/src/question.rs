//! Reading a question: which kind of answer it expects, which of its words only ask, and which words of a
//! passage look like such an answer. Rules are data; how much they count belongs to the ranking.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::fold::{diacritic_words, fold, runs};
use crate::lexical::is_spaceless;
use crate::lists::{WordList, words};

static ENGLISH_QUESTION_WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| question_words("english"));
static OTHER_QUESTION_WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| question_words("other"));
static PRONOUNS: WordList = LazyLock::new(|| words(include_str!("../data/pronouns.txt")).collect());
static ENGLISH_CUES: WordList = LazyLock::new(|| words(include_str!("../data/english-cues.txt")).collect());
static NUMBER_WORDS: WordList = LazyLock::new(|| words(include_str!("../data/number-words.txt")).collect());
static MONTHS: LazyLock<Vec<Shape>> = LazyLock::new(|| shapes(include_str!("../data/time-words.txt"), "months"));
static ERAS: LazyLock<Vec<Shape>> = LazyLock::new(|| shapes(include_str!("../data/time-words.txt"), "eras"));
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| rules(include_str!("../data/question-types.txt")));

/// The kind of answer a question expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerType {
    /// A count, measure or age.
    Number,
    /// A date, year or period.
    Time,
    /// A place.
    Place,
    /// A person or group.
    Person,
    /// A cause or purpose.
    Reason,
    /// A thing of any kind.
    Thing,
    /// Not told by the question's words.
    Other,
}

/// The kind of answer that `question` expects, in any of the languages of the rule file.
#[must_use]
pub fn answer_type(question: &str) -> AnswerType {
    let folded = fold(question);
    let asked: Vec<&str> = runs(&folded).collect();
    let english = reads_as_english(question);
    let mut rules = RULES.iter().filter(|rule| rule.english || !english);
    let rule = rules.find(|rule| rule.patterns.iter().any(|pattern| pattern.occurs(&folded, &asked)));
    rule.map_or(AnswerType::Other, |rule| rule.kind)
}

/// Whether a folded word of a question asks or joins and has no part in its topic. In questions that read as
/// English only English words do.
#[must_use]
pub fn is_question_word(word: &str, english: bool) -> bool {
    ENGLISH_QUESTION_WORDS.contains(word) || (!english && OTHER_QUESTION_WORDS.contains(word))
}

/// Whether `question` is written in English, judged by its small words: short questions are beyond statistics.
#[must_use]
pub fn reads_as_english(question: &str) -> bool {
    let (marked, all) = diacritic_words(question);
    marked * 4 <= all && runs(&fold(question)).any(|word| ENGLISH_CUES.contains(word))
}

/// Whether a folded word points back to something said before.
#[must_use]
pub fn is_pronoun(word: &str) -> bool {
    PRONOUNS.contains(word)
}

/// Whether a sentence begins with a word that points back to the sentence before it.
#[must_use]
pub fn begins_with_pronoun(sentence: &str) -> bool {
    let first = sentence.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    first.is_some_and(|word| {
        PRONOUNS.contains(fold(word).as_str())
            || word
                .chars()
                .next()
                .is_some_and(|c| is_spaceless(c) && PRONOUNS.contains(c.encode_utf8(&mut [0; 4]) as &str))
    })
}

/// What a word may say about time or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WordKind {
    /// A year between 1000 and 2099.
    Year,
    /// Another word that holds a digit.
    Digits,
    /// The name of a month.
    Month,
    /// A word of centuries or eras.
    Era,
    /// A number in words.
    NumberWord,
    /// Anything else.
    Plain,
}

/// The kind of a folded word.
#[must_use]
pub fn word_kind(word: &str) -> WordKind {
    if word.contains(|c: char| c.is_numeric()) {
        return if is_year(word) { WordKind::Year } else { WordKind::Digits };
    }
    let listed = |shapes: &[Shape]| shapes.iter().any(|shape| shape.matches(word));
    if NUMBER_WORDS.contains(word) {
        WordKind::NumberWord
    } else if listed(&MONTHS) {
        WordKind::Month
    } else if listed(&ERAS) {
        WordKind::Era
    } else {
        WordKind::Plain
    }
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.parse::<u32>().is_ok_and(|year| (1000..2100).contains(&year))
}

/// A word, a beginning (`x*`) or an ending (`*x`).
#[derive(Debug)]
struct Shape {
    letters: String,
    open_start: bool,
    open_end: bool,
}

impl Shape {
    fn read(text: &str) -> Self {
        Self { letters: fold(text.trim_matches('*')), open_start: text.starts_with('*'), open_end: text.ends_with('*') }
    }

    fn matches(&self, word: &str) -> bool {
        match (self.open_start, self.open_end) {
            (false, false) => word == self.letters,
            (false, true) => word.starts_with(&self.letters),
            (true, _) => word.len() > self.letters.len() && word.ends_with(&self.letters),
        }
    }
}

/// A row of words with choices, or text that is found anywhere.
#[derive(Debug)]
enum Pattern {
    Words(Vec<Vec<Shape>>),
    Anywhere(String),
}

impl Pattern {
    fn read(text: &str) -> Self {
        if text.chars().next().is_some_and(is_spaceless) {
            return Self::Anywhere(fold(text));
        }
        let slot = |choices: &str| choices.split('|').map(Shape::read).collect();
        Self::Words(text.split_whitespace().map(slot).collect())
    }

    fn occurs(&self, folded: &str, asked: &[&str]) -> bool {
        match self {
            Self::Anywhere(text) => folded.contains(text),
            Self::Words(slots) => asked.windows(slots.len()).any(|window| {
                slots.iter().zip(window).all(|(choices, word)| choices.iter().any(|shape| shape.matches(word)))
            }),
        }
    }
}

#[derive(Debug)]
struct Rule {
    /// Whether it may judge questions that read as English.
    english: bool,
    kind: AnswerType,
    patterns: Vec<Pattern>,
}

/// The lines `KEY: VALUE` of a data file.
fn entries(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    file.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "))
}

fn shapes(file: &'static str, section: &str) -> Vec<Shape> {
    entries(file)
        .filter(|(key, _)| *key == section)
        .flat_map(|(_, list)| list.split_whitespace())
        .map(Shape::read)
        .collect()
}

fn question_words(section: &str) -> HashSet<String> {
    let sections = entries(include_str!("../data/question-words.txt"));
    sections.filter(|(key, _)| *key == section).flat_map(|(_, list)| list.split_whitespace()).map(fold).collect()
}

fn rules(file: &'static str) -> Vec<Rule> {
    entries(file)
        .map(|(key, patterns)| Rule {
            english: key.starts_with("en "),
            kind: kind_named(key.trim_start_matches("en ")),
            patterns: patterns.split("; ").map(Pattern::read).collect(),
        })
        .collect()
}

fn kind_named(name: &str) -> AnswerType {
    match name {
        "number" => AnswerType::Number,
        "time" => AnswerType::Time,
        "place" => AnswerType::Place,
        "person" => AnswerType::Person,
        "reason" => AnswerType::Reason,
        "thing" => AnswerType::Thing,
        _ => AnswerType::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assert_type(kind: AnswerType, questions: &[&str]) {
        for question in questions {
            assert_eq!(answer_type(question), kind, "{question}");
        }
    }

    #[test]
    fn answers_expected_in_many_languages() {
        assert_type(
            AnswerType::Number,
            &["How many islands are there?", "Berapa luas pulau Jawa?", "Kuinka monta saarta on?", "Wie viele Inseln?"],
        );
        assert_type(AnswerType::Number, &["¿Cuántas islas hay?", "这里有多少人？", "Сколько лет городу?"]);
        assert_type(
            AnswerType::Time,
            &["When did it open?", "In which year was he born?", "Tahun berapa ia lahir?", "Khi nào?", "何年ですか"],
        );
        assert_type(AnswerType::Time, &["Milloin sota alkoi?", "Quand est-il né ?", "他什么时候出生？"]);
        assert_type(
            AnswerType::Place,
            &["Where is it?", "Di mana letaknya?", "¿Dónde está?", "Missä se on?", "Где он жил?", "他住在哪里"],
        );
        assert_type(AnswerType::Person, &["Who wrote it?", "Siapakah penulisnya?", "Nani aliandika?", "谁写的？"]);
        assert_type(AnswerType::Reason, &["Why did it close?", "Mengapa tutup?", "Pourquoi ?", "为什么关闭？"]);
        assert_type(AnswerType::Thing, &["What is a fjord?", "Apakah fjord itu?", "Mikä on vuono?"]);
        assert_type(AnswerType::Other, &["Name the inventor of AI.", "", "1963"]);
    }

    #[test]
    fn the_kind_of_words() {
        let kinds = [
            ("1963", WordKind::Year),
            ("3000", WordKind::Digits),
            ("19th", WordKind::Digits),
            ("maret", WordKind::Month),
            ("tammikuuta", WordKind::Month),
            ("kuuta", WordKind::Plain),
            ("vuosisadalla", WordKind::Era),
            ("seven", WordKind::NumberWord),
            ("harbour", WordKind::Plain),
        ];
        for (word, kind) in kinds {
            assert_eq!(word_kind(word), kind, "{word}");
        }
    }

    #[test]
    fn small_words_tell_english() {
        assert!(reads_as_english("Where was José Rizal born?"));
        assert!(!reads_as_english("Siapa penemu telepon?"));
        assert!(!reads_as_english("Thủ đô của nước Pháp là gì, who?"));
        assert!(is_question_word("siapa", false) && is_question_word("什么", false));
        assert!(is_question_word("who", true) && !is_question_word("war", true) && !is_question_word("telepon", false));
    }

    #[test]
    fn sentences_that_point_back() {
        assert!(begins_with_pronoun("\"She left early."));
        assert!(begins_with_pronoun("Beliau lahir di Blitar."));
        assert!(begins_with_pronoun("他们住在北京。"));
        assert!(!begins_with_pronoun("Hers was the last word."));
    }

    proptest! {
        #[test]
        fn any_question_has_a_type(question in "\\PC{0,60}") {
            let _ = answer_type(&question);
            let _ = begins_with_pronoun(&question);
        }
    }
}
