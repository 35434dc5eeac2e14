//! Pure text analysis shared by indexing and querying: one place decides what a word, a term, a name and a
//! phrase is, so that the index and the question agree. No I/O, no state.

mod fold;
mod language;
mod lexical;
mod lists;
mod phrase;
mod question;
mod sentence;
mod span;

pub use fold::{base_title, diacritic_words, fold, has_diacritic, lower, norm, norm_folded, norm_words};
pub use language::{language_among, language_of};
pub use lexical::{Form, lexical_tokens, passage_text, stem};
pub use lists::is_stop_word;
pub use phrase::{Phrase, TitleDictionary, is_phrase_key, is_title_key, own_keys, phrases, query_phrases};
pub use question::{
    AnswerType, WordKind, answer_type, begins_with_pronoun, is_pronoun, is_question_word, reads_as_english, word_kind,
};
pub use sentence::{sentences, without_citations};
pub use span::{capitalised_spans, quoted_spans};
