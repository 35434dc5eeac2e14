//! What every chat provider must do, whatever its wire: one suite, run for each by [`chat_suite`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::Authorize;
use lorekeep_models::provider::chat::HttpChat;
use lorekeep_models::provider::http::{Http, Pool, Timeouts};
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use lorekeep_types::{
    Call, ChatEvent, ChatMessage, ChatModel, ChatRequest, ChatRole, Completion, FinishReason, ModelError, ModelFault,
    ModelId, Phase, WorkspaceName,
};

use crate::transport::closes_in_time;

/// What a provider's scripted server says, and what it expects to be asked.
pub trait Dialect: 'static {
    /// The provider's kind, which tells what it offers.
    const KIND: ProviderKind;
    fn wire() -> Arc<dyn ChatWire>;
    fn auth() -> Arc<dyn Authorize>;
    /// The credentials of a model whose provider is at `url`.
    fn auth_at(_url: &str) -> Arc<dyn Authorize> {
        Self::auth()
    }
    /// Headers that the provider's settings add to every request.
    fn headers() -> Vec<(String, String)> {
        Vec::new()
    }
    /// The reply to a request beside the call itself, such as for a token.
    fn beside(_asked: &Asked) -> Option<Reply> {
        None
    }
    /// A whole answer.
    fn whole(text: &str, finish: FinishReason, usage: Option<(u64, u64)>) -> String;
    /// The content type of a streamed answer.
    fn stream_type() -> &'static str {
        "text/event-stream"
    }
    /// The frames of a streamed answer, each complete with its line breaks; the last ends the answer.
    fn frames(pieces: &[&str], usage: Option<(u64, u64)>) -> Vec<String>;
    /// The body of an error.
    fn error(message: &str) -> String;
    /// Checks a request for [`question`] field by field.
    fn check(asked: &Asked, streamed: bool);
    /// Usage that makes no sense, in a whole answer: negative and enormous numbers.
    fn absurd(text: &str) -> String;
}

pub const MODEL: &str = "test-model-1";

/// Every field that a request may have and every wire can say.
pub fn question() -> ChatRequest {
    ChatRequest {
        messages: vec![
            ChatMessage::text(ChatRole::System, "Answer briefly."),
            ChatMessage::text(ChatRole::User, "Who?"),
            ChatMessage::text(ChatRole::Assistant, "Ada."),
            ChatMessage::text(ChatRole::User, "Was it \"Ada\" — 你好?"),
        ],
        max_tokens: Some(77),
        temperature: Some(0.7),
        top_p: Some(0.9),
        ..ChatRequest::default()
    }
}

pub fn call() -> Call {
    Call::new("answer", WorkspaceName::parse("default").unwrap(), "request-1")
}

pub fn quick() -> Timeouts {
    Timeouts {
        connect: Duration::from_millis(500),
        first_byte: Duration::from_millis(400),
        idle: Duration::from_millis(300),
        total: Duration::from_secs(3),
    }
}

pub fn model_at<D: Dialect>(url: &str) -> HttpChat {
    let http = Http::new(url, &D::headers(), quick(), Pool::default()).unwrap();
    HttpChat::new(ModelId::new("test", MODEL), D::wire(), D::KIND.capabilities(), http, D::auth_at(url))
}

pub async fn start<D: Dialect>(replies: impl IntoIterator<Item = Reply>) -> Upstream {
    Upstream::start_with(replies, D::beside).await.unwrap()
}

/// What the model itself was asked.
pub fn asked<D: Dialect>(upstream: &Upstream) -> Vec<Asked> {
    upstream.asked().into_iter().filter(|asked| D::beside(asked).is_none()).collect()
}

pub async fn ask<D: Dialect>(replies: Vec<Reply>) -> (Result<Completion, ModelError>, Vec<Asked>) {
    let upstream = start::<D>(replies).await;
    let outcome = model_at::<D>(&upstream.url()).chat(&call(), &question()).await;
    (outcome, asked::<D>(&upstream))
}

