//! The helper `parallax-compel`: infects a process with libcompel's parasite, cures it, and says what is not as it was.
//!
//! The helper is a program of its own (`harness/compel`, built by `script/build-compel`), since libcompel is a C library
//! of another licence that few machines have. Requests and answers are those of `harness/compel/wire.h`.

mod difference;

use crate::targets::host;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, read};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub use difference::{Area, Difference};

/// The protocol's version, the helper's first word.
const VERSION: &str = "2";
const HEADER: usize = 32;
const ENTRY: usize = 32;
/// Most differences an answer lists, and most bytes of its log.
const MOST_LISTED: usize = 64;
const MOST_LOG: usize = 2048;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hello = 1,
    Infect = 2,
    Look = 3,
}

/// How to infect. The bits of `flags` in `wire.h`.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Run the parasite in every thread.
    pub threads: bool,
    /// Compare the debug registers too, in which libcompel leaves the address of its breakpoint.
    pub debug: bool,
    /// Wait until a process that was stopped is stopped again, and tell it if it is not. Whoever continues it right
    /// afterwards need not wait: SIGCONT takes back a stop that is on its way.
    pub settle: bool,
    /// Change that on purpose after the cure: so a test sees that it is seen.
    pub spoil: Option<Area>,
}

impl How {
    fn flags(self) -> u32 {
        u32::from(self.threads)
            | u32::from(self.debug) << 1
            | u32::from(self.settle) << 3
            | self.spoil.map_or(0, |area| area as u32) << 8
    }
}

/// Which step of an infection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The process cannot be stopped.
    Stop = 1,
    /// It cannot be looked at.
    Look = 2,
    /// libcompel refuses it.
    Prepare = 3,
    /// The parasite did not get in.
    Infect = 4,
    /// It did not answer rightly.
    Call = 5,
    /// It did not get out.
    Cure = 6,
    /// The process was not let go.
    Resume = 7,
    /// The helper does not know the request.
    Request = 8,
    /// The parasite did not get in, and the process is as it was.
    Decline = 9,
}

impl Step {
    const ALL: [Step; 9] = [
        Step::Stop,
        Step::Look,
        Step::Prepare,
        Step::Infect,
        Step::Call,
        Step::Cure,
        Step::Resume,
        Step::Request,
        Step::Decline,
    ];

    /// Whether the process is as it was: nothing has been put into it, or all of it was taken out.
    pub fn is_untouched(self) -> bool {
        matches!(self, Step::Stop | Step::Look | Step::Prepare | Step::Request | Step::Decline)
    }
}

/// What the helper says of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The step that failed.
    pub failed: Option<Step>,
    /// Differences there are.
    pub count: usize,
    /// The first of them.
    pub differences: Vec<Difference>,
    /// Pages that were compared.
    pub pages: u32,
    /// Pages and other things there was no room for.
    pub skipped: u32,
    /// Threads that were looked at.
    pub threads: u32,
    /// What libcompel said, if a step failed.
    pub log: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It cannot be started.
    #[error("the helper does not start: {0}")]
    Start(std::io::Error),
    /// It said nothing in time.
    #[error("the helper does not answer within {0:?}")]
    Timeout(Duration),
    /// It has ended.
    #[error("the helper has ended")]
    Ended,
    /// It said what is no answer.
    #[error("not the helper's protocol: {0}")]
    Garbage(&'static str),
    /// Its pipe fails.
    #[error("the helper's pipe: {0}")]
    Io(std::io::Error),
}

/// A running helper. Dropping it ends it; so does this process's end, by its input.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    patience: Duration,
    /// A request went wrong, so what comes next is not the answer to the next.
    broken: bool,
}

impl Helper {
    /// Starts the helper at that path, on that core if one is named, where the processes it infects should be too.
    /// `patience` is how long it may take to answer.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(path: &Path, cpu: Option<usize>, patience: Duration) -> Result<Helper, HelperError> {
        let mut child = Command::new(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .env_clear()
            .current_dir("/")
            .spawn()
            .map_err(HelperError::Start)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(HelperError::Garbage("no pipes"));
        };
        if let Some(cpu) = cpu {
            let mut set = CpuSet::new();
            // A core that is not there: then anywhere.
            let _ = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(child.id() as i32), &set));
        }
        Ok(Helper { child, to, from, patience, broken: false })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it was built with, such as `libcompel 4.2.1`.
    ///
    /// # Errors
    /// There is no answer, or it speaks another version of the protocol.
    pub fn version(&mut self) -> Result<String, HelperError> {
        let said = self.ask(Kind::Hello, 0, 0)?.log;
        match said.split_once(' ') {
            Some((VERSION, library)) => Ok(library.to_owned()),
            _ => Err(HelperError::Garbage("another version: run script/build-compel")),
        }
    }

    /// Infects the process with that number (the host's), has the parasite answer twice, cures the process, and
    /// compares. A stopped process is stopped afterwards (see [`How::settle`]), a running one runs.
    ///
    /// # Errors
    /// There is no answer. The process may be anything then, and the helper is of no more use.
    pub fn infect(&mut self, pid: i32, how: How) -> Result<Answer, HelperError> {
        self.ask(Kind::Infect, pid, how.flags())
    }

    /// The same without infecting it: whatever differs then is noise.
    ///
    /// # Errors
    /// As [`Helper::infect`].
    pub fn look(&mut self, pid: i32, how: How) -> Result<Answer, HelperError> {
        self.ask(Kind::Look, pid, how.flags())
    }

    fn ask(&mut self, kind: Kind, pid: i32, flags: u32) -> Result<Answer, HelperError> {
        if self.broken {
            return Err(HelperError::Ended);
        }
        self.broken = true;
        let mut request = [0; 16];
        for (place, word) in request.chunks_exact_mut(4).zip([16, kind as u32, pid as u32, flags]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        match self.to.write_all(&request) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Err(HelperError::Ended),
            Err(e) => return Err(HelperError::Io(e)),
        }
        let deadline = Instant::now() + self.patience;
        let mut head = [0; HEADER];
        self.fill(&mut head, deadline)?;
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if !(HEADER..=HEADER + MOST_LISTED * ENTRY + MOST_LOG).contains(&len) {
            return Err(HelperError::Garbage("its length"));
        }
        let mut rest = vec![0; len - HEADER];
        self.fill(&mut rest, deadline)?;
        let answer = decode(&head, &rest).ok_or(HelperError::Garbage("its content"))?;
        self.broken = false;
        Ok(answer)
    }

    fn fill(&self, mut buf: &mut [u8], deadline: Instant) -> Result<(), HelperError> {
        while !buf.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(HelperError::Timeout(self.patience));
            }
            let ms = PollTimeout::try_from(left.as_millis() as u64 + 1).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)], ms) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(e) => return Err(HelperError::Io(e.into())),
            }
            match read(&self.from, buf) {
                Ok(0) => return Err(HelperError::Ended),
                Ok(n) => buf = &mut buf[n..],
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(e) => return Err(HelperError::Io(e.into())),
            }
        }
        Ok(())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It holds nothing that is worth its leave-taking; whom it had stopped goes on.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer out of its two parts. What does not fit together is none.
