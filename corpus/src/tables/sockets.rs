//! Sockets: pairs, names, connections, messages with descriptors and credentials, loopback.
//! Sources: socket(2), socket(7), unix(7), ip(7), tcp(7), udp(7), bind(2), listen(2), accept(2), connect(2), send(2),
//! recv(2), sendmsg(2), cmsg(3), shutdown(2).
//!
//! Names are from closed sets: paths in the working directory, abstract names of the own network namespace, and
//! loopback. Ports are the kernel's choice: a program asks for its own by `getsockname$in` and passes that on, so that
//! no connection of an earlier program (TIME_WAIT) is ever in the way.

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes};
use Meaning::{Exact, Fd, Flags, Opaque, SizeHint};

/// The two descriptors of socketpair(2).
const PAIR_OUT: &[OField] = &[of("fd0", 0, 4, Fd), of("fd1", 4, 4, Fd)];
const ADDRLEN_INOUT: Ty = Ty::Ptr(
    In::Struct(&[sf("addrlen", 0, 4, Ty::Int(&[110, 2, 0]))], 4),
    Out::Fields(&[of("addrlen", 0, 4, Exact)], 4),
);
/// `struct sockaddr_un` of a socket that has no name: the family alone (unix(7)).
const ADDR_OUT: &[OField] = &[of("sun_family", 0, 2, Exact)];
/// `struct sockaddr_un`, its path as an eight-byte word: short names, of files or abstract.
const UN_IN: &[SField] =
    &[sf("sun_family", 0, 2, Ty::Enum(&FAMILY)), sf("sun_path", 2, 8, Ty::Enum(&UN_PATH))];
const UN_SIZE: u16 = 110;
/// How much of the address counts: all, the family alone (autobind), too little, too much.
const UN_LEN: Ty = Ty::OneOf(&[110, 110, 110, 110, 110, 110, 110, 110, 110, 2, 10, 0, 1, 111, u64::MAX]);
/// The first byte of the path: a name that the kernel chooses (autobind, unix(7)) is abstract, and its digits are free.
const UN_OUT: &[OField] =
    &[of("sun_family", 0, 2, Exact), of("sun_path", 2, 1, Meaning::Where(0, Given::Unix))];
/// `struct sockaddr_in` with port 0: the kernel chooses one at bind.
const IN_ANY: &[SField] =
    &[sf("sin_family", 0, 2, Ty::Enum(&FAMILY)), sf("sin_addr", 4, 4, Ty::Enum(&IN_ADDR))];
/// `struct sockaddr_in` with family and port as another socket got them.
const IN_PEER: &[SField] =
    &[sf("sin_family_port", 0, 4, Ty::Id(Id::Port)), sf("sin_addr", 4, 4, Ty::Enum(&IN_ADDR))];
/// Family and port together are what [`IN_PEER`] takes; the port is ephemeral (ip(7)).
const IN_OUT: &[OField] = &[of("sin_family_port", 0, 4, Opaque), of("sin_addr", 4, 4, Exact)];
const IN_LEN: Ty = Ty::OneOf(&[16, 16, 16, 16, 16, 16, 16, 16, 28, 2, 0, 15]);
const IN_SIZE: u16 = 16;
const NAMELEN_INOUT: Ty = Ty::Ptr(
    In::Struct(&[sf("addrlen", 0, 4, Ty::Int(&[16, 16, 16, 8, 128]))], 4),
    Out::Fields(&[of("addrlen", 0, 4, Exact)], 4),
);

const NAMELEN16_INOUT: Ty = Ty::Ptr(
    In::Struct(&[sf("addrlen", 0, 4, Ty::OneOf(&[16, 16, 16, 128]))], 4),
    Out::Fields(&[of("addrlen", 0, 4, Exact)], 4),
);
/// Where a message came from: nothing is written for a stream or a sender without a name.
const UN_FROM_OUT: &[OField] = UN_OUT;
const IN_FROM_OUT: &[OField] =
    &[of("sin_family", 0, 2, Exact), of("sin_port", 2, 2, Opaque), of("sin_addr", 4, 4, Exact)];
