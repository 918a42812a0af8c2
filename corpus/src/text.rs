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
//! - `@1` before all that says that task 1 makes the call, the first one that `task$thread()` or `task$process()`
//!   started; a call without it is made by the first task.
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

#[cfg(test)]
mod tests {
    use super::parse::Parser;
    use super::scan::Scanner;
    use super::write::Labels;
    use crate::desc::{FD_ANY, FlagSet, In, Out, SField, Ty, sf};
    use crate::program::{Arg, Call, CallId, Program, ResRef};

    static EVENTS: FlagSet = FlagSet { names: &[("POLLIN", 1), ("POLLOUT", 4)], free: 0 };
    const POLLFD: &[SField] = &[
        sf("fd", 0, 4, Ty::Fd(FD_ANY)),
        sf("events", 4, 2, Ty::Flags(&EVENTS)),
        sf("mask", 8, 8, Ty::SigSet),
    ];
    const MASK: &[SField] = &[sf("mask", 0, 8, Ty::SigSet)];
    const R0: ResRef = ResRef { call: 0, slot: 0 };

    /// Shows that `text` and `arg` are each other's forms for an argument of type `ty`, in whatever table it stands.
    fn same(ty: Ty, text: &str, arg: Arg) {
        let call = |name, args| Call::new(CallId::named(name).expect(name), args);
        let getsid = call("getsid", vec![Arg::Res(R0)]);
        let program = Program { calls: vec![call("openat$tty", vec![Arg::Int(0)]), getsid] };
        let mut written = String::new();
        Labels::of(&program).arg(&mut written, &ty, &arg);
        assert_eq!(written, text);
        let mut parser = Parser::default();
        parser.labels.insert("r0", R0);
        assert_eq!(parser.arg(&mut Scanner::new(text, 1), &ty), Ok(arg), "{text}");
    }

    fn words(words: &[u64]) -> Arg {
        Arg::Group(words.iter().map(|w| Arg::Int(*w)).collect())
    }

    #[test]
    fn every_type_of_argument_has_a_text() {
        let ptr = |before| Ty::Ptr(before, Out::Nothing);
        let first = Arg::Group(vec![Arg::Res(R0), Arg::Int(5), Arg::Int(1 << 14)]);
        same(
            ptr(In::Array(POLLFD, 16, 4)),
            "[{r0, POLLIN|POLLOUT, {SIGTERM}}, {-1, 0, ~{SIGINT 34}}]",
            Arg::Group(vec![first.clone(), words(&[u64::MAX, 0, !(2 | 1 << 33)])]),
        );
        same(ptr(In::Array(POLLFD, 16, 4)), "[]", words(&[]));
        same(ptr(In::Struct(POLLFD, 16)), "{r0, POLLIN|POLLOUT, {SIGTERM}}", first);
        same(ptr(In::Struct(&[], 8)), "{}", words(&[]));
        same(ptr(In::Struct(MASK, 8)), "{{}}", words(&[0]));
        let bytes = |b: &[u8]| Arg::Bytes(b.to_vec());
        same(
            ptr(In::IovIn),
            r#"["abc", "", "\x00\xff"]"#,
            Arg::Group(vec![bytes(b"abc"), bytes(b""), bytes(&[0, 255])]),
        );
        same(ptr(In::IovOut), "[out[3], out]", Arg::Group(vec![Arg::Out(3), Arg::Out(0)]));
        same(Ty::Path, "\"f0\"", bytes(b"f0"));
        same(Ty::Path, "r0", Arg::Res(R0));
        same(Ty::Path, "NULL", Arg::Int(0));
        same(Ty::Fd(FD_ANY), "AT_FDCWD", Arg::Int(-100i64 as u64));
        same(Ty::Signal, "SIGUSR1", Arg::Int(10));
        same(Ty::Handler, "SIG_IGN", Arg::Int(1));
        same(Ty::Page, "PAGE15", Arg::Int(crate::wire::WINDOW + 15 * 4096));
        same(Ty::Timer, "r0", Arg::Res(R0));
        same(Ty::SigSet, "~{}", Arg::Int(u64::MAX));
    }

    #[test]
    fn a_bad_argument_is_an_error_for_every_type() {
        let ptr = |before| Ty::Ptr(before, Out::Nothing);
        for (ty, text) in [
            (ptr(In::Array(POLLFD, 16, 1)), "[{0, 0, {}}, {0, 0, {}}]"),
            (ptr(In::Array(POLLFD, 16, 1)), "[{0, 0}]"),
            (ptr(In::Array(POLLFD, 16, 1)), "[0]"),
            (ptr(In::Struct(POLLFD, 16)), "{{0, 0, {}}, 0, {}}"),
            (ptr(In::IovIn), "[[\"a\"]]"),
            (ptr(In::IovIn), "[\"a\" \"b\"]"),
            (Ty::SigSet, "{SIGINT"),
            (Ty::SigSet, "{0}"),
            (Ty::SigSet, "{65}"),
            (Ty::SigSet, "~"),
            (Ty::Page, "PAGE16"),
            (Ty::Page, "PAGE00"),
            (Ty::Signal, "SIGFOO"),
        ] {
            assert!(Parser::default().arg(&mut Scanner::new(text, 1), &ty).is_err(), "{text}");
        }
    }
}
