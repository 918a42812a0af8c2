//! Directories: making, removing, linking, renaming and listing names, and the working directory.
//! Sources: mkdir(2), mknod(2), unlink(2), link(2), symlink(2), readlink(2), rename(2), getdents(2), chdir(2),
//! getcwd(2).

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes, wire};
use Meaning::{Exact, Fd, SizeHint};

const DIRFD: Ty = Ty::Fd(FD_DIR | FD_NODE);

/// A call of this area.
const fn dir(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Dirs, args, Exact)
}

/// What the agent says of the files there are (`wire::OP_TREE`): their number, then sums of digests.
const TREE_OUT: &[OField] = &[
    of("entries", 0, 4, Meaning::Exact),
    of("names", 4, 4, Meaning::Exact),
    of("types", 8, 4, Meaning::Exact),
    of("st_mode", 12, 4, Meaning::Exact),
    of("st_size", 16, 4, Meaning::Exact),
    of("st_nlink", 20, 4, Meaning::Exact),
    of("contents", 24, 4, Meaning::Exact),
    of("link targets", 28, 4, Meaning::Exact),
];

/// The table.
pub const CALLS: &[Desc] = &[
    dir("openat$dir", 257, args!["dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Flags(&O_DIR)])
        .ret(Fd)
        .makes(makes![made_fd(FD_DIR)])
        .weight(8)
        .since("2.6.16"),
    // The working directory itself always opens.
    dir(
        "openat$cwd",
        257,
        args![
            "dirfd": AT_FDCWD, "path": Ty::PathConst("."), "flags": Ty::Flags(&O_DIR),
        ],
    )
    .ret(Fd)
    .makes(makes![made_fd(FD_DIR)])
    .weight(6)
    .since("2.6.16"),
    dir("mkdirat", 258, args!["dirfd": AT_FDCWD, "path": Ty::Path, "mode": MODE])
        .makes(makes![made_path(1)])
        .needs(NEED_FS)
        .weight(10)
        .since("2.6.16"),
    dir("mkdirat$at", 258, args!["dirfd": DIRFD, "path": Ty::Path, "mode": MODE])
        .needs(NEED_FS)
        .since("2.6.16"),
    dir("unlinkat", 263, args!["dirfd": AT_FDCWD, "path": Ty::Path, "flags": ZERO]).weight(6).since("2.6.16"),
    dir("unlinkat$rmdir", 263, args!["dirfd": AT_FDCWD, "path": Ty::Path, "flags": Ty::Const(0x200)])
        .weight(6)
        .since("2.6.16"),
    dir("unlinkat$at", 263, args!["dirfd": DIRFD, "path": Ty::Path, "flags": Ty::Flags(&AT_REMOVE)])
        .since("2.6.16"),
    dir(
        "linkat",
        265,
        args![
            "olddirfd": AT_FDCWD, "oldpath": Ty::Path, "newdirfd": AT_FDCWD, "newpath": Ty::Path,
            "flags": Ty::Flags(&AT_FOLLOW),
        ],
    )
    .makes(makes![made_path(3)])
    .needs(NEED_FS)
    .weight(6)
    .since("2.6.16"),
    dir(
        "linkat$at",
        265,
        args![
            "olddirfd": DIRFD, "oldpath": Ty::Path, "newdirfd": DIRFD, "newpath": Ty::Path,
            "flags": Ty::Flags(&AT_FOLLOW),
        ],
    )
    .needs(NEED_FS)
    .weight(2)
    .since("2.6.16"),
    dir("symlinkat", 266, args!["target": Ty::Path, "newdirfd": AT_FDCWD, "linkpath": Ty::Path])
        .makes(makes![made_path(2)])
        .needs(NEED_FS)
        .weight(6)
        .since("2.6.16"),
    dir("symlinkat$at", 266, args!["target": Ty::Path, "newdirfd": DIRFD, "linkpath": Ty::Path])
        .needs(NEED_FS)
        .weight(2)
        .since("2.6.16"),
    dir(
        "readlinkat",
        267,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "buf": out_buf(128), "bufsiz": Ty::Len(2),
        ],
    )
    .weight(6)
    .since("2.6.16"),
    dir(
        "readlinkat$at",
        267,
        args![
            "dirfd": DIRFD, "path": Ty::Path, "buf": out_buf(128), "bufsiz": Ty::Len(2),
        ],
    )
    .weight(2)
    .since("2.6.16"),
    dir(
        "renameat",
        264,
        args![
            "olddirfd": AT_FDCWD, "oldpath": Ty::Path, "newdirfd": AT_FDCWD, "newpath": Ty::Path,
        ],
    )
    .makes(makes![made_path(3)])
    .needs(NEED_FS)
    .since("2.6.16"),
    dir(
        "renameat2",
        316,
        args![
            "olddirfd": AT_FDCWD, "oldpath": Ty::Path, "newdirfd": AT_FDCWD, "newpath": Ty::Path,
            "flags": Ty::Flags(&RENAME),
        ],
    )
    .makes(makes![made_path(3)])
    .needs(NEED_FS)
    .weight(6)
    .since("3.15"),
    dir(
        "renameat2$at",
        316,
        args![
            "olddirfd": DIRFD, "oldpath": Ty::Path, "newdirfd": DIRFD, "newpath": Ty::Path,
            "flags": Ty::Flags(&RENAME),
        ],
    )
    .needs(NEED_FS)
    .weight(2)
    .since("3.15"),
    // Always the whole of a directory: the agent goes back to its start first. How many bytes that takes is the kernel's
    // choice; the names themselves are compared as a set.
    dir(
        "getdents64",
        217,
        args![
            "fd": Ty::Fd(FD_DIR), "dirp": Ty::Ptr(In::Nothing, Out::Dirents(2048)), "count": Ty::Len(1),
        ],
    )
    .ret(SizeHint)
    .weight(8),
    // Going back to the start is the one position of a directory that means the same everywhere.
    dir("lseek$dir", 8, args!["fd": Ty::Fd(FD_DIR), "offset": ZERO, "whence": ZERO]).weight(2),
    dir("chdir", 80, args!["path": Ty::Path]).weight(6),
    dir("fchdir", 81, args!["fd": Ty::Fd(FD_DIR | FD_NODE | FD_FILE)]),
    dir("getcwd", 79, args!["buf": out_buf(256), "size": Ty::Len(0)]).weight(6),
    // Everything below the working directory at once.
    Desc::with(
        "tree",
        Op::Agent(wire::OP_TREE),
        Area::Dirs,
        args!["sums": out(TREE_OUT, 4 * wire::TREE_WORDS as u16)],
        Meaning::Exact,
    )
    .needs(NEED_FS)
    .weight(1),
    // The calls that came before the `at` ones.
    dir("mkdir", 83, args!["path": Ty::Path, "mode": MODE])
        .makes(makes![made_path(0)])
        .needs(NEED_FS)
        .weight(4),
    dir("rmdir", 84, args!["path": Ty::Path]).weight(3),
    dir("link", 86, args!["oldpath": Ty::Path, "newpath": Ty::Path])
        .makes(makes![made_path(1)])
        .needs(NEED_FS),
    dir("symlink", 88, args!["target": Ty::Path, "linkpath": Ty::Path])
        .makes(makes![made_path(1)])
        .needs(NEED_FS),
    dir("readlink", 89, args!["path": Ty::Path, "buf": out_buf(128), "bufsiz": Ty::Len(1)]).weight(3),
    dir("rename", 82, args!["oldpath": Ty::Path, "newpath": Ty::Path])
        .makes(makes![made_path(1)])
        .needs(NEED_FS),
    dir("unlink", 87, args!["path": Ty::Path]).weight(3),
    // Neither a device, which needs a privilege, nor a pipe, which has entries of its own.
    dir(
        "mknod",
        133,
        args![
            "path": Ty::Path, "mode": Ty::Enum(&NODE_MODE), "dev": ZERO,
        ],
    )
    .makes(makes![made_path(0)])
    .needs(NEED_FS)
    .weight(2),
    dir(
        "mknodat",
        259,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "mode": Ty::Enum(&NODE_MODE), "dev": ZERO,
        ],
    )
    .makes(makes![made_path(1)])
    .needs(NEED_FS)
    .weight(2)
    .since("2.6.16"),
    dir(
        "mknodat$fifo",
        259,
        args![
            "dirfd": AT_FDCWD, "path": Ty::Path, "mode": Ty::Const(0o10600), "dev": ZERO,
        ],
    )
    .makes(makes![made_path(1)])
    .needs(NEED_FS)
    .weight(5)
    .since("2.6.16"),
];
