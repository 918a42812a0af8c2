//! qemu-user: `qemu-x86_64` translates the agent's instructions and hands on its system calls, inside the jail.

use super::host;
use super::native::NativeAmidHost;
use crate::jail::{self, AGENT_PATH, JailSpec, JailedInstance, Root};
use crate::target::{Instance, Slot, Target, TargetError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What to do when `qemu-x86_64` is not there.
pub const HINT: &str = "`script/install-targets` installs it on Debian 12 (package qemu-user), or give its path with --target-path";

/// How long it may take until the agent says hello; 10 ms is usual.
pub const HELLO_PATIENCE: Duration = Duration::from_secs(10);

/// One `qemu-x86_64`.
#[derive(Clone, Debug)]
pub struct QemuUser {
    path: PathBuf,
}

impl QemuUser {
    /// The `qemu-x86_64` at that path, or else in `PATH`.
    ///
    /// One that is not below `/usr` is shown to the jail as a single file, so it must be linked statically.
    ///
    /// # Errors
    /// [`TargetError::Missing`].
    pub fn new(path: Option<&Path>) -> Result<QemuUser, TargetError> {
        host::program(path, "qemu-x86_64", HINT).map(|path| QemuUser { path })
    }

    fn launch(&self, slot: &Slot) -> Result<JailedInstance, TargetError> {
        let (program, bind) = host::seen_in_jail(&self.path);
        let spec = JailSpec::new(vec![program, AGENT_PATH.into()], Root::Host);
        let jailed = jail::spawn(&JailSpec { bind, cpu: slot.cpu, ..spec })?;
        JailedInstance::new(jailed, &self.name())
    }

    /// The jail's process is qemu, and it executes none of the agent's pages itself.
    fn prove(&self, pid: i32) -> Result<String, String> {
        let what = |e: std::io::Error| format!("process {pid} cannot be looked at: {e}");
        if host::exe(pid).map_err(what)? != host::identity(&self.path).map_err(what)? {
            return Err(format!("process {pid} is no longer {}", self.path.display()));
        }
        if let Some(line) = host::native_agent(pid).map_err(what)? {
            return Err(format!("the agent's own code is executable: {line}"));
        }
        Ok(format!(
            "the agent's process is {}, and the agent's pages are not executable",
            self.path.display()
        ))
    }
}

impl Target for QemuUser {
    fn reference(&self) -> Arc<dyn Target> {
        Arc::new(NativeAmidHost { bind: host::seen_in_jail(&self.path).1 })
    }

    fn name(&self) -> String {
        "qemu-user".to_owned()
    }

    fn version(&self) -> Result<String, TargetError> {
        host::version_line(&self.path, &[]).ok_or_else(|| TargetError::Missing {
            what: format!("the version of {}", self.path.display()),
            hint: format!("is it a qemu-x86_64? {HINT}"),
        })
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        Ok(Box::new(self.launch(slot)?))
    }

    fn canary(&self) -> Result<String, TargetError> {
        let mut instance = self.launch(&Slot::default())?;
        host::hello(&mut instance, &self.name(), HELLO_PATIENCE)?;
        self.prove(instance.jail().pid).map_err(|why| TargetError::Inactive { target: self.name(), why })
    }

    fn pairs_a_core(&self) -> usize {
        // It translates each child's code anew: it computes more than its programs wait.
        2
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }
}
