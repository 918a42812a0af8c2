//! The checkpoint: a program digests its memory, and fills its registers if asked to, stops, is continued, looks again.

use crate::shared::shared;
use crate::sys::{nr, syscall};
use crate::tasks;
use crate::wire::*;
use core::arch::asm;
use core::arch::x86_64::{CpuidResult, __cpuid_count};
use core::sync::atomic::Ordering::SeqCst;

const PAGE: usize = 4096;
const SIGSTOP: u64 = 19;
const SIGCONT: u64 = 18;

/// The dump and restore point. Returns the number of pages that changed, and from bit `STOP_LOST` on the number of
/// registers; neither must have.
pub fn stop(fill: u64, with_tasks: bool) -> i64 {
    let mut before = [0u64; ARENA_SIZE / PAGE];
    for (page, digest) in before.iter_mut().enumerate() {
        *digest = digest_page(page);
    }
    let pid = syscall(nr::GETPID, [0; 6]) as u64;
    let forgets = with_tasks && !is_pending(SIGCONT);
    // Whoever freezes us freezes them as well, and interrupts what they wait in: so does this everywhere.
    tasks::halt_processes();
    shared().stopping.store(1, SeqCst);
    let lost = if fill == 0 {
        syscall(nr::KILL, [pid, SIGSTOP, 0, 0, 0, 0]);
        0
    } else {
        stop_filled(pid)
    };
    shared().stopping.store(0, SeqCst);
    tasks::continue_processes();
    if forgets {
        forget_continued();
    }
    let changed = before.iter().enumerate().filter(|(page, digest)| digest_page(*page) != **digest);
    changed.count() as i64 | lost << STOP_LOST
}

fn is_pending(signal: u64) -> bool {
    let mut set = 0u64;
    syscall(nr::RT_SIGPENDING, [&mut set as *mut u64 as u64, 8, 0, 0, 0, 0]);
    set >> (signal - 1) & 1 != 0
}

/// Takes the signal that continued us, if nobody has asked for it: where it is blocked here and not in another task, it
/// waits for whichever of the two comes first.
fn forget_continued() {
    let mut action = [0u64; 4];
    syscall(nr::RT_SIGACTION, [SIGCONT, 0, action.as_mut_ptr() as u64, 8, 0, 0]);
    // SIG_DFL and SIG_IGN are 0 and 1.
    if action[0] <= 1 {
        let (set, at_once) = (1u64 << (SIGCONT - 1), [0u64; 2]);
        let (set, time) = (&set as *const u64 as u64, at_once.as_ptr() as u64);
        syscall(nr::RT_SIGTIMEDWAIT, [set, 0, time, 8, 0, 0]);
    }
}

