//! The jail: where random calls run without reaching the host.
//!
//! [`spawn`] builds one in one `clone(2)`: new user, pid, mount, network, IPC and UTS namespaces, a private root on a
//! tmpfs, no capabilities, limits, `no_new_privs` and, if asked, a seccomp deny list. It works as root and as an
//! ordinary user alike (Linux 5.12 or newer), and if any step can't be done it says which and runs nothing.
//!
//! | File | What lives there |
//! |---|---|
//! | `plan.rs` | what a jail looks like: the list of steps |
//! | `setup.rs` | the child, which takes them |
//! | `parent.rs` | pipes, `clone`, id maps, the child's report |
//! | `filter.rs` | the deny list as BPF |
//! | `sys.rs` | the system calls: all of the `unsafe` code |
//! | `instance.rs` | a jail as a target's instance |
//!
//! What a jail does not bound is memory: without a memory cgroup nothing can. Its processes are the first that the
//! kernel kills when memory runs out (`oom_score_adj` 1000).

mod filter;
mod instance;
mod parent;
mod plan;
mod setup;
mod sys;

pub use filter::deny_list_message;
pub use instance::JailedInstance;
pub use plan::limits;

use crate::target::TargetError;
use crate::terminal::Terminal;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use parallax_corpus::wire;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the agent's file lies inside every jail.
pub const AGENT_PATH: &str = "/agent";
/// Most that is kept of what a jail prints, in bytes.
pub const MAX_WORDS: usize = 64 << 10;

/// What the jail's root file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A fresh tmpfs (64 MiB) with the agent, `/dev`, `/proc`, `/tmp` and `/w`, nothing else.
    Bare,
    /// The same (512 MiB), and the host's own top-level directories (`/usr`, `/bin`, `/lib`, `/etc`, `/home`, ...)
    /// read-only. Not the host's `/tmp`, `/run`, `/dev`, `/sys` and `/proc`.
    ///
    /// Read-only keeps files as they are; it doesn't keep a program from *connecting* to a unix socket that lies
    /// there and that the jail's id may write to. As root that id is nobody's; as an ordinary user it is the user's.
    Host,
    /// The same, for a layer that makes namespaces of its own (`bwrap`); no use with the deny list. The program keeps one
    /// capability, CAP_SETFCAP, without which the kernel lets nobody map uid 0 into a nested user namespace. It is worth
    /// nothing else here: no privilege can be gained from a file. The layer should drop it (`bwrap --cap-drop ALL`).
    Nest,
}

/// How to build a jail and what to run in it as its process 1.
#[derive(Clone, Debug)]
pub struct JailSpec {
    /// Program and arguments, as paths inside the jail. The program's path is taken as it is, not searched for.
    pub argv: Vec<OsString>,
    /// The root file system.
    pub root: Root,
    /// Install the deny list of system calls before the program starts. [`Root::Host`] without it is for layers that
    /// trace (`proot`), [`Root::Nest`] without it for those that make namespaces (`bwrap`). Where it is off and the root
    /// is not bare, `/proc` is whole, with `/proc/sys` (read-only to the jail's id), as a nested `/proc` asks for.
    pub filter: bool,
    /// System calls handed to the supervisor of [`Jailed::listener`] instead of the kernel. Not `execve`, which the
    /// jail itself still has to make.
    pub notify: Vec<u32>,
    /// Files and directories of the host to be seen inside, read-only: host path, path inside. That is directly below
    /// `/`, such as `/layer`, or anywhere below `/tmp`, `/run` or a top-level directory of the host's; of which the
    /// jail then shows nothing else. None may lie in another. At most 32.
    pub bind: Vec<(PathBuf, String)>,
    /// Give it an outside terminal if the host has one: the controlling terminal of its session, as descriptor
    /// [`wire::FD_TERMINAL`].
    pub terminal: bool,
    /// Keep all rights of root for process 1, which is the agent with `--keep` and takes them from its programs: for a
    /// layer that dumps and restores them. There is no user namespace then; `/proc` is whole, with what acts on the whole
    /// machine read-only, and `/run` and `/tmp` are file systems of its own. Only root can build it.
    pub keep: bool,
    /// Further variables of process 1's environment.
    pub env: Vec<(String, String)>,
    /// Further descriptors: the number inside (3 to 255) and what it is.
    pub fds: Vec<(RawFd, Arc<OwnedFd>)>,
    /// Core to be pinned to.
    pub cpu: Option<usize>,
}

