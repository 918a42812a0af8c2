//! The table of faults: what each does, and which calls it listens to. Adding one is an entry here and a
//! handler in the file of its area.
//!
//! A handler says what becomes of one call of a program. It never sees a call of the agent itself (process 1
//! of the jail), so that the agent's report of its world stays true.

mod descriptors;
mod files;
mod layer;
mod processes;
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
    name: &'static str,
    calls: &'static [u32],
    handler: fn(&mut Call<'_>) -> Handled,
    about: &'static str,
) -> Fault {
    Fault { name, about, mission: None, calls, handler }
}

/// Shorthand: a fault that copies a bug of a real layer.
const fn mission(number: &'static str, fault: Fault) -> Fault {
    Fault { mission: Some(number), ..fault }
}

/// System call numbers, x86-64, by their names in the kernel.
pub(super) mod nr {
    pub const LSEEK: u32 = 8;
    pub const MPROTECT: u32 = 10;
    pub const IOCTL: u32 = 16;
    pub const MADVISE: u32 = 28;
    pub const NANOSLEEP: u32 = 35;
    pub const GETITIMER: u32 = 36;
    pub const SHUTDOWN: u32 = 48;
    pub const WAIT4: u32 = 61;
    pub const KILL: u32 = 62;
    pub const UNAME: u32 = 63;
    pub const FCNTL: u32 = 72;
    pub const FTRUNCATE: u32 = 77;
    pub const READLINK: u32 = 89;
    pub const UMASK: u32 = 95;
    pub const GETRUSAGE: u32 = 98;
    pub const GETPPID: u32 = 110;
    pub const RT_SIGPENDING: u32 = 127;
    pub const SETPRIORITY: u32 = 141;
    pub const SETRLIMIT: u32 = 160;
    pub const TIME: u32 = 201;
    pub const GETDENTS64: u32 = 217;
    pub const CLOCK_GETTIME: u32 = 228;
    pub const CLOCK_NANOSLEEP: u32 = 230;
    pub const EPOLL_CTL: u32 = 233;
    pub const TGKILL: u32 = 234;
    pub const INOTIFY_INIT: u32 = 253;
    pub const READLINKAT: u32 = 267;
    pub const TIMERFD_GETTIME: u32 = 287;
    pub const EVENTFD2: u32 = 290;
    pub const PIPE2: u32 = 293;
    pub const INOTIFY_INIT1: u32 = 294;
    pub const PRLIMIT64: u32 = 302;
    pub const RENAMEAT2: u32 = 316;
    pub const MEMFD_CREATE: u32 = 319;
}

