//! A checkpoint under CRIU: the program is dumped and killed, and restored from its images as the agent's child.
//!
//! | The agent asks | It has | We | Then it |
//! |---|---|---|---|
//! | 0 | a stopped program | | starts `criu` |
//! | 1 | `criu` waiting | have it dump | waits for all that died, starts `criu` again |
//! | 2 | `criu` waiting | have it restore | waits for `criu`, continues the program |

use super::rpc::{Options, Socket, What};
use crate::freezer::{Freezer, Next, Point, without_numbers};
use parallax_corpus::trace::{Fate, Mishap};
use parallax_corpus::wire::point;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where `criu` finds its options inside.
pub(super) const CONFIG: &str = "/run/criu.conf";
/// Where it puts images and logs.
pub(super) const IMAGES: &str = "/run/img";
/// Most of a log that is read, bytes. The reason comes early: what goes wrong first is what is told.
const MAX_LOG: u64 = 256 << 10;
/// Most of a log that is kept with a case, bytes.
const KEPT_LOG: usize = 2 << 10;

/// Freezes the programs of one agent.
pub(super) struct CriuFreezer {
    socket: Socket,
    /// The agent's root as the host sees it.
    root: PathBuf,
    mishaps: Vec<Mishap>,
    /// When the agent was told to do what it tells of now.
    told: Instant,
    dumping: Duration,
    restoring: Duration,
    waiting: Duration,
    points: u32,
}

impl CriuFreezer {
    /// For the agent with that pid on the host, whose helper has the socket's other end.
    pub(super) fn new(socket: Socket, agent: i32) -> CriuFreezer {
        CriuFreezer {
            socket,
            root: PathBuf::from(format!("/proc/{agent}/root")),
            mishaps: Vec::new(),
            told: Instant::now(),
            dumping: Duration::ZERO,
            restoring: Duration::ZERO,
            waiting: Duration::ZERO,
            points: 0,
        }
    }

    fn options(&self, log: &str) -> Options {
        Options {
            images_dir_fd: -1,
            log_level: Some(1),
            log_file: Some(log.to_owned()),
            file_locks: Some(true),
            config_file: Some(CONFIG.to_owned()),
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
        let mut bytes = Vec::new();
        if let Ok(file) = File::open(self.root.join(&IMAGES[1..]).join(name)) {
            let _ = file.take(MAX_LOG).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Keeps a mishap with the log's first error as the reason.
    fn mishap(&mut self, fate: Fate, said: &str, log: &str) {
        let text = self.log(log);
        let reason = first_error(&text).unwrap_or_else(|| said.to_owned());
        let errors: Vec<&str> = text.lines().collect();
        let mut kept = errors.join("\n");
        if kept.len() > KEPT_LOG {
            let mut end = KEPT_LOG;
            while !kept.is_char_boundary(end) {
                end -= 1;
            }
            kept.truncate(end);
        }
        self.mishaps.push(Mishap { fate, reason: without_numbers(&reason), log: kept });
    }

    fn dump(&mut self, point: Point) -> Next {
        if point.result <= 0 {
            self.mishap(Fate::Lost, "criu cannot be started", "none");
            return Next::todo(point::END);
        }
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
        let options = Options { rst_sibling: Some(true), ..self.options("restore.log") };
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
    Some(format!("{file}: {text}"))
}

impl Freezer for CriuFreezer {
    fn next(&mut self, point: Point) -> Next {
        let begin = Instant::now();
        self.waiting += begin - self.told;
        let next = match point.asked {
            0 => {
                self.waiting = self.waiting.saturating_sub(begin - self.told);
                self.points += 1;
                self.socket.drain();
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
