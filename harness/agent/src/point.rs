//! Checkpoints that the host has a hand in (`--points`), and programs that are to be dumped (`--keep`): what an agent
//! does for whoever freezes its children, and what it takes from them. See `docs/decisions/0019-points.md`.

use crate::deny;
use crate::outer;
use crate::shared::{TRACE, TRACE_MAPPED};
use crate::sys::*;
use crate::wire::*;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Whether the host is asked at checkpoints.
static ASKS: AtomicBool = AtomicBool::new(false);
/// Whether programs are to be dumped, by somebody with rights that they do not have.
static KEEPS: AtomicBool = AtomicBool::new(false);
/// Our argument vector from the helper's path on, and the environment.
static HELPER: AtomicU64 = AtomicU64::new(0);
static ENVIRONMENT: AtomicU64 = AtomicU64::new(0);

const SIGCHLD: u64 = 17;
const SIGKILL: u64 = 9;
const SIGCONT: u64 = 18;
const WALL: u64 = 0x4000_0000;
const ECHILD: i64 = -10;

/// Reads our arguments: `--points`, `--keep`, `--helper PATH ARGUMENT...` (which comes last).
///
/// # Safety
/// `argv` is the initial argument vector of `argc` strings, followed by a null and the environment.
pub unsafe fn arguments(argc: usize, argv: *const *const u8) {
    let mut k = 1;
    while k < argc {
        // SAFETY: below argc each is a string that ends in NUL.
        let is = |name: &[u8]| unsafe {
            let arg = *argv.add(k);
            name.iter().enumerate().all(|(i, b)| *arg.add(i) == *b)
        };
        if is(b"--points\0") {
            ASKS.store(true, Relaxed);
        } else if is(b"--keep\0") {
            KEEPS.store(true, Relaxed);
        } else if is(b"--helper\0") {
            HELPER.store(argv.wrapping_add(k + 1) as u64, Relaxed);
            break;
        }
        k += 1;
    }
    ENVIRONMENT.store(argv.wrapping_add(argc + 1) as u64, Relaxed);
}

/// Whether programs are to be dumped: each is forked, and has nothing of ours.
pub fn keeps() -> bool {
    KEEPS.load(Relaxed)
}

/// Maps the trace buffer; shared, so that a forked child's outcomes reach us.
pub fn map_trace() -> bool {
    if !keeps() {
        return mmap_fixed(TRACE, TRACE_MAPPED, true);
    }
    // What is shared by a fork alone is private to whoever is restored; what is shared by a file is the file's.
    const CREATE: u64 = 0o100 | 0o1000;
    let file = syscall(nr::OPENAT, [AT_FDCWD, TRACE_FILE.as_ptr() as u64, O_RDWR | CREATE, 0o600, 0, 0]);
    const SHARED_FIXED: u64 = 1 | 0x10;
    syscall(nr::FTRUNCATE, [file as u64, TRACE_MAPPED, 0, 0, 0, 0]);
    let mapped = syscall(nr::MMAP, [TRACE, TRACE_MAPPED, 3, SHARED_FIXED, file as u64, 0]);
    close(file);
    mapped == TRACE as i64
}

/// In a child: takes from it what a dump cannot hold and what a program is not to have. Returns the step that failed and
/// its negative errno, or 0.
pub fn strip(with_outer: bool) -> (u64, i64) {
    if !keeps() {
        return (0, 0);
    }
    let from = if with_outer { FD_HELPER } else { FD_IN };
    syscall(nr::CLOSE_RANGE, [from as u64, FD_RESERVED_END as u64, 0, 0, 0, 0]);
    const SET_NO_NEW_PRIVS: u64 = 38;
    const SET_SECUREBITS: u64 = 28;
    // SECBIT_NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE and their locks, as in every jail.
    const NOTHING_BACK: u64 = 0x3 | 0xc | 0xc0;
    let header = [0x2008_0522u32, 0];
    let none = [0u32; 6];
    for (step, number, args) in [
        (11, nr::PRCTL, [SET_SECUREBITS, NOTHING_BACK, 0, 0, 0, 0]),
        (12, nr::CAPSET, [header.as_ptr() as u64, none.as_ptr() as u64, 0, 0, 0, 0]),
        (13, nr::PRCTL, [SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]),
    ] {
        let ret = syscall(number, args);
        if ret < 0 {
            return (step, ret);
        }
    }
    if deny::is_there() && !deny::install() {
        return (14, -1);
    }
    (0, 0)
}

