//! The agent: a freestanding process that runs flat instruction lists and sends traces back.
//!
//! It knows no description and brings no libc: what a program sees is the kernel and nothing else. It reads a
//! request from its input, runs each program in a child of its own, and writes one reply. End of input ends it.
//!
//! `main.rs` serves, `child.rs` runs a program, `tasks.rs` keeps the order of several tasks, `shared.rs` is what they
//! write down, `outer.rs` is the outside terminal, `look.rs` looks at what is left, `world.rs` builds and reports the world, `vdso.rs` finds the
//! vdso's functions, `x86_64.rs` is everything that depends on the architecture, `wire.rs` is the protocol.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

mod child;
mod deny;
mod look;
mod outer;
mod point;
mod shared;
mod signals;
mod stop;
mod sys;
mod tasks;
mod vdso;
#[allow(dead_code)]
#[path = "../../../corpus/src/wire.rs"]
mod wire;
mod world;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;

use sys::{exit_group, mmap_fixed, nr, read_exact, syscall, write_all};
use wire::*;

/// Where the agent keeps what must not move. All of it is far from what a kernel would choose.
const REQUEST: u64 = 0x2200_0000;
const REPLY: u64 = 0x2300_0000;
const STACK: u64 = 0x2400_0000;
const STACK_SIZE: u64 = 128 << 10;
/// Top of the stack of the child of a child (`OP_SPAWN`).
pub const SPAWN_STACK_TOP: u64 = STACK + 2 * STACK_SIZE;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit_group(70)
}

/// The prebuilt `core` refers to it though nothing here unwinds.
#[no_mangle]
extern "C" fn rust_eh_personality() {}

/// Called by `_start` with the initial stack pointer.
#[no_mangle]
extern "C" fn agent_main(stack: *const u64) -> ! {
    // SAFETY: the kernel's initial stack is laid out as the ABI says.
    let (filter, vdso) = unsafe { world::initial_stack(stack) };
    for (at, len) in [
        (ARENA, ARENA_SIZE as u64),
        (REQUEST, MAX_MESSAGE as u64 + 4096),
        (REPLY, MAX_MESSAGE as u64 + 4096),
        (STACK, 2 * STACK_SIZE),
        (tasks::STACKS_AT, tasks::STACKS_SIZE),
    ] {
        if !mmap_fixed(at, len, false) {
            exit_group(71);
        }
    }
    if !point::map_trace() {
        exit_group(71);
    }
    world::settle_in();
    let filtered = filter && world::install_filter();
    world::hello(&vdso, filtered);
    outer::guard();
    loop {
        serve(&vdso);
    }
}

fn serve(vdso: &vdso::Vdso) {
    let mut head = [0u8; 4];
    if !read_exact(FD_IN, head.as_mut_ptr(), 4) {
        exit_group(0);
    }
    let len = u32::from_le_bytes(head) as usize;
    if !(8..=MAX_MESSAGE).contains(&len) || !read_exact(FD_IN, REQUEST as *mut u8, len) {
        exit_group(72);
    }
    // SAFETY: the request buffer is mapped and `len` bytes of it were just filled; nothing else writes it.
    let request = unsafe { core::slice::from_raw_parts(REQUEST as *const u8, len) };
    let mut at = 0;
    let magic = take_u32(request, &mut at);
    if magic == MAGIC_ACK {
        // Its program did not live to see it.
        return;
    }
    if magic != MAGIC_RUN && magic != MAGIC_RUN_EACH {
        exit_group(73);
    }
    let each = magic == MAGIC_RUN_EACH;
    let count = take_u32(request, &mut at);
    let mut reply = Reply { len: Reply::HEAD };
    for _ in 0..count {
        let header = ProgHeader {
            flags: take_u32(request, &mut at),
            instrs: take_u32(request, &mut at),
            instrs_len: take_u32(request, &mut at),
            image_len: take_u32(request, &mut at),
            block_us: take_u32(request, &mut at),
        };
        let instrs = take(request, &mut at, header.instrs_len as usize);
        let image = take(request, &mut at, header.image_len as usize);
        if header.instrs as usize > MAX_INSTRS || image.len() > ARENA_SIZE - ARENA_START {
            exit_group(74);
        }
        let program = child::Program { header, instrs, image, vdso };
        run(&program, &mut reply);
        if each {
            reply.send(1);
        }
    }
    if !each {
        reply.send(count);
    }
}

