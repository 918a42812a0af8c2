//! What the agent, a program's child and its tasks share: what was written down so far, and whose turn it is. It lies in
//! a shared mapping, so that whatever kills the child loses nothing that came before, and so that forked tasks see it.

use crate::wire::*;
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU8, Ordering::SeqCst};

/// Where the trace buffer is mapped.
pub const TRACE: u64 = 0x2100_0000;
/// Bytes of it that a program's states and results can take before its outcomes.
const HEAD: u64 = 8192;
/// Bytes of the mapping.
pub const TRACE_MAPPED: u64 = HEAD + TRACE_SIZE as u64 + 4096;

/// A task's side of the turn-taking.
#[repr(C)]
pub struct Turn {
    /// It may make its calls with an index below this. Waited on.
    pub limit: AtomicU32,
    /// Counts up when it has come to its limit. Waited on.
    pub idle: AtomicU32,
    /// One more than the index of the call it was left waiting in; 0: it was not.
    pub parked: AtomicU32,
    /// Its thread id, or process id; 0 before it begins.
    pub id: AtomicU32,
    /// It is a forked process (1) that somebody has to wait for.
    pub process: AtomicU32,
    /// It has ended.
    pub ended: AtomicU32,
    /// One more than the index of the last call it began.
    pub at: AtomicU32,
}

/// The start of the trace buffer. All zero before a program.
#[repr(C)]
pub struct Shared {
    /// Outcomes written.
    pub written: AtomicU32,
    /// Bytes they take.
    pub data_len: AtomicU32,
    /// Why the child could not be set up: a negative errno.
    pub failure: AtomicI32,
    /// It made children of its own.
    pub spawned: AtomicU32,
    /// `CLOCK_MONOTONIC` at its start, ns.
    pub start_ns: AtomicI64,
    /// A checkpoint is under way.
    pub stopping: AtomicU32,
    /// Something may still be on its way across a terminal.
    pub stirred: AtomicU32,
    /// Index of the call whose turn it is.
    pub turn: AtomicU32,
    /// Counts calls that returned after they had been left waiting. Waited on.
    pub returned: AtomicU32,
    /// Tasks begun, the first one not counted.
    pub begun: AtomicU32,
    pub turns: [Turn; MAX_TASKS],
}

/// The one there is.
pub fn shared() -> &'static Shared {
    // SAFETY: the trace buffer is mapped for good before anything asks; every field is atomic.
    unsafe { &*(TRACE as *const Shared) }
}

const STATES: u64 = TRACE + 512;
/// A call's outcome is being written.
pub const STATE_CLAIMED: u8 = 0xff;

/// What became of each call, and what it returned: small tables right before the outcomes.
#[derive(Clone, Copy)]
pub struct Table {
    calls: usize,
}

impl Table {
    /// Of a program of so many instructions.
    pub fn of(instrs: u32) -> Table {
        Table { calls: (instrs as usize).min(MAX_INSTRS) }
    }
    /// Where the outcomes begin.
    pub fn data(self) -> u64 {
        self.rets() + 8 * self.calls as u64
    }
    fn rets(self) -> u64 {
        (STATES + self.calls as u64 + 7) & !7
    }
    fn state_at(self, call: usize) -> Option<&'static AtomicU8> {
        // SAFETY: within the table; the buffer is mapped for good.
        (call < self.calls).then(|| unsafe { &*((STATES + call as u64) as *const AtomicU8) })
    }
    fn ret_at(self, call: usize) -> Option<&'static AtomicI64> {
        // SAFETY: within the table, aligned; the buffer is mapped for good.
        (call < self.calls).then(|| unsafe { &*((self.rets() + 8 * call as u64) as *const AtomicI64) })
    }
    /// `STATE_*` of a call.
    pub fn state(self, call: usize) -> u8 {
        self.state_at(call).map_or(STATE_NOTRUN, |s| s.load(SeqCst))
    }
    /// Whether its outcome is written.
    pub fn is_settled(self, call: usize) -> bool {
        !matches!(self.state(call), STATE_NOTRUN | STATE_CLAIMED)
    }
    /// What a call returned.
    pub fn ret(self, call: usize) -> i64 {
        self.ret_at(call).map_or(0, |r| r.load(SeqCst))
    }
    /// Takes the right to write a call's outcome, which only one has.
    pub fn claim(self, call: usize) -> bool {
        match self.state_at(call) {
            Some(state) => state.compare_exchange(STATE_NOTRUN, STATE_CLAIMED, SeqCst, SeqCst).is_ok(),
            None => false,
        }
    }
    /// The outcome is written.
    pub fn settle(self, call: usize, state: u8, ret: i64) {
        if let (Some(s), Some(r)) = (self.state_at(call), self.ret_at(call)) {
            r.store(ret, SeqCst);
            s.store(state, SeqCst);
        }
    }
    /// Forgets the last program.
    pub fn clear(self) {
        // SAFETY: the buffer is mapped, and no child runs. States and what stands before them: all of it is plain
        // data for which zero is the beginning.
        unsafe {
            core::ptr::write_bytes(TRACE as *mut u8, 0, core::mem::size_of::<Shared>());
            core::ptr::write_bytes(STATES as *mut u8, 0, self.calls);
        }
    }
}

const _: () = assert!(core::mem::size_of::<Shared>() <= 512);
const _: () = assert!(512 + MAX_INSTRS as u64 * 9 + 8 <= HEAD);
