//! The pipes to an agent: whole messages out, whole messages back, with deadlines.

use crate::freezer::{Freezer, Point};
use crate::terminal::Terminal;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use parallax_corpus::trace::Mishap;
use parallax_corpus::wire;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a message did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nothing, or not all of it, in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The other end is gone.
    #[error("the agent's pipe is closed")]
    Closed,
    /// What came is no message of the protocol.
    #[error("not the agent's protocol: {0}")]
    Garbage(String),
    /// Whoever waited was told to stop.
    #[error("stopped")]
    Stopped,
    /// Another error of the pipe.
    #[error("pipe: {0}")]
    Io(#[from] Errno),
}

/// Says whether to stop waiting.
pub type StopWhen = Arc<dyn Fn() -> bool + Send + Sync>;

/// Time between two looks at [`StopWhen`].
const SLICE: Duration = Duration::from_millis(200);

/// The two pipes of one agent.
pub struct Link {
    to: OwnedFd,
    from: OwnedFd,
    stop: Option<StopWhen>,
    terminal: Option<Terminal>,
    freezer: Option<Box<dyn Freezer>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("to", &self.to).field("from", &self.from).finish_non_exhaustive()
    }
}

impl Link {
    /// Takes the pipe the agent reads from and the one it writes to.
    pub fn new(to: OwnedFd, from: OwnedFd) -> Link {
        Link { to, from, stop: None, terminal: None, freezer: None }
    }

    /// Holds the agent's outside terminal, and answers for it while it waits.
    pub fn with_terminal(self, terminal: Option<Terminal>) -> Link {
        Link { terminal, ..self }
    }

    /// Has the agent's checkpoints passed to that.
    pub fn set_freezer(&mut self, freezer: Box<dyn Freezer>) {
        self.freezer = Some(freezer);
    }

    /// What went wrong at checkpoints since this was asked last.
    pub fn take_mishaps(&mut self) -> Vec<Mishap> {
        self.freezer.as_mut().map(|f| f.take_mishaps()).unwrap_or_default()
    }

    /// What checkpoints have cost so far, by its steps.
    pub fn point_times(&self) -> Vec<(&'static str, Duration)> {
        self.freezer.as_ref().map(|f| f.times()).unwrap_or_default()
    }

    /// From now on waiting ends as [`LinkError::Stopped`] soon after `stop` says so.
    pub fn stop_when(&mut self, stop: Option<StopWhen>) {
        self.stop = stop;
    }

    /// Sends a whole request, its length already in front.
    ///
    /// # Errors
    /// The agent does not take it in time, or is gone.
    pub fn send(&mut self, mut bytes: &[u8], patience: Duration) -> Result<(), LinkError> {
        let deadline = Instant::now() + patience;
        // A request larger than the pipe blocks until the agent reads on; the deadline covers that by
        // waiting for room first. PIPE_BUF-sized pieces never block once poll says there is room.
        while !bytes.is_empty() {
            self.wait(&self.to, PollFlags::POLLOUT, deadline, patience)?;
            let piece = &bytes[..bytes.len().min(4096)];
            match write(&self.to, piece) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::EPIPE) => return Err(LinkError::Closed),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Reads a whole message: what follows its length. Events on the way are answered.
    ///
    /// # Errors
    /// It does not come in time, is too long, or the agent is gone; or an event is none.
    pub fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, LinkError> {
        let deadline = Instant::now() + patience;
        loop {
            let body = self.message(deadline, patience)?;
            if body[..4] != wire::MAGIC_EVENT.to_le_bytes() {
                return Ok(body);
            }
            let answer = self.event(&body)?;
            self.send(&answer, deadline.saturating_duration_since(Instant::now()))?;
        }
    }

    /// Does what an event asks for; gives its acknowledgement.
    fn event(&mut self, body: &[u8]) -> Result<Vec<u8>, LinkError> {
        let word = |at: usize| body[at..at + 4].try_into().map(u32::from_le_bytes).unwrap_or_default();
        if !(12..=wire::MAX_EVENT).contains(&body.len()) {
            return Err(LinkError::Garbage(format!("an event of {} bytes", body.len())));
        }
        let garbage = |what: String| LinkError::Garbage(what);
        let (ret, bytes) = if word(8) == wire::outside::POINT {
            (self.point(&body[12..])?, Vec::new())
        } else {
            let terminal =
                self.terminal.as_ref().ok_or_else(|| garbage("an event without a terminal".into()))?;
            terminal.answer(word(8), &body[12..]).map_err(garbage)?
        };
        let mut answer = (16 + bytes.len() as u32).to_le_bytes().to_vec();
        answer.extend(wire::MAGIC_ACK.to_le_bytes());
        answer.extend(word(4).to_le_bytes());
        answer.extend(ret.to_le_bytes());
        answer.extend(bytes);
        Ok(answer)
    }

    /// A program has stopped at a checkpoint: what the agent is to do.
    fn point(&mut self, rest: &[u8]) -> Result<i64, LinkError> {
        let garbage = |what: &str| LinkError::Garbage(what.to_owned());
        let freezer = self.freezer.as_mut().ok_or_else(|| garbage("a checkpoint nobody asked for"))?;
        let mut words =
            rest.chunks_exact(4).map(|word| i32::from_le_bytes(word.try_into().unwrap_or_default()));
        let (Some(pid), Some(asked), Some(result)) = (words.next(), words.next(), words.next()) else {
            return Err(garbage("a checkpoint without its words"));
        };
        let point = Point { pid, asked: asked as u32, result };
        let next = freezer.next(point);
        if let Some((to, from)) = next.pipes {
            (self.to, self.from) = (to, from);
        }
        Ok(next.todo.into())
    }

    fn message(&self, deadline: Instant, patience: Duration) -> Result<Vec<u8>, LinkError> {
        let mut head = [0; 4];
        self.fill(&mut head, deadline, patience)?;
        let len = u32::from_le_bytes(head) as usize;
        if !(8..=wire::MAX_MESSAGE).contains(&len) {
            return Err(LinkError::Garbage(format!("a message of {len} bytes")));
        }
        let mut body = vec![0; len];
        self.fill(&mut body, deadline, patience)?;
        Ok(body)
    }

    fn fill(&self, mut buf: &mut [u8], deadline: Instant, patience: Duration) -> Result<(), LinkError> {
        while !buf.is_empty() {
            self.wait(&self.from, PollFlags::POLLIN, deadline, patience)?;
            match read(&self.from, buf) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(n) => buf = &mut buf[n..],
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn wait(
        &self,
        fd: &OwnedFd,
        events: PollFlags,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), LinkError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LinkError::Timeout(patience));
            }
            if self.stop.as_ref().is_some_and(|stop| stop()) {
                return Err(LinkError::Stopped);
            }
            let slice = if self.stop.is_some() { left.min(SLICE) } else { left };
            let ms = PollTimeout::try_from(slice.as_millis() as u64 + 1).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(fd.as_fd(), events)], ms) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Reads the agent's hello.
    ///
    /// # Errors
    /// As [`Link::receive`]; or it is another protocol version.
    pub fn hello(&mut self, patience: Duration) -> Result<Environment, LinkError> {
        Environment::decode(&self.receive(patience)?)
    }
}

