//! Reading citations back from what a model wrote, and taking out those of passages that it was not given.

use std::collections::BTreeSet;

/// A text whose every citation is one of the passages.
pub(crate) struct Cited {
    pub(crate) text: String,
    /// Numbers that it cites, ascending.
    pub(crate) numbers: BTreeSet<u32>,
    /// Citations taken out.
    pub(crate) unknown: usize,
}

/// Reads `[3]` and `[1, 4]`; brackets that hold anything else are left alone.
pub(crate) fn cited(text: &str, known: &dyn Fn(u32) -> bool) -> Cited {
    let mut found = cited_once(text, known);
    loop {
        // What is taken out may bring together what then looks like a citation.
        let again = cited_once(&found.text, known);
        if again.text == found.text {
            return found;
        }
        found = Cited { unknown: found.unknown + again.unknown, ..again };
    }
}

fn cited_once(text: &str, known: &dyn Fn(u32) -> bool) -> Cited {
    let mut found = Cited { text: String::with_capacity(text.len()), numbers: BTreeSet::new(), unknown: 0 };
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('[') {
        found.text.push_str(before);
        let Some((inner, after)) = from.split_once(']').filter(|(inner, _)| is_numbers(inner)) else {
            found.text.push('[');
            rest = from;
            continue;
        };
        let all: Vec<u32> = inner.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        let kept: Vec<u32> = all.iter().copied().filter(|n| known(*n)).collect();
        found.unknown += inner.split(',').count() - kept.len();
        kept.iter().for_each(|n| found.text.push_str(&format!("[{n}]")));
        if kept.is_empty() {
            // The space before the brackets goes with them.
            found.text.truncate(found.text.trim_end_matches(' ').len());
        }
        found.numbers.extend(kept);
        rest = after;
    }
    found.text.push_str(rest);
    found
}

fn is_numbers(inner: &str) -> bool {
    !inner.is_empty()
        && inner.split(',').all(|part| {
            let part = part.trim();
            !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (String, Vec<u32>, usize) {
        let found = cited(text, &|n| (1..=5).contains(&n));
        (found.text, found.numbers.into_iter().collect(), found.unknown)
    }

    #[test]
    fn citations_are_read_and_unknown_ones_removed() {
        assert_eq!(read("A [2]. B [1, 4]."), ("A [2]. B [1][4].".to_owned(), vec![1, 2, 4], 0));
        assert_eq!(read("A [9]. B [0][3]."), ("A. B[3].".to_owned(), vec![3], 2));
        assert_eq!(read("x[i] = [a, 1] []"), ("x[i] = [a, 1] []".to_owned(), vec![], 0));
        assert_eq!(read("open [1 and [2]"), ("open [1 and [2]".to_owned(), vec![2], 0));
        assert_eq!(read("[99999999999]").1, Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn what_remains_cites_passages_only(text in "[a\\[\\]0-9, ]{0,40}") {
            let first = cited(&text, &|n| (1..=5).contains(&n));
            let again = cited(&first.text, &|n| (1..=5).contains(&n));
            prop_assert_eq!(again.unknown, 0);
            prop_assert!(first.numbers.iter().all(|n| (1..=5).contains(n)));
        }
    }
}
