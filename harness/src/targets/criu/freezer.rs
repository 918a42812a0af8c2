//! A checkpoint under CRIU: the program is dumped and killed, and restored from its images as the agent's child.
//!
//! | The agent asks | It has | We | Then it |
//! |---|---|---|---|
//! | 0 | a stopped program | | starts `criu` |
//! | 1 | `criu` waiting | have it dump | waits for all that died, starts `criu` again |
//! | 2 | `criu` waiting | have it restore | waits for `criu`, continues the program |

use super::pages::Pages;
use super::rpc::{InheritFd, NO_NETWORK_LOCK, Options, Socket, What};
use crate::freezer::{Freezer, Next, Point, without_numbers};
use crate::jail::Jailed;
use crate::targets::host;
use nix::sys::stat::fstat;
use parallax_corpus::trace::{Fate, Mishap};
use parallax_corpus::wire;
use parallax_corpus::wire::point;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where `criu` finds its options inside.
pub(super) const CONFIG: &str = "/run/criu.conf";
/// Where it puts images and logs.
pub(super) const IMAGES: &str = "/run/img";
/// Most of a log that is read, bytes. The reason comes early: what goes wrong first is what is told.
const MAX_LOG: usize = 256 << 10;
/// Most of a reason, bytes.
const KEPT_REASON: usize = 300;
/// Most of a log that is kept with a case, bytes.
const KEPT_LOG: usize = 2 << 10;

/// Freezes the programs of one agent.
pub(super) struct CriuFreezer {
    socket: Socket,
    /// The agent's root as the host sees it.
    root: PathBuf,
    /// What the agent shares with programs that have the outside terminal, besides that: its pipes.
    shared: Vec<InheritFd>,
    /// The program at hand has the outside terminal.
    ours: bool,
    /// Who serves the memory of restored programs, if it comes when it is touched.
    pages: Option<Pages>,
    mishaps: Vec<Mishap>,
    /// When the agent was told to do what it tells of now.
    told: Instant,
    dumping: Duration,
    restoring: Duration,
    waiting: Duration,
}

impl CriuFreezer {
    /// For the agent in that jail, whose helper has the socket's other end.
    pub(super) fn new(socket: Socket, jailed: &Jailed, pages: Option<Pages>) -> nix::Result<CriuFreezer> {
        let mut shared = Vec::new();
        for (pipe, fd) in [(&jailed.stdin, wire::FD_IN), (&jailed.stdout, wire::FD_OUT)] {
            if let Some(pipe) = pipe {
                shared.push(InheritFd { key: format!("pipe:[{}]", fstat(pipe)?.st_ino), fd });
            }
        }
        Ok(CriuFreezer {
            socket,
            root: PathBuf::from(format!("/proc/{}/root", jailed.pid)),
            shared,
            ours: false,
            pages,
            mishaps: Vec::new(),
            told: Instant::now(),
            dumping: Duration::ZERO,
            restoring: Duration::ZERO,
            waiting: Duration::ZERO,
        })
    }

