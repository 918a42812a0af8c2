//! The outside terminal: a pseudo-terminal whose master is held by the harness, and the controlling terminal of the
//! agent's session. Programs that ask for it run in that session, as its foreground process group; what they do to the
//! terminal is undone afterwards. And what happens from outside: events, asked for by messages (see `wire.rs`).

use crate::arch;
use crate::sys::*;
use crate::wire::*;
use crate::shared::{TRACE, TRACE_MAPPED};
use crate::SPAWN_STACK_TOP;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is there and the agent's own.
static PRESENT: AtomicBool = AtomicBool::new(false);
/// Whether it came as our standard input, as a layer's own.
static ADOPTED: AtomicBool = AtomicBool::new(false);

const TCGETS: u64 = 0x5401;
const TIOCSCTTY: u64 = 0x540e;
const TIOCSPGRP: u64 = 0x5410;
const F_GETFD: u64 = 1;
const F_SETFD: u64 = 2;
const F_SETFL: u64 = 4;
const F_SETSIG: u64 = 10;
const F_OFD_SETLK: u64 = 37;
const FD_CLOEXEC: u64 = 1;

/// `SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGTSTP`, `SIGTTIN`, `SIGTTOU`: what a terminal sends. Blocked in the agent for good,
/// since one that was typed for a program may arrive after it.
const FROM_TERMINALS: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 19 | 1 << 20 | 1 << 21;

/// Takes a terminal that came with us, as `FD_TERMINAL` says. Whether the agent's pipes are where they belong.
pub fn adopt() -> bool {
    if fcntl(FD_IN, F_GETFD, 0) < 0 {
        fcntl(FD_TERMINAL, F_SETFD, FD_CLOEXEC);
        return false;
    }
    syscall(nr::DUP3, [0, FD_TERMINAL as u64, O_CLOEXEC, 0, 0, 0]);
    fcntl(FD_IN, F_SETFD, FD_CLOEXEC);
    fcntl(FD_OUT, F_SETFD, FD_CLOEXEC);
    ADOPTED.store(true, Ordering::Relaxed);
    true
}

/// Makes it the agent's own, if it can be. Before the hello.
pub fn claim() {
    let before = mask(SIG_BLOCK, FROM_TERMINALS);
    let mut settings = [0u64; 5];
    let is_terminal = ioctl(FD_TERMINAL as i64, TCGETS, settings.as_mut_ptr() as u64) == 0;
    let mut present = is_terminal && take_foreground() == 0;
    // A layer that was given the terminal gives it to us a moment after it has started us; leaving its session now would
    // lose it. Elsewhere the terminal is nobody's yet.
    for _ in 0..50 {
        if present || !is_terminal {
            break;
        }
        if ADOPTED.load(Ordering::Relaxed) {
            sleep(2_000_000);
        } else {
            syscall(nr::SETSID, [0; 6]);
            ioctl(FD_TERMINAL as i64, TIOCSCTTY, 0);
        }
        present = take_foreground() == 0;
    }
    if !present {
        close(FD_TERMINAL as i64);
    }
    PRESENT.store(present, Ordering::Relaxed);
    mask(SIG_SETMASK, before);
}

/// Whether there is one.
pub fn present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// From now on no signal of the terminal's reaches the agent. After the hello, which tells the mask.
pub fn guard() {
    if present() {
        mask(SIG_BLOCK, FROM_TERMINALS);
    }
}

/// A child that has nothing to do with it: a session of its own, and no signal blocked.
pub fn leave() {
    syscall(nr::SETSID, [0; 6]);
    if present() {
        mask(SIG_UNBLOCK, FROM_TERMINALS);
    }
}

/// A child with it: a process group of its own in the agent's session, in the foreground; descriptors 0 to 2 are the
/// terminal. Returns the step that failed and its negative errno, or 0.
///
/// The descriptors share an open file with the agent's, as a shell's children share theirs with the shell: opening it
/// anew by `/proc` or `/dev/tty` gives another thing on layers that keep a terminal's session in the open file, or
/// nothing. [`after`] takes back what belongs to the open file.
pub fn enter() -> (u64, i64) {
    if !present() {
        return (5, -6);
    }
    syscall(nr::SETPGID, [0; 6]);
    let taken = take_foreground();
    if taken < 0 {
        return (6, taken);
    }
    for fd in 0..3u64 {
        let placed = syscall(nr::DUP2, [FD_TERMINAL as u64, fd, 0, 0, 0, 0]);
        if placed < 0 {
            return (7, placed);
        }
    }
    mask(SIG_UNBLOCK, FROM_TERMINALS);
    (0, 0)
}

fn take_foreground() -> i64 {
    let group = syscall(nr::GETPGID, [0; 6]) as i32;
    ioctl(FD_TERMINAL as i64, TIOCSPGRP, &group as *const i32 as u64)
}

/// Undoes what a program did to the terminal, once it is gone. What belongs to the open file is ours to undo; the rest
/// the harness does at the terminal itself, since a layer may lack the calls for it.
pub fn after() {
    take_foreground();
    fcntl(FD_TERMINAL, F_SETFL, 0);
    fcntl(FD_TERMINAL, F_SETOWN, 0);
    fcntl(FD_TERMINAL, F_SETSIG, 0);
    const LOCK_UN: u64 = 8;
    syscall(nr::FLOCK, [FD_TERMINAL as u64, LOCK_UN, 0, 0, 0, 0]);
    // struct flock of F_UNLCK, all of it.
    let unlock = [2u64, 0, 0, 0];
    fcntl(FD_TERMINAL, F_OFD_SETLK, unlock.as_ptr() as u64);
    exchange(outside::RESET, &[], &[], 0, 0);
}

