//! One file that holds a workspace, for moving it and for keeping it.
//!
//! `LOREKEEP-ARCHIVE 1 {manifest}\n`, then the truth's SQLite image, zlib-compressed. The manifest gives the length
//! and BLAKE3 of the image, so that a cut or altered archive is refused. The image is made by SQLite's online
//! backup inside one read transaction: writers go on, and it shows one moment. Views are not in it; they are
//! rebuilt.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, MAIN_DB};
use serde::{Deserialize, Serialize};

use super::connection::Place;
use super::{Truth, schema};
use crate::error::{Result, StoreError};

const MAGIC: &str = "LOREKEEP-ARCHIVE";
const FORMAT: u32 = 1;
/// Longest first line.
const MOST_HEADER: u64 = 64 << 10;

/// The first line's JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    workspace: String,
    /// Format of the truth inside.
    truth: i64,
    documents: u64,
    chunks: u64,
    /// Length of the image in bytes.
    bytes: u64,
    /// BLAKE3 of the image.
    blake3: String,
}

/// A file that goes when this does.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "a scratch file stays until the next start");
        }
    }
}

impl Truth {
    /// Writes an archive and returns its size. `scratch` is a path for the image; `None` for a truth in RAM.
    pub(crate) fn export(&self, scratch: Option<&Path>, out: &mut dyn Write) -> Result<u64> {
        let reader = self.read()?;
        let mut manifest = Manifest {
            workspace: self.name.clone(),
            truth: schema::FORMAT.newest(),
            documents: reader.document_count()?,
            chunks: reader.chunk_count()?,
            bytes: 0,
            blake3: String::new(),
        };
        let mut counted = Counted { out, bytes: 0 };
        match scratch {
            Some(path) => {
                let scratch = Scratch(path.to_owned());
                let mut image = Connection::open(path)?;
                image.pragma_update(None, "synchronous", "off")?;
                copy(reader.sql()?, &mut image)?;
                drop(reader);
                image.pragma_update(None, "journal_mode", "delete")?;
                image.close().map_err(|(_, error)| error)?;
                let open = || File::open(path).map(BufReader::new).map_err(StoreError::io("read", path));
                (manifest.bytes, manifest.blake3) = digest(&mut open()?).map_err(StoreError::io("read", path))?;
                write_archive(&mut counted, &manifest, &mut open()?)?;
                drop(scratch);
            }
            None => {
                let mut image = Connection::open_in_memory()?;
                copy(reader.sql()?, &mut image)?;
                drop(reader);
                let image = image.serialize(MAIN_DB)?;
                (manifest.bytes, manifest.blake3) = digest(&mut &image[..]).map_err(StoreError::Stream)?;
                write_archive(&mut counted, &manifest, &mut &image[..])?;
            }
        }
        Ok(counted.bytes)
    }
}

/// Reads an archive into `place`, which must not exist yet. What is there after an error is to be removed.
pub(crate) fn import(archive: &mut dyn Read, place: &Place) -> Result<()> {
    let mut archive = BufReader::new(archive);
    let manifest = read_header(&mut archive)?;
    let mut image =
        Checked { inner: ZlibDecoder::new(archive).take(manifest.bytes), hasher: blake3::Hasher::new(), bytes: 0 };
    match place {
        Place::File(path) => {
            let mut file = File::create_new(path).map_err(StoreError::io("create", path))?;
            copy_stream(&mut image, &mut file, path)?;
            file.sync_all().map_err(StoreError::io("sync", path))?;
            image.verify(&manifest)?;
        }
        Place::Memory(_) => {
            let mut bytes = Vec::new();
            image.read_to_end(&mut bytes).map_err(|error| broken(&error))?;
            image.verify(&manifest)?;
            let mut source = Connection::open_in_memory()?;
            source.deserialize_read_exact(MAIN_DB, &bytes[..], bytes.len(), false)?;
            copy(&source, &mut place.writer()?).map_err(|error| unreadable(&error))?;
        }
    }
    check_image(place)
}

