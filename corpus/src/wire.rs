// The agent's pipe, byte by byte. This file is compiled twice: into `parallax-corpus` and, by
// `harness/build.rs`, into the freestanding agent. So: no `std`, no dependencies, Rust 1.85.
//
// All integers are little endian. A *request* is
//   u32 length of what follows, u32 MAGIC_RUN or MAGIC_RUN_EACH, u32 number of programs, then the programs.
// A *program* is a `ProgHeader`, `instrs_len` bytes of instructions, `image_len` bytes of arena image.
// An *instruction* is
//   u8 op, u8 flags, u8 nargs, u8 nouts, u32 nr, [u8; 8] word kinds, nargs x u64, nouts x (u16 offset, u16 length).
// The last of the eight word kinds is the number of the task that performs the instruction.
// A *reply* is u32 length of what follows, u32 MAGIC_REPLY, u32 number of traces, then the traces: one reply for all
// programs of a request, or, with MAGIC_RUN_EACH, one for each as soon as it is done. A *trace* is
//   u32 size of what follows, u16 outcomes written, u8 end, u8 signal, i32 detail, i64 start (monotonic ns),
//   then the outcomes, in the order in which they came about. An *outcome* is
//   u8 state, u8 flags, u16 out length, u16 index of the call, u16 woken, i64 ret, [4 x i64 clocks if flags & OUT_CLOCKS],
//   out bytes. *Woken* is 0, or one more than the index of the call after which a call that was left waiting returned.
// Before the first request the agent sends one *hello*: u32 length, u32 MAGIC_HELLO, then HELLO_WORDS x u64
// (see `hello`), then six NUL-terminated uname strings' worth of text (raw `struct utsname`, 390 bytes).

// While a program runs, its child may ask for something from outside (OP_TYPE and its like), or the agent for the
// terminal to be as new. It writes one *event*: u32 length, u32 MAGIC_EVENT, u32 number, u32 what (`outside`), then what that kind
// needs; and waits for one *acknowledgement*: u32 length, u32 MAGIC_ACK, u32 the event's number, i64 return value, then
// the bytes read. Each is at most MAX_EVENT bytes, so a pipe takes it whole (pipe(7), PIPE_BUF). One that nobody waits
// for any more, because the child was killed, is passed over.
// An agent started with `--points` leaves what happens at a checkpoint to the host: when its child has stopped there it
// sends the event POINT, does what the acknowledgement says (`point`), and asks again until that is GO or END.

// An agent started with `--filter` first reads one message: u32 length, then a seccomp filter of so many bytes.

/// Largest seccomp filter, bytes.
pub const MAX_FILTER: usize = 4096;
/// Version of this protocol; part of the hello, so that a stale agent is noticed.
pub const VERSION: u64 = 2;
pub const MAGIC_RUN: u32 = 0x5052_4c58;
/// As [`MAGIC_RUN`], with a reply for each program: whoever waits sees which one does not come back.
pub const MAGIC_RUN_EACH: u32 = 0x4552_4c58;
pub const MAGIC_REPLY: u32 = 0x5952_4c58;
pub const MAGIC_HELLO: u32 = 0x4845_4c58;
pub const MAGIC_EVENT: u32 = 0x5645_4c58;
pub const MAGIC_ACK: u32 = 0x4b41_4c58;

