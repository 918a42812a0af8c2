//! The journal of decisions: what people said of buckets, one line of JSON each, beside the store. Everything else in
//! the store can be made again from files; this could not.

use super::DbError;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Longest journal that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decision {
    /// When, seconds since 1970.
    pub(super) at: i64,
    /// About which bucket.
    pub(super) bucket: String,
    /// `state`, `note`, `merge` or `apart`.
    pub(super) what: String,
    /// The state, or the id of the bucket it is merged into.
    #[serde(default)]
    pub(super) now: String,
    /// The reason, or the note.
    #[serde(default)]
    pub(super) text: String,
}

/// Where the journal of a store lies.
pub(super) fn path_of(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".journal");
    PathBuf::from(name)
}

/// Adds a decision and sees to it that it lasts. The store's write lock is held meanwhile, so lines never mix.
pub(super) fn add(store: &Path, decision: &Decision) -> Result<(), DbError> {
    let path = path_of(store);
    append(&path, decision).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => DbError::Full(path.clone()),
        _ => DbError::Io { path: path.clone(), error },
    })
}

fn append(path: &Path, decision: &Decision) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    let mut line = serde_json::to_vec(decision)?;
    line.push(b'\n');
    // A line that was cut short by a crash stays a line of its own.
    if end > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.insert(0, b'\n');
        }
    }
    file.write_all(&line).and_then(|()| file.sync_data()).inspect_err(|_| {
        // Half a line helps nobody.
        let _ = file.set_len(end);
    })
}

/// All decisions, oldest first. Lines that are none are left out.
pub(super) fn read(store: &Path) -> Result<Vec<Decision>, DbError> {
    let path = path_of(store);
    let io = |error| DbError::Io { path: path.clone(), error };
    let mut text = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(MAX_FILE).read_to_end(&mut text).map_err(io)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    Ok(text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}
