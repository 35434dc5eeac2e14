//! `lorekeep model serve`: with the feature `local-models` a model of a folder on a socket, without it how to get one.

#[cfg(not(feature = "local-models"))]
#[test]
fn a_build_without_local_models_says_how_to_get_one() {
    let output = crate::harness::Place::new().run(&["model", "serve", "--model", "tiny"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("it lacks the feature `local-models`"), "{said}");
    assert!(said.contains("cargo build --release --features local-models"), "{said}");
}

#[cfg(feature = "local-models")]
mod built {
    use std::io::{BufRead as _, BufReader};
    use std::path::{Path, PathBuf};
    use std::process::Stdio;

    use serde_json::{Value, json};

    use crate::harness::{Place, Server};

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/fixtures/local").join(name)
    }

    fn reference(name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(fixture(name).join("reference.json")).unwrap()).unwrap()
    }

    /// A service of both tiny models, once they are loaded.
    fn serve(place: &Place, more: &[&str]) -> Server {
        let mut command = place.command();
        command.args(["model", "serve", "--port", "0", "--model"]).arg(fixture("llama"));
        command.arg("--embedding").arg(fixture("bert")).args(more);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("Ready")).unwrap();
        let url = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Server::new(child, url)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_writes_and_embeds_over_http() {
        let place = Place::new();
        let server = serve(&place, &[]);
        let api = server.api();
        let health = api.get("/health").await.unwrap();
        assert_eq!(
            (&health["status"], &health["chat"]["context"], &health["chat"]["device"]),
            (&json!("ok"), &json!(512), &json!("cpu"))
        );
        assert!(health["chat"]["memory"]["weight_bytes"].as_u64().unwrap() > 50_000);
        assert!(health["memory"]["resident_bytes"].as_u64().unwrap() > 1 << 20);

        let prompt = "The observatory was founded in 1921 by Ada Moreau";
        let body = json!({ "prompt": prompt, "max_tokens": 12, "do_sample": false });
        let text = api.post("/v1/generate", &body).await.unwrap()["text"].as_str().unwrap().to_owned();
        assert!(!text.is_empty() && !text.contains(prompt), "{text}");
        assert_eq!(api.post("/v1/generate", &body).await.unwrap()["text"], text.as_str());

        let asked = json!({ "messages": [{ "role": "user", "content": "Who measured the tides?" }], "max_tokens": 8, "temperature": 0 });
        let answer = api.post("/v1/chat/completions", &asked).await.unwrap();
        let ids = reference("llama")["chats"][0]["ids"].as_array().unwrap().len();
        assert_eq!((&answer["model"], &answer["usage"]["prompt_tokens"]), (&json!("llama"), &json!(ids)));

        let reference = reference("bert");
        let made = api.post("/v1/embeddings", &json!({ "input": reference["texts"] })).await.unwrap();
        for (row, expected) in made["data"].as_array().unwrap().iter().zip(reference["vectors"].as_array().unwrap()) {
            for (one, other) in row["embedding"].as_array().unwrap().iter().zip(expected.as_array().unwrap()) {
                assert!((one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-4);
            }
        }
        assert!(server.stop(), "SIGTERM ends it well");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_queue_refuses_and_says_when_to_come_again() {
        let place = Place::new();
        let server = serve(&place, &["--queue", "1"]);
        let (client, url) = (server.client(), format!("{}/v1/generate", server.url));
        let body = json!({ "prompt": "The observatory", "max_tokens": 400, "temperature": 1.0 });
        let calls = (0..12).map(|_| client.post(&url).json(&body).send());
        let answers: Vec<_> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
        let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status() == 200);
        assert!(!done.is_empty() && !refused.is_empty(), "{} done, {} refused", done.len(), refused.len());
        for answer in refused {
            assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "1"));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_provider_of_this_process_answers_questions() {
        let place = Place::new();
        let path = fixture("llama").canonicalize().unwrap();
        let config = format!(
            "[providers.here]\nkind = \"local\"\npath = \"{}\"\n[roles]\nanswer = \"here/tiny\"\n",
            path.display()
        );
        place.write("lorekeep.toml", config);
        let trial = place.json(&["model", "test", "here/tiny"]);
        assert_eq!((&trial["ok"], &trial["reports_usage"]), (&json!(true), &json!(true)), "{trial}");
    }

    #[test]
    fn a_folder_without_a_model_is_named() {
        let output = Place::new().run(&["model", "serve", "--port", "0", "--model", "nowhere"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("nowhere is missing"), "{said}");
    }
}
