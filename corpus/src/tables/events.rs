//! Waiting for things: poll, epoll, eventfd, timerfd, signalfd, inotify, pidfd.
//! Sources: poll(2), epoll(7), eventfd(2), timerfd_create(2), signalfd(2), inotify(7), pidfd_open(2).

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes};
use Meaning::{Exact, Fd, Flags, Opaque, Pid};

const FDS: Ty = Ty::Ptr(In::Array(POLLFD_IN, 8, 4), Out::Array(POLLFD_OUT, 8));
/// Milliseconds; -1 waits without end.
const TIMEOUT: Ty = Ty::OneOf(&[0, 0, 0, 0, 0, 0, 1, u64::MAX]);
/// `struct epoll_event`, packed on x86-64.
const EPOLL_IN: &[SField] =
    &[sf("events", 0, 4, Ty::Flags(&EPOLL)), sf("data", 4, 8, Ty::Int(&[0, 1, 2, 7, u64::MAX]))];
const EPOLL_OUT: &[OField] = &[of("events", 0, 4, Flags(&EPOLL)), of("data", 4, 8, Exact)];
/// Eight events whose order epoll(7) does not promise: only how many there are is compared.
const EPOLL_MANY_OUT: &[OField] = &[of("events", 0, 4, Opaque)];
const COUNTER_OUT: &[OField] = &[of("value", 0, 8, Exact)];
const COUNTER_IN: &[SField] = &[sf("value", 0, 8, Ty::Int(&[1, 0, 2, 5, u64::MAX - 1, u64::MAX]))];
/// `struct signalfd_siginfo`; times used by a dead child vary and are left out.
const SIGNALFD_OUT: &[OField] = &[
    of("ssi_signo", 0, 4, Exact),
    of("ssi_errno", 4, 4, Exact),
    of("ssi_code", 8, 4, Exact),
    of("ssi_pid", 12, 4, Pid),
    of("ssi_uid", 16, 4, Exact),
    of("ssi_status", 40, 4, Exact),
];
/// `struct inotify_event` and a name. The buffer holds one named event, or two nameless ones (whose cookies
/// are zero), so a cookie can only ever stand at offset 8.
const INOTIFY_OUT: &[OField] = &[
    of("wd", 0, 4, Exact),
    of("mask", 4, 4, Flags(&IN_MASK)),
    of("cookie", 8, 4, Opaque),
    of("len", 12, 4, Exact),
    of("name", 16, 16, Exact),
];
const EPFD: Ty = Ty::Fd(FD_EPOLL);
const WATCHED: Ty = Ty::Fd(FD_POLLABLE | FD_FILE);

/// The first 64 descriptors, a bit each, in an `fd_set`.
const FD_SET: Ty = Ty::Ptr(
    In::Struct(&[sf("fds", 0, 8, Ty::Int(&[8, 8, 8, 8, 0x18, 0x10, 0, 1, 0x38, 1 << 63]))], 128),
    Out::Fields(&[of("fds", 0, 8, Exact)], 128),
);
/// One more than the highest looked at: the agent's own are higher.
const NFDS: Ty = Ty::OneOf(&[4, 4, 4, 5, 8, 64, 0, u64::MAX]);
/// `struct timeval` of less than a second.
const TV_IN: &[SField] = &[sf("tv_usec", 8, 8, Ty::OneOf(&[0, 0, 0, 1, 1000, 1_000_000]))];

/// A call of this area.
const fn event(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Events, args, Exact)
}

