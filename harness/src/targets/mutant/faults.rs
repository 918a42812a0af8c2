//! The table of faults: what each does, and which calls it listens to. Adding one is an entry here and a
//! handler in the file of its area.
//!
//! A handler says what becomes of one call of a program. It never sees a call of the agent itself (process 1
//! of the jail), so that the agent's report of its world stays true.

mod descriptors;
mod files;
mod layer;
pub(super) mod nr;
mod processes;
mod sockets;
mod time;
mod tty;

use super::call::Call;
use nix::errno::Errno;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel runs it: this call is not one the fault is about.
    Kernel,
    /// The kernel runs it, and something was changed behind the program's back.
    Tampered,
    /// It returns this value without having run.
    Value(i64),
    /// It fails with this errno without having run.
    Fail(Errno),
    /// It never returns.
    Silence,
}

/// What a handler returns. An error means that the fault cannot be injected faithfully into this call (its
/// descriptor is closed, its pointer is bad): the kernel runs it then, and gives its own error.
pub(super) type Handled = Result<Answer, Errno>;

/// One known fault.
pub struct Fault {
    /// Its name, as in `mutant:NAME`.
    pub name: &'static str,
    /// The area of the kernel it is in.
    pub area: &'static str,
    /// What a program sees, in one line.
    pub about: &'static str,
    /// The bug of a real layer that it copies, if it does: `1a`, `1b`, `2`, `3` or `4`.
    pub mission: Option<&'static str>,
    /// The system calls it listens to.
    pub calls: &'static [u32],
    /// What it makes of each.
    pub(super) handler: fn(&mut Call<'_>) -> Handled,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fault").field("name", &self.name).field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// The fault of that name.
pub fn named(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}

/// All faults, those of real layers first.
pub fn all() -> &'static [Fault] {
    FAULTS
}

/// Shorthand: a fault that copies no particular bug.
const fn fault(
    area: &'static str,
    name: &'static str,
    calls: &'static [u32],
    handler: fn(&mut Call<'_>) -> Handled,
    about: &'static str,
) -> Fault {
    Fault { name, area, about, mission: None, calls, handler }
}

/// Shorthand: a fault that copies a bug of a real layer.
const fn mission(number: &'static str, fault: Fault) -> Fault {
    Fault { mission: Some(number), ..fault }
}

static FAULTS: &[Fault] = &[
    mission(
        "1a",
        fault(
            "time",
            "rusage-user-exceeds-wall",
            &[nr::GETRUSAGE],
            time::user_exceeds_wall,
            "getrusage(RUSAGE_SELF) says a quarter of a second more user time than was used",
        ),
    ),
    mission(
        "1b",
        fault(
            "time",
            "rusage-children-is-self",
            &[nr::GETRUSAGE],
            time::children_is_self,
            "getrusage(RUSAGE_CHILDREN) gives the values of RUSAGE_SELF, even without children",
        ),
    ),
    mission(
        "2",
        fault(
            "terminals",
            "tty-shared-flags",
            &[nr::FCNTL],
            tty::shared_flags,
            "fcntl(F_SETFL) on one open of /dev/tty changes the process's other opens of it too",
        ),
    ),
    mission(
        "3",
        fault(
            "time",
            "time-zero-after-restore",
            &[nr::KILL, nr::TGKILL, nr::TIME],
            time::zero_after_restore,
            "after a checkpoint the system call time() returns 0, while the vdso tells the truth",
        ),
    ),
    mission(
        "4",
        fault(
            "memory",
            "memory-after-inject",
            &[nr::KILL, nr::TGKILL],
            layer::memory_after_inject,
            "a checkpoint changes eight bytes of the program's memory",
        ),
    ),
    // Terminals.
    fault(
        "terminals",
        "winsize-zero",
        &[nr::IOCTL],
        tty::winsize_zero,
        "TIOCGWINSZ says 0 rows and 0 columns",
    ),
    fault("terminals", "tcsets-echo-stuck", &[nr::IOCTL], tty::echo_stuck, "TCSETS cannot switch ECHO off"),
    fault(
        "terminals",
        "fionread-zero",
        &[nr::IOCTL],
        tty::fionread_zero,
        "FIONREAD says 0 whatever is queued",
    ),
    // Descriptors and events.
    fault(
        "files",
        "dupfd-cloexec-lost",
        &[nr::FCNTL],
        descriptors::dupfd_cloexec_lost,
        "fcntl(F_DUPFD_CLOEXEC) makes a descriptor without FD_CLOEXEC",
    ),
    fault(
        "files",
        "append-ignored",
        &[nr::FCNTL],
        descriptors::append_ignored,
        "fcntl(F_SETFL) accepts O_APPEND and drops it",
    ),
    fault(
        "pipes",
        "pipe-nonblock-lost",
        &[nr::PIPE2],
        descriptors::pipe_nonblock_lost,
        "pipe2(O_NONBLOCK) makes a pipe that blocks",
    ),
    fault(
        "events",
        "eventfd-semaphore-ignored",
        &[nr::EVENTFD2],
        descriptors::eventfd_semaphore_ignored,
        "eventfd2(EFD_SEMAPHORE) makes a plain counter: one read takes it all",
    ),
    fault(
        "events",
        "epoll-ctl-mod-enoent",
        &[nr::EPOLL_CTL],
        descriptors::epoll_mod_enoent,
        "epoll_ctl(EPOLL_CTL_MOD) fails with ENOENT on a registered descriptor",
    ),
    fault(
        "sockets",
        "shutdown-ignored",
        &[nr::SHUTDOWN],
        sockets::shutdown_ignored,
        "shutdown() says 0 and shuts nothing down",
    ),
    // Files.
    fault(
        "files",
        "lseek-end-off-by-one",
        &[nr::LSEEK],
        files::lseek_end_off_by_one,
        "lseek(SEEK_END) goes one byte too far",
    ),
    fault(
        "files",
        "ftruncate-negative-ok",
        &[nr::FTRUNCATE],
        files::ftruncate_negative_ok,
        "ftruncate() takes a negative length for done instead of EINVAL",
    ),
    fault(
        "directories",
        "readlink-counts-nul",
        &[nr::READLINK, nr::READLINKAT],
        files::readlink_counts_nul,
        "readlink() stores and counts a terminating NUL",
    ),
    fault(
        "directories",
        "rename-noreplace-overwrites",
        &[nr::RENAMEAT2],
        files::rename_noreplace_overwrites,
        "renameat2(RENAME_NOREPLACE) replaces an existing file",
    ),
    fault(
        "directories",
        "getdents-dots-lost",
        &[nr::GETDENTS64],
        files::getdents_dots_lost,
        "getdents64() leaves out `.` and `..`",
    ),
    // Time.
    fault(
        "time",
        "clock-behind-vdso",
        &[nr::CLOCK_GETTIME],
        time::clock_behind_vdso,
        "the system call clock_gettime() is one second behind the vdso",
    ),
    fault(
        "time",
        "nanosleep-einval-lost",
        &[nr::NANOSLEEP, nr::CLOCK_NANOSLEEP],
        time::nanosleep_einval_lost,
        "nanosleep() accepts a billion nanoseconds and more instead of EINVAL",
    ),
    fault(
        "events",
        "timerfd-gettime-zero",
        &[nr::TIMERFD_GETTIME],
        time::timerfd_gettime_zero,
        "timerfd_gettime() calls an armed timer disarmed",
    ),
    fault(
        "time",
        "getitimer-zero",
        &[nr::GETITIMER],
        time::getitimer_zero,
        "getitimer() calls an armed timer disarmed",
    ),
    // Processes and signals.
    fault("processes", "getppid-zero", &[nr::GETPPID], processes::getppid_zero, "getppid() returns 0"),
    fault(
        "processes",
        "umask-ignored",
        &[nr::UMASK],
        processes::umask_ignored,
        "umask() returns the mask in force and does not change it",
    ),
    fault(
        "limits",
        "rlimit-ignored",
        &[nr::PRLIMIT64, nr::SETRLIMIT],
        processes::rlimit_ignored,
        "prlimit64() and setrlimit() say 0 and set nothing",
    ),
    fault(
        "limits",
        "setpriority-ignored",
        &[nr::SETPRIORITY],
        processes::setpriority_ignored,
        "setpriority() says 0 and sets nothing",
    ),
    fault(
        "processes",
        "wait-echild-lost",
        &[nr::WAIT4],
        processes::wait_echild_lost,
        "wait4() without children returns 0 instead of ECHILD",
    ),
    fault(
        "signals",
        "sigpending-empty",
        &[nr::RT_SIGPENDING],
        processes::sigpending_empty,
        "rt_sigpending() says that nothing is pending",
    ),
    // Memory.
    fault(
        "memory",
        "mprotect-ignored",
        &[nr::MPROTECT],
        layer::mprotect_ignored,
        "mprotect() says 0 and protects nothing",
    ),
    fault(
        "memory",
        "madvise-dontneed-ignored",
        &[nr::MADVISE],
        layer::dontneed_ignored,
        "madvise(MADV_DONTNEED) says 0 and keeps the pages' content",
    ),
    // A second round: the areas that were thin.
    fault(
        "terminals",
        "tcflsh-ignored",
        &[nr::IOCTL],
        tty::tcflsh_ignored,
        "TCFLSH says 0 and throws nothing away",
    ),
    fault(
        "terminals",
        "winsize-stuck",
        &[nr::IOCTL],
        tty::winsize_stuck,
        "TIOCSWINSZ says 0 and sets nothing",
    ),
    fault(
        "events",
        "epoll-add-twice-ok",
        &[nr::EPOLL_CTL],
        descriptors::epoll_add_twice_ok,
        "epoll_ctl(EPOLL_CTL_ADD) accepts a registered descriptor instead of EEXIST",
    ),
    fault(
        "events",
        "inotify-rm-ignored",
        &[nr::INOTIFY_RM_WATCH],
        descriptors::inotify_rm_ignored,
        "inotify_rm_watch() says 0 and goes on watching",
    ),
    fault(
        "sockets",
        "setsockopt-ignored",
        &[nr::SETSOCKOPT],
        sockets::setsockopt_ignored,
        "setsockopt() says 0 and sets nothing (SO_BROADCAST, SO_KEEPALIVE, SO_PASSCRED)",
    ),
    fault(
        "sockets",
        "peek-consumes",
        &[nr::RECVFROM],
        sockets::peek_consumes,
        "recvfrom(MSG_PEEK) takes what it was to leave",
    ),
    fault(
        "sockets",
        "sockname-family-zero",
        &[nr::GETSOCKNAME],
        sockets::sockname_family_zero,
        "getsockname() of a socket pair says AF_UNSPEC",
    ),
    fault(
        "files",
        "fchmod-setid-lost",
        &[nr::FCHMOD],
        files::fchmod_setid_lost,
        "fchmod() drops the set-id and sticky bits",
    ),
    fault(
        "directories",
        "mkdir-exists-ok",
        &[nr::MKDIRAT],
        files::mkdir_exists_ok,
        "mkdirat() over an existing directory says 0 instead of EEXIST",
    ),
    fault(
        "directories",
        "fchdir-ignored",
        &[nr::FCHDIR],
        files::fchdir_ignored,
        "fchdir() to a directory says 0 and goes nowhere",
    ),
    fault(
        "time",
        "clock-coarse-einval",
        &[nr::CLOCK_GETTIME, nr::CLOCK_GETRES],
        time::clock_coarse_einval,
        "the system calls clock_gettime() and clock_getres() do not know the coarse clocks",
    ),
    fault(
        "limits",
        "rlimit-max-infinite",
        &[nr::GETRLIMIT, nr::PRLIMIT64],
        processes::rlimit_max_infinite,
        "getrlimit() and prlimit64() call every hard limit infinite",
    ),
    fault(
        "limits",
        "getpriority-off-by-one",
        &[nr::GETPRIORITY],
        processes::getpriority_off_by_one,
        "getpriority() gives one more",
    ),
    fault(
        "signals",
        "sigprocmask-query-empty",
        &[nr::RT_SIGPROCMASK],
        processes::sigprocmask_query_empty,
        "rt_sigprocmask() that only asks says that nothing is blocked",
    ),
    fault(
        "signals",
        "sigaction-query-default",
        &[nr::RT_SIGACTION],
        processes::sigaction_query_default,
        "rt_sigaction() that only asks says SIG_DFL, no flags, no mask",
    ),
    fault(
        "signals",
        "kill-probe-eperm",
        &[nr::KILL],
        processes::kill_probe_eperm,
        "kill() of oneself with signal 0 fails with EPERM",
    ),
    fault(
        "memory",
        "munmap-ignored",
        &[nr::MUNMAP],
        layer::munmap_ignored,
        "munmap() says 0 and keeps the pages",
    ),
    fault(
        "memory",
        "msync-unmapped-ok",
        &[nr::MSYNC],
        layer::msync_unmapped_ok,
        "msync() of pages that are not there says 0 instead of ENOMEM",
    ),
    // The layer as a whole.
    fault(
        "layer",
        "hang-on-inotify",
        &[nr::INOTIFY_INIT, nr::INOTIFY_INIT1],
        layer::hang,
        "inotify_init() hangs the layer",
    ),
    fault("layer", "crash-on-memfd", &[nr::MEMFD_CREATE], layer::crash, "memfd_create() kills the layer"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        for (k, fault) in all().iter().enumerate() {
            assert!(fault.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", fault.name);
            assert!(all()[..k].iter().all(|other| other.name != fault.name), "{} twice", fault.name);
            assert!(!fault.calls.is_empty() && !fault.about.is_empty(), "{}", fault.name);
            assert_eq!(named(fault.name).map(|f| f.about), Some(fault.about));
        }
    }

    #[test]
    fn every_bug_of_a_real_layer_has_its_copy() {
        let numbers: Vec<_> = all().iter().filter_map(|fault| fault.mission).collect();
        assert_eq!(numbers, ["1a", "1b", "2", "3", "4"]);
    }

    #[test]
    fn every_fault_is_documented() {
        let page = include_str!("../../../../docs/mutants.md");
        for fault in all() {
            let row = format!("| `{}` | {} |", fault.name, fault.area);
            assert!(page.contains(&row), "docs/mutants.md lacks {row}");
        }
    }
}