/// Text pieces and the end of a streamed answer.
pub async fn listen<D: Dialect>(reply: Reply) -> (Vec<String>, Result<Completion, ModelError>, Vec<Asked>) {
    let upstream = start::<D>([reply]).await;
    let model = model_at::<D>(&upstream.url());
    let (pieces, outcome) = drain(&model).await;
    (pieces, outcome, asked::<D>(&upstream))
}

pub async fn drain(model: &dyn ChatModel) -> (Vec<String>, Result<Completion, ModelError>) {
    let mut stream = match model.stream(&call(), &question()).await {
        Ok(stream) => stream,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut pieces = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(ChatEvent::Text(text)) => pieces.push(text),
            Ok(ChatEvent::Done(completion)) => {
                assert!(stream.next().await.is_none(), "something follows the end");
                return (pieces, Ok(*completion));
            }
            Err(error) => {
                assert!(stream.next().await.is_none(), "something follows a failure");
                return (pieces, Err(error));
            }
        }
    }
    panic!("the stream ended without an end");
}

fn streaming<D: Dialect>(frames: &[String]) -> Reply {
    frames.iter().fold(Reply::open(200, D::stream_type()), |reply, frame| reply.send(frame.as_bytes()))
}

pub async fn plain<D: Dialect>() {
    let body = D::whole("It was Ada — 你好.", FinishReason::Stop, Some((21, 5)));
    let (outcome, asked) = ask::<D>(vec![Reply::body(200, "application/json", body)]).await;
    let completion = outcome.unwrap();
    assert_eq!(completion.text, "It was Ada — 你好.");
    assert_eq!(completion.finish, FinishReason::Stop);
    assert_eq!((completion.usage.prompt, completion.usage.completion, completion.usage.estimated), (21, 5, false));
    D::check(&asked[0], false);
}

pub async fn cut_by_length_is_told<D: Dialect>() {
    let body = D::whole("It was", FinishReason::Length, Some((21, 77)));
    let (outcome, _) = ask::<D>(vec![Reply::body(200, "application/json", body)]).await;
    assert_eq!(outcome.unwrap().finish, FinishReason::Length);
}

pub async fn empty_is_an_error<D: Dialect>() {
    let body = D::whole("", FinishReason::Length, Some((21, 77)));
    let (outcome, _) = ask::<D>(vec![Reply::body(200, "application/json", body)]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault, ModelFault::Empty { finish: "length".to_owned() }, "{error}");
    assert_eq!(error.usage.map(|usage| usage.completion), Some(77));
}

pub async fn missing_usage_is_estimated<D: Dialect>() {
    let body = D::whole("It was Ada.", FinishReason::Stop, None);
    let (outcome, _) = ask::<D>(vec![Reply::body(200, "application/json", body)]).await;
    let usage = outcome.unwrap().usage;
    assert!(usage.estimated && usage.prompt > 10 && usage.completion == 4, "{usage:?}");
}

pub async fn absurd_usage_is_estimated<D: Dialect>() {
    let (outcome, _) = ask::<D>(vec![Reply::body(200, "application/json", D::absurd("It was Ada."))]).await;
    let usage = outcome.unwrap().usage;
    assert!(usage.estimated && usage.total() < 1_000, "{usage:?}");
}

pub async fn streamed<D: Dialect>() {
    let texts = ["It ", "was ", "Ada — 你", "好."];
    let (pieces, outcome, asked) = listen::<D>(streaming::<D>(&D::frames(&texts, Some((21, 5))))).await;
    let completion = outcome.unwrap();
    assert_eq!(pieces.concat(), texts.concat());
    assert_eq!(completion.text, texts.concat());
    assert_eq!(completion.finish, FinishReason::Stop);
    assert_eq!((completion.usage.prompt, completion.usage.completion, completion.usage.estimated), (21, 5, false));
    D::check(&asked[0], true);
}

