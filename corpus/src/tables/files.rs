//! Files: opening them in the private working directory, descriptors, flags, locks.
//! Sources: open(2), openat2(2), dup(2), fcntl(2), flock(2).

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes};
use Meaning::{Exact, Fd, Flags, Pid, SizeHint};

/// `struct flock`; `l_pid` stays zero, as open file description locks insist.
const FLOCK_IN: &[SField] = &[
    sf("l_type", 0, 2, Ty::Enum(&LOCK_TYPE)),
    sf("l_whence", 2, 2, Ty::Enum(&SEEK)),
    sf("l_start", 8, 8, Ty::Int(&[0, 1, 100, 4096, u64::MAX])),
    sf("l_len", 16, 8, Ty::Int(&[0, 1, 10, 4096, u64::MAX])),
];
const FLOCK_OUT: &[OField] = &[
    of("l_type", 0, 2, Exact),
    of("l_whence", 2, 2, Exact),
    of("l_start", 8, 8, Exact),
    of("l_len", 16, 8, Exact),
    of("l_pid", 24, 4, Pid),
];
const OWNER_EX_IN: &[SField] = &[sf("type", 0, 4, Ty::Int(&[1, 0, 2, 3])), sf("pid", 4, 4, Ty::Pid)];
const OWNER_EX_OUT: &[OField] = &[of("type", 0, 4, Exact), of("pid", 4, 4, Pid)];

/// Flags of openat's variants that surely make a regular file: without O_CREAT it might be a directory.
const O_CREAT: u64 = 0o100;
const O_WRONLY: u64 = 1;
const O_RDWR: u64 = 2;
const O_EXCL: u64 = 0o200;
const O_TRUNC: u64 = 0o1000;
const O_APPEND: u64 = 0o2000;
const O_NONBLOCK: u64 = 0o4000;
const O_CLOEXEC: u64 = 0o2000000;
const O_PATH: u64 = 0o10000000;

/// `struct open_how` (openat2(2)).
const HOW_IN: &[SField] = &[
    sf("flags", 0, 8, Ty::Flags(&O_OPEN)),
    sf("mode", 8, 8, Ty::Int(&[0, 0o644, 0o600, 0o777])),
    sf("resolve", 16, 8, Ty::Flags(&RESOLVE)),
];

const HOW_ODD_IN: &[SField] =
    &[sf("flags", 0, 8, Ty::Flags(&O_DIR)), sf("beyond", 24, 8, Ty::Int(&[0, 0, 1]))];

/// A call of this area.
const fn file(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Files, args, Exact)
}
/// A call that creates a regular file at the path that is its argument 1, and opens it.
const fn creates(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    file(name, 257, args)
        .ret(Fd)
        .makes(makes![made_fd(FD_FILE), made_path(1)])
        .needs(NEED_FS)
        .blocks()
        .weight(6)
}
/// An fcntl.
const fn fcntl(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    file(name, 72, args)
}