/// How much is still under way is accounted in the kernel's own units (unix_outq_len counts its own overhead).
const QUEUED_OUT: &[OField] = &[of("value", 0, 4, SizeHint)];

/// One `struct cmsghdr` with a descriptor in it, 20 bytes of 24.
const RIGHTS_IN: &[SField] = &[
    sf("cmsg_len", 0, 8, Ty::OneOf(&[20, 20, 20, 20, 20, 20, 20, 16, 24, 0, 15, 4096])),
    sf("cmsg_level", 8, 4, Ty::Enum(&CMSG_LEVEL)),
    sf("cmsg_type", 12, 4, Ty::Enum(&CMSG_TYPE)),
    sf("fd", 16, 4, Ty::Fd(FD_ANY)),
];
/// One with `struct ucred`: only the own ids are allowed without a privilege (unix(7)).
const CREDS_IN: &[SField] = &[
    sf("cmsg_len", 0, 8, Ty::OneOf(&[28, 28, 28, 28, 28, 28, 27, 0])),
    sf("cmsg_level", 8, 4, Ty::Enum(&CMSG_LEVEL)),
    sf("cmsg_type", 12, 4, Ty::Enum(&CMSG_CREDS)),
    sf("pid", 16, 4, Ty::Pid),
    sf("uid", 20, 4, Ty::Enum(&OWNER)),
    sf("gid", 24, 4, Ty::Enum(&OWNER)),
];
/// The first `struct cmsghdr` that comes back. Its data is a descriptor or a pid, by the type; the header tells which.
const CMSG_OUT: &[OField] = &[
    of("cmsg_len", 0, 8, Exact),
    of("cmsg_level", 8, 4, Exact),
    of("cmsg_type", 12, 4, Exact),
    of("cmsg_data", 16, 4, Opaque),
];
const CMSG_SIZE: u16 = 64;
const CMSG_HEAD_OUT: &[OField] =
    &[of("cmsg_len", 0, 8, Exact), of("cmsg_level", 8, 4, Exact), of("cmsg_type", 12, 4, Exact)];
/// Of `struct msghdr`, what the kernel writes.
const MSGHDR_OUT: &[OField] = &[
    of("msg_namelen", 8, 4, Exact),
    of("msg_controllen", 40, 8, Exact),
    of("msg_flags", 48, 4, Flags(&MSG_OUT)),
];
/// The same and how much was moved.
const MMSGHDR_OUT: &[OField] = &[
    of("msg_namelen", 8, 4, Exact),
    of("msg_controllen", 40, 8, Exact),
    of("msg_flags", 48, 4, Flags(&MSG_OUT)),
    of("msg_len", 56, 4, Exact),
];
const MMSG_SENT: &[OField] = &[of("msg_len", 56, 4, Exact)];
const MSGHDR: u16 = 56;
const MMSGHDR: u16 = 64;
const IOV_IN: Ty = Ty::Ptr(In::IovIn, Out::Nothing);
const IOV_OUT: Ty = Ty::Ptr(In::IovOut, Out::Nothing);
const SOCK: Ty = Ty::Fd(FD_SOCK);
/// A message that points at the call's arguments.
const fn message(size: u16, out: Out, iov: u8, control: Option<u8>, name: Option<u8>) -> Ty {
    Ty::Ptr(In::Message(Message { iov, control, name }, size), out)
}

const AF_UNIX: Ty = Ty::Const(1);