static FAULTS: &[Fault] = &[
    mission(
        "1a",
        fault(
            "rusage-user-exceeds-wall",
            &[nr::GETRUSAGE],
            time::user_exceeds_wall,
            "getrusage(RUSAGE_SELF) says a quarter of a second more user time than was used",
        ),
    ),
    mission(
        "1b",
        fault(
            "rusage-children-is-self",
            &[nr::GETRUSAGE],
            time::children_is_self,
            "getrusage(RUSAGE_CHILDREN) gives the values of RUSAGE_SELF, even without children",
        ),
    ),
    mission(
        "2",
        fault(
            "tty-shared-flags",
            &[nr::FCNTL],
            tty::shared_flags,
            "fcntl(F_SETFL) on one open of /dev/tty changes the process's other opens of it too",
        ),
    ),
    mission(
        "3",
        fault(
            "time-zero-after-restore",
            &[nr::KILL, nr::TGKILL, nr::TIME],
            time::zero_after_restore,
            "after a checkpoint the system call time() returns 0, while the vdso tells the truth",
        ),
    ),
    mission(
        "4",
        fault(
            "memory-after-inject",
            &[nr::KILL, nr::TGKILL],
            layer::memory_after_inject,
            "a checkpoint changes eight bytes of the program's memory",
        ),
    ),
    // Terminals.
    fault("winsize-zero", &[nr::IOCTL], tty::winsize_zero, "TIOCGWINSZ says 0 rows and 0 columns"),
    fault("tcsets-echo-stuck", &[nr::IOCTL], tty::echo_stuck, "TCSETS cannot switch ECHO off"),
    fault("fionread-zero", &[nr::IOCTL], tty::fionread_zero, "FIONREAD says 0 whatever is queued"),
    // Descriptors and events.
    fault(
        "dupfd-cloexec-lost",
        &[nr::FCNTL],
        descriptors::dupfd_cloexec_lost,
        "fcntl(F_DUPFD_CLOEXEC) makes a descriptor without FD_CLOEXEC",
    ),
    fault(
        "append-ignored",
        &[nr::FCNTL],
        descriptors::append_ignored,
        "fcntl(F_SETFL) accepts O_APPEND and drops it",
    ),
    fault(
        "pipe-nonblock-lost",
        &[nr::PIPE2],
        descriptors::pipe_nonblock_lost,
        "pipe2(O_NONBLOCK) makes a pipe that blocks",
    ),
    fault(
        "eventfd-semaphore-ignored",
        &[nr::EVENTFD2],
        descriptors::eventfd_semaphore_ignored,
        "eventfd2(EFD_SEMAPHORE) makes a plain counter: one read takes it all",
    ),
    fault(
        "epoll-ctl-mod-enoent",
        &[nr::EPOLL_CTL],
        descriptors::epoll_mod_enoent,
        "epoll_ctl(EPOLL_CTL_MOD) fails with ENOENT on a registered descriptor",
    ),
    fault(
        "shutdown-ignored",
        &[nr::SHUTDOWN],
        descriptors::shutdown_ignored,
        "shutdown() says 0 and shuts nothing down",
    ),
    // Files.
    fault(
        "lseek-end-off-by-one",
        &[nr::LSEEK],
        files::lseek_end_off_by_one,
        "lseek(SEEK_END) goes one byte too far",
    ),
    fault(
        "ftruncate-negative-ok",
        &[nr::FTRUNCATE],
        files::ftruncate_negative_ok,
        "ftruncate() takes a negative length for done instead of EINVAL",
    ),
    fault(
        "readlink-counts-nul",
        &[nr::READLINK, nr::READLINKAT],
        files::readlink_counts_nul,
        "readlink() stores and counts a terminating NUL",
    ),
    fault(
        "rename-noreplace-overwrites",
        &[nr::RENAMEAT2],
        files::rename_noreplace_overwrites,
        "renameat2(RENAME_NOREPLACE) replaces an existing file",
    ),
    fault(
        "getdents-dots-lost",
        &[nr::GETDENTS64],
        files::getdents_dots_lost,
        "getdents64() leaves out `.` and `..`",
    ),
    // Time.
    fault(
        "clock-behind-vdso",
        &[nr::CLOCK_GETTIME],
        time::clock_behind_vdso,
        "the system call clock_gettime() is one second behind the vdso",
    ),
    fault(
        "nanosleep-einval-lost",
        &[nr::NANOSLEEP, nr::CLOCK_NANOSLEEP],
        time::nanosleep_einval_lost,
        "nanosleep() accepts a billion nanoseconds and more instead of EINVAL",
    ),
    fault(
        "timerfd-gettime-zero",
        &[nr::TIMERFD_GETTIME],
        time::timerfd_gettime_zero,
        "timerfd_gettime() calls an armed timer disarmed",
    ),
    fault(
        "getitimer-zero",
        &[nr::GETITIMER],
        time::getitimer_zero,
        "getitimer() calls an armed timer disarmed",
    ),
    // Processes and signals.
    fault("getppid-zero", &[nr::GETPPID], processes::getppid_zero, "getppid() returns 0"),
    fault(
        "umask-ignored",
        &[nr::UMASK],
        processes::umask_ignored,
        "umask() returns the mask in force and does not change it",
    ),
    fault(
        "rlimit-ignored",
        &[nr::PRLIMIT64, nr::SETRLIMIT],
        processes::rlimit_ignored,
        "prlimit64() and setrlimit() say 0 and set nothing",
    ),
    fault(
        "setpriority-ignored",
        &[nr::SETPRIORITY],
        processes::setpriority_ignored,
        "setpriority() says 0 and sets nothing",
    ),
    fault(
        "wait-echild-lost",
        &[nr::WAIT4],
        processes::wait_echild_lost,
        "wait4() without children returns 0 instead of ECHILD",
    ),
    fault(
        "sigpending-empty",
        &[nr::RT_SIGPENDING],
        processes::sigpending_empty,
        "rt_sigpending() says that nothing is pending",
    ),
    // Memory.
    fault(
        "mprotect-ignored",
        &[nr::MPROTECT],
        layer::mprotect_ignored,
        "mprotect() says 0 and protects nothing",
    ),
    fault(
        "madvise-dontneed-ignored",
        &[nr::MADVISE],
        layer::dontneed_ignored,
        "madvise(MADV_DONTNEED) says 0 and keeps the pages' content",
    ),
    // The layer as a whole.
    fault(
        "hang-on-inotify",
        &[nr::INOTIFY_INIT, nr::INOTIFY_INIT1],
        layer::hang,
        "inotify_init() hangs the layer",
    ),
    fault("crash-on-memfd", &[nr::MEMFD_CREATE], layer::crash, "memfd_create() kills the layer"),
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
            assert!(page.contains(&format!("`{}`", fault.name)), "docs/mutants.md lacks {}", fault.name);
        }
    }
}
