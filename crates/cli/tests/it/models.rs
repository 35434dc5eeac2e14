//! A model behind the binary: written answers, their usage and cost, budgets, fallback, switching without a restart.

use std::time::{Duration, Instant};

use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::Place;

const RETROFIT: &str = "# Retrofit report\n\nThe roof of the library was insulated in 2023. \
    Heat loss fell by 31 percent after the retrofit. The work was led by Maria Stenberg.\n";

/// A provider of OpenAI's shape that runs beside the test.
pub struct Provider {
    runtime: Runtime,
    upstream: Upstream,
}

impl Provider {
    pub fn new(answer: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let runtime = Runtime::new().unwrap();
        let upstream = runtime.block_on(Upstream::start_with([], answer)).unwrap();
        Self { runtime, upstream }
    }

    /// One that always answers `text`, piece by piece where it is asked to.
    fn saying(text: &'static str) -> Self {
        Self::new(move |asked| {
            if asked.path == "/v1/models" {
                return Some(Reply::json(200, &json!({ "data": [{ "id": "small" }, { "id": "large" }] })));
            }
            Some(if asked.json()["stream"] == true { Reply::streamed(text) } else { Reply::written(text) })
        })
    }

    pub fn url(&self) -> String {
        format!("{}/v1", self.upstream.url())
    }

    pub fn chats(&self) -> Vec<Value> {
        let asked = self.upstream.asked().into_iter().filter(|asked| asked.path == "/v1/chat/completions");
        asked.map(|asked| asked.json()).collect()
    }
}

const ANSWER: &str = "Heat loss fell by 31 percent [1]. Nobody knows why [7].";

/// A place with one document, whose configuration names a model at `url`.
fn place(url: &str, more: &str) -> Place {
    let place = Place::new();
    place.write("papers/retrofit.md", RETROFIT);
    let added = place.run(&["add", "papers"]);
    assert_eq!(added.status.code(), Some(0), "{}", String::from_utf8_lossy(&added.stderr));
    place.write(
        "lorekeep.toml",
        format!("[llm]\nbase_url = \"{url}\"\nmodel = \"small\"\napi_key = \"sk-secret-value-1234\"\n{more}"),
    );
    place
}

const PRICES: &str = "[prices.small]\ninput_per_mtok = 2.0\noutput_per_mtok = 8.0\n";
const QUESTION: &str = "How much did heat loss fall?";

pub fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_model_writes_and_every_token_is_recorded() {
    let provider = Provider::saying(ANSWER);
    let place = place(&provider.url(), PRICES);
    let answer = place.json(&["ask", QUESTION]);
    assert_eq!(answer["kind"], "generated");
    assert_eq!(answer["answer"], "Heat loss fell by 31 percent [1]. Nobody knows why.");
    assert_eq!(answer["model"], "small-0613");
    assert_eq!(answer["citations"].as_array().unwrap().len(), 1);
    assert!(answer["notices"].to_string().contains("cited 1 passages that it was not given"), "{answer}");
    // 1000 × 2 USD + 50 × 8 USD per million.
    assert_eq!(answer["usage"]["cost_nano_usd"], 2_400_000);
    let citation = &answer["citations"][0];
    let text = String::from_utf8(place.run(&["docs", "text", "retrofit.md"]).stdout).unwrap();
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| citation["span"][index].as_u64().unwrap() as usize;
    assert_eq!(characters[at(0)..at(1)].iter().collect::<String>(), citation["quote"].as_str().unwrap());

    let sent = &provider.chats()[0];
    assert_eq!((&sent["model"], &sent["max_tokens"]), (&json!("small"), &json!(1000)));
    let prompt = sent["messages"][1]["content"].as_str().unwrap();
    assert!(prompt.contains("[1] retrofit.md") && prompt.ends_with(&format!("Question: {QUESTION}")), "{prompt}");

    let usage = place.json(&["usage", "--by", "operation"]);
    let row = &usage["rows"][0];
    let expected = ("answer", 1, 1000, 50, 0.0024);
    let found = (row["key"].as_str().unwrap(), row["calls"].as_i64().unwrap());
    assert_eq!((found.0, found.1), (expected.0, expected.1), "{usage}");
    assert_eq!((row["prompt_tokens"].as_i64(), row["completion_tokens"].as_i64()), (Some(1000), Some(50)));
    assert_eq!(row["cost_usd"].as_f64(), Some(expected.4));

    place.run(&["usage", "--export", "calls.json"]);
    let export: Value = serde_json::from_slice(&std::fs::read(place.path().join("calls.json")).unwrap()).unwrap();
    let call = &export["call_history"][0];
    assert_eq!((&call["model"], &call["status"]), (&json!("llm/small"), &json!("ok")));
    assert!(call["tokens_per_second"].as_f64().unwrap() > 0.0 && export["summary"]["calls"] == 1, "{export}");
}

