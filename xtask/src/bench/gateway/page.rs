//! The page of the gateway's figures.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

/// What has to be known of figures that were taken beside other work.
const BUSY: &str = " **Other work was running**, on both cores: times are too high and their tails mostly the scheduler's; \
    an idle machine is needed to hold them against the goals. What is exact (the books, the budget, the number of calls) does \
    not depend on it.";

/// The whole page.
pub fn page(figures: &Value) -> Result<String> {
    let mut page = format!(
        "# The gateway\n\n`cargo xtask bench gateway`: a stub model, called directly and through `POST /v1/ask` (mode \
         `bypass`) with limit, circuit, retries, prices, a budget and the ledger on; the cache and what joins equal calls \
         pass such questions on, which may not be kept. The server has one core; the stub and \
         the load share the other. Open loop: requests start at a constant rate and are timed from the moment at which \
         they were meant to start. Load average before and after: {} and {}{}.{}\n\n",
        figures["load_before"].as_str().unwrap_or_default(),
        figures["load_after"].as_str().unwrap_or_default(),
        if figures["raised"] == true { " (all three ran at a raised priority)" } else { "" },
        if busy(&figures["load_before"]) { BUSY } else { "" },
    );
    if figures["unoptimised"] == true {
        page.push_str("Server and load were **unoptimised builds**: the counts hold, no time does.\n\n");
    }
    if !figures["at_once"].is_null() {
        overhead(&mut page, figures)?;
    }
    for (name, part) in PARTS {
        let figures = &figures[name];
        if figures.is_null() {
            writeln!(page, "No figures of `{name}` in this run.\n")?;
        } else {
            part(&mut page, figures)?;
        }
    }
    Ok(page)
}

type Part = fn(&mut String, &Value) -> Result<()>;

/// What follows the times, in order.
const PARTS: [(&str, Part); 4] = [("throughput", throughput), ("mixed", mixed), ("budget", budget), ("storm", storm)];

fn storm(page: &mut String, storm: &Value) -> Result<()> {
    writeln!(
        page,
        "## One upstream answer in ten is 503\n\n{} calls at {}/s made {} upstream calls ({:.3}×; goal ≤ 1.1×); {} calls \
         failed.",
        storm["calls"],
        storm["rate"],
        storm["upstream_calls"],
        number(storm, "ratio"),
        storm["failed"]
    )?;
    Ok(())
}

/// Whether anything else ran before the measurement.
fn busy(load: &Value) -> bool {
    load.as_str().and_then(|load| load.parse().ok()).is_some_and(|load: f64| load > 1.0)
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_default()
}

fn overhead(page: &mut String, figures: &Value) -> Result<()> {
    page.push_str(
        "## Time added\n\nMedians of five turns of 5 s each, with the range of what was added. “Relay” is what a program adds that \
         only copies bytes, on the server's core.\n\n\
         | what | per s | direct p50 / p99 ms | relay adds p50 / p99 ms | through p50 / p99 ms | added p50 ms | added p99 ms | goal |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let rows = [
        ("answer, upstream 0 ms", "at_once", "≤ 0.3 / ≤ 1.5"),
        ("answer, upstream 20 ms", "at_20_ms", "≤ 0.3 / ≤ 1.5"),
        ("answer, upstream 0 ms, log on", "logging", ""),
        ("answer, upstream 0 ms, core awake", "awake", ""),
        ("first piece of a stream", "streaming", "p99 ≤ 1.5"),
    ];
    for (name, key, goal) in rows {
        let row = &figures[key];
        let range = |key: &str| {
            format!("{:.2}–{:.2}", row[key][0].as_f64().unwrap_or_default(), row[key][1].as_f64().unwrap_or_default())
        };
        let relay = match (&row["relay_added_p50_ms"], &row["relay_added_p99_ms"]) {
            (Value::Number(_), Value::Number(_)) => {
                format!("{:.2} / {:.2}", number(row, "relay_added_p50_ms"), number(row, "relay_added_p99_ms"))
            }
            _ => "–".to_owned(),
        };
        writeln!(
            page,
            "| {name} | {} | {:.2} / {:.2} | {relay} | {:.2} / {:.2} | **{:.2}** ({}) | **{:.2}** ({}) | {goal} |",
            row["rate"],
            number(row, "direct_p50_ms"),
            number(row, "direct_p99_ms"),
            number(row, "through_p50_ms"),
            number(row, "through_p99_ms"),
            number(row, "added_p50_ms"),
            range("added_p50_range_ms"),
            number(row, "added_p99_ms"),
            range("added_p99_range_ms"),
        )?;
    }
    page.push_str(
        "\n“Log on”: two lines per call, as servers write by default, to nowhere; elsewhere the log has errors only. “Core awake”: \
         something of idle priority keeps the server's core from halting between calls, so that the difference from the first \
         row is what this machine takes to wake up.\n",
    );
    page.push_str("\nThe text of all pieces was the stub's to the byte in every stream.\n\n");
    Ok(())
}

