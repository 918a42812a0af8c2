//! Terminals: opening them, their settings, size, queues, sessions and process groups.
//! Sources: ioctl_tty(2), termios(3), pty(7), drivers/tty/n_tty.c, drivers/tty/pty.c, drivers/tty/tty_io.c.

use crate::consts::{O_SETFL_TTY, O_TTY, TCFLOW, TCFLUSH, TERMIOS_C, TERMIOS_I, TERMIOS_L, TERMIOS_O};
use crate::desc::*;
use crate::{args, makes};
use Meaning::{Exact, Fd, Flags, Pid};

/// The kernel's `struct termios` (36 bytes): four flag words, the line, 19 control characters.
const TERMIOS_OUT: &[OField] = &[
    of("c_iflag", 0, 4, Flags(&TERMIOS_I)),
    of("c_oflag", 4, 4, Flags(&TERMIOS_O)),
    of("c_cflag", 8, 4, Flags(&TERMIOS_C)),
    of("c_lflag", 12, 4, Flags(&TERMIOS_L)),
    of("c_line", 16, 1, Exact),
    of("c_cc", 17, 19, Exact),
];
const TERMIOS_IN: &[SField] = &[
    sf("c_iflag", 0, 4, Ty::Flags(&TERMIOS_I)),
    sf("c_oflag", 4, 4, Ty::Flags(&TERMIOS_O)),
    sf("c_cflag", 8, 4, Ty::Flags(&TERMIOS_C)),
    sf("c_lflag", 12, 4, Ty::Flags(&TERMIOS_L)),
    sf("vintr", 17, 1, Ty::Int(&[3, 0, 28])),
    sf("vquit", 18, 1, Ty::Int(&[28, 0])),
    sf("verase", 19, 1, Ty::Int(&[127, 8, 0])),
    sf("vkill", 20, 1, Ty::Int(&[21, 0])),
    sf("veof", 21, 1, Ty::Int(&[4, 0])),
    sf("vtime", 22, 1, Ty::Int(&[0, 1])),
    sf("vmin", 23, 1, Ty::Int(&[0, 1, 4])),
];
const WINSIZE_OUT: &[OField] = &[
    of("ws_row", 0, 2, Exact),
    of("ws_col", 2, 2, Exact),
    of("ws_xpixel", 4, 2, Exact),
    of("ws_ypixel", 6, 2, Exact),
];
const WINSIZE_IN: &[SField] = &[
    sf("ws_row", 0, 2, Ty::Int(&[0, 24, 50, 65535])),
    sf("ws_col", 2, 2, Ty::Int(&[0, 80, 132, 65535])),
    sf("ws_xpixel", 4, 2, Ty::Int(&[0, 1])),
    sf("ws_ypixel", 6, 2, Ty::Int(&[0, 1])),
];
const INT_OUT: &[OField] = &[of("value", 0, 4, Exact)];
/// Which number a new terminal gets is the layer's choice.
const NUMBER_OUT: &[OField] = &[of("number", 0, 4, Meaning::Opaque)];
const PID_OUT: &[OField] = &[of("pid", 0, 4, Pid)];
const INT_IN: &[SField] = &[sf("value", 0, 4, Ty::Int(&[0, 1]))];
const PID_IN: &[SField] = &[sf("pid", 0, 4, Ty::Pid)];
const AT_FDCWD: Ty = Ty::Const(-100i64 as u64);
const BOTH: FdKinds = FD_TTY | FD_PTM;

/// An ioctl on a terminal (or its master) with an argument of that type.
const fn ioctl(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, 16, Area::Tty, args, Exact).needs(NEED_TTY)
}

