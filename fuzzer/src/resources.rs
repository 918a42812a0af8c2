//! What a program has made so far, and who makes what.

use crate::knowledge::removes_path;
use parallax_corpus::desc::{FdKinds, From, Kind, NEED_OUTER, NEED_TTY};
use parallax_corpus::{Arg, Call, CallId, Program, ResRef, Ty, desc};

/// One thing made by a program.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// Where it is made.
    pub at: ResRef,
    /// What it is; never [`Kind::SameAs`].
    pub kind: Kind,
    /// Whether a later call closed it, or took the name away.
    pub closed: bool,
}

impl Resource {
    /// The descriptor kinds it has, 0 if it is no descriptor.
    pub fn fd_kinds(&self) -> FdKinds {
        match self.kind {
            Kind::Fd(kinds) => kinds,
            _ => 0,
        }
    }
}

/// What the first `upto` calls of a program make.
pub fn made(program: &Program, upto: usize) -> Vec<Resource> {
    let mut all: Vec<Resource> = Vec::new();
    for (i, call) in program.calls.iter().enumerate().take(upto) {
        if let Some(gone) = taken_away(call) {
            all.iter_mut().filter(|made| made.at == gone).for_each(|made| made.closed = true);
        }
        for slot in 0..call.id.desc().makes.len() {
            let at = ResRef { call: i as u16, slot: slot as u8 };
            if let Some(kind) = program.kind_of(at) {
                all.push(Resource { at, kind, closed: false });
            }
        }
    }
    all
}

/// What a call closes, deletes or removes.
fn taken_away(call: &Call) -> Option<ResRef> {
    let first = |wanted: fn(&Ty) -> bool| {
        let mut args = call.id.desc().written().zip(&call.args);
        args.find(|((_, described), _)| wanted(&described.ty)).map(|(_, arg)| arg)
    };
    let arg = match call.id.desc().base_name() {
        "close" => first(|ty| matches!(ty, Ty::Fd(_))),
        "timer_delete" => first(|ty| *ty == Ty::Timer),
        "shmctl" | "semctl" | "msgctl" if call.id.name().ends_with("$rmid") => {
            first(|ty| matches!(ty, Ty::Id(_)))
        }
        "munmap" | "shmdt" => first(|ty| *ty == Ty::Page),
        _ if removes_path(call.id) => first(|ty| *ty == Ty::Path),
        _ => None,
    };
    match arg {
        Some(Arg::Res(r)) => Some(*r),
        _ => None,
    }
}

/// Whether descriptors 0 to 2 are a terminal, and 3 is its master unless that is outside.
pub fn has_tty(program: &Program) -> bool {
    program.needs() & (NEED_TTY | NEED_OUTER) != 0
}

/// Whether they are the outside terminal.
pub fn has_outer(program: &Program) -> bool {
    program.needs() & NEED_OUTER != 0
}

/// The kinds of the descriptor an argument names, 0 if it names none.
pub fn fd_kinds_of(program: &Program, arg: &Arg) -> FdKinds {
    match arg {
        Arg::Res(r) => match program.kind_of(*r) {
            Some(Kind::Fd(kinds)) => kinds,
            _ => 0,
        },
        Arg::Int(0..=2) if has_tty(program) => desc::FD_TTY,
        Arg::Int(3) if has_tty(program) && !has_outer(program) => desc::FD_PTM,
        _ => 0,
    }
}

/// Whether the call's argument of index `arg` (among all arguments) names a path the call makes.
pub fn makes_path(id: CallId, arg: usize) -> bool {
    id.desc().makes.iter().any(|made| made.kind == Kind::Path && made.from == From::PathArg(arg as u8))
}
