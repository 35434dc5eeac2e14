//! An archive as one document: each member becomes a section under its path, so that it is taken in, replaced
//! and deleted as a whole and citations name the member.

use lorekeep_types::{ByteSpan, Heading, Metadata, PageSpan, ParsedDocument};

/// Joins what a parser found. A single document without a path stays as it is.
pub(super) fn joined(mut members: Vec<(String, ParsedDocument)>) -> ParsedDocument {
    if members.len() == 1 && members.first().is_some_and(|(path, _)| path.is_empty()) {
        return members.remove(0).1;
    }
    let mut whole = ParsedDocument { metadata: shared_metadata(&members), ..ParsedDocument::default() };
    for (path, member) in members {
        append(&mut whole, &path, member);
    }
    whole
}

fn append(whole: &mut ParsedDocument, path: &str, member: ParsedDocument) {
    if !whole.text.is_empty() {
        whole.text.push_str("\n\n");
    }
    let section = whole.headings.len();
    let start = whole.text.len();
    whole.headings.push(Heading { title: path.to_owned(), level: 1, start, end: start });
    whole.text.push_str(path);
    whole.text.push_str("\n\n");
    let offset = whole.text.len();
    whole.text.push_str(&member.text);
    let moved = |span: ByteSpan| ByteSpan::new(span.start + offset, span.end + offset);
    whole.headings.extend(member.headings.into_iter().map(|heading| Heading {
        level: heading.level.saturating_add(1),
        start: heading.start + offset,
        end: heading.end + offset,
        ..heading
    }));
    let numbered = u32::try_from(whole.pages.len()).unwrap_or(u32::MAX);
    whole.pages.extend(
        member
            .pages
            .into_iter()
            .map(|page| PageSpan { number: page.number.saturating_add(numbered), span: moved(page.span) }),
    );
    whole.blocks.extend(member.blocks.into_iter().map(moved));
    whole.warnings.extend(member.warnings.into_iter().map(|warning| format!("{path}: {warning}")));
    let end = whole.text.len();
    if let Some(heading) = whole.headings.get_mut(section) {
        heading.end = end;
    }
}

/// The language, if all members that have one agree.
fn shared_metadata(members: &[(String, ParsedDocument)]) -> Metadata {
    let mut languages = members.iter().filter_map(|(_, member)| member.metadata.language.as_ref());
    let first = languages.next();
    let language = first.filter(|first| languages.all(|other| other == *first)).cloned();
    Metadata { language, ..Metadata::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(text: &str) -> ParsedDocument {
        ParsedDocument {
            text: text.to_owned(),
            pages: vec![PageSpan { number: 1, span: ByteSpan::new(0, text.len()) }],
            headings: vec![Heading { title: "Top".to_owned(), level: 1, start: 0, end: text.len() }],
            warnings: vec!["cut".to_owned()],
            ..ParsedDocument::default()
        }
    }

    #[test]
    fn a_plain_file_is_left_alone() {
        let plain = member("Top\nbody");
        assert_eq!(joined(vec![(String::new(), plain.clone())]), plain);
    }

    #[test]
    fn members_become_sections() {
        let whole = joined(vec![("a/x.txt".to_owned(), member("Top\none")), ("y.md".to_owned(), member("Top\ntwo"))]);
        assert_eq!(whole.text, "a/x.txt\n\nTop\none\n\ny.md\n\nTop\ntwo");
        let sections: Vec<_> = whole
            .headings
            .iter()
            .map(|h| (h.title.as_str(), h.level, ByteSpan::new(h.start, h.end).of(&whole.text)))
            .collect();
        assert_eq!(
            sections,
            [
                ("a/x.txt", 1, "a/x.txt\n\nTop\none"),
                ("Top", 2, "Top\none"),
                ("y.md", 1, "y.md\n\nTop\ntwo"),
                ("Top", 2, "Top\ntwo"),
            ]
        );
        let pages: Vec<_> = whole.pages.iter().map(|page| (page.number, page.span.of(&whole.text))).collect();
        assert_eq!(pages, [(1, "Top\none"), (2, "Top\ntwo")]);
        assert_eq!(whole.warnings, ["a/x.txt: cut", "y.md: cut"]);
    }
}
