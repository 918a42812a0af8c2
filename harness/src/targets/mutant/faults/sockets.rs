//! Faults of sockets.

use super::{Answer, Handled};
use crate::targets::mutant::call::Call;
use nix::sys::socket::{MsgFlags, recv};
use std::os::fd::AsRawFd;

fn is_socket(call: &Call<'_>) -> Result<bool, nix::errno::Errno> {
    Ok(call.fd_text(call.int(0))?.starts_with("socket:"))
}

pub(super) fn setsockopt_ignored(call: &mut Call<'_>) -> Handled {
    // Options that every socket takes from everybody.
    let plain = [libc::SO_BROADCAST, libc::SO_KEEPALIVE, libc::SO_PASSCRED].contains(&call.int(2));
    if call.int(1) != libc::SOL_SOCKET || !plain || call.int(4) != 4 || !is_socket(call)? {
        return Ok(Answer::Kernel);
    }
    call.read::<4>(call.arg(3))?;
    Ok(Answer::Value(0))
}

pub(super) fn peek_consumes(call: &mut Call<'_>) -> Handled {
    /// More than a program ever asks for.
    const ROOM: usize = 64 << 10;
    let flags = MsgFlags::from_bits_retain(call.int(3));
    let simple = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let size = call.arg(2) as usize;
    if !flags.contains(MsgFlags::MSG_PEEK) || !simple.contains(flags) || call.arg(4) != 0 || size > ROOM {
        return Ok(Answer::Kernel);
    }
    let socket = call.fd(call.int(0))?;
    let mut room = vec![0; size];
    // Where nothing is there yet the kernel waits, or says so.
    let got = recv(socket.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT)?;
    // It has been taken already, so a bad pointer is answered here.
    Ok(match call.write(call.arg(1), &room[..got]) {
        Ok(()) => Answer::Value(got as i64),
        Err(error) => Answer::Fail(error),
    })
}

pub(super) fn sockname_family_zero(call: &mut Call<'_>) -> Handled {
    /// Bytes of an address that is a family alone.
    const FAMILY: usize = 2;
    let room = i32::from_le_bytes(call.read(call.arg(2))?);
    if room < FAMILY as i32 || !is_socket(call)? {
        return Ok(Answer::Kernel);
    }
    // Only a local address without a name has this length, and only that is known here.
    let local =
        nix::sys::socket::getsockname::<nix::sys::socket::UnixAddr>(call.fd(call.int(0))?.as_raw_fd())?;
    if local.path().is_some() || local.as_abstract().is_some() {
        return Ok(Answer::Kernel);
    }
    call.write(call.arg(1), &[0; FAMILY])?;
    call.write(call.arg(2), &(FAMILY as i32).to_le_bytes())?;
    Ok(Answer::Value(0))
}

pub(super) fn shutdown_ignored(call: &mut Call<'_>) -> Handled {
    let how_is_known = (libc::SHUT_RD..=libc::SHUT_RDWR).contains(&call.int(1));
    if how_is_known && is_socket(call)? {
        return Ok(Answer::Value(0));
    }
    Ok(Answer::Kernel)
}
