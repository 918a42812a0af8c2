//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file so that a reader, or a crash, finds the old content or the new one.
///
/// # Errors
/// As of the file system. The file is unchanged then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, true)
}

/// Like [`write_whole`], but what is written may be lost in a power cut until [`sync_all`]: for files that are
/// written often.
///
/// # Errors
/// As of the file system.
pub fn write_fresh(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, false)
}

/// Sees to it that everything written to the file system of `dir` so far outlives a power cut.
///
/// # Errors
/// As of the file system.
pub fn sync_all(dir: &Path) -> io::Result<()> {
    Ok(nix::unistd::syncfs(File::open(dir)?)?)
}

fn write(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".tmp");
    let temporary = path.with_file_name(hidden);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        if sync { file.sync_data() } else { Ok(()) }
    });
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        // A disk that is full should not stay full of halves.
        let _ = fs::remove_file(&temporary);
    })
}