/// Whatever the network does to the boundaries of packets, the text is the same.
pub async fn streamed_byte_by_byte<D: Dialect>() {
    let body = D::frames(&["Ada — 你好", " again."], Some((21, 5))).concat();
    let reply = body.as_bytes().iter().fold(Reply::open(200, D::stream_type()), |reply, byte| reply.send([*byte]));
    let (pieces, outcome, _) = listen::<D>(reply).await;
    assert_eq!(pieces.concat(), "Ada — 你好 again.");
    assert_eq!(outcome.unwrap().usage.completion, 5);
}

pub async fn streamed_without_usage_is_estimated<D: Dialect>() {
    let (_, outcome, _) = listen::<D>(streaming::<D>(&D::frames(&["It was Ada."], None))).await;
    let usage = outcome.unwrap().usage;
    assert!(usage.estimated && usage.prompt > 10 && usage.completion == 4, "{usage:?}");
}

pub async fn statuses<D: Dialect>() {
    let expected: [(u16, ModelFault); 8] = [
        (400, ModelFault::Request),
        (401, ModelFault::Credential),
        (403, ModelFault::Credential),
        (404, ModelFault::Request),
        (408, ModelFault::Server),
        (429, ModelFault::RateLimited { after: None }),
        (500, ModelFault::Server),
        (503, ModelFault::Overloaded { after: None }),
    ];
    for (status, fault) in expected {
        // A credential that can be renewed is, once; a second refusal is final.
        let refusal = || Reply::body(status, "application/json", D::error("the provider's own words"));
        let (outcome, _) = ask::<D>(vec![refusal(), refusal()]).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.fault.clone(), error.status), (fault, Some(status)), "{error}");
        assert!(error.message.contains("the provider's own words"), "{error}");
        assert_eq!(error.fault.is_retryable(), matches!(status, 408 | 429 | 500 | 503), "{status}");
    }
}

pub async fn retry_after<D: Dialect>() {
    let date = [("date", "Fri, 20 Nov 2026 10:00:00 GMT"), ("retry-after", "Fri, 20 Nov 2026 10:00:47 GMT")];
    for (headers, seconds) in [(&[("retry-after", "2")][..], 2), (&date[..], 47)] {
        for status in [429, 503] {
            let (outcome, _) = ask::<D>(vec![Reply::with_headers(status, headers, D::error("slow down"))]).await;
            let error = outcome.unwrap_err();
            assert_eq!(error.fault.retry_after(), Some(Duration::from_secs(seconds)), "{error}");
        }
    }
}

pub async fn an_error_page_is_not_quoted<D: Dialect>() {
    let (outcome, _) = ask::<D>(vec![Reply::body(502, "text/html", "<html>Bad Gateway</html>")]).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.fault.clone(), error.message.as_str()), (ModelFault::Server, "HTTP 502"));
}

pub async fn reset_before_the_first_byte<D: Dialect>() {
    let (outcome, _) = ask::<D>(vec![Reply::raw(vec![Step::Reset])]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault, ModelFault::Cut { began: false }, "{error}");
    assert!(error.fault.is_retryable());
}

pub async fn reset_after_text<D: Dialect>() {
    let frames = D::frames(&["It was ", "Ada."], Some((21, 5)));
    let cut =
        streaming::<D>(&frames[..text_frames::<D>()]).then(Step::Wait(Duration::from_millis(50))).then(Step::Reset);
    let (pieces, outcome, _) = listen::<D>(cut).await;
    let error = outcome.unwrap_err();
    assert_eq!(pieces.concat(), "It was ");
    assert_eq!(error.fault, ModelFault::Cut { began: true }, "{error}");
    assert!(!error.fault.is_retryable() && !error.fault.may_fall_back());
    assert!(error.usage.is_some_and(|usage| usage.estimated && usage.completion > 0), "{error:?}");
}

/// The number of frames up to and including the first piece of text.
fn text_frames<D: Dialect>() -> usize {
    D::frames(&["It was ", "Ada."], None).iter().position(|frame| frame.contains("It was ")).unwrap() + 1
}

