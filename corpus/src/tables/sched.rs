//! Scheduling and futexes: policies, priorities, affinity, I/O priority, memory policy, waking and waiting on words.
//! Sources: sched(7), sched_setscheduler(2), sched_setattr(2), sched_setaffinity(2), ioprio_set(2), futex(2),
//! get_robust_list(2), set_mempolicy(2), getpriority(2).

use super::shapes::*;
use crate::args;
use crate::consts::*;
use crate::desc::*;
use Meaning::{Address, Exact, Opaque, Pid, SizeHint};

const PARAM_OUT: &[OField] = &[of("sched_priority", 0, 4, Exact)];
/// Structs of which nothing is compared; the first bytes stand for all.
const OPAQUE_OUT: &[OField] = &[of("all", 0, 8, Opaque)];
/// Only 0 goes with the policies that need no privilege.
const PARAM_IN: &[SField] =
    &[sf("sched_priority", 0, 4, Ty::OneOf(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 99, 100, 0xffff_ffff]))];
/// `struct sched_attr` in its first version.
const ATTR_IN: &[SField] = &[
    sf("size", 0, 4, Ty::OneOf(&[48, 48, 48, 56, 47, 0])),
    sf("sched_policy", 4, 4, Ty::Enum(&SCHED_SET)),
    sf("sched_flags", 8, 8, Ty::Flags(&SCHED_FLAGS)),
    // Down only: going back up is a matter of privileges.
    sf("sched_nice", 16, 4, Ty::OneOf(&[0, 0, 19])),
    sf("sched_priority", 20, 4, Ty::OneOf(&[0, 0, 0, 0, 1])),
];
/// The slice is the scheduler's own number.
const ATTR_OUT: &[OField] = &[
    of("size", 0, 4, SizeHint),
    of("sched_policy", 4, 4, Exact),
    of("sched_flags", 8, 8, Exact),
    of("sched_nice", 16, 4, Exact),
    of("sched_priority", 20, 4, Exact),
    of("sched_runtime", 24, 8, Opaque),
];
/// All cores, of which the kernel takes those it lets one have; or none, which is refused.
const MASK_IN: &[SField] = &[sf("mask", 0, 8, Ty::OneOf(&[u64::MAX, u64::MAX, u64::MAX, 0]))];
/// A futex word, and what became of it.
const WORD: Ty = Ty::Ptr(
    In::Struct(&[sf("word", 0, 4, Ty::OneOf(&[0, 1, 5]))], 4),
    Out::Fields(&[of("word", 0, 4, Exact)], 4),
);
/// One that a lock writes its owner into. Nobody's: for a living owner the kernel waits, and takes no signal.
const LOCK: Ty =
    Ty::Ptr(In::Struct(&[sf("word", 0, 4, Ty::OneOf(&[0]))], 4), Out::Fields(&[of("word", 0, 4, Pid)], 4));
const EXPECTED: Ty = Ty::OneOf(&[0, 1, 5]);
const HOW_MANY: Ty = Ty::Int(&[1, 0, 2, 0x7fff_ffff]);
/// `FUTEX_PRIVATE_FLAG`
const PRIVATE: u64 = 128;
/// `struct robust_list_head`: its list goes nowhere, so the kernel, which reads it when the thread ends, finds nothing.
const HEAD_IN: &[SField] = &[sf("futex_offset", 8, 8, Ty::Int(&[0, 8]))];
const HEAD_OUT: &[OField] = &[of("head", 0, 8, Address)];
const LEN_OUT: &[OField] = &[of("len", 0, 8, Exact)];
const MODE_OUT: &[OField] = &[of("mode", 0, 4, Exact)];
/// `struct futex_waitv` of an address that cannot be one.
const WAITV_IN: &[SField] = &[
    sf("val", 0, 8, Ty::OneOf(&[0, 1])),
    sf("uaddr", 8, 8, Ty::OneOf(&[0, 1, 4096])),
    sf("flags", 16, 4, Ty::OneOf(&[2, 0x82, 0])),
];

/// A call of this area.
const fn sched(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Sched, args, Exact).weight(2)
}
/// A futex(2) operation.
const fn futex(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    sched(name, 202, args).weight(4)
}

