//! The yardstick: a bare loop of fork, exit and wait, in processes of its own.

use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, pipe, read, write};
use std::time::{Duration, Instant};

/// Forks, exits and waits in a loop on so many processes at once; per second in all. Call it while this process is
/// small: a fork costs what its parent has mapped.
///
/// # Errors
/// No process or pipe can be had.
pub fn fork_loop(processes: usize, time: Duration) -> nix::Result<f64> {
    let (from, to) = pipe()?;
    let mut children = Vec::new();
    for _ in 0..processes {
        // SAFETY: the child calls only fork, waitpid, write, the clock and _exit, all async-signal-safe.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child => {
                let count = loop_for(time);
                let _ = write(&to, &count.to_le_bytes());
                exit(0);
            }
        }
    }
    drop(to);
    let mut total = 0;
    let mut word = [0u8; 8];
    for _ in &children {
        // Eight bytes are written at once, so they arrive at once (pipe(7), PIPE_BUF).
        if read(&from, &mut word)? == word.len() {
            total += u64::from_le_bytes(word);
        }
    }
    for child in children {
        waitpid(child, None)?;
    }
    Ok(total as f64 / time.as_secs_f64())
}

fn loop_for(time: Duration) -> u64 {
    let end = Instant::now() + time;
    let mut forks = 0;
    while Instant::now() < end {
        // SAFETY: as above.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => exit(0),
            Ok(ForkResult::Parent { child }) => {
                while waitpid(child, None) == Err(Errno::EINTR) {}
                forks += 1;
            }
            Err(_) => break,
        }
    }
    forks
}

fn exit(code: i32) -> ! {
    // SAFETY: ends this process without running anything of the parent's (destructors, buffers).
    unsafe { nix::libc::_exit(code) }
}
