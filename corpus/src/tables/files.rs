//! Files: opening them in the private working directory, descriptors, flags, locks, status, permissions.
//! Sources: open(2), dup(2), fcntl(2), flock(2), stat(2), statx(2), fallocate(2), chmod(2), access(2),
//! utimensat(2).

use super::shapes::*;
use crate::consts::*;
use crate::desc::file_types::{NOT_DEV, NOT_DIR};
use crate::desc::*;
use crate::{args, makes};
use Meaning::{ByType, Exact, Fd, Flags, Inode, Opaque, Pid, SizeHint};

/// `struct stat`. Its times vary and are left out; `utimensat` is seen by its errors only.
const STAT_OUT: &[OField] = &[
    of("st_dev", 0, 8, Opaque),
    of("st_ino", 8, 8, Inode),
    of("st_nlink", 16, 8, ByType(24, NOT_DIR)),
    of("st_mode", 24, 4, Exact),
    // A device may be the host's, and its owner unmapped; a devpts mount gives its terminals a group of its own.
    of("st_uid", 28, 4, ByType(24, NOT_DEV)),
    of("st_gid", 32, 4, ByType(24, NOT_DEV)),
    of("st_rdev", 40, 8, ByType(24, NOT_DEV)),
    of("st_size", 48, 8, ByType(24, NOT_DIR)),
    of("st_blksize", 56, 8, SizeHint),
    of("st_blocks", 64, 8, SizeHint),
];
const STAT_SIZE: u16 = 144;
/// The same of a null-like device, whose number is a constant of Linux
/// (Documentation/admin-guide/devices.txt).
const STAT_DEV_OUT: &[OField] = &[of("st_mode", 24, 4, Exact), of("st_rdev", 40, 8, Exact)];
/// `struct statx` where the basic fields were asked for. A file system may report more than was asked, in
/// `stx_mask` and in `stx_attributes`, so both are its own.
const STATX_OUT: &[OField] = &[
    of("stx_mask", 0, 4, Opaque),
    of("stx_blksize", 4, 4, SizeHint),
    of("stx_attributes", 8, 8, Opaque),
    of("stx_nlink", 16, 4, ByType(28, NOT_DIR)),
    of("stx_uid", 20, 4, ByType(28, NOT_DEV)),
    of("stx_gid", 24, 4, ByType(28, NOT_DEV)),
    of("stx_mode", 28, 2, Exact),
    // Its device is not looked at, and without that it names nothing.
    of("stx_ino", 32, 8, Opaque),
    of("stx_size", 40, 8, ByType(28, NOT_DIR)),
    of("stx_blocks", 48, 8, SizeHint),
    of("stx_rdev_major", 128, 4, ByType(28, NOT_DEV)),
    of("stx_rdev_minor", 132, 4, ByType(28, NOT_DEV)),
];
/// Where only some fields were asked for, the others may be anything.
const STATX_ANY_OUT: &[OField] = &[of("stx_mask", 0, 4, Opaque)];
const STATX_SIZE: u16 = 256;
/// `struct statfs`: all of it is the file system's own.
const STATFS_OUT: &[OField] = &[of("f_type", 0, 8, Opaque)];
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
/// Two `struct timespec`: access and modification time; nanoseconds may be UTIME_NOW or UTIME_OMIT.
const UTIMES_IN: &[SField] = &[
    sf("atime.tv_sec", 0, 8, Ty::Int(&[0, 1, 1_000_000_000])),
    sf("atime.tv_nsec", 8, 8, Ty::Int(&[0, 999_999_999, 0x3fff_ffff, 0x3fff_fffe, 1_000_000_000])),
    sf("mtime.tv_sec", 16, 8, Ty::Int(&[0, 1, 1_000_000_000])),
    sf("mtime.tv_nsec", 24, 8, Ty::Int(&[0, 999_999_999, 0x3fff_ffff, 0x3fff_fffe, 1_000_000_000])),
];
const OWNER_EX_IN: &[SField] = &[sf("type", 0, 4, Ty::Int(&[1, 0, 2, 3])), sf("pid", 4, 4, Ty::Pid)];
const OWNER_EX_OUT: &[OField] = &[of("type", 0, 4, Exact), of("pid", 4, 4, Pid)];

