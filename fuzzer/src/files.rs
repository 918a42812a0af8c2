//! Files that are written often: whole or not there, but lasting only after [`sync_all`].

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Like [`parallax_replay::files::write_whole`], but what is written may be lost in a power cut until [`sync_all`], and
/// only one may write a file at a time.
///
/// # Errors
/// As of the file system.
pub fn write_fresh(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".tmp");
    let temporary = path.with_file_name(hidden);
    let written = fs::write(&temporary, bytes);
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        // A disk that is full should not stay full of halves.
        let _ = fs::remove_file(&temporary);
    })
}

/// Sees to it that everything written to the file system of `dir` so far outlives a power cut.
///
/// # Errors
/// As of the file system.
pub fn sync_all(dir: &Path) -> io::Result<()> {
    Ok(nix::unistd::syncfs(File::open(dir)?)?)
}

/// What is to be written: a file, or word that everything before it was.
enum Errand {
    File(PathBuf, Vec<u8>),
    Tell(Sender<io::Result<()>>),
}

/// Writes files as [`write_fresh`] does, on a thread of its own: making a file can take longer than running a program.
#[derive(Debug)]
pub struct Writer {
    errands: Option<Sender<Errand>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start() -> io::Result<Writer> {
        let (errands, todo) = channel();
        let work = move || {
            let mut failed = Ok(());
            for errand in todo {
                match errand {
                    Errand::File(path, bytes) if fs::read(&path).is_ok_and(|old| old == bytes) => {}
                    Errand::File(path, bytes) => failed = failed.and(write_fresh(&path, &bytes)),
                    // Nobody may be left to hear it.
                    Errand::Tell(whom) => drop(whom.send(std::mem::replace(&mut failed, Ok(())))),
                }
            }
        };
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(work)?;
        Ok(Writer { errands: Some(errands), thread: Some(thread) })
    }

    /// Has a file written, soon, unless it holds that already.
    pub fn write(&self, path: PathBuf, bytes: Vec<u8>) {
        // The thread ends with this value and not before.
        let _ = self.errands.as_ref().map(|errands| errands.send(Errand::File(path, bytes)));
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The first one since the last time.
    pub fn flush(&self) -> io::Result<()> {
        let (tell, told) = channel();
        let _ = self.errands.as_ref().map(|errands| errands.send(Errand::Tell(tell)));
        told.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that writes files is gone")))
    }
}

impl Drop for Writer {
    /// Everything is written before it goes.
    fn drop(&mut self) {
        self.errands = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
