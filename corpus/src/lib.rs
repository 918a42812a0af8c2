//! Parallax's language: what a program of system calls *is*, and what each call's outputs *mean*.
//!
//! Here live programs, calls, arguments and resources ([`program`]), the description tables that type
//! them ([`desc`], [`tables`]), the compiler to the agent's flat instruction lists ([`mod@compile`], [`wire`]),
//! which Linux release a call needs ([`since`]), what makes a program well formed ([`check`]), traces ([`trace`]), the two written forms ([`text`], [`pack`]),
//! and the kernel's names for numbers ([`names`]).
//! Nothing here runs a call, opens a file or knows a target.

pub mod check;
pub mod compile;
pub mod consts;
pub mod desc;
pub mod names;
pub mod pack;
mod probes;
pub mod program;
mod questions;
pub mod seeds;
pub mod since;
pub mod strace;
pub mod tables;
pub mod tasks;
pub mod text;
pub mod trace;
#[allow(dead_code, missing_docs)]
pub mod wire;

pub use compile::{Code, CompileError, compile};
pub use desc::{Area, ArgDesc, Desc, Meaning, Ty};
pub use program::{Arg, Call, CallId, Program, ProgramError, ResRef};
pub use trace::{Clocks, End, Outcome, State, Trace};