/// A call of this area.
const fn socket(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Sockets, args, Exact)
}
/// A socket of its own.
const fn new(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    socket(name, 41, args).ret(Fd).makes(makes![made_fd(FD_SOCK)])
}
/// A connection taken off a listening socket's queue.
const fn accepts(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    socket(name, nr, args).ret(Fd).makes(makes![made_fd(FD_SOCK)]).blocks()
}
/// A socketpair of that kind.
const fn socketpair(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    socket(name, 53, args).makes(makes![made_fd_at(3, 0, FD_SOCK), made_fd_at(3, 4, FD_SOCK)])
}

/// The table.
pub const CALLS: &[Desc] = &[
    socketpair(
        "socketpair$stream",
        args![
            "domain": AF_UNIX, "type": Ty::Const(1), "protocol": ZERO, "sv": out(PAIR_OUT, 8),
        ],
    )
    .weight(6),
    socketpair(
        "socketpair$dgram",
        args![
            "domain": AF_UNIX, "type": Ty::Const(2), "protocol": ZERO, "sv": out(PAIR_OUT, 8),
        ],
    ),
    socketpair(
        "socketpair$seqpacket",
        args![
            "domain": AF_UNIX, "type": Ty::Const(5), "protocol": ZERO, "sv": out(PAIR_OUT, 8),
        ],
    ),
    // SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC
    socketpair(
        "socketpair$nonblock",
        args![
            "domain": AF_UNIX, "type": Ty::Const(0o2004001), "protocol": ZERO, "sv": out(PAIR_OUT, 8),
        ],
    )
    .since("2.6.27"),
    socket("shutdown", 48, args!["sockfd": Ty::Fd(FD_SOCK), "how": Ty::Enum(&SHUT)]),
    socket(
        "sendto",
        44,
        args![
            "sockfd": Ty::Fd(FD_SOCK), "buf": in_bytes(512), "len": Ty::Len(1),
            "flags": Ty::Flags(&MSG_SEND), "addr": ZERO, "addrlen": ZERO,
        ],
    )
    .blocks()
    .weight(6),
    socket(
        "recvfrom",
        45,
        args![
            "sockfd": Ty::Fd(FD_SOCK), "buf": out_buf(512), "len": Ty::Len(1),
            "flags": Ty::Flags(&MSG_RECV), "addr": ZERO, "addrlen": ZERO,
        ],
    )
    .blocks()
    .weight(6),
    socket(
        "getsockname",
        51,
        args![
            "sockfd": Ty::Fd(FD_SOCK | FD_PIPE), "addr": out(ADDR_OUT, 112), "addrlen": ADDRLEN_INOUT,
        ],
    )
    .weight(2),
    socket(
        "getpeername",
        52,
        args![
            "sockfd": Ty::Fd(FD_SOCK), "addr": out(ADDR_OUT, 112), "addrlen": ADDRLEN_INOUT,
        ],
    )
    .weight(2),
    socket(
        "ioctl$siocinq",
        16,
        args![
            "fd": Ty::Fd(FD_SOCK), "cmd": Ty::Const(0x541b), "arg": out(INT_OUT, 4),
        ],
    )
    .weight(2),
    new("socket$unix", args!["domain": AF_UNIX, "type": Ty::Flags(&SOCK_TYPE), "protocol": ZERO]).weight(8),
    new("socket$tcp", args!["domain": Ty::Const(2), "type": Ty::Flags(&SOCK_STREAM_TYPE), "protocol": Ty::OneOf(&[0, 6])])
        .weight(5),
    new("socket$udp", args!["domain": Ty::Const(2), "type": Ty::Flags(&SOCK_DGRAM_TYPE), "protocol": Ty::OneOf(&[0, 17])])
        .weight(5),
    // Families, types and protocols that do not go together.
    new("socket$odd", args!["domain": Ty::Enum(&FAMILY), "type": Ty::Int(&[1, 2, 5, 0, 4, 6, 11, 0x10]), "protocol": Ty::OneOf(&[0, 6, 17, 1, 255, 256])])
        .weight(1),
    socket("bind$un", 49, args!["sockfd": SOCK, "addr": in_struct(UN_IN, UN_SIZE), "addrlen": UN_LEN])
        .needs(NEED_FS)
        .weight(6),
    socket("bind$in", 49, args!["sockfd": SOCK, "addr": in_struct(IN_ANY, IN_SIZE), "addrlen": IN_LEN]).weight(5),
    // A port that a socket has already.
    socket("bind$taken", 49, args!["sockfd": SOCK, "addr": in_struct(IN_PEER, IN_SIZE), "addrlen": IN_LEN]).weight(1),
    socket("listen", 50, args!["sockfd": SOCK, "backlog": Ty::Int(&[5, 0, 1, 128, 0xffff_ffff])]).weight(6),
    socket("connect$un", 42, args!["sockfd": SOCK, "addr": in_struct(UN_IN, UN_SIZE), "addrlen": UN_LEN])
        .blocks()
        .weight(6),
    socket("connect$in", 42, args!["sockfd": SOCK, "addr": in_struct(IN_PEER, IN_SIZE), "addrlen": IN_LEN])
        .blocks()
        .weight(5),
    accepts("accept", 43, args!["sockfd": SOCK, "addr": ZERO, "addrlen": ZERO]).weight(4),
    accepts("accept4", 288, args!["sockfd": SOCK, "addr": out(UN_OUT, 128), "addrlen": NAMELEN_INOUT, "flags": Ty::Flags(&ACCEPT)])
        .weight(3)
        .since("2.6.28"),
    accepts("accept4$in", 288, args!["sockfd": SOCK, "addr": out(IN_OUT, 128), "addrlen": NAMELEN_INOUT, "flags": Ty::Flags(&ACCEPT)])
        .weight(2)
        .since("2.6.28"),
    socket("getsockname$un", 51, args!["sockfd": SOCK, "addr": out(UN_OUT, 128), "addrlen": NAMELEN_INOUT]).weight(3),
    socket("getpeername$un", 52, args!["sockfd": SOCK, "addr": out(UN_OUT, 128), "addrlen": NAMELEN_INOUT]).weight(2),
    socket("getsockname$in", 51, args!["sockfd": SOCK, "addr": out(IN_OUT, 128), "addrlen": NAMELEN16_INOUT])
        .makes(makes![Made { kind: Kind::Id(Id::Port), from: From::Out(1, 0) }])
        .weight(5),
    socket("getpeername$in", 52, args!["sockfd": SOCK, "addr": out(IN_OUT, 128), "addrlen": NAMELEN_INOUT]).weight(2),
    socket(
        "sendto$un",
        44,
        args![
            "sockfd": SOCK, "buf": in_bytes(512), "len": Ty::Len(1), "flags": Ty::Flags(&MSG_SEND),
            "addr": in_struct(UN_IN, UN_SIZE), "addrlen": UN_LEN,
        ],
    )
    .blocks()
    .weight(4),
    socket(
        "sendto$in",
        44,
        args![
            "sockfd": SOCK, "buf": in_bytes(512), "len": Ty::Len(1), "flags": Ty::Flags(&MSG_SEND),
            "addr": in_struct(IN_PEER, IN_SIZE), "addrlen": IN_LEN,
        ],
    )
    .blocks()
    .weight(4),
    socket(
        "recvfrom$un",
        45,
        args![
            "sockfd": SOCK, "buf": out_buf(512), "len": Ty::Len(1), "flags": Ty::Flags(&MSG_RECV),
            "addr": out(UN_FROM_OUT, 128), "addrlen": NAMELEN_INOUT,
        ],
    )
    .blocks()
    .weight(4),
    socket(
        "recvfrom$in",
        45,
        args![
            "sockfd": SOCK, "buf": out_buf(512), "len": Ty::Len(1), "flags": Ty::Flags(&MSG_RECV),
            "addr": out(IN_FROM_OUT, 128), "addrlen": NAMELEN_INOUT,
        ],
    )
    .blocks()
    .weight(4),
    socket(
        "sendmsg",
        46,
        args![
            "sockfd": SOCK, "msg": message(MSGHDR, Out::Nothing, 3, None, None),
            "flags": Ty::Flags(&MSG_SEND), "iov": IOV_IN,
        ],
    )
    .blocks()
    .weight(4),
    socket(
        "sendmsg$rights",
        46,
        args![
            "sockfd": SOCK, "msg": message(MSGHDR, Out::Nothing, 3, Some(4), None),
            "flags": Ty::Flags(&MSG_SEND), "iov": IOV_IN, "control": in_struct(RIGHTS_IN, 24),
        ],
    )
    .blocks()
    .weight(5),
    socket(
        "sendmsg$creds",
        46,
        args![
            "sockfd": SOCK, "msg": message(MSGHDR, Out::Nothing, 3, Some(4), None),
            "flags": Ty::Flags(&MSG_SEND), "iov": IOV_IN, "control": in_struct(CREDS_IN, 32),
        ],
    )
    .blocks()
    .weight(3),
    socket(
        "sendmsg$un",
        46,
        args![
            "sockfd": SOCK, "msg": message(MSGHDR, Out::Nothing, 3, None, Some(4)),
            "flags": Ty::Flags(&MSG_SEND), "iov": IOV_IN, "name": in_struct(UN_IN, UN_SIZE),
        ],
    )
    .blocks()
    .weight(2),
    socket(
        "recvmsg",
        47,
        args![
            "sockfd": SOCK, "msg": message(MSGHDR, Out::Fields(MSGHDR_OUT, MSGHDR), 3, None, None),
            "flags": Ty::Flags(&MSG_RECV), "iov": IOV_OUT,
        ],
    )
    .blocks()
    .weight(4),
    // What comes in takes the lowest free descriptors, which later calls show.
    socket(
        "recvmsg$control",
        47,
        args![
            "sockfd": SOCK, "msg": message(MSGHDR, Out::Fields(MSGHDR_OUT, MSGHDR), 3, Some(4), None),
            "flags": Ty::Flags(&MSG_RECVMSG), "iov": IOV_OUT, "control": out(CMSG_OUT, CMSG_SIZE),
        ],
    )
    .blocks()
    .weight(6),
    // Room for the header of a control message, but for nothing in it.
    socket(
        "recvmsg$short",
        47,
        args![
            "sockfd": SOCK, "msg": message(MSGHDR, Out::Fields(MSGHDR_OUT, MSGHDR), 3, Some(4), None),
            "flags": Ty::Flags(&MSG_RECVMSG), "iov": IOV_OUT, "control": out(CMSG_HEAD_OUT, 16),
        ],
    )
    .blocks()
    .weight(1),
    socket(
        "sendmmsg",
        307,
        args![
            "sockfd": SOCK, "msgvec": message(MMSGHDR, Out::Fields(MMSG_SENT, MMSGHDR), 4, None, None),
            "vlen": Ty::OneOf(&[1, 1, 1, 0]), "flags": Ty::Flags(&MSG_SEND), "iov": IOV_IN,
        ],
    )
    .blocks()
    .weight(3)
    .since("3.0"),
    socket(
        "recvmmsg",
        299,
        args![
            "sockfd": SOCK, "msgvec": message(MMSGHDR, Out::Fields(MMSGHDR_OUT, MMSGHDR), 5, None, None),
            "vlen": Ty::OneOf(&[1, 1, 1, 0]), "flags": Ty::Flags(&MSG_RECV), "timeout": ZERO, "iov": IOV_OUT,
        ],
    )
    .blocks()
    .weight(3)
    .since("2.6.33"),
    socket(
        "ioctl$siocoutq",
        16,
        args![
            "fd": SOCK, "cmd": Ty::Const(0x5411), "arg": out(QUEUED_OUT, 4),
        ],
    )
    .weight(1),

];
