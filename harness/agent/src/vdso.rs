//! Finds the vdso's functions in its dynamic symbol table (vdso(7), elf(5)).

use crate::sys::{nr, syscall};
use crate::wire::*;

/// Addresses of the functions, by `VDSO_*`; 0 where there is none.
pub struct Vdso {
    pub functions: [u64; VDSO_COUNT],
}

const NAMES: [&[u8]; VDSO_COUNT] = [
    b"__vdso_clock_gettime\0",
    b"__vdso_gettimeofday\0",
    b"__vdso_time\0",
    b"__vdso_getcpu\0",
    b"__vdso_clock_getres\0",
];

impl Vdso {
    /// No functions.
    pub const NONE: Vdso = Vdso { functions: [0; VDSO_COUNT] };

    /// Reads the ELF image at `base`.
    ///
    /// # Safety
    /// `base` is the vdso's, from the auxiliary vector.
    pub unsafe fn at(base: u64) -> Vdso {
        let mut found = Vdso::NONE;
        // SAFETY: the kernel maps a whole ELF image there; all offsets below are its own.
        unsafe {
            let u16_at = |off: u64| ((base + off) as *const u16).read_unaligned() as u64;
            let u64_at = |at: u64| (at as *const u64).read_unaligned();
            let u32_at = |at: u64| (at as *const u32).read_unaligned();
            let (phoff, phentsize, phnum) = (u64_at(base + 32), u16_at(54), u16_at(56));
            let (mut bias, mut dynamic) = (None, 0);
            for k in 0..phnum {
                let ph = base + phoff + k * phentsize;
                match u32_at(ph) {
                    1 if bias.is_none() => bias = Some(base.wrapping_add(u64_at(ph + 8)).wrapping_sub(u64_at(ph + 16))),
                    2 => dynamic = base + u64_at(ph + 8),
                    _ => {}
                }
            }
            let Some(bias) = bias else { return found };
            if dynamic == 0 {
                return found;
            }
            let (mut strings, mut symbols, mut hash) = (0, 0, 0);
            let mut at = dynamic;
            while u64_at(at) != 0 {
                // Linux links its vdso at 0, gVisor at the top of memory. Should somebody have relocated the
                // table already, its addresses lie in the image.
                let value = u64_at(at + 8);
                let there = value.wrapping_sub(base) < 1 << 20;
                let address = if there { value } else { value.wrapping_add(bias) };
                match u64_at(at) {
                    4 => hash = address,
                    5 => strings = address,
                    6 => symbols = address,
                    _ => {}
                }
                at += 16;
            }
            if strings == 0 || symbols == 0 {
                return found;
            }
            // Without a SysV hash table the strings follow the symbols, as every linker lays them.
            let count = if hash != 0 { u32_at(hash + 4) as u64 } else { strings.saturating_sub(symbols) / 24 };
            for k in 0..count.min(256) {
                let symbol = symbols + k * 24;
                let name = strings + u32_at(symbol) as u64;
                for (function, wanted) in found.functions.iter_mut().zip(NAMES) {
                    let same = wanted.iter().enumerate().all(|(i, b)| ((name + i as u64) as *const u8).read() == *b);
                    if same && u64_at(symbol + 8) != 0 {
                        *function = bias.wrapping_add(u64_at(symbol + 8));
                    }
                }
            }
        }
        found
    }

    /// A clock's reading in nanoseconds: by vdso where there is one, so that a layer's cost stays low.
    pub fn now(&self, clock: u64) -> i64 {
        let mut time = [0i64; 2];
        let at = time.as_mut_ptr() as u64;
        let args = [clock, at, 0, 0, 0, 0];
        if self.call(VDSO_CLOCK_GETTIME as usize, args).is_none() {
            syscall(nr::CLOCK_GETTIME, args);
        }
        time[0] * 1_000_000_000 + time[1]
    }

    /// Calls a function with up to three words; `None` if there is no such function.
    pub fn call(&self, function: usize, a: [u64; 6]) -> Option<i64> {
        let address = *self.functions.get(function)?;
        if address == 0 {
            return None;
        }
        // SAFETY: a vdso function of the C ABI; pointers are the program's, checked by nobody, as in any C
        // program: a bad one kills the child, which is an outcome.
        let call: extern "C" fn(u64, u64, u64) -> i64 = unsafe { core::mem::transmute(address as usize) };
        let ret = call(a[0], a[1], a[2]);
        // time() alone gives a 64-bit value; the others an int.
        Some(if function == VDSO_TIME as usize { ret } else { ret as i32 as i64 })
    }
}
