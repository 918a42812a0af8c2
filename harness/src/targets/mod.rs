//! The targets: one file each, chosen by name.
//!
//! [`host`] is what several of them share.

pub mod command;
pub mod compel;
pub mod criu;
pub mod gvisor;
pub mod gvisor_checkpoint;
pub mod host;
pub mod mutant;
pub mod native;
pub mod qemu_user;
mod shown;

use crate::jail::Root;
use crate::target::{Target, TargetError};
use command::CommandTarget;
use compel::Compel;
use criu::Criu;
use gvisor::Gvisor;
use gvisor_checkpoint::GvisorCheckpoint;
use mutant::Mutant;
use native::{Native, NativeKeeping};
use qemu_user::QemuUser;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// `--target`.
    pub name: Option<String>,
    /// `--target-cmd`.
    pub command: Option<String>,
    /// `--target-path`.
    pub path: Option<PathBuf>,
}

/// Every name `--target` takes, as it is shown to people.
const NAMES: &str = "known are native, native:points, gvisor, gvisor:systrap, gvisor:ptrace, gvisor-checkpoint, qemu-user, criu, criu:OPTION,..., compel, compel:threads and mutant:FAULT \
                     (see `parallax targets`), or any command with --target-cmd";

/// The names `parallax targets` looks at.
const LISTED: [&str; 8] = [
    "native",
    "gvisor:systrap",
    "gvisor:ptrace",
    "qemu-user",
    "criu",
    "compel",
    "gvisor-checkpoint",
    DEFAULT_MUTANT,
];

/// What [`best`] tries, the most telling layer first.
const PREFERRED: [&str; 3] = ["gvisor", "qemu-user", DEFAULT_MUTANT];

/// The planted fault that stands for the mutants in lists.
const DEFAULT_MUTANT: &str = "mutant:tty-shared-flags";

/// The target of that choice; without a name and a command, the [`best`].
///
/// # Errors
/// There is none of that name, or what it needs is not installed.
pub fn choose(choice: &Choice) -> Result<Arc<dyn Target>, TargetError> {
    let path = choice.path.as_deref();
    match (&choice.name, &choice.command) {
        (Some(name), None) => named(name, path),
        (None, Some(template)) => Ok(Arc::new(CommandTarget::new(template)?)),
        (None, None) => best(),
        (Some(name), Some(_)) => Err(TargetError::Unknown {
            name: name.clone(),
            known: "--target and --target-cmd exclude each other".to_owned(),
        }),
    }
}

fn named(name: &str, path: Option<&Path>) -> Result<Arc<dyn Target>, TargetError> {
    let (layer, kind) = name.split_once(':').map_or((name, None), |(layer, kind)| (layer, Some(kind)));
    Ok(match (layer, kind) {
        ("native", None) => Arc::new(Native),
        ("native", Some("points")) => Arc::new(NativeKeeping { root: Root::Bare, bind: Vec::new() }),
        ("gvisor", platform) => Arc::new(Gvisor::named(platform, path)?),
        ("gvisor-checkpoint", platform) => Arc::new(GvisorCheckpoint::named(platform, path)?),
        ("qemu-user", None) => Arc::new(QemuUser::new(path)?),
        ("compel", option) => Arc::new(Compel::named(option, path)?),
        ("criu", options) => Arc::new(Criu::named(options, path)?),
        ("mutant", fault) => Arc::new(Mutant::named(fault.unwrap_or("tty-shared-flags"))?),
        _ => return Err(TargetError::Unknown { name: name.to_owned(), known: NAMES.to_owned() }),
    })
}

/// The first target that is active: gVisor, qemu-user, a mutant.
///
/// # Errors
/// [`TargetError::Missing`] with every one's reason.
pub fn best() -> Result<Arc<dyn Target>, TargetError> {
    let mut reasons = Vec::new();
    for name in PREFERRED {
        match named(name, None).and_then(|target| target.canary().map(|_| target)) {
            Ok(target) => return Ok(target),
            Err(e) => reasons.push(format!("{name}: {e}")),
        }
    }
    Err(TargetError::Missing { what: "an active target".to_owned(), hint: reasons.join("; ") })
}

/// What is known of one target on this machine.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    /// Its name for `--target`.
    pub name: String,
    /// Where its program is, if it has one and it was found.
    pub path: Option<PathBuf>,
    /// Its version, as it reports it.
    pub version: Option<String>,
    /// Whether its canary passed.
    pub active: bool,
    /// How that was seen, or why it is not active and what to do.
    pub reason: String,
}

/// Every named target, looked for and tried: an instance of each is started. Takes about a second.
pub fn all_known() -> Vec<Known> {
    LISTED.iter().map(|name| known(name)).collect()
}

fn known(name: &str) -> Known {
    let target = named(name, None);
    let seen =
        target.as_ref().map_err(ToString::to_string).and_then(|t| t.canary().map_err(|e| e.to_string()));
    let target = target.ok();
    Known {
        name: name.to_owned(),
        path: target.as_ref().and_then(|t| t.path()),
        version: target.and_then(|t| t.version().ok()),
        active: seen.is_ok(),
        reason: seen.unwrap_or_else(|e| e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        for name in ["gvisr", "qemu-user:7", "gvisor:kvm", ""] {
            let choice = Choice { name: Some(name.into()), ..Choice::default() };
            let said = choose(&choice).err().expect("unknown").to_string();
            // A machine without runsc says so before it looks at the platform's name.
            assert!(said.contains(name) && (said.contains("systrap") || said.contains("install")), "{said}");
        }
    }

    #[test]
    fn a_name_and_a_command_exclude_each_other() {
        let choice =
            Choice { name: Some("gvisor".into()), command: Some("proot {agent}".into()), path: None };
        assert!(choose(&choice).err().expect("both").to_string().contains("exclude"));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        for name in ["gvisor", "qemu-user"] {
            let choice =
                Choice { name: Some(name.into()), path: Some("/nowhere/layer".into()), command: None };
            let said = choose(&choice).err().expect("nowhere").to_string();
            assert!(said.contains("/nowhere/layer") && said.contains("--target-path"), "{said}");
        }
    }
}
