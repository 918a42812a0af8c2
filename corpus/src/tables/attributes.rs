//! What files are and who may use them: status, size, owners, permissions, times, extended attributes.
//! Sources: stat(2), statx(2), statfs(2), truncate(2), fallocate(2), posix_fadvise(2), chmod(2), chown(2), access(2),
//! utimensat(2), utime(2), xattr(7), setxattr(2), getxattr(2), listxattr(2), removexattr(2), fsync(2).

use super::shapes::*;
use crate::args;
use crate::consts::*;
use crate::desc::*;
use Given::{NotDevice, NotDirectory};
use Meaning::{Device, Exact, Inode, Opaque, SizeHint, Where};

/// `struct stat`. Its times vary and are left out; `utimensat` is seen by its errors only.
const STAT_OUT: &[OField] = &[
    of("st_dev", 0, 8, Opaque),
    of("st_ino", 8, 8, Inode),
    of("st_nlink", 16, 8, Where(24, NotDirectory)),
    of("st_mode", 24, 4, Exact),
    // A device may be the host's, and its owner unmapped; a devpts mount gives its terminals a group of its own.
    of("st_uid", 28, 4, Where(24, NotDevice)),
    of("st_gid", 32, 4, Where(24, NotDevice)),
    of("st_rdev", 40, 8, Where(24, NotDevice)),
    of("st_size", 48, 8, Where(24, NotDirectory)),
    of("st_blksize", 56, 8, SizeHint),
    of("st_blocks", 64, 8, SizeHint),
];
const STAT_SIZE: u16 = 144;
/// The same of a null-like device, whose number is a constant of Linux
/// (Documentation/admin-guide/devices.txt).
const STAT_DEV_OUT: &[OField] = &[of("st_mode", 24, 4, Exact), of("st_rdev", 40, 8, Device)];
/// `struct statx` where the basic fields were asked for. A file system may report more than was asked, in
/// `stx_mask` and in `stx_attributes`, so both are its own.
const STATX_OUT: &[OField] = &[
    of("stx_mask", 0, 4, Opaque),
    of("stx_blksize", 4, 4, SizeHint),
    of("stx_attributes", 8, 8, Opaque),
    of("stx_nlink", 16, 4, Where(28, NotDirectory)),
    of("stx_uid", 20, 4, Where(28, NotDevice)),
    of("stx_gid", 24, 4, Where(28, NotDevice)),
    of("stx_mode", 28, 2, Exact),
    // Its device is not looked at, and without that it names nothing.
    of("stx_ino", 32, 8, Opaque),
    of("stx_size", 40, 8, Where(28, NotDirectory)),
    of("stx_blocks", 48, 8, SizeHint),
    of("stx_rdev_major", 128, 4, Where(28, NotDevice)),
    of("stx_rdev_minor", 132, 4, Where(28, NotDevice)),
];
/// Where only some fields were asked for, the others may be anything.
const STATX_ANY_OUT: &[OField] = &[of("stx_mask", 0, 4, Opaque)];
const STATX_SIZE: u16 = 256;
/// `struct statfs`: all of it is the file system's own.
const STATFS_OUT: &[OField] = &[of("f_type", 0, 8, Opaque)];
/// Two `struct timespec`: access and modification time; nanoseconds may be UTIME_NOW or UTIME_OMIT.
const UTIMES_IN: &[SField] = &[
    sf("atime.tv_sec", 0, 8, Ty::Int(&[0, 1, 1_000_000_000])),
    sf("atime.tv_nsec", 8, 8, Ty::Int(&[0, 999_999_999, 0x3fff_ffff, 0x3fff_fffe, 1_000_000_000])),
    sf("mtime.tv_sec", 16, 8, Ty::Int(&[0, 1, 1_000_000_000])),
    sf("mtime.tv_nsec", 24, 8, Ty::Int(&[0, 999_999_999, 0x3fff_ffff, 0x3fff_fffe, 1_000_000_000])),
];
/// `struct utimbuf`: seconds only.
const UTIMBUF_IN: &[SField] = &[
    sf("actime", 0, 8, Ty::Int(&[0, 1, 1_000_000_000])),
    sf("modtime", 8, 8, Ty::Int(&[0, 1, 1_000_000_000])),
];
/// Two `struct timeval`.
const TIMEVALS_IN: &[SField] = &[
    sf("atime.tv_sec", 0, 8, Ty::Int(&[0, 1, 1_000_000_000])),
    sf("atime.tv_usec", 8, 8, Ty::Int(&[0, 999_999, 1_000_000])),
    sf("mtime.tv_sec", 16, 8, Ty::Int(&[0, 1, 1_000_000_000])),
    sf("mtime.tv_usec", 24, 8, Ty::Int(&[0, 999_999, 1_000_000])),
];