/// What `found` gives, as soon as it gives something.
fn soon<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn each_call_is_a_line_of_the_log_and_prices_are_read_again() {
    let provider = Provider::saying(ANSWER);
    let place = place(&provider.url(), "[prices]\nfile = \"prices.toml\"\n[cache]\nbackend = \"none\"\n");
    let prices = |output: f64| format!("[models.small]\ninput_per_mtok = 2.0\noutput_per_mtok = {output}\n");
    place.write("prices.toml", prices(8.0));
    let server = place.serve();
    let cost = || place.json(&["ask", QUESTION])["usage"]["cost_nano_usd"].as_i64();
    assert_eq!(cost(), Some(2_400_000));
    let line =
        soon("no line of the call", || server.log().into_iter().find(|line| line["target"] == "lorekeep::usage"));
    let fields = &line["fields"];
    assert_eq!(
        (&fields["model"], &fields["operation"], &fields["status"]),
        (&json!("llm/small"), &json!("answer"), &json!("ok"))
    );
    assert_eq!((&fields["prompt"], &fields["completion"], &fields["total"]), (&json!(1000), &json!(50), &json!(1050)));
    let speed: f64 = fields["speed"].as_str().unwrap().parse().unwrap();
    assert!(speed > 0.0 && fields["time_s"].as_str().unwrap().parse::<f64>().is_ok(), "{fields}");

    // A file that is broken changes nothing, a good one does.
    place.write("prices.toml", "[models.small\n");
    place.write("prices.toml", prices(80.0));
    soon("the new price was not taken over", || (cost() == Some(6_000_000)).then_some(()));
}

#[test]
fn without_a_price_the_cost_is_unknown_and_quotes_cost_nothing() {
    let provider = Provider::saying(ANSWER);
    let place = place(&provider.url(), "");
    assert_eq!(place.json(&["ask", QUESTION])["usage"]["cost_nano_usd"], Value::Null);
    let quoted = place.json(&["ask", QUESTION, "--quote-only"]);
    assert_eq!((&quoted["kind"], &quoted["usage"]["cost_nano_usd"]), (&json!("quoted"), &json!(0)));
    assert_eq!(provider.chats().len(), 1);
    let usage = place.run(&["usage"]);
    assert!(stderr(&usage).contains("calls without a known price"), "{}", stderr(&usage));
}

