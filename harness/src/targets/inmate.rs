//! The instance most targets have: one jail, its agent's pipes, and what it said on standard error.

use super::host;
use crate::jail::Jailed;
use crate::link::{Environment, Link};
use crate::target::{Instance, TargetError};
use std::time::Duration;

/// Most bytes of [`Instance::last_words`].
pub const LAST_WORDS: usize = 64 << 10;

/// A layer in a jail.
#[derive(Debug)]
pub struct Inmate {
    link: Link,
    /// `None` once it is killed.
    jailed: Option<Jailed>,
    words: Vec<u8>,
}

impl Inmate {
    /// Takes over a jail, of which nobody has taken the pipes yet.
    ///
    /// # Errors
    /// [`TargetError::Start`] if somebody has.
    pub fn new(mut jailed: Jailed, target: &str) -> Result<Inmate, TargetError> {
        let (Some(to), Some(from)) = (jailed.stdin.take(), jailed.stdout.take()) else {
            return Err(TargetError::Start { target: target.to_owned(), why: "it has no pipes".to_owned() });
        };
        Ok(Inmate { link: Link::new(to, from), jailed: Some(jailed), words: Vec::new() })
    }

    /// Process 1 of the jail as the host numbers it; `None` after [`Instance::kill`].
    pub fn pid(&self) -> Option<i32> {
        self.jailed.as_ref().map(|j| j.pid)
    }

    /// Waits for the agent's hello and says what the layer printed if it does not come.
    ///
    /// # Errors
    /// [`TargetError::Start`].
    pub fn hello(&mut self, target: &str, patience: Duration) -> Result<(i32, Environment), TargetError> {
        let why = match (self.pid(), self.link.hello(patience)) {
            (Some(pid), Ok(seen)) => return Ok((pid, seen)),
            (_, Err(e)) => e.to_string(),
            (None, Ok(_)) => "it was killed".to_owned(),
        };
        let words = self.last_words();
        Err(TargetError::Start {
            target: target.to_owned(),
            why: format!("its agent said no hello: {why}. It printed: {:?}", words.trim_end()),
        })
    }
}

impl Instance for Inmate {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn last_words(&mut self) -> String {
        if let Some(jailed) = &self.jailed {
            host::drain(&jailed.stderr, &mut self.words, LAST_WORDS);
        }
        host::text_of(&self.words, LAST_WORDS)
    }

    fn kill(&mut self) {
        // Its standard error goes with the jail: what it holds is kept first.
        self.last_words();
        self.jailed = None;
    }
}
