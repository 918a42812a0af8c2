//! Shorthands that keep the tables to one entry a call.

use super::*;

/// Shorthand for tables: an argument.
pub const fn arg(name: &'static str, ty: Ty) -> ArgDesc {
    ArgDesc { name, ty }
}
/// Shorthand: a field passed in.
pub const fn sf(name: &'static str, off: u16, size: u8, ty: Ty) -> SField {
    SField { name, off, size, ty }
}
/// Shorthand: a field that comes out.
pub const fn of(name: &'static str, off: u16, size: u16, meaning: Meaning) -> OField {
    OField { name, off, size, meaning }
}
/// Shorthand: the return value is a descriptor of these kinds.
pub const fn made_fd(kinds: FdKinds) -> Made {
    Made { kind: Kind::Fd(kinds), from: From::Ret }
}
/// Shorthand: the 32-bit out field at that offset of argument `arg` is a descriptor of these kinds.
pub const fn made_fd_at(arg: u8, off: u16, kinds: FdKinds) -> Made {
    Made { kind: Kind::Fd(kinds), from: From::Out(arg, off) }
}
/// Shorthand: the return value is a descriptor of the same kind as that written argument.
pub const fn made_same_as(written: u8) -> Made {
    Made { kind: Kind::SameAs(written), from: From::Ret }
}
/// Shorthand: the path argument of that index comes to name something.
pub const fn made_path(arg: u8) -> Made {
    Made { kind: Kind::Path, from: From::PathArg(arg) }
}
/// Shorthand: the return value is of that kind.
pub const fn made_ret(kind: Kind) -> Made {
    Made { kind, from: From::Ret }
}
/// Shorthand: a pointer to an out buffer of up to `max` exact bytes.
pub const fn out_buf(max: u16) -> Ty {
    Ty::Ptr(In::Nothing, Out::Buf(max))
}
/// Shorthand: a pointer to a struct that comes out.
pub const fn out(fields: &'static [OField], size: u16) -> Ty {
    Ty::Ptr(In::Nothing, Out::Fields(fields, size))
}
/// Shorthand: a pointer to up to `max` bytes passed in.
pub const fn in_bytes(max: u16) -> Ty {
    Ty::Ptr(In::Bytes(max), Out::Nothing)
}
/// Shorthand: a pointer to a struct passed in.
pub const fn in_struct(fields: &'static [SField], size: u16) -> Ty {
    Ty::Ptr(In::Struct(fields, size), Out::Nothing)
}

/// Shorthand for tables: a list of arguments, `args!["fd": Ty::Fd(FD_ANY), "count": Ty::Len(1)]`.
#[macro_export]
macro_rules! args {
    ($($name:literal: $ty:expr),* $(,)?) => {{
        const ARGS: &[$crate::desc::ArgDesc] = &[$($crate::desc::arg($name, $ty)),*];
        ARGS
    }};
}
/// Shorthand for tables: what a call makes.
#[macro_export]
macro_rules! makes {
    ($($made:expr),* $(,)?) => {{
        const MAKES: &[$crate::desc::Made] = &[$($made),*];
        MAKES
    }};
}