fn throughput(page: &mut String, throughput: &Value) -> Result<()> {
    writeln!(
        page,
        "## Throughput\n\nThe most that was held with p99 ≤ 5 ms: **{}/s** (goal ≥ 3,000/s).\n\n\
         | asked per s | answered per s | p50 ms | p99 ms | direct p50 ms | direct p99 ms |\n|---|---|---|---|---|---|",
        throughput["held_per_s"]
    )?;
    for row in throughput["steps"].as_array().into_iter().flatten() {
        let figure = |key: &str| number(row, key);
        writeln!(
            page,
            "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
            row["rate"],
            figure("per_s"),
            figure("p50_ms"),
            figure("p99_ms"),
            figure("direct_p50_ms"),
            figure("direct_p99_ms")
        )?;
    }
    page.push('\n');
    Ok(())
}

fn mixed(page: &mut String, mixed: &Value) -> Result<()> {
    let verdict = if mixed["equal"] == true {
        "equal".to_owned()
    } else {
        format!("different in {} places", mixed["differences"])
    };
    writeln!(
        page,
        "## The ledger against the stub's own\n\n{} calls: plain, streamed, given up by the client, spoiled by the upstream, \
         and the server killed (SIGKILL) and started again in the middle. What the ledger has as reported is compared \
         call by call: **{verdict}**. A call that the killed server left open (`lost`) is charged all that was reserved. One \
         that its client gave up is charged the same, or, once a stream has begun, an estimate of what had arrived; the stub \
         may have written more by then. What it gave away beyond the charge is in the last column.\n\n\
         | in the ledger | calls | answered in full by the stub | tokens by the stub | tokens in the ledger | charged USD | given \
         away USD | short: calls, USD |\n|---|---|---|---|---|---|---|---|",
        mixed["calls"]
    )?;
    for (status, class) in mixed["classes"].as_object().into_iter().flatten() {
        let pair = |key: &str| format!("{} + {}", class[key][0], class[key][1]);
        writeln!(
            page,
            "| {status} | {} | {} | {} | {} | {:.6} | {:.6} | {}, {:.6} |",
            class["calls"],
            class["answered_in_full_by_stub"],
            pair("stub_tokens"),
            pair("ledger_tokens"),
            number(class, "charged_nano_usd") / 1e9,
            number(class, "given_nano_usd") / 1e9,
            class["short_calls"],
            number(class, "short_nano_usd") / 1e9
        )?;
    }
    page.push('\n');
    Ok(())
}

fn budget(page: &mut String, budget: &Value) -> Result<()> {
    let usd = |key: &str| number(budget, key) / 1e9;
    writeln!(
        page,
        "## A budget\n\n{} callers at once against {:.2} USD, the server killed and started again under way: {} calls made, {} \
         lost, settled {:.6} USD, really spent {:.6} USD, **overspent {:.6} USD**, reserved afterwards {:.6} USD; all was \
         settled {:.1} s after the kill.\n",
        budget["callers"],
        usd("limit_nano_usd"),
        budget["calls_made"],
        budget["calls_lost"],
        usd("settled_nano_usd"),
        usd("consumed_nano_usd"),
        usd("overspent_nano_usd"),
        usd("reserved_after_nano_usd"),
        number(budget, "all_done_ms_after_kill") / 1e3
    )?;
    Ok(())
}
