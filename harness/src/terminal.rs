//! The outside terminal of an instance: a pseudo-terminal of the host, whose master we hold. See
//! `docs/decisions/0013-the-outside-terminal.md`.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::Winsize;
use nix::sys::stat::{Mode, fchmod};
use nix::sys::termios::{
    FlowArg, FlushArg, InputFlags, LocalFlags, SetArg, Termios, tcflow, tcflush, tcgetattr, tcsetattr,
};
use nix::unistd::{Gid, Uid, fchown, read, write};
use parallax_corpus::wire;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A pseudo-terminal of the host, both sides.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
    /// Its settings when it was new.
    usual: Termios,
}

/// Most bytes that are thrown away at once: the kernel's buffers hold far less, whoever writes on and on is no reason
/// to wait for ever.
const MOST_DRAINED: usize = 1 << 20;
/// Time between two looks at the terminal's queues that must find the same (decision 0004).
const MOMENT: Duration = Duration::from_micros(60);
/// What terminals of programs' own have, too.
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
/// Most looks.
const LOOKS: usize = 40;

impl Terminal {
    /// A new one. `owner` is who may open it anew, by `/proc/self/fd`: the ids of a jail's root on the host.
    ///
    /// # Errors
    /// The host has no `/dev/ptmx`, or no free terminal.
    pub fn open(owner: Option<(u32, u32)>) -> nix::Result<Terminal> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = open("/dev/ptmx", flags | OFlag::O_NONBLOCK, Mode::empty())?;
        ioctl::unlock(&master)?;
        // By its name: by TIOCGPTPEER its status flags would lack the kernel's own O_LARGEFILE, which layers show.
        let name = PathBuf::from(format!("/dev/pts/{}", ioctl::number(&master)?));
        let slave = open(&name, flags, Mode::empty())?;
        if let Some((uid, gid)) = owner {
            fchown(&slave, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        // What a new one has in the jail's own devpts.
        fchmod(&slave, Mode::from_bits_truncate(0o600))?;
        ioctl::resize(&master, &SIZE)?;
        let usual = tcgetattr(&slave)?;
        Ok(Terminal { master, slave, usual })
    }

    /// The side that an instance gets.
    pub fn slave(&self) -> &OwnedFd {
        &self.slave
    }

    /// Does what an agent asks for in an event (`wire::outside`): the return value and what was read.
    ///
    /// # Errors
    /// It is no event of the protocol.
    pub(crate) fn answer(&self, what: u32, rest: &[u8]) -> Result<(i64, Vec<u8>), String> {
        let word = |at: usize| {
            let bytes = rest.get(at..at + 4).and_then(|b| b.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or_else(|| format!("event {what} of {} bytes", rest.len()))
        };
        let done = |r: nix::Result<i64>| (r.unwrap_or_else(|e| -i64::from(e as i32)), Vec::new());
        match what {
            wire::outside::TYPE => Ok(done(self.type_in(rest))),
            wire::outside::SHOWN => {
                let room = (word(0)? as usize).min(wire::MAX_EVENT - 20);
                let bytes = self.shown(room);
                let ret =
                    if bytes.is_empty() { -i64::from(Errno::EAGAIN as i32) } else { bytes.len() as i64 };
                Ok((ret, bytes))
            }
            wire::outside::RESIZE => {
                let cells = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
                let (ws_row, ws_col) = (cells(word(0)?), cells(word(4)?));
                let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
                Ok(done(ioctl::resize(&self.master, &size).map(|()| 0)))
            }
            wire::outside::RESET => Ok(done(self.reset().map(|()| 0))),
            _ => Err(format!("an event of kind {what}")),
        }
    }

    /// Makes it as it was when it was new: settings, size, exclusive mode, stopped output, both queues, the column.
    ///
    /// From the host, since not every layer has the calls for it. Nobody stops us for being in the background: we
    /// have no part in its session.
    fn reset(&self) -> nix::Result<()> {
        self.settle();
        ioctl::share(&self.slave)?;
        tcflow(&self.slave, FlowArg::TCOON)?;
        // Without IXON and ICANON: switching to that starts output that ^S has stopped, and forgets a quoted or half
        // erased character (n_tty_set_termios). Output processing stays on, for the carriage return below.
        let mut raw = self.usual.clone();
        raw.input_flags = InputFlags::empty();
        raw.local_flags = LocalFlags::empty();
        tcsetattr(&self.slave, SetArg::TCSANOW, &raw)?;
        tcflush(&self.slave, FlushArg::TCIOFLUSH)?;
        self.take(MOST_DRAINED);
        // The column, which tabs and erasing count from, begins anew.
        write(&self.slave, b"\r")?;
        tcsetattr(&self.slave, SetArg::TCSANOW, &self.usual)?;
        ioctl::resize(&self.master, &SIZE)?;
        self.take(MOST_DRAINED);
        tcflush(&self.slave, FlushArg::TCIOFLUSH)?;
        Ok(())
    }

    fn type_in(&self, keys: &[u8]) -> nix::Result<i64> {
        let n = if keys.is_empty() { 0 } else { write(&self.master, keys)? };
        self.settle();
        Ok(n as i64)
    }

    /// What it has shown and nobody has read yet, up to so many bytes.
    fn shown(&self, room: usize) -> Vec<u8> {
        self.settle();
        self.take(room)
    }

    /// The same of what is at the master's side already, or comes there by a look.
    fn take(&self, room: usize) -> Vec<u8> {
        self.flush();
        let mut all = Vec::new();
        let mut piece = [0; 4096];
        while all.len() < room {
            let most = piece.len().min(room - all.len());
            match read(&self.master, &mut piece[..most]) {
                Ok(n) if n > 0 => all.extend_from_slice(&piece[..n]),
                Err(Errno::EINTR) => {}
                _ => break,
            }
            // A full queue has kept back the rest.
            self.flush();
        }
        all
    }

    /// `poll` has the kernel carry over what was written at the other side (n_tty_poll), both ways and back.
    fn flush(&self) {
        let look = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let (master, slave) = (self.master.as_fd(), self.slave.as_fd());
        let _ = poll(&mut [look(slave), look(master), look(slave), look(master)], PollTimeout::ZERO);
    }

    /// Waits until no queue changes any more: `poll` does nothing for a side that can be read already.
    fn settle(&self) {
        let queues = || [ioctl::queued(&self.slave), ioctl::queued(&self.master)];
        self.flush();
        let mut before = queues();
        for _ in 0..LOOKS {
            let begin = Instant::now();
            while begin.elapsed() < MOMENT {
                std::thread::yield_now();
            }
            self.flush();
            let now = queues();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

/// The few terminal calls that `nix` has no safe functions for.
mod ioctl {
    use nix::pty::Winsize;
    use std::os::fd::{AsRawFd, OwnedFd};

    nix::ioctl_write_ptr_bad!(tiocsptlck, libc::TIOCSPTLCK, libc::c_int);
    nix::ioctl_none_bad!(tiocnxcl, libc::TIOCNXCL);
    nix::ioctl_read_bad!(tiocgptn, libc::TIOCGPTN, libc::c_uint);
    nix::ioctl_write_ptr_bad!(tiocswinsz, libc::TIOCSWINSZ, Winsize);
    nix::ioctl_read_bad!(fionread, libc::FIONREAD, libc::c_int);

    pub(super) fn unlock(master: &OwnedFd) -> nix::Result<()> {
        // SAFETY: TIOCSPTLCK reads one int.
        unsafe { tiocsptlck(master.as_raw_fd(), &0) }.map(drop)
    }

    pub(super) fn number(master: &OwnedFd) -> nix::Result<u32> {
        let mut number = 0;
        // SAFETY: TIOCGPTN writes one unsigned int.
        unsafe { tiocgptn(master.as_raw_fd(), &mut number) }.map(|_| number)
    }

    pub(super) fn share(side: &OwnedFd) -> nix::Result<()> {
        // SAFETY: TIOCNXCL takes nothing.
        unsafe { tiocnxcl(side.as_raw_fd()) }.map(drop)
    }

    pub(super) fn resize(master: &OwnedFd, size: &Winsize) -> nix::Result<()> {
        // SAFETY: TIOCSWINSZ reads one struct winsize.
        unsafe { tiocswinsz(master.as_raw_fd(), size) }.map(drop)
    }

    /// Bytes that can be read, or -1.
    pub(super) fn queued(side: &OwnedFd) -> i32 {
        let mut bytes = 0;
        // SAFETY: FIONREAD writes one int.
        if unsafe { fionread(side.as_raw_fd(), &mut bytes) }.is_ok() { bytes } else { -1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(n: u32) -> [u8; 4] {
        n.to_le_bytes()
    }

    #[test]
    fn what_is_typed_is_echoed_and_read_once() {
        let terminal = Terminal::open(None).unwrap();
        let typed = terminal.answer(wire::outside::TYPE, b"hi\n").unwrap();
        assert_eq!(typed, (3, Vec::new()));
        let mut line = [0; 8];
        assert_eq!(read(&terminal.slave, &mut line), Ok(3));
        let shown = terminal.answer(wire::outside::SHOWN, &word(256)).unwrap();
        assert_eq!(shown, (4, b"hi\r\n".to_vec()));
        assert_eq!(terminal.answer(wire::outside::SHOWN, &word(256)).unwrap().0, -11);
    }

    #[test]
    fn reading_takes_no_more_than_there_is_room_for() {
        let terminal = Terminal::open(None).unwrap();
        write(&terminal.slave, &[b'x'; 2000]).unwrap();
        assert_eq!(terminal.answer(wire::outside::SHOWN, &word(5)).unwrap().0, 5);
        let most = terminal.answer(wire::outside::SHOWN, &word(u32::MAX)).unwrap().1.len();
        assert_eq!(most, wire::MAX_EVENT - 20);
        assert_eq!(terminal.answer(wire::outside::RESET, &[]), Ok((0, Vec::new())));
        assert_eq!(terminal.answer(wire::outside::SHOWN, &word(5)).unwrap().0, -11);
    }

    #[test]
    fn an_event_of_nobodys_is_refused() {
        let terminal = Terminal::open(None).unwrap();
        for (what, rest) in [(0, &b""[..]), (99, b"x"), (wire::outside::RESIZE, b"1234567")] {
            assert!(terminal.answer(what, rest).is_err(), "{what}");
        }
    }
}
