//! Runs one program: in a child of its own, instruction by instruction, each outcome written down at once, so
//! that whatever kills the child loses nothing that came before.

use crate::arch;
use crate::outer;
use crate::sys::{exit_group, nr, syscall};
use crate::vdso::Vdso;
use crate::wire::*;
use crate::look;
use crate::point;
use crate::signals::{alarms, on_signal, set_alarm, wipe};
use crate::stop;
use crate::shared::{shared, Table};
use crate::tasks;
use crate::world;
use crate::{take, take_u32, Reply, SPAWN_STACK_TOP};
use core::sync::atomic::Ordering::SeqCst;

/// A program as it lies in the request.
pub struct Program<'a> {
    pub header: ProgHeader,
    pub instrs: &'a [u8],
    pub image: &'a [u8],
    pub vdso: &'a Vdso,
}

impl Program<'_> {
    /// Whether it starts tasks.
    pub fn has_tasks(&self) -> bool {
        self.header.flags & PROG_TASKS != 0
    }
}


/// Lays the program's memory out anew.
pub fn prepare(program: &Program<'_>) {
    // SAFETY: arena and trace buffer are mapped, the image fits (checked on arrival), and no child runs.
    unsafe {
        core::ptr::write_bytes(ARENA as *mut u8, 0, ARENA_START);
        core::ptr::copy_nonoverlapping(
            program.image.as_ptr(),
            (ARENA as *mut u8).add(ARENA_START),
            program.image.len(),
        );
    }
    Table::of(program.header.instrs).clear();
}

/// Whether the last program made children of its own.
pub fn spawned() -> bool {
    shared().spawned.load(SeqCst) != 0
}
/// One more than the index of the call the stopped child is in; 0 if it is a checkpoint, which is to stop.
pub fn stopped_in(program: &Program<'_>) -> i32 {
    let s = shared();
    let at = if program.has_tasks() { &s.turn } else { &s.written };
    if s.stopping.load(SeqCst) != 0 {
        0
    } else {
        at.load(SeqCst).min(MAX_INSTRS as u32) as i32 + 1
    }
}
/// Why the last child could not be set up: a negative errno.
pub fn failure() -> i32 {
    shared().failure.load(SeqCst)
}

/// Bytes of an outcome's header.
const OUTCOME: usize = 16;

/// Appends the last program's trace to the reply; `end` is its end, signal or step, and detail.
pub fn append_trace(program: &Program<'_>, end: (u8, u8, i32), reply: &mut Reply) {
    // The child is gone; what it wrote is ours. A layer with broken memory cannot make us read beyond the trace
    // buffer: lengths are capped.
    let s = shared();
    let table = Table::of(program.header.instrs);
    let data_len = s.data_len.load(SeqCst) as usize;
    let data_len = if data_len > TRACE_SIZE - 128 { 0 } else { data_len };
    let mut seen = [false; MAX_INSTRS];
    let (mut written, data_len) = if program.has_tasks() {
        whole(program.header.instrs as usize, table.data(), data_len, &mut seen)
    } else {
        (s.written.load(SeqCst), data_len)
    };
    let inside = if program.has_tasks() {
        // Behind the call whose turn it is come those that the same task makes in one go.
        let turn = (s.turn.load(SeqCst) as usize).min(MAX_INSTRS);
        (turn..MAX_INSTRS).find(|&call| !seen[call]).unwrap_or(MAX_INSTRS) as u32
    } else {
        written
    };
    let died = end.0 == END_KILLED && !table.is_settled(inside as usize);
    let size = (16 + data_len + if died { OUTCOME } else { 0 }) as u32;
    written += died as u32;
    let mut head = [0u8; 20];
    head[..4].copy_from_slice(&size.to_le_bytes());
    head[4..6].copy_from_slice(&(written as u16).to_le_bytes());
    head[6] = end.0;
    head[7] = end.1;
    head[8..12].copy_from_slice(&end.2.to_le_bytes());
    head[12..20].copy_from_slice(&s.start_ns.load(SeqCst).to_le_bytes());
    reply.put(head.as_ptr(), 20);
    reply.put(table.data() as *const u8, data_len);
    if died {
        let mut outcome = [0u8; OUTCOME];
        outcome[0] = STATE_DIED;
        outcome[4..6].copy_from_slice(&(inside as u16).to_le_bytes());
        reply.put(outcome.as_ptr(), OUTCOME);
    }
}

