//! Socket options, set and read back.
//! Sources: getsockopt(2), socket(7), ip(7), tcp(7), unix(7).

use super::shapes::*;
use crate::args;
use crate::consts::*;
use crate::desc::*;
use Meaning::{Exact, Pid, SizeHint};

const CREDLEN_INOUT: Ty = Ty::Ptr(
    In::Struct(&[sf("optlen", 0, 4, Ty::Int(&[12]))], 4),
    Out::Fields(&[of("optlen", 0, 4, Exact)], 4),
);
const CRED_OUT: &[OField] = &[of("pid", 0, 4, Pid), of("uid", 4, 4, Exact), of("gid", 8, 4, Exact)];
/// A buffer size, which the kernel chooses.
const SIZE_OUT: &[OField] = &[of("value", 0, 4, SizeHint)];
const INT_IN: &[SField] = &[sf("value", 0, 4, Ty::Int(&[0, 1]))];
/// Some TCP and IP options take any int, others mind.
const OPTION_IN: &[SField] = &[sf("value", 0, 4, Ty::Int(&[1, 0, 2, 5, 64, 255, 256, 0xffff_ffff]))];
/// Larger than what any program sends: how much a small buffer holds is the kernel's accounting.
const ROOM_IN: &[SField] = &[sf("value", 0, 4, Ty::OneOf(&[65_536, 131_072]))];
const OPTLEN: Ty = Ty::OneOf(&[4, 4, 4, 4, 4, 4, 4, 4, 4, 8, 3, 0, 0xffff_ffff]);
/// No time to linger: a close would take it.
const LINGER: &[SField] = &[sf("l_onoff", 0, 4, Ty::Int(&[0, 1])), sf("l_linger", 4, 4, Ty::OneOf(&[0]))];
const LINGER_OUT: &[OField] = &[of("l_onoff", 0, 4, Exact), of("l_linger", 4, 4, Exact)];
/// `struct timeval`: whole seconds and many of them, so that none runs out.
const TIMEO_IN: &[SField] =
    &[sf("tv_sec", 0, 8, Ty::OneOf(&[100, 0, u64::MAX])), sf("tv_usec", 8, 8, Ty::OneOf(&[0, 1_000_000]))];
const TIMEO_OUT: &[OField] = &[of("tv_sec", 0, 8, Exact), of("tv_usec", 8, 8, Exact)];
const TIMEOLEN_INOUT: Ty = Ty::Ptr(
    In::Struct(&[sf("optlen", 0, 4, Ty::Int(&[16, 8]))], 4),
    Out::Fields(&[of("optlen", 0, 4, Exact)], 4),
);
const LINGERLEN_INOUT: Ty = Ty::Ptr(
    In::Struct(&[sf("optlen", 0, 4, Ty::Int(&[8, 4]))], 4),
    Out::Fields(&[of("optlen", 0, 4, Exact)], 4),
);
const SOL_SOCKET: Ty = Ty::Const(1);
/// An option's length: in what there is room for, out what was written.
const INTLEN_INOUT: Ty = Ty::Ptr(
    In::Struct(&[sf("optlen", 0, 4, Ty::Int(&[4, 1, 0]))], 4),
    Out::Fields(&[of("optlen", 0, 4, Exact)], 4),
);
const SOCK: Ty = Ty::Fd(FD_SOCK);

/// A call of this area.
const fn socket(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Sockets, args, Exact)
}