/// The table.
pub const CALLS: &[Desc] = &[
    event("poll", 7, args!["fds": FDS, "nfds": Ty::Len(0), "timeout": TIMEOUT]).blocks().weight(8),
    event(
        "ppoll",
        271,
        args![
            "fds": FDS, "nfds": Ty::Len(0), "tmo_p": in_struct(SHORT_IN, 16),
            "sigmask": in_struct(SIGSET_IN, 8), "sigsetsize": Ty::Const(8),
        ],
    )
    .blocks().since("2.6.16"),
    event(
        "select",
        23,
        args![
            "nfds": NFDS, "readfds": FD_SET, "writefds": FD_SET, "exceptfds": ZERO, "timeout": in_struct(TV_IN, 16),
        ],
    )
    .blocks()
    .weight(6),
    event(
        "select$except",
        23,
        args![
            "nfds": NFDS, "readfds": ZERO, "writefds": ZERO, "exceptfds": FD_SET, "timeout": in_struct(TV_IN, 16),
        ],
    )
    .blocks()
    .weight(2),
    event(
        "pselect6",
        270,
        args![
            "nfds": NFDS, "readfds": FD_SET, "writefds": FD_SET, "exceptfds": FD_SET,
            "timeout": in_struct(SHORT_IN, 16), "sigmask": ZERO,
        ],
    )
    .blocks()
    .weight(4)
    .since("2.6.16"),
    event("epoll_create1", 291, args!["flags": Ty::Flags(&EPOLL_CREATE)])
        .ret(Fd)
        .makes(makes![made_fd(FD_EPOLL)])
        .weight(6)
        .since("2.6.27"),
    event("epoll_create", 213, args!["size": Ty::Int(&[1, 0])])
        .ret(Fd)
        .makes(makes![made_fd(FD_EPOLL)])
        .weight(1),
    event(
        "epoll_ctl$add",
        233,
        args![
            "epfd": EPFD, "op": Ty::Const(1), "fd": WATCHED, "event": in_struct(EPOLL_IN, 12),
        ],
    )
    .weight(10),
    event("epoll_ctl$del", 233, args!["epfd": EPFD, "op": Ty::Const(2), "fd": WATCHED, "event": ZERO])
        .weight(3),
    event(
        "epoll_ctl$mod",
        233,
        args![
            "epfd": EPFD, "op": Ty::Const(3), "fd": WATCHED, "event": in_struct(EPOLL_IN, 12),
        ],
    ),
    event(
        "epoll_wait",
        232,
        args![
            "epfd": EPFD, "events": out(EPOLL_MANY_OUT, 96), "maxevents": Ty::Const(8),
            "timeout": TIMEOUT,
        ],
    )
    .blocks()
    .weight(5),
    // One event. Of several ready ones Linux takes the longest ready, then the next: epoll_wait(2) says
    // "round robin". More than one is compared by number only.
    event(
        "epoll_wait$one",
        232,
        args![
            "epfd": EPFD, "events": out(EPOLL_OUT, 12), "maxevents": Ty::Const(1), "timeout": TIMEOUT,
        ],
    )
    .blocks()
    .weight(8),
    event(
        "epoll_pwait",
        281,
        args![
            "epfd": EPFD, "events": out(EPOLL_OUT, 12), "maxevents": Ty::Const(1), "timeout": TIMEOUT,
            "sigmask": in_struct(SIGSET_IN, 8), "sigsetsize": Ty::Const(8),
        ],
    )
    .blocks()
    .weight(3).since("2.6.19"),
    event(
        "epoll_pwait2",
        441,
        args![
            "epfd": EPFD, "events": out(EPOLL_OUT, 12), "maxevents": Ty::Const(1),
            "timeout": in_struct(SHORT_IN, 16), "sigmask": ZERO, "sigsetsize": ZERO,
        ],
    )
    .blocks()
    .weight(1)
    .since("5.11"),
    event(
        "eventfd2",
        290,
        args![
            "initval": Ty::Int(&[0, 1, 5, 0xffff_ffff]), "flags": Ty::Flags(&EFD),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_EVENT)])
    .weight(6)
    .since("2.6.27"),
    event(
        "read$event",
        0,
        args![
            "fd": Ty::Fd(FD_EVENT), "buf": out(COUNTER_OUT, 8), "count": Ty::Const(8),
        ],
    )
    .blocks()
    .weight(6),
    event(
        "write$event",
        1,
        args![
            "fd": Ty::Fd(FD_EVENT), "buf": in_struct(COUNTER_IN, 8), "count": Ty::Const(8),
        ],
    )
    .settles()
    .blocks()
    .weight(6),
    // The calls that came before those with flags.
    event("eventfd", 284, args!["initval": Ty::Int(&[0, 1, 5, 0xffff_ffff])])
        .ret(Fd)
        .makes(makes![made_fd(FD_EVENT)])
        .weight(2)
        .since("2.6.22"),
    event("inotify_init", 253, &[]).ret(Fd).makes(makes![made_fd(FD_INOTIFY)]).weight(1).since("2.6.13"),
    event("signalfd", 282, args!["fd": Ty::Const(u64::MAX), "mask": in_struct(SIGSET_IN, 8), "sizemask": Ty::Const(8)])
        .ret(Fd)
        .makes(makes![made_fd(FD_SIGNAL)])
        .weight(1)
        .since("2.6.22"),
    event("timerfd_create", 283, args!["clockid": Ty::Enum(&TFD_CLOCK), "flags": Ty::Flags(&TFD)])
        .ret(Fd)
        .makes(makes![made_fd(FD_TIMER)])
        .since("2.6.27"),
    event(
        "timerfd_settime",
        286,
        args![
            "fd": Ty::Fd(FD_TIMER), "flags": ZERO, "new_value": in_struct(ITIMERSPEC_IN, 32),
            "old_value": out(ITIMERSPEC_OUT, 32),
        ],
    )
    .since("2.6.27"),
    event("timerfd_gettime", 287, args!["fd": Ty::Fd(FD_TIMER), "curr_value": out(ITIMERSPEC_OUT, 32)])
        .since("2.6.27"),
    event(
        "read$timer",
        0,
        args![
            "fd": Ty::Fd(FD_TIMER), "buf": out(COUNTER_OUT, 8), "count": Ty::Const(8),
        ],
    )
    .blocks()
    .weight(2),
    event(
        "signalfd4",
        289,
        args![
            "fd": Ty::Const(u64::MAX), "mask": in_struct(SIGSET_IN, 8), "sizemask": Ty::Const(8),
            "flags": Ty::Flags(&SFD),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_SIGNAL)])
    .since("2.6.27"),
    // An existing signalfd gets another mask.
    event(
        "signalfd4$mask",
        289,
        args![
            "fd": Ty::Fd(FD_SIGNAL), "mask": in_struct(SIGSET_IN, 8), "sizemask": Ty::Const(8),
            "flags": ZERO,
        ],
    )
    .ret(Fd)
    .weight(2)
    .since("2.6.27"),
    event(
        "read$signal",
        0,
        args![
            "fd": Ty::Fd(FD_SIGNAL), "buf": out(SIGNALFD_OUT, 128), "count": Ty::Const(128),
        ],
    )
    .blocks()
    .weight(5),
    event("inotify_init1", 294, args!["flags": Ty::Flags(&IN_INIT)])
        .ret(Fd)
        .makes(makes![made_fd(FD_INOTIFY)])
        .since("2.6.27"),
    // Watch descriptors count up from one (inotify(7), "allocated incrementally").
    event(
        "inotify_add_watch",
        254,
        args![
            "fd": Ty::Fd(FD_INOTIFY), "path": Ty::Path, "mask": Ty::Flags(&IN_MASK),
        ],
    )
    .weight(6).since("2.6.13"),
    event(
        "inotify_add_watch$cwd",
        254,
        args![
            "fd": Ty::Fd(FD_INOTIFY), "path": Ty::PathConst("."), "mask": Ty::Flags(&IN_MASK),
        ],
    ).since("2.6.13"),
    event(
        "inotify_rm_watch",
        255,
        args![
            "fd": Ty::Fd(FD_INOTIFY), "wd": Ty::Int(&[1, 2, 3, 0, 0xffff_ffff]),
        ],
    )
    .weight(2).since("2.6.13"),
    event(
        "read$inotify",
        0,
        args![
            "fd": Ty::Fd(FD_INOTIFY), "buf": out(INOTIFY_OUT, 32), "count": Ty::Const(32),
        ],
    )
    .blocks()
    .weight(6),
    event("pidfd_open", 434, args!["pid": Ty::Pid, "flags": ZERO])
        .ret(Fd)
        .makes(makes![made_fd(FD_PID)])
        .weight(2)
        .since("5.3"),
    event(
        "pidfd_getfd",
        438,
        args![
            "pidfd": Ty::Fd(FD_PID), "targetfd": Ty::Fd(FD_ANY), "flags": ZERO,
        ],
    )
    .ret(Fd)
    .makes(makes![made_same_as(1)])
    .weight(1)
    .since("5.6"),
];
