//! Questions about programs that decide how they are run.

use crate::desc::{self, In, Kind, SField, Ty};
use crate::program::{Arg, Call, Program};
use crate::wire;

/// Whether the program may stop itself, so that its parent must be there to continue it: it sends a signal that
/// stops, types `^Z` at a terminal, or says which keys of a terminal mean what. Linux lets an orphaned process group
/// ignore all of them but `SIGSTOP` (setpgid(2)), and takes a key of no value for none (termios(3)); a layer may not.
pub(crate) fn may_stop(program: &Program) -> bool {
    const SUSPEND: u8 = 0x1a;
    fn types(value: &Arg) -> bool {
        match value {
            Arg::Bytes(bytes) => bytes.contains(&SUSPEND),
            Arg::Group(parts) => parts.iter().any(types),
            _ => false,
        }
    }
    let tty = program.needs() & desc::NEED_TTY != 0;
    program.calls.iter().any(|c| {
        let typed = c.id.desc().written().zip(&c.args).any(|((_, a), v)| {
            // SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU
            let sends = a.ty == Ty::Signal && matches!(v, Arg::Int(19..=22));
            sends || tty && types(v)
        });
        typed || sets_keys(c)
    })
}

/// Whether a call says which keys of a terminal mean what.
fn sets_keys(call: &Call) -> bool {
    call.id.desc().args.iter().any(|a| match a.ty {
        Ty::Ptr(In::Struct(fields, _), _) => fields.iter().any(|f| f.name == "vintr"),
        _ => false,
    })
}

/// Whether a call names one of the descriptors 0 to 2 by its number.
pub(crate) fn names_standard_fd(call: &Call) -> bool {
    let named = |ty: Ty, value: &Arg| matches!((ty, value), (Ty::Fd(_), Arg::Int(0..=2)));
    let in_struct = |fields: &[SField], parts: &[Arg]| fields.iter().zip(parts).any(|(f, v)| named(f.ty, v));
    call.id.desc().written().zip(&call.args).any(|((_, a), value)| match (a.ty, value) {
        (Ty::Ptr(In::Struct(fields, _), _), Arg::Group(parts)) => in_struct(fields, parts),
        (Ty::Ptr(In::Array(fields, ..), _), Arg::Group(elements)) => {
            elements.iter().any(|e| matches!(e, Arg::Group(parts) if in_struct(fields, parts)))
        }
        (ty, value) => named(ty, value),
    })
}

/// Whether a call that may wait without end was given a timeout, so that it will not: then lateness is no outcome.
/// A wrong one is none, since a layer may take it for a second.
pub(crate) fn has_timeout(call: &Call) -> bool {
    call.id.desc().written().zip(&call.args).any(|((_, a), value)| match (a.ty, value) {
        (Ty::OneOf(_), Arg::Int(ms)) => a.name == "timeout" && (*ms as i32) >= 0,
        (Ty::Ptr(In::Struct(fields, _), _), Arg::Group(values)) => {
            fields.iter().all(|f| f.name.starts_with("tv_"))
                && values.iter().all(|v| matches!(v, Arg::Int(n) if *n < 1_000_000_000))
        }
        _ => false,
    })
}

/// Whether a text of the kernel's may come into the program byte by byte: read, or moved elsewhere, by a call that does not
/// know its lines. Then nobody promises what any bytes are that it reads.
pub(crate) fn takes_text_raw(program: &Program) -> bool {
    let is_text = |kind: Option<Kind>| matches!(kind, Some(Kind::Fd(kinds)) if kinds & desc::FD_PROC != 0);
    let opens_text =
        program.calls.iter().any(|c| c.id.desc().makes.iter().any(|made| is_text(Some(made.kind))));
    opens_text
        && program.calls.iter().any(|call| {
            let desc = call.id.desc();
            let knows = desc.args.iter().any(|a| matches!(a.ty, Ty::Ptr(_, desc::Out::Lines(..))));
            let asks =
                matches!(desc.base_name(), "fcntl" | "close" | "lseek" | "fstat" | "dup" | "dup2" | "dup3");
            let given = desc.written().zip(&call.args).filter(|((_, a), _)| matches!(a.ty, Ty::Fd(_)));
            !knows
                && !asks
                && given.into_iter().any(|(_, value)| match value {
                    Arg::Res(r) => is_text(program.kind_of(*r)),
                    Arg::Int(n) => (3..wire::FD_IN as u64).contains(n),
                    _ => false,
                })
        })
}

/// Whether a terminal of the program's has another side that it may not hold: the outside one, or a new master, whose slave
/// is opened only on demand.
pub(crate) fn has_far_terminal(program: &Program) -> bool {
    let master = |kind: Kind| matches!(kind, Kind::Fd(kinds) if kinds & desc::FD_PTM != 0);
    program.needs() & desc::NEED_OUTER != 0
        || program.calls.iter().any(|call| call.id.desc().makes.iter().any(|made| master(made.kind)))
}

/// Whether the program makes a FIFO: opening one waits for the other side (fifo(7)).
pub(crate) fn makes_fifo(program: &Program) -> bool {
    program.calls.iter().any(|c| c.id.desc().base_name().starts_with("mknod"))
}

/// Whether a call opens a path, whatever is there.
pub(crate) fn opens(call: &Call) -> bool {
    let desc = call.id.desc();
    matches!(desc.base_name(), "open" | "openat" | "openat2" | "creat")
        && desc.args.iter().any(|a| a.ty == Ty::Path)
}
