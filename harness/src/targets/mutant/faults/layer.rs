//! Faults of memory, and of the layer as a whole.

use super::{Answer, Handled, nr};
use crate::targets::mutant::call::Call;
use nix::errno::Errno;
use parallax_corpus::wire::{ARENA, ARENA_SIZE, ARENA_START};

/// Where in the arena the eight bytes lie: among a program's own data, which the agent digests at a checkpoint.
const VICTIM: u64 = 0x2000;
const _: () = assert!(VICTIM >= ARENA_START as u64 && VICTIM < ARENA_SIZE as u64);
/// What they are changed by.
const FLIP: u64 = 0x5a5a_5a5a_5a5a_5a5a;

const PAGE: u64 = 4096;
/// `PROT_READ | PROT_WRITE | PROT_EXEC`
const PROTECTIONS: u64 = 7;

/// Whether the caller stops itself: what the agent does where a layer dumps and restores, or infects.
pub(super) fn is_checkpoint(call: &Call<'_>) -> Result<bool, Errno> {
    // tgkill(group, thread, signal): a program's thread is its group's only one.
    let signal = call.int(if call.nr() == nr::TGKILL { 2 } else { 1 });
    Ok(signal == libc::SIGSTOP && call.is_own_pid(call.int(0))?)
}

pub(super) fn memory_after_inject(call: &mut Call<'_>) -> Handled {
    if !is_checkpoint(call)? {
        return Ok(Answer::Kernel);
    }
    let bytes = u64::from_le_bytes(call.read(ARENA + VICTIM)?);
    call.write(ARENA + VICTIM, &(bytes ^ FLIP).to_le_bytes())?;
    Ok(Answer::Tampered)
}

pub(super) fn mprotect_ignored(call: &mut Call<'_>) -> Handled {
    let sane = call.arg(0) % PAGE == 0 && call.arg(1) != 0 && call.arg(2) & !PROTECTIONS == 0;
    Ok(if sane && is_mapped(call)? { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn dontneed_ignored(call: &mut Call<'_>) -> Handled {
    let sane = call.arg(0) % PAGE == 0 && call.int(2) == libc::MADV_DONTNEED;
    Ok(if sane && is_mapped(call)? { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn munmap_ignored(call: &mut Call<'_>) -> Handled {
    let sane = call.arg(0) % PAGE == 0 && call.arg(1) != 0;
    Ok(if sane && is_mapped(call)? { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn msync_unmapped_ok(call: &mut Call<'_>) -> Handled {
    let flags = call.int(2);
    let both = libc::MS_SYNC | libc::MS_ASYNC;
    let sane = call.arg(0) % PAGE == 0 && flags & !(both | libc::MS_INVALIDATE) == 0 && flags & both != both;
    Ok(if sane && call.arg(1) != 0 && !is_mapped(call)? { Answer::Value(0) } else { Answer::Kernel })
}

/// Whether all of arguments 0 (address) and 1 (length) is mapped: the kernel has its own error if not.
fn is_mapped(call: &Call<'_>) -> Result<bool, Errno> {
    let (mut at, end) = (call.arg(0), call.arg(0).checked_add(call.arg(1)).ok_or(Errno::EINVAL)?);
    // Sorted by address: "7ffe0000-7ffe1000 rw-p ..."
    for line in call.proc_text("maps")?.lines() {
        let range = line.split(' ').next().and_then(|r| r.split_once('-')).ok_or(Errno::ENODATA)?;
        let parse = |hex| u64::from_str_radix(hex, 16).map_err(|_| Errno::ENODATA);
        let (from, to) = (parse(range.0)?, parse(range.1)?);
        if from <= at && at < to {
            at = to;
        }
    }
    Ok(at >= end)
}

/// The whole layer falls silent, not just the one program: process 1 stops too, so that no timer of the
/// agent's can save the run.
pub(super) fn hang(call: &mut Call<'_>) -> Handled {
    call.signal_init(libc::SIGSTOP)?;
    Ok(Answer::Silence)
}

pub(super) fn crash(call: &mut Call<'_>) -> Handled {
    call.signal_init(libc::SIGKILL)?;
    Ok(Answer::Silence)
}
