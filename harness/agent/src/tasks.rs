//! Programs of several tasks. The calls of a program have an order, whichever task makes them: a coordinator lets each
//! call begin when the one before it has returned. A call that waits is left waiting when its time is up, and the order
//! goes on without its task, so that another task can wake it; where it returns is part of its outcome.
//!
//! The coordinator is a thread of the program's process in which all signals are blocked. It makes no call of the
//! program, and it is gone before the probes.

use crate::arch;
use crate::child::{Program, Run};
use crate::signals::SIGALRM;
use crate::shared::{shared, Table, Turn};
use crate::sys::{close, fcntl, mask, nr, sleep, syscall, F_SETOWN, SIG_SETMASK};
use crate::wire::*;
use crate::{take, take_u32};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Below this the stacks of tasks and coordinator end, one above the other.
const STACKS: u64 = 0x2500_0000;
const STACK_SIZE: u64 = 32 << 10;
/// Bytes of all of them: one for each task and the coordinator (the first task's stays empty).
pub const STACKS_SIZE: u64 = STACK_SIZE * (MAX_TASKS as u64 + 1);
/// Where they are mapped.
pub const STACKS_AT: u64 = STACKS;

/// CLONE_VM | FS | FILES | SIGHAND | THREAD | SYSVSEM: what every layer takes for a thread.
const THREAD: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;
const SIGCHLD: u64 = 17;
const SIGKILL: u64 = 9;

/// A limit above every call.
const NO_LIMIT: u32 = u32::MAX;

fn stack_top(k: usize) -> u64 {
    STACKS + STACK_SIZE * (k as u64 + 1)
}

/// What a new task or the coordinator is told.
struct Start<'a> {
    program: &'a Program<'a>,
    task: usize,
}