/// The table.
pub const CALLS: &[Desc] = &[
    // The raw call returns 20 minus the nice value.
    sched("getpriority", 140, args!["which": ZERO, "who": ZERO]),
    // All of these mean 19: going back up is a matter of privileges.
    sched("setpriority", 141, args!["which": ZERO, "who": ZERO, "prio": Ty::Int(&[19, 20, 100])]).weight(1),
    sched(
        "sched_getaffinity",
        204,
        args![
            "pid": ZERO, "cpusetsize": Ty::Const(128), "mask": out(OPAQUE_OUT, 128),
        ],
    )
    .ret(SizeHint)
    .weight(1),
    sched("sched_getscheduler", 145, args!["pid": Ty::Pid]).weight(1),
    sched("sched_getparam", 143, args!["pid": Ty::Pid, "param": out(PARAM_OUT, 4)]).weight(1),
    sched("sched_get_priority_max", 146, args!["policy": Ty::Enum(&SCHED)]).weight(1),
    sched("sched_get_priority_min", 147, args!["policy": Ty::Enum(&SCHED)]).weight(1),
    sched("sched_rr_get_interval", 148, args!["pid": ZERO, "tp": out(OPAQUE_OUT, 16)]).weight(1),
    sched("sched_yield", 24, &[]).weight(1),
    sched("sched_setscheduler", 144, args!["pid": ZERO, "policy": Ty::Enum(&SCHED_SET), "param": in_struct(PARAM_IN, 4)])
        .weight(3),
    sched("sched_setparam", 142, args!["pid": ZERO, "param": in_struct(PARAM_IN, 4)]),
    sched("sched_setattr", 314, args!["pid": ZERO, "attr": in_struct(ATTR_IN, 56), "flags": ZERO])
        .weight(3)
        .since("3.14"),
    sched("sched_getattr", 315, args!["pid": Ty::Pid, "attr": out(ATTR_OUT, 56), "size": Ty::OneOf(&[56, 56, 48, 47, 0]), "flags": ZERO])
        .weight(3)
        .since("3.14"),
    sched("sched_setaffinity", 203, args!["pid": ZERO, "cpusetsize": Ty::OneOf(&[128, 8, 0]), "mask": in_struct(MASK_IN, 128)]),
    sched("ioprio_set", 251, args!["which": Ty::Enum(&IOPRIO_WHO), "who": ZERO, "ioprio": Ty::Enum(&IOPRIO)]).since("2.6.13"),
    // Where none was set, what comes back was "none" or the nice value's, by the kernel's age.
    sched("ioprio_get", 252, args!["which": Ty::Enum(&IOPRIO_WHO), "who": ZERO]).ret(Opaque).since("2.6.13"),
    sched("get_mempolicy", 239, args!["mode": out(MODE_OUT, 4), "nodemask": ZERO, "maxnode": ZERO, "addr": ZERO, "flags": ZERO])
        .since("2.6.7"),
    sched("set_mempolicy", 238, args!["mode": Ty::Enum(&MPOL), "nodemask": ZERO, "maxnode": ZERO]).since("2.6.7"),
    // FUTEX_WAKE: nobody waits, so nobody is woken.
    futex("futex$wake", args!["uaddr": WORD, "op": Ty::OneOf(&[1, 1 | PRIVATE]), "val": HOW_MANY]),
    // FUTEX_WAIT: nobody else has that word, so the time runs out, or the word is another one.
    futex("futex$wait", args!["uaddr": WORD, "op": Ty::OneOf(&[0, PRIVATE]), "val": EXPECTED, "timeout": in_struct(SHORT_IN, 16)])
        .blocks()
        .weight(2),
    futex("futex$wait_bitset", args!["uaddr": WORD, "op": Ty::OneOf(&[9, 9 | PRIVATE]), "val": EXPECTED, "timeout": in_struct(SHORT_IN, 16), "uaddr2": ZERO, "val3": Ty::OneOf(&[0xffff_ffff, 1, 0])])
        .blocks()
        .weight(1)
        .since("2.6.25"),
    futex("futex$wake_bitset", args!["uaddr": WORD, "op": Ty::OneOf(&[10, 10 | PRIVATE]), "val": HOW_MANY, "timeout": ZERO, "uaddr2": ZERO, "val3": Ty::OneOf(&[0xffff_ffff, 1, 0])])
        .weight(2)
        .since("2.6.25"),
    // A word in the window is the same one for several calls: one task waits, another wakes it.
    futex("futex$wait_at", args!["uaddr": Ty::Page, "op": Ty::OneOf(&[PRIVATE, PRIVATE, 0]), "val": Ty::OneOf(&[0, 0, 0, 1]), "timeout": ZERO])
        .needs(NEED_MEM)
        .blocks()
        .weight(2),
    futex("futex$wake_at", args!["uaddr": Ty::Page, "op": Ty::OneOf(&[1 | PRIVATE, 1 | PRIVATE, 1]), "val": HOW_MANY])
        .needs(NEED_MEM)
        .weight(2),
    futex("futex$requeue", args!["uaddr": WORD, "op": Ty::OneOf(&[3, 3 | PRIVATE]), "val": HOW_MANY, "val2": HOW_MANY, "uaddr2": WORD]),
    futex("futex$cmp_requeue", args!["uaddr": WORD, "op": Ty::OneOf(&[4, 4 | PRIVATE]), "val": HOW_MANY, "val2": HOW_MANY, "uaddr2": WORD, "val3": EXPECTED]),
    futex("futex$wake_op", args!["uaddr": WORD, "op": Ty::OneOf(&[5, 5 | PRIVATE]), "val": HOW_MANY, "val2": HOW_MANY, "uaddr2": WORD, "val3": Ty::Enum(&WAKE_OP)]),
    // FUTEX_LOCK_PI: the word becomes the owner's id.
    futex("futex$lock_pi", args!["uaddr": LOCK, "op": Ty::OneOf(&[6, 6 | PRIVATE]), "val": ZERO, "timeout": ZERO])
            .weight(2)
        .since("2.6.18"),
    futex("futex$trylock_pi", args!["uaddr": LOCK, "op": Ty::OneOf(&[8, 8 | PRIVATE])]).weight(2).since("2.6.18"),
    // Nobody's lock, or somebody else's.
    futex("futex$unlock_pi", args!["uaddr": WORD, "op": Ty::OneOf(&[7, 7 | PRIVATE])]).weight(1).since("2.6.18"),
    futex("futex$bad", args!["uaddr": WORD, "op": Ty::OneOf(&[14, 100, 127]), "val": EXPECTED]).weight(1),
    sched("futex_waitv", 449, args!["waiters": in_struct(WAITV_IN, 24), "nr_futexes": Ty::OneOf(&[1, 0, 129]), "flags": ZERO, "timeout": ZERO, "clockid": ZERO])
        .blocks()
        .weight(1)
        .since("5.16"),
    sched("set_robust_list", 273, args!["head": in_struct(HEAD_IN, 24), "len": Ty::OneOf(&[24, 24, 24, 0, 23])])
        .since("2.6.17"),
    sched("get_robust_list", 274, args!["pid": ZERO, "head_ptr": out(HEAD_OUT, 8), "len_ptr": out(LEN_OUT, 8)])
        .since("2.6.17"),
];
