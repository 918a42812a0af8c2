//! Moving bytes: read, write and their kin, positions, pipes, memfds, splicing, closing many.
//! Sources: read(2), readv(2), lseek(2), pipe(7), sendfile(2), splice(2), vmsplice(2), copy_file_range(2).

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes};
use Meaning::{Exact, Fd, SizeHint};

const NODES: FdKinds = FD_FILE | FD_NODE | FD_DEV | FD_DIR;
const STREAMS: FdKinds = FD_STREAM | FD_NODE;
const POSITIONS: Ty = Ty::Int(&[0, 1, 5, 100, 4095, 4096, 5000, u64::MAX, 1 << 31]);
const COUNTS: Ty = Ty::Int(&[0, 1, 5, 100, 4096]);
const IOV_IN: Ty = Ty::Ptr(In::IovIn, Out::Nothing);
const IOV_OUT: Ty = Ty::Ptr(In::IovOut, Out::Nothing);
/// The two descriptors of pipe(2).
const PAIR_OUT: &[OField] = &[of("fd0", 0, 4, Fd), of("fd1", 4, 4, Fd)];
/// A file offset that the call moves on.
const OFF_INOUT: Ty = Ty::Ptr(
    In::Struct(&[sf("offset", 0, 8, Ty::Int(&[0, 1, 100, 4096, u64::MAX]))], 8),
    Out::Fields(&[of("offset", 0, 8, Exact)], 8),
);
/// A call of this area.
const fn io(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Io, args, Exact)
}
/// A read that may have to wait, from a terminal among others.
const fn takes(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    io(name, nr, args).blocks()
}
/// A write that may have to wait, to a terminal among others.
const fn gives(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    io(name, nr, args).settles().blocks()
}
const ON_OFF: &[SField] = &[sf("value", 0, 4, Ty::Int(&[0, 1]))];