/// How many outcomes are whole, and the bytes they take: a task that is killed may leave one half written, and with it
/// everything behind it is lost. `seen` is set for the calls they are of.
fn whole(calls: usize, data: u64, data_len: usize, seen: &mut [bool; MAX_INSTRS]) -> (u32, usize) {
    let (mut count, mut at) = (0, 0);
    while at + OUTCOME <= data_len {
        // SAFETY: inside the trace buffer, whose bytes are plain data.
        let head = unsafe { core::slice::from_raw_parts((data as usize + at) as *const u8, OUTCOME) };
        let word = |k: usize| u16::from_le_bytes([head[k], head[k + 1]]) as usize;
        let clocks = if head[1] & OUT_CLOCKS != 0 { 32 } else { 0 };
        let end = at + OUTCOME + clocks + word(2);
        let index = word(4);
        if !(STATE_DONE..=STATE_MISSED).contains(&head[0]) || index >= calls.min(MAX_INSTRS) || seen[index] || end > data_len
        {
            break;
        }
        seen[index] = true;
        count += 1;
        at = end;
    }
    (count, at)
}

/// The child: sets itself up and runs the program.
pub extern "C" fn main(program: u64) -> ! {
    // SAFETY: the agent waits for us and keeps the program where it is (or we have a copy of its memory).
    let program = unsafe { &*(program as *const Program<'_>) };
    let with_outer = program.header.flags & PROG_OUTER != 0;
    if !with_outer {
        outer::leave();
    }
    let (step, error) = point::strip(with_outer);
    if error < 0 {
        shared().failure.store(error as i32, SeqCst);
        exit_group(step);
    }
    if with_outer || program.header.flags & PROG_TTY != 0 {
        let (step, error) = if with_outer { outer::enter() } else { world::open_terminal() };
        if error < 0 {
            shared().failure.store(error as i32, SeqCst);
            exit_group(step);
        }
    } else if program.header.flags & PROG_STD != 0 {
        world::open_null();
    }
    let mut run = Run::new(program, 0);
    shared().start_ns.store(run.now(1), SeqCst);
    if program.has_tasks() && !tasks::coordinate(program) {
        shared().failure.store(-11, SeqCst);
        exit_group(5);
    }
    for _ in 0..program.header.instrs {
        run.step();
    }
    if program.has_tasks() {
        tasks::await_others();
        tasks::clear_up();
    }
    exit_group(0)
}

/// How far a task has come.
pub struct Run<'a> {
    program: &'a Program<'a>,
    table: Table,
    /// Which task it is.
    task: usize,
    at: usize,
    /// Index of the next call (stores are none).
    call: usize,
    /// A store before this call had nothing to store.
    skip: bool,
    blocked: bool,
    /// The terminals' queues have come to rest for the probes.
    settled: bool,
}

impl<'a> Run<'a> {
    /// Task `task` of the program, at its beginning.
    pub fn new(program: &'a Program<'a>, task: usize) -> Run<'a> {
        let table = Table::of(program.header.instrs);
        Run { program, table, task, at: 0, call: 0, skip: false, blocked: false, settled: false }
    }

    /// Performs the next instruction, if it is this task's.
    pub fn step(&mut self) {
        let instrs = self.program.instrs;
        let head = take(instrs, &mut self.at, 4);
        let (op, flags, words, outs) = (head[0], head[1], head[2] as usize, head[3] as usize);
        let number = take_u32(instrs, &mut self.at);
        let kinds = take(instrs, &mut self.at, 8);
        let values = take(instrs, &mut self.at, words * 8);
        let outs = take(instrs, &mut self.at, outs * 4);
        if self.program.has_tasks()
            && (kinds[TASK_AT] as usize != self.task || !tasks::await_turn(self.task, self.call, self.table))
        {
            self.call += (op != OP_STORE) as usize;
            return;
        }
        let mut args = [0u64; 6];
        let mut made = true;
        for (k, word) in values.chunks_exact(8).enumerate().take(6) {
            let mut bytes = [0u8; 8];
            bytes.copy_from_slice(word);
            match self.resolve(kinds[k], u64::from_le_bytes(bytes)) {
                Some(value) => args[k] = value,
                None => made = false,
            }
        }
        if op == OP_STORE {
            if made {
                store(args[0], args[1], args[2]);
            } else {
                self.skip = true;
            }
            return;
        }
        let skip = !made || self.skip;
        self.skip = false;
        if self.blocked && flags & INS_PROBE == 0 {
            return self.outcome(STATE_NOTRUN, 0, None, &[]);
        }
        if skip {
            return self.outcome(STATE_SKIPPED, 0, None, &[]);
        }
        self.perform(op, flags, number, args, outs);
    }

    fn resolve(&self, kind: u8, value: u64) -> Option<u64> {
        Some(match kind {
            WORD_ARENA => ARENA + value,
            WORD_RET => self.result(value as usize)? as u64,
            WORD_MEM32 => {
                self.result(value as usize & 0xffff)?;
                let at = (value >> 16).min(ARENA_SIZE as u64 - 4);
                // SAFETY: inside the arena.
                unsafe { ((ARENA + at) as *const i32).read_unaligned() as i64 as u64 }
            }
            WORD_HANDLER if value == 0 => on_signal as *const () as u64,
            WORD_HANDLER => arch::restorer(),
            _ => value,
        })
    }
    /// What an earlier call returned, if it made something.
    fn result(&self, call: usize) -> Option<i64> {
        let ret = self.table.ret(call);
        (call < self.call && self.table.state(call) == STATE_DONE && !is_error(ret)).then_some(ret)
    }

    fn perform(&mut self, op: u8, flags: u8, number: u32, args: [u64; 6], outs: &[u8]) {
        let before = if flags & INS_CLOCKS != 0 { Some((self.now(1), self.now(0))) } else { None };
        if flags & INS_PROBE != 0 && !self.settled {
            self.settled = true;
            if shared().stirred.load(SeqCst) != 0 {
                world::settle_for_good(self.program.vdso);
            }
        }
        let rewinds = flags & INS_REWIND != 0;
        if rewinds {
            syscall(nr::LSEEK, [args[0], 0, 0, 0, 0, 0]);
        }
        // Where there are tasks the coordinator has the time, and no other alarm comes.
        let blocks = flags & INS_BLOCKS != 0;
        let alarmed = blocks && !self.program.has_tasks();
        if alarmed {
            set_alarm(self.program.header.block_us as u64);
        }
        let mut state = STATE_DONE;
        let ret = match op {
            OP_SYSCALL => syscall(number as u64, args),
            OP_VDSO => match self.program.vdso.call(number as usize, args) {
                Some(ret) => ret,
                None => {
                    state = STATE_ABSENT;
                    0
                }
            },
            OP_SPIN => {
                arch::spin(args[0]);
                0
            }
            OP_SPAWN => spawn(args[0], args[1]),
            OP_STOP => stop::stop(args[0], self.program.has_tasks()),
            OP_PEEK => {
                // SAFETY: the destination is the program's own out buffer.
                unsafe {
                    core::ptr::copy_nonoverlapping(ARENA as *const u8, args[0] as *mut u8, SIGNAL_LOG);
                }
                0
            }
            OP_POKE => touch(args[0], args[2], Some(args[1] as u8)),
            OP_LOAD => touch(args[0], 1, None),
            OP_WINDOW => look::window(args[0]),
            OP_TREE => look::tree(args[0]),
            OP_THREAD => tasks::start(self.program, false),
            OP_FORK => tasks::start(self.program, true),
            OP_EXIT if self.task == 0 => -22,
            OP_EXIT => {
                self.outcome(STATE_DONE, 0, None, &[]);
                tasks::end(self.task, args[0]);
            }
            OP_TERMINAL..=OP_SIGNAL => outer::perform(op, args),
            _ => -38,
        };
        if rewinds {
            // How far it came is nobody's promise either: texts name pids.
            syscall(nr::LSEEK, [args[0], 0, 0, 0, 0, 0]);
        }
        if alarmed {
            set_alarm(0);
        }
        if blocks && self.task == 0 && ret == -4 && alarms() > 0 {
            state = STATE_BLOCKED;
            self.blocked = true;
        }
        if self.program.has_tasks() {
            tasks::let_others(self.program, op, number);
        }
        wipe();
        let clocks = before.map(|(mono, real)| [mono, self.now(1), real, self.now(0)]);
        if flags & INS_SETTLE != 0 {
            shared().stirred.store(1, SeqCst);
            world::settle(self.program.vdso, self.program.header.flags & PROG_FAR != 0);
        }
        self.outcome(state, ret, clocks, if state == STATE_DONE && !is_error(ret) { outs } else { &[] });
    }

    /// Writes an outcome down.
    fn outcome(&mut self, state: u8, ret: i64, clocks: Option<[i64; 4]>, outs: &[u8]) {
        let tasks = self.program.has_tasks();
        let woken = if tasks { tasks::returned(self.task, self.call) } else { 0 };
        if self.table.claim(self.call) {
            let shown = if state == STATE_BLOCKED { 0 } else { woken };
            write_outcome(self.table, self.call, (state, ret), shown, clocks, outs);
        }
        if tasks {
            tasks::written(self.task, woken);
        }
        self.call += 1;
    }

    /// A clock's reading in nanoseconds.
    fn now(&self, clock: u64) -> i64 {
        self.program.vdso.now(clock)
    }
}

