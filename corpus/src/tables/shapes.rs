//! Shapes that several tables share: struct layouts of x86-64 (include/uapi/) and usual arguments.

use crate::consts::{POLL, SIGEV};
use crate::desc::*;
use Meaning::{Duration, Exact, Flags, Opaque, Pid};

/// The working directory as a `dirfd`.
pub const AT_FDCWD: Ty = Ty::Const(-100i64 as u64);
/// A null pointer, or a zero the kernel insists on.
pub const ZERO: Ty = Ty::Const(0);
/// A path's or file's mode bits.
pub const MODE: Ty = Ty::Int(&[0o644, 0o600, 0o755, 0o777, 0o444, 0, 0o4755, 0o2755, 0o1777]);
/// Sizes and offsets around the edges of pages and buffers.
pub const OFFSETS: &[u64] = &[0, 1, 5, 100, 4095, 4096, 5000, u64::MAX];
/// Descriptors that may be waited on.
pub const FD_POLLABLE: FdKinds =
    FD_PIPE | FD_TTY | FD_PTM | FD_EVENT | FD_TIMER | FD_EPOLL | FD_SIGNAL | FD_SOCK | FD_INOTIFY | FD_PID;

/// An exact int.
pub const INT_OUT: &[OField] = &[of("value", 0, 4, Exact)];

/// A time of less than a second: seconds are left zero, so that no program sleeps long.
pub const SHORT_IN: &[SField] = &[sf("tv_nsec", 8, 8, Ty::OneOf(&[0, 1, 1000, 100_000, 1_000_000_000]))];

/// `struct itimerspec` with long times only. Nanoseconds of the value stay zero or wrong: a timer must never
/// run out, since when it does is up to the machine.
pub const ITIMERSPEC_IN: &[SField] = &[
    sf("it_interval.tv_sec", 0, 8, Ty::OneOf(&[0, 1000, 100_000])),
    sf("it_interval.tv_nsec", 8, 8, Ty::OneOf(&[0, 999_999_999, 1_000_000_000])),
    sf("it_value.tv_sec", 16, 8, Ty::OneOf(&[1000, 0, 100_000])),
    sf("it_value.tv_nsec", 24, 8, Ty::OneOf(&[0, 1_000_000_000])),
];
/// What is left of a timer; the interval comes back as it was set.
pub const ITIMERSPEC_OUT: &[OField] =
    &[of("it_interval", 0, 16, Exact), of("it_value", 16, 16, Duration(Dur::Left, Unit::Timespec))];

/// The kernel's `sigset_t`.
pub const SIGSET_IN: &[SField] = &[sf("mask", 0, 8, Ty::SigSet)];
/// A signal set that comes out.
pub const SIGSET_OUT: &[OField] = &[of("mask", 0, 8, Exact)];

/// `siginfo_t` as kill(2) and dying children fill it. Bytes that a code does not use are zero in Linux.
pub const SIGINFO_OUT: &[OField] = &[
    of("si_signo", 0, 4, Exact),
    of("si_errno", 4, 4, Exact),
    of("si_code", 8, 4, Exact),
    of("si_pid", 16, 4, Pid),
    of("si_uid", 20, 4, Exact),
    of("si_status", 24, 4, Exact),
];

/// `struct pollfd`, going in.
pub const POLLFD_IN: &[SField] = &[sf("fd", 0, 4, Ty::Fd(FD_ANY)), sf("events", 4, 2, Ty::Flags(&POLL))];
/// `struct pollfd`, coming out.
pub const POLLFD_OUT: &[OField] = &[of("revents", 6, 2, Flags(&POLL))];

/// `struct sigevent` that sends nothing. Timers here never run out, so a signal would never come either.
pub const SIGEVENT_IN: &[SField] =
    &[sf("sigev_value", 0, 8, Ty::Int(&[0, 1])), sf("sigev_notify", 12, 4, Ty::Enum(&SIGEV))];

/// `struct rusage` of somebody: the first fields, by whose time it is. Page faults, switches and memory vary;
/// the fields Linux does not maintain are zero (getrusage(2)).
pub const fn rusage(user: Dur, sys: Dur) -> [OField; 10] {
    [
        of("ru_utime", 0, 16, Duration(user, Unit::Timeval)),
        of("ru_stime", 16, 16, Duration(sys, Unit::Timeval)),
        of("ru_maxrss", 32, 8, Opaque),
        of("ru_ixrss", 40, 8, Exact),
        of("ru_idrss", 48, 8, Exact),
        of("ru_isrss", 56, 8, Exact),
        of("ru_nswap", 80, 8, Exact),
        of("ru_msgsnd", 104, 8, Exact),
        of("ru_msgrcv", 112, 8, Exact),
        of("ru_nsignals", 120, 8, Exact),
    ]
}
/// Bytes of `struct rusage`.
pub const RUSAGE_SIZE: u16 = 144;
/// Waited-for children's usage.
pub const RUSAGE_CHILDREN: &[OField] = &rusage(Dur::Children, Dur::Children);
/// The caller's usage.
pub const RUSAGE_SELF: &[OField] = &rusage(Dur::SelfUser, Dur::SelfSys);

/// Iterations of a busy loop, about half a nanosecond each. The long one, of 2 ms, is rare: it costs as much as many
/// programs.
pub const SPINS: Ty = Ty::OneOf(&SPIN_CHOICES);
const SPIN_CHOICES: [u64; 64] = {
    let mut choices = [1000; 64];
    let mut k = 0;
    while k < 12 {
        choices[k] = 100_000;
        k += 1;
    }
    choices[63] = 4_000_000;
    choices
};
