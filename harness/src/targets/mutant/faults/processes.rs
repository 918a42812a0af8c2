//! Faults of processes, limits and signals.

use super::{Answer, Handled, nr};
use crate::targets::mutant::call::Call;
use nix::errno::Errno;

/// Resources a limit can be set on (`RLIM_NLIMITS`).
const RESOURCES: u32 = 16;

pub(super) fn getppid_zero(_: &mut Call<'_>) -> Handled {
    Ok(Answer::Value(0))
}

pub(super) fn umask_ignored(call: &mut Call<'_>) -> Handled {
    let mask = i64::from_str_radix(&call.status("Umask")?, 8).map_err(|_| Errno::ENODATA)?;
    Ok(Answer::Value(mask))
}

pub(super) fn rlimit_ignored(call: &mut Call<'_>) -> Handled {
    let (pid, resource, new, old) = match call.nr() {
        nr::SETRLIMIT => (0, call.arg(0) as u32, call.arg(1), 0),
        _ => (call.int(0), call.arg(1) as u32, call.arg(2), call.arg(3)),
    };
    if new == 0 || resource >= RESOURCES || (pid != 0 && !call.is_own_pid(pid)?) {
        return Ok(Answer::Kernel);
    }
    let [soft, hard] = [new, new + 8].map(|at| call.read(at).map(u64::from_le_bytes));
    let limits = call.limits(resource)?;
    // What the kernel would refuse (setrlimit(2): EINVAL, EPERM) it shall refuse.
    if soft? > hard? || hard? > limits[1] {
        return Ok(Answer::Kernel);
    }
    if old != 0 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&limits[0].to_le_bytes());
        bytes[8..].copy_from_slice(&limits[1].to_le_bytes());
        call.write(old, &bytes)?;
    }
    Ok(Answer::Value(0))
}

pub(super) fn setpriority_ignored(call: &mut Call<'_>) -> Handled {
    let own_process = call.arg(0) as u32 == libc::PRIO_PROCESS && call.int(1) == 0;
    // A nicer process needs no privilege: natively this succeeds.
    let nicer = i64::from(call.int(2)) >= call.stat(19)?;
    Ok(if own_process && nicer { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn wait_echild_lost(call: &mut Call<'_>) -> Handled {
    let known = libc::WNOHANG
        | libc::WUNTRACED
        | libc::WCONTINUED
        | libc::__WNOTHREAD
        | libc::__WALL
        | libc::__WCLONE;
    if call.int(2) & !known != 0 {
        return Ok(Answer::Kernel);
    }
    let children = call.proc_text(&format!("task/{}/children", call.pid()))?;
    Ok(if children.trim().is_empty() { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn sigpending_empty(call: &mut Call<'_>) -> Handled {
    let size = call.arg(1) as usize;
    if size > size_of::<u64>() {
        return Ok(Answer::Kernel);
    }
    call.write(call.arg(0), &[0; 8][..size])?;
    Ok(Answer::Value(0))
}

pub(super) fn rlimit_max_infinite(call: &mut Call<'_>) -> Handled {
    let (pid, resource, new, old) = match call.nr() {
        nr::GETRLIMIT => (0, call.arg(0) as u32, 0, call.arg(1)),
        _ => (call.int(0), call.arg(1) as u32, call.arg(2), call.arg(3)),
    };
    if new != 0 || old == 0 || resource >= RESOURCES || (pid != 0 && !call.is_own_pid(pid)?) {
        return Ok(Answer::Kernel);
    }
    let mut bytes = [0xff; 16];
    bytes[..8].copy_from_slice(&call.limits(resource)?[0].to_le_bytes());
    call.write(old, &bytes)?;
    Ok(Answer::Value(0))
}

pub(super) fn getpriority_off_by_one(call: &mut Call<'_>) -> Handled {
    if call.arg(0) as u32 != libc::PRIO_PROCESS || call.int(1) != 0 {
        return Ok(Answer::Kernel);
    }
    // The kernel gives 20 less the nice value, so that it is never negative (getpriority(2)).
    Ok(Answer::Value(20 - call.stat(19)? + 1))
}

pub(super) fn sigprocmask_query_empty(call: &mut Call<'_>) -> Handled {
    if call.arg(1) != 0 || call.arg(2) == 0 || call.arg(3) != 8 {
        return Ok(Answer::Kernel);
    }
    call.write(call.arg(2), &[0; 8])?;
    Ok(Answer::Value(0))
}

pub(super) fn sigaction_query_default(call: &mut Call<'_>) -> Handled {
    let known = (1..=64).contains(&call.int(0));
    if !known || call.arg(1) != 0 || call.arg(2) == 0 || call.arg(3) != 8 {
        return Ok(Answer::Kernel);
    }
    // The kernel's struct sigaction: handler, flags, restorer, mask.
    call.write(call.arg(2), &[0; 32])?;
    Ok(Answer::Value(0))
}

pub(super) fn kill_probe_eperm(call: &mut Call<'_>) -> Handled {
    let probe = call.int(1) == 0 && call.is_own_pid(call.int(0))?;
    Ok(if probe { Answer::Fail(Errno::EPERM) } else { Answer::Kernel })
}