/// Writes the outcome of a call down: state and return value, what woke it, clocks, and places of its outputs. Only who
/// has claimed the call does.
pub fn write_outcome(
    table: Table,
    call: usize,
    (state, ret): (u8, i64),
    woken: u16,
    clocks: Option<[i64; 4]>,
    outs: &[u8],
) {
    let s = shared();
    let out_len: usize = outs.chunks_exact(4).map(|o| u16::from_le_bytes([o[2], o[3]]) as usize).sum();
    let len = OUTCOME + if clocks.is_some() { 32 } else { 0 } + out_len;
    let at = s.data_len.fetch_add(len as u32, SeqCst) as usize;
    // The host sums lengths up before it sends a program (`compile`); this stops what would not fit all the same.
    if at + len > TRACE_SIZE - 128 {
        exit_group(77);
    }
    let base = (table.data() as usize + at) as *mut u8;
    // SAFETY: the trace buffer is shared memory with room for it, just checked, and these bytes of it are ours.
    unsafe {
        base.write(state);
        base.add(1).write(if clocks.is_some() { OUT_CLOCKS } else { 0 });
        (base.add(2) as *mut u16).write_unaligned(out_len as u16);
        (base.add(4) as *mut u16).write_unaligned(call as u16);
        (base.add(6) as *mut u16).write_unaligned(woken);
        (base.add(8) as *mut i64).write_unaligned(ret);
        let mut len = OUTCOME;
        for clock in clocks.iter().flatten() {
            (base.add(len) as *mut i64).write_unaligned(*clock);
            len += 8;
        }
        for o in outs.chunks_exact(4) {
            let (off, n) = (u16::from_le_bytes([o[0], o[1]]) as u64, u16::from_le_bytes([o[2], o[3]]) as usize);
            if off as usize + n <= ARENA_SIZE {
                core::ptr::copy_nonoverlapping((ARENA + off) as *const u8, base.add(len), n);
            }
            len += n;
        }
    }
    s.written.fetch_add(1, SeqCst);
    table.settle(call, state, ret);
}

