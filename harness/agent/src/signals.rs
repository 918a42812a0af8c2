//! The signals that programs handle, and the timer that ends a wait.

use crate::arch;
use crate::sys::{nr, syscall};
use crate::wire::*;

// The agent's part of the arena.
const LOG_COUNTS: u64 = ARENA;
const LOG_ORDER: u64 = ARENA + 256;
const LOG_BYTES: u64 = ARENA + 260;
const LOG_KEPT: u32 = 60;
const ALARMS: u64 = ARENA + 1000;
/// From where to where the last handler used another stack than the program's; 0 if none did. Behind it the thread.
const USED: u64 = ARENA + 1000 - 24;
pub const SIGALRM: u64 = 14;

/// Arms the block timer, again and again every `us` (a single shot could come before the call has begun to
/// wait); 0 disarms it.
pub fn set_alarm(us: u64) {
    if us > 0 {
        // SAFETY: the agent's part of the arena.
        unsafe { (ALARMS as *mut u32).write_volatile(0) };
    }
    let value = [us / 1_000_000, us % 1_000_000, us / 1_000_000, us % 1_000_000];
    syscall(nr::SETITIMER, [0, value.as_ptr() as u64, 0, 0, 0, 0]);
}

/// How often it went off since.
pub fn alarms() -> u32 {
    // SAFETY: the agent's part of the arena.
    unsafe { (ALARMS as *const u32).read_volatile() }
}

/// The signal handler: counts. For `SIGALRM` the agent's own count; for a real fault it steps aside.
pub extern "C" fn on_signal(signal: i32, info: *const i32, context: *const u64) {
    let n = signal as u64 & 63;
    // SAFETY: the agent's part of the arena; `info` and `context` are the kernel's (SA_SIGINFO or
    // not, x86-64 passes them).
    unsafe {
        // struct ucontext: flags, link, then a stack_t: ss_sp, ss_flags, ss_size.
        let (stack, size) = (context.add(2).read(), context.add(4).read());
        let here = &raw const n as u64;
        if here.wrapping_sub(stack) < size {
            let from = stack.max(here.saturating_sub(BELOW_HANDLER));
            let thread = syscall(nr::GETTID, [0; 6]) as u64;
            (USED as *mut [u64; 3]).write_volatile([from, stack.saturating_add(size), thread]);
        }
        if n == SIGALRM {
            (ALARMS as *mut u32).write_volatile((ALARMS as *const u32).read_volatile() + 1);
            return;
        }
        let count = (LOG_COUNTS + n * 4) as *mut u32;
        count.write_volatile(count.read_volatile() + 1);
        let order = LOG_ORDER as *mut u32;
        let k = order.read_volatile();
        if k < LOG_KEPT {
            ((LOG_BYTES + k as u64) as *mut u8).write_volatile(n as u8);
        }
        order.write_volatile(k + 1);
        // A fault of the program's own (SIGILL, SIGBUS, SIGFPE, SIGSEGV with si_code > 0) would come again for
        // ever: take the default action instead.
        if matches!(n, 4 | 7 | 8 | 11) && info.add(2).read() > 0 {
            let default = [0u64; 4];
            syscall(nr::RT_SIGACTION, [n, default.as_ptr() as u64, 0, 8, 0, 0]);
        }
    }
}

/// What the handler itself may use of a stack, bytes.
const BELOW_HANDLER: u64 = 2048;

/// Wipes what a handler left on an alternate stack: registers and addresses, which nobody promises (sigaltstack(2)). The
/// stack may be gone or read-only by now, so the kernel writes for us: it refuses what cannot be written.
pub fn wipe() {
    // SAFETY: the agent's part of the arena.
    let [from, to, thread] = unsafe { (USED as *const [u64; 3]).read_volatile() };
    // Another thread's handler may still be at work.
    if to == 0 || thread != syscall(nr::GETTID, [0; 6]) as u64 {
        return;
    }
    // SAFETY: as above.
    unsafe { (USED as *mut [u64; 3]).write_volatile([0; 3]) };
    // Nobody can handle SIGKILL, so its action (rt_sigaction(2): handler, flags, restorer, mask) is all zeroes.
    const SIGKILL: u64 = 9;
    const ACTION: u64 = 32;
    const EFAULT: i64 = -14;
    let mut at = to;
    while at >= from + ACTION {
        at -= ACTION;
        match syscall(nr::RT_SIGACTION, [SIGKILL, 0, at, 8, 0, 0]) {
            EFAULT => return,
            // A layer may not tell: it was a stack a moment ago, so it is there.
            // SAFETY: the program's own memory, of which the handler has just used as much.
            error if error < 0 => unsafe { (at as *mut [u64; 4]).write_volatile([0; 4]) },
            _ => {}
        }
    }
}

/// Installs the handler for the block timer; children inherit it.
pub fn install_alarm() {
    const SA_RESTORER: u64 = 0x0400_0000;
    let handler = on_signal as *const () as u64;
    let action = [handler, SA_RESTORER, arch::restorer(), 0];
    syscall(nr::RT_SIGACTION, [SIGALRM, action.as_ptr() as u64, 0, 8, 0, 0]);
}
