//! One process per data folder, told apart by a lock that dies with its holder.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lorekeep_store::{Store, holder};
use lorekeep_types::ErrorCode;

use crate::support::NOW;

/// Set for the child process of a test: the folder it is to hold.
const HOLD: &str = "LOREKEEP_TEST_HOLD";

/// Not a test of its own: the second process of the tests below. Does nothing unless it is started by them.
#[test]
fn hold_a_folder_as_a_child() {
    let folder = std::env::var(HOLD);
    if let Ok(folder) = folder {
        let store = Store::open(Path::new(&folder), NOW).unwrap();
        store.announce("http://127.0.0.1:9621").unwrap();
        std::io::Write::write_all(&mut std::io::stderr(), b"held\n").unwrap();
        // Until the parent closes our input or kills us.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }
}

fn holding_child(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lock::hold_a_folder_as_a_child", "--nocapture"])
        .env(HOLD, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).any(|line| line == "held");
    assert!(said, "the child holds the folder");
    child
}

#[test]
fn a_second_process_is_refused_with_the_first_ones_pid_and_url() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = holding_child(folder.path());

    let error = Store::open(folder.path(), NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Locked);
    assert!(error.message().contains(&child.id().to_string()), "{error}");
    assert!(error.message().contains("http://127.0.0.1:9621"), "{error}");
    let found = holder(folder.path()).unwrap().unwrap();
    assert_eq!((found.pid, found.url.as_deref()), (child.id(), Some("http://127.0.0.1:9621")));

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(holder(folder.path()).unwrap(), None, "a killed process holds nothing");
    drop(Store::open(folder.path(), NOW).unwrap());
}

#[test]
fn a_store_that_is_dropped_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(holder(folder.path()).unwrap(), None);
    let store = Store::open(folder.path(), NOW).unwrap();
    assert_eq!(holder(folder.path()).unwrap().unwrap().pid, std::process::id());
    assert_eq!(Store::open(folder.path(), NOW).unwrap_err().code(), ErrorCode::Locked);
    drop(store);
    drop(Store::open(folder.path(), NOW).unwrap());
}