/// What has an inode of its own. All eventfds, epolls and so on share one in Linux, with a mode nobody
/// promises.
const NAMED: FdKinds = FD_FILE | FD_DIR | FD_NODE | FD_PIPE | FD_SOCK | FD_TTY | FD_PTM | FD_DEV | FD_MEMFD;
const ANONYMOUS: FdKinds = FD_EVENT | FD_TIMER | FD_EPOLL | FD_SIGNAL | FD_INOTIFY | FD_PID;
const STAT_ANY_OUT: &[OField] = &[of("st_mode", 24, 4, Opaque), of("st_size", 48, 8, Opaque)];

/// A call of this area.
const fn file(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Files, args, Exact)
}
/// A call on an extended attribute of one of three names: `user.*` needs no privilege, the others are refused or absent.
const fn xattr(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Files, args, Exact).weight(2)
}
/// The one attribute that most calls agree on.
const ATTR: Ty = Ty::PathConst("user.a");
const OWNED: FdKinds = FD_FILE | FD_NODE | FD_DIR;
const VALUE: Ty = in_bytes(64);

/// The table.
pub const CALLS: &[Desc] = &[
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
    .weight(8)
    .since("2.6.16"),
    file(
        "newfstatat$at",
        262,
        args![
            "dirfd": Ty::Fd(FD_DIR | FD_NODE), "path": Ty::Path, "statbuf": out(STAT_OUT, STAT_SIZE),
            "flags": Ty::Flags(&AT_STAT),
        ],
    )
    .since("2.6.16"),
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
    .since("2.6.23"),
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
    file("fchmodat", 268, args!["dirfd": AT_FDCWD, "path": Ty::Path, "mode": MODE])
        .needs(NEED_FS)
        .since("2.6.16"),
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
    .weight(2)
    .since("2.6.16"),
    file("access", 21, args!["path": Ty::Path, "mode": Ty::Flags(&ACCESS)]).weight(2),
    file("faccessat", 269, args!["dirfd": AT_FDCWD, "path": Ty::Path, "mode": Ty::Flags(&ACCESS)])
        .weight(2)
        .since("2.6.16"),
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
    .weight(3)
    .since("2.6.22"),
    file(
        "utimensat$now",
        280,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "times": ZERO, "flags": Ty::Flags(&AT_LINK),
        ],
    )
    .weight(1)
    .since("2.6.22"),
    // What futimens(3) does: a null path means the descriptor itself.
    file(
        "utimensat$fd",
        280,
        args![
            "dirfd": Ty::Fd(FD_FILE | FD_DIR), "path": ZERO, "times": in_struct(UTIMES_IN, 32),
            "flags": ZERO,
        ],
    )
    .weight(2)
    .since("2.6.22"),
    file("umask", 95, args!["mask": Ty::Int(&[0o022, 0, 0o077, 0o777, 0o1777])]).weight(3),
    file("fsync", 74, args!["fd": Ty::Fd(FD_ANY)]).weight(1),
    file("fdatasync", 75, args!["fd": Ty::Fd(FD_ANY)]).weight(1),
    // The calls that came before the `at` ones.
    file("stat", 4, args!["path": Ty::Path, "statbuf": out(STAT_OUT, STAT_SIZE)]).weight(3),
    file("lstat", 6, args!["path": Ty::Path, "statbuf": out(STAT_OUT, STAT_SIZE)]).weight(3),
    file("chown", 92, args!["path": Ty::Path, "uid": Ty::Enum(&OWNER), "gid": Ty::Enum(&OWNER)]).weight(2),
    file("lchown", 94, args!["path": Ty::Path, "uid": Ty::Enum(&OWNER), "gid": Ty::Enum(&OWNER)]).weight(2),
    file("utime", 132, args!["path": Ty::Path, "times": in_struct(UTIMBUF_IN, 16)]).weight(1),
    file("utimes", 235, args!["path": Ty::Path, "times": in_struct(TIMEVALS_IN, 32)]).weight(1),
    file("futimesat", 261, args!["dirfd": AT_FDCWD, "path": Ty::Path, "times": in_struct(TIMEVALS_IN, 32)])
        .weight(1)
        .since("2.6.16"),
    // The files behind these are in memory: nothing is written to a disk.
    file("syncfs", 306, args!["fd": Ty::Fd(OWNED)]).weight(1).since("2.6.39"),
    file(
        "sync_file_range",
        277,
        args![
            "fd": Ty::Fd(FD_FILE), "offset": Ty::OneOf(OFFSETS), "nbytes": Ty::OneOf(OFFSETS),
            "flags": Ty::Flags(&SYNC_RANGE),
        ],
    )
    .weight(1)
    .since("2.6.17"),
    file(
        "readahead",
        187,
        args![
            "fd": Ty::Fd(FD_FILE | FD_PIPE), "offset": Ty::OneOf(OFFSETS), "count": Ty::OneOf(OFFSETS),
        ],
    )
    .weight(1),
    xattr(
        "setxattr",
        188,
        args![
            "path": Ty::Path, "name": ATTR, "value": VALUE, "size": Ty::Len(2), "flags": Ty::Flags(&XATTR),
        ],
    )
    .weight(5),
    // Not of this file system, or not for this user.
    xattr(
        "setxattr$trusted",
        188,
        args![
            "path": Ty::Path, "name": Ty::PathConst("trusted.a"), "value": VALUE, "size": Ty::Len(2),
            "flags": ZERO,
        ],
    )
    .weight(1),
    xattr(
        "setxattr$nameless",
        188,
        args![
            "path": Ty::Path, "name": Ty::PathConst("user."), "value": VALUE, "size": Ty::Len(2),
            "flags": ZERO,
        ],
    )
    .weight(1),
    xattr(
        "lsetxattr",
        189,
        args![
            "path": Ty::Path, "name": ATTR, "value": VALUE, "size": Ty::Len(2), "flags": Ty::Flags(&XATTR),
        ],
    ),
    xattr(
        "fsetxattr",
        190,
        args![
            "fd": Ty::Fd(OWNED), "name": ATTR, "value": VALUE, "size": Ty::Len(2),
            "flags": Ty::Flags(&XATTR),
        ],
    )
    .weight(4),
    xattr(
        "fsetxattr$second",
        190,
        args![
            "fd": Ty::Fd(OWNED), "name": Ty::PathConst("user.b"), "value": VALUE, "size": Ty::Len(2),
            "flags": ZERO,
        ],
    ),
    xattr("getxattr", 191, args!["path": Ty::Path, "name": ATTR, "value": out_buf(64), "size": Ty::Len(2)]),
    xattr("lgetxattr", 192, args!["path": Ty::Path, "name": ATTR, "value": out_buf(64), "size": Ty::Len(2)]),
    xattr(
        "fgetxattr",
        193,
        args!["fd": Ty::Fd(OWNED), "name": ATTR, "value": out_buf(64), "size": Ty::Len(2)],
    )
    .weight(3),
    // Only the length: names other than the program's own (security.*) are up to the kernel's configuration.
    xattr("listxattr", 194, args!["path": Ty::Path, "list": ZERO, "size": ZERO]).ret(SizeHint),
    xattr("llistxattr", 195, args!["path": Ty::Path, "list": ZERO, "size": ZERO]).ret(SizeHint),
    xattr("flistxattr", 196, args!["fd": Ty::Fd(OWNED), "list": ZERO, "size": ZERO]).ret(SizeHint),
    xattr("removexattr", 197, args!["path": Ty::Path, "name": ATTR]),
    xattr("lremovexattr", 198, args!["path": Ty::Path, "name": ATTR]),
    xattr("fremovexattr", 199, args!["fd": Ty::Fd(OWNED), "name": ATTR]).weight(3),
];