impl JailSpec {
    /// That program in a jail with that root and the deny list, an outside terminal, and nothing else.
    pub fn new(argv: Vec<OsString>, root: Root) -> JailSpec {
        JailSpec {
            argv,
            root,
            filter: true,
            notify: Vec::new(),
            bind: Vec::new(),
            terminal: true,
            keep: false,
            env: Vec::new(),
            fds: Vec::new(),
            cpu: None,
        }
    }
}

/// How to run a program of the host that has to see the host: a layer that builds a sandbox itself, such as `runsc`.
#[derive(Clone, Debug)]
pub struct ContainedSpec {
    /// Program and arguments. The program's path is taken as it is, not searched for.
    pub argv: Vec<OsString>,
    /// Working directory.
    pub cwd: PathBuf,
    /// The whole environment. [`ContainedSpec::usual_env`] makes the usual one.
    pub env: Vec<(OsString, OsString)>,
    /// Further descriptors: the number inside (3 to 255) and what it is.
    pub fds: Vec<(RawFd, Arc<OwnedFd>)>,
    /// Make an outside terminal its standard input, output and error and the controlling terminal of its
    /// session; its pipes are [`wire::FD_IN`] and [`wire::FD_OUT`] then, and what it says in its last words is lost.
    pub terminal: bool,
    /// Core to be pinned to.
    pub cpu: Option<usize>,
}

impl ContainedSpec {
    /// PATH, HOME, TMPDIR and XDG_RUNTIME_DIR as they are here, those that are.
    pub fn usual_env() -> Vec<(OsString, OsString)> {
        let names = ["PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR"];
        names.iter().filter_map(|n| Some((OsString::from(n), std::env::var_os(n)?))).collect()
    }
}

/// A running jail. Dropping it kills everything in it, and so does the death of this process, even by SIGKILL.
#[derive(Debug)]
pub struct Jailed {
    /// Its process 1, as the host numbers it. Once it has been reaped the number may be another's.
    pub pid: i32,
    /// Write end of its standard input.
    pub stdin: Option<OwnedFd>,
    /// Read end of its standard output.
    pub stdout: Option<OwnedFd>,
    /// Read end of its standard error (non-blocking). Whoever expects much there calls [`Jailed::stderr_text`] now and
    /// then: a full pipe stops the writer.
    pub stderr: OwnedFd,
    /// The seccomp notification listener, if `notify` was not empty.
    pub listener: Option<OwnedFd>,
    /// Its outside terminal, if it has one.
    pub terminal: Option<Terminal>,
    pidfd: OwnedFd,
    ended: Option<String>,
    said: Vec<u8>,
}

impl Jailed {
    fn new(child: sys::Child, stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd) -> Jailed {
        let sys::Child { pid, pidfd } = child;
        Jailed {
            pid,
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr,
            listener: None,
            terminal: None,
            pidfd,
            ended: None,
            said: Vec::new(),
        }
    }

    /// Ends process 1, and with it everything inside (pid_namespaces(7)), and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            // ESRCH: it has ended by itself.
            let _ = sys::kill_by(self.pidfd.as_fd());
            self.wait();
        }
    }

    /// How process 1 ended, such as `exit status 3` or `killed by SIGSEGV`; nothing while it runs. Doesn't wait.
    pub fn exited(&mut self) -> Option<String> {
        self.reap(WaitPidFlag::WNOHANG);
        self.ended.clone()
    }

    /// Waits for its end.
    fn wait(&mut self) -> String {
        self.reap(WaitPidFlag::empty());
        self.ended.clone().unwrap_or_default()
    }

    fn reap(&mut self, how: WaitPidFlag) {
        while self.ended.is_none() {
            self.ended = match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | how) {
                Ok(WaitStatus::Exited(_, status)) => Some(format!("exit status {status}")),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("killed by {signal}")),
                Ok(WaitStatus::StillAlive) => return,
                Err(Errno::EINTR) => None,
                // A signal nix has no name for; or somebody ignores SIGCHLD and the kernel has reaped it.
                Ok(_) | Err(_) => Some("ended, nobody saw how".to_owned()),
            };
        }
    }

    /// What it has printed on its standard error so far: the first [`MAX_WORDS`] bytes. Doesn't wait.
    pub fn stderr_text(&mut self) -> String {
        let mut piece = [0; 4096];
        loop {
            match nix::unistd::read(&self.stderr, &mut piece) {
                Ok(n) if n > 0 => {
                    // The rest is read too, so that the writer doesn't stop.
                    let room = MAX_WORDS.saturating_sub(self.said.len()).min(n);
                    self.said.extend_from_slice(&piece[..room]);
                }
                Err(Errno::EINTR) => {}
                _ => return String::from_utf8_lossy(&self.said).into_owned(),
            }
        }
    }
}

