//! Answers written by a model: what it is told, what is made of what it says, and what happens when it fails.

use futures::StreamExt as _;
use lorekeep_engine::context::TokenBudget;
use lorekeep_engine::{AnswerSettings, AskEvent};
use lorekeep_types::{
    Answer, AnswerKind, AskRequest, ErrorCode, Keywords, Mode, ModelFault, OnFailure, Role, SearchRequest, Turn,
};

use crate::ports::Bench;
use crate::scripted::{Scripted, all_text};

const MILL: &str = "Halden Mill stands on the river Tista. Halden Mill was founded by Åke Lind in 1887. \
    It burned down in 1931 and was rebuilt of brick.";
const PORT: &str = "The port of Oslo handles timber. Its cranes were bought in 1954 from a yard in Bergen.";

async fn library(model: &Scripted) -> Bench {
    with(model, AnswerSettings::default()).await
}

async fn with(model: &Scripted, settings: AnswerSettings) -> Bench {
    let mut bench = Bench::with_model(model, settings).await;
    bench.take_in(&[("mill.txt", MILL), ("port.txt", PORT)]).await;
    bench
}

/// The number of the passage of a document in what a model was sent.
fn number(request: &str, name: &str) -> String {
    let line = request.lines().find(|line| line.starts_with("=== ") && line.contains(name));
    let line = line.unwrap_or_else(|| panic!("no passage of {name}: {request}"));
    line.split(['[', ']']).nth(1).unwrap().to_owned()
}

/// A model that says `text`, where `{mill}` and `{port}` become the numbers of those documents' passages.
fn saying(text: &'static str) -> Scripted {
    Scripted::new(move |operation, request| {
        let sent = all_text(request);
        Ok(match operation {
            "answer" => {
                text.replace("{mill}", &number(&sent, "mill.txt")).replace("{port}", &number(&sent, "port.txt"))
            }
            _ => text.to_owned(),
        })
    })
}

fn ask(question: &str) -> AskRequest {
    AskRequest::new(question)
}