fn digest_page(page: usize) -> u64 {
    // The first page holds the signal log, which a SIGCONT handler may rightly change.
    let skip = if page == 0 { ARENA_START / 8 } else { 0 };
    let mut digest = 0xcbf2_9ce4_8422_2325u64;
    for k in skip..PAGE / 8 {
        // SAFETY: inside the arena. Volatile: somebody else may have written it.
        let word = unsafe { ((ARENA as usize + page * PAGE + k * 8) as *const u64).read_volatile() };
        digest = (digest ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
    digest
}

/// How wide the vector registers are, in words of eight bytes, and how many there are.
#[derive(Clone, Copy, PartialEq)]
enum Vectors {
    Xmm,
    Ymm,
    Zmm,
}

impl Vectors {
    /// What the CPU has and the system lets us use.
    fn here() -> Vectors {
        let leaf = |leaf: u32| -> CpuidResult {
            #[allow(unused_unsafe)] // It is safe in newer Rust.
            // SAFETY: every x86-64 CPU has the instruction, and says 0 for what it does not know.
            unsafe {
                __cpuid_count(leaf, 0)
            }
        };
        const OSXSAVE_AND_AVX: u32 = 3 << 27;
        const AVX512F: u32 = 1 << 16;
        if leaf(0).eax < 7 || leaf(1).ecx & OSXSAVE_AND_AVX != OSXSAVE_AND_AVX {
            return Vectors::Xmm;
        }
        let enabled: u32;
        // SAFETY: OSXSAVE says that the instruction is there.
        unsafe { asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _, options(nomem, nostack)) };
        match enabled {
            e if e & 0xe6 == 0xe6 && leaf(7).ebx & AVX512F != 0 => Vectors::Zmm,
            e if e & 6 == 6 => Vectors::Ymm,
            _ => Vectors::Xmm,
        }
    }
    fn words(self) -> usize {
        match self {
            Vectors::Xmm => 2,
            Vectors::Ymm => 4,
            Vectors::Zmm => 8,
        }
    }
    fn count(self) -> usize {
        if self == Vectors::Zmm { 32 } else { 16 }
    }
}

const MOST: usize = 32 * 8;
/// Control words that are not those of a fresh process, of which no bit raises an exception: precision and rounding.
const X87_CONTROL: u16 = 0x0a7f;
const MXCSR: u32 = 0x3fc0;

/// What is in the registers beside the vectors.
#[repr(C)]
struct Rest {
    control: u16,
    pad: u16,
    mxcsr: u32,
    /// The top of the x87 stack, ten bytes.
    top: [u8; 16],
}

/// Loads the registers and what `r13` points to, stops, and stores them where `r14` and `r15` point. In the text `\\n` is
/// the number of each register.
macro_rules! across_stop {
    ($move:literal, $name:literal, $width:literal, $regs:literal, $pid:expr, $from:expr, $to:expr, $rest:expr, $seen:expr) => {
        asm!(
            "fninit",
            "fldcw word ptr [r13]",
            "fldpi",
            "ldmxcsr dword ptr [r13 + 4]",
            concat!(".irp n,", $regs),
            concat!($move, " ", $name, "\\n, [r12 + ", $width, "*\\n]"),
            ".endr",
            "syscall",
            concat!(".irp n,", $regs),
            concat!($move, " [r14 + ", $width, "*\\n], ", $name, "\\n"),
            ".endr",
            "stmxcsr dword ptr [r15 + 4]",
            "fnstcw word ptr [r15]",
            "fstp tbyte ptr [r15 + 8]",
            "fninit",
            inlateout("rax") 62u64 => _, in("rdi") $pid, in("rsi") SIGSTOP,
            in("r12") $from, in("r13") $rest, in("r14") $to, in("r15") $seen,
            lateout("rcx") _, lateout("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
            out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            options(nostack)
        )
    };
}

/// Fills the registers, stops, and counts those that are not as they were: each vector register is one, and so are the
/// two control words and the x87 stack.
fn stop_filled(pid: u64) -> i64 {
    let vectors = Vectors::here();
    let mut before = [0u64; MOST];
    for (k, word) in before.iter_mut().enumerate() {
        *word = (k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    let mut after = [0u64; MOST];
    let rest = Rest { control: X87_CONTROL, pad: 0, mxcsr: MXCSR, top: [0; 16] };
    let mut seen = Rest { control: 0, pad: 0, mxcsr: 0, top: [0; 16] };
    let usual = 0x1f80u32;
    let (from, to) = (before.as_ptr() as u64, after.as_mut_ptr() as u64);
    let (control, out) = (&rest as *const Rest as u64, &mut seen as *mut Rest as u64);
    // SAFETY: the registers are declared, the buffers as large as what is stored there, the x87 stack is left empty as
    // it was. The control words are put back before anybody computes with them.
    unsafe {
        match vectors {
            Vectors::Xmm => {
                across_stop!("movdqu", "xmm", "16", "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", pid, from, to, control, out)
            }
            Vectors::Ymm => {
                across_stop!("vmovdqu", "ymm", "32", "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", pid, from, to, control, out);
                asm!("vzeroupper", options(nomem, nostack));
            }
            Vectors::Zmm => {
                across_stop!(
                    "vmovdqu64",
                    "zmm",
                    "64",
                    "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                    pid, from, to, control, out
                );
                asm!("vzeroupper", options(nomem, nostack));
            }
        }
        asm!("ldmxcsr dword ptr [{}]", in(reg) &usual, options(nostack, readonly));
    }
    const PI: [u8; 10] = [0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40];
    let lost = (0..vectors.count())
        .filter(|n| {
            let place = n * vectors.words();
            (place..place + vectors.words()).any(|k| before[k] != after[k])
        })
        .count();
    let control = (seen.control != X87_CONTROL) as i64 + (seen.mxcsr != MXCSR) as i64;
    lost as i64 + control + (seen.top[..10] != PI) as i64
}
