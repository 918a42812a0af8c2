//! Signals: dispositions, masks, sending to oneself and queueing values, waiting, the stack of handlers.
//! Sources: signal(7), sigaction(2), sigprocmask(2), sigpending(2), sigwaitinfo(2), sigaltstack(2), tkill(2),
//! rt_sigqueueinfo(2).

use super::shapes::*;
use crate::args;
use crate::consts::*;
use crate::desc::*;
use crate::names::SIGNALS;
use crate::wire;
use Meaning::{Address, Exact, Flags, Opaque};

/// The kernel's own `struct sigaction` (arch/x86/include/uapi/asm/signal.h), not libc's. Its restorer is the
/// compiler's to fill.
const SIGACTION_IN: &[SField] = &[
    sf("sa_handler", 0, 8, Ty::Handler),
    sf("sa_flags", 8, 8, Ty::Flags(&SA)),
    sf("sa_mask", 24, 8, Ty::SigSet),
];
const SIGACTION_OUT: &[OField] = &[
    // Exact: 0, 1, or the counting handler, and the agent is one static binary at one address on both sides.
    of("sa_handler", 0, 8, Exact),
    of("sa_flags", 8, 8, Flags(&SA_OUT)),
    of("sa_restorer", 16, 8, Opaque),
    of("sa_mask", 24, 8, Exact),
];
const STACK_OUT: &[OField] =
    &[of("ss_sp", 0, 8, Address), of("ss_flags", 8, 4, Exact), of("ss_size", 16, 8, Exact)];
const SIZE: Ty = Ty::Const(8);

/// `stack_t`: a stack in the window, large enough or not.
const STACK_IN: &[SField] = &[
    sf("ss_sp", 0, 8, Ty::Page),
    sf("ss_flags", 8, 4, Ty::OneOf(&[0, 0, 2, 1, 0x8000_0000, 4])),
    sf("ss_size", 16, 8, Ty::OneOf(&[16_384, 16_384, 16_384, 2047, 0])),
];
/// `siginfo_t` as sigqueue(3) fills it in.
const QUEUE_IN: &[SField] = &[
    sf("si_code", 8, 4, Ty::Enum(&SI_CODE)),
    sf("si_pid", 16, 4, Ty::Pid),
    sf("si_uid", 20, 4, Ty::Enum(&OWNER)),
    sf("si_value", 24, 8, Ty::Int(&[0, 7, 1 << 40, u64::MAX])),
];
const QUEUE_OUT: &[OField] = &[
    of("si_signo", 0, 4, Exact),
    of("si_errno", 4, 4, Exact),
    of("si_code", 8, 4, Exact),
    of("si_pid", 16, 4, Meaning::Pid),
    of("si_uid", 20, 4, Exact),
    of("si_value", 24, 8, Exact),
];

/// A call of this area.
const fn signal(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Signals, args, Exact)
}

/// The agent's signal log (`wire::SIGNAL_LOG`).
const LOG_OUT: &[OField] = &log_fields();
/// A count for each standard signal, one for the real-time ones together, all deliveries, and their order.
const fn log_fields() -> [OField; SIGNALS.len() + 3] {
    const ALL: usize = SIGNALS.len();
    let mut fields = [of("deliveries", 256, 4, Exact); ALL + 3];
    let mut k = 0;
    while k < ALL {
        fields[k] = of(SIGNALS[k], 4 * (k as u16 + 1), 4, Exact);
        k += 1;
    }
    let first = 4 * (ALL as u16 + 1);
    fields[ALL] = of("real-time signals", first, 256 - first, Exact);
    fields[ALL + 2] = of("order", 260, 60, Exact);
    fields
}
const LOG_SIZE: u16 = wire::SIGNAL_LOG as u16;