fn decode(head: &[u8; HEADER], rest: &[u8]) -> Option<Answer> {
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok();
    let long = |bytes: &[u8], at: usize| bytes.get(at..at + 8)?.try_into().map(u64::from_le_bytes).ok();
    let error = word(head, 4)? as i32;
    let failed = match error {
        0 => None,
        _ => Some(Step::ALL.into_iter().find(|step| *step as i32 == error.wrapping_neg())?),
    };
    let listed = word(head, 12)? as usize;
    let log_len = word(head, 28)? as usize;
    if listed > MOST_LISTED || log_len > MOST_LOG || rest.len() != listed * ENTRY + log_len {
        return None;
    }
    let (entries, log) = rest.split_at(listed * ENTRY);
    let differences = entries
        .chunks_exact(ENTRY)
        .map(|entry| {
            Some(Difference {
                area: Area::of(word(entry, 0)?)?,
                thread: word(entry, 4)?,
                place: long(entry, 8)?,
                before: long(entry, 16)?,
                after: long(entry, 24)?,
            })
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Answer {
        failed,
        count: word(head, 8)? as usize,
        differences,
        pages: word(head, 16)?,
        skipped: word(head, 20)?,
        threads: word(head, 24)?,
        log: String::from_utf8_lossy(log).into_owned(),
    })
}

/// The host's number of the process that is `inside` in the pid namespace of `parent`'s children, if it is one of them.
pub fn child_of(parent: i32, inside: i32) -> Option<i32> {
    let is_it = |pid: &i32| {
        let status = host::proc_text(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        line.and_then(|l| l.split_whitespace().next_back()).and_then(|n| n.parse().ok()) == Some(inside)
    };
    match host::proc_text(format!("/proc/{parent}/task/{parent}/children")) {
        Ok(children) => children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_it),
        // A kernel without that file.
        Err(_) => host::family(parent).into_iter().skip(1).find(is_it),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_read_as_it_is_written() {
        let mut head = [0; HEADER];
        let words = [HEADER + ENTRY + 2, (-6i32) as u32 as usize, 70, 1, 40, 3, 2, 2];
        for (place, word) in head.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&(word as u32).to_le_bytes());
        }
        let mut rest = Vec::new();
        rest.extend(2u32.to_le_bytes());
        rest.extend(1u32.to_le_bytes());
        for long in [2u64 << 32 | 80, 7, 9] {
            rest.extend(long.to_le_bytes());
        }
        rest.extend(b"no");
        let answer = decode(&head, &rest).expect("an answer");
        assert_eq!(answer.failed, Some(Step::Cure));
        assert_eq!((answer.count, answer.pages, answer.skipped, answer.threads), (70, 40, 3, 2));
        assert_eq!(answer.log, "no");
        let said = "upper halves of the ymm registers of thread 1 (0x200000050): 0x7 before, 0x9 after";
        assert_eq!(answer.differences[0].to_string(), said);
    }

    proptest! {
        #[test]
        fn whatever_a_helper_says_is_an_answer_or_none(head in any::<[u8; HEADER]>(), rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(answer) = decode(&head, &rest) {
                for difference in &answer.differences {
                    let _ = difference.to_string();
                }
                prop_assert!(answer.differences.len() * ENTRY + answer.log.len() <= rest.len() * 3);
            }
        }
    }

    #[test]
    fn a_helper_that_speaks_otherwise_is_found_out() {
        let patience = Duration::from_millis(500);
        for program in ["/bin/cat", "/bin/true"] {
            let mut helper = Helper::start(Path::new(program), None, patience).expect("it starts");
            assert!(helper.version().is_err(), "{program}");
            assert!(matches!(helper.version(), Err(HelperError::Ended)), "{program}");
        }
        assert!(matches!(
            Helper::start(Path::new("/nowhere/helper"), None, patience),
            Err(HelperError::Start(_))
        ));
    }
}
