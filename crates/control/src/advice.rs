//! What recorded usage suggests: the judgements of the timing and cost analysers that Lorekeep replaces, on the
//! ledger's sums per operation.

use lorekeep_types::{Answered, EMBED_OPERATION, UsageReport, UsageRow, usd};

/// Above these a mean or a spread of times is worth a word, in milliseconds.
const SLOW_MS: f64 = 5_000.0;
const UNEVEN_MS: f64 = 2_000.0;
const SLOW_OPERATION_MS: f64 = 10_000.0;
/// A question that costs more, in nano-USD.
const DEAR_ANSWER: i64 = 100_000_000;
/// A larger share of failures.
const MANY_FAILURES: f64 = 0.05;
/// Texts per second below which vectors are made slowly.
const SLOW_TEXTS: f64 = 10.0;
/// Fewer calls say nothing.
const LEAST_CALLS: u64 = 5;

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
    advice.extend(of_answers(report.answered));
    let embedding: i64 = report.rows.iter().filter(|row| row.key == EMBED_OPERATION).map(|row| row.cost).sum();
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

/// What a question costs with all that is asked of models for it.
fn of_answers(answered: Answered) -> Option<String> {
    let each = answered.each().filter(|each| answered.requests >= LEAST_CALLS && *each > DEAR_ANSWER)?;
    let each = usd(each);
    Some(format!("an answer costs {each} USD on average, all calls for it: try a cheaper model or fewer passages"))
}

#[expect(clippy::cast_precision_loss, reason = "ratios of counts; the last digits do not matter")]
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
    // Calls that a cache answered made no vectors.
    let speed = row.texts as f64 * 1e3 / row.api_ms;
    if name == EMBED_OPERATION && row.texts > 0 && speed < SLOW_TEXTS {
        advice.push(format!("vectors are made at {speed:.1} texts/s: use larger batches or a faster embedding model"));
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
        UsageReport { rows, total, answered: Answered::default() }
    }

    #[test]
    fn all_is_well_by_default() {
        assert!(advise(&UsageReport::default()).is_empty());
        assert!(advise(&report(vec![row("answer", 100)], row("", 100))).is_empty());
    }

    #[test]
    fn slow_uneven_dear_and_failing_calls_are_named() {
        let answer = UsageRow { avg_ms: 12_000.0, failed: 6, cost: 15_000_000_000, ..row("answer", 100) };
        let embed = UsageRow { cost: 20_000_000_000, texts: 320, api_ms: 80_000.0, ..row("embed", 10) };
        let total =
            UsageRow { avg_ms: 6_000.0, std_dev_ms: 2_500.0, cost: 35_000_000_000, unknown_calls: 3, ..row("", 110) };
        let answered = Answered { requests: 100, cost: 15_000_000_000 };
        let advice = advise(&UsageReport { answered, ..report(vec![answer, embed], total) });
        let expected = [
            "6.0 s on average",
            "2.5 s",
            "`answer` takes 12.0 s",
            "6 % of",
            "4.0 texts/s",
            "0.15 USD",
            "20.00 USD",
            "3 calls",
        ];
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
