//! The text form of programs: what people read in reports, write by hand and keep in version control.
//!
//! One call a line, `#` begins a comment:
//!
//! ```text
//! r0 = openat$tty(O_RDWR|O_NONBLOCK)
//! ioctl$tcflsh(r0, TCIOFLUSH)
//! write$keys(3, "ls\r\x03")
//! read$tty(r0, out[64])              # r0 is what the first call made
//! ```
//!
//! - Only written arguments stand there: constants and computed lengths are the description's.
//! - `rN =` labels what a call makes, `r0, r1 =` where it makes several, `_` where one of them is of no interest.
//!   Written text labels only what is used later.
//! - Words: names of the argument's own set joined by `|`; decimal, `0x` and `0o` numbers; `AT_FDCWD`, `NO_PID`,
//!   `PAGE0`, `SIGINT`, `SIG_IGN`, `{SIGINT SIGTERM}`, and `~{SIGINT}` for all other signals.
//! - What pointers point at: `"bytes"` with `\n \r \t \\ \" \xNN`; `out` and `out[64]` for buffers to fill;
//!   `{a, b}` for a struct, `[x, y]` for an array; a number, or `NULL`, for a bad address.
//!
//! A well-formed program's text parses to the same program.

mod parse;
mod scan;
mod words;
mod write;

pub use parse::parse;
pub use words::{show_meaning, show_ret, value};
pub use write::{write, write_call};

/// Longest text that is read, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// Where a text is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub what: String,
}
