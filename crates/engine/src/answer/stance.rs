//! Whether two statements about the same thing deny one another: one says what the other says is not so.
//!
//! Words decide, so this sees "was not founded by", "never", "no crane" and pairs such as "rose" and "fell"; it does not
//! see what takes knowledge. It is careful: everything that one statement denies must be affirmed by the other, so that
//! "not by Bo Ek" does not deny "by Åke Lind".

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use lorekeep_text::{self as text, Form};

/// Content words after a cue that it denies.
const REACH: usize = 4;

/// Share of a Chinese statement's pairs of characters that must stand in the other, denials aside.
const SAME_PAIRS: f32 = 0.8;

/// Chinese characters that deny.
const HAN_CUES: [char; 8] = ['不', '没', '沒', '無', '无', '未', '非', '否'];

/// Chinese words that hold such a character and deny nothing.
const HAN_WORDS: [&str; 12] =
    ["非常", "不仅", "不僅", "不但", "不只", "无锡", "無錫", "未来", "未來", "非洲", "不同", "不断"];

type Words = HashSet<&'static str>;

/// The words of one language that matter here.
#[derive(Default)]
struct Lexicon {
    cues: Words,
    except: Words,
    turns: Words,
    undoes: Words,
    fillers: Words,
}

static LEXICONS: LazyLock<HashMap<&'static str, Lexicon>> = LazyLock::new(|| {
    let mut lexicons: HashMap<&'static str, Lexicon> = HashMap::new();
    for line in lines(include_str!("../../data/negations.txt")) {
        let mut words = line.split_whitespace();
        let (Some(kind), Some(language)) = (words.next(), words.next()) else { continue };
        let lexicon = lexicons.entry(language).or_default();
        let list = match kind {
            "cue" => &mut lexicon.cues,
            "except" => &mut lexicon.except,
            "turn" => &mut lexicon.turns,
            "undo" => &mut lexicon.undoes,
            _ => &mut lexicon.fillers,
        };
        list.extend(words);
    }
    lexicons
});

static OPPOSITES: LazyLock<Vec<(Words, Words)>> = LazyLock::new(|| {
    let pair = |line: &'static str| {
        let (one, other) = line.split_once('|')?;
        Some((one.split_whitespace().collect(), other.split_whitespace().collect()))
    };
    lines(include_str!("../../data/opposites.txt")).filter_map(pair).collect()
});

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// What a statement affirms and denies.
#[derive(Debug, Default)]
pub(super) struct Stance {
    /// Every content term.
    terms: HashSet<String>,
    /// Those that it denies.
    denied: HashSet<String>,
    /// Words as they are written, without those that it denies.
    affirmed: HashSet<String>,
    /// The whole in lower case, where it is written without spaces.
    spaceless: Option<String>,
}

/// A word and whether punctuation parts it from what stands before and after it.
struct Word<'a> {
    text: &'a str,
    begins: bool,
    /// What follows it, up to the next word.
    gap: &'a str,
}

impl Stance {
    /// Reads a statement in a language (ISO 639-1), English where it is unknown.
    pub(super) fn read(statement: &str, language: Option<&str>) -> Self {
        let language = language.unwrap_or("en");
        let lower = text::lower(statement).replace('\u{2019}', "'");
        if language == "zh" {
            return Self { spaceless: Some(lower), ..Self::default() };
        }
        let Some(lexicon) = LEXICONS.get(language) else { return Self::default() };
        Reader { lexicon, language, stance: Self::default(), clause: Vec::new(), open: None }.read(&lower)
    }

    /// Whether one of the two says that the other is not so.
    pub(super) fn denies(&self, other: &Self) -> bool {
        if let (Some(one), Some(two)) = (&self.spaceless, &other.spaceless) {
            return han_denies(one, two);
        }
        self.is_denied_by(other) || other.is_denied_by(self) || self.opposes(other)
    }

    fn is_denied_by(&self, other: &Self) -> bool {
        let affirmed = |term: &String| other.terms.contains(term) && !other.denied.contains(term);
        !self.denied.is_empty() && self.denied.iter().all(affirmed)
    }

