//! Processes: who they are, their limits and attributes, children and their ends, and the machine they see.
//! Sources: getpid(2), credentials(7), capabilities(7), prctl(2), getrlimit(2), wait(2), kill(2), uname(2),
//! personality(2), arch_prctl(2), seccomp(2), membarrier(2).
//! Nothing here executes, clones or changes identities; `spawn` is the only way to a child.

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes, wire};
use Meaning::{Exact, Opaque, Pid, SizeHint, Text};

const RUID_OUT: &[OField] = &[of("ruid", 0, 4, Exact)];
const EUID_OUT: &[OField] = &[of("euid", 0, 4, Exact)];
const SUID_OUT: &[OField] = &[of("suid", 0, 4, Exact)];
const NAME_OUT: &[OField] = &[of("name", 0, 16, Text)];
const RLIMIT_OUT: &[OField] = &[of("rlim_cur", 0, 8, Exact), of("rlim_max", 8, 8, Exact)];
const RLIMIT_ANY_OUT: &[OField] = &[of("rlim_cur", 0, 8, Opaque), of("rlim_max", 8, 8, Opaque)];
/// Hard limits only ever go to one value, the one they have in the jail: raising one is a matter of privileges, which differ.
const NOFILE_IN: &[SField] = &[
    sf("rlim_cur", 0, 8, Ty::Int(&[64, 100, 256, 1024, 2000])),
    sf("rlim_max", 8, 8, Ty::Enum(&NOFILE_MAX)),
];
const FSIZE_IN: &[SField] =
    &[sf("rlim_cur", 0, 8, Ty::Int(&[0, 1, 100, 4096, u64::MAX])), sf("rlim_max", 8, 8, Ty::Enum(&RLIM))];
/// Structs of which nothing is compared; the first bytes stand for all.
const OPAQUE_OUT: &[OField] = &[of("all", 0, 8, Opaque)];
/// `struct __user_cap_header_struct` of oneself.
const CAP_HEADER: &[SField] = &[sf("version", 0, 4, Ty::Enum(&CAP_VERSION))];
/// Three words of the first capabilities and three of the rest: what is had by whom is up to the environment.
const CAP_OUT: &[OField] = &[of("data", 0, 24, Opaque)];
const CAP_IN: &[SField] =
    &[sf("effective", 0, 4, Ty::OneOf(&[0, 0, 0, 1])), sf("permitted", 4, 4, Ty::OneOf(&[0]))];
/// A segment's base is an address.
const BASE_OUT: &[OField] = &[of("base", 0, 8, Meaning::Address)];
const ACTION_IN: &[SField] = &[sf("action", 0, 4, Ty::Enum(&SECCOMP_RET))];
/// Never less than what the child itself stands on.
const STACK_IN: &[SField] = &[
    sf("rlim_cur", 0, 8, Ty::OneOf(&[8 << 20, 1 << 20, 0, 16 << 20])),
    sf("rlim_max", 8, 8, Ty::OneOf(&[8 << 20])),
];
const STATUS_OUT: &[OField] = &[of("wstatus", 0, 4, Exact)];
const CODES: Ty = Ty::Int(&[0, 1, 7, 127, 255, 256]);

/// A call of this area.
const fn process(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Processes, args, Exact).weight(2)
}