/// Refuses an image that SQLite or this release cannot read, before anybody sees it.
fn check_image(place: &Place) -> Result<()> {
    let connection = place.writer().map_err(|error| unreadable(&error))?;
    match schema::FORMAT.check(&connection) {
        Ok(0) => return Err(unreadable(&"it is empty")),
        Err(error @ StoreError::NewerFormat { .. }) => return Err(error),
        Err(error) => return Err(unreadable(&error)),
        Ok(_) => {}
    }
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| unreadable(&error))?;
    if verdict != "ok" {
        return Err(unreadable(&verdict));
    }
    // An image can say of itself that it must not be written; SQLite knows after the first read.
    match connection.is_readonly(MAIN_DB) {
        Ok(false) => Ok(()),
        Ok(true) => Err(unreadable(&"it is of a kind that cannot be written")),
        Err(error) => Err(unreadable(&error)),
    }
}

fn copy(from: &Connection, to: &mut Connection) -> Result<()> {
    match Backup::new(from, to)?.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(StoreError::Damaged("the database is too busy to be copied".to_owned())),
    }
}

fn write_archive(out: &mut dyn Write, manifest: &Manifest, image: &mut dyn Read) -> Result<()> {
    let header = format!("{MAGIC} {FORMAT} {}\n", serde_json::to_string(manifest)?);
    out.write_all(header.as_bytes()).map_err(StoreError::Stream)?;
    let mut encoder = ZlibEncoder::new(out, Compression::fast());
    io::copy(image, &mut encoder).map_err(StoreError::Stream)?;
    encoder.finish().and_then(|out| out.flush()).map_err(StoreError::Stream)
}

fn read_header(archive: &mut dyn io::BufRead) -> Result<Manifest> {
    let mut line = Vec::new();
    io::BufRead::read_until(&mut archive.take(MOST_HEADER), b'\n', &mut line).map_err(StoreError::Stream)?;
    let not_ours = || StoreError::Archive("it does not begin like one of Lorekeep's".to_owned());
    let line = std::str::from_utf8(&line).map_err(|_| not_ours())?;
    let mut parts = line.splitn(3, ' ');
    if parts.next() != Some(MAGIC) {
        return Err(not_ours());
    }
    let format: u32 = parts.next().and_then(|text| text.parse().ok()).ok_or_else(not_ours)?;
    if format > FORMAT {
        return Err(StoreError::Archive(format!("it has format {format}; this release reads formats up to {FORMAT}")));
    }
    serde_json::from_str(parts.next().unwrap_or_default()).map_err(|_| not_ours())
}

fn digest(image: &mut dyn Read) -> io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    let bytes = io::copy(image, &mut hasher)?;
    Ok((bytes, hasher.finalize().to_hex().to_string()))
}

fn broken(error: &io::Error) -> StoreError {
    StoreError::Archive(format!("it is cut or damaged: {error}"))
}

fn unreadable(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Archive(format!("its database cannot be read: {error}"))
}

/// Copies, telling a failing archive from a failing disk.
fn copy_stream(from: &mut dyn Read, to: &mut File, path: &Path) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(&error)),
        };
        let filled = buffer.get(..count).unwrap_or_default();
        to.write_all(filled).map_err(StoreError::io("write", path))?;
    }
}

/// Hashes what passes through.
struct Checked<R> {
    inner: R,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<R> Checked<R> {
    fn verify(&self, manifest: &Manifest) -> Result<()> {
        if self.bytes != manifest.bytes {
            let message = format!("it is cut: {} of {} bytes are there", self.bytes, manifest.bytes);
            return Err(StoreError::Archive(message));
        }
        if self.hasher.finalize().to_hex().as_str() != manifest.blake3 {
            return Err(StoreError::Archive("its checksum does not match".to_owned()));
        }
        Ok(())
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Counts what passes through.
struct Counted<'a> {
    out: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.out.write(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
