//! A disk that takes no more: writes are refused clearly and whole, reads go on.

use std::path::Path;
use std::process::Command;

use lorekeep_store::Store;
use lorekeep_types::ErrorCode;

use crate::support::{NOW, add, assert_sound, default_of, id, item, job};

/// Set for the child process of the test: the folder to fill.
const FILL: &str = "LOREKEEP_TEST_FILL";

/// Not a test of its own: the process whose files may not grow, see below.
#[test]
fn fill_a_folder_as_a_child() {
    #[expect(clippy::disallowed_methods, reason = "the parent test speaks through the environment")]
    let folder = std::env::var(FILL);
    let Ok(folder) = folder else { return };
    let store = Store::open(Path::new(&folder), NOW).unwrap();
    let workspace = default_of(&store);
    add(&*workspace, &[("a.txt", "Ada met Bob.")]);
    let before = workspace.truth_seq().unwrap();

    let large = "x".repeat(8 << 20);
    let error = workspace.enqueue(job(vec![item("large.txt", &large)]), NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::StorageFull, "{error}");
    assert!(error.remedy().is_some());

    assert_eq!(workspace.truth_seq().unwrap(), before);
    assert!(workspace.document(&id("large.txt")).unwrap().is_none());
    assert_eq!(workspace.document_text(&id("a.txt")).unwrap().unwrap().text, "Ada met Bob.");
    assert_eq!(workspace.snapshot().stats().chunks, 1);
    assert_sound(&*workspace);
    add(&*workspace, &[("b.txt", "Carol came.")]);
}

/// The shell's limit on the size of files makes `write` fail for real, in the child only.
#[cfg(unix)]
#[test]
fn a_full_disk_refuses_writes_and_keeps_serving_reads() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" --exact full::fill_a_folder_as_a_child --nocapture";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(FILL, folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert!(workspace.document(&id("b.txt")).unwrap().is_some(), "small writes went on");
    assert!(workspace.document(&id("large.txt")).unwrap().is_none());
    assert_sound(&*workspace);
}
