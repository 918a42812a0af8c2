//! Faults of descriptors, pipes and events.

use super::{Answer, Handled};
use crate::targets::mutant::call::{Call, set_status_flags};
use crate::targets::mutant::notify;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

pub(super) fn dupfd_cloexec_lost(call: &mut Call<'_>) -> Handled {
    if call.int(1) != libc::F_DUPFD_CLOEXEC || call.int(2) < 0 {
        return Ok(Answer::Kernel);
    }
    let fd = call.fd(call.int(0))?;
    let at = call.free_fds(call.int(2), 1)?[0];
    Ok(Answer::Value(call.give(fd, at, false)?.into()))
}

pub(super) fn append_ignored(call: &mut Call<'_>) -> Handled {
    if call.int(1) != libc::F_SETFL || call.int(2) & libc::O_APPEND == 0 {
        return Ok(Answer::Kernel);
    }
    set_status_flags(&call.fd(call.int(0))?, call.int(2) & !libc::O_APPEND)?;
    Ok(Answer::Value(0))
}

pub(super) fn pipe_nonblock_lost(call: &mut Call<'_>) -> Handled {
    let flags = OFlag::from_bits_retain(call.int(1));
    let known = OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_DIRECT;
    if !flags.contains(OFlag::O_NONBLOCK) || !known.contains(flags) {
        return Ok(Answer::Kernel);
    }
    // Everything that can fail comes before the program's table changes: room for two, a pointer that holds.
    let free = call.free_fds(0, 2)?;
    let old = call.read::<8>(call.arg(0))?;
    call.write(call.arg(0), &old)?;
    let (from, to) = pipe2(flags & OFlag::O_DIRECT | OFlag::O_CLOEXEC)?;
    let cloexec = flags.contains(OFlag::O_CLOEXEC);
    let mut numbers = [0; 8];
    numbers[..4].copy_from_slice(&call.give(from, free[0], cloexec)?.to_le_bytes());
    numbers[4..].copy_from_slice(&call.give(to, free[1], cloexec)?.to_le_bytes());
    call.write(call.arg(0), &numbers)?;
    Ok(Answer::Value(0))
}

pub(super) fn eventfd_semaphore_ignored(call: &mut Call<'_>) -> Handled {
    let flags = call.int(1);
    let known = libc::EFD_SEMAPHORE | libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
    if flags & libc::EFD_SEMAPHORE == 0 || flags & !known != 0 {
        return Ok(Answer::Kernel);
    }
    let at = call.free_fds(0, 1)?[0];
    let counter = notify::eventfd(call.arg(0) as u32, flags & libc::EFD_NONBLOCK)?;
    Ok(Answer::Value(call.give(counter, at, flags & libc::EFD_CLOEXEC != 0)?.into()))
}

pub(super) fn epoll_mod_enoent(call: &mut Call<'_>) -> Handled {
    let is_mod = call.int(1) == libc::EPOLL_CTL_MOD;
    if is_mod && call.fd_text(call.int(0))? == "anon_inode:[eventpoll]" {
        return Ok(Answer::Fail(Errno::ENOENT));
    }
    Ok(Answer::Kernel)
}

pub(super) fn epoll_add_twice_ok(call: &mut Call<'_>) -> Handled {
    if call.int(1) != libc::EPOLL_CTL_ADD || call.fd_text(call.int(0))? != "anon_inode:[eventpoll]" {
        return Ok(Answer::Kernel);
    }
    // The event is read before anything else is looked at.
    call.read::<12>(call.arg(3))?;
    // proc_pid_fdinfo(5): "tfd:        5 events: ..."
    let there = lists(&call.proc_text(&format!("fdinfo/{}", call.int(0)))?, "tfd:", call.int(2));
    Ok(if there { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn inotify_rm_ignored(call: &mut Call<'_>) -> Handled {
    if call.fd_text(call.int(0))? != "anon_inode:inotify" {
        return Ok(Answer::Kernel);
    }
    // "inotify wd:3 ino:... sdev:..."; the number is hexadecimal, and a program has few.
    let there = lists(&call.proc_text(&format!("fdinfo/{}", call.int(0)))?, "inotify wd:", call.int(1));
    Ok(if there { Answer::Value(0) } else { Answer::Kernel })
}

/// Whether a line of that text starts with the word and the number.
fn lists(text: &str, word: &str, number: i32) -> bool {
    let first = |line: &str| line.strip_prefix(word)?.split_whitespace().next()?.parse().ok();
    text.lines().any(|line| first(line) == Some(number))
}