/// The table.
pub const CALLS: &[Desc] = &[
    Desc::sys(
        "openat$tty",
        257,
        Area::Tty,
        args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/dev/tty"), "flags": Ty::Flags(&O_TTY)],
        Fd,
    )
    .makes(makes![made_fd(FD_TTY)])
    .needs(NEED_TTY)
    .weight(36)
    .since("2.6.16"),
    // Status flags belong to the open file description: which descriptors share one is worth many programs.
    Desc::sys(
        "fcntl$setfl_tty",
        72,
        Area::Tty,
        args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(4), "flags": Ty::Flags(&O_SETFL_TTY)],
        Exact,
    )
    .needs(NEED_TTY)
    .weight(20),
    Desc::sys(
        "openat$ptmx",
        257,
        Area::Tty,
        args!["dirfd": AT_FDCWD, "path": Ty::PathConst("/dev/ptmx"), "flags": Ty::Flags(&O_TTY)],
        Fd,
    )
    .makes(makes![made_fd(FD_PTM)])
    .needs(NEED_TTY)
    .since("2.6.16"),
    ioctl(
        "ioctl$tiocgptpeer",
        args!["fd": Ty::Fd(FD_PTM), "cmd": Ty::Const(0x5441), "arg": Ty::Flags(&O_TTY)],
    )
    .makes(makes![made_fd(FD_TTY)])
    .ret(Fd)
    .since("4.13"),
    ioctl("ioctl$tcgets", args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5401), "arg": out(TERMIOS_OUT, 36)])
        .weight(6),
    ioctl(
        "ioctl$tcsets",
        args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5402), "arg": in_struct(TERMIOS_IN, 36)],
    )
    .settles()
    .weight(6),
    ioctl(
        "ioctl$tcsetsw",
        args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5403), "arg": in_struct(TERMIOS_IN, 36)],
    )
    .settles()
    .blocks(),
    ioctl(
        "ioctl$tcsetsf",
        args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5404), "arg": in_struct(TERMIOS_IN, 36)],
    )
    .settles()
    .blocks(),
    ioctl("ioctl$tcsbrk", args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5409), "arg": Ty::Int(&[1])]).blocks(),
    ioctl("ioctl$tcxonc", args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x540a), "arg": Ty::Enum(&TCFLOW)])
        .settles(),
    ioctl("ioctl$tcflsh", args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x540b), "arg": Ty::Enum(&TCFLUSH)])
        .settles(),
    ioctl("ioctl$tiocexcl", args!["fd": Ty::Fd(FD_TTY), "cmd": Ty::Const(0x540c), "arg": Ty::Const(0)])
        .weight(2),
    ioctl("ioctl$tiocnxcl", args!["fd": Ty::Fd(FD_TTY), "cmd": Ty::Const(0x540d), "arg": Ty::Const(0)])
        .weight(1),
    ioctl("ioctl$tiocsctty", args!["fd": Ty::Fd(FD_TTY), "cmd": Ty::Const(0x540e), "arg": Ty::Int(&[0, 1])])
        .weight(2),
    ioctl("ioctl$tiocgpgrp", args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x540f), "arg": out(PID_OUT, 4)]),
    ioctl(
        "ioctl$tiocspgrp",
        args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5410), "arg": in_struct(PID_IN, 4)],
    ),
    ioctl("ioctl$tiocoutq", args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5411), "arg": out(INT_OUT, 4)]),
    ioctl("ioctl$tiocsti", args!["fd": Ty::Fd(FD_TTY), "cmd": Ty::Const(0x5412), "arg": in_bytes(1)])
        .settles()
        .weight(2),
    ioctl(
        "ioctl$tiocgwinsz",
        args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5413), "arg": out(WINSIZE_OUT, 8)],
    ),
    ioctl(
        "ioctl$tiocswinsz",
        args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5414), "arg": in_struct(WINSIZE_IN, 8)],
    ),
    ioctl(
        "ioctl$tiocpkt",
        args!["fd": Ty::Fd(FD_PTM), "cmd": Ty::Const(0x5420), "arg": in_struct(INT_IN, 4)],
    )
    .settles(),
    ioctl("ioctl$tiocnotty", args!["fd": Ty::Fd(FD_TTY), "cmd": Ty::Const(0x5422), "arg": Ty::Const(0)])
        .weight(1),
    ioctl("ioctl$tiocgetd", args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5424), "arg": out(INT_OUT, 4)])
        .weight(2),
    ioctl("ioctl$tiocgsid", args!["fd": Ty::Fd(BOTH), "cmd": Ty::Const(0x5429), "arg": out(PID_OUT, 4)]),
    ioctl(
        "ioctl$tiocgptn",
        args!["fd": Ty::Fd(FD_PTM), "cmd": Ty::Const(0x8004_5430), "arg": out(NUMBER_OUT, 4)],
    ),
    ioctl(
        "ioctl$tiocsptlck",
        args!["fd": Ty::Fd(FD_PTM), "cmd": Ty::Const(0x4004_5431), "arg": in_struct(INT_IN, 4)],
    ),
    ioctl(
        "ioctl$tiocgpkt",
        args!["fd": Ty::Fd(FD_PTM), "cmd": Ty::Const(0x8004_5438), "arg": out(INT_OUT, 4)],
    )
    .since("3.8"),
    ioctl(
        "ioctl$tiocgptlck",
        args!["fd": Ty::Fd(FD_PTM), "cmd": Ty::Const(0x8004_5439), "arg": out(INT_OUT, 4)],
    )
    .since("3.8"),
    // What a user types: bytes written at the master.
    Desc::sys(
        "write$keys",
        1,
        Area::Tty,
        args!["fd": Ty::Fd(FD_PTM), "buf": in_bytes(64), "count": Ty::Len(1)],
        Exact,
    )
    .needs(NEED_TTY)
    .settles()
    .blocks()
    .weight(10),
    Desc::sys(
        "read$tty",
        0,
        Area::Tty,
        args!["fd": Ty::Fd(BOTH), "buf": out_buf(256), "count": Ty::Len(1)],
        Exact,
    )
    .needs(NEED_TTY)
    .blocks()
    .weight(8),
    Desc::sys("setsid", 112, Area::Tty, &[], Pid).weight(2),
    Desc::sys("getsid", 124, Area::Tty, args!["pid": Ty::Pid], Pid),
    Desc::sys("setpgid", 109, Area::Tty, args!["pid": Ty::Pid, "pgid": Ty::Pid], Exact),
    Desc::sys("getpgid", 121, Area::Tty, args!["pid": Ty::Pid], Pid),
];