/// The table.
pub const CALLS: &[Desc] = &[
    socket(
        "getsockopt$int",
        55,
        args![
            "sockfd": Ty::Fd(FD_SOCK), "level": SOL_SOCKET, "optname": Ty::Enum(&SO_GET),
            "optval": out(INT_OUT, 4), "optlen": INTLEN_INOUT,
        ],
    ),
    socket(
        "getsockopt$size",
        55,
        args![
            "sockfd": Ty::Fd(FD_SOCK), "level": SOL_SOCKET, "optname": Ty::Enum(&SO_SIZE),
            "optval": out(SIZE_OUT, 4), "optlen": INTLEN_INOUT,
        ],
    )
    .weight(1),
    socket(
        "getsockopt$peercred",
        55,
        args![
            "sockfd": Ty::Fd(FD_SOCK), "level": SOL_SOCKET, "optname": Ty::Const(17),
            "optval": out(CRED_OUT, 12), "optlen": CREDLEN_INOUT,
        ],
    )
    .weight(2),
    socket(
        "setsockopt$int",
        54,
        args![
            "sockfd": Ty::Fd(FD_SOCK), "level": SOL_SOCKET, "optname": Ty::Enum(&SO_SET),
            "optval": in_struct(INT_IN, 4), "optlen": Ty::Const(4),
        ],
    )
    .weight(2),
    socket(
        "setsockopt$ip",
        54,
        args![
            "sockfd": SOCK, "level": ZERO, "optname": Ty::Enum(&IP_OPTIONS), "optval": in_struct(OPTION_IN, 4),
            "optlen": OPTLEN,
        ],
    )
    .weight(3),
    socket(
        "getsockopt$ip",
        55,
        args![
            "sockfd": SOCK, "level": ZERO, "optname": Ty::Enum(&IP_OPTIONS), "optval": out(INT_OUT, 4),
            "optlen": INTLEN_INOUT,
        ],
    )
    .weight(2),
    socket(
        "setsockopt$tcp",
        54,
        args![
            "sockfd": SOCK, "level": Ty::Const(6), "optname": Ty::Enum(&TCP_OPTIONS),
            "optval": in_struct(OPTION_IN, 4), "optlen": OPTLEN,
        ],
    )
    .weight(3),
    socket(
        "getsockopt$tcp",
        55,
        args![
            "sockfd": SOCK, "level": Ty::Const(6), "optname": Ty::Enum(&TCP_OPTIONS), "optval": out(INT_OUT, 4),
            "optlen": INTLEN_INOUT,
        ],
    )
    .weight(2),
    socket(
        "setsockopt$flag",
        54,
        args![
            "sockfd": SOCK, "level": SOL_SOCKET, "optname": Ty::Enum(&SO_FLAGS),
            "optval": in_struct(OPTION_IN, 4), "optlen": OPTLEN,
        ],
    )
    .weight(4),
    socket(
        "getsockopt$flag",
        55,
        args![
            "sockfd": SOCK, "level": SOL_SOCKET, "optname": Ty::Enum(&SO_FLAGS), "optval": out(INT_OUT, 4),
            "optlen": INTLEN_INOUT,
        ],
    )
    .weight(3),
    socket(
        "setsockopt$size",
        54,
        args![
            "sockfd": SOCK, "level": SOL_SOCKET, "optname": Ty::Enum(&SO_SIZE),
            "optval": in_struct(ROOM_IN, 4), "optlen": Ty::OneOf(&[4, 4, 4, 2]),
        ],
    )
    .weight(1),
    socket(
        "setsockopt$linger",
        54,
        args![
            "sockfd": SOCK, "level": SOL_SOCKET, "optname": Ty::Const(13), "optval": in_struct(LINGER, 8),
            "optlen": Ty::OneOf(&[8, 8, 8, 4]),
        ],
    )
    .weight(2),
    socket(
        "getsockopt$linger",
        55,
        args![
            "sockfd": SOCK, "level": SOL_SOCKET, "optname": Ty::Const(13), "optval": out(LINGER_OUT, 8),
            "optlen": LINGERLEN_INOUT,
        ],
    )
    .weight(2),
    socket(
        "setsockopt$timeout",
        54,
        args![
            "sockfd": SOCK, "level": SOL_SOCKET, "optname": Ty::Enum(&SO_TIMEO),
            "optval": in_struct(TIMEO_IN, 16), "optlen": Ty::OneOf(&[16, 16, 16, 8]),
        ],
    )
    .weight(2),
    socket(
        "getsockopt$timeout",
        55,
        args![
            "sockfd": SOCK, "level": SOL_SOCKET, "optname": Ty::Enum(&SO_TIMEO), "optval": out(TIMEO_OUT, 16),
            "optlen": TIMEOLEN_INOUT,
        ],
    )
    .weight(2),
];