/// What has an inode of its own. All eventfds, epolls and so on share one in Linux, with a mode nobody
/// promises.
const NAMED: FdKinds = FD_FILE | FD_DIR | FD_NODE | FD_PIPE | FD_SOCK | FD_TTY | FD_PTM | FD_DEV | FD_MEMFD;
const ANONYMOUS: FdKinds = FD_EVENT | FD_TIMER | FD_EPOLL | FD_SIGNAL | FD_INOTIFY | FD_PID;
const STAT_ANY_OUT: &[OField] = &[of("st_mode", 24, 4, Opaque), of("st_size", 48, 8, Opaque)];

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

/// A call of this area.
const fn file(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Files, args, Exact)
}
/// A call that creates a regular file at the path that is its argument 1, and opens it.
const fn creates(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    file(name, 257, args).ret(Fd).makes(makes![made_fd(FD_FILE), made_path(1)]).needs(NEED_FS).weight(6)
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
    .weight(10),
    file(
        "openat$at",
        257,
        args![
            "dirfd": Ty::Fd(FD_DIR), "path": Ty::Path, "flags": Ty::Flags(&O_OPEN), "mode": MODE,
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_NODE)])
    .needs(NEED_FS),
    creates(
        "openat$create",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_RDWR), "mode": MODE,
        ],
    )
    .weight(14),
    creates(
        "openat$excl",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_EXCL | O_RDWR),
            "mode": MODE,
        ],
    ),
    creates(
        "openat$trunc",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_TRUNC | O_RDWR),
            "mode": MODE,
        ],
    ),
    creates(
        "openat$append",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_APPEND | O_RDWR),
            "mode": MODE,
        ],
    ),
    creates(
        "openat$rdonly",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_CLOEXEC), "mode": MODE,
        ],
    ),
    creates(
        "openat$wronly",
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(O_CREAT | O_NONBLOCK | O_WRONLY),
            "mode": MODE,
        ],
    ),
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
    .makes(makes![made_fd(FD_DEV)]),
    file(
        "openat$zero",
        257,
        args![
            "dirfd": AT_FDCWD, "path": Ty::PathConst("/dev/zero"), "flags": Ty::Flags(&O_TTY),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_DEV)])
    .weight(2),
    file(
        "openat$full",
        257,
        args![
            "dirfd": AT_FDCWD, "path": Ty::PathConst("/dev/full"), "flags": Ty::Flags(&O_TTY),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_DEV)])
    .weight(1),
    file("creat", 85, args!["path": Ty::Path, "mode": MODE])
        .ret(Fd)
        .makes(makes![made_fd(FD_FILE), made_path(0)])
        .needs(NEED_FS),
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
    file("fstat", 5, args!["fd": Ty::Fd(NAMED), "statbuf": out(STAT_OUT, STAT_SIZE)]).weight(8),
    file("fstat$anon", 5, args!["fd": Ty::Fd(ANONYMOUS), "statbuf": out(STAT_ANY_OUT, STAT_SIZE)]).weight(1),
    file("fstat$dev", 5, args!["fd": Ty::Fd(FD_DEV), "statbuf": out(STAT_DEV_OUT, STAT_SIZE)]).weight(1),
    file(
        "newfstatat",
        262,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "statbuf": out(STAT_OUT, STAT_SIZE),
            "flags": Ty::Flags(&AT_STAT),
        ],
    )
    .weight(8),
    file(
        "newfstatat$at",
        262,
        args![
            "dirfd": Ty::Fd(FD_DIR | FD_NODE), "path": Ty::Path, "statbuf": out(STAT_OUT, STAT_SIZE),
            "flags": Ty::Flags(&AT_STAT),
        ],
    ),
    file(
        "newfstatat$fd",
        262,
        args![
            "dirfd": Ty::Fd(NAMED), "path": Ty::PathConst(""), "statbuf": out(STAT_OUT, STAT_SIZE),
            "flags": Ty::Const(0x1000),
        ],
    )
    .since("2.6.39"),
    file(
        "statx",
        332,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Flags(&AT_STAT), "mask": Ty::Const(0x7ff),
            "statxbuf": out(STATX_OUT, STATX_SIZE),
        ],
    )
    .since("4.11"),
    file(
        "statx$fd",
        332,
        args![
            "dirfd": Ty::Fd(NAMED), "path": Ty::PathConst(""), "flags": Ty::Const(0x1000),
            "mask": Ty::Const(0x7ff), "statxbuf": out(STATX_OUT, STATX_SIZE),
        ],
    )
    .weight(2)
    .since("4.11"),
    file(
        "statx$mask",
        332,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Flags(&AT_STAT), "mask": Ty::Flags(&STATX),
            "statxbuf": out(STATX_ANY_OUT, STATX_SIZE),
        ],
    )
    .weight(1)
    .since("4.11"),
    file("fstatfs", 138, args!["fd": Ty::Fd(FD_ANY), "buf": out(STATFS_OUT, 120)]).weight(1),
    file("statfs", 137, args!["path": Ty::Path, "buf": out(STATFS_OUT, 120)]).weight(1),
    file("truncate", 76, args!["path": Ty::Path, "length": Ty::OneOf(OFFSETS)]),
    file(
        "ftruncate",
        77,
        args![
            "fd": Ty::Fd(FD_FILE | FD_NODE | FD_DIR | FD_PIPE), "length": Ty::OneOf(OFFSETS),
        ],
    )
    .weight(6),
    file(
        "fallocate",
        285,
        args![
            "fd": Ty::Fd(FD_FILE | FD_NODE | FD_PIPE), "mode": Ty::Flags(&FALLOC),
            "offset": Ty::OneOf(OFFSETS), "len": Ty::OneOf(OFFSETS),
        ],
    )
    .since("2.6.38"),
    file(
        "fadvise64",
        221,
        args![
            "fd": Ty::Fd(FD_FILE | FD_PIPE | FD_DIR), "offset": Ty::Int(OFFSETS),
            "len": Ty::Int(OFFSETS), "advice": Ty::Enum(&FADVISE),
        ],
    )
    .weight(1),
    // They may take away rights of the working directory, which must be given back.
    file("chmod", 90, args!["path": Ty::Path, "mode": MODE]).needs(NEED_FS).weight(2),
    file("fchmod", 91, args!["fd": Ty::Fd(FD_FILE | FD_NODE | FD_DIR), "mode": MODE]).needs(NEED_FS),
    file("fchmodat", 268, args!["dirfd": AT_FDCWD, "path": Ty::Path, "mode": MODE]).needs(NEED_FS),
    file(
        "fchmodat2",
        452,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "mode": MODE, "flags": Ty::Flags(&AT_LINK),
        ],
    )
    .needs(NEED_FS)
    .weight(2)
    .since("6.6"),
    file(
        "fchown",
        93,
        args![
            "fd": Ty::Fd(FD_FILE | FD_NODE | FD_DIR), "uid": Ty::Enum(&OWNER), "gid": Ty::Enum(&OWNER),
        ],
    ),
    file(
        "fchownat",
        260,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "uid": Ty::Enum(&OWNER), "gid": Ty::Enum(&OWNER),
            "flags": Ty::Flags(&AT_LINK),
        ],
    )
    .weight(2),
    file("access", 21, args!["path": Ty::Path, "mode": Ty::Flags(&ACCESS)]).weight(2),
    file("faccessat", 269, args!["dirfd": AT_FDCWD, "path": Ty::Path, "mode": Ty::Flags(&ACCESS)]).weight(2),
    file(
        "faccessat2",
        439,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "mode": Ty::Flags(&ACCESS),
            "flags": Ty::Flags(&AT_ACCESS),
        ],
    )
    .weight(3)
    .since("5.8"),
    file(
        "utimensat",
        280,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "times": in_struct(UTIMES_IN, 32),
            "flags": Ty::Flags(&AT_LINK),
        ],
    )
    .weight(3),
    file(
        "utimensat$now",
        280,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "times": ZERO, "flags": Ty::Flags(&AT_LINK),
        ],
    )
    .weight(1),
    // What futimens(3) does: a null path means the descriptor itself.
    file(
        "utimensat$fd",
        280,
        args![
            "dirfd": Ty::Fd(FD_FILE | FD_DIR), "path": ZERO, "times": in_struct(UTIMES_IN, 32),
            "flags": ZERO,
        ],
    )
    .weight(2),
    file("umask", 95, args!["mask": Ty::Int(&[0o022, 0, 0o077, 0o777, 0o1777])]).weight(3),
    file("fsync", 74, args!["fd": Ty::Fd(FD_ANY)]).weight(1),
    file("fdatasync", 75, args!["fd": Ty::Fd(FD_ANY)]).weight(1),
];
