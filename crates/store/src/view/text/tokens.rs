//! The tokenizer of the text view: fields arrive analysed, so a token is whatever stands between spaces. What
//! a term is belongs to `lorekeep-text`.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Splits at single spaces; keeps one token buffer for all.
#[derive(Clone, Default)]
pub(super) struct SpaceTokenizer {
    token: Token,
}

/// The tokens of one value.
pub(super) struct SpaceTokens<'a> {
    rest: &'a str,
    offset: usize,
    token: &'a mut Token,
}

impl Tokenizer for SpaceTokenizer {
    type TokenStream<'a> = SpaceTokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> SpaceTokens<'a> {
        self.token.reset();
        SpaceTokens { rest: text, offset: 0, token: &mut self.token }
    }
}

impl TokenStream for SpaceTokens<'_> {
    fn advance(&mut self) -> bool {
        let gap = self.rest.len() - self.rest.trim_start_matches(' ').len();
        let rest = self.rest.get(gap..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let word = rest.split(' ').next().unwrap_or_default();
        self.token.text.clear();
        self.token.text.push_str(word);
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = self.offset + gap;
        self.token.offset_to = self.token.offset_from + word.len();
        self.offset = self.token.offset_to;
        self.rest = rest.get(word.len()..).unwrap_or_default();
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_words_and_offsets_cover_them() {
        let mut tokenizer = SpaceTokenizer::default();
        let mut stream = tokenizer.token_stream(" wound  healing é");
        let mut found = Vec::new();
        while stream.advance() {
            let token = stream.token();
            found.push((token.text.clone(), token.position, token.offset_from));
        }
        assert_eq!(found, [("wound".to_owned(), 0, 1), ("healing".to_owned(), 1, 8), ("é".to_owned(), 2, 16)]);
    }
}