/// Largest event or acknowledgement, its length and header included.
pub const MAX_EVENT: usize = 512;
/// What an event asks for.
pub mod outside {
    /// Then the bytes to type; gives how many were taken.
    pub const TYPE: u32 = 1;
    /// Then u32, most bytes; gives how many came, and them.
    pub const SHOWN: u32 = 2;
    /// Then u32 rows, u32 columns; gives 0.
    pub const RESIZE: u32 = 3;
    /// Make the terminal as it was when it was new, with nothing in it; gives 0.
    pub const RESET: u32 = 4;
    /// The program has stopped at a checkpoint. Then u32 its process id as the agent sees it, u32 how often the agent
    /// has asked at this checkpoint, i32 what came of the last thing it did; gives bits of `point`.
    pub const POINT: u32 = 5;
}
/// What the agent is to do at a checkpoint, in this order.
pub mod point {
    /// All processes of the program, and the helper, are dead or about to be: wait for them.
    pub const REAP: u32 = 1;
    /// Wait for the helper's end; its wait status is the result.
    pub const AWAIT: u32 = 2;
    /// Start the helper, the command after `--helper`; its process id or a negative errno is the result.
    pub const HELPER: u32 = 4;
    /// Let the program go on.
    pub const GO: u32 = 8;
    /// The program cannot go on: kill what there is of it.
    pub const END: u32 = 16;
}
/// An agent started with `--keep` keeps its own rights and takes them from each program; it keeps the trace in this file,
/// which a program that is restored from a dump finds again.
pub const TRACE_FILE: &[u8] = b"/run/trace\0";

/// Largest request or reply the agent accepts or makes, in bytes.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Address of the arena, the same in every agent, so that addresses are the same on both sides.
pub const ARENA: u64 = 0x2000_0000;
/// Bytes of the arena, where a program's buffers lie.
pub const ARENA_SIZE: usize = 64 << 10;
/// Arena bytes below this belong to the agent (the signal log).
pub const ARENA_START: usize = 1024;
/// Most instructions a program may have.
pub const MAX_INSTRS: usize = 512;
/// Bytes reserved for one program's trace.
pub const TRACE_SIZE: usize = 48 << 10;
/// Bytes of the signal log: 64 counts of u32, then a u32 number of deliveries and one byte for each of the
/// first 60, in order.
pub const SIGNAL_LOG: usize = 64 * 4 + 4 + 60;
/// Address of the window in which programs map pages; unmapped after each program that needs `NEED_MEM`.
pub const WINDOW: u64 = 0x1_0000_0000;
/// Bytes of the window.
pub const WINDOW_SIZE: u64 = 16 * 4096;

/// The agent's own descriptors: no program may name these numbers.
pub const FD_IN: i32 = 200;
pub const FD_OUT: i32 = 201;
/// The outside terminal, where there is one. An agent that starts with descriptor 200 open has its pipes at 200 and
/// 201 and the terminal at 0; one that starts with 202 open has its pipes at 0 and 1 and the terminal there; any other
/// has its pipes at 0 and 1 and no terminal.
pub const FD_TERMINAL: i32 = 202;
/// What the helper gets from the host: a socket.
pub const FD_HELPER: i32 = 203;
pub const FD_RESERVED_END: i32 = 208;

/// In a tty program: descriptors 0, 1, 2 are the controlling terminal, 3 is its master.
pub const FD_TTY: u64 = 0;
pub const FD_PTM: u64 = 3;

/// A program's header, 20 bytes.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct ProgHeader {
    pub flags: u32,
    pub instrs: u32,
    pub instrs_len: u32,
    pub image_len: u32,
    pub block_us: u32,
}

// Program flags: what the program needs of its child.
/// A forked child with its own memory, instead of `clone(VM|VFORK)`.
pub const PROG_FORK: u32 = 1;
/// A controlling terminal of its own (descriptors 0 to 3).
pub const PROG_TTY: u32 = 2;
/// Files are left in the working directory: empty it afterwards.
pub const PROG_FS: u32 = 4;
/// Pages are mapped in the window: unmap it afterwards.
pub const PROG_MEM: u32 = 8;
/// The child stops: the agent must go on running to continue it (no `VFORK`).
pub const PROG_STOP: u32 = 16;
/// Names descriptors 0 to 2 without a terminal: they are opened anew, since what is shared with the agent (status
/// flags, locks, owner) would outlive the program.
pub const PROG_STD: u32 = 32;
/// Starts tasks: a coordinator sees to the order of their calls (see the agent's `tasks.rs`).
pub const PROG_TASKS: u32 = 64;
/// Has a terminal whose other side nobody in the program holds, so that nothing flushes it (see the agent's `settle`).
pub const PROG_FAR: u32 = 128;

