//! What recorded usage suggests: the judgements of the timing and cost analysers that Lorekeep replaces, on the
//! ledger's sums per operation.

use lorekeep_types::{UsageReport, UsageRow, usd};

/// Above these a mean or a spread of times is worth a word, in milliseconds.
const SLOW_MS: f64 = 5_000.0;
const UNEVEN_MS: f64 = 2_000.0;
const SLOW_OPERATION_MS: f64 = 10_000.0;
/// A question that costs more, in nano-USD.
const DEAR_ANSWER: i64 = 100_000_000;
/// A larger share of failures.
const MANY_FAILURES: f64 = 0.05;
/// Fewer calls say nothing.
const LEAST_CALLS: u64 = 5;

/// The operation whose calls make vectors.
const EMBED: &str = "embed";
/// The operation whose calls answer questions.
const ANSWER: &str = "answer";

/// Suggestions on a report by operation, each one sentence that names the figure it rests on.
#[must_use]
pub fn advise(report: &UsageReport) -> Vec<String> {
    let mut advice = Vec::new();
    let total = &report.total;
    if total.calls >= LEAST_CALLS {
        if total.avg_ms > SLOW_MS {
            let seconds = total.avg_ms / 1e3;
            advice.push(format!("calls take {seconds:.1} s on average: try a smaller model or shorter contexts"));
        }
        if total.std_dev_ms > UNEVEN_MS {
            let seconds = total.std_dev_ms / 1e3;
            advice.push(format!("times vary by {seconds:.1} s (standard deviation): look for rate limits and retries"));
        }
    }
    let spoken = report.rows.iter().filter(|row| row.calls >= LEAST_CALLS);
    advice.extend(spoken.flat_map(of_operation));
    let embedding: i64 = rows(report, EMBED).map(|row| row.cost).sum();
    let others = total.cost - embedding;
    if embedding > others && others > 0 {
        let (embedding, others) = (usd(embedding), usd(others));
        advice.push(format!(
            "vectors cost more ({embedding} USD) than answers ({others} USD): try a cheaper embedding model"
        ));
    }
    if let Some(drift) = total.price_drift() {
        advice.push(format!(
            "providers report {} USD where the prices say {} ({:+.0} %): correct `prices.MODEL`",
            usd(total.reported_cost),
            usd(total.compared_cost),
            drift * 100.0
        ));
    }
    if total.unknown_calls > 0 {
        let unknown = total.unknown_calls;
        advice.push(format!(
            "{unknown} calls have no known price: set `prices.MODEL.input_per_mtok` and `output_per_mtok`"
        ));
    }
    advice
}

fn rows<'a>(report: &'a UsageReport, operation: &'a str) -> impl Iterator<Item = &'a UsageRow> {
    report.rows.iter().filter(move |row| row.key == operation)
}

#[expect(clippy::cast_precision_loss, reason = "shares of counts; the last digits do not matter")]
fn of_operation(row: &UsageRow) -> Vec<String> {
    let mut advice = Vec::new();
    let name = &row.key;
    if row.avg_ms > SLOW_OPERATION_MS {
        advice.push(format!("`{name}` takes {:.1} s on average: give it a faster model", row.avg_ms / 1e3));
    }
    let failed = row.failed as f64 / row.calls as f64;
    if failed > MANY_FAILURES {
        advice.push(format!(
            "{:.0} % of the calls for `{name}` failed: configure a model to fall back to",
            failed * 100.0
        ));
    }
    let each = row.cost / i64::try_from(row.calls).unwrap_or(i64::MAX).max(1);
    if name == ANSWER && each > DEAR_ANSWER {
        advice.push(format!("an answer costs {} USD on average: try a cheaper model or fewer passages", usd(each)));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, calls: u64) -> UsageRow {
        UsageRow { key: key.to_owned(), calls, ..UsageRow::default() }
    }

    fn report(rows: Vec<UsageRow>, total: UsageRow) -> UsageReport {
        UsageReport { rows, total }
    }

    #[test]
    fn all_is_well_by_default() {
        assert!(advise(&UsageReport::default()).is_empty());
        assert!(advise(&report(vec![row("answer", 100)], row("", 100))).is_empty());
    }

    #[test]
    fn slow_uneven_dear_and_failing_calls_are_named() {
        let answer = UsageRow { avg_ms: 12_000.0, failed: 6, cost: 15_000_000_000, ..row("answer", 100) };
        let embed = UsageRow { cost: 20_000_000_000, ..row("embed", 10) };
        let total =
            UsageRow { avg_ms: 6_000.0, std_dev_ms: 2_500.0, cost: 35_000_000_000, unknown_calls: 3, ..row("", 110) };
        let advice = advise(&report(vec![answer, embed], total));
        let expected =
            ["6.0 s on average", "2.5 s", "`answer` takes 12.0 s", "6 % of", "0.15 USD", "20.00 USD", "3 calls"];
        assert_eq!(advice.len(), expected.len(), "{advice:#?}");
        for (line, part) in advice.iter().zip(expected) {
            assert!(line.contains(part), "{line} lacks {part}");
        }
    }

    #[test]
    fn prices_that_are_off_are_named() {
        let drifting = |compared_cost| {
            let total = UsageRow { reported_cost: 1_000_000_000, compared_cost, ..row("", 1) };
            advise(&report(Vec::new(), total))
        };
        assert!(drifting(1_050_000_000).is_empty() && drifting(950_000_000).is_empty());
        assert!(drifting(1_060_000_000)[0].contains("(+6 %)"));
        assert!(drifting(500_000_000)[0].contains("1.00 USD where the prices say 0.50 (-50 %)"));
    }

    #[test]
    fn few_calls_say_nothing() {
        let slow = UsageRow { avg_ms: 60_000.0, failed: 4, ..row("answer", 4) };
        assert!(advise(&report(vec![slow.clone()], UsageRow { key: String::new(), ..slow })).is_empty());
    }
}