#[test]
fn a_streamed_answer_comes_piece_by_piece() {
    let provider = Provider::saying(ANSWER);
    let place = place(&provider.url(), PRICES);
    let output = place.run(&["ask", QUESTION, "--stream", "--json"]);
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pieces: String =
        lines.iter().filter(|line| line["type"] == "answer").filter_map(|line| line["text"].as_str()).collect();
    assert!(pieces.starts_with("Heat loss fell by 31 percent [1]. Nobody knows why"), "{pieces}");
    assert!(!pieces.contains("[7]"), "no passage has this number: {pieces}");
    let last = lines.last().unwrap();
    assert_eq!((&last["kind"], &last["usage"]["total_tokens"]), (&json!("generated"), &json!(1050)));
    assert!(last["first_token_ms"].as_f64().unwrap() <= last["took_ms"].as_f64().unwrap());
    let shown = place.run(&["ask", "How far did heat loss fall?", "--stream"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    assert_eq!(text.matches("Heat loss fell by 31 percent [1]").count(), 1, "{text} {}", stderr(&shown));
    assert!(stderr(&shown).contains("1000 in / 50 out · $0.0024"), "{}", stderr(&shown));
}

#[test]
fn a_provider_in_trouble_is_named_and_nothing_is_made_up() {
    let refusing = Provider::new(|_| Some(Reply::json(401, &json!({ "error": { "message": "wrong key" } }))));
    let place = place(&refusing.url(), "");
    let output = place.run(&["ask", QUESTION]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(6), 0), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.contains("llm/small") && text.contains("HTTP 401: wrong key") && text.contains("lorekeep model test"),
        "{text}"
    );
    assert!(!text.contains("sk-secret"), "{text}");
    assert_eq!(refusing.chats().len(), 1, "a refused credential is not tried again");
    let quoted = place.json(&["ask", QUESTION, "--quote-only"]);
    assert_eq!(quoted["kind"], "quoted");
    let failed = &place.json(&["usage", "--by", "model"])["rows"][0];
    assert_eq!((&failed["key"], &failed["failed"]), (&json!("llm/small"), &json!(1)));
}

#[test]
fn another_model_stands_in_and_the_ledger_says_why() {
    let broken = Provider::new(|_| Some(Reply::json(503, &json!({ "error": { "message": "overloaded" } }))));
    let provider = Provider::saying(ANSWER);
    let more = format!(
        "[models]\nattempts = 2\n[roles]\nanswer = [\"first/a\", \"second/b\"]\n[providers.first]\nbase_url = \"{}\"\n\
         [providers.second]\nbase_url = \"{}\"\n",
        broken.url(),
        provider.url()
    );
    let place = place(&provider.url(), &more);
    assert_eq!(place.json(&["ask", QUESTION])["kind"], "generated");
    assert_eq!((broken.chats().len(), provider.chats().len()), (2, 1));
    place.run(&["usage", "--export", "calls.json"]);
    let export: Value = serde_json::from_slice(&std::fs::read(place.path().join("calls.json")).unwrap()).unwrap();
    let calls = export["call_history"].as_array().unwrap();
    assert_eq!((&calls[0]["status"], &calls[0]["retries"]), (&json!("overloaded"), &json!(1)), "{export}");
    assert_eq!((&calls[1]["fallback_from"], &calls[1]["fallback_reason"]), (&json!("first/a"), &json!("overloaded")));
}

#[test]
fn a_budget_refuses_or_falls_back_to_quotes() {
    let provider = Provider::saying(ANSWER);
    let limited = format!("{PRICES}[budgets.day]\nlimit_usd = 0.000001\n");
    let refused = place(&provider.url(), &limited);
    let output = refused.run(&["ask", QUESTION]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(stderr(&output).contains("the budget of all calls"), "{}", stderr(&output));
    let quoting = place(&provider.url(), &format!("{limited}action = \"quote\"\n"));
    let answer = quoting.json(&["ask", QUESTION]);
    assert_eq!(answer["kind"], "quoted");
    assert!(answer["notices"].to_string().contains("quoted instead"), "{answer}");
    assert!(provider.chats().is_empty());
    let budgets = quoting.json(&["usage", "--budgets"]);
    assert_eq!(
        (&budgets["budgets"][0]["spent_usd"], &budgets["budgets"][0]["reserved_usd"]),
        (&json!(0.0), &json!(0.0))
    );
}

#[test]
fn clients_are_told_apart_by_their_keys_and_limited_each() {
    let provider = Provider::saying(ANSWER);
    let more = format!(
        "{PRICES}[keys]\nwebsite = \"k-website\"\nbot = \"k-bot\"\n\
         [budgets.website]\nscope = \"principal:website\"\nlimit_usd = 0.000001\n"
    );
    let place = place(&provider.url(), &more);
    let server = place.serve();
    let ask = |header: &'static str, key: &'static str| {
        let body = json!({ "question": QUESTION, "no_cache": true });
        let url = format!("{}/v1/ask", server.api().url());
        let request = server.client().post(url).header(header, key).json(&body);
        provider.runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    };
    assert_eq!(ask("authorization", "Bearer k-website"), 402);
    assert_eq!(ask("x-api-key", "k-website"), 402, "the same client by the other header");
    assert_eq!(ask("x-api-key", "k-bot"), 200);
    assert_eq!(ask("authorization", "Bearer sk-of-nobody"), 200);
    let usage = place.json(&["usage", "--by", "principal"]);
    let calls = |name: &str| {
        let row = usage["rows"].as_array().unwrap().iter().find(|row| row["key"] == name);
        row.map_or(0, |row| row["calls"].as_u64().unwrap())
    };
    assert_eq!((calls("bot"), calls(""), calls("website")), (1, 1, 0), "{usage}");
    let shown = place.run(&["config", "show"]);
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("k-website"));
    place.write("lorekeep.toml", "[keys]\na = \"same\"\nb = \"same\"\n");
    let refused = place.run(&["config", "check"]);
    assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("`keys.a` and `keys.b`"), "{}", stderr(&refused));
}

