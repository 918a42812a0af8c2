//! What a program has made so far, and who makes what.

use parallax_corpus::desc::{FdKinds, From, Kind, NEED_TTY};
use parallax_corpus::{Arg, CallId, Program, ResRef, desc};

/// One thing made by a program.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// Where it is made.
    pub at: ResRef,
    /// What it is; never [`Kind::SameAs`].
    pub kind: Kind,
    /// Whether a later call closed it.
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
        if call.id.desc().base_name() == "close" {
            if let Some(Arg::Res(r)) = call.args.first() {
                all.iter_mut().filter(|made| made.at == *r).for_each(|made| made.closed = true);
            }
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

/// Whether descriptors 0 to 3 are a terminal and its master.
pub fn has_tty(program: &Program) -> bool {
    program.needs() & NEED_TTY != 0
}

/// The kinds of the descriptor an argument names, 0 if it names none.
pub fn fd_kinds_of(program: &Program, arg: &Arg) -> FdKinds {
    match arg {
        Arg::Res(r) => match program.kind_of(*r) {
            Some(Kind::Fd(kinds)) => kinds,
            _ => 0,
        },
        Arg::Int(0..=2) if has_tty(program) => desc::FD_TTY,
        Arg::Int(3) if has_tty(program) => desc::FD_PTM,
        _ => 0,
    }
}

/// Whether the call's argument of index `arg` (among all arguments) names a path the call makes.
pub fn makes_path(id: CallId, arg: usize) -> bool {
    id.desc().makes.iter().any(|made| made.kind == Kind::Path && made.from == From::PathArg(arg as u8))
}

/// Whether the call makes a directory.
pub fn makes_dir(id: CallId) -> bool {
    id.desc().base_name().starts_with("mkdir")
}

/// Whether the call wants a directory where it takes a path.
pub fn wants_dir(id: CallId) -> bool {
    matches!(id.desc().base_name(), "rmdir" | "chdir") || id.name().ends_with("$dir")
}