/// Most tasks of a program, the first one included.
pub const MAX_TASKS: usize = 4;
/// Index of the word kind that is an instruction's task.
pub const TASK_AT: usize = 7;
/// The outside terminal as descriptors 0 to 2, in its foreground: the child stays in the agent's session.
pub const PROG_OUTER: u32 = 256;
/// System V objects or a POSIX message queue are left: remove them afterwards.
pub const PROG_IPC: u32 = 1 << 16;
/// The only name a POSIX message queue may have, with its NUL.
pub const QUEUE_NAME: &[u8] = b"parallax\0";

// Instruction operations.
pub const OP_SYSCALL: u8 = 0;
/// `nr` is one of `VDSO_*`.
pub const OP_VDSO: u8 = 1;
/// Busy loop of word 0 iterations; returns 0.
pub const OP_SPIN: u8 = 2;
/// A child that spins word 0 iterations and exits with word 1 (not waited for); returns its pid.
pub const OP_SPAWN: u8 = 3;
/// The dump and restore point: digest memory, stop, be continued, digest again; returns changed pages. With an argument
/// that is not 0 the x87 and vector registers are filled before, and the number of those that are not as they were is
/// returned too, from bit `STOP_LOST` on.
pub const OP_STOP: u8 = 4;
pub const STOP_LOST: u32 = 8;
/// Store word 0 into the arena at offset word 1, word 2 bytes wide. Makes no outcome.
pub const OP_STORE: u8 = 5;
/// Copy the signal log to the address in word 0; returns 0.
pub const OP_PEEK: u8 = 6;
/// Write word 1 (a byte) at address word 0 over word 2 bytes, inside the window only.
pub const OP_POKE: u8 = 7;
/// Read one byte at address word 0, inside the window only; returns it.
pub const OP_LOAD: u8 = 8;
/// Start the next task as a thread; returns its thread id.
pub const OP_THREAD: u8 = 9;
/// Start the next task as a forked process; returns its process id.
pub const OP_FORK: u8 = 10;
/// End the task that makes this call, with exit code word 0. Of the first task it is the end of nothing: refused.
pub const OP_EXIT: u8 = 11;
/// Look at the window page by page: at the address in word 0, for each page u32 of `PAGE_*` and u32 digest.
pub const OP_WINDOW: u8 = 20;
/// Look at everything in the working directory: at the address in word 0, `TREE_WORDS` x u32 (see the agent's `look.rs`).
pub const OP_TREE: u8 = 21;

// What a page of the window is.
pub const PAGE_MAPPED: u32 = 1;
pub const PAGE_READ: u32 = 2;
pub const PAGE_WRITE: u32 = 4;
/// Bytes that `OP_WINDOW` writes.
pub const WINDOW_LOOK: usize = 16 * 8;
/// Words that `OP_TREE` writes: entries; sums of digests of names, types, permissions, sizes, link counts, contents and
/// of what symbolic links say.
pub const TREE_WORDS: usize = 8;
/// Does nothing; returns 0. (That the program has the outside terminal stands in its flags.)
pub const OP_TERMINAL: u8 = 32;
/// An event: types word 1 bytes from the address in word 0 at the outside terminal.
pub const OP_TYPE: u8 = 33;
/// An event: reads up to word 1 bytes of what the outside terminal shows to the address in word 0.
pub const OP_SHOWN: u8 = 34;
/// An event: word 0 rows and word 1 columns for the outside terminal.
pub const OP_RESIZE: u8 = 35;
/// Another process sends the program signal word 0; returns what its `kill` returned.
pub const OP_SIGNAL: u8 = 36;

