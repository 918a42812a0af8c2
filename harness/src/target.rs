//! What every target offers: a version, a canary that proves the layer is really there, and instances.

use crate::link::Link;
use crate::targets::native::Native;
use std::path::PathBuf;
use std::sync::Arc;

/// Where an instance runs.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// Number of the pair it serves: 0, 1, ...
    pub worker: usize,
    /// The core to be pinned to, if any.
    pub cpu: Option<usize>,
}

/// Why a target, or the jail, cannot be had. Every text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is not installed, or not where the user said.
    #[error("{what} is not here: {hint}")]
    Missing {
        /// What was looked for.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The jail cannot be built, so nothing is run.
    #[error("the jail cannot be built: {step}: {error}. {hint}")]
    Jail {
        /// Which step failed.
        step: String,
        /// With what.
        error: std::io::Error,
        /// What to do.
        hint: String,
    },
    /// It started wrongly or not at all.
    #[error("{target} did not start: {why}")]
    Start {
        /// Which target.
        target: String,
        /// Why, with its own output.
        why: String,
    },
    /// It runs programs, but the layer is not active.
    #[error("{target} runs, but the layer is not active: {why}")]
    Inactive {
        /// Which target.
        target: String,
        /// How that was seen.
        why: String,
    },
    /// The pair was told to stop (see `Pair::stop_when`); nothing is wrong.
    #[error("stopped")]
    Stopped,
    /// An unknown name.
    #[error("unknown target `{name}`: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// A syscall layer that can be started.
pub trait Target: Send + Sync {
    /// The name the user gave, such as `gvisor` or `mutant:tty-shared-flags`.
    fn name(&self) -> String;
    /// The layer's version, as it reports it.
    ///
    /// # Errors
    /// It is not here.
    fn version(&self) -> Result<String, TargetError>;
    /// Starts one instance with an agent in it. The agent's hello has not been read yet.
    ///
    /// # Errors
    /// It is not here or does not start; the error carries what it printed.
    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError>;
    /// Proves, by starting an instance, that the layer is active; says how it was seen.
    ///
    /// # Errors
    /// As `start`, or [`TargetError::Inactive`].
    fn canary(&self) -> Result<String, TargetError>;
    /// The native side to compare it with: one that finds the same files around it.
    fn reference(&self) -> Arc<dyn Target> {
        Arc::new(Native)
    }
    /// How long one message may take before the layer counts as hung, in milliseconds, beyond the block budgets.
    fn patience_ms(&self) -> u64 {
        2_000
    }
    /// Whether each program is answered in a message of its own. That costs a little for each program, and saves
    /// running a batch again to find the one that hung or killed the layer.
    fn answers_each(&self) -> bool {
        true
    }
    /// How many instances a core has use for: several, where programs wait more than they compute.
    fn pairs_a_core(&self) -> usize {
        4
    }
    /// Whether it has a hand in programs at their checkpoints: then each program is given one.
    fn has_points(&self) -> bool {
        false
    }
    /// The layer's own program, where it has one.
    fn path(&self) -> Option<PathBuf> {
        None
    }
}

/// A running layer with an agent in it. Dropping it ends it and everything in it.
pub trait Instance: Send {
    /// The agent's pipes.
    fn link(&mut self) -> &mut Link;
    /// What the layer said before it died: its panic log or standard error, at most 64 KiB.
    fn last_words(&mut self) -> String;
    /// Ends it at once, and everything that runs in it.
    fn kill(&mut self);
}
