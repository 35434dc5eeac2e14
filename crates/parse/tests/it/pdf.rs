//! PDF files: reading order, pages, headings, scans, encryption, damage.

use lorekeep_types::{ByteSpan, ErrorCode};

use lorekeep_parse::Limits;

use crate::fixtures::{parse, parse_all, parse_with, problem};
use crate::pdf_builder::{Line, Page, column, pdf};

const LEFT: [&str; 6] = [
    "The harbour survey of this year began",
    "in March with the north quay. Divers in-",
    "spected forty piles and found that nine",
    "had lost more than a third of their steel.",
    "The council has set aside money for the",
    "repair of these piles before the winter.",
];
const RIGHT: [&str; 6] = [
    "The second part of the survey covered",
    "the old crane on the fish pier. Its motor",
    "is sound but the cable must be replaced",
    "because it has been in use for ten years.",
    "A new cable costs twelve thousand and it",
    "will be delivered at the end of August.",
];

/// Two columns whose lines are drawn alternately left and right.
fn two_columns() -> Page<'static> {
    let (left, right) = (column(60, 700, &LEFT), column(320, 700, &RIGHT));
    Page::Lines(left.into_iter().zip(right).flat_map(|(left, right)| [left, right]).collect())
}

#[test]
fn two_columns_read_one_after_the_other() {
    let document = parse("paper.pdf", &pdf(&[two_columns()], ""));
    assert_eq!(
        document.text,
        "The harbour survey of this year began in March with the north quay. Divers inspected forty piles and found \
         that nine had lost more than a third of their steel. The council has set aside money for the repair of \
         these piles before the winter.\n\nThe second part of the survey covered the old crane on the fish pier. Its \
         motor is sound but the cable must be replaced because it has been in use for ten years. A new cable costs \
         twelve thousand and it will be delivered at the end of August."
    );
}

#[test]
fn pages_headings_and_metadata() {
    let page = |title: &'static str, lines: &[&'static str]| {
        let mut all = vec![Line { x: 60, y: 740, size: 18, text: title }];
        all.extend(column(60, 700, lines));
        Page::Lines(all)
    };
    let pages = [page("First part", &LEFT), page("Second part", &RIGHT)];
    let document = parse("survey.pdf", &pdf(&pages, ""));
    let titles: Vec<&str> = document.headings.iter().map(|heading| heading.title.as_str()).collect();
    assert_eq!(titles, ["First part", "Second part"]);
    let numbers: Vec<u32> = document.pages.iter().map(|page| page.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert!(document.pages[1].span.of(&document.text).starts_with("Second part\n\nThe second part of"));
    assert_eq!(document.metadata.title.as_deref(), Some("Harbour survey"));
    assert_eq!(document.metadata.author.as_deref(), Some("Ada Lind"));
    assert_eq!(document.metadata.date.as_deref(), Some("2024-03-12"));
    assert_eq!(document.metadata.language.as_deref(), Some("en"));
}

#[test]
fn a_sentence_runs_over_the_page_end() {
    let pages = [Page::Lines(column(60, 700, &LEFT[..2])), Page::Lines(column(60, 700, &LEFT[2..]))];
    let document = parse("survey.pdf", &pdf(&pages, ""));
    assert!(document.text.contains("Divers inspected forty piles"), "{}", document.text);
    assert!(document.pages[1].span.of(&document.text).starts_with("spected forty"));
}

#[test]
fn running_headers_and_page_numbers_are_left_out() {
    let footers = ["Page 1 of 4", "Page 2 of 4", "Page 3 of 4", "Page 4 of 4"];
    let bodies = [&LEFT[..3], &LEFT[3..], &RIGHT[..3], &RIGHT[3..]];
    let pages: Vec<Page<'_>> = footers
        .iter()
        .zip(bodies)
        .map(|(footer, body)| {
            let mut lines = vec![Line { x: 60, y: 770, size: 8, text: "Port Authority 2024" }];
            lines.extend(column(60, 700, body));
            lines.push(Line { x: 280, y: 30, size: 8, text: footer });
            Page::Lines(lines)
        })
        .collect();
    let document = parse("survey.pdf", &pdf(&pages, ""));
    assert!(!document.text.contains("Port Authority") && !document.text.contains("Page 2"), "{}", document.text);
    assert!(document.text.contains("nine had lost more than a third"), "{}", document.text);
    assert!(document.warnings.iter().any(|warning| warning.contains("headers and footers")));
}

#[test]
fn rows_of_cells_are_a_table() {
    let cells = [("item", "cost", 700), ("crane", "12", 680), ("dock", "7", 660)];
    let mut lines = column(60, 760, &LEFT[..3]);
    for (left, right, y) in cells {
        lines.push(Line { x: 60, y, size: 10, text: left });
        lines.push(Line { x: 240, y, size: 10, text: right });
    }
    let document = parse("table.pdf", &pdf(&[Page::Lines(lines)], ""));
    assert!(document.text.ends_with("item | cost\ncrane | 12\ndock | 7"), "{}", document.text);
    let last = document.blocks.last().copied().unwrap_or(ByteSpan::new(0, 0));
    assert_eq!(last.of(&document.text), "item | cost\ncrane | 12\ndock | 7");
}

#[test]
fn scans_need_ocr_and_blank_pages_are_named() {
    let scan = problem("scan.pdf", &pdf(&[Page::Image, Page::Image], ""));
    assert_eq!(scan.code, ErrorCode::CapabilityMissing);
    assert_eq!(scan.message, "the document holds page images and no text");
    let mixed = parse("mixed.pdf", &pdf(&[Page::Lines(column(60, 700, &LEFT)), Page::Image], ""));
    assert!(mixed.warnings.iter().any(|warning| warning.ends_with(": 2")), "{:?}", mixed.warnings);
    assert_eq!(mixed.pages.len(), 2);
}

#[test]
fn a_password_is_named() {
    let hex = "5a".repeat(32);
    let trailer = format!("/Encrypt << /Filter /Standard /V 1 /R 2 /O <{hex}> /U <{hex}> /P -4 >> /ID [<61> <61>]");
    let problem = problem("locked.pdf", &pdf(&[Page::Lines(column(60, 700, &LEFT))], &trailer));
    assert_eq!(problem.code, ErrorCode::Unsupported);
    assert!(problem.message.contains("password"), "{problem:?}");
}

#[test]
fn truncated_files_give_their_pages_or_one_reason() {
    let pages: Vec<Page<'_>> = (0..6).map(|_| Page::Lines(column(60, 700, &LEFT))).collect();
    let whole = pdf(&pages, "");
    for part in 1..10 {
        let cut = &whole[..whole.len() * part / 10];
        match parse_all("cut.pdf", cut) {
            Ok(documents) => assert!(documents[0].1.text.contains("harbour"), "{part}: {:?}", documents[0].1),
            Err(problem) => assert!(problem.hint.is_some(), "{problem:?}"),
        }
    }
}

#[test]
fn long_documents_are_read_up_to_the_page_limit() {
    let pages: Vec<Page<'_>> = (0..2_000).map(|_| Page::Lines(column(60, 700, &LEFT[3..4]))).collect();
    let long = pdf(&pages, "");
    let document = parse("long.pdf", &long);
    assert_eq!(document.pages.len(), 2_000);
    assert_eq!(document.pages.last().map(|page| page.number), Some(2_000));
    let refused = parse_with(Limits { pages: 1_999, ..Limits::default() }, "long.pdf", &long).unwrap_err();
    assert_eq!(refused.code, ErrorCode::TooLarge);
    assert!(refused.message.contains("the number of pages exceeds the limit of 1999"), "{refused:?}");
}