impl Drop for Jailed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What to do where the host has no terminal to give.
const TERMINALS: &str = "Mount a devpts on /dev/pts, or raise `sysctl kernel.pty.max`";

fn refused(step: &str, error: std::io::Error, hint: &str) -> TargetError {
    TargetError::Jail { step: step.to_owned(), error, hint: hint.to_owned() }
}

/// Builds a jail and starts the program in it.
///
/// Inside, the program is process 1 of a session of its own, uid and gid 0 of its user namespace, without any
/// capability (but see [`Root::Nest`]), in `/w`, umask 022, with no descriptors but 0, 1 and 2, signals at their defaults, and addresses that
/// are not random. On the host its id is one that nobody has (if Parallax is root) or the user's own.
///
/// # Errors
/// [`TargetError::Jail`] with the step that failed: nothing has run then.
pub fn spawn(spec: &JailSpec) -> Result<Jailed, TargetError> {
    if spec.notify.contains(&(libc::SYS_execve as u32)) {
        let hint = "Take execve out of the calls to be supervised: the jail makes it itself";
        return Err(refused("supervising calls", Errno::EINVAL.into(), hint));
    }
    if spec.keep {
        return spawn_keeping(spec);
    }
    let namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    let ids = parent::Ids::for_jail()?;
    let terminal = if spec.terminal { ids.terminal() } else { None };
    let places = parent::Places { pipes: [0, 1], terminal: vec![wire::FD_TERMINAL] };
    parent::start(namespaces, Some(ids), places, terminal, &spec.fds, |streams| {
        plan::jail(spec, streams, ids.privileged)
    })
}

/// A jail whose process 1 keeps its rights.
fn spawn_keeping(spec: &JailSpec) -> Result<Jailed, TargetError> {
    if !nix::unistd::geteuid().is_root() {
        let hint = "Run as root: dumping and restoring needs rights over the whole machine";
        return Err(refused("keeping rights in the jail", Errno::EPERM.into(), hint));
    }
    let namespaces =
        libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let terminal = if spec.terminal { Terminal::open(None).ok() } else { None };
    let places = parent::Places { pipes: [0, 1], terminal: vec![wire::FD_TERMINAL] };
    parent::start(namespaces, None, places, terminal, &spec.fds, |streams| plan::jail(spec, streams, true))
}

/// Starts a program of the host in a pid and mount namespace of its own with a fresh `/proc`, so that killing its
/// process 1 ends whatever it has started, however it detached itself.
///
/// This is no protection from the program, which the user trusts. As root it keeps all rights of root. An ordinary
/// user can't make a pid namespace without a user namespace: there the program sees itself as uid 0, which is the
/// user, and supplementary groups stay as they are but can't be changed.
///
/// The program is process 1: signals it has no handler for pass it by (except from outside by [`Jailed::kill`]), and
/// orphans become its children.
///
/// # Errors
/// [`TargetError::Jail`] with the step that failed: nothing has run then.
pub fn spawn_contained(spec: &ContainedSpec) -> Result<Jailed, TargetError> {
    let ids = (!nix::unistd::geteuid().is_root()).then(parent::Ids::own);
    let namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWNS | ids.map_or(0, |_| libc::CLONE_NEWUSER);
    let open = || Terminal::open(None).map_err(|e| refused("opening a terminal", e.into(), TERMINALS));
    let terminal = if spec.terminal { Some(open()?) } else { None };
    let pipes = if terminal.is_some() { [wire::FD_IN, wire::FD_OUT] } else { [0, 1] };
    let places = parent::Places { pipes, terminal: vec![0, 1, 2] };
    parent::start(namespaces, ids, places, terminal, &spec.fds, |streams| {
        plan::contained(spec, streams, ids.is_some())
    })
}
