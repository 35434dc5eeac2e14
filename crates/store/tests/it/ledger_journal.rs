//! The ledger's journal: what was decided survives the process, is written once, and never spoils what comes after.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lorekeep_store::SqliteLedger;
use lorekeep_types::{Admission, CALL_LOST, CALL_OK, ErrorCode, Ledger};

use crate::ledger::{CENT, closing, counters, daily, every_call, open, opening, reopened, wait};
use crate::support::NOW;

/// Set for the child processes of the tests: their folder.
const FOLDER: &str = "LOREKEEP_TEST_JOURNAL";

fn folder_of_child() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the parent test speaks through the environment")]
    let folder = std::env::var_os(FOLDER);
    folder.map(PathBuf::from)
}

fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Starts `test` of this program as a process of its own, and waits until it says `line`.
fn child(test: &str, folder: &Path, line: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|said| said == line), "the child has not come to `{line}`");
    child
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Not a test of its own: the process that is killed in the next ones. Somebody else keeps the file from being written.
#[test]
fn spend_as_a_child() {
    let Some(folder) = folder_of_child() else { return };
    let ledger = reopened(&folder, &[daily(100 * CENT)], NOW);
    ledger.budgets(NOW).unwrap();
    let other = rusqlite::Connection::open(folder.join("gateway.sqlite")).unwrap();
    // The first call finds its counter in the file, for which the file must be free.
    let before = open(&ledger, opening(NOW, Some(CENT))).unwrap();
    drop(ledger.close(before, closing(NOW, Some(CENT))));
    ledger.budgets(NOW).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ended = open(&ledger, opening(NOW, Some(6 * CENT))).unwrap();
    drop(ledger.close(ended, closing(NOW, Some(2 * CENT))));
    let runs = open(&ledger, opening(NOW, Some(4 * CENT))).unwrap();
    assert_eq!(ledger.reserve(runs, CENT).unwrap(), None);
    say("spent");
    // Until the parent kills us.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn journal(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let parts = files.filter(|path| path.to_string_lossy().contains("journal"));
    parts.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_was_decided_survives_a_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    killed(child("ledger_journal::spend_as_a_child", folder.path(), "spent"));
    let left = journal(folder.path());
    assert_eq!(left.len(), 2);
    for (path, _) in &left {
        // The process was killed in the middle of a line.
        let mut part = fs::OpenOptions::new().append(true).open(path).unwrap();
        part.write_all(b"{\"place\":99,\"change\":{\"Op").unwrap();
    }
    for _ in 0..2 {
        let ledger = reopened(folder.path(), &[daily(100 * CENT)], NOW);
        let known: Vec<_> = every_call(&ledger).into_iter().map(|call| (call.status, call.charged)).collect();
        let charged = |status: &str, cents| (status.to_owned(), Some(cents * CENT));
        assert_eq!(known, [charged(CALL_OK, 1), charged(CALL_OK, 2), charged(CALL_LOST, 5)]);
        assert_eq!(counters(&ledger, NOW), [(8 * CENT, 0)]);
        assert_eq!(ledger.drift().unwrap(), 0);
        drop(ledger);
        // Killed once more, after the file was written and before the journal was emptied.
        for (path, lines) in &left {
            fs::write(path, lines).unwrap();
        }
    }
    let ledger = reopened(folder.path(), &[daily(10 * CENT)], NOW);
    assert!(open(&ledger, opening(NOW, Some(3 * CENT))).is_err(), "what was spent is known");
    let next = open(&ledger, opening(NOW, Some(2 * CENT))).unwrap();
    assert_eq!(every_call(&ledger).last().map(|call| call.number), Some(next), "numbers go on");
}

/// Not a test of its own: the process whose files may not grow, see below.
#[test]
fn fill_the_disk_as_a_child() {
    let Some(folder) = folder_of_child() else { return };
    let ledger = reopened(&folder, &[], NOW);
    let mut running = Vec::new();
    let mut calls = 0_u64;
    let refused = loop {
        match wait(ledger.open(opening(NOW, Some(CENT)))) {
            Ok(Admission::Admitted(call)) => running.push(call),
            Ok(Admission::Refused(refusal)) => panic!("{refusal}"),
            Err(error) if error.code() == ErrorCode::Busy => {}
            Err(error) => break error,
        }
        calls += 1;
        assert!(calls < 200_000, "the disk is never full");
        if running.len() == 50 {
            running.drain(..).for_each(|call| drop(ledger.close(call, closing(NOW, Some(CENT)))));
        }
    };
    assert_eq!(refused.code(), ErrorCode::StorageFull, "{refused}");
    assert!(refused.remedy().is_some());
    assert!(!every_call(&ledger).is_empty(), "what is in the file can be read");
    // Calls that were admitted end all the same.
    running.drain(..).for_each(|call| drop(ledger.close(call, closing(NOW, Some(CENT)))));
    say("full");
}

/// The shell's limit on the size of files makes `write` fail for real, in the child only.
#[cfg(unix)]
#[test]
fn a_full_disk_refuses_calls_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "trap '' XFSZ; ulimit -f 2048; exec \"$0\" --exact ledger_journal::fill_the_disk_as_a_child --nocapture";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let ledger = SqliteLedger::open(folder.path(), NOW).unwrap();
    let call = open(&ledger, opening(NOW, Some(CENT))).unwrap();
    ledger.set_budgets(vec![daily(i64::MAX)]).unwrap();
    let settled = counters(&ledger, NOW)[0].0;
    assert_eq!(settled, (call.0 - 1) * CENT, "every call that was admitted is charged");
}
