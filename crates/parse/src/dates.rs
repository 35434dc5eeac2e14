//! Dates as documents declare them, to `YYYY-MM-DD`.

/// The date at the start of `text`: `2024-05-01…`, `2024/5/1`, `20240501…`, PDF's `D:20240501…`.
pub(crate) fn iso_date(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['"', '\'']);
    let text = text.strip_prefix("D:").unwrap_or(text);
    let numbers: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).take(3).collect();
    match numbers.as_slice() {
        [all, ..] if all.len() >= 8 => ymd(all.get(..4)?, all.get(4..6)?, all.get(6..8)?),
        [year, month, day] if year.len() == 4 => ymd(year, month, day),
        _ => None,
    }
}

/// The date of these numbers when they can be one.
pub(crate) fn from_parts(year: u16, month: u8, day: u8) -> Option<String> {
    let plausible = (1000..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    plausible.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

fn ymd(year: &str, month: &str, day: &str) -> Option<String> {
    from_parts(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::iso_date;

    #[test]
    fn the_usual_spellings() {
        for text in ["2024-05-01T10:00:00Z", "2024/5/1", "20240501", "D:20240501120000+07'00'"] {
            assert_eq!(iso_date(text).as_deref(), Some("2024-05-01"));
        }
        assert_eq!(iso_date("2024-13-01"), None);
        assert_eq!(iso_date("May 2024"), None);
    }
}
