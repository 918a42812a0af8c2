//! The option `lazy-pages`: a restored program starts without its memory, and `criu lazy-pages` hands each page out of the
//! images when it is touched (criu.org/Lazy_migration, userfaultfd(2)).

use super::IMAGES;
use crate::targets::host;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where it is asked for pages, in the folder of the images.
const SOCKET: &str = "lazy-pages.socket";
/// How long it may take until it can be asked; 5 ms is usual.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves the pages of one agent's programs.
pub(super) struct Pages {
    enter: PathBuf,
    words: Vec<OsString>,
    socket: PathBuf,
    serving: Option<Child>,
}

impl Pages {
    /// For the agent of that process id, whose root the host sees there. `criu` is its command as the jail sees it.
    ///
    /// # Errors
    /// In words: there is no `nsenter` (util-linux).
    pub(super) fn new(pid: i32, root: &Path, criu: Vec<OsString>) -> Result<Pages, String> {
        let enter = host::nsenter().map_err(|e| e.to_string())?;
        let mut words: Vec<OsString> = vec!["--target".into(), pid.to_string().into()];
        words.extend(["--mount", "--pid", "--net", "--"].map(OsString::from));
        words.extend(criu);
        for word in ["lazy-pages", "--images-dir", IMAGES, "--work-dir", IMAGES, "--log-file", "lazy.log"] {
            words.push(word.into());
        }
        let socket = root.join(&IMAGES[1..]).join(SOCKET);
        Ok(Pages { enter, words, socket, serving: None })
    }

    /// Serves the images that are there now.
    ///
    /// # Errors
    /// In words: it does not start.
    pub(super) fn serve(&mut self) -> Result<(), String> {
        self.end();
        let _ = fs::remove_file(&self.socket);
        let mut command = Command::new(&self.enter);
        command.args(&self.words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Of its own, so that what `nsenter` forks ends with it.
        let child = command.process_group(0).spawn().map_err(|e| format!("{}: {e}", self.enter.display()))?;
        let child = self.serving.insert(child);
        let deadline = Instant::now() + PATIENCE;
        while !self.socket.exists() {
            if Instant::now() > deadline || matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                return Err("`criu lazy-pages` does not start".to_owned());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// What it serves nobody wants any more.
    pub(super) fn end(&mut self) {
        if let Some(mut child) = self.serving.take() {
            let group = i32::try_from(child.id()).ok();
            if let Some(group) = group.filter(|_| !matches!(child.try_wait(), Ok(Some(_)))) {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            let _ = child.wait();
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.end();
    }
}