    fn opposes(&self, other: &Self) -> bool {
        let holds = |stance: &Self, words: &Words| words.iter().any(|word| stance.affirmed.contains(*word));
        let says = |stance: &Self, these: &Words, those: &Words| holds(stance, these) && !holds(stance, those);
        OPPOSITES.iter().any(|(one, two)| {
            (says(self, one, two) && says(other, two, one)) || (says(self, two, one) && says(other, one, two))
        })
    }
}

struct Reader<'a> {
    lexicon: &'a Lexicon,
    language: &'a str,
    stance: Stance,
    /// Content terms of the clause so far, oldest first.
    clause: Vec<String>,
    /// The terms that the last cue has reached so far.
    open: Option<Vec<String>>,
}

impl Reader<'_> {
    fn read(mut self, lower: &str) -> Stance {
        let words = words(lower);
        for (at, word) in words.iter().enumerate() {
            if word.begins || self.lexicon.turns.contains(word.text) {
                self.close();
            }
            if self.lexicon.undoes.contains(word.text) {
                self.open = None;
            } else if self.is_cue(word) {
                let next = words.get(at + 1).map(|next| next.text);
                if next.is_none_or(|next| !self.lexicon.except.contains(next)) {
                    self.deny();
                }
            } else {
                self.take(word.text);
            }
        }
        self.close();
        self.stance
    }

    /// Opens a denial. In English a second one right after it takes it back; other languages double for emphasis.
    fn deny(&mut self) {
        let takes_back = self.language == "en" && self.open.as_ref().is_some_and(Vec::is_empty);
        let former = self.open.take();
        self.stance.denied.extend(former.into_iter().flatten());
        self.open = (!takes_back).then(Vec::new);
    }

    fn is_cue(&self, word: &Word<'_>) -> bool {
        let contracted = self.language == "en" && (word.text.ends_with("n't") || word.text == "cannot");
        // `No. 5` is a number.
        let is_number = word.text == "no" && word.gap.starts_with('.');
        contracted || (self.lexicon.cues.contains(word.text) && !is_number)
    }

    fn take(&mut self, word: &str) {
        if self.lexicon.fillers.contains(word) {
            return;
        }
        let terms = text::lexical_tokens(word, Some(self.language), Form::Folded);
        match self.open.as_mut().filter(|reached| reached.len() < REACH && !terms.is_empty()) {
            Some(reached) => reached.extend(terms.iter().cloned()),
            None => drop(self.stance.affirmed.insert(word.to_owned())),
        }
        self.stance.terms.extend(terms.iter().cloned());
        self.clause.extend(terms);
    }

    /// Ends the clause: a cue after which nothing came denies what stood before it.
    fn close(&mut self) {
        if let Some(reached) = self.open.take() {
            let from = self.clause.len().saturating_sub(REACH);
            let before = if reached.is_empty() { self.clause.drain(from..).collect() } else { reached };
            self.stance.denied.extend(before);
        }
        self.clause.clear();
    }
}

fn words(lower: &str) -> Vec<Word<'_>> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '\'' || letter == '\u{301}';
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut rest = lower;
    let mut begins = false;
    while let Some(start) = rest.find(is_part) {
        let from = rest.get(start..).unwrap_or_default();
        let end = from.find(|letter| !is_part(letter)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let gap = after.get(..after.find(is_part).unwrap_or(after.len())).unwrap_or_default();
        words.push(Word { text: word.trim_matches('\''), begins, gap });
        begins = gap.contains([',', ';', ':', '(', ')', '—', '–', '،', '؛']);
        rest = after;
    }
    words
}