/// The world an agent found itself in, as it reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The words of [`wire::hello`].
    pub words: Vec<u64>,
    /// `uname -s -n -r -v -m` as the agent saw them.
    pub uname: [String; 5],
}

impl Environment {
    fn decode(body: &[u8]) -> Result<Environment, LinkError> {
        let garbage = |what: &str| LinkError::Garbage(what.to_owned());
        let want = 4 + wire::hello::WORDS * 8 + wire::UTSNAME;
        if body.len() != want || body[..4] != wire::MAGIC_HELLO.to_le_bytes() {
            return Err(garbage("no hello"));
        }
        let (words, names) = body[4..].split_at(wire::hello::WORDS * 8);
        let words: Vec<u64> =
            words.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default())).collect();
        if words[wire::hello::VERSION] != wire::VERSION {
            return Err(garbage("an agent of another version"));
        }
        let mut names = names.chunks_exact(65).map(|c| {
            let end = c.iter().position(|&b| b == 0).unwrap_or(c.len());
            String::from_utf8_lossy(&c[..end]).into_owned()
        });
        let uname = std::array::from_fn(|_| names.next().unwrap_or_default());
        Ok(Environment { words, uname })
    }

    /// Whether the agent has an outside terminal.
    pub fn has_outer(&self) -> bool {
        self.words[wire::hello::WORLD] & wire::hello::OUTER != 0
    }

    /// Whether the vdso function `wire::VDSO_*` is there.
    pub fn has_vdso(&self, function: u32) -> bool {
        self.words[wire::hello::VDSO] >> function & 1 != 0
    }

    /// What differs between two worlds and could explain a divergence, as readable lines.
    pub fn differences(&self, other: &Environment) -> Vec<String> {
        use wire::hello as h;
        let named = [
            (h::PID, "pid"),
            (h::PPID, "ppid"),
            (h::UID, "uid"),
            (h::EUID, "euid"),
            (h::GID, "gid"),
            (h::EGID, "egid"),
            (h::UMASK, "umask"),
            (h::PAGE_SIZE, "page size"),
            (h::VDSO, "vdso functions"),
            (h::CWD_FS, "file system of the working directory"),
            (h::CAPS, "capabilities"),
            (h::SIGMASK, "signal mask"),
            (h::PTY, "pty pair"),
            (h::WORLD, "/proc and /dev"),
            (h::PERSONALITY, "personality"),
        ];
        let mut lines = Vec::new();
        for (word, name) in named {
            if self.words[word] != other.words[word] {
                lines
                    .push(format!("{name}: native {:#x}, target {:#x}", self.words[word], other.words[word]));
            }
        }
        for k in 0..32 {
            let (a, b) = (self.words[h::RLIMITS + k], other.words[h::RLIMITS + k]);
            if a != b {
                lines.push(format!(
                    "{} limit {}: native {a:#x}, target {b:#x}",
                    ["soft", "hard"][k / 16],
                    k % 16
                ));
            }
        }
        for (k, name) in ["sysname", "nodename", "release", "version", "machine"].iter().enumerate() {
            if self.uname[k] != other.uname[k] {
                lines.push(format!("{name}: native {:?}, target {:?}", self.uname[k], other.uname[k]));
            }
        }
        lines
    }
}