    /// Whether a process is in the agent's session, as those are that have the outside terminal.
    fn is_in_our_session(&self, pid: i32) -> bool {
        let text = host::proc_text(self.root.join(format!("proc/{pid}/stat"))).unwrap_or_default();
        // Behind the name, in parentheses: state, parent, group, session (proc_pid_stat(5)).
        let session =
            text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(3)?.parse().ok());
        session.is_some_and(|session: i32| session != pid)
    }

    fn options(&self, log: &str) -> Options {
        Options {
            images_dir_fd: -1,
            log_level: Some(1),
            log_file: Some(log.to_owned()),
            file_locks: Some(true),
            config_file: Some(CONFIG.to_owned()),
            shell_job: Some(self.ours),
            // Nobody else is in the net namespace.
            network_lock: Some(NO_NETWORK_LOCK),
            ..Options::default()
        }
    }

    /// What the last one left is not to be mixed with what comes.
    fn clear(&self) {
        let images = self.root.join(&IMAGES[1..]);
        for entry in fs::read_dir(images).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }

    fn log(&self, name: &str) -> String {
        let path = self.root.join(&IMAGES[1..]).join(name);
        String::from_utf8_lossy(&host::beginning_of(&path, MAX_LOG)).into_owned()
    }

    /// Keeps a mishap with the log's first error as the reason.
    fn mishap(&mut self, fate: Fate, said: &str, log: &str) {
        let text = self.log(log);
        let reason = first_error(&text).unwrap_or_else(|| said.to_owned());
        let kept = host::text_of(text.as_bytes(), KEPT_LOG);
        let reason = host::text_of(without_numbers(&reason).as_bytes(), KEPT_REASON);
        self.mishaps.push(Mishap { fate, reason, log: kept });
    }

    fn dump(&mut self, point: Point) -> Next {
        if point.result <= 0 {
            self.mishap(Fate::Lost, "criu cannot be started", "none");
            return Next::todo(point::END);
        }
        self.ours = self.is_in_our_session(point.pid);
        let options = Options { pid: Some(point.pid), ..self.options("dump.log") };
        match self.socket.ask(What::Dump, options) {
            Ok(answer) if answer.success => Next::todo(point::REAP | point::HELPER),
            Ok(answer) => {
                let said = answer.message.unwrap_or_else(|| "criu does not say why".to_owned());
                self.mishap(Fate::Refused, &said, "dump.log");
                Next::todo(point::END)
            }
            Err(e) => {
                self.mishap(Fate::Lost, &e, "dump.log");
                Next::todo(point::END)
            }
        }
    }

    fn restore(&mut self, point: Point) -> Next {
        if point.result <= 0 {
            self.mishap(Fate::Lost, "criu cannot be started", "none");
            return Next::todo(point::END);
        }
        if let Some(Err(said)) = self.pages.as_mut().map(Pages::serve) {
            self.mishap(Fate::Lost, &said, "lazy.log");
            return Next::todo(point::END);
        }
        let inherit_fd = if self.ours { self.shared.clone() } else { Vec::new() };
        let lazy_pages = self.pages.is_some().then_some(true);
        let options =
            Options { rst_sibling: Some(true), inherit_fd, lazy_pages, ..self.options("restore.log") };
        let said = match self.socket.ask(What::Restore, options) {
            Ok(answer) if answer.success => match answer.restored {
                Some(restored) if restored.pid == point.pid => return Next::todo(point::AWAIT | point::GO),
                Some(_) => "it was restored as another process".to_owned(),
                None => "criu does not say what it has restored".to_owned(),
            },
            Ok(answer) => answer.message.unwrap_or_else(|| "criu does not say why".to_owned()),
            Err(e) => e,
        };
        self.mishap(Fate::Lost, &said, "restore.log");
        Next::todo(point::END)
    }
}

/// The first line of CRIU's log that tells of an error: where in its source, and what. Its form is
/// `(00.001234)  PID: Error (criu/file.c:123): text`.
fn first_error(log: &str) -> Option<String> {
    let mut errors = log.lines().filter_map(|line| {
        let (place, text) = line.split_once("Error (")?.1.split_once("): ")?;
        Some((place.split_once(':').map_or(place, |(file, _)| file), text.trim()))
    });
    // What it tries and can do without is no reason.
    let matters =
        |file: &str, text: &str| file != "criu/tun.c" && !text.contains("Can't setup RLIMIT_NOFILE");
    let (file, text) = errors.find(|(file, text)| matters(file, text))?;
    // Whether a file has a name left is another matter.
    Some(format!("{file}: {}", text.strip_suffix(" (deleted)").unwrap_or(text)))
}

impl Freezer for CriuFreezer {
    fn next(&mut self, point: Point) -> Next {
        let begin = Instant::now();
        self.waiting += begin - self.told;
        let next = match point.asked {
            0 => {
                self.waiting = self.waiting.saturating_sub(begin - self.told);
                self.socket.drain();
                if let Some(pages) = &mut self.pages {
                    pages.end();
                }
                self.clear();
                Next::todo(point::HELPER)
            }
            1 => {
                let next = self.dump(point);
                self.dumping += begin.elapsed();
                next
            }
            2 => {
                let next = self.restore(point);
                self.restoring += begin.elapsed();
                next
            }
            _ => Next::todo(point::END),
        };
        self.told = Instant::now();
        next
    }

    fn take_mishaps(&mut self) -> Vec<Mishap> {
        std::mem::take(&mut self.mishaps)
    }

    fn times(&self) -> Vec<(&'static str, Duration)> {
        vec![("dump", self.dumping), ("restore", self.restoring), ("agent and starting criu", self.waiting)]
    }
}

#[cfg(test)]
mod tests {
    use super::first_error;

    #[test]
    fn the_first_error_is_the_reason() {
        let log = "(00.001) Warn  (criu/kerndat.c:1100): $XDG_RUNTIME_DIR not set\n\
                   (00.005) Error (criu/tun.c:85): tun: Unable to create tun: No such file or directory\n\
                   (00.009)     12: Error (criu/sk-unix.c:735): unix: Can't dump half of stream unix connection.\n\
                   (00.010) Error (criu/cr-dump.c:2060): Dumping FAILED.\n";
        assert_eq!(
            first_error(log).as_deref(),
            Some("criu/sk-unix.c: unix: Can't dump half of stream unix connection.")
        );
        assert_eq!(first_error("nothing of the kind"), None);
        assert_eq!(first_error("Error ("), None);
    }
}
