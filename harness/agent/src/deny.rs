//! The filter that bounds programs where the layer around the agent is not bounded (`--filter`).

use crate::sys::{exit_group, nr, read_exact, syscall};
use crate::wire::{FD_IN, MAX_FILTER};

/// Reads a filter (a message: u32 length, then so many bytes of `struct sock_filter`) and installs it for good.
/// Whether the layer took it is reported in the hello.
pub fn install() -> bool {
    let mut head = [0u8; 4];
    let mut filter = [0u64; MAX_FILTER / 8];
    if !read_exact(FD_IN, head.as_mut_ptr(), 4) {
        exit_group(0);
    }
    let len = u32::from_le_bytes(head) as usize;
    if len > MAX_FILTER || len % 8 != 0 || !read_exact(FD_IN, filter.as_mut_ptr() as *mut u8, len) {
        exit_group(79);
    }
    // struct sock_fprog: a count, padding, an address.
    let program = [(len / 8) as u64, filter.as_ptr() as u64];
    const PR_SET_NO_NEW_PRIVS: u64 = 38;
    const SECCOMP_SET_MODE_FILTER: u64 = 1;
    syscall(nr::PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]);
    syscall(nr::SECCOMP, [SECCOMP_SET_MODE_FILTER, 0, program.as_ptr() as u64, 0, 0, 0]) == 0
}
