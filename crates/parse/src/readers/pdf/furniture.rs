//! Running headers, footers and page numbers: lines at the edge of pages that repeat with only their numbers
//! changing.

use std::collections::HashMap;

use super::lines::PageLines;

/// Lines from the top and from the bottom that may be furniture.
const EDGE: usize = 2;
/// Fewer pages prove nothing.
const MIN_PAGES: usize = 3;

/// Takes running headers and footers off; true when there were some.
pub(super) fn remove(pages: &mut [PageLines]) -> bool {
    let filled = pages.iter().filter(|page| !page.lines.is_empty()).count();
    if filled < MIN_PAGES {
        return false;
    }
    let mut counts: HashMap<(bool, String), usize> = HashMap::new();
    for page in pages.iter() {
        let mut seen = Vec::new();
        for edge in edges(page) {
            if !seen.contains(&edge) {
                *counts.entry(edge.clone()).or_default() += 1;
                seen.push(edge);
            }
        }
    }
    // Left and right pages often differ, hence less than half.
    let needed = MIN_PAGES.max(filled * 2 / 5);
    let is_furniture = |edge: &(bool, String)| counts.get(edge).is_some_and(|count| *count >= needed);
    let mut any = false;
    for page in pages {
        let top = edges(page).iter().filter(|(top, _)| *top).take_while(|edge| is_furniture(edge)).count();
        let bottom = edges(page).iter().filter(|(top, _)| !*top).take_while(|edge| is_furniture(edge)).count();
        let top = if stands_apart(page, top) { top } else { 0 };
        let bottom = if stands_apart(page, page.lines.len() - bottom) { bottom } else { 0 };
        if top + bottom == page.lines.len() {
            // Nothing would be left: slides and forms that say the same on every page say it for a reason.
            continue;
        }
        let end = page.lines.len() - bottom;
        any |= top + bottom > 0;
        page.lines.truncate(end);
        page.lines.drain(..top.min(end));
    }
    any
}

/// Whether a gap or a change of type size divides the page before line `at`: text that merely repeats on
/// every page (a form, a slide) runs on without one.
fn stands_apart(page: &PageLines, at: usize) -> bool {
    match (at.checked_sub(1).and_then(|before| page.lines.get(before)), page.lines.get(at)) {
        (Some(before), Some(after)) => {
            let known = before.size > 0.0 && after.size > 0.0;
            after.gap || (known && (before.size - after.size).abs() > 0.4)
        }
        _ => true,
    }
}

/// The patterns at the edges, outermost first; `true` marks the top. A line is at one edge only.
fn edges(page: &PageLines) -> Vec<(bool, String)> {
    let lines = &page.lines;
    let top = lines.len().min(EDGE);
    let bottom = (lines.len() - top).min(EDGE);
    let first = lines.iter().take(top).map(|line| (true, pattern(&line.text)));
    let last = lines.iter().rev().take(bottom).map(|line| (false, pattern(&line.text)));
    first.chain(last).collect()
}

/// The line with every number as one `#`.
fn pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_numeric() {
            out.extend(c.to_lowercase());
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}