/// What became of a program at a checkpoint.
#[derive(PartialEq)]
pub enum Fate {
    /// It goes on.
    Continued,
    /// It is to be killed, or is dead and waited for.
    Ended,
    Gone,
}

/// A program has stopped at a checkpoint: has the host do with it what it likes, and lets it go on.
pub fn pass(pid: i64) -> Fate {
    if !ASKS.load(Relaxed) {
        syscall(nr::KILL, [pid as u64, SIGCONT, 0, 0, 0, 0]);
        return Fate::Continued;
    }
    let (mut asked, mut result) = (0u32, 0i64);
    let mut helper = 0i64;
    let mut dead = false;
    loop {
        let todo = outer::exchange(outside::POINT, &[pid as u32, asked, result as u32], &[], 0, 0);
        let has = |bit: u32| todo >= 0 && todo as u32 & bit != 0;
        asked += 1;
        if has(point::REAP) {
            while syscall(nr::WAIT4, [u64::MAX, 0, WALL, 0, 0, 0]) != ECHILD {}
            dead = true;
            helper = 0;
        }
        if has(point::AWAIT) && helper > 0 {
            let mut status = 0u32;
            while syscall(nr::WAIT4, [helper as u64, &mut status as *mut u32 as u64, WALL, 0, 0, 0]) == -4 {}
            result = status as i64;
            helper = 0;
            // Whoever was restored is there again.
            dead = false;
        }
        if has(point::HELPER) {
            helper = start_helper();
            result = helper;
        }
        if has(point::GO) {
            syscall(nr::KILL, [pid as u64, SIGCONT, 0, 0, 0, 0]);
            return Fate::Continued;
        }
        if todo < 0 || has(point::END) {
            if helper > 0 {
                syscall(nr::KILL, [helper as u64, SIGKILL, 0, 0, 0, 0]);
                while syscall(nr::WAIT4, [helper as u64, 0, WALL, 0, 0, 0]) == -4 {}
            }
            if dead {
                return Fate::Gone;
            }
            syscall(nr::KILL, [pid as u64, SIGKILL, 0, 0, 0, 0]);
            return Fate::Ended;
        }
    }
}

fn start_helper() -> i64 {
    // In memory of its own: it may take a while until it is another program, and the host wants to hear from us.
    crate::arch::clone_call(SIGCHLD, crate::SPAWN_STACK_TOP, helper_main, HELPER.load(Relaxed))
}
extern "C" fn helper_main(argv: u64) -> ! {
    mask(SIG_SETMASK, 0);
    if argv != 0 {
        // SAFETY: what `arguments` stored, checked to be there.
        let path = unsafe { *(argv as *const u64) };
        const SETFD: u64 = 2;
        // What a program holds of ours, it may have to give to whom it restores.
        for fd in [FD_IN, FD_OUT, FD_HELPER] {
            syscall(nr::FCNTL, [fd as u64, SETFD, 0, 0, 0, 0]);
        }
        // CRIU gives a program without its session's leader the terminal that is its own standard input.
        if outer::present() {
            syscall(nr::DUP2, [FD_TERMINAL as u64, 0, 0, 0, 0, 0]);
        }
        syscall(nr::EXECVE, [path, argv, ENVIRONMENT.load(Relaxed), 0, 0, 0]);
    }
    exit_group(127)
}
