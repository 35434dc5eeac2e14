//! Rows with column names: `name: value; name: value` lines, shared by CSV and spreadsheets. A row written so
//! is a passage that can be found and quoted by itself.

use crate::clean;
use crate::draft::Draft;

/// Decides column names from the first row and writes the others as records.
pub(crate) struct Records {
    names: Option<Vec<String>>,
}

impl Records {
    pub(crate) const fn new() -> Self {
        Self { names: None }
    }

    /// Takes the next row. The first one names the columns when it looks like names.
    pub(crate) fn row(&mut self, draft: &mut Draft<'_>, cells: &[String]) {
        let cells: Vec<String> = cells.iter().map(|cell| clean::one_line(cell)).collect();
        if cells.iter().all(String::is_empty) {
            return;
        }
        let Some(names) = &self.names else {
            if is_header(&cells) {
                self.names = Some(cells);
            } else {
                self.names = Some(Vec::new());
                self.row(draft, &cells);
            }
            return;
        };
        let parts: Vec<String> = cells
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_empty())
            .map(|(at, value)| match names.get(at).filter(|name| !name.is_empty()) {
                Some(name) => format!("{name}: {value}"),
                None => value.clone(),
            })
            .collect();
        draft.record(&parts.join("; "));
    }

    /// Ends the table; one that is only a header is written as a line.
    pub(crate) fn end(self, draft: &mut Draft<'_>, rows_written: bool) {
        if let Some(names) = self.names.filter(|names| !names.is_empty())
            && !rows_written
        {
            draft.record(&names.join("; "));
        }
        draft.end_lines();
    }
}

/// Names are words, all different, none a number; a lone cell names a column only if short.
fn is_header(cells: &[String]) -> bool {
    let filled: Vec<&String> = cells.iter().filter(|cell| !cell.is_empty()).collect();
    let distinct: std::collections::HashSet<&String> = filled.iter().copied().collect();
    distinct.len() == filled.len()
        && filled.len() * 2 > cells.len()
        && filled.iter().all(|cell| cell.chars().count() <= 80 && cell.chars().any(char::is_alphabetic))
        && !filled.iter().any(|cell| starts_as_date_or_number(cell))
}

fn starts_as_date_or_number(cell: &str) -> bool {
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    digits * 2 > cell.chars().count() || cell.ends_with('.')
}
