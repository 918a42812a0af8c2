//! Named constants for the tables and the text form. Values are x86-64's (include/uapi/asm-generic/*.h).

use crate::desc::FlagSet;

macro_rules! flags {
    ($($(#[$doc:meta])* $set:ident { $($name:ident = $value:expr),* $(,)? })*) => {
        $($(#[$doc])* pub static $set: FlagSet = FlagSet { names: &[$((stringify!($name), $value as u64)),*] };)*
    };
}

flags! {
    /// Flags for opening a terminal.
    O_TTY { O_RDWR = 2, O_WRONLY = 1, O_RDONLY = 0, O_NOCTTY = 0o400, O_NONBLOCK = 0o4000, O_CLOEXEC = 0o2000000, O_APPEND = 0o2000 }
    /// termios c_iflag.
    TERMIOS_I { IGNBRK = 1, BRKINT = 2, IGNPAR = 4, PARMRK = 0o10, INPCK = 0o20, ISTRIP = 0o40, INLCR = 0o100, IGNCR = 0o200,
        ICRNL = 0o400, IUCLC = 0o1000, IXON = 0o2000, IXANY = 0o4000, IXOFF = 0o10000, IMAXBEL = 0o20000, IUTF8 = 0o40000 }
    /// termios c_oflag.
    TERMIOS_O { OPOST = 1, OLCUC = 2, ONLCR = 4, OCRNL = 0o10, ONOCR = 0o20, ONLRET = 0o40, XTABS = 0o14000 }
    /// termios c_cflag.
    TERMIOS_C { B38400 = 0o17, B9600 = 0o15, CS8 = 0o60, CS7 = 0o40, CSTOPB = 0o100, CREAD = 0o200, PARENB = 0o400, HUPCL = 0o2000, CLOCAL = 0o4000 }
    /// termios c_lflag.
    TERMIOS_L { ISIG = 1, ICANON = 2, XCASE = 4, ECHO = 0o10, ECHOE = 0o20, ECHOK = 0o40, ECHONL = 0o100, NOFLSH = 0o200,
        TOSTOP = 0o400, ECHOCTL = 0o1000, ECHOPRT = 0o2000, ECHOKE = 0o4000, IEXTEN = 0o100000, EXTPROC = 0o200000 }
    /// tcflow(3).
    TCFLOW { TCOOFF = 0, TCOON = 1, TCIOFF = 2, TCION = 3 }
    /// tcflush(3).
    TCFLUSH { TCIFLUSH = 0, TCOFLUSH = 1, TCIOFLUSH = 2 }
}