fn han_denies(one: &str, other: &str) -> bool {
    let read = |said: &str| {
        let said = HAN_WORDS.iter().fold(said.to_owned(), |said, word| said.replace(word, ""));
        let cues = said.chars().filter(|letter| HAN_CUES.contains(letter)).count();
        let rest: String = said.chars().filter(|letter| !HAN_CUES.contains(letter) && *letter != '有').collect();
        (cues % 2 == 1, text::lexical_tokens(&rest, Some("zh"), Form::Folded))
    };
    let ((one_denies, one), (other_denies, other)) = (read(one), read(other));
    let other: HashSet<String> = other.into_iter().collect();
    let same = one.iter().filter(|pair| other.contains(*pair)).count();
    let most = one.len().max(other.len()).max(1);
    one_denies != other_denies && same as f32 / most as f32 >= SAME_PAIRS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denies(language: &str, one: &str, other: &str) -> bool {
        let (one, other) = (Stance::read(one, Some(language)), Stance::read(other, Some(language)));
        assert_eq!(one.denies(&other), other.denies(&one), "not symmetrical");
        one.denies(&other)
    }

    #[test]
    fn denials_are_seen() {
        let cases = [
            ("en", "Halden Mill was founded by Åke Lind.", "Halden Mill was not founded by Åke Lind."),
            ("en", "The mill burned down in 1931.", "The mill never burned down."),
            ("en", "There is a crane at the port.", "There is no crane at the port."),
            ("en", "The cranes were bought in Bergen.", "The cranes weren't bought in Bergen."),
            ("en", "Anyone may open the gate at night.", "The gate cannot be opened at night."),
            ("en", "It was built with a permit.", "It was built without a permit."),
            ("en", "Somebody lives in the mill.", "Nobody lives in the mill."),
            ("en", "It is false that the mill burned.", "The mill burned."),
            ("en", "Heat loss rose by 31 percent.", "Heat loss fell by 31 percent."),
            ("en", "The board approved the budget.", "The board rejected the budget."),
            ("en", "The mill doesn’t really stand in Oslo.", "The mill stands in Oslo, near the port."),
            ("de", "Lind gründete die Mühle.", "Lind gründete die Mühle nicht."),
            ("de", "Die Mühle hat einen Kran.", "Die Mühle hat keinen Kran."),
            ("fr", "Le moulin a brûlé en 1931.", "Le moulin n'a jamais brûlé en 1931."),
            ("es", "El molino fue fundado por Lind.", "El molino no fue fundado por Lind."),
            ("id", "Kincir itu didirikan oleh Lind.", "Kincir itu tidak didirikan oleh Lind."),
            ("vi", "Cối xay được xây năm 1887.", "Cối xay không được xây năm 1887."),
            ("ru", "Мельница сгорела в 1931 году.", "Мельница не сгорела в 1931 году."),
            ("ar", "الطاحونة قديمة", "الطاحونة ليست قديمة"),
            ("zh", "磨坊是由林德建立的。", "磨坊不是由林德建立的。"),
        ];
        for (language, one, other) in cases {
            assert!(denies(language, one, other), "{language}: {one} / {other}");
        }
    }

    #[test]
    fn what_is_no_denial_is_left_alone() {
        let cases = [
            ("en", "It was founded by Åke Lind.", "It was not founded by Bo Ek but by Åke Lind."),
            ("en", "The mill stands in Halden.", "The mill does not stand in Oslo but in Halden."),
            ("en", "The mill makes flour and paper.", "The mill makes not only flour but also paper."),
            ("en", "It was rebuilt in 1935.", "It was not rebuilt until 1935."),
            ("en", "The grant is No. 5 of the year.", "The grant is 5 of the year."),
            ("en", "No, the mill burned in 1931.", "The mill burned in 1931."),
            ("en", "It never burned again after 1931.", "It has never burned again since 1931."),
            ("en", "Not all mills burned.", "Some mills burned."),
            ("en", "The roof was insulated, not the walls.", "The roof was insulated."),
            ("en", "Prices did not fall.", "Prices rose."),
            ("en", "The board failed to meet.", "The board did not meet."),
            ("en", "The board did not fail to meet.", "The board met to meet again."),
            ("de", "Die Mühle wurde nicht von Ek, sondern von Lind gegründet.", "Die Mühle wurde von Lind gegründet."),
            ("zh", "磨坊非常古老。", "磨坊古老。"),
        ];
        for (language, one, other) in cases {
            assert!(!denies(language, one, other), "{language}: {one} / {other}");
        }
    }

    #[test]
    fn every_list_is_lower_case_and_every_kind_known() {
        for line in lines(include_str!("../../data/negations.txt")) {
            assert!(
                ["cue", "except", "turn", "undo", "filler"].contains(&line.split(' ').next().unwrap_or_default()),
                "{line}"
            );
            assert_eq!(text::lower(line), line);
        }
        assert!(OPPOSITES.iter().all(|(one, other)| !one.is_empty() && !other.is_empty() && one.is_disjoint(other)));
        assert_eq!(OPPOSITES.len(), lines(include_str!("../../data/opposites.txt")).count());
    }
}