/// The table.
pub const CALLS: &[Desc] = &[
    takes("read", 0, args!["fd": Ty::Fd(STREAMS), "buf": out_buf(512), "count": Ty::Len(1)]).weight(8),
    // Even a descriptor taken for a file may have come to name a pipe (dup2), so these wait too.
    io("read$file", 0, args!["fd": Ty::Fd(NODES), "buf": out_buf(4096), "count": Ty::Len(1)])
        .blocks()
        .weight(6),
    gives("write", 1, args!["fd": Ty::Fd(STREAMS), "buf": in_bytes(512), "count": Ty::Len(1)]).weight(8),
    gives("write$file", 1, args!["fd": Ty::Fd(NODES), "buf": in_bytes(4096), "count": Ty::Len(1)])
        .weight(6),
    io(
        "pread64",
        17,
        args![
            "fd": Ty::Fd(STREAMS), "buf": out_buf(512), "count": Ty::Len(1), "offset": POSITIONS,
        ],
    )
    .blocks(),
    io(
        "pwrite64",
        18,
        args![
            "fd": Ty::Fd(STREAMS), "buf": in_bytes(512), "count": Ty::Len(1), "offset": POSITIONS,
        ],
    )
    .blocks(),
    takes("readv", 19, args!["fd": Ty::Fd(STREAMS), "iov": IOV_OUT, "iovcnt": Ty::Len(1)]),
    gives("writev", 20, args!["fd": Ty::Fd(STREAMS), "iov": IOV_IN, "iovcnt": Ty::Len(1)]),
    // The offset is the fourth word alone on 64-bit machines.
    io(
        "preadv",
        295,
        args![
            "fd": Ty::Fd(NODES), "iov": IOV_OUT, "iovcnt": Ty::Len(1), "pos_l": POSITIONS, "pos_h": ZERO,
        ],
    )
    .blocks()
    .since("2.6.30"),
    io(
        "pwritev",
        296,
        args![
            "fd": Ty::Fd(NODES), "iov": IOV_IN, "iovcnt": Ty::Len(1), "pos_l": POSITIONS, "pos_h": ZERO,
        ],
    )
    .blocks()
    .since("2.6.30"),
    // Offset -1 means the file's own position here.
    takes(
        "preadv2",
        327,
        args![
            "fd": Ty::Fd(STREAMS), "iov": IOV_OUT, "iovcnt": Ty::Len(1), "pos_l": POSITIONS,
            "pos_h": ZERO, "flags": Ty::Flags(&RWF),
        ],
    )
    .since("4.6"),
    gives(
        "pwritev2",
        328,
        args![
            "fd": Ty::Fd(STREAMS), "iov": IOV_IN, "iovcnt": Ty::Len(1), "pos_l": POSITIONS,
            "pos_h": ZERO, "flags": Ty::Flags(&RWF),
        ],
    )
    .since("4.6"),
    gives(
        "pwritev2$append",
        328,
        args![
            "fd": Ty::Fd(FD_FILE), "iov": IOV_IN, "iovcnt": Ty::Len(1), "pos_l": POSITIONS,
            "pos_h": ZERO, "flags": Ty::Const(0x10),
        ],
    )
    .weight(2)
    .since("4.16"),
    io(
        "lseek",
        8,
        args![
            "fd": Ty::Fd(STREAMS), "offset": POSITIONS, "whence": Ty::Enum(&SEEK),
        ],
    )
    .weight(6),
    // Where holes are is the file system's choice.
    io(
        "lseek$data",
        8,
        args![
            "fd": Ty::Fd(FD_FILE), "offset": POSITIONS, "whence": Ty::Const(3),
        ],
    )
    .ret(SizeHint)
    .weight(1)
    .since("3.1"),
    io(
        "lseek$hole",
        8,
        args![
            "fd": Ty::Fd(FD_FILE), "offset": POSITIONS, "whence": Ty::Const(4),
        ],
    )
    .ret(SizeHint)
    .weight(1)
    .since("3.1"),
    io("pipe", 22, args!["pipefd": out(PAIR_OUT, 8)])
        .makes(makes![made_fd_at(0, 0, FD_PIPE), made_fd_at(0, 4, FD_PIPE)])
        .weight(6),
    io("pipe2", 293, args!["pipefd": out(PAIR_OUT, 8), "flags": Ty::Flags(&O_PIPE)])
        .makes(makes![made_fd_at(0, 0, FD_PIPE), made_fd_at(0, 4, FD_PIPE)])
        .weight(8)
        .since("2.6.27"),
    // Lengths stay within a page: how much of a longer one moves at once is not promised.
    gives(
        "sendfile",
        40,
        args![
            "out_fd": Ty::Fd(FD_FILE | FD_PIPE | FD_SOCK), "in_fd": Ty::Fd(FD_FILE), "offset": ZERO,
            "count": COUNTS,
        ],
    ),
    gives(
        "sendfile$off",
        40,
        args![
            "out_fd": Ty::Fd(FD_FILE | FD_PIPE | FD_SOCK), "in_fd": Ty::Fd(FD_FILE), "offset": OFF_INOUT,
            "count": COUNTS,
        ],
    ),
    gives(
        "splice",
        275,
        args![
            "fd_in": Ty::Fd(FD_PIPE | FD_FILE | FD_SOCK), "off_in": ZERO,
            "fd_out": Ty::Fd(FD_PIPE | FD_FILE | FD_SOCK), "off_out": ZERO, "len": COUNTS,
            "flags": Ty::Flags(&SPLICE),
        ],
    ).since("2.6.17"),
    gives(
        "splice$from",
        275,
        args![
            "fd_in": Ty::Fd(FD_FILE), "off_in": OFF_INOUT, "fd_out": Ty::Fd(FD_PIPE), "off_out": ZERO,
            "len": COUNTS, "flags": Ty::Flags(&SPLICE),
        ],
    )
    .weight(3).since("2.6.17"),
    gives(
        "splice$to",
        275,
        args![
            "fd_in": Ty::Fd(FD_PIPE), "off_in": ZERO, "fd_out": Ty::Fd(FD_FILE), "off_out": OFF_INOUT,
            "len": COUNTS, "flags": Ty::Flags(&SPLICE),
        ],
    )
    .weight(3).since("2.6.17"),
    // The pages are the arena's: what they hold when the pipe is read is what they hold then, so nothing may write to
    // them after (vmsplice(2) says so), and nothing does.
    io(
        "vmsplice",
        278,
        args![
            "fd": Ty::Fd(FD_PIPE), "iov": IOV_IN, "nr_segs": Ty::Len(1), "flags": Ty::Flags(&SPLICE),
        ],
    )
    .blocks()
    .since("2.6.17"),
    io(
        "vmsplice$from",
        278,
        args![
            "fd": Ty::Fd(FD_PIPE), "iov": IOV_OUT, "nr_segs": Ty::Len(1), "flags": Ty::Flags(&SPLICE),
        ],
    )
    .blocks()
    .weight(2)
    .since("2.6.23"),
    io(
        "tee",
        276,
        args![
            "fd_in": Ty::Fd(FD_PIPE), "fd_out": Ty::Fd(FD_PIPE), "len": COUNTS,
            "flags": Ty::Flags(&SPLICE),
        ],
    )
    .blocks().since("2.6.17"),
    io(
        "copy_file_range",
        326,
        args![
            "fd_in": Ty::Fd(FD_FILE), "off_in": ZERO, "fd_out": Ty::Fd(FD_FILE), "off_out": ZERO,
            "len": COUNTS, "flags": ZERO,
        ],
    )
    .since("4.5"),
    io(
        "copy_file_range$off",
        326,
        args![
            "fd_in": Ty::Fd(FD_FILE), "off_in": OFF_INOUT, "fd_out": Ty::Fd(FD_FILE),
            "off_out": OFF_INOUT, "len": COUNTS, "flags": ZERO,
        ],
    )
    .since("4.5"),
    io("memfd_create", 319, args!["name": Ty::PathConst("memory"), "flags": Ty::Flags(&MFD)])
        .ret(Fd)
        .makes(makes![made_fd(FD_FILE | FD_MEMFD)])
        .weight(6)
        .since("3.17"),
    // Ends below the agent's own descriptors.
    io(
        "close_range",
        436,
        args![
            "first": Ty::OneOf(&[3, 4, 5, 10, 64]), "last": Ty::OneOf(&[3, 5, 10, 100, 199]),
            "flags": Ty::Flags(&CLOSE_RANGE),
        ],
    )
    .settles()
    .weight(2)
    .since("5.9"),
    io(
        "ioctl$fionread",
        16,
        args![
            "fd": Ty::Fd(FD_TTY | FD_PTM | FD_PIPE | FD_SOCK), "cmd": Ty::Const(0x541b), "arg": out(INT_OUT, 4),
        ],
    )
    .weight(6),
    io("ioctl$fionbio", 16, args!["fd": Ty::Fd(FD_ANY), "cmd": Ty::Const(0x5421), "arg": in_struct(ON_OFF, 4)]),
];
