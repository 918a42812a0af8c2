//! Faults of files and directories.

use super::{Answer, Handled, nr};
use crate::targets::mutant::call::Call;
use crate::targets::mutant::notify;
use nix::errno::Errno;
use nix::fcntl::{RenameFlags, readlinkat, renameat2};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{Whence, lseek};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(super) fn lseek_end_off_by_one(call: &mut Call<'_>) -> Handled {
    if call.int(2) != libc::SEEK_END {
        return Ok(Answer::Kernel);
    }
    // The offset belongs to the open file description, which our copy shares.
    let offset = (call.arg(1) as i64).checked_add(1).ok_or(Errno::EOVERFLOW)?;
    Ok(Answer::Value(lseek(call.fd(call.int(0))?, offset, Whence::SeekEnd)?))
}

pub(super) fn ftruncate_negative_ok(call: &mut Call<'_>) -> Handled {
    Ok(if (call.arg(1) as i64) < 0 { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn readlink_counts_nul(call: &mut Call<'_>) -> Handled {
    let (directory, path, buffer, size) = match call.nr() {
        nr::READLINK => (libc::AT_FDCWD, call.arg(0), call.arg(1), call.int(2)),
        _ => (call.int(0), call.arg(1), call.arg(2), call.int(3)),
    };
    let path = call.read_path(path)?;
    if size <= 0 || path.as_os_str().is_empty() {
        return Ok(Answer::Kernel);
    }
    let link = call.open_path(directory, &path)?;
    let mut target = readlinkat(link, "")?.as_bytes().to_vec();
    target.push(0);
    target.truncate(size as usize);
    call.write(buffer, &target)?;
    Ok(Answer::Value(target.len() as i64))
}

pub(super) fn rename_noreplace_overwrites(call: &mut Call<'_>) -> Handled {
    if call.arg(4) as u32 != libc::RENAME_NOREPLACE {
        return Ok(Answer::Kernel);
    }
    let from = call.read_path(call.arg(1))?;
    let to = call.read_path(call.arg(3))?;
    let (from_dir, from_name) = parent_of(call, call.int(0), &from)?;
    let (to_dir, to_name) = parent_of(call, call.int(2), &to)?;
    renameat2(from_dir, from_name, to_dir, to_name, RenameFlags::empty())?;
    Ok(Answer::Value(0))
}

/// The directory that a path's last name is in, and that name. rename(2) does not follow a link there, so
/// once the directory is known to be the jail's, so is the entry.
fn parent_of<'p>(call: &Call<'_>, directory: i32, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Errno> {
    let bytes = path.as_os_str().as_bytes();
    let (parent, name) = match bytes.iter().rposition(|&b| b == b'/') {
        Some(slash) => bytes.split_at(slash + 1),
        None => (b".".as_slice(), bytes),
    };
    // A path without a plain last name is rename's own affair.
    if matches!(name, b"" | b"." | b"..") {
        return Err(Errno::EINVAL);
    }
    let parent = call.open_path(directory, Path::new(OsStr::from_bytes(parent)))?;
    Ok((parent, OsStr::from_bytes(name)))
}

pub(super) fn getdents_dots_lost(call: &mut Call<'_>) -> Handled {
    /// More than a program's buffer ever has; the rest comes with its next call.
    const ROOM: usize = 64 << 10;
    let directory = call.fd(call.int(0))?;
    let mut room = vec![0; (call.arg(2) as u32 as usize).min(ROOM)];
    // A page that held nothing but dots must not look like the directory's end.
    loop {
        let got = notify::directory_entries(directory.as_fd(), &mut room)?;
        let kept = without_dots(&room[..got]);
        if got == 0 || !kept.is_empty() {
            // The position has moved already, so a bad pointer is answered here.
            return Ok(match call.write(call.arg(1), &kept) {
                Ok(()) => Answer::Value(kept.len() as i64),
                Err(error) => Answer::Fail(error),
            });
        }
    }
}

/// Drops the entries `.` and `..` from a run of `struct linux_dirent64`.
fn without_dots(mut entries: &[u8]) -> Vec<u8> {
    /// Offset of the record's length.
    const LENGTH: usize = 16;
    /// Offset of its name.
    const NAME: usize = 19;
    let mut kept = Vec::new();
    while let Some(&[low, high]) = entries.get(LENGTH..LENGTH + 2) {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let Some((entry, rest)) = entries.split_at_checked(length.max(NAME)) else { break };
        if !entry[NAME..].starts_with(b".\0") && !entry[NAME..].starts_with(b"..\0") {
            kept.extend_from_slice(entry);
        }
        entries = rest;
    }
    kept
}

pub(super) fn fchmod_setid_lost(call: &mut Call<'_>) -> Handled {
    let mode = Mode::from_bits_truncate(call.arg(1) as libc::mode_t);
    let kept = mode & (Mode::S_IRWXU | Mode::S_IRWXG | Mode::S_IRWXO);
    if mode == kept {
        return Ok(Answer::Kernel);
    }
    fchmod(call.fd(call.int(0))?, kept)?;
    Ok(Answer::Value(0))
}

pub(super) fn mkdir_exists_ok(call: &mut Call<'_>) -> Handled {
    let path = call.read_path(call.arg(1))?;
    if path.as_os_str().is_empty() {
        return Ok(Answer::Kernel);
    }
    let there = is_directory(&call.open_path(call.int(0), &path)?)?;
    Ok(if there { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn fchdir_ignored(call: &mut Call<'_>) -> Handled {
    // One that may not be entered is the kernel's affair, and so is one that is no directory.
    let enterable = |mode: libc::mode_t| mode & libc::S_IFMT == libc::S_IFDIR && mode & 0o111 == 0o111;
    let there = enterable(fstat(call.fd(call.int(0))?)?.st_mode);
    Ok(if there { Answer::Value(0) } else { Answer::Kernel })
}

fn is_directory(fd: &OwnedFd) -> Result<bool, Errno> {
    Ok(fstat(fd)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}
