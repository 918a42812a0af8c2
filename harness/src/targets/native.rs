//! Native Linux, the reference: the agent in a bare jail.

use crate::jail::{self, AGENT_PATH, JailSpec, JailedInstance, Root};
use crate::target::{Instance, Slot, Target, TargetError};
use std::time::Duration;

/// How long an agent may take to say hello. It takes a millisecond.
const HELLO: Duration = Duration::from_secs(10);

/// The kernel this runs on. The same as root and as an ordinary user.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

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
        let jailed = jail::spawn(&JailSpec {
            argv: vec![AGENT_PATH.into()],
            root: Root::Bare,
            filter: true,
            notify: Vec::new(),
            bind: Vec::new(),
            cpu: slot.cpu,
        })?;
        Ok(Box::new(JailedInstance::new(jailed, "native")?))
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