// Instruction flags.
/// Record both clocks (by vdso where there is one) right before and right after.
pub const INS_CLOCKS: u8 = 1;
/// May wait without end: arm the block timer.
pub const INS_BLOCKS: u8 = 2;
/// A terminal may have work queued after this: flush it (see the agent's `settle`).
pub const INS_SETTLE: u8 = 4;
/// A probe: also runs after a blocked call.
pub const INS_PROBE: u8 = 8;
/// Lists a directory or reads a text: go back to its start before and after.
pub const INS_REWIND: u8 = 16;

// Word kinds.
pub const WORD_CONST: u8 = 0;
/// Arena offset: becomes an address.
pub const WORD_ARENA: u8 = 1;
/// Return value of call `value`.
pub const WORD_RET: u8 = 2;
/// The 32-bit value at arena offset `value >> 16`, written by call `value & 0xffff`.
pub const WORD_MEM32: u8 = 3;
/// The address of the agent's counting signal handler (`value` 0) or restorer (`value` 1).
pub const WORD_HANDLER: u8 = 4;

// vdso functions (`nr` of OP_VDSO).
pub const VDSO_CLOCK_GETTIME: u32 = 0;
pub const VDSO_GETTIMEOFDAY: u32 = 1;
pub const VDSO_TIME: u32 = 2;
pub const VDSO_GETCPU: u32 = 3;
pub const VDSO_CLOCK_GETRES: u32 = 4;
pub const VDSO_COUNT: usize = 5;

// Outcome states.
pub const STATE_NOTRUN: u8 = 0;
pub const STATE_DONE: u8 = 1;
/// Still waiting when the block budget ran out.
pub const STATE_BLOCKED: u8 = 2;
/// A resource it uses was never made.
pub const STATE_SKIPPED: u8 = 3;
/// The child died in this call.
pub const STATE_DIED: u8 = 4;
/// No vdso function of that name here.
pub const STATE_ABSENT: u8 = 5;
/// Its task was still waiting in an earlier call, or had ended, when its turn came.
pub const STATE_MISSED: u8 = 6;

/// Outcome flag: four clock readings follow (monotonic before/after, realtime before/after; ns).
pub const OUT_CLOCKS: u8 = 1;

// How a trace ended.
/// Detail is, in its low 8 bits, how often it was stopped (and continued by the agent); above them, one more than the
/// index of the call in which it was first stopped by anything but a checkpoint, or 0.
pub const END_EXITED: u8 = 0;
pub const END_KILLED: u8 = 1;
/// The agent could not set the child up; detail is a negative errno, signal the step.
pub const END_FAILED: u8 = 2;

/// Words of the hello, in this order.
pub mod hello {
    pub const VERSION: usize = 0;
    pub const PID: usize = 1;
    pub const PPID: usize = 2;
    pub const UID: usize = 3;
    pub const EUID: usize = 4;
    pub const GID: usize = 5;
    pub const EGID: usize = 6;
    pub const UMASK: usize = 7;
    pub const PAGE_SIZE: usize = 8;
    /// Bit i: vdso function i was found.
    pub const VDSO: usize = 9;
    /// f_type of the working directory.
    pub const CWD_FS: usize = 10;
    /// Effective capabilities, low and high 32 bits joined.
    pub const CAPS: usize = 11;
    pub const SIGMASK: usize = 12;
    /// 0, or the negative errno of opening a pty pair.
    pub const PTY: usize = 13;
    /// Bits: 1 /proc/self is there, 2 /dev/null is there, 4 a seccomp filter was installed by the agent, 8
    /// (`OUTER`) the agent's controlling terminal is one that was given to it.
    pub const WORLD: usize = 14;
    pub const PERSONALITY: usize = 15;
    /// Then 16 soft and 16 hard limits.
    pub const RLIMITS: usize = 16;
    pub const WORDS: usize = 48;
    /// Bit of `WORLD`.
    pub const OUTER: u64 = 8;
}
/// Bytes of the raw `struct utsname` that follow the hello's words.
pub const UTSNAME: usize = 390;
