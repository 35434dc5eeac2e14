//! Files as they are when nobody is writing to them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

/// Tries before a file that goes on changing is given up.
const TRIES: u32 = 4;

/// Time that a writer is given to end.
const PAUSE: Duration = Duration::from_millis(150);

/// The bytes of a file that did not change from the first to the last of them: half of an old and half of a new text would
/// be cited as if somebody had written it.
///
/// # Errors
/// Those of the file system, and one that says so when the file goes on changing.
pub fn whole(path: &Path) -> io::Result<Vec<u8>> {
    steady(|| state(path), || fs::read(path))
}

/// The same away from the asynchronous runtime.
///
/// # Errors
/// As there.
pub async fn whole_elsewhere(path: PathBuf) -> io::Result<Vec<u8>> {
    tokio::task::spawn_blocking(move || whole(&path)).await?
}

fn steady<S: PartialEq>(
    mut state: impl FnMut() -> io::Result<S>,
    mut read: impl FnMut() -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    for round in 0..TRIES {
        if round > 0 {
            std::thread::sleep(PAUSE);
        }
        let before = state()?;
        let bytes = read()?;
        if state()? == before {
            return Ok(bytes);
        }
    }
    Err(io::Error::other("it changes while it is read; add it again when nobody writes to it"))
}

fn state(path: &Path) -> io::Result<(u64, Option<SystemTime>)> {
    let metadata = fs::metadata(path)?;
    // Not every file system keeps times.
    Ok((metadata.len(), metadata.modified().ok()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Reads a file that is written to before each of the first `writes` looks at its state.
    fn read(writes: usize) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        let mut text = "The log begins.\n".to_owned();
        fs::write(&path, &text).unwrap();
        let mut looks = 0;
        let write_and_look = || {
            looks += 1;
            if looks <= writes {
                text.push_str("The tide is measured.\n");
                fs::write(&path, &text).unwrap();
            }
            state(&path)
        };
        steady(write_and_look, || fs::read(&path))
    }

    #[test]
    fn a_file_at_rest_is_read_as_it_is() {
        assert_eq!(read(0).unwrap(), b"The log begins.\n");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again() {
        let lines = String::from_utf8(read(2).unwrap()).unwrap();
        assert_eq!(lines.lines().count(), 3, "all that was written, once the writer was done");
    }

    #[test]
    fn a_file_that_goes_on_changing_is_not_taken_half() {
        let error = read(usize::MAX).unwrap_err();
        assert!(error.to_string().contains("changes while it is read"), "{error}");
    }
}