/// The table.
pub const CALLS: &[Desc] = &[
    signal(
        "rt_sigaction$set",
        13,
        args![
            "signum": Ty::Signal, "act": in_struct(SIGACTION_IN, 32), "oldact": ZERO, "sigsetsize": SIZE,
        ],
    )
    .needs(NEED_SIG)
    .weight(10),
    signal(
        "rt_sigaction$swap",
        13,
        args![
            "signum": Ty::Signal, "act": in_struct(SIGACTION_IN, 32), "oldact": out(SIGACTION_OUT, 32),
            "sigsetsize": SIZE,
        ],
    )
    .needs(NEED_SIG),
    signal(
        "rt_sigaction$get",
        13,
        args![
            "signum": Ty::Signal, "act": ZERO, "oldact": out(SIGACTION_OUT, 32), "sigsetsize": SIZE,
        ],
    )
    .weight(6),
    // The size of a signal set must be the kernel's.
    signal(
        "rt_sigaction$size",
        13,
        args![
            "signum": Ty::Signal, "act": ZERO, "oldact": ZERO, "sigsetsize": Ty::Int(&[0, 4, 16, 128]),
        ],
    )
    .weight(1),
    signal(
        "rt_sigprocmask",
        14,
        args![
            "how": Ty::Enum(&SIG_HOW), "set": in_struct(SIGSET_IN, 8), "oldset": out(SIGSET_OUT, 8),
            "sigsetsize": SIZE,
        ],
    )
    .needs(NEED_SIG)
    .weight(6),
    signal(
        "rt_sigprocmask$block",
        14,
        args![
            "how": ZERO, "set": in_struct(SIGSET_IN, 8), "oldset": ZERO, "sigsetsize": SIZE,
        ],
    )
    .needs(NEED_SIG)
    .weight(8),
    signal(
        "rt_sigprocmask$unblock",
        14,
        args![
            "how": Ty::Const(1), "set": in_struct(SIGSET_IN, 8), "oldset": ZERO, "sigsetsize": SIZE,
        ],
    )
    .needs(NEED_SIG),
    signal(
        "rt_sigprocmask$get",
        14,
        args![
            "how": ZERO, "set": ZERO, "oldset": out(SIGSET_OUT, 8), "sigsetsize": SIZE,
        ],
    ),
    signal("rt_sigpending", 127, args!["set": out(SIGSET_OUT, 8), "sigsetsize": SIZE]).weight(6),
    signal("rt_sigsuspend", 130, args!["mask": in_struct(SIGSET_IN, 8), "sigsetsize": SIZE])
        .needs(NEED_SIG)
        .blocks()
        .weight(1),
    signal(
        "rt_sigtimedwait",
        128,
        args![
            "set": in_struct(SIGSET_IN, 8), "info": out(SIGINFO_OUT, 128),
            "timeout": in_struct(SHORT_IN, 16), "sigsetsize": SIZE,
        ],
    )
    .blocks()
    .weight(6),
    signal("sigaltstack$get", 131, args!["ss": ZERO, "old_ss": out(STACK_OUT, 24)]).weight(1),
    // What the agent's counting handler saw: how often each signal came, how many in all, and in which order.
    Desc::with(
        "signal_log",
        Op::Agent(wire::OP_PEEK),
        Area::Signals,
        args!["log": out(LOG_OUT, LOG_SIZE)],
        Exact,
    )
    .weight(6),
    signal("pause", 34, &[]).blocks().weight(1),
    // To a thread, so that neither 0 nor -1 can mean a group or everybody.
    signal("tkill", 200, args!["tid": Ty::Pid, "sig": Ty::Signal]).needs(NEED_SIG).weight(12),
    signal("kill$self", 62, args!["pid": Ty::Pid, "sig": Ty::Signal]).needs(NEED_SIG).weight(6),
    signal(
        "pidfd_send_signal",
        424,
        args![
            "pidfd": Ty::Fd(FD_PID), "sig": Ty::Signal, "info": ZERO, "flags": ZERO,
        ],
    )
    .needs(NEED_SIG)
    .weight(2)
    .since("5.1"),
    signal("tgkill", 234, args!["tgid": Ty::Pid, "tid": Ty::Pid, "sig": Ty::Signal])
        .needs(NEED_SIG)
        .weight(6),
    // To oneself any code may be claimed, also the kernel's.
    signal(
        "rt_sigqueueinfo",
        129,
        args!["tgid": Ty::Pid, "sig": Ty::Signal, "uinfo": in_struct(QUEUE_IN, 128)],
    )
    .needs(NEED_SIG)
    .weight(6),
    signal(
        "rt_tgsigqueueinfo",
        297,
        args!["tgid": Ty::Pid, "tid": Ty::Pid, "sig": Ty::Signal, "uinfo": in_struct(QUEUE_IN, 128)],
    )
    .needs(NEED_SIG)
    .weight(4)
    .since("2.6.31"),
    // With the value that came with it (si_value lies where si_status does).
    signal(
        "rt_sigtimedwait$value",
        128,
        args![
            "set": in_struct(SIGSET_IN, 8), "info": out(QUEUE_OUT, 128), "timeout": in_struct(SHORT_IN, 16),
            "sigsetsize": SIZE,
        ],
    )
    .blocks()
    .weight(5),
    // The stack is a place of the window that nobody need have mapped: only a handler with SA_ONSTACK looks.
    signal("sigaltstack", 131, args!["ss": in_struct(STACK_IN, 24), "old_ss": out(STACK_OUT, 24)])
        .needs(NEED_SIG)
        .weight(3),
];
