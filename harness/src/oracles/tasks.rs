//! How many tasks a program had at a call: what CPU time may be used by, and whose children there may be.

use parallax_corpus::Code;
use parallax_corpus::desc::{NEED_TASK, Op};
use parallax_corpus::wire::{OP_FORK, OP_SIGNAL, OP_SPAWN, OP_THREAD};

/// Threads whose time counts as the program's at that call: the first one and all that calls before it made. The
/// agent's coordinator only ever waits, and a process has its own account.
///
/// **Hook**: another way to make a thread is to be added here.
pub fn before(code: &Code, call: usize) -> usize {
    1 + code.calls.iter().take(call).filter(|c| c.id.desc().op == Op::Agent(OP_THREAD)).count()
}

/// Whether calls up to that one made a process whose time could be counted as a child's.
pub fn children_before(code: &Code, call: usize) -> bool {
    code.calls
        .iter()
        .take(call + 1)
        .any(|c| matches!(c.id.desc().op, Op::Agent(OP_SPAWN | OP_FORK | OP_SIGNAL)))
}

/// Whether the program starts tasks at all.
pub fn are_in(code: &Code) -> bool {
    code.calls.iter().any(|c| c.id.desc().needs & NEED_TASK != 0)
}
