//! The child's side: a list of prepared steps and the loop that takes them between `clone` and `execve`.
//!
//! The steps are data, so that everything that needs memory is made before the `clone`, and so that the child need
//! only say the number of the step that failed. See [`super::sys`] for what the code here may do.

use super::filter;
use super::sys::{self, Strings, Sys};
use libc::sock_filter;
use nix::errno::Errno;
use std::ffi::CString;
use std::os::fd::RawFd;

/// Most mounts a child may hold detached at once.
pub(super) const MAX_TREES: usize = 32;
/// The step number of the report "about to exec", which carries the listener.
pub(super) const READY: i32 = -1;

/// A file's content.
#[derive(Debug)]
pub(super) enum Content {
    Agent,
    Nothing,
}

/// One thing the child does.
#[derive(Debug)]
pub(super) enum Op {
    /// Puts descriptors in their places and closes the ranges between those that stay.
    Descriptors {
        places: Vec<(RawFd, RawFd)>,
        close: Vec<(u32, u32)>,
    },
    /// Default actions and an empty mask.
    Signals,
    /// Waits until the parent has written the id maps.
    Wait,
    /// Takes uid and gid 0 of the new user namespace.
    Identity {
        drop_groups: bool,
    },
    /// Dies with the parent from here on.
    DieWithParent,
    /// Leaves the session and so the terminal of the user.
    Session,
    /// Makes that descriptor's terminal the session's.
    Terminal(RawFd),
    /// `mount(2)`.
    Mount {
        source: Option<CString>,
        target: CString,
        kind: Option<CString>,
        flags: u64,
        data: Option<CString>,
    },
    /// A new procfs; without `/proc/sys` and the like if `only_pids` and the kernel can.
    Proc {
        target: CString,
        only_pids: bool,
    },
    /// Copies the mount at `path` (as it is before the new root hides it) into that slot.
    TakeTree {
        path: CString,
        slot: usize,
    },
    /// The parent has copied it already.
    HaveTree {
        fd: RawFd,
        slot: usize,
    },
    /// Attaches the copy read-only.
    AttachTree {
        slot: usize,
        target: CString,
    },
    /// Binds a host path and everything below, read-only. What isn't `needed` may be missing.
    BindHost {
        source: CString,
        target: CString,
        needed: bool,
    },
    Directory {
        path: CString,
        mode: u32,
    },
    Symlink {
        to: CString,
        path: CString,
    },
    File {
        path: CString,
        mode: u32,
        content: Content,
    },
    /// A character device, mode 0666.
    Device {
        path: CString,
        major: u32,
        minor: u32,
        owner: u32,
    },
    Chdir(CString),
    /// The working directory becomes the root.
    Pivot,
    Hostname {
        name: CString,
        domain: CString,
    },
    /// Changes into a network namespace where listing sockets is cheap.
    SmallTables,
    /// Brings the network namespace's own interface up: programs talk to themselves.
    Loopback,
    Umask(u32),
    /// Resource, soft and hard limit.
    Limits(Vec<(u32, u64, u64)>),
    Personality(i32),
    Pin([u64; 16]),
    /// All of them, but those of the mask.
    DropCapabilities {
        keep: u64,
    },
    NoNewPrivileges,
    Filter(Vec<sock_filter>),
    /// Installs the notifying filter, if any, and runs the program.
    Exec {
        argv: Strings,
        env: Strings,
        notify: Vec<sock_filter>,
    },
}

/// A step: what is done, and how an error calls it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) name: String,
}

/// The whole way from `clone` to `execve`.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// The child's end of the report socket, in its final place.
    pub(super) report: RawFd,
}

/// Runs in the child. Comes back only if a step failed, with the exit status.
pub(super) fn run(plan: &Plan) -> i32 {
    let mut trees: [RawFd; MAX_TREES] = [-1; MAX_TREES];
    for (number, step) in plan.steps.iter().enumerate() {
        if let Err(e) = take(&step.op, plan.report, &mut trees) {
            let _ = sys::send_report(plan.report, [number as i32, e as i32], None);
            return 125;
        }
    }
    125
}

