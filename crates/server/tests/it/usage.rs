//! What models were used for and what that cost, as the API reports it.

use lorekeep_types::{Admission, CALL_OK, Closing, ModelId, Opening, TokenUsage, WorkspaceName};
use serde_json::{Value, json};

use crate::support::{NOW_MS, Server};

const HOUR_MS: i64 = 3_600_000;
/// A cent in nano-USD.
const CENT: i64 = 10_000_000;

/// A call `hours` ago of request `request`, which took so many ms and nano-USD.
async fn called(server: &Server, (request, operation, hours): (&str, &str, i64), end: Closing) {
    let opening = Opening {
        at_ms: NOW_MS - hours * HOUR_MS,
        request_id: request.to_owned(),
        model: ModelId::new("llm", if operation == "embed" { "vectors" } else { "small" }),
        operation: operation.to_owned(),
        workspace: WorkspaceName::parse(if hours > 24 { "archive" } else { "default" }).unwrap(),
        principal: Some("ada".to_owned()),
        streamed: false,
        estimate: None,
        lease_ms: 1_000,
    };
    let Admission::Admitted(call) = server.ledger.open(opening).await.unwrap() else { panic!("no budget is set") };
    server.ledger.close(call, end).await.unwrap();
}

fn took(total_ms: f64, cents: i64) -> Closing {
    let usage = TokenUsage { prompt: 6_000, completion: 102, cache_written: 7, searches: 2, ..TokenUsage::default() };
    let usage = TokenUsage { reported_cost: Some(cents * CENT), ..usage };
    let provider_model = Some("small-2026-05".to_owned());
    Closing {
        usage,
        cost: Some(cents * CENT),
        total_ms,
        api_ms: total_ms,
        provider_model,
        ..Closing::new(NOW_MS, CALL_OK)
    }
}

/// Five questions of 14 cents, two of which for their keywords; one of them two days ago, and a call that failed. One
/// batch of vectors, slowly made.
async fn history() -> Server {
    let server = Server::new();
    for number in 0..5 {
        let request = format!("req_{number}");
        let hours = if number == 0 { 48 } else { 1 };
        called(&server, (&request, "keywords", hours), took(12_200.0, 2)).await;
        called(&server, (&request, "answer", hours), took(12_200.0 + 1_000.0 * f64::from(number), 12)).await;
    }
    called(&server, ("req_9", "answer", 1), Closing { total_ms: 100.0, ..Closing::new(NOW_MS, "server") }).await;
    for _ in 0..5 {
        let made = Closing { texts: 32, ..took(8_000.0, 0) };
        called(&server, ("job_1", "embed", 1), made).await;
    }
    server
}

fn keys(answer: &Value) -> Vec<(&str, u64)> {
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| (row["key"].as_str().unwrap(), row["calls"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn calls_are_summed_by_whatever_they_have_in_common() {
    let server = history().await;
    let by = async |query: &str| server.get(&format!("/v1/usage?{query}")).await.ok();
    assert_eq!(keys(&by("").await), [("2026-05-01", 2), ("2026-05-03", 14)]);
    assert_eq!(keys(&by("by=workspace").await), [("archive", 2), ("default", 14)]);
    assert_eq!(keys(&by("by=model").await), [("llm/small", 11), ("llm/vectors", 5)]);
    assert_eq!(keys(&by("by=principal").await), [("ada", 16)]);
    assert_eq!(keys(&by("by=operation&since=2026-05-02").await), [("answer", 5), ("embed", 5), ("keywords", 4)]);
    assert_eq!(keys(&by("by=operation&until=2026-05-02T00:00:00Z").await), [("answer", 1), ("keywords", 1)]);
    assert_eq!(keys(&by("by=operation&model=llm/vectors").await), [("embed", 5)]);
    assert_eq!(keys(&by("by=day&operation=answer&workspace_name=default").await), [("2026-05-03", 5)]);
    assert_eq!(keys(&by("since=2026-05-04").await), []);

    let operations = by("by=operation").await;
    let keywords = &operations["rows"][2];
    assert_eq!((&keywords["prompt_tokens"], &keywords["total_tokens"]), (&json!(30_000), &json!(30_510)));
    // 6102 tokens in 12.20 s.
    assert!((keywords["tokens_per_second"].as_f64().unwrap() - 500.2).abs() < 0.05, "{keywords}");
    assert_eq!((&operations["rows"][1]["texts"], &keywords["cost_usd"]), (&json!(160), &json!(0.1)));
    assert_eq!((&operations["answers"], &operations["cost_per_answer_usd"]), (&json!(6), &json!(0.116_666_666)));

    for bad in ["by=moon", "since=yesterday", "model=small"] {
        assert_eq!(server.get(&format!("/v1/usage?{bad}")).await.problem().0, 400, "{bad}");
    }
}

#[tokio::test]
async fn the_history_has_its_sums_times_and_advice() {
    let export = history().await.get("/v1/usage/export").await.ok();
    assert_eq!((&export["summary"]["calls"], &export["summary"]["failed"]), (&json!(16), &json!(1)));
    let of = |name: &str| {
        let rows = export["operations"].as_array().unwrap();
        rows.iter().find(|row| row["key"] == name).cloned().unwrap()
    };
    let answer = of("answer");
    // 100, 12200, 13200, 14200, 15200 and 16200 ms.
    assert!((answer["median_ms"].as_f64().unwrap() - 13_700.0).abs() < 1e-6, "{answer}");
    assert!((answer["avg_ms"].as_f64().unwrap() - 11_850.0).abs() < 1e-6, "{answer}");
    assert!((answer["std_dev_ms"].as_f64().unwrap() - 5_927.478).abs() < 0.01, "{answer}");
    let advice: Vec<_> = export["advice"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for part in [
        "calls take 10.8 s on average",
        "times vary by 3.9 s",
        "`answer` takes 11.8 s",
        "`keywords` takes 12.2 s",
        "17 % of the calls for `answer` failed",
        "vectors are made at 4.0 texts/s",
        "an answer costs 0.11666666",
    ] {
        assert!(advice.iter().any(|line| line.contains(part)), "{part} is missing: {advice:#?}");
    }
    let calls = export["call_history"].as_array().unwrap();
    assert_eq!((calls.len(), &export["truncated"]), (16, &json!(false)));
    let call = &calls[1];
    let told = ["request_id", "model", "operation", "workspace", "principal", "status", "provider_model"];
    let told = told.map(|field| call[field].as_str().unwrap());
    assert_eq!(told, ["req_0", "llm/small", "answer", "archive", "ada", "ok", "small-2026-05"]);
    assert_eq!((&call["cost_usd"], &call["reported_cost_usd"]), (&json!(0.12), &json!(0.12)));
    assert_eq!((&call["cache_written_tokens"], &call["searches"]), (&json!(7), &json!(2)));
    assert_eq!(calls.last().unwrap()["texts"], 32);
}
