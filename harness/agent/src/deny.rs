//! The filter that bounds programs where the layer around the agent is not bounded (`--filter`).

use crate::sys::{exit_group, nr, read_exact, syscall};
use crate::wire::{FD_IN, MAX_FILTER};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The filter, and how many of its words there are.
static FILTER: [AtomicU64; MAX_FILTER / 8] = [const { AtomicU64::new(0) }; MAX_FILTER / 8];
static WORDS: AtomicUsize = AtomicUsize::new(0);

/// Reads a filter: a message of u32 length, then so many bytes of `struct sock_filter`.
pub fn read() {
    let mut head = [0u8; 4];
    if !read_exact(FD_IN, head.as_mut_ptr(), 4) {
        exit_group(0);
    }
    let len = u32::from_le_bytes(head) as usize;
    if len > MAX_FILTER || len % 8 != 0 {
        exit_group(79);
    }
    for place in FILTER.iter().take(len / 8) {
        let mut word = [0u8; 8];
        if !read_exact(FD_IN, word.as_mut_ptr(), 8) {
            exit_group(79);
        }
        place.store(u64::from_le_bytes(word), Relaxed);
    }
    WORDS.store(len / 8, Relaxed);
}

/// Whether one was read.
pub fn is_there() -> bool {
    WORDS.load(Relaxed) != 0
}

/// Installs what was read, for good. Whether the layer took it is reported in the hello.
pub fn install() -> bool {
    // struct sock_fprog: a count, padding, an address.
    let program = [WORDS.load(Relaxed) as u64, FILTER.as_ptr() as u64];
    const PR_SET_NO_NEW_PRIVS: u64 = 38;
    const SECCOMP_SET_MODE_FILTER: u64 = 1;
    syscall(nr::PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]);
    syscall(nr::SECCOMP, [SECCOMP_SET_MODE_FILTER, 0, program.as_ptr() as u64, 0, 0, 0]) == 0
}