/// The table.
pub const CALLS: &[Desc] = &[
    process("getpid", 39, &[]).ret(Pid).makes(makes![made_ret(Kind::Pid)]).weight(6),
    // Makes no pid: the parent is the agent, and programs could kill it.
    process("getppid", 110, &[]).ret(Pid),
    process("gettid", 186, &[]).ret(Pid).makes(makes![made_ret(Kind::Pid)]).weight(3),
    process("set_tid_address", 218, args!["tidptr": ZERO]).ret(Pid).weight(1),
    process("getpgrp", 111, &[]).ret(Pid),
    process("getuid", 102, &[]).weight(1),
    process("geteuid", 107, &[]).weight(1),
    process("getgid", 104, &[]).weight(1),
    process("getegid", 108, &[]).weight(1),
    process(
        "getresuid",
        118,
        args![
            "ruid": out(RUID_OUT, 4), "euid": out(EUID_OUT, 4), "suid": out(SUID_OUT, 4),
        ],
    )
    .weight(1),
    process(
        "getresgid",
        120,
        args![
            "rgid": out(RUID_OUT, 4), "egid": out(EUID_OUT, 4), "sgid": out(SUID_OUT, 4),
        ],
    )
    .weight(1),
    // How many groups there are is who started it.
    process("getgroups", 115, args!["size": ZERO, "list": ZERO]).ret(SizeHint).weight(1),
    process("prctl$set_name", 157, args!["option": Ty::Const(15), "name": in_bytes(16)]).weight(3),
    process("prctl$get_name", 157, args!["option": Ty::Const(16), "name": out(NAME_OUT, 16)]).weight(3),
    process("prctl$set_dumpable", 157, args!["option": Ty::Const(4), "dumpable": Ty::Int(&[0, 1, 2])])
        .needs(NEED_FORK)
        .weight(1),
    process("prctl$get_dumpable", 157, args!["option": Ty::Const(3)]),
    process("prctl$set_pdeathsig", 157, args!["option": Ty::Const(1), "sig": Ty::Signal]).needs(NEED_SIG),
    process("prctl$get_pdeathsig", 157, args!["option": Ty::Const(2), "sig": out(INT_OUT, 4)]),
    // A filter that the harness itself installed may have needed it.
    process(
        "prctl$get_no_new_privs",
        157,
        args![
            "option": Ty::Const(39), "arg2": ZERO, "arg3": ZERO, "arg4": ZERO, "arg5": ZERO,
        ],
    )
    .ret(SizeHint)
    .weight(1)
    .since("3.5"),
    process("prctl$get_keepcaps", 157, args!["option": Ty::Const(7)]).weight(1),
    process("prctl$set_keepcaps", 157, args!["option": Ty::Const(8), "state": Ty::Int(&[0, 1, 2])]).weight(1),
    process(
        "prctl$set_timerslack",
        157,
        args![
            "option": Ty::Const(29), "ns": Ty::OneOf(&[1, 0, 50_000, 1_000_000]),
        ],
    )
    .since("2.6.28"),
    process("prctl$get_timerslack", 157, args!["option": Ty::Const(30)]).since("2.6.28"),
    process("prctl$set_child_subreaper", 157, args!["option": Ty::Const(36), "set": Ty::Int(&[0, 1, 5])])
        .weight(1)
        .since("3.4"),
    process("prctl$get_child_subreaper", 157, args!["option": Ty::Const(37), "value": out(INT_OUT, 4)])
        .weight(1)
        .since("3.4"),
    process("getrlimit", 97, args!["resource": Ty::Enum(&RLIMIT_SET), "rlim": out(RLIMIT_OUT, 16)]),
    process(
        "getrlimit$kernel",
        97,
        args![
            "resource": Ty::Enum(&RLIMIT_KERNEL), "rlim": out(RLIMIT_ANY_OUT, 16),
        ],
    )
    .weight(1),
    process("setrlimit$nofile", 160, args!["resource": Ty::Const(7), "rlim": in_struct(NOFILE_IN, 16)]),
    process("setrlimit$fsize", 160, args!["resource": Ty::Const(1), "rlim": in_struct(FSIZE_IN, 16)]),
    process(
        "prlimit64$nofile",
        302,
        args![
            "pid": ZERO, "resource": Ty::Const(7), "new_limit": in_struct(NOFILE_IN, 16),
            "old_limit": out(RLIMIT_OUT, 16),
        ],
    )
    .since("2.6.36"),
    process(
        "prlimit64$get",
        302,
        args![
            "pid": ZERO, "resource": Ty::Enum(&RLIMIT_SET), "new_limit": ZERO,
            "old_limit": out(RLIMIT_OUT, 16),
        ],
    )
    .since("2.6.36"),
    process("uname", 63, args!["buf": out(OPAQUE_OUT, 390)]).weight(1),
    process("sysinfo", 99, args!["info": out(OPAQUE_OUT, 112)]).weight(1),
    process(
        "getrandom",
        318,
        args![
            "buf": Ty::Ptr(In::Nothing, Out::Opaque(256)), "buflen": Ty::Len(0),
            "flags": Ty::Flags(&GRND),
        ],
    )
    .since("3.17"),
    Desc::with(
        "spawn",
        Op::Agent(wire::OP_SPAWN),
        Area::Processes,
        args!["iterations": SPINS, "code": CODES],
        Pid,
    )
    .makes(makes![made_ret(Kind::Pid)])
    .weight(10),
    // With two children the order of their ends is theirs, and WNOHANG races with them: confirmation sorts
    // that out.
    process(
        "wait4$any",
        61,
        args![
            "pid": Ty::Const(u64::MAX), "wstatus": out(STATUS_OUT, 4), "options": Ty::Flags(&WAIT),
            "rusage": ZERO,
        ],
    )
    .ret(Pid)
    .blocks()
    .weight(6),
    process(
        "wait4$rusage",
        61,
        args![
            "pid": Ty::Const(u64::MAX), "wstatus": out(STATUS_OUT, 4), "options": ZERO,
            "rusage": out(RUSAGE_CHILDREN, RUSAGE_SIZE),
        ],
    )
    .ret(Pid)
    .blocks()
    .weight(6),
    process(
        "wait4$pid",
        61,
        args![
            "pid": Ty::Pid, "wstatus": out(STATUS_OUT, 4), "options": ZERO, "rusage": ZERO,
        ],
    )
    .ret(Pid)
    .blocks()
    .weight(6),
    process(
        "waitid",
        247,
        args![
            "idtype": Ty::Enum(&P_ID), "id": Ty::Pid, "infop": out(SIGINFO_OUT, 128),
            "options": Ty::Flags(&WAITID), "rusage": ZERO,
        ],
    )
    .blocks()
    .weight(4).since("2.6.9"),
    process(
        "waitid$pidfd",
        247,
        args![
            "idtype": Ty::Const(3), "id": Ty::Fd(FD_PID), "infop": out(SIGINFO_OUT, 128),
            "options": Ty::Flags(&WAITID), "rusage": ZERO,
        ],
    )
    .blocks()
    .weight(1)
    .since("5.4"),
    process("capget", 125, args!["hdrp": in_struct(CAP_HEADER, 8), "datap": out(CAP_OUT, 24)]),
    // Giving up what is not there.
    process("capset", 126, args!["hdrp": in_struct(CAP_HEADER, 8), "datap": in_struct(CAP_IN, 24)]).weight(1),
    process("personality", 135, args!["persona": Ty::Flags(&PERSONA)]).ret(Opaque).weight(1),
    process("personality$get", 135, args!["persona": Ty::Const(0xffff_ffff)]).ret(Opaque).weight(1),
    process("arch_prctl$get", 158, args!["op": Ty::Enum(&ARCH_GET), "addr": out(BASE_OUT, 8)]).weight(1),
    process("arch_prctl$set_gs", 158, args!["op": Ty::Const(0x1001), "addr": Ty::OneOf(&[0, 4096, 1 << 47, u64::MAX])])
        .weight(1),
    // SECCOMP_GET_ACTION_AVAIL
    process("seccomp$avail", 317, args!["operation": Ty::Const(2), "flags": ZERO, "args": in_struct(ACTION_IN, 4)])
        .weight(1)
        .since("4.14"),
    // Belongs to the address space.
    process("membarrier", 324, args!["cmd": Ty::Enum(&MEMBARRIER), "flags": ZERO, "cpu_id": ZERO])
        .needs(NEED_FORK)
        .weight(1)
        .since("4.14"),
    process("membarrier$query", 324, args!["cmd": ZERO, "flags": ZERO, "cpu_id": ZERO])
        .ret(SizeHint)
        .weight(1)
        .since("4.3"),
    process("prctl$set_no_new_privs", 157, args!["option": Ty::Const(38), "arg2": Ty::OneOf(&[1, 1, 0, 2]), "arg3": ZERO, "arg4": ZERO, "arg5": ZERO])
        .weight(1)
        .since("3.5"),
    process("prctl$set_thp_disable", 157, args!["option": Ty::Const(41), "disable": Ty::OneOf(&[0, 1]), "arg3": ZERO, "arg4": ZERO, "arg5": ZERO])
        .needs(NEED_FORK)
        .weight(1)
        .since("3.15"),
    process("prctl$get_thp_disable", 157, args!["option": Ty::Const(42), "arg2": ZERO, "arg3": ZERO, "arg4": ZERO, "arg5": ZERO])
        .ret(Opaque)
    .weight(1)
        .since("3.15"),
    // Which are in the bounding set is up to who made the environment.
    process("prctl$capbset_read", 157, args!["option": Ty::Const(23), "cap": Ty::OneOf(&[0, 1, 12, 21, 35, 99])])
        .ret(Opaque)
        .weight(1),
    process("prctl$get_securebits", 157, args!["option": Ty::Const(27)]).ret(Opaque).weight(1),
    process("setrlimit$stack", 160, args!["resource": Ty::Const(3), "rlim": in_struct(STACK_IN, 16)]).weight(1),
    // The program ends here, and nothing after it is run.
    process("exit_group", 231, args!["status": ZERO]).weight(1),
    // Whether a process is there at all.
    process("kill$probe", 62, args!["pid": Ty::Pid, "sig": ZERO]).weight(1),
    // Tasks: what else calls of the program are made by (`@1 read(...)`), in the program's order.
    Desc::with("task$thread", Op::Agent(wire::OP_THREAD), Area::Processes, &[], Pid)
        .makes(makes![made_ret(Kind::Pid)])
        .needs(NEED_TASK)
        .weight(2),
    Desc::with("task$process", Op::Agent(wire::OP_FORK), Area::Processes, &[], Pid)
        .makes(makes![made_ret(Kind::Pid)])
        .needs(NEED_TASK)
        .weight(2),
    // Ends the task that makes it: a thread alone, a process with that code.
    Desc::with("task$exit", Op::Agent(wire::OP_EXIT), Area::Processes, args!["code": CODES], Exact).weight(2),
    // Memory is digested before and after; returns how many pages changed, which must be none.
    Desc::with("checkpoint", Op::Agent(wire::OP_STOP), Area::Processes, &[], Exact)
        .needs(NEED_STOP)
        .weight(6),
    // The same with the x87 and vector registers full.
    Desc::with("checkpoint$vectors", Op::Agent(wire::OP_STOP), Area::Processes, args!["fill": Ty::Const(1)], Exact)
        .needs(NEED_STOP)
        .weight(3),
];
