//! Commands on a folder: exit codes, JSON, errors that name the thing and the remedy.

use std::io::Write;
use std::process::Stdio;

use crate::harness::Place;

const RETROFIT: &str = "# Retrofit report\n\nThe roof of the library was insulated in 2023. \
    Heat loss fell by 31 percent after the retrofit. The work was led by Maria Stenberg.\n";

fn indexed() -> Place {
    let place = Place::new();
    place.write("papers/retrofit.md", RETROFIT);
    let added = place.run(&["add", "papers"]);
    assert_eq!(added.status.code(), Some(0), "{}", String::from_utf8_lossy(&added.stderr));
    place
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_question_is_answered_with_an_exact_citation() {
    let place = indexed();
    let answer = place.json(&["ask", "How much did heat loss fall?"]);
    assert_eq!(answer["kind"], "quoted");
    let citation = &answer["citations"][0];
    assert_eq!(citation["quote"], "Heat loss fell by 31 percent after the retrofit.");
    assert_eq!(citation["name"], "retrofit.md");
    let text = place.run(&["docs", "text", "retrofit.md"]);
    let characters: Vec<char> = String::from_utf8(text.stdout).unwrap().chars().collect();
    let at = |index: usize| citation["span"][index].as_u64().unwrap() as usize;
    assert_eq!(characters[at(0)..at(1)].iter().collect::<String>(), citation["quote"].as_str().unwrap());
    for key in ["answer", "entities", "mode", "took_ms", "usage"] {
        assert!(!answer[key].is_null(), "{key} is missing");
    }
}

#[test]
fn what_the_documents_do_not_say_is_withheld_with_exit_code_3() {
    let place = indexed();
    let output = place.run(&["ask", "Which submarine volcano erupted near Kamchatka in 1854?"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
    let nothing_indexed = Place::new().run(&["search", "anything"]);
    assert_eq!(nothing_indexed.status.code(), Some(3));
}

#[test]
fn changed_files_become_versions_and_same_ones_are_reported() {
    let place = indexed();
    let again = place.json(&["add", "papers"]);
    assert_eq!(again["jobs"][0]["counts"]["duplicate"], 1, "{again}");
    place.write("papers/retrofit.md", RETROFIT.replace("31 percent", "44 percent"));
    assert_eq!(place.run(&["add", "papers"]).status.code(), Some(0));
    let answer = place.json(&["ask", "How much did heat loss fall?"]);
    assert_eq!(answer["citations"][0]["quote"], "Heat loss fell by 44 percent after the retrofit.");
    assert_eq!(answer["citations"][0]["version"], 2);
    let old = place.json(&["search", "31 percent"]);
    assert!(!old.to_string().contains("31 percent after"), "{old}");
}

#[test]
fn a_broken_file_does_not_stop_the_rest() {
    let place = Place::new();
    place.write("mixed/good.txt", "The lighthouse keeper is Anna Voss.");
    place.write("mixed/broken.docx", b"PK\x03\x04 and then nothing that a zip archive would hold");
    place.write("mixed/empty.txt", "");
    let output = place.run(&["add", "mixed"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("broken.docx"), "{}", stderr(&output));
    let answer = place.json(&["ask", "Who is the lighthouse keeper?"]);
    assert!(answer["answer"].as_str().unwrap().contains("Anna Voss"), "{answer}");
}

#[test]
fn standard_input_is_a_document() {
    let place = Place::new();
    let mut child = place
        .command()
        .args(["add", "-", "--as", "note.txt"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"The password of the boathouse is kept by Ole Lind.").unwrap();
    assert!(child.wait().unwrap().success());
    let list = place.json(&["docs", "list"]);
    assert_eq!(list["documents"][0]["name"], "note.txt");
}

#[test]
fn an_unknown_workspace_is_refused_and_never_made() {
    let place = indexed();
    let output = place.run(&["-w", "elsewhere", "ask", "anything?"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("`elsewhere`"), "{}", stderr(&output));
    let list = place.json(&["workspace", "list"]);
    assert_eq!(list["workspaces"].as_array().unwrap().len(), 1);
}

#[test]
fn workspaces_are_isolated_exported_and_imported() {
    let place = indexed();
    let archive = place.path().join("all.lorekeep").display().to_string();
    assert!(place.run(&["export", &archive]).status.success());
    assert!(!place.run(&["export", &archive]).status.success(), "an existing file was replaced");
    assert!(place.run(&["-w", "copy", "import", &archive]).status.success());
    let answer = place.json(&["-w", "copy", "ask", "How much did heat loss fall?"]);
    assert_eq!(answer["kind"], "quoted");
    assert!(place.run(&["--yes", "docs", "rm", "retrofit.md"]).status.success());
    assert_eq!(place.json(&["docs", "list"])["total"], 0);
    assert_eq!(place.json(&["-w", "copy", "docs", "list"])["total"], 1);
    let broken = place.write("broken.lorekeep", "not an archive");
    let output = place.run(&["-w", "third", "import", &broken.display().to_string()]);
    assert!(!output.status.success());
    assert_eq!(place.json(&["workspace", "list"])["workspaces"].as_array().unwrap().len(), 2);
}

#[test]
fn destructive_commands_need_a_yes() {
    let place = indexed();
    let output = place.run(&["--no-input", "docs", "rm", "retrofit.md"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(place.json(&["docs", "list"])["total"], 1);
}

#[test]
fn bypass_says_that_it_needs_a_model() {
    let place = indexed();
    let output = place.run(&["ask", "hello", "--mode", "bypass"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("E-CAPABILITY-MISSING"), "{}", stderr(&output));
    let unknown = place.run(&["ask", "hello", "--mode", "sideways"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("naive"), "{}", stderr(&unknown));
}

#[test]
fn configuration_faults_are_named_with_code_5() {
    let place = Place::new();
    place.write("lorekeep.toml", "[server]\nbnid = \"127.0.0.1:1\"\n");
    let output = place.run(&["docs", "list"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(stderr(&output).contains("did you mean `server.bind`?"), "{}", stderr(&output));
}

#[test]
fn an_unreachable_server_is_code_6() {
    let place = Place::new();
    let output = place.run(&["--server", "http://127.0.0.1:1", "docs", "list"]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
}

#[test]
fn reindex_doctor_graph_and_help_work_on_a_folder() {
    let place = indexed();
    assert!(place.run(&["reindex"]).status.success());
    let doctor = place.run(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(0), "{}", String::from_utf8_lossy(&doctor.stdout));
    assert!(place.json(&["graph", "stats"])["entities"].as_u64().unwrap() > 0);
    assert!(place.json(&["graph", "entity", "Maria Stenberg"]).to_string().contains("Maria Stenberg"));
    let graphml = place.run(&["graph", "export", "--format", "graphml"]);
    assert!(String::from_utf8_lossy(&graphml.stdout).contains("<graphml"));
    for arguments in [&["man"][..], &["completions", "bash"], &["openapi"], &["version"], &["help", "E-NOT-FOUND"]] {
        let output = place.run(arguments);
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn eval_prints_the_promised_keys() {
    let place = Place::new();
    place.write(
        "set/corpus.jsonl",
        concat!(
            "{\"_id\":\"1\",\"title\":\"Curlew\",\"text\":\"Curlew is a boat. Her skipper is Ines Marchetti.\"}\n",
            "{\"_id\":\"2\",\"title\":\"Petrel\",\"text\":\"Petrel is a wave recorder on a buoy.\"}\n",
        ),
    );
    place.write("set/queries.jsonl", "{\"_id\":\"q\",\"text\":\"Who is the skipper of Curlew?\"}\n");
    place.write("set/qrels.tsv", "query-id\tcorpus-id\tscore\nq\t1\t1\n");
    place.write("set/answers.jsonl", "{\"_id\":\"q\",\"answers\":[\"Ines Marchetti\"]}\n");
    let figures = place.json(&["eval", "--beir", "set"]);
    for key in [
        "queries",
        "passages",
        "recall@2",
        "recall@5",
        "recall@10",
        "ndcg@10",
        "mrr@10",
        "answer@1",
        "answer@3",
        "index_s",
        "ms_p50",
        "ms_p99",
    ] {
        assert!(figures[key].is_number(), "{key} in {figures}");
    }
    assert_eq!((figures["recall@2"].as_f64(), figures["answer@3"].as_f64()), (Some(1.0), Some(1.0)));
    assert_eq!(figures["mode"], "auto");
}
