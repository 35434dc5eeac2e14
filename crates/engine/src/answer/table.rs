//! Rows of tables as readers write them: cells between bars, one row a line. A row is quoted alone; what its cells
//! mean is told by the first row of its table.

use std::ops::Range;

/// Stands between two cells.
const BAR: &str = " | ";

/// The rows, when `sentence` is a table of at least two.
pub(super) fn rows(sentence: &str) -> Option<Vec<Range<usize>>> {
    let rows: Vec<Range<usize>> = super::candidates::lines(sentence).collect();
    let all = rows.len() > 1 && rows.iter().all(|row| sentence.get(row.clone()).is_some_and(is_row));
    all.then_some(rows)
}

/// The first row of the table that the row at `span` stands in, unless it is that row itself.
pub(super) fn header<'a>(text: &'a str, span: &Range<usize>) -> Option<&'a str> {
    if !text.get(span.clone()).is_some_and(|row| is_row(row) && !row.contains('\n')) {
        return None;
    }
    let before = text.get(..span.start)?;
    let above = before.rsplit('\n').skip(1).take_while(|line| is_row(line)).last()?;
    Some(above.trim())
}

/// Whether the row at `span` is the first of a table and others follow.
pub(super) fn is_header(text: &str, span: &Range<usize>) -> bool {
    let first = text.get(span.clone()).is_some_and(|row| is_row(row) && !row.contains('\n'));
    let next = text.get(span.end..).and_then(|after| after.split('\n').nth(1));
    first && header(text, span).is_none() && next.is_some_and(is_row)
}

fn is_row(line: &str) -> bool {
    line.contains(BAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Buoy | Place | Depth\nSA-1 | Slip | 8 m\nSA-4 | Ledge | 64 m";

    #[test]
    fn a_table_is_its_rows_and_prose_is_none() {
        let found = rows(TABLE).unwrap_or_default();
        assert_eq!(found.iter().map(|row| &TABLE[row.clone()]).collect::<Vec<_>>(), TABLE.lines().collect::<Vec<_>>());
        for other in ["a | b", "It stood.\nShe left | he stayed.", ""] {
            assert_eq!(rows(other), None, "{other}");
        }
    }

    #[test]
    fn a_row_knows_the_first_row_of_its_table() {
        let text = format!("Left | right of it.\n\nThe buoys:\n{TABLE}\nAll were checked.");
        let row = |part: &str| text.find(part).map(|at| at..at + part.len()).unwrap_or_default();
        assert_eq!(header(&text, &row("SA-4 | Ledge | 64 m")), Some("Buoy | Place | Depth"));
        assert_eq!(header(&text, &row("SA-1 | Slip | 8 m")), Some("Buoy | Place | Depth"));
        assert_eq!(header(&text, &row("Buoy | Place | Depth")), None);
        assert_eq!(header(&text, &row("All were checked.")), None);
        assert_eq!(header(&text, &row(TABLE)), None);
        assert!(is_header(&text, &row("Buoy | Place | Depth")));
        for other in ["SA-1 | Slip | 8 m", "SA-4 | Ledge | 64 m", "All were checked.", "Left | right of it."] {
            assert!(!is_header(&text, &row(other)), "{other}");
        }
    }
}
