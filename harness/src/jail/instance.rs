//! A jail with an agent in it, as a target's instance.

use super::Jailed;
use crate::link::Link;
use crate::target::{Instance, TargetError};

/// A jail whose standard input and output are an agent's pipes. For every target whose layer runs in a jail.
#[derive(Debug)]
pub struct JailedInstance {
    // Before `jailed`: the agent sees its pipe close, then is killed.
    link: Link,
    jailed: Jailed,
}

impl JailedInstance {
    /// Takes the pipes of the jail, for the target of that name.
    ///
    /// # Errors
    /// [`TargetError::Start`] if somebody has taken them already.
    pub fn new(mut jailed: Jailed, target: &str) -> Result<JailedInstance, TargetError> {
        match (jailed.stdin.take(), jailed.stdout.take()) {
            (Some(to), Some(from)) => {
                Ok(JailedInstance { link: Link::new(to, from).with_terminal(jailed.terminal.take()), jailed })
            }
            _ => Err(TargetError::Start { target: target.to_owned(), why: "its pipes are taken".to_owned() }),
        }
    }

    /// The jail itself: its pid, its listener.
    pub fn jail(&mut self) -> &mut Jailed {
        &mut self.jailed
    }
}

impl Instance for JailedInstance {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn last_words(&mut self) -> String {
        let mut words = self.jailed.stderr_text();
        if let Some(end) = self.jailed.exited() {
            if !words.is_empty() && !words.ends_with('\n') {
                words.push('\n');
            }
            words.push_str(&end);
        }
        words
    }

    fn kill(&mut self) {
        self.jailed.kill();
    }
}
