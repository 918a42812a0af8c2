//! What has a hand in a program at its checkpoints: dumps and restores it, puts code into it, saves the whole sandbox.
//! See `docs/decisions/0019-points.md`.

use parallax_corpus::trace::Mishap;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A program that has stopped at a checkpoint, as its agent tells it.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Its process id as the agent sees it.
    pub pid: i32,
    /// How often the agent has asked at this checkpoint: 0 is the first time.
    pub asked: u32,
    /// What came of the last thing the agent was told to do: a wait status, a process id, a negative errno.
    pub result: i32,
}

/// What is to happen next.
#[derive(Debug, Default)]
pub struct Next {
    /// What the agent does: bits of `parallax_corpus::wire::point`.
    pub todo: u32,
    /// The agent has other pipes from now on: the one it reads from, and the one it writes to.
    pub pipes: Option<(OwnedFd, OwnedFd)>,
}

impl Next {
    /// The agent does that.
    pub fn todo(todo: u32) -> Next {
        Next { todo, pipes: None }
    }
}

/// Somebody with a hand in programs at their checkpoints.
pub trait Freezer: Send {
    /// Does the next step at a checkpoint and says what the agent is to do. What goes wrong is kept as a mishap: the
    /// agent waits for an answer whatever happens.
    fn next(&mut self, point: Point) -> Next;
    /// What went wrong since this was asked last.
    fn take_mishaps(&mut self) -> Vec<Mishap>;
    /// What it all has cost so far, by steps.
    fn times(&self) -> Vec<(&'static str, Duration)> {
        Vec::new()
    }
}

/// Numbers out of a reason: what differs from run to run (process ids, inodes, addresses) becomes `N`.
pub fn without_numbers(reason: &str) -> String {
    let mut plain = String::with_capacity(reason.len());
    let mut word = String::new();
    let flush = |word: &mut String, plain: &mut String| {
        let hex = word.strip_prefix("0x").unwrap_or(word);
        let number = hex.bytes().all(|b| b.is_ascii_hexdigit()) && hex.bytes().any(|b| b.is_ascii_digit());
        match number {
            true => plain.push('N'),
            false => plain.push_str(&word.replace(|c: char| c.is_ascii_digit(), "N")),
        }
        word.clear();
    };
    for c in reason.chars() {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            flush(&mut word, &mut plain);
        }
        plain.push(c);
    }
    if !word.is_empty() {
        flush(&mut word, &mut plain);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn a_reason_is_the_same_in_every_run() {
        for (said, kept) in [
            ("Can't dump task 4711: no 0x7ffe12ab page", "Can't dump task N: no N page"),
            ("unix: Unix socket 0x1f3 without peer b3af", "unix: Unix socket N without peer N"),
            ("face of a deaf bee", "face of a deaf bee"),
            ("sk-unix.c says AF_INET6", "sk-unix.c says AF_INETN"),
            ("", ""),
        ] {
            assert_eq!(without_numbers(said), kept);
        }
    }
}