#[test]
fn an_answer_that_breaks_off_is_an_error_and_is_paid_for() {
    let provider = Provider::new(|_| {
        let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": "Heat loss " } }] });
        Some(Reply::open(200, "text/event-stream").send(format!("data: {chunk}\n\n")).then(Step::Reset))
    });
    let place = place(&provider.url(), PRICES);
    let output = place.run(&["ask", QUESTION, "--stream"]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert_eq!(provider.chats().len(), 1, "nothing is repeated after the first piece");
    let row = &place.json(&["usage", "--by", "model"])["rows"][0];
    assert_eq!((&row["failed"], &row["estimated_calls"]), (&json!(1), &json!(1)), "{row}");
    assert!(row["cost_usd"].as_f64().unwrap() > 0.0, "{row}");
}

#[test]
fn models_are_tried_listed_and_switched_while_the_server_runs() {
    let (one, other) = (Provider::saying("One [1]."), Provider::saying("Other [1]."));
    // Answers that are kept would hide who writes them.
    let place = place(&one.url(), "[cache]\nbackend = \"none\"\n");
    let trial = place.json(&["model", "test"]);
    assert_eq!((&trial["ok"], &trial["streams"], &trial["reports_usage"]), (&json!(true), &json!(true), &json!(true)));
    assert_eq!(trial["listed"], json!(["small", "large"]));
    let server = place.serve();
    assert_eq!(place.json(&["ask", QUESTION])["answer"], "One [1].");
    let file = std::fs::read_to_string(place.path().join("lorekeep.toml")).unwrap();
    place.write("lorekeep.toml", file.replace(&one.url(), &other.url()));
    let patience = Instant::now() + Duration::from_secs(20);
    while place.json(&["ask", QUESTION])["answer"] != "Other [1]." {
        assert!(Instant::now() < patience, "the server did not take the new address over");
        std::thread::sleep(Duration::from_millis(200));
    }
    // A file that is broken is reported and changes nothing.
    place.write("lorekeep.toml", "[llm\n");
    std::thread::sleep(Duration::from_millis(2_500));
    let overview = one.runtime.block_on(server.api().get("/v1/gateway")).unwrap();
    assert_eq!(overview["roles"]["answer"], json!(["llm/small"]));
}

#[test]
fn model_set_writes_the_configuration_and_none_takes_it_back() {
    let provider = Provider::saying(ANSWER);
    let place = Place::new();
    place.write("papers/retrofit.md", RETROFIT);
    place.run(&["add", "papers"]);
    let set = place.run(&["model", "set", &provider.url(), "--model", "small"]);
    assert_eq!(set.status.code(), Some(0), "{}", stderr(&set));
    assert_eq!(place.json(&["ask", QUESTION])["kind"], "generated");
    assert_eq!(place.run(&["model", "price", "small", "--input", "2", "--output", "8"]).status.code(), Some(0));
    assert_eq!(place.json(&["ask", "How far did heat loss fall?"])["usage"]["cost_nano_usd"], 2_400_000);
    place.run(&["model", "set", "none"]);
    assert_eq!(place.json(&["ask", QUESTION])["kind"], "quoted");
    let wrong = place.run(&["model", "set", "gpt", "--model", "x"]);
    assert_eq!(wrong.status.code(), Some(5), "{}", stderr(&wrong));
}

#[test]
fn a_model_in_this_process_is_set_with_its_files() {
    let place = Place::new();
    let without = place.run(&["model", "set", "local", "--model", "llama"]);
    assert!(!without.status.success() && stderr(&without).contains("add --path FOLDER"), "{}", stderr(&without));
    let set = place.run(&["model", "set", "local", "--model", "llama", "--path", "models/llama"]);
    assert!(set.status.success(), "{}", stderr(&set));
    assert_eq!(String::from_utf8_lossy(&place.run(&["config", "get", "llm.path"]).stdout).trim(), "models/llama");
    let again = place.run(&["model", "set", "local", "--model", "other"]);
    assert!(again.status.success(), "the files are known: {}", stderr(&again));
    let mute = place.run(&["model", "set", "cohere", "--model", "x"]);
    assert!(stderr(&mute).contains("`cohere` writes no answers"), "{}", stderr(&mute));
}

#[test]
fn a_model_named_by_the_request_is_asked_and_an_unknown_one_is_not_found() {
    let provider = Provider::saying(ANSWER);
    let place = place(&provider.url(), "");
    let answer = place.json(&["ask", QUESTION, "--model", "llm/large"]);
    assert_eq!(answer["kind"], "generated");
    assert_eq!(provider.chats()[0]["model"], "large");
    let unknown = place.run(&["ask", QUESTION, "--model", "nowhere/x"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", stderr(&unknown));
    assert!(stderr(&unknown).contains("there is no provider `nowhere`"), "{}", stderr(&unknown));
    let bypass = place.json(&["ask", "Say hello.", "--mode", "bypass"]);
    assert_eq!((&bypass["kind"], &bypass["citations"]), (&json!("generated"), &json!([])));
}

#[test]
fn a_credential_is_never_shown() {
    let provider = Provider::saying(ANSWER);
    let place = place(&provider.url(), "");
    for arguments in
        [&["config", "show", "--origin"][..], &["config", "get", "llm.api_key"], &["model", "list", "--json"]]
    {
        let output = place.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert!(text.contains("…1234") && !text.contains("sk-secret"), "{arguments:?}: {text}");
    }
}

#[test]
fn doctor_says_whether_the_provider_can_be_reached() {
    let provider = Provider::saying(ANSWER);
    let place = place(&provider.url(), "");
    let findings = |place: &Place| place.json(&["doctor"])["findings"].to_string();
    assert!(findings(&place).contains("can be reached") && !findings(&place).contains("no outbound connection"));
    assert!(provider.chats().is_empty(), "nothing is asked");
    drop(provider);
    assert!(findings(&place).contains("Connection refused"), "{}", findings(&place));
    assert!(findings(&Place::new()).contains("no outbound connection is configured"));
}

#[test]
fn a_role_that_was_set_stays_set_and_wins_until_it_is_taken_back() {
    let provider = Provider::saying(ANSWER);
    let place = place(&provider.url(), "");
    let set = place.run(&["model", "set", "llm/large", "--role", "answer", "--now"]);
    assert_eq!(set.status.code(), Some(0), "{}", stderr(&set));
    // Every command is a process of its own.
    place.json(&["ask", QUESTION]);
    assert_eq!(provider.chats()[0]["model"], "large");
    let overview = place.json(&["model", "list"]);
    assert_eq!((&overview["roles"]["answer"], &overview["set"]), (&json!(["llm/large"]), &json!(["answer"])));
    place.run(&["model", "set", "none", "--role", "answer", "--now"]);
    place.json(&["ask", QUESTION]);
    assert_eq!(provider.chats()[1]["model"], "small");
    assert_eq!(place.json(&["model", "list"])["set"], json!([]));
}

#[test]
fn levels_of_a_budget_stay_readable() {
    let provider = Provider::saying(ANSWER);
    let place = place(
        &provider.url(),
        "[prices.small]\ninput_per_mtok = 2.0\noutput_per_mtok = 0.0\n\
        [budgets.all]\nlimit_usd = 0.0025\naction = \"quote\"\n",
    );
    // Three questions, since the answer to one that was asked before is kept and costs nothing.
    for question in [QUESTION, "How far did heat loss fall?", "What fell by 31 percent?"] {
        place.json(&["ask", question]);
    }
    let alerts = place.json(&["usage", "--alerts"])["alerts"].clone();
    let levels: Vec<_> = alerts.as_array().unwrap().iter().map(|one| (&one["percent"], &one["spent_usd"])).collect();
    // The second question is refused: what is left does not pay for its prompt.
    assert_eq!(levels, [(&json!(100), &json!(0.002)), (&json!(75), &json!(0.002))], "{alerts}");
    let shown = place.run(&["usage", "--alerts"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("100 %"));
}

#[test]
fn what_is_kept_can_be_looked_at_and_forgotten() {
    let place = Place::new();
    place.write("lorekeep.toml", "[cache]\nbackend = \"memory\"\n");
    place.run(&["add", "lorekeep.toml"]);
    assert_eq!(place.json(&["cache", "show"]), json!({ "enabled": true, "entries": 0, "bytes": 0, "kinds": [] }));
    assert_eq!(place.json(&["cache", "clear", "--kind", "embedding"])["forgotten"], 0);
    let wrong = place.run(&["cache", "clear", "--kind", "dreams"]);
    assert!(stderr(&wrong).contains("use one of extraction"), "{}", stderr(&wrong));
    place.write("lorekeep.toml", "[cache]\nbackend = \"none\"\n");
    assert_eq!(place.json(&["cache", "show"])["enabled"], false);
}

/// A reranker that turns the order around, or fails when `works` is false.
fn reranker(works: bool) -> Provider {
    Provider::new(move |asked| {
        if asked.path != "/v1/rerank" || !works {
            return Some(Reply::json(500, &json!({ "error": { "message": "out of order" } })));
        }
        let count = asked.json()["documents"].as_array().map_or(0, Vec::len);
        let score = |index: usize| json!({ "index": index, "relevance_score": index as f64 / count as f64 });
        let results: Vec<Value> = (0..count).rev().map(score).collect();
        Some(Reply::json(200, &json!({ "model": "ranker", "results": results, "usage": { "total_tokens": 40 } })))
    })
}

/// Three documents, and what a search finds in which order before and after a reranker is named.
fn searched(provider: &Provider, more: &[&str]) -> (Place, Vec<String>, Value) {
    let place = place(&provider.url(), "");
    place.write("papers/heat.md", "# Heat\n\nHeat loss is measured with cameras. Heat loss is high in winter.\n");
    place.write("papers/roof.md", "# Roofs\n\nA roof that is not insulated loses heat.\n");
    place.run(&["add", "papers"]);
    let before = names(&place.json(&["search", QUESTION]));
    assert!(before.len() >= 3, "{before:?}");
    let set = place.run(&["model", "set", "llm/ranker", "--role", "rerank", "--now"]);
    assert_eq!(set.status.code(), Some(0), "{}", stderr(&set));
    let after = place.json(&[&["search", QUESTION], more].concat());
    (place, before, after)
}

fn names(found: &Value) -> Vec<String> {
    let results = found["results"].as_array().unwrap();
    results.iter().map(|one| one["document"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_model_orders_the_passages() {
    let provider = reranker(true);
    let (place, mut before, after) = searched(&provider, &["--limit", "1"]);
    before.reverse();
    assert_eq!(names(&after), before[..1], "the last of all that was found is the best now");
    assert_eq!((&after["results"][0]["score"], &after["notices"]), (&json!(1.0), &json!([])));
    let asked = provider.upstream.asked().into_iter().find(|asked| asked.path == "/v1/rerank").unwrap().json();
    assert_eq!((&asked["model"], &asked["query"]), (&json!("ranker"), &json!(QUESTION)));
    assert!(asked["documents"].to_string().contains("Heat loss is measured with cameras"), "{asked}");
    assert_eq!(names(&place.json(&["search", QUESTION])), before);
    let usage = place.json(&["usage", "--by", "operation"]);
    let row = &usage["rows"][0];
    assert_eq!((&row["key"], &row["calls"], &row["prompt_tokens"]), (&json!("rerank"), &json!(2), &json!(80)));
}

#[test]
fn a_reranker_that_fails_leaves_the_order_and_is_told() {
    let (_, before, after) = searched(&reranker(false), &[]);
    assert_eq!(names(&after), before);
    assert!(after["notices"].to_string().contains("built-in order"), "{after}");
}

#[test]
fn an_answer_that_is_cut_at_its_limit_is_logged() {
    let provider = Provider::new(|_| {
        let message = json!({ "role": "assistant", "content": "Heat loss fell by" });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "length" });
        let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 77, "total_tokens": 1077 });
        Some(Reply::json(200, &json!({ "id": "c1", "model": "small", "choices": [choice], "usage": usage })))
    });
    let place = place(&provider.url(), "");
    let server = place.serve();
    place.run(&["ask", QUESTION, "--json"]);
    let is_cut =
        |line: &Value| line["fields"]["message"].as_str().is_some_and(|said| said.contains("was cut at the limit"));
    let line = soon("no line of the cut", || server.log().into_iter().find(is_cut));
    assert_eq!((&line["level"], &line["fields"]["written"]), (&json!("WARN"), &json!(77)), "{line}");
    assert_eq!(line["fields"]["model"], "llm/small");
}
