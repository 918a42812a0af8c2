//! Native Linux, the reference: the agent in a jail, bare unless the layer's own shows more.

use crate::jail::{self, AGENT_PATH, JailSpec, JailedInstance, Root};
use crate::target::{Instance, Slot, Target, TargetError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long an agent may take to say hello. It takes a millisecond.
const HELLO: Duration = Duration::from_secs(10);

/// The kernel this runs on. The same as root and as an ordinary user.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

/// The same with the host's directories around the agent: the reference for a layer whose jail shows them, since a
/// program may list `/` on both sides.
#[derive(Clone, Debug)]
pub struct NativeAmidHost {
    /// What the layer's jail binds beyond them, as in [`JailSpec::bind`].
    pub bind: Vec<(PathBuf, String)>,
}

/// The same where process 1 keeps its rights, which its programs do not have: the reference for layers that dump
/// and restore programs.
#[derive(Clone, Debug)]
pub struct NativeKeeping {
    /// The layer's own root.
    pub root: Root,
    /// What the layer's jail binds, as in [`JailSpec::bind`].
    pub bind: Vec<(PathBuf, String)>,
}

impl Target for NativeKeeping {
    fn name(&self) -> String {
        "native:points".to_owned()
    }

    fn version(&self) -> Result<String, TargetError> {
        Native.version()
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        let argv = [AGENT_PATH, "--filter", "--keep"].map(Into::into).into();
        let spec = JailSpec::new(argv, self.root);
        let spec = JailSpec { bind: self.bind.clone(), keep: true, cpu: slot.cpu, ..spec };
        let mut instance = JailedInstance::new(jail::spawn(&spec)?, "native")?;
        let _ = instance.link().send(&jail::deny_list_message(), HELLO);
        Ok(Box::new(instance))
    }

    fn answers_each(&self) -> bool {
        Native.answers_each()
    }

    fn canary(&self) -> Result<String, TargetError> {
        Native.canary()
    }

    fn reference(&self) -> Arc<dyn Target> {
        Arc::new(self.clone())
    }

    fn has_points(&self) -> bool {
        true
    }
}

fn launch(root: Root, bind: Vec<(PathBuf, String)>, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
    let spec = JailSpec { bind, cpu: slot.cpu, ..JailSpec::new(vec![AGENT_PATH.into()], root) };
    Ok(Box::new(JailedInstance::new(jail::spawn(&spec)?, "native")?))
}

impl Target for NativeAmidHost {
    fn name(&self) -> String {
        Native.name()
    }

    fn version(&self) -> Result<String, TargetError> {
        Native.version()
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        launch(Root::Host, self.bind.clone(), slot)
    }

    fn answers_each(&self) -> bool {
        Native.answers_each()
    }

    fn canary(&self) -> Result<String, TargetError> {
        Native.canary()
    }
}

impl Target for Native {
    fn name(&self) -> String {
        "native".to_owned()
    }

    /// Release and version as uname(2) has them, such as `6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC ...`.
    fn version(&self) -> Result<String, TargetError> {
        let trouble = |e: nix::Error| TargetError::Missing { what: "uname".to_owned(), hint: e.to_string() };
        let names = nix::sys::utsname::uname().map_err(trouble)?;
        Ok(format!("{} {}", names.release().to_string_lossy(), names.version().to_string_lossy()))
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        launch(Root::Bare, Vec::new(), slot)
    }

    fn answers_each(&self) -> bool {
        // Linux does not hang, and a batch that its load delays is run again.
        false
    }

    fn canary(&self) -> Result<String, TargetError> {
        let mut instance = self.start(&Slot::default())?;
        match instance.link().hello(HELLO) {
            Ok(world) => {
                // What the kernel says outside and inside of the jail must be the same kernel.
                let release = self.version()?;
                if !release.starts_with(&world.uname[2]) {
                    let why = format!("the agent sees release {:?}, here it is {release:?}", world.uname[2]);
                    return Err(TargetError::Inactive { target: self.name(), why });
                }
                Ok(format!("the agent in its jail sees Linux {}", world.uname[2]))
            }
            Err(e) => {
                let why = format!("{e}; {}", instance.last_words());
                Err(TargetError::Start { target: self.name(), why })
            }
        }
    }
}