/// The table.
pub const CALLS: &[Desc] = &[
    file(
        "openat",
        257,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Flags(&O_OPEN), "mode": MODE,
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_NODE), made_path(1)])
    .needs(NEED_FS)
    .blocks()
    .weight(10)
    .since("2.6.16"),
    file(
        "openat$at",
        257,
        args![
            "dirfd": Ty::Fd(FD_DIR), "path": Ty::Path, "flags": Ty::Flags(&O_OPEN), "mode": MODE,
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_NODE)])
    .needs(NEED_FS)
    .blocks()
    .since("2.6.16"),
    creates(
        "openat$create",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_RDWR), "mode": MODE,
        ],
    )
    .weight(14)
    .since("2.6.16"),
    creates(
        "openat$excl",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_EXCL | O_RDWR),
            "mode": MODE,
        ],
    )
    .since("2.6.16"),
    creates(
        "openat$trunc",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_TRUNC | O_RDWR),
            "mode": MODE,
        ],
    )
    .since("2.6.16"),
    creates(
        "openat$append",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_APPEND | O_RDWR),
            "mode": MODE,
        ],
    )
    .since("2.6.16"),
    creates(
        "openat$rdonly",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_CLOEXEC), "mode": MODE,
        ],
    )
    .since("2.6.16"),
    creates(
        "openat$wronly",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_NONBLOCK | O_WRONLY),
            "mode": MODE,
        ],
    )
    .since("2.6.16"),
    file("openat$path", 257, args!["dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_PATH)])
        .ret(Fd)
        .makes(makes![made_fd(FD_NODE)])
        .since("2.6.39"),
    file(
        "openat$null",
        257,
        args![
            "dirfd": AT_FDCWD, "path": Ty::PathConst("/dev/null"), "flags": Ty::Flags(&O_TTY),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_DEV)])
    .since("2.6.16"),
    file(
        "openat$zero",
        257,
        args![
            "dirfd": AT_FDCWD, "path": Ty::PathConst("/dev/zero"), "flags": Ty::Flags(&O_TTY),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_DEV)])
    .weight(2)
    .since("2.6.16"),
    file(
        "openat$full",
        257,
        args![
            "dirfd": AT_FDCWD, "path": Ty::PathConst("/dev/full"), "flags": Ty::Flags(&O_TTY),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_DEV)])
    .weight(1)
    .since("2.6.16"),
    // A named pipe waits for its other end, and any name may be one's.
    file("open", 2, args!["path": Ty::Path, "flags": Ty::Flags(&O_OPEN), "mode": MODE])
        .ret(Fd)
        .makes(makes![made_fd(FD_NODE), made_path(0)])
        .needs(NEED_FS)
        .blocks()
        .weight(5),
    file(
        "openat2",
        437,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "how": in_struct(HOW_IN, 24), "size": Ty::Const(24),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_NODE), made_path(1)])
    .needs(NEED_FS)
    .blocks()
    .since("5.6"),
    // Larger structs are taken if what the kernel does not know is zero, smaller ones than the first version are not.
    file(
        "openat2$size",
        437,
        args![
            "dirfd": AT_FDCWD, "path": Ty::PathConst("."), "how": in_struct(HOW_ODD_IN, 40),
            "size": Ty::OneOf(&[24, 32, 40, 0, 23]),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_DIR)])
    .weight(1)
    .since("5.6"),
    // A named pipe, at once: for reading an end without writers will do, for writing it takes a reader.
    file("openat$fifo", 257, args!["dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Flags(&O_FIFO)])
        .ret(Fd)
        .makes(makes![made_fd(FD_PIPE)])
        .blocks()
        .weight(6)
        .since("2.6.16"),
    file("creat", 85, args!["path": Ty::Path, "mode": MODE])
        .ret(Fd)
        .makes(makes![made_fd(FD_FILE), made_path(0)])
        .needs(NEED_FS)
        .blocks(),
    file("close", 3, args!["fd": Ty::Fd(FD_ANY)]).settles().weight(8),
    file("dup", 32, args!["oldfd": Ty::Fd(FD_ANY)]).ret(Fd).makes(makes![made_same_as(0)]).weight(6),
    // The new descriptor is one the program knows, or one far from the agent's.
    file("dup2", 33, args!["oldfd": Ty::Fd(FD_ANY), "newfd": Ty::Fd(FD_ANY)])
        .ret(Fd)
        .makes(makes![made_same_as(0)])
        .settles(),
    file(
        "dup2$new",
        33,
        args![
            "oldfd": Ty::Fd(FD_ANY), "newfd": Ty::OneOf(&[10, 20, 63, 100, u64::MAX]),
        ],
    )
    .ret(Fd)
    .makes(makes![made_same_as(0)]),
    file(
        "dup3",
        292,
        args![
            "oldfd": Ty::Fd(FD_ANY), "newfd": Ty::Fd(FD_ANY), "flags": Ty::Flags(&O_DUP),
        ],
    )
    .ret(Fd)
    .makes(makes![made_same_as(0)])
    .settles()
    .since("2.6.27"),
    fcntl(
        "fcntl$dupfd",
        args![
            "fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(0), "min": Ty::OneOf(&[0, 3, 10, 100]),
        ],
    )
    .ret(Fd)
    .makes(makes![made_same_as(0)]),
    fcntl(
        "fcntl$dupfd_cloexec",
        args![
            "fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(1030), "min": Ty::OneOf(&[0, 3, 10, 100]),
        ],
    )
    .ret(Fd)
    .makes(makes![made_same_as(0)])
    .since("2.6.24"),
    fcntl("fcntl$getfd", args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(1)]).ret(Flags(&FD_FLAGS)).weight(6),
    fcntl(
        "fcntl$setfd",
        args![
            "fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(2), "flags": Ty::Flags(&FD_FLAGS),
        ],
    ),
    fcntl("fcntl$getfl", args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(3)]).ret(Flags(&O_STATUS)).weight(10),
    fcntl(
        "fcntl$setfl",
        args![
            "fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(4), "flags": Ty::Flags(&O_SETFL),
        ],
    )
    .weight(8),
    fcntl(
        "fcntl$getlk",
        args![
            "fd": Ty::Fd(FD_FILE), "cmd": Ty::Const(5),
            "lock": Ty::Ptr(In::Struct(FLOCK_IN, 32), Out::Fields(FLOCK_OUT, 32)),
        ],
    ),
    fcntl(
        "fcntl$setlk",
        args![
            "fd": Ty::Fd(FD_FILE | FD_NODE | FD_PIPE), "cmd": Ty::Const(6),
            "lock": in_struct(FLOCK_IN, 32),
        ],
    ),
    fcntl(
        "fcntl$ofd_getlk",
        args![
            "fd": Ty::Fd(FD_FILE), "cmd": Ty::Const(36),
            "lock": Ty::Ptr(In::Struct(FLOCK_IN, 32), Out::Fields(FLOCK_OUT, 32)),
        ],
    )
    .since("3.15"),
    fcntl(
        "fcntl$ofd_setlk",
        args![
            "fd": Ty::Fd(FD_FILE | FD_NODE), "cmd": Ty::Const(37), "lock": in_struct(FLOCK_IN, 32),
        ],
    )
    .since("3.15"),
    fcntl("fcntl$setown", args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(8), "pid": Ty::Pid]).weight(2),
    // A process group comes back negative.
    fcntl("fcntl$getown", args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(9)]).ret(Pid).weight(2),
    fcntl("fcntl$setsig", args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(10), "sig": Ty::Signal]).weight(1),
    fcntl("fcntl$getsig", args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(11)]).weight(1),
    fcntl(
        "fcntl$setown_ex",
        args![
            "fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(15), "owner": in_struct(OWNER_EX_IN, 8),
        ],
    )
    .weight(1)
    .since("2.6.32"),
    fcntl(
        "fcntl$getown_ex",
        args![
            "fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(16), "owner": out(OWNER_EX_OUT, 8),
        ],
    )
    .weight(1)
    .since("2.6.32"),
    // Rounded up by the kernel as it likes (pipe(7)).
    fcntl(
        "fcntl$setpipe_sz",
        args![
            "fd": Ty::Fd(FD_PIPE), "cmd": Ty::Const(1031),
            "size": Ty::Int(&[4096, 0, 1, 8192, 65536, 1 << 31]),
        ],
    )
    .ret(SizeHint)
    .weight(2)
    .since("2.6.35"),
    fcntl("fcntl$getpipe_sz", args!["fd": Ty::Fd(FD_PIPE | FD_FILE), "cmd": Ty::Const(1032)])
        .ret(SizeHint)
        .weight(2)
        .since("2.6.35"),
    fcntl(
        "fcntl$add_seals",
        args![
            "fd": Ty::Fd(FD_MEMFD), "cmd": Ty::Const(1033), "seals": Ty::Flags(&SEALS),
        ],
    )
    .since("3.17"),
    fcntl("fcntl$get_seals", args!["fd": Ty::Fd(FD_MEMFD), "cmd": Ty::Const(1034)])
        .ret(Flags(&SEALS))
        .weight(2)
        .since("3.17"),
    file("ioctl$fioclex", 16, args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(0x5451)]).weight(1),
    file("ioctl$fionclex", 16, args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(0x5450)]).weight(1),
    file(
        "flock",
        73,
        args![
            "fd": Ty::Fd(FD_FILE | FD_DIR | FD_NODE | FD_PIPE), "op": Ty::Flags(&LOCK_OP),
        ],
    )
    .blocks(),
];