/// Runs one program in a child and appends its trace.
fn run(program: &child::Program<'_>, reply: &mut Reply) {
    child::prepare(program);
    let flags = program.header.flags;
    let with_outer = flags & PROG_OUTER != 0 && outer::present();
    let top = STACK + STACK_SIZE;
    let forks = flags & (PROG_FORK | PROG_STOP) != 0 || point::keeps();
    let arg = program as *const child::Program<'_> as u64;
    let pid = arch::clone_call(if forks { 0 } else { CLONE_VM | CLONE_VFORK } | SIGCHLD, top, child::main, arg);
    let mut end = (END_FAILED, 0u8, pid as i32);
    if pid > 0 {
        let (mut stops, mut stopped_in, mut last) = (0i32, 0i32, 0i32);
        let mut status = 0u32;
        loop {
            let r = syscall(nr::WAIT4, [pid as u64, &mut status as *mut u32 as u64, WUNTRACED, 0, 0, 0]);
            if r == -EINTR {
                continue;
            }
            if r >= 0 && status & 0xff == 0x7f {
                stops = (stops + 1).min(0xff);
                if stopped_in == 0 {
                    stopped_in = child::stopped_in(program);
                }
                let call = child::stopped_in(program);
                if outer::is_stuck(flags, status, call, last) {
                    syscall(nr::KILL, [pid as u64, SIGKILL, 0, 0, 0, 0]);
                }
                last = call;
                if call != 0 {
                    syscall(nr::KILL, [pid as u64, SIGCONT, 0, 0, 0, 0]);
                } else if point::pass(pid) == point::Fate::Gone {
                    status = SIGKILL as u32;
                    break;
                }
                continue;
            }
            if r < 0 {
                end = (END_FAILED, 1, r as i32);
            }
            break;
        }
        if end.2 == pid as i32 {
            end = match status & 0x7f {
                0 if status >> 8 & 0xff == 0 => (END_EXITED, 0, stops | stopped_in << 8),
                0 => (END_FAILED, (status >> 8) as u8, child::failure()),
                signal => (END_KILLED, signal as u8, 0),
            };
        }
    }
    if flags & PROG_TASKS != 0 {
        tasks::kill_left(|_, _| ());
    }
    if child::spawned() || flags & PROG_TASKS != 0 {
        while syscall(nr::WAIT4, [u64::MAX, 0, WNOHANG, 0, 0, 0]) > 0 {}
    }
    if with_outer {
        outer::after();
    }
    if flags & PROG_MEM != 0 {
        // What was mapped at a page of the window may end beyond it.
        syscall(nr::MUNMAP, [WINDOW, 2 * WINDOW_SIZE, 0, 0, 0, 0]);
    }
    if flags & PROG_FS != 0 {
        world::empty_working_directory();
    }
    if flags & PROG_IPC != 0 {
        world::remove_ipc();
    }
    child::append_trace(program, end, reply);
}

const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;
const SIGCHLD: u64 = 17;
const SIGCONT: u64 = 18;
const SIGKILL: u64 = 9;
const WNOHANG: u64 = 1;
const WUNTRACED: u64 = 2;
const EINTR: i64 = 4;

/// The reply being built in its own buffer.
pub struct Reply {
    len: usize,
}
impl Reply {
    /// Appends bytes; what does not fit ends the agent, since the host never asks for that much.
    pub fn put(&mut self, from: *const u8, len: usize) {
        if self.len + len > MAX_MESSAGE {
            exit_group(75);
        }
        // SAFETY: the buffer has MAX_MESSAGE bytes, just checked; `from` points at the trace buffer or a local.
        unsafe { core::ptr::copy_nonoverlapping(from, (REPLY as *mut u8).add(self.len), len) };
        self.len += len;
    }
    /// Length, magic and count come first.
    const HEAD: usize = 12;
    /// Sends what was put together, `count` traces, and begins anew.
    fn send(&mut self, count: u32) {
        self.put_u32_at(0, self.len as u32 - 4);
        self.put_u32_at(4, MAGIC_REPLY);
        self.put_u32_at(8, count);
        if !write_all(FD_OUT, REPLY as *const u8, self.len) {
            exit_group(0);
        }
        self.len = Reply::HEAD;
    }
    fn put_u32_at(&mut self, at: usize, value: u32) {
        // SAFETY: `at` is one of the first three words of the mapped reply buffer.
        unsafe { ((REPLY as *mut u8).add(at) as *mut u32).write_unaligned(value) };
    }
}

/// The next `len` bytes. A request that lies about its lengths ends the agent.
pub fn take<'a>(bytes: &'a [u8], at: &mut usize, len: usize) -> &'a [u8] {
    match at.checked_add(len).and_then(|end| bytes.get(*at..end)) {
        Some(part) => {
            *at += len;
            part
        }
        None => exit_group(76),
    }
}
/// The next little-endian u32.
pub fn take_u32(bytes: &[u8], at: &mut usize) -> u32 {
    let part = take(bytes, at, 4);
    u32::from_le_bytes([part[0], part[1], part[2], part[3]])
}
