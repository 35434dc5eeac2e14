//! Fuzzing of the archive: its bytes, and the database inside it under a checksum that fits.

use std::io::{Cursor, Read as _, Write as _};

use lorekeep_store::Store;
use lorekeep_testkit::fuzz::Target;
use lorekeep_types::{ErrorCode, Store as _};

use crate::support::{add, assert_sound, default_of, name};

const WORDS: [&str; 10] = [
    "LOREKEEP-ARCHIVE 1 ",
    "{\"workspace\":\"x\"}",
    "\"bytes\":",
    "99999999999999999999",
    "\n",
    "\0",
    "x\u{9c}",
    "CREATE",
    "truth",
    "\u{7f}",
];

/// An archive around an image, with the header that belongs to it.
fn packed(image: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(image).unwrap();
    let (bytes, hash) = (image.len(), blake3::hash(image).to_hex());
    let facts = r#""workspace":"x","truth":1,"documents":0,"chunks":0"#;
    let header = format!("LOREKEEP-ARCHIVE 1 {{{facts},\"bytes\":{bytes},\"blake3\":\"{hash}\"}}\n");
    [header.into_bytes(), encoder.finish().unwrap()].concat()
}

/// The database of an archive.
fn image(archive: &[u8]) -> Vec<u8> {
    let body = archive.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut image = Vec::new();
    flate2::read::ZlibDecoder::new(&archive[body..]).read_to_end(&mut image).unwrap();
    image
}

#[test]
fn archive() {
    let store = Store::in_memory().unwrap();
    let workspace = default_of(&store);
    add(&*workspace, &[("a.txt", "Ada is old. Ada met Bob.")]);
    let mut whole = Vec::new();
    workspace.export(&mut whole).unwrap();
    let original = image(&whole);
    // A patch of the image: where, and with what; the image itself would be too long to mutate well.
    let patch = |at: u32, with: &[u8]| [vec![1], at.to_be_bytes().to_vec(), with.to_vec()].concat();
    let seeds = vec![
        [vec![0], whole[..whole.len().min(8 << 10)].to_vec()].concat(),
        patch(0, &original[..100]),
        patch(28, &[0, 0, 0, 1]),
        patch(4_096, &[13, 0, 0, 0, 3]),
        patch(100, &[5, 0, 0, 0, 1]),
    ];
    let target = Target { name: "archive", root: env!("CARGO_MANIFEST_DIR"), seeds, words: &WORDS };
    target.run(|input| {
        let archive = match input {
            [1, a, b, c, d, with @ ..] => {
                let mut image = original.clone();
                let at = u32::from_be_bytes([*a, *b, *c, *d]) as usize % image.len();
                image.iter_mut().skip(at).zip(with).for_each(|(byte, new)| *byte = *new);
                packed(&image)
            }
            [_, rest @ ..] => rest.to_vec(),
            [] => Vec::new(),
        };
        let there = name("there");
        match store.import(&there, &mut Cursor::new(archive)) {
            Ok(()) => {
                let opened = store.workspace(&there).map(|copy| drop(copy.snapshot().stats().clone()));
                store.remove_workspace(&there).unwrap();
                format!("imported, opened: {}", opened.is_ok())
            }
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::Unprocessable, "{error}");
                assert_eq!(
                    store.workspace(&there).map(|_| ()).unwrap_err().code(),
                    ErrorCode::NotFound,
                    "nothing is left"
                );
                let words: Vec<_> = error.to_string().split(' ').take(9).map(str::to_owned).collect();
                words.join(" ")
            }
        }
    });
    assert_sound(&*workspace);
}
