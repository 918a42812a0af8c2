//! Faults of clocks, timers and CPU times.

use super::layer::is_checkpoint;
use super::{Answer, Handled, nr};
use crate::targets::mutant::call::Call;
use nix::errno::Errno;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::time::Duration;

/// More than a short program runs, so that user time exceeds wall time by more than any oracle's slack.
const EXCESS: Duration = Duration::from_millis(250);

/// How far the system call's clocks are behind.
const BEHIND: i64 = 1;

const NANOS: i64 = 1_000_000_000;

pub(super) fn user_exceeds_wall(call: &mut Call<'_>) -> Handled {
    if call.int(0) != libc::RUSAGE_SELF {
        return Ok(Answer::Kernel);
    }
    let user = cpu_time(call)? + EXCESS;
    call.write(call.arg(1), &rusage(call, user)?)?;
    Ok(Answer::Value(0))
}

pub(super) fn children_is_self(call: &mut Call<'_>) -> Handled {
    if call.int(0) != libc::RUSAGE_CHILDREN {
        return Ok(Answer::Kernel);
    }
    // A program may be faster than one microsecond of user time; the fault must show even so.
    let user = cpu_time(call)?.max(Duration::from_micros(1));
    call.write(call.arg(1), &rusage(call, user)?)?;
    Ok(Answer::Value(0))
}

/// CPU time the caller has used.
fn cpu_time(call: &Call<'_>) -> Result<Duration, Errno> {
    Ok(clock_gettime(clock_getcpuclockid(Pid::from_raw(call.pid()))?)?.into())
}

/// The caller's `struct rusage`: all its time as user time, the counts as the kernel would give them.
fn rusage(call: &Call<'_>, user: Duration) -> Result<[u8; 144], Errno> {
    // maxrss in KiB; "VmHWM: 123 kB".
    let peak = call.status("VmHWM").ok().and_then(|v| v.split(' ').next()?.parse::<u64>().ok());
    let count = |key| call.status(key).ok().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    let words: [u64; 18] = [
        user.as_secs(),
        user.subsec_micros().into(),
        0,
        0,
        peak.unwrap_or(0),
        0,
        0,
        0,
        call.stat(10)? as u64,
        call.stat(12)? as u64,
        0,
        0,
        0,
        0,
        0,
        0,
        count("voluntary_ctxt_switches"),
        count("nonvoluntary_ctxt_switches"),
    ];
    let mut bytes = [0; 144];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    Ok(bytes)
}

pub(super) fn zero_after_restore(call: &mut Call<'_>) -> Handled {
    if call.nr() != nr::TIME {
        if is_checkpoint(call)? {
            call.remember_restore()?;
        }
        return Ok(Answer::Kernel);
    }
    if !call.was_restored()? {
        return Ok(Answer::Kernel);
    }
    if call.arg(0) != 0 {
        call.write(call.arg(0), &0i64.to_le_bytes())?;
    }
    Ok(Answer::Value(0))
}

pub(super) fn clock_behind_vdso(call: &mut Call<'_>) -> Handled {
    let clock = match call.int(0) {
        libc::CLOCK_REALTIME => ClockId::CLOCK_REALTIME,
        libc::CLOCK_MONOTONIC => ClockId::CLOCK_MONOTONIC,
        _ => return Ok(Answer::Kernel),
    };
    let now = clock_gettime(clock)?;
    call.write(call.arg(1), &timespec(now.tv_sec() - BEHIND, now.tv_nsec()))?;
    Ok(Answer::Value(0))
}

fn timespec(seconds: i64, nanos: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seconds.to_le_bytes());
    bytes[8..].copy_from_slice(&nanos.to_le_bytes());
    bytes
}

pub(super) fn nanosleep_einval_lost(call: &mut Call<'_>) -> Handled {
    let request = call.arg(if call.nr() == nr::NANOSLEEP { 0 } else { 2 });
    let [seconds, nanos] = [request, request + 8].map(|at| call.read(at).map(i64::from_le_bytes));
    let bad = seconds? >= 0 && nanos? >= NANOS;
    Ok(if bad { Answer::Value(0) } else { Answer::Kernel })
}

pub(super) fn timerfd_gettime_zero(call: &mut Call<'_>) -> Handled {
    if call.fd_text(call.int(0))? != "anon_inode:[timerfd]" {
        return Ok(Answer::Kernel);
    }
    // struct itimerspec
    call.write(call.arg(1), &[0; 32])?;
    Ok(Answer::Value(0))
}

pub(super) fn getitimer_zero(call: &mut Call<'_>) -> Handled {
    if !(libc::ITIMER_REAL..=libc::ITIMER_PROF).contains(&call.int(0)) {
        return Ok(Answer::Kernel);
    }
    // struct itimerval
    call.write(call.arg(1), &[0; 32])?;
    Ok(Answer::Value(0))
}

pub(super) fn clock_coarse_einval(call: &mut Call<'_>) -> Handled {
    let coarse = [libc::CLOCK_REALTIME_COARSE, libc::CLOCK_MONOTONIC_COARSE].contains(&call.int(0));
    Ok(if coarse { Answer::Fail(Errno::EINVAL) } else { Answer::Kernel })
}