/// A body that ends early without a reset is a cut answer too, not a whole one.
pub async fn ended_without_the_mark<D: Dialect>() {
    let frames = D::frames(&["It was ", "Ada."], Some((21, 5)));
    let (pieces, outcome, _) = listen::<D>(streaming::<D>(&frames[..text_frames::<D>()])).await;
    assert_eq!(pieces.concat(), "It was ");
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Cut { began: true });
}

pub async fn stall_before_the_head<D: Dialect>() {
    let started = Instant::now();
    let (outcome, _) = ask::<D>(vec![Reply::raw(vec![Step::Hang])]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Timeout(Phase::FirstByte));
    assert!(started.elapsed() < Duration::from_secs(3));
}

pub async fn stall_in_the_middle<D: Dialect>() {
    let frames = D::frames(&["It was ", "Ada."], None);
    let reply = streaming::<D>(&frames[..text_frames::<D>()]).then(Step::Hang);
    let upstream = start::<D>([reply]).await;
    let (pieces, outcome) = drain(&model_at::<D>(&upstream.url())).await;
    let error = outcome.unwrap_err();
    assert_eq!(pieces.concat(), "It was ");
    assert_eq!(error.fault, ModelFault::Timeout(Phase::Idle));
    assert!(error.usage.is_some());
}

pub async fn truncated_json<D: Dialect>() {
    let body = D::whole("It was Ada.", FinishReason::Stop, Some((21, 5)));
    let half = &body.as_bytes()[..body.len() / 2];
    let (outcome, _) = ask::<D>(vec![Reply::body(200, "application/json", half)]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed);
    // The same, told by the length: the connection ends before the body does.
    let short = Reply::promising(200, "application/json", body.len()).send(half);
    let (outcome, _) = ask::<D>(vec![short]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Cut { began: false });
}

pub async fn invalid_utf8<D: Dialect>() {
    let replace = |text: String| -> Vec<u8> {
        let bytes = text.into_bytes();
        let at = bytes.windows(3).position(|window| window == b"Ada").unwrap();
        [&bytes[..at], &[0xff, 0xfe, 0x80], &bytes[at + 3..]].concat()
    };
    let body = replace(D::whole("It was Ada.", FinishReason::Stop, Some((21, 5))));
    let (outcome, _) = ask::<D>(vec![Reply::body(200, "application/json", body)]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed);
    let body = replace(D::frames(&["It was Ada."], Some((21, 5))).concat());
    let (_, outcome, _) = listen::<D>(Reply::open(200, D::stream_type()).send(body)).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed);
}

pub async fn endless_stream<D: Dialect>() {
    let frame = D::frames(&[&"x".repeat(60_000)], None).into_iter().find(|frame| frame.contains("xxx")).unwrap();
    let reply = Reply::open(200, D::stream_type()).then(Step::Forever(frame.into_bytes()));
    let (_, outcome, _) = listen::<D>(reply).await;
    let fault = outcome.unwrap_err().fault;
    assert!(matches!(fault, ModelFault::Malformed | ModelFault::Timeout(Phase::Total)), "{fault:?}");
}

pub async fn an_endless_line<D: Dialect>() {
    let reply = Reply::open(200, D::stream_type()).then(Step::Forever(vec![b'x'; 65_536]));
    let (_, outcome, _) = listen::<D>(reply).await;
    let fault = outcome.unwrap_err().fault;
    assert!(matches!(fault, ModelFault::Malformed | ModelFault::Timeout(Phase::Total)), "{fault:?}");
}

pub async fn nobody_listens<D: Dialect>() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = model_at::<D>(&format!("http://{address}")).chat(&call(), &question()).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault, ModelFault::Connect, "{error}");
}

