//! What the kernel says about a process in text: files of /proc/self, compared by the lines that are promised.
//! Sources: proc(5), proc_pid_status(5), proc_pid_limits(5), proc_pid_fdinfo(5), proc_pid_comm(5), proc_pid_cwd(5).

use super::shapes::*;
use crate::consts::{O_TEXT, O_TTY};
use crate::desc::*;
use crate::{args, makes};
use Meaning::{Exact, Fd};

/// Lines of all these files: their keys are different ones. Left out is what differs by nature (pids, memory, switches,
/// whether a layer works by tracing),
/// what the environment chooses (groups, capabilities, cpus), and limits that nobody sets.
const LINES: &[Line] = &[
    words("Name"),
    words("Umask"),
    Line { key: "State", rest: Rest::Activity },
    words("Threads"),
    signals("SigPnd"),
    signals("ShdPnd"),
    signals("SigBlk"),
    signals("SigIgn"),
    signals("SigCgt"),
    // Those that the agent sets.
    words("Max file size"),
    words("Max stack size"),
    words("Max core file size"),
    words("Max open files"),
    words("Max locked memory"),
    // What the descriptor says.
    words("pos"),
    Line { key: "flags", rest: Rest::OpenFlags },
    words("eventfd-count"),
    signals("sigmask"),
];
const fn words(key: &'static str) -> Line {
    Line { key, rest: Rest::Words }
}
const fn signals(key: &'static str) -> Line {
    Line { key, rest: Rest::Signals }
}

/// Opens a file of that path.
const fn opens(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, 257, Area::Processes, args, Fd).makes(makes![made_fd(FD_PROC)]).weight(2).since("2.6.16")
}
const FLAGS: Ty = Ty::Flags(&O_TEXT);

/// The table.
pub const CALLS: &[Desc] = &[
    opens("openat$status", args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/proc/self/status"), "flags": FLAGS]),
    opens("openat$limits", args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/proc/self/limits"), "flags": FLAGS])
        .since("2.6.24"),
    // Descriptors 3 and 4 are the first that a program makes.
    opens("openat$fdinfo3", args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/proc/self/fdinfo/3"), "flags": FLAGS])
        .since("2.6.22"),
    opens("openat$fdinfo4", args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/proc/self/fdinfo/4"), "flags": FLAGS])
        .since("2.6.22"),
    // All of it, from the start.
    Desc::sys(
        "read$lines",
        0,
        Area::Processes,
        args!["fd": Ty::Fd(FD_PROC), "buf": Ty::Ptr(In::Nothing, Out::Lines(2048, LINES)), "count": Ty::Len(1)],
        Meaning::SizeHint,
    )
    .blocks()
    .weight(6),
    // One line without a key: the name that prctl(PR_SET_NAME) sets.
    Desc::sys(
        "openat$comm",
        257,
        Area::Processes,
        args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/proc/self/comm"), "flags": Ty::Flags(&O_TTY)],
        Fd,
    )
    .makes(makes![made_fd(FD_NODE)])
    .weight(2)
    .since("2.6.33"),
    Desc::sys(
        "readlinkat$proc_cwd",
        267,
        Area::Processes,
        args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/proc/self/cwd"), "buf": out_buf(128), "bufsiz": Ty::Len(2)],
        Exact,
    )
    .weight(2)
    .since("2.6.16"),
    Desc::sys(
        "readlinkat$proc_fd",
        267,
        Area::Processes,
        args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/proc/self/fd/99"), "buf": out_buf(128), "bufsiz": Ty::Len(2)],
        Exact,
    )
    .weight(1)
    .since("2.6.16"),
];
