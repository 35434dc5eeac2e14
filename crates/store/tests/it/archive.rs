//! Archives: whole, made online, and refused when anything about them is wrong.

use std::fs;
use std::io::{Cursor, Write as _};

use lorekeep_store::Store;
use lorekeep_types::{ErrorCode, Store as _, Workspace};

use crate::support::{ALL, NOW, add, assert_sound, default_of, id, item, job, name, refusal, work};

fn exported(workspace: &dyn Workspace) -> Vec<u8> {
    let mut bytes = Vec::new();
    let size = workspace.export(&mut bytes).unwrap();
    assert_eq!(size, bytes.len() as u64);
    bytes
}

fn filled(store: &Store) -> std::sync::Arc<dyn Workspace> {
    let workspace = default_of(store);
    add(&*workspace, &[("a.txt", "Ada is old. Ada met Bob."), ("b.txt", "Bob left.\n\nCarol came.")]);
    workspace.enqueue(job(vec![item("waits.txt", "Dora.")]), NOW).unwrap();
    workspace
}

#[test]
fn an_archive_carries_everything_between_stores() {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = Store::open(folder.path(), NOW).unwrap();
    let in_memory = Store::in_memory().unwrap();
    for (from, to) in [(&on_disk, &in_memory), (&in_memory, &on_disk), (&on_disk, &on_disk)] {
        let original = filled(from);
        let archive = exported(&*original);
        let there = name("copy");
        to.import(&there, &mut Cursor::new(&archive)).unwrap();
        let copy = to.workspace(&there).unwrap();
        assert_eq!(copy.document_bytes(&id("a.txt")).unwrap().unwrap(), b"Ada is old. Ada met Bob.");
        assert_eq!(copy.snapshot().entity_named("Ada").unwrap().unwrap().description, "Ada is old.");
        assert_eq!(copy.snapshot().stats(), original.snapshot().stats());
        work(&*copy);
        assert_eq!(copy.document_text(&id("waits.txt")).unwrap().unwrap().text, "Dora.");
        assert_sound(&*copy);
        let again = to.import(&there, &mut Cursor::new(&archive)).unwrap_err();
        assert_eq!(again.code(), ErrorCode::Conflict);
        to.remove_workspace(&there).unwrap();
    }
    let entries = fs::read_dir(folder.path().join("workspaces")).unwrap();
    let left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["default"], "no scratch files stay");
}

#[test]
fn a_broken_archive_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    let archive = exported(&*filled(&store));
    let body = archive.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let header = String::from_utf8(archive[..body].to_vec()).unwrap();
    let with_header = |header: String| [header.as_bytes(), &archive[body..]].concat();
    let mut flipped = archive.clone();
    let middle = body + (archive.len() - body) / 2;
    flipped[middle] ^= 1;
    let broken = [
        ("empty", Vec::new()),
        ("another file", b"PK\x03\x04 something else".to_vec()),
        ("cut early", archive[..body / 2].to_vec()),
        ("cut late", archive[..archive.len() - 20].to_vec()),
        ("flipped bit", flipped),
        ("newer", with_header(header.replace("LOREKEEP-ARCHIVE 1", "LOREKEEP-ARCHIVE 2"))),
        ("other checksum", with_header(header.replace("\"blake3\":\"", "\"blake3\":\"0"))),
        ("too short a length", with_header(header.replace("\"bytes\":", "\"bytes\":1"))),
        ("no database", no_database()),
    ];
    for (what, bytes) in broken {
        let error = store.import(&name("broken"), &mut Cursor::new(bytes)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unprocessable, "{what}: {error}");
        assert_eq!(refusal(store.workspace(&name("broken"))), ErrorCode::NotFound, "{what}");
        assert_eq!(fs::read_dir(folder.path().join("workspaces")).unwrap().count(), 1, "{what}");
    }
    assert_eq!(default_of(&store).document_chunks(&id("a.txt"), ALL).unwrap().len(), 1);
}

/// A well-formed archive around bytes that are no database.
fn no_database() -> Vec<u8> {
    let image = b"not a database, but long enough to be one if its first bytes were others".repeat(20);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&image).unwrap();
    let header = format!(
        "LOREKEEP-ARCHIVE 1 {{\"workspace\":\"x\",\"truth\":1,\"documents\":0,\"chunks\":0,\"bytes\":{},\"blake3\":\"{}\"}}\n",
        image.len(),
        blake3::hash(&image).to_hex()
    );
    [header.into_bytes(), encoder.finish().unwrap()].concat()
}

#[test]
fn writers_go_on_while_an_archive_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = filled(&store);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..20 {
                add(&*workspace, &[(&format!("{n}.txt"), "Eve met Ada.\n\nEve left Bob.")]);
            }
        });
        for n in 0..5 {
            let there = name(&format!("copy{n}"));
            store.import(&there, &mut Cursor::new(exported(&*workspace))).unwrap();
            assert_sound(&*store.workspace(&there).unwrap());
        }
        writer.join().unwrap();
    });
    assert_sound(&*workspace);
}
