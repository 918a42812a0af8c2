//! qemu-user: `qemu-x86_64` translates the agent's instructions and hands on its system calls, inside the jail.

use super::host;
use super::inmate::Inmate;
use crate::jail::{self, AGENT_PATH, JailSpec, Root};
use crate::target::{Instance, Slot, Target, TargetError};
use std::fs;
use std::path::{Path, PathBuf};
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

    fn launch(&self, slot: &Slot) -> Result<Inmate, TargetError> {
        let (program, bind) = host::seen_in_jail(&self.path);
        let jailed = jail::spawn(&JailSpec {
            argv: vec![program, AGENT_PATH.into()],
            root: Root::Host,
            filter: true,
            notify: Vec::new(),
            bind,
            cpu: slot.cpu,
        })?;
        Inmate::new(jailed, &self.name())
    }

    /// The jail's process is qemu, and it executes none of the agent's pages itself.
    fn prove(&self, pid: i32) -> Result<String, String> {
        let what = |e: std::io::Error| format!("process {pid} cannot be looked at: {e}");
        if host::exe(pid).map_err(what)? != host::identity(&self.path).map_err(what)? {
            return Err(format!("process {pid} is no longer {}", self.path.display()));
        }
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(what)?;
        if let Some(line) = executable_agent(&maps) {
            return Err(format!("the agent's own code is executable: {line}"));
        }
        Ok(format!(
            "the agent's process is {}, and the agent's pages are not executable",
            self.path.display()
        ))
    }
}

/// The line of `/proc/PID/maps` that would let the agent run without qemu: its file, or the place of its program
/// headers in an executable mapping.
fn executable_agent(maps: &str) -> Option<&str> {
    let home = agent_addresses();
    maps.lines().find(|line| {
        let mut words = line.split_ascii_whitespace();
        let range = words.next().and_then(|r| r.split_once('-'));
        let executable = words.next().is_some_and(|mode| mode.contains('x'));
        let file = line.split_ascii_whitespace().nth(5);
        let overlaps = range.is_some_and(|(start, end)| {
            let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
            number(start) < home.end && number(end) > home.start
        });
        executable && (file == Some(AGENT_PATH) || overlaps)
    })
}

/// Where the agent, a static executable at fixed addresses, wants its loadable segments (elf(5), `PT_LOAD`).
fn agent_addresses() -> std::ops::Range<u64> {
    let word = |at: usize, width: usize| {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(crate::AGENT.get(at..at + width).unwrap_or(&[0; 8][..width]));
        u64::from_le_bytes(bytes) as usize
    };
    let (table, size, count) = (word(32, 8), word(54, 2), word(56, 2));
    let (mut start, mut end) = (u64::MAX, 0);
    for header in (0..count).map(|k| table + k * size) {
        const PT_LOAD: usize = 1;
        if word(header, 4) == PT_LOAD {
            let address = word(header + 16, 8) as u64;
            start = start.min(address);
            end = end.max(address + word(header + 40, 8) as u64);
        }
    }
    start..end
}

impl Target for QemuUser {
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
        let mut inmate = self.launch(&Slot::default())?;
        let (pid, _) = inmate.hello(&self.name(), HELLO_PATIENCE)?;
        self.prove(pid).map_err(|why| TargetError::Inactive { target: self.name(), why })
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_lies_at_fixed_low_addresses() {
        let home = agent_addresses();
        assert!(home.start >= 0x1_0000 && home.end < 0x1_0000_0000 && home.start < home.end, "{home:x?}");
    }

    #[test]
    fn code_that_runs_natively_is_noticed_by_file_or_by_address() {
        let home = agent_addresses().start;
        let page =
            |mode: &str, file: &str| format!("{home:x}-{:x} {mode} 00000000 00:01 7 {file}", home + 4096);
        let other = "7f0000000000-7f0000001000 r-xp 00000000 00:01 8 /usr/bin/qemu-x86_64";
        let translated = format!("{}\n{other}", page("r--p", "/agent"));
        assert_eq!(executable_agent(&translated), None);
        let native = page("r-xp", "/agent");
        assert_eq!(executable_agent(&native), Some(native.as_str()));
        assert!(executable_agent(&page("r-xp", "")).is_some());
        assert!(executable_agent("7f0000000000-7f0000001000 r-xp 00000000 00:01 7 /agent").is_some());
    }
}