/// Dropping the stream closes the connection within 100 ms.
pub async fn dropping_closes_upstream<D: Dialect>() {
    let frames = D::frames(&["It was ", "Ada."], None);
    let reply = streaming::<D>(&frames[..text_frames::<D>()]).then(Step::Hang);
    let upstream = start::<D>([reply]).await;
    let model = model_at::<D>(&upstream.url());
    let mut stream = model.stream(&call(), &question()).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(ChatEvent::Text(_)))));
    drop(stream);
    closes_in_time(&upstream).await;
}

/// Without usage and a reason for stopping, an answer is whole all the same.
pub async fn plain_without_particulars<D: Dialect>() {
    let body = D::whole("It was Ada — 你好.", FinishReason::Stop, None);
    let (outcome, asked) = ask::<D>(vec![Reply::body(200, "application/json", body)]).await;
    let completion = outcome.unwrap();
    assert_eq!(completion.text, "It was Ada — 你好.");
    assert!(completion.usage.estimated && completion.usage.completion > 3, "{:?}", completion.usage);
    D::check(&asked[0], false);
}

pub async fn empty_without_particulars_is_an_error<D: Dialect>() {
    let body = D::whole("", FinishReason::Stop, None);
    let (outcome, _) = ask::<D>(vec![Reply::body(200, "application/json", body)]).await;
    let fault = outcome.unwrap_err().fault;
    assert!(matches!(fault, ModelFault::Empty { .. }), "{fault:?}");
}

/// A wire that cannot stream gives the whole answer as one piece.
pub async fn streamed_in_one_piece<D: Dialect>() {
    assert!(!D::KIND.capabilities().stream);
    let body = D::whole("It was Ada — 你好.", FinishReason::Stop, None);
    let (pieces, outcome, asked) = listen::<D>(Reply::body(200, "application/json", body)).await;
    assert_eq!((pieces, outcome.unwrap().text.as_str()), (vec!["It was Ada — 你好.".to_owned()], "It was Ada — 你好."));
    D::check(&asked[0], true);
}

pub async fn stall_in_the_body<D: Dialect>() {
    let reply = Reply::promising(200, "application/json", 100).send("{").then(Step::Hang);
    let (outcome, _) = ask::<D>(vec![reply]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Timeout(Phase::Idle));
}

/// Dropping the call closes the connection within 100 ms, though no piece has come.
pub async fn dropping_the_call_closes_upstream<D: Dialect>() {
    let upstream = start::<D>([Reply::raw(vec![Step::Hang])]).await;
    let model = model_at::<D>(&upstream.url());
    let until_asked = async {
        while asked::<D>(&upstream).is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = drain(&model) => panic!("the call ended"),
        () = until_asked => {}
    }
    closes_in_time(&upstream).await;
}

/// The suite for one dialect, as tests of the module it is used in.
macro_rules! chat_suite {
    ($dialect:ty) => {
        $crate::conformance::chat_suite!($dialect:
            plain, cut_by_length_is_told, empty_is_an_error, missing_usage_is_estimated, absurd_usage_is_estimated,
            streamed, streamed_byte_by_byte, streamed_without_usage_is_estimated, statuses, retry_after,
            an_error_page_is_not_quoted, reset_before_the_first_byte, reset_after_text, ended_without_the_mark,
            stall_before_the_head, stall_in_the_middle, truncated_json, invalid_utf8, endless_stream, an_endless_line,
            nobody_listens, dropping_closes_upstream);
    };
    ($dialect:ty: $($name:ident),+) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::conformance::$name::<$dialect>().await;
        })+
    };
}
pub(crate) use chat_suite;

/// The suite for a dialect that neither streams nor reports usage.
macro_rules! whole_suite {
    ($dialect:ty) => {
        $crate::conformance::chat_suite!($dialect:
            plain_without_particulars, empty_without_particulars_is_an_error, missing_usage_is_estimated,
            streamed_in_one_piece, statuses, retry_after, an_error_page_is_not_quoted, reset_before_the_first_byte,
            stall_before_the_head, stall_in_the_body, truncated_json, invalid_utf8, endless_stream, an_endless_line,
            nobody_listens, dropping_the_call_closes_upstream);
    };
}
pub(crate) use whole_suite;
