//! Missing, damaged and foreign files: the views are built anew and nobody is bothered.

use std::path::{Path, PathBuf};

use super::corpus::{assert_equal, open, put};
use crate::support::assert_sound;

fn filled(folder: &Path) {
    let (_store, workspace) = open(folder);
    put(&*workspace, "river seine.txt", "Paris lies on the river seine\n\nOld bridge");
    put(&*workspace, "Paris.txt", "été in Paris");
    workspace.refresh().unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn any_file_may_be_missing_empty_cut_or_scrambled() {
    type Harm = fn(&Path, &[u8]);
    let harms: [Harm; 4] = [
        |path, _| std::fs::remove_file(path).unwrap(),
        |path, _| std::fs::write(path, b"").unwrap(),
        |path, bytes| std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
        |path, bytes| {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0x55;
            }
            std::fs::write(path, bytes).unwrap();
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let views = folder.path().join("workspaces/default/views");
    let copy = tempfile::tempdir().unwrap();
    super::follow::copy(&views, copy.path());
    for path in files(copy.path()) {
        for harm in harms {
            std::fs::remove_dir_all(&views).unwrap();
            super::follow::copy(copy.path(), &views);
            let harmed = views.join(path.strip_prefix(copy.path()).unwrap());
            harm(&harmed, &std::fs::read(&path).unwrap());
            let (_store, workspace) = open(folder.path());
            assert_equal(&*workspace);
            assert_sound(&*workspace);
        }
    }
}

#[test]
fn the_whole_folder_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    std::fs::remove_dir_all(folder.path().join("workspaces/default/views")).unwrap();
    let (_store, workspace) = open(folder.path());
    assert_equal(&*workspace);
}

#[test]
fn leftovers_of_an_unfinished_rebuild_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let leftover = folder.path().join("workspaces/default/views/g99");
    std::fs::create_dir(&leftover).unwrap();
    std::fs::write(leftover.join("passages"), b"half").unwrap();
    let (_store, workspace) = open(folder.path());
    assert!(!leftover.exists());
    assert_equal(&*workspace);
}
