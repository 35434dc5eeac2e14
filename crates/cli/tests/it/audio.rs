//! Models that hear and speak, behind the binary, as a client of OpenAI meets them.

use lorekeep_testkit::upstream::{Asked, Reply, Upstream};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::{Place, Server};

const SOUND: &[u8] = b"ID3 what is spoken";

fn answer(asked: &Asked) -> Option<Reply> {
    Some(match asked.path.as_str() {
        "/v1/audio/transcriptions" => Reply::json(
            200,
            &json!({ "text": "The harbour freezes.", "usage": { "input_tokens": 30, "output_tokens": 5 } }),
        ),
        "/v1/audio/speech" => Reply::with_headers(200, &[("content-type", "audio/mpeg")], SOUND),
        _ => Reply::json(404, &json!({ "error": { "message": "unknown" } })),
    })
}

async fn service() -> Upstream {
    Upstream::start_with([], answer).await.unwrap()
}

fn configure(place: &Place, service: &Upstream) {
    let file = format!(
        "[providers.lab]\nbase_url = \"{}/v1\"\n[roles]\ntranscribe = \"lab/ears\"\nspeak = \"lab/mouth\"\n",
        service.url()
    );
    place.write("lorekeep.toml", file);
}

async fn transcribe(server: &Server, form: Form) -> reqwest::Response {
    let url = format!("{}/v1/audio/transcriptions", server.url);
    server.client().post(url).multipart(form).send().await.unwrap()
}

fn recording() -> Form {
    Form::new().part("file", Part::bytes(vec![7; 3_000_000]).file_name("meeting.webm")).text("model", "whisper-1")
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_written_down_and_texts_spoken() {
    let (service, place) = (service().await, Place::new());
    configure(&place, &service);
    let server = place.serve();
    let heard = transcribe(&server, recording().text("language", "en").text("temperature", "0")).await;
    assert_eq!(heard.status(), 200);
    assert_eq!(heard.json::<Value>().await.unwrap(), json!({ "text": "The harbour freezes." }));
    let asked = service.asked();
    let body = String::from_utf8_lossy(&asked[0].body).into_owned();
    for part in ["name=\"model\"\r\n\r\nears", "name=\"language\"\r\n\r\nen", "filename=\"audio.webm\""] {
        assert!(body.contains(part), "{part}");
    }
    let plain = transcribe(&server, recording().text("response_format", "text")).await;
    assert_eq!(plain.text().await.unwrap(), "The harbour freezes.");

    let url = format!("{}/v1/audio/speech", server.url);
    let body = json!({ "model": "tts-1", "input": "It freezes.", "voice": "nova", "response_format": "mp3" });
    let spoken = server.client().post(&url).json(&body).send().await.unwrap();
    assert_eq!(spoken.headers()["content-type"], "audio/mpeg");
    assert_eq!(spoken.bytes().await.unwrap(), SOUND);
    let sent = service.asked().last().unwrap().json();
    assert_eq!(sent, json!({ "model": "mouth", "input": "It freezes.", "voice": "nova", "response_format": "mp3" }));

    let usage = server.api().get("/v1/usage?by=operation").await.unwrap();
    let of = |name: &str| usage["rows"].as_array().unwrap().iter().find(|row| row["key"] == name).cloned().unwrap();
    assert_eq!((&of("transcribe")["calls"], &of("transcribe")["prompt_tokens"]), (&json!(2), &json!(60)));
    assert_eq!(of("speak")["calls"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_is_refused_in_openais_shape() {
    let (service, place) = (service().await, Place::new());
    configure(&place, &service);
    let server = place.serve();
    let refused = async |response: reqwest::Response, status: u16, part: &str| {
        assert_eq!(response.status().as_u16(), status, "{part}");
        let body: Value = response.json().await.unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains(part), "{body}");
        assert!(body["error"]["type"].is_string() && body["error"]["code"].is_string(), "{body}");
    };
    refused(transcribe(&server, Form::new().text("model", "x")).await, 400, "no recording").await;
    refused(transcribe(&server, recording().text("response_format", "srt")).await, 400, "`srt`").await;
    let large = Form::new().part("file", Part::bytes(vec![7; 27 << 20]).file_name("long.wav"));
    let too_large = transcribe(&server, large).await;
    assert_eq!(too_large.status(), 413);
    let url = format!("{}/v1/audio/speech", server.url);
    for (body, part) in [
        (json!({ "input": "", "voice": "nova" }), "0 characters"),
        (json!({ "input": "a".repeat(5_000) }), "5000 characters"),
        (json!({ "input": "Hello.", "speed": 2 }), "`speed`"),
        (json!({ "voice": "nova" }), "input"),
    ] {
        let response = server.client().post(&url).json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        assert!((400..=502).contains(&status), "{part}: {status}");
        let told: Value = response.json().await.unwrap();
        assert!(told["error"]["message"].as_str().unwrap().contains(part), "{told}");
    }
    assert!(service.asked().is_empty(), "nothing of it was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_remedy_is_named() {
    let place = Place::new();
    let server = place.serve();
    let response = transcribe(&server, recording()).await;
    assert_eq!(response.status(), 501);
    let body: Value = response.json().await.unwrap();
    assert!(body["error"]["message"].as_str().unwrap().contains("roles.transcribe"), "{body}");
}

#[test]
fn every_role_is_tried_for_what_it_is_there_for() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(Upstream::start_with([], |asked| {
        Some(match asked.path.as_str() {
            "/v1/embeddings" => Reply::json(
                200,
                &json!({ "data": [{ "index": 0, "embedding": [1.0, 2.0, 3.0] }], "usage": { "prompt_tokens": 4 } }),
            ),
            "/v1/rerank" => {
                let results = json!([{ "index": 1, "relevance_score": 0.9 }, { "index": 0, "relevance_score": 0.1 }]);
                Reply::json(200, &json!({ "results": results }))
            }
            _ => return answer(asked),
        })
    }));
    let (service, place) = (service.unwrap(), Place::new());
    let file = format!(
        "[providers.lab]\nbase_url = \"{}/v1\"\n[roles]\nembed = \"lab/e\"\nrerank = \"lab/r\"\ntranscribe = \"lab/ears\"\nspeak = \"lab/mouth\"\n",
        service.url()
    );
    place.write("lorekeep.toml", file);
    let trial = place.json(&["model", "test", "lab/e"]);
    assert_eq!(
        (&trial["ok"], &trial["role"], &trial["dimensions"]),
        (&json!(true), &json!("embed"), &json!(3)),
        "{trial}"
    );
    assert_eq!((&trial["reports_usage"], &trial["usage"]["prompt_tokens"]), (&json!(true), &json!(4)));
    let all = place.run(&["model", "test", "--all"]);
    let told = String::from_utf8_lossy(&all.stdout).into_owned();
    assert!(all.status.success(), "{told}");
    for part in [
        "lab/e   vectors of 3 dimensions",
        "lab/r   orders texts   the text that answers the question is the first",
        "lab/ears",
        "lab/mouth",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let wrong = place.run(&["model", "test", "lab/e", "--role", "answer"]);
    assert_eq!(wrong.status.code(), Some(6), "it answers nothing");
}
