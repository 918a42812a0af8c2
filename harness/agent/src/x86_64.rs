//! x86-64: entry, system calls, a child on a stack of its own, signal return, memory routines.

use core::arch::{asm, global_asm};

global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym crate::agent_main,
);

// rt_sigreturn, as the kernel wants its restorer (arch/x86/kernel/signal_64.c).
global_asm!(".globl agent_restorer", "agent_restorer:", "mov eax, 15", "syscall", "ud2");

extern "C" {
    fn agent_restorer();
}

/// Address of the signal restorer.
pub fn restorer() -> u64 {
    agent_restorer as *const () as u64
}

/// A system call: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are clobbered.
#[inline(always)]
pub fn syscall6(nr: u64, a: [u64; 6]) -> i64 {
    let ret: i64;
    // SAFETY: whatever the kernel does to memory is what the caller asked for; registers are declared.
    unsafe {
        asm!("syscall", inlateout("rax") nr as i64 => ret,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    ret
}

/// `clone` with those flags; the child runs `function(arg)` on the stack that ends at `top`, then exits.
/// Gives the child's pid or a negative errno.
pub fn clone_call(flags: u64, top: u64, function: extern "C" fn(u64) -> !, arg: u64) -> i64 {
    let ret: i64;
    // SAFETY: the child never returns here: it has an empty stack of its own and calls a diverging function.
    // All callee-saved registers keep their values in the parent, whose stack the child does not touch.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") 56i64 => ret,
            in("rdi") flags, in("rsi") top, in("rdx") 0u64, in("r10") 0u64, in("r8") 0u64,
            in("r12") function, in("r13") arg,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    ret
}

/// A busy loop of that many iterations, which no optimizer shortens.
pub fn spin(mut iterations: u64) {
    while iterations > 0 {
        // SAFETY: no effect at all.
        unsafe { asm!("", inout("rcx") iterations, options(nomem, nostack)) };
        iterations -= 1;
    }
}

/// # Safety
/// As C's memcpy.
#[no_mangle]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}
/// # Safety
/// As C's memmove.
#[no_mangle]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: the caller's promise; copying upwards does not overtake itself here.
        return unsafe { memcpy(to, from, len) };
    }
    let mut n = len;
    while n > 0 {
        n -= 1;
        // SAFETY: n < len, the caller's promise. Volatile, lest this loop become a call of itself.
        unsafe { to.add(n).write_volatile(from.add(n).read_volatile()) };
    }
    to
}
/// # Safety
/// As C's memset.
#[no_mangle]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: as memcpy.
    unsafe {
        asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    to
}
/// # Safety
/// As C's memcmp.
#[no_mangle]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for n in 0..len {
        // SAFETY: n < len, the caller's promise.
        let (x, y) = unsafe { (a.add(n).read_volatile(), b.add(n).read_volatile()) };
        if x != y {
            return x as i32 - y as i32;
        }
    }
    0
}
/// # Safety
/// As C's bcmp.
#[no_mangle]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(a, b, len) }
}
