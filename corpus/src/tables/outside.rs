//! The outside terminal, and what happens to a program from outside: keys, a new window size, somebody's signal.
//! The harness holds the terminal's master, so these are no system calls of the program: they happen at this point.
//! Sources: pty(7), ioctl_tty(2), kill(2), drivers/tty/pty.c, docs/decisions/0013-the-outside-terminal.md.

use crate::args;
use crate::desc::*;
use crate::wire::{OP_RESIZE, OP_SHOWN, OP_SIGNAL, OP_TERMINAL, OP_TYPE};
use Meaning::Exact;

/// What happens at the outside terminal.
const fn event(name: &'static str, op: u8, args: &'static [ArgDesc]) -> Desc {
    Desc::with(name, Op::Agent(op), Area::Tty, args, Exact).needs(NEED_OUTER)
}

/// Cells of a terminal, either way.
const CELLS: Ty = Ty::OneOf(&[0, 1, 24, 50, 80, 132, 65535]);

/// The table. Generation takes these calls by the choice of a terminal, so their weights count among themselves only.
pub const CALLS: &[Desc] = &[
    // Asks for the outside terminal and does nothing: what a program without an event begins with.
    event("outside$terminal", OP_TERMINAL, &[]).weight(1),
    event("outside$type", OP_TYPE, args!["bytes": in_bytes(64), "count": Ty::Len(0)]).settles().weight(6),
    event("outside$shown", OP_SHOWN, args!["buf": out_buf(256), "count": Ty::Len(0)]).weight(3),
    event("outside$resize", OP_RESIZE, args!["rows": CELLS, "cols": CELLS]).weight(3),
    // Not of the terminal, but only beside it is there somebody outside.
    event("outside$signal", OP_SIGNAL, args!["sig": Ty::Signal]).weight(3),
];
