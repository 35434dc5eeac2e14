//! What can be wrong with the files themselves before anything looks into them.

use crate::harness::Place;

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_empty_folder_is_said_to_be_empty() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("empty")).unwrap();
    let output = place.run(&["add", "empty"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("No readable files there"), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_is_there() {
    let place = Place::new();
    place.write("good.txt", "The lighthouse keeper is Anna Voss.");
    // Whoever asks, root included, cannot read its beginning.
    let output = place.run(&["add", "good.txt", "/proc/self/mem"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("✗ mem: "), "{}", stderr(&output));
    let answer = place.json(&["ask", "Who is the lighthouse keeper?"]);
    assert!(answer["answer"].as_str().unwrap().contains("Anna Voss"), "{answer}");
}