/// Starts the coordinator. False if there can be none.
pub fn coordinate(program: &Program<'_>) -> bool {
    shared().turns[0].id.store(syscall(nr::GETTID, [0; 6]) as u32, SeqCst);
    let before = mask(SIG_SETMASK, u64::MAX);
    let pid = arch::clone_call(THREAD, stack_top(0), coordinator, program as *const Program<'_> as u64);
    mask(SIG_SETMASK, before);
    pid > 0
}

/// The other tasks that are processes, and may still run.
fn processes() -> impl Iterator<Item = (usize, u64)> {
    let own = syscall(nr::GETPID, [0; 6]) as u64;
    shared().turns.iter().enumerate().skip(1).filter_map(move |(task, turn)| {
        let id = turn.id.load(SeqCst) as u64;
        let runs = turn.process.load(SeqCst) != 0 && turn.ended.load(SeqCst) == 0;
        (runs && id != 0 && id != own).then_some((task, id))
    })
}

/// Stops the tasks that are processes of their own, and waits a moment until they have stopped.
pub fn halt_processes() {
    const SIGSTOP: u64 = 19;
    const LOOKS: u32 = 100;
    for (_, id) in processes() {
        syscall(nr::KILL, [id, SIGSTOP, 0, 0, 0, 0]);
        for _ in 0..LOOKS {
            // P_PID, WSTOPPED | WNOHANG | WNOWAIT; struct siginfo's si_pid is 0 where nothing is to be told. Another
            // task's child is none of ours to wait for.
            let mut info = [0u32; 32];
            let r = syscall(nr::WAITID, [1, id, info.as_mut_ptr() as u64, 2 | 1 | 0x0100_0000, 0, 0]);
            if r == 0 && info[4] != 0 {
                break;
            }
            sleep(20_000);
        }
    }
}

/// Has them go on.
pub fn continue_processes() {
    const SIGCONT: u64 = 18;
    for (_, id) in processes() {
        syscall(nr::KILL, [id, SIGCONT, 0, 0, 0, 0]);
    }
}

/// Starts the next task; gives its id or a negative errno.
pub fn start(program: &Program<'_>, process: bool) -> i64 {
    let s = shared();
    let task = s.begun.load(SeqCst) as usize + 1;
    if task >= MAX_TASKS {
        return -11;
    }
    let turn = &s.turns[task];
    turn.process.store(process as u32, SeqCst);
    // It starts when it has looked at this, which therefore outlives us: it lies on the new stack.
    let top = stack_top(task) - 64;
    // SAFETY: the task's own stack, which nobody uses yet; the program stays where it is until all tasks are gone.
    unsafe { (top as *mut Start<'_>).write(Start { program, task }) };
    let id = arch::clone_call(if process { SIGCHLD } else { THREAD }, top, worker, top);
    if id > 0 {
        turn.id.store(id as u32, SeqCst);
        s.begun.store(task as u32, SeqCst);
    } else {
        turn.process.store(0, SeqCst);
    }
    id
}

/// A task: makes its calls, each when it may.
extern "C" fn worker(start: u64) -> ! {
    // SAFETY: written by `start` before we began, on our own stack.
    let Start { program, task } = unsafe { (start as *const Start<'_>).read() };
    let mut run = Run::new(program, task);
    for _ in 0..program.header.instrs {
        run.step();
    }
    // It stays until the program ends, since when a task is gone is nobody's promise.
    let turn = &shared().turns[task];
    ring(&turn.idle);
    loop {
        wait(&turn.limit, turn.limit.load(SeqCst), None);
    }
}

/// Ends a task, by `task$exit`.
pub fn end(task: usize, code: u64) -> ! {
    let turn = &shared().turns[task];
    turn.ended.store(1, SeqCst);
    ring(&turn.idle);
    let call = if turn.process.load(SeqCst) != 0 { nr::EXIT_GROUP } else { nr::EXIT };
    loop {
        syscall(call, [code, 0, 0, 0, 0, 0]);
    }
}

/// Waits until a task's call may begin. False if its turn has passed.
pub fn await_turn(task: usize, call: usize, table: Table) -> bool {
    let turn = &shared().turns[task];
    let mut told = false;
    loop {
        let limit = turn.limit.load(SeqCst);
        if table.is_settled(call) {
            return false;
        }
        if limit as usize > call {
            turn.at.store(call as u32 + 1, SeqCst);
            shared().turn.store(call as u32, SeqCst);
            return true;
        }
        if !told {
            told = true;
            ring(&turn.idle);
        }
        wait(&turn.limit, limit, None);
    }
}

/// The first task has no more to do: waits until the others have come to their end.
pub fn await_others() {
    let turn = &shared().turns[0];
    ring(&turn.idle);
    loop {
        let limit = turn.limit.load(SeqCst);
        if limit == NO_LIMIT {
            return;
        }
        wait(&turn.limit, limit, None);
    }
}

/// After a call that sends a signal: gives the other tasks time to handle it. When they do is chance otherwise.
pub fn let_others(program: &Program<'_>, op: u8, number: u32) {
    const SENDERS: [u64; 6] =
        [nr::KILL, nr::TKILL, nr::TGKILL, nr::RT_SIGQUEUEINFO, nr::RT_TGSIGQUEUEINFO, nr::PIDFD_SEND_SIGNAL];
    if op == OP_SIGNAL || op == OP_SYSCALL && SENDERS.contains(&(number as u64)) {
        sleep(program.header.block_us as u64 * 1000 / 20);
    }
}

/// Says that a call has returned; gives what to write down as *woken*.
pub fn returned(task: usize, call: usize) -> u16 {
    let s = shared();
    if s.turns[task].parked.load(SeqCst) as usize == call + 1 {
        (s.turn.load(SeqCst) + 1) as u16
    } else {
        0
    }
}
/// After its outcome was written.
pub fn written(task: usize, woken: u16) {
    let s = shared();
    if woken != 0 {
        s.turns[task].parked.store(0, SeqCst);
        ring(&s.returned);
    }
}

/// After the probes: no process of the program's outlives it.
pub fn clear_up() {
    kill_left(|turn, pid| {
        // It may have been waited for already: then there is nothing to wait for.
        while syscall(nr::WAIT4, [pid, 0, 0, 0, 0, 0]) == -4 {}
        turn.id.store(0, SeqCst);
    });
}
/// Kills the forked tasks that are left, and then does something about each. The agent does it too, for a child that
/// died first.
pub fn kill_left(then: impl Fn(&Turn, u64)) {
    for turn in &shared().turns[1..] {
        let pid = turn.id.load(SeqCst) as u64;
        if pid != 0 && turn.process.load(SeqCst) != 0 {
            syscall(nr::KILL, [pid, SIGKILL, 0, 0, 0, 0]);
            then(turn, pid);
        }
    }
}

fn ring(word: &AtomicU32) {
    word.fetch_add(1, SeqCst);
    wake(word);
}
fn wake(word: &AtomicU32) {
    const FUTEX_WAKE: u64 = 1;
    syscall(nr::FUTEX, [word.as_ptr() as u64, FUTEX_WAKE, i32::MAX as u64, 0, 0, 0]);
}
/// Waits while the word has that value, at most so many nanoseconds. False if that time is up.
fn wait(word: &AtomicU32, value: u32, ns: Option<u64>) -> bool {
    const FUTEX_WAIT: u64 = 0;
    const ETIMEDOUT: i64 = 110;
    let time = [ns.unwrap_or(0) / 1_000_000_000, ns.unwrap_or(0) % 1_000_000_000];
    let at = if ns.is_some() { time.as_ptr() as u64 } else { 0 };
    syscall(nr::FUTEX, [word.as_ptr() as u64, FUTEX_WAIT, value as u64, at, 0, 0]) != -ETIMEDOUT
}

/// What the coordinator knows of the program.
struct Plan<'a> {
    program: &'a Program<'a>,
    table: Table,
    /// The program's own calls.
    own: usize,
    /// Task of each call, with `BLOCKS` where it may wait without end.
    tasks: [u8; MAX_INSTRS],
    /// For each task one more than the index of the call it is waiting in.
    parked: [usize; MAX_TASKS],
    block_ns: u64,
}
const BLOCKS: u8 = 0x80;

extern "C" fn coordinator(program: u64) -> ! {
    // SAFETY: the child that started us keeps the program where it is.
    let program = unsafe { &*(program as *const Program<'_>) };
    let mut plan = Plan {
        program,
        table: Table::of(program.header.instrs),
        own: 0,
        tasks: [0; MAX_INSTRS],
        parked: [0; MAX_TASKS],
        block_ns: program.header.block_us as u64 * 1000,
    };
    plan.read();
    plan.conduct();
    plan.finish();
    // On to the probes.
    let first = &shared().turns[0];
    first.limit.store(NO_LIMIT, SeqCst);
    wake(&first.limit);
    loop {
        syscall(nr::EXIT, [0; 6]);
    }
}

/// Waits until the number of a thread that is gone names nobody any more. Linux takes the thread out of the process first
/// and frees its number later (release_task in kernel/exit.c), and what looks numbers up alone sees that: F_SETOWN.
fn forgotten(id: u64) {
    let file = syscall(nr::EVENTFD2, [0; 6]);
    for _ in 0..100 {
        if fcntl(file as i32, F_SETOWN, id) < 0 {
            break;
        }
        sleep(20_000);
    }
    close(file);
}

impl Plan<'_> {
    /// Which task makes which call.
    fn read(&mut self) {
        let instrs = self.program.instrs;
        let mut at = 0;
        let mut call = 0;
        for _ in 0..self.program.header.instrs {
            let head = take(instrs, &mut at, 4);
            let (op, flags, words, outs) = (head[0], head[1], head[2] as usize, head[3] as usize);
            take_u32(instrs, &mut at);
            let task = take(instrs, &mut at, 8)[TASK_AT];
            take(instrs, &mut at, words * 8 + outs * 4);
            if op == OP_STORE || call >= MAX_INSTRS {
                continue;
            }
            let blocks = if flags & INS_BLOCKS != 0 { BLOCKS } else { 0 };
            self.tasks[call] = (task as usize).min(MAX_TASKS - 1) as u8 | blocks;
            if flags & INS_PROBE == 0 {
                self.own = call + 1;
            }
            call += 1;
        }
    }
    fn task(&self, call: usize) -> usize {
        (self.tasks[call] & !BLOCKS) as usize
    }

    /// Lets each call begin in its turn.
    fn conduct(&mut self) {
        let s = shared();
        let mut call = 0;
        while call < self.own {
            let task = self.task(call);
            s.turn.store(call as u32, SeqCst);
            self.look();
            if self.parked[task] != 0 || !self.lives(task) {
                self.write(call, STATE_MISSED);
                call += 1;
                continue;
            }
            // As many as follow each other in one task go in one go, unless one may be woken by any of them.
            let mut last = call;
            if self.parked == [0; MAX_TASKS] {
                while last + 1 < self.own && self.task(last + 1) == task {
                    last += 1;
                }
            }
            call = self.grant(task, call, last);
            self.let_return(self.block_ns / 10);
        }
    }

    /// Whether a task has begun and not ended.
    fn lives(&self, task: usize) -> bool {
        let s = shared();
        task <= s.begun.load(SeqCst) as usize && s.turns[task].ended.load(SeqCst) == 0 && !self.died(task)
    }
    /// Whether a forked task is dead; it stays to be waited for.
    fn died(&self, task: usize) -> bool {
        let turn = &shared().turns[task];
        // P_PID, WEXITED | WNOHANG | WNOWAIT; struct siginfo's si_pid is 0 where nothing is to be told.
        let mut info = [0u32; 32];
        let pid = turn.id.load(SeqCst) as u64;
        if turn.process.load(SeqCst) == 0 {
            return false;
        }
        // An error says that it was waited for already.
        let r = syscall(nr::WAITID, [1, pid, info.as_mut_ptr() as u64, 4 | 1 | 0x0100_0000, 0, 0]);
        r != 0 || info[4] != 0
    }

    /// Waits until a task that ends itself is gone for the others too.
    fn see_off(&self, task: usize) {
        let turn = &shared().turns[task];
        let pid = syscall(nr::GETPID, [0; 6]) as u64;
        let id = turn.id.load(SeqCst) as u64;
        let process = turn.process.load(SeqCst) != 0;
        for _ in 0..1000 {
            let gone = if process { self.died(task) } else { syscall(nr::TGKILL, [pid, id, 0, 0, 0, 0]) != 0 };
            if gone {
                break;
            }
            sleep(20_000);
        }
        if !process {
            forgotten(id);
        }
    }

    /// Lets a task make its calls from `first` to `last`; gives the index of the next one to be made.
    fn grant(&mut self, task: usize, first: usize, last: usize) -> usize {
        let turn = &shared().turns[task];
        turn.limit.store(last as u32 + 1, SeqCst);
        wake(&turn.limit);
        let mut seen = first;
        let mut current = first;
        loop {
            let idle = turn.idle.load(SeqCst);
            current = self.unsettled(current, last);
            if turn.ended.load(SeqCst) != 0 {
                self.see_off(task);
                return current;
            }
            if current > last {
                return last + 1;
            }
            if wait(&turn.idle, idle, Some(self.block_ns)) {
                continue;
            }
            if self.died(task) {
                // It may have come further meanwhile.
                current = self.unsettled(current, last);
                if current > last {
                    return current;
                }
                // Killed by another one, it may be gone before its turn comes, or just after: it makes no difference.
                let began = turn.at.load(SeqCst) == current as u32 + 1;
                self.write(current, if began { STATE_DIED } else { STATE_MISSED });
                turn.ended.store(1, SeqCst);
                return current + 1;
            }
            // Still in the same call as a whole block time ago.
            if current == seen && self.tasks[current] & BLOCKS != 0 && !self.table.is_settled(current) {
                turn.limit.store(current as u32 + 1, SeqCst);
                turn.parked.store(current as u32 + 1, SeqCst);
                if !self.table.is_settled(current) {
                    self.parked[task] = current + 1;
                    return current + 1;
                }
                turn.parked.store(0, SeqCst);
                return current + 1;
            }
            seen = current;
        }
    }

    /// The first call from `from` on that has no outcome yet, one behind `last` if all have.
    fn unsettled(&self, from: usize, last: usize) -> usize {
        (from..=last).find(|&call| !self.table.is_settled(call)).unwrap_or(last + 1)
    }

    /// Which of those that wait have returned.
    fn look(&mut self) {
        for parked in &mut self.parked {
            if *parked != 0 && self.table.is_settled(*parked - 1) {
                *parked = 0;
            }
        }
    }

    /// Gives those that wait time to return, if the last call let them.
    fn let_return(&mut self, ns: u64) {
        let s = shared();
        loop {
            let returned = s.returned.load(SeqCst);
            self.look();
            if self.parked == [0; MAX_TASKS] || !wait(&s.returned, returned, Some(ns)) {
                self.look();
                return;
            }
        }
    }

    /// Brings all calls to an outcome.
    fn finish(&mut self) {
        self.let_return(self.block_ns);
        for task in (0..MAX_TASKS).rev() {
            let Some(call) = self.parked[task].checked_sub(1) else { continue };
            if task != 0 {
                self.write(call, STATE_BLOCKED);
            } else {
                self.interrupt(call);
            }
        }
    }

    /// Makes the first task's call return: it has probes to make. It knows the alarm for what it is.
    fn interrupt(&self, call: usize) {
        let s = shared();
        let pid = syscall(nr::GETPID, [0; 6]) as u64;
        let main = s.turns[0].id.load(SeqCst) as u64;
        while !self.table.is_settled(call) {
            let returned = s.returned.load(SeqCst);
            syscall(nr::TGKILL, [pid, main, SIGALRM, 0, 0, 0]);
            wait(&s.returned, returned, Some(1_000_000));
        }
    }

    /// The outcome of a call that its task does not write.
    fn write(&self, call: usize, state: u8) {
        if self.table.claim(call) {
            return crate::child::write_outcome(self.table, call, (state, 0), 0, None, &[]);
        }
        // It is just being written: nothing may end before it is whole. Who writes it may have been killed, though.
        for _ in 0..1000 {
            if self.table.is_settled(call) {
                return;
            }
            sleep(20_000);
        }
    }
}
