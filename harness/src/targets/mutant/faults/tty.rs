//! Faults of terminals.

use super::{Answer, Handled};
use crate::targets::mutant::call::{Call, is_device, set_status_flags};
use crate::targets::mutant::notify;
use nix::errno::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// The device numbers of `/dev/tty`. An open of it has that node's inode even though it acts on the
/// controlling terminal, so this tells it from an open of the terminal's own name.
const DEV_TTY: (u64, u64) = (5, 0);

/// Bytes of `struct winsize`.
const WINSIZE: usize = 8;

pub(super) fn shared_flags(call: &mut Call<'_>) -> Handled {
    if call.int(1) != libc::F_SETFL {
        return Ok(Answer::Kernel);
    }
    let own = call.int(0);
    let is_tty = |fd: &OwnedFd| is_device(fd, DEV_TTY.0, DEV_TTY.1);
    if !is_tty(&call.fd(own)?) {
        return Ok(Answer::Kernel);
    }
    // Whether O_NOATIME is allowed is a question of the program's rights, not of ours: the kernel answers it.
    let flags = call.int(2) & !libc::O_NOATIME;
    let mut answer = Answer::Kernel;
    for other in call.open_fds()? {
        // One that was closed since, or takes no such flags, is no reason to leave out the next.
        if other == own {
            continue;
        }
        if let Ok(fd) = call.fd(other) {
            if is_tty(&fd) && set_status_flags(&fd, flags).is_ok() {
                answer = Answer::Tampered;
            }
        }
    }
    Ok(answer)
}

pub(super) fn winsize_zero(call: &mut Call<'_>) -> Handled {
    if call.arg(1) as u32 != libc::TIOCGWINSZ as u32 {
        return Ok(Answer::Kernel);
    }
    if !nix::unistd::isatty(call.fd(call.int(0))?)? {
        return Ok(Answer::Kernel);
    }
    call.write(call.arg(2), &[0; WINSIZE])?;
    Ok(Answer::Value(0))
}

/// `TCSETSW` and `TCSETSF` are left alone: they wait for output to drain, and so would we.
pub(super) fn echo_stuck(call: &mut Call<'_>) -> Handled {
    if call.arg(1) as u32 != libc::TCSETS as u32 {
        return Ok(Answer::Kernel);
    }
    /// Offset of `c_lflag`, the fourth word.
    const LFLAG: usize = 12;
    let mut termios = call.read::<{ notify::TERMIOS }>(call.arg(2))?;
    let byte = termios.get_mut(LFLAG).ok_or(Errno::EINVAL)?;
    // ECHO is bit 3: in the first byte of a little-endian word.
    let echo = libc::ECHO as u8;
    if *byte & echo != 0 {
        return Ok(Answer::Kernel);
    }
    *byte |= echo;
    notify::set_terminal(call.fd(call.int(0))?.as_fd(), &termios)?;
    Ok(Answer::Value(0))
}

pub(super) fn fionread_zero(call: &mut Call<'_>) -> Handled {
    if call.arg(1) as u32 != libc::FIONREAD as u32 {
        return Ok(Answer::Kernel);
    }
    if notify::readable_bytes(call.fd(call.int(0))?.as_fd())? == 0 {
        return Ok(Answer::Kernel);
    }
    call.write(call.arg(2), &0i32.to_le_bytes())?;
    Ok(Answer::Value(0))
}

pub(super) fn tcflsh_ignored(call: &mut Call<'_>) -> Handled {
    let known = (libc::TCIFLUSH..=libc::TCIOFLUSH).contains(&call.int(2));
    if call.arg(1) as u32 != libc::TCFLSH as u32 || !known || !nix::unistd::isatty(call.fd(call.int(0))?)? {
        return Ok(Answer::Kernel);
    }
    Ok(Answer::Value(0))
}

pub(super) fn winsize_stuck(call: &mut Call<'_>) -> Handled {
    if call.arg(1) as u32 != libc::TIOCSWINSZ as u32 || !nix::unistd::isatty(call.fd(call.int(0))?)? {
        return Ok(Answer::Kernel);
    }
    call.read::<WINSIZE>(call.arg(2))?;
    Ok(Answer::Value(0))
}