fn take(op: &Op, report: RawFd, trees: &mut [RawFd; MAX_TREES]) -> Sys {
    match op {
        Op::Descriptors { places, close } => {
            for &(from, to) in places {
                sys::dup_to(from, to)?;
            }
            for &(first, last) in close {
                sys::close_range(first, last)?;
            }
            Ok(())
        }
        Op::Signals => sys::reset_signals(),
        Op::Wait => match sys::receive_byte(report, false) {
            Ok(true) => Ok(()),
            // The parent has given up or is gone: nobody would read a report.
            _ => sys::exit(125),
        },
        Op::Identity { drop_groups } => sys::become_inner_root(*drop_groups),
        Op::DieWithParent => {
            // After `Identity`: a change of ids clears it.
            sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize, 0)?;
            // The parent may have died before. Its pid isn't visible from in here, its end of the socket is.
            if !sys::receive_byte(report, true)? {
                sys::exit(125);
            }
            Ok(())
        }
        Op::Session => sys::setsid(),
        Op::Terminal(fd) => sys::take_terminal(*fd),
        Op::Mount { source, target, kind, flags, data } => {
            sys::mount(source.as_deref(), target, kind.as_deref(), *flags, data.as_deref())
        }
        Op::Proc { target, only_pids } => {
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            let proc = |data| sys::mount(Some(c"proc"), target, Some(c"proc"), flags, data);
            if *only_pids && proc(Some(c"subset=pid")).is_ok() {
                return Ok(());
            }
            proc(None)
        }
        Op::TakeTree { path, slot } => {
            let tree = sys::open_tree(path)?;
            keep(trees, *slot, tree)
        }
        Op::HaveTree { fd, slot } => keep(trees, *slot, *fd),
        Op::AttachTree { slot, target } => {
            sys::attach_mount(trees.get(*slot).copied().ok_or(Errno::EBADF)?, target)?;
            sys::seal_mounts(target)
        }
        Op::BindHost { source, target, needed } => {
            match sys::mount(Some(source), target, None, libc::MS_BIND | libc::MS_REC, None) {
                Ok(()) => sys::seal_mounts(target),
                Err(_) if !needed => Ok(()),
                Err(e) => Err(e),
            }
        }
        Op::Directory { path, mode } => sys::mkdir(path, *mode),
        Op::Symlink { to, path } => sys::symlink(to, path),
        Op::File { path, mode, content } => {
            let content = match content {
                Content::Agent => crate::AGENT,
                Content::Nothing => &[],
            };
            sys::create(path, *mode, content)
        }
        Op::Device { path, major, minor, owner } => sys::make_device(path, *major, *minor, *owner),
        Op::Chdir(path) => sys::chdir(path),
        Op::Pivot => sys::pivot_here(),
        Op::Hostname { name, domain } => sys::name_host(name, domain),
        Op::SmallTables => sys::small_tables(),
        Op::Loopback => sys::loopback_up(),
        Op::Umask(mask) => {
            sys::umask(*mask);
            Ok(())
        }
        Op::Limits(limits) => {
            limits.iter().try_for_each(|&(resource, soft, hard)| sys::set_limit(resource, soft, hard))
        }
        Op::Personality(persona) => sys::personality(*persona),
        Op::Pin(cores) => sys::pin(cores),
        Op::DropCapabilities { keep } => drop_capabilities(*keep),
        Op::NoNewPrivileges => sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop),
        Op::Filter(program) => sys::install_filter(program, 0).map(drop),
        Op::Exec { argv, env, notify } => {
            let listener = if notify.is_empty() {
                None
            } else {
                Some(sys::install_filter(notify, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?)
            };
            // From here on the child may only make the calls that `filter::notify` lets pass.
            sys::send_report(report, [READY, 0], listener)?;
            Err(sys::execve(argv, env))
        }
    }
}

fn keep(trees: &mut [RawFd; MAX_TREES], slot: usize, tree: RawFd) -> Sys {
    *trees.get_mut(slot).ok_or(Errno::EMFILE)? = tree;
    Ok(())
}

/// `SECBIT_NOROOT`, `NO_SETUID_FIXUP`, `NO_CAP_AMBIENT_RAISE` and their locks (capabilities(7)): an exec as uid 0 gives
/// nothing back. `KEEP_CAPS` stays free: without capabilities there is nothing to keep, and programs may set it.
const SECUREBITS: usize = 0x3 | 0xc | 0xc0;

fn drop_capabilities(keep: u64) -> Sys {
    let kept = |capability: usize| keep >> capability & 1 != 0;
    // What is kept goes through the exec as an ambient capability, and to be that it must be inheritable first.
    sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0)?;
    if keep != 0 {
        sys::set_inheritable(keep)?;
        for capability in (0..64).filter(|&c| kept(c)) {
            sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as usize, capability)?;
        }
    }
    sys::prctl(libc::PR_SET_SECUREBITS, SECUREBITS, 0)?;
    // CAP_LAST_CAP is not known here: the first number past it says EINVAL.
    for capability in (0..64).filter(|&c| !kept(c)) {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            Ok(_) => {}
            Err(Errno::EINVAL) if capability > 0 => break,
            Err(e) => return Err(e),
        }
    }
    sys::set_capabilities(keep)
}

/// The notifying filter for `numbers`, or none.
pub(super) fn notifier(numbers: &[u32], report: RawFd) -> Vec<sock_filter> {
    if numbers.is_empty() { Vec::new() } else { filter::notify(numbers, report) }
}