async fn streamed(bench: &Bench, request: AskRequest) -> (String, Vec<AskEvent>, Answer) {
    let mut events = Vec::new();
    let mut stream = bench.engine.ask_streamed(&bench.ctx, request);
    while let Some(event) = stream.next().await {
        events.push(event.unwrap());
    }
    let text = events.iter().filter_map(|event| match event {
        AskEvent::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let text = text.collect();
    let Some(AskEvent::Done(answer)) = events.last().cloned() else { panic!("no end: {events:?}") };
    (text, events, *answer)
}

#[tokio::test]
async fn a_citation_is_the_sentence_that_supports_the_statement() {
    let model = saying("Åke Lind founded Halden Mill in 1887 [{mill}]. The cranes came from Bergen [{port}][9].");
    let bench = library(&model).await;
    let answer = bench.engine.ask(&bench.ctx, ask("Who founded Halden Mill?")).await.unwrap();
    assert_eq!(answer.kind, AnswerKind::Generated);
    let of_mill = answer.citations.iter().find(|one| one.name == "mill.txt").unwrap();
    assert_eq!(of_mill.quote, "Halden Mill was founded by Åke Lind in 1887.");
    let characters: String =
        MILL.chars().skip(of_mill.span.start).take(of_mill.span.end - of_mill.span.start).collect();
    assert_eq!(characters, of_mill.quote);
    assert!(answer.notices.iter().any(|notice| notice.contains("cited 1 passages that it was not given")));
    assert!(!answer.answer.contains("[9]"));
    assert!(answer.unsupported.is_empty(), "{answer:?}");
    assert_eq!(answer.sources.len(), 2);
}

#[tokio::test]
async fn statements_without_support_are_marked() {
    let model =
        saying("Halden Mill was founded by Åke Lind in 1887 [{mill}]. Its owner kept 47 purple elephants there.");
    let bench = library(&model).await;
    let answer = bench.engine.ask(&bench.ctx, ask("Who founded Halden Mill?")).await.unwrap();
    let marked: Vec<String> = answer
        .unsupported
        .iter()
        .map(|span| answer.answer.chars().skip(span.start).take(span.end - span.start).collect())
        .collect();
    assert_eq!(marked, ["Its owner kept 47 purple elephants there."]);
    assert!(answer.notices.iter().any(|notice| notice.contains("no support was found in the passages for 1 sentence")));
    // A wrong number is no support either.
    let model = saying("Halden Mill was founded by Åke Lind in 1923 [{mill}].");
    let bench = library(&model).await;
    let answer = bench.engine.ask(&bench.ctx, ask("Who founded Halden Mill?")).await.unwrap();
    assert_eq!(answer.unsupported.len(), 1, "{answer:?}");
}

#[tokio::test]
async fn a_model_can_say_that_the_documents_hold_no_answer_in_every_mode() {
    let model = Scripted::new(|operation, _| {
        let keywords = r#"{"high_level_keywords": [], "low_level_keywords": ["Halden Mill"]}"#;
        Ok(if operation == "keywords" { keywords.to_owned() } else { "NOT-IN-DOCUMENTS. Sorry!".to_owned() })
    });
    let bench = library(&model).await;
    for mode in [Mode::Auto, Mode::Naive, Mode::Local, Mode::Global, Mode::Hybrid, Mode::Mix] {
        let request =
            AskRequest { search: SearchRequest { mode, ..SearchRequest::new("Who painted Halden Mill?") }, ..ask("") };
        let (text, _, answer) = streamed(&bench, request).await;
        assert_eq!((answer.kind, text.as_str()), (AnswerKind::Abstained, ""), "{mode:?} {answer:?}");
        assert_eq!(answer.answer, "Nothing in these 2 documents answers this.");
        assert!(!answer.citations.is_empty());
    }
}

#[tokio::test]
async fn pieces_join_to_the_answer_and_sources_come_first() {
    let model =
        saying("Åke Lind founded it in 1887 [{mill}], see [here](https://evil.test/x). It burned [{mill}, 12].");
    let bench = library(&model).await;
    let (text, events, answer) = streamed(&bench, ask("Who founded Halden Mill?")).await;
    assert_eq!(text, answer.answer);
    assert!(!text.contains("evil.test") && !text.contains("12"), "{text}");
    let place = |wanted: fn(&AskEvent) -> bool| events.iter().position(wanted).unwrap();
    let sources = place(|event| matches!(event, AskEvent::Sources(_)));
    let writing = place(|event| matches!(event, AskEvent::Writing { .. }));
    let first = place(|event| matches!(event, AskEvent::Text(_)));
    assert!(sources < writing && writing < first);
}

#[tokio::test]
async fn both_sides_of_a_conversation_go_along_and_a_follow_up_is_made_whole() {
    let model = Scripted::new(|operation, _| {
        Ok(if operation == "rewrite" { "When was Halden Mill founded?" } else { "In 1887." }.to_owned())
    });
    let bench = library(&model).await;
    let history = vec![Turn::asked("Tell me of the mill in Halden."), Turn::answered("It burned down in 1931.")];
    let request = AskRequest { history, ..ask("And its founding?") };
    bench.engine.ask(&bench.ctx, request.clone()).await.unwrap();
    let asked = model.asked();
    let operations: Vec<&str> = asked.iter().map(|(operation, _)| operation.as_str()).collect();
    assert_eq!(operations, ["rewrite", "answer"]);
    let sent = all_text(&asked[1].1);
    assert!(
        sent.contains("It burned down in 1931.") && sent.ends_with("Question: When was Halden Mill founded?"),
        "{sent}"
    );
    // The rewritten question is kept.
    bench.engine.ask(&bench.ctx, AskRequest { fresh: true, ..request }).await.unwrap();
    assert_eq!(model.count("rewrite"), 1);
    // A question of its own is not rewritten.
    let own = ask("Which yard in Bergen sold cranes to the port of Oslo?");
    bench.engine.ask(&bench.ctx, AskRequest { history: vec![Turn::asked("Hello?")], ..own }).await.unwrap();
    assert_eq!(model.count("rewrite"), 1);
}

#[tokio::test]
async fn older_turns_are_summarised_and_cut_to_their_limit() {
    let long = |n: usize| format!("turn {n} {}", "word ".repeat(30));
    let history: Vec<Turn> = (0..8).map(|n| Turn::asked(long(n))).collect();
    let tokens = TokenBudget { turns: 80, brief: 100, ..TokenBudget::default() };
    let settings = AnswerSettings { tokens, ..AnswerSettings::default() };
    let request = || AskRequest { history: history.clone(), ..ask("Who founded the mill of Halden on the Tista?") };
    let wordy = Scripted::new(|operation, _| {
        Ok(if operation == "summarize" { "chatter ".repeat(500) } else { "Åke Lind.".to_owned() })
    });
    let bench = with(&wordy, settings.clone()).await;
    let answer = bench.engine.ask(&bench.ctx, request()).await.unwrap();
    let (_, sent) = wordy.asked().into_iter().find(|(operation, _)| operation == "answer").unwrap();
    let chatter = all_text(&sent).matches("chatter").count();
    assert!(chatter > 0 && chatter <= 50, "{chatter}");
    assert!(all_text(&sent).contains("turn 7") && !all_text(&sent).contains("turn 1 "));
    assert!(answer.notices.iter().any(|notice| notice == "6 earlier turns were summarised by a model"), "{answer:?}");

    let failing =
        Scripted::new(
            |operation, _| {
                if operation == "summarize" { Err(ModelFault::Server) } else { Ok("Åke Lind.".to_owned()) }
            },
        );
    let bench = with(&failing, settings).await;
    let answer = bench.engine.ask(&bench.ctx, request()).await.unwrap();
    assert!(answer.notices.iter().any(|notice| notice.contains("shortened to their first sentences: ")), "{answer:?}");
    assert_eq!(answer.kind, AnswerKind::Generated);
}

#[tokio::test]
async fn keywords_come_from_a_model_unless_they_are_given() {
    let model = Scripted::new(|operation, _| {
        let keywords = r#"{"high_level_keywords": ["founding"], "low_level_keywords": ["Halden Mill"]}"#;
        Ok(if operation == "keywords" { keywords.to_owned() } else { "Åke Lind.".to_owned() })
    });
    let bench = library(&model).await;
    let search = SearchRequest { mode: Mode::Mix, ..SearchRequest::new("Who founded Halden Mill?") };
    let found = bench.engine.search(&bench.ctx, search.clone()).await.unwrap();
    assert_eq!(found.keywords.high_level, ["founding"]);
    bench.engine.ask(&bench.ctx, AskRequest { search: search.clone(), ..ask("") }).await.unwrap();
    assert_eq!((model.count("keywords"), model.count("answer")), (1, 1));
    let (_, sent) = model.asked().into_iter().find(|(operation, _)| operation == "answer").unwrap();
    assert!(all_text(&sent).contains("Background from the graph"), "{}", all_text(&sent));
    let keywords = Some(Keywords { high_level: Vec::new(), low_level: vec!["Oslo".into()] });
    bench
        .engine
        .ask(&bench.ctx, AskRequest { search: SearchRequest { keywords, ..search.clone() }, ..ask("") })
        .await
        .unwrap();
    bench
        .engine
        .ask(&bench.ctx, AskRequest { search: SearchRequest { mode: Mode::Naive, ..search }, ..ask("") })
        .await
        .unwrap();
    assert_eq!(model.count("keywords"), 1);
    let (_, naive) = model.asked().pop().unwrap();
    assert!(!all_text(&naive).contains("Background from the graph"));
}

#[tokio::test]
async fn question_and_answer_are_translated_where_languages_differ() {
    let question = "Wer hat die Mühle von Halden gegründet und wann war das?";
    let german = "Die Mühle von Halden wurde von Åke Lind gegründet, und das war im Jahre 1887";
    let model = Scripted::new(move |operation, request| {
        Ok(match operation {
            "translate" if all_text(request).contains("into English") => "Who founded Halden Mill and when?".to_owned(),
            "translate" => format!("{german} [1]."),
            _ => {
                "The mill in the town was founded by a man who was called Åke Lind, and that was in the year 1887 [1]."
                    .to_owned()
            }
        })
    });
    let bench = library(&model).await;
    let answer = bench.engine.ask(&bench.ctx, ask(question)).await.unwrap();
    assert_eq!(answer.answer, format!("{german} [1]."));
    let (_, sent) = model.asked().into_iter().find(|(operation, _)| operation == "answer").unwrap();
    assert!(all_text(&sent).contains("Answer in German"));
    assert!(answer.notices.iter().any(|notice| notice.contains("translated from German to English")), "{answer:?}");

    let failing = Scripted::new(|operation, _| {
        if operation == "translate" { Err(ModelFault::Server) } else { Ok("Das war Åke Lind [1].".to_owned()) }
    });
    let bench = library(&failing).await;
    let answer = bench.engine.ask(&bench.ctx, ask(question)).await.unwrap();
    assert!(answer.notices.iter().any(|notice| notice.contains("untranslated")), "{answer:?}");
}

#[tokio::test]
async fn a_failure_is_an_error_or_quotes_with_a_notice() {
    let model = Scripted::new(|_, _| Err(ModelFault::Server));
    let bench = library(&model).await;
    let question = || ask("Who founded Halden Mill?");
    let error = bench.engine.ask(&bench.ctx, question()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Upstream);
    let quoting = AskRequest { on_failure: Some(OnFailure::Quote), ..question() };
    let answer = bench.engine.ask(&bench.ctx, quoting.clone()).await.unwrap();
    assert_eq!(answer.kind, AnswerKind::Quoted);
    assert!(answer.notices.iter().any(|notice| notice.contains("the answer is quoted instead")), "{answer:?}");
    let (_, _, answer) = streamed(&bench, quoting).await;
    assert_eq!(answer.kind, AnswerKind::Quoted);
    let events: Vec<_> = bench.engine.ask_streamed(&bench.ctx, question()).collect().await;
    assert_eq!(events.last().unwrap().as_ref().unwrap_err().code(), ErrorCode::Upstream);
}

#[tokio::test]
async fn without_any_evidence_no_model_is_asked() {
    let model = saying("Something.");
    let bench = Bench::with_model(&model, AnswerSettings::default()).await;
    let answer = bench.engine.ask(&bench.ctx, ask("Who founded Halden Mill?")).await.unwrap();
    assert_eq!((answer.kind, model.asked().len()), (AnswerKind::Abstained, 0));
}

#[tokio::test]
async fn instructions_form_and_limits_reach_the_prompt() {
    let model =
        Scripted::without(&[Role::Keywords, Role::Summarize, Role::Translate], |_, _| Ok("Åke Lind.".to_owned()));
    let bench = library(&model).await;
    let request = AskRequest {
        instructions: Some("Mention the river.".into()),
        form: Some("Bullet Points".into()),
        language: Some("sv".into()),
        max_output_tokens: Some(5_000),
        ..ask("Who founded Halden Mill?")
    };
    let answer = bench.engine.ask(&bench.ctx, request).await.unwrap();
    let (_, sent) = model.asked().pop().unwrap();
    for part in ["Mention the river.", "Form of the answer: Bullet Points.", "Answer in Swedish."] {
        assert!(all_text(&sent).contains(part), "{part}");
    }
    assert_eq!(sent.max_tokens, Some(1_000));
    assert!(answer.notices.iter().any(|notice| notice.contains("may take 1000 tokens, not the 5000 asked for")));
    let search = SearchRequest { max_total_tokens: 20, ..SearchRequest::new("Who founded Halden Mill?") };
    let error = bench.engine.ask(&bench.ctx, AskRequest { search, ..ask("") }).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
}

/// Passages of a prompt, by the documents' names, in their order.
fn order(model: &Scripted) -> Vec<String> {
    let (_, sent) = model.asked().into_iter().rfind(|(operation, _)| operation == "answer").unwrap();
    let titles = all_text(&sent);
    let names = titles.lines().filter(|line| line.starts_with("=== ") && line.contains(".txt"));
    names.filter_map(|line| line.rsplit(' ').find(|word| word.contains(".txt"))).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_model_orders_the_passages_before_the_budget_cuts_them() {
    let last_first = |texts: &[&str]| Ok((0..texts.len()).rev().collect());
    let model = Scripted::new(|_, _| Ok("Åke Lind [1].".to_owned()));
    let bench = library(&model).await;
    bench.engine.ask(&bench.ctx, ask("Who founded Halden Mill?")).await.unwrap();
    assert_eq!(order(&model), ["mill.txt", "port.txt"]);

    let model = Scripted::new(|_, _| Ok("Åke Lind [1].".to_owned())).ranking(last_first);
    let tokens = TokenBudget { retrieved: 40, ..TokenBudget::default() };
    let bench = with(&model, AnswerSettings { tokens, ..AnswerSettings::default() }).await;
    let answer = bench.engine.ask(&bench.ctx, ask("Who founded Halden Mill?")).await.unwrap();
    assert_eq!((order(&model), answer.sources[0].name.as_str()), (vec!["port.txt".to_owned()], "port.txt"));
    let unranked = SearchRequest { rerank: false, ..SearchRequest::new("Who founded Halden Mill?") };
    bench.engine.ask(&bench.ctx, AskRequest { search: unranked, ..ask("") }).await.unwrap();
    assert_eq!(order(&model), ["mill.txt"]);
}

#[tokio::test]
async fn a_ranker_that_fails_leaves_the_order_and_is_told() {
    let model = Scripted::new(|_, _| Ok("Åke Lind [1].".to_owned())).ranking(|_| Err(ModelFault::Server));
    let bench = library(&model).await;
    let (_, _, answer) = streamed(&bench, ask("Who founded Halden Mill?")).await;
    assert_eq!((order(&model), answer.kind), (vec!["mill.txt".into(), "port.txt".into()], AnswerKind::Generated));
    assert!(answer.notices.iter().any(|notice| notice.contains("built-in order")), "{answer:?}");
}

#[tokio::test]
async fn a_conversation_without_documents_is_answered_in_the_language_that_the_model_chooses() {
    let french = "Le moulin se trouve au bord de la rivière depuis bien des années.";
    let model = Scripted::new(move |operation, _| {
        assert_eq!(operation, "chat", "nothing is translated");
        Ok(french.to_owned())
    });
    let bench = Bench::with_model(&model, AnswerSettings::default()).await;
    let mut request = AskRequest::new("Please translate into French: the mill has stood by the river for many years.");
    request.search.mode = Mode::Bypass;
    let answer = bench.engine.ask(&bench.ctx, request).await.unwrap();
    assert_eq!((answer.answer.as_str(), answer.notices.len()), (french, 0));
}