fn is_error(ret: i64) -> bool {
    (-4095..0).contains(&ret)
}

fn store(value: u64, at: u64, size: u64) {
    if at + size > ARENA_SIZE as u64 {
        return;
    }
    let place = (ARENA + at) as *mut u8;
    // SAFETY: inside the arena, just checked.
    unsafe {
        match size {
            1 => place.write(value as u8),
            2 => (place as *mut u16).write_unaligned(value as u16),
            4 => (place as *mut u32).write_unaligned(value as u32),
            _ => (place as *mut u64).write_unaligned(value),
        }
    }
}

/// A child of the program's: spins, then exits; we wait in `vfork` until it has, so that it can be waited for.
fn spawn(iterations: u64, code: u64) -> i64 {
    shared().spawned.store(1, SeqCst);
    let job = [iterations, code];
    // CLONE_VM | CLONE_VFORK | SIGCHLD
    let pid = arch::clone_call(0x100 | 0x4000 | 17, SPAWN_STACK_TOP, spawned_main, job.as_ptr() as u64);
    if pid > 0 {
        // vfork lets us go before the child can be waited for. Wait until it can be, without waiting for it:
        // P_PID, WEXITED | WNOWAIT. A handler of SIGCHLD may interrupt us.
        while syscall(nr::WAITID, [1, pid as u64, 0, 4 | 0x0100_0000, 0, 0]) == -4 {}
    }
    pid
}
extern "C" fn spawned_main(job: u64) -> ! {
    // SAFETY: the parent waits in vfork and keeps the words (or we have a copy).
    let [iterations, code] = unsafe { *(job as *const [u64; 2]) };
    arch::spin(iterations);
    exit_group(code)
}

/// Writes or reads bytes inside the window only; the program's own faults are its outcome.
fn touch(at: u64, len: u64, byte: Option<u8>) -> i64 {
    let inside = at >= WINDOW && at.saturating_add(len) <= WINDOW + WINDOW_SIZE;
    if !inside {
        return -14;
    }
    let mut last = 0;
    for k in 0..len.max(1) {
        let place = (at + k) as *mut u8;
        // SAFETY: inside the window, where nothing but the program's own pages can be.
        unsafe {
            match byte {
                Some(byte) => place.write_volatile(byte),
                None => last = place.read_volatile() as i64,
            }
        }
    }
    last
}