/// Whether a stopped program would stop for ever, since it is in the background: twice in the same call.
pub fn is_stuck(flags: u32, status: u32, call: i32, before: i32) -> bool {
    const SIGTTIN: u32 = 21;
    const SIGTTOU: u32 = 22;
    flags & PROG_OUTER != 0 && matches!(status >> 8 & 0xff, SIGTTIN | SIGTTOU) && call != 0 && call == before
}

/// What a program's call asks for.
pub fn perform(op: u8, args: [u64; 6]) -> i64 {
    if op == OP_TERMINAL {
        return 0;
    }
    if op == OP_SIGNAL {
        return signal(args[0]);
    }
    // A signal that comes now, such as the one of a key just typed, waits: a child that dies between question and
    // answer leaves the answer to nobody.
    let before = mask(SIG_SETMASK, u64::MAX);
    let ret = match op {
        OP_TYPE => match bytes_at(args[0], args[1]) {
            Some(bytes) => exchange(outside::TYPE, &[], bytes, 0, 0),
            None => -14,
        },
        OP_SHOWN => match bytes_at(args[0], args[1]) {
            Some(room) => exchange(outside::SHOWN, &[room.len() as u32], &[], args[0], room.len()),
            None => -14,
        },
        _ => exchange(outside::RESIZE, &[args[0] as u32, args[1] as u32], &[], 0, 0),
    };
    mask(SIG_SETMASK, before);
    ret
}

/// Bytes of the arena, as many as fit one event; none for an address that is elsewhere.
fn bytes_at<'a>(at: u64, len: u64) -> Option<&'a [u8]> {
    let end = at.checked_add(len)?;
    if at < ARENA || end > ARENA + ARENA_SIZE as u64 {
        return None;
    }
    // SAFETY: inside the arena, just checked; nobody else runs while the child waits here.
    Some(unsafe { core::slice::from_raw_parts(at as *const u8, (len as usize).min(MOST)) })
}

/// Bytes of an event or an acknowledgement before its own: five words at most.
const HEAD: usize = 20;
/// Most bytes that go either way.
const MOST: usize = MAX_EVENT - HEAD;
/// The number of the last event, where agent and children share it.
const NUMBER: *mut u32 = (TRACE + TRACE_MAPPED - 8) as *mut u32;

/// Sends an event and waits for its acknowledgement; `room` bytes at `to` are for what comes with it.
pub fn exchange(what: u32, words: &[u32], bytes: &[u8], to: u64, room: usize) -> i64 {
    // SAFETY: the page behind the trace buffer is mapped (`agent_main`), and one process at a time is here.
    let number = unsafe {
        NUMBER.write_volatile(NUMBER.read_volatile().wrapping_add(1));
        NUMBER.read_volatile()
    };
    let mut message = [0u8; MAX_EVENT];
    let mut len = 0;
    let mut put = |part: &[u8]| {
        for (to, from) in message.iter_mut().skip(len).zip(part) {
            *to = *from;
        }
        len += part.len();
    };
    let total = (12 + 4 * words.len() + bytes.len()) as u32;
    for word in [total, MAGIC_EVENT, number, what].iter().chain(words) {
        put(&word.to_le_bytes());
    }
    put(bytes);
    if !write_all(FD_OUT, message.as_ptr(), len.min(MAX_EVENT)) {
        exit_group(80);
    }
    // Taken from the pipe as a whole, whatever is there: a program of several tasks may be killed at any moment by a
    // signal that another one of them does not block, and half an answer left behind would be read as something else.
    let mut have = 0usize;
    loop {
        let room_left = (MAX_EVENT - have) as u64;
        let at = message.as_mut_ptr().wrapping_add(have) as u64;
        let n = syscall(nr::READ, [FD_IN as u64, at, room_left, 0, 0, 0]);
        if n == -4 {
            continue;
        }
        if n <= 0 {
            exit_group(81);
        }
        have += n as usize;
        while have >= 4 {
            let word =
                |k: usize| u32::from_le_bytes([message[k], message[k + 1], message[k + 2], message[k + 3]]);
            let len = word(0) as usize;
            if !(16..=MAX_EVENT - 4).contains(&len) {
                exit_group(82);
            }
            if have < 4 + len {
                break;
            }
            if word(4) != MAGIC_ACK {
                exit_group(83);
            }
            if word(8) == number {
                let came = (len - 16).min(room);
                let ret = u64::from(word(12)) | u64::from(word(16)) << 32;
                // SAFETY: `room` bytes at `to` lie in the arena (`bytes_at`).
                unsafe { core::ptr::copy_nonoverlapping(message.as_ptr().add(20), to as *mut u8, came) };
                return ret as i64;
            }
            // One that a killed child left.
            message.copy_within(4 + len..have, 0);
            have -= 4 + len;
        }
    }
}

/// Another process sends us that signal; we wait for its end.
fn signal(signal: u64) -> i64 {
    let job = [syscall(nr::GETPID, [0; 6]) as u64, signal];
    // A plain fork: to a process that waits in vfork gVisor delivers a signal late, at its next interruption.
    const SIGCHLD: u64 = 17;
    let pid = arch::clone_call(SIGCHLD, SPAWN_STACK_TOP, send_main, job.as_ptr() as u64);
    if pid < 0 {
        return pid;
    }
    while syscall(nr::WAIT4, [pid as u64, 0, 0, 0, 0, 0]) == -4 {}
    0
}
extern "C" fn send_main(job: u64) -> ! {
    // SAFETY: the words lie in our copy of the parent's stack.
    let [pid, signal] = unsafe { *(job as *const [u64; 2]) };
    syscall(nr::KILL, [pid, signal, 0, 0, 0, 0]);
    exit_group(0)
}
