//! Excel workbooks: one page and heading per sheet, rows as records. Cells are streamed, so that two cells at
//! opposite corners of a sheet do not become a table of billions.

use std::io::Cursor;

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx};
use lorekeep_types::ParsedDocument;

use crate::dates;
use crate::draft::Draft;
use crate::error::{ParseError, Result};
use crate::package::Package;
use crate::readers::Source;
use crate::readers::office::core_properties;
use crate::readers::table::Records;

/// Columns further right than this many are packed without their position.
const MAX_COLUMNS: usize = 1_024;
/// Time is checked every this many cells.
const CHECK_EVERY: usize = 10_000;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let watch = source.watch;
    let mut draft = Draft::new(watch);
    check_parts(source, &mut draft)?;
    let mut workbook: Xlsx<Cursor<&[u8]>> =
        Xlsx::new(Cursor::new(source.bytes)).map_err(|error| ParseError::broken("xlsx", error))?;
    let sheets: Vec<(String, bool)> = workbook
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .map(|sheet| (sheet.name.clone(), sheet.visible == SheetVisible::Visible))
        .collect();
    watch.page_limit(sheets.len())?;
    for (number, (name, visible)) in (1_u32..).zip(&sheets) {
        watch.check()?;
        draft.page(number);
        if *visible {
            sheet(&mut workbook, name, source, &mut draft)?;
        } else {
            draft.warn(format!("the hidden sheet `{name}` was left out"));
        }
    }
    draft.finish("the workbook holds no values")
}

/// The workbook library decompresses without bounds: every part it may read is measured first.
fn check_parts(source: &Source<'_>, draft: &mut Draft<'_>) -> Result<()> {
    let mut package = Package::open(source.bytes, "xlsx", source.watch)?;
    core_properties(&mut package, draft, source.watch)?;
    let names: Vec<String> = package.names().map(str::to_owned).collect();
    for (index, name) in names.iter().enumerate() {
        let lower = name.to_ascii_lowercase();
        if lower.ends_with(".xml") || lower.ends_with(".rels") {
            package.read_index(index)?;
        }
    }
    Ok(())
}

fn sheet(workbook: &mut Xlsx<Cursor<&[u8]>>, name: &str, source: &Source<'_>, draft: &mut Draft<'_>) -> Result<()> {
    let mut cells = match workbook.worksheet_cells_reader(name) {
        Ok(cells) => cells,
        Err(error) => {
            draft.warn(format!("the sheet `{name}` cannot be read: {error}"));
            return Ok(());
        }
    };
    let mut rows = Rows { records: Records::new(), name, headed: false, written: 0 };
    let mut row: Vec<String> = Vec::new();
    let mut row_number = 0;
    let mut count = 0_usize;
    loop {
        count += 1;
        if count.is_multiple_of(CHECK_EVERY) {
            source.watch.check()?;
        }
        let cell = match cells.next_cell() {
            Ok(Some(cell)) => cell,
            Ok(None) => break,
            Err(error) => {
                draft.warn(format!("the sheet `{name}` is damaged ({error}); the rows before were kept"));
                break;
            }
        };
        let (at_row, at_column) = cell.get_position();
        if at_row != row_number {
            rows.push(draft, &std::mem::take(&mut row));
            row_number = at_row;
        }
        let value = value(cell.get_value());
        if !value.is_empty() {
            place(&mut row, at_column as usize, value);
        }
    }
    rows.push(draft, &row);
    rows.end(draft);
    Ok(())
}

fn place(row: &mut Vec<String>, column: usize, value: String) {
    if column > row.len() {
        row.resize(column.min(MAX_COLUMNS).max(row.len()), String::new());
    }
    row.push(value);
}

/// Rows of one sheet; the heading is written with the first of them.
struct Rows<'n> {
    records: Records,
    name: &'n str,
    headed: bool,
    written: usize,
}

impl Rows<'_> {
    fn push(&mut self, draft: &mut Draft<'_>, row: &[String]) {
        if row.iter().all(String::is_empty) {
            return;
        }
        if !self.headed {
            draft.heading(1, self.name);
            self.headed = true;
        }
        self.records.row(draft, row);
        self.written += 1;
    }

    fn end(self, draft: &mut Draft<'_>) {
        // A lone row that became the column names is still content.
        self.records.end(draft, self.written != 1);
    }
}

fn value(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        DataRef::DateTime(moment) => {
            let (year, month, day, hour, minute, ..) = moment.to_ymd_hms_milli();
            match dates::from_parts(year, month, day) {
                Some(date) if moment.is_datetime() && (hour, minute) == (0, 0) => date,
                Some(date) if moment.is_datetime() => format!("{date} {hour:02}:{minute:02}"),
                _ => moment.as_f64().to_string(),
            }
        }
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}
