//! The jail: where random calls run without reaching the host. (interface)

use crate::target::TargetError;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Where the agent's file lies inside every jail.
pub const AGENT_PATH: &str = "/agent";

/// What the jail's root file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A fresh tmpfs with the agent, `/dev`, `/proc`, `/tmp` and `/w`, nothing else.
    Bare,
    /// The same, and the host's own top-level directories (`/usr`, `/bin`, `/lib`, `/etc`, `/home`, ...) read-only.
    Host,
}

/// How to build a jail and what to run in it as its process 1.
#[derive(Clone, Debug)]
pub struct JailSpec {
    /// Program and arguments, as paths inside the jail.
    pub argv: Vec<OsString>,
    /// The root file system.
    pub root: Root,
    /// Install the deny list of system calls before the program starts.
    pub filter: bool,
    /// System calls handed to the supervisor of [`Jailed::listener`] instead of the kernel.
    pub notify: Vec<u32>,
    /// Files of the host to be seen inside: host path, path inside (directly below `/`, such as `/layer`).
    pub bind: Vec<(PathBuf, String)>,
    /// Core to be pinned to.
    pub cpu: Option<usize>,
}

/// A running jail. Dropping it kills everything in it.
#[derive(Debug)]
pub struct Jailed {
    /// Its process 1, as the host numbers it.
    pub pid: i32,
    /// Write end of its standard input.
    pub stdin: Option<OwnedFd>,
    /// Read end of its standard output.
    pub stdout: Option<OwnedFd>,
    /// Read end of its standard error (non-blocking).
    pub stderr: OwnedFd,
    /// The seccomp notification listener, if `notify` was not empty.
    pub listener: Option<OwnedFd>,
}

/// Builds a jail and starts the program in it.
///
/// # Errors
/// [`TargetError::Jail`] with the step that failed: nothing has run then.
pub fn spawn(_spec: &JailSpec) -> Result<Jailed, TargetError> {
    unimplemented!()
}

/// Starts a command of the host's own in a process-id and mount namespace of its own: killing it, or the death of
/// this process, ends everything it started. (interface)
///
/// # Errors
/// [`TargetError::Jail`] with the step that failed.
pub fn spawn_contained(_argv: &[OsString], _cpu: Option<usize>) -> Result<Jailed, TargetError> {
    unimplemented!()
}
