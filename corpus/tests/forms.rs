//! The two written forms of programs: what goes out comes back, and nothing else gets in.

mod common;

use parallax_corpus::compile::{CompileError, Mode, compile};
use parallax_corpus::desc::In;
use parallax_corpus::pack::{self, PackError};
use parallax_corpus::{Arg, Call, CallId, Program, ResRef, Ty, tables, text, wire};
use proptest::prelude::*;

fn call(name: &str, args: Vec<Arg>) -> Call {
    Call::new(CallId::named(name).expect(name), args)
}
fn made(call: u16) -> Arg {
    Arg::Res(ResRef { call, slot: 0 })
}

/// A terminal put into some state and typed at.
fn terminal() -> Program {
    let ints = |ints: &[u64]| Arg::Group(ints.iter().map(|n| Arg::Int(*n)).collect());
    Program {
        calls: vec![
            call("openat$tty", vec![Arg::Int(0o4002)]),
            call("setsid", vec![]),
            call("openat$ptmx", vec![Arg::Int(0)]),
            call("ioctl$tcgets", vec![made(0), Arg::Out(0)]),
            call(
                "ioctl$tcsets",
                vec![made(2), ints(&[0o2400, 1, 0o260, 0x8000_0000_0000_0003, 3, 28, 127, 21, 4, 0, 1])],
            ),
            call("ioctl$tcsbrk", vec![Arg::Int(0), Arg::Int(4096)]),
            call("ioctl$tcflsh", vec![made(0), Arg::Int(0)]),
            call("write$keys", vec![Arg::Int(u64::MAX), Arg::Bytes(b"ls\r\x03\"\\\xff \t\n".to_vec())]),
            call("write$keys", vec![made(2), Arg::Int(0)]),
            call("read$tty", vec![made(0), Arg::Out(64)]),
            call("ioctl$tiocspgrp", vec![made(0), ints(&[99_999])]),
            call("ioctl$tiocswinsz", vec![Arg::Int(-100i64 as u64), Arg::Int(u64::MAX)]),
            call("ioctl$tiocswinsz", vec![Arg::Int(99), ints(&[65535, 80, 0, 0])]),
        ],
    }
}

const TERMINAL: &str = r#"r0 = openat$tty(O_RDWR|O_NONBLOCK)
setsid()
r1 = openat$ptmx(O_RDONLY)
ioctl$tcgets(r0, out)
ioctl$tcsets(r1, {ICRNL|IXON, OPOST, CS8|CREAD, ISIG|ICANON|0x8000000000000000, 3, 28, 127, 21, 4, 0, 1})
ioctl$tcsbrk(0, 0x1000)
ioctl$tcflsh(r0, TCIFLUSH)
write$keys(-1, "ls\r\x03\"\\\xff \t\n")
write$keys(r1, NULL)
read$tty(r0, out[64])
ioctl$tiocspgrp(r0, {NO_PID})
ioctl$tiocswinsz(AT_FDCWD, -1)
ioctl$tiocswinsz(99, {0xffff, 80, 0, 0})
"#;

#[test]
fn a_program_reads_as_people_would_write_it() {
    assert_eq!(text::write(&terminal()), TERMINAL);
    assert_eq!(text::parse(TERMINAL), Ok(terminal()));
}

#[test]
fn a_single_call_shows_the_labels_of_the_whole_text() {
    for (index, line) in TERMINAL.lines().enumerate() {
        assert_eq!(text::write_call(&terminal(), index), line);
    }
    assert_eq!(text::write_call(&terminal(), 99), "");
}

#[test]
fn people_may_write_more_freely_than_the_writer() {
    let free = "\n# a terminal\n  r7=openat$tty( 0x2 |O_NONBLOCK|O_RDONLY )# its own\r\n\
                \tread$tty( r7 , out [ 0o100 ] )\nwrite$keys(r7, \"\u{e4}#\")";
    let program = text::parse(free).expect("free text");
    assert_eq!(
        text::write(&program),
        "r0 = openat$tty(O_RDWR|O_NONBLOCK)\nread$tty(r0, out[64])\nwrite$keys(r0, \"\\xc3\\xa4#\")\n"
    );
}

#[test]
fn errors_say_where_and_what_to_do() {
    let long = "openat$tty(0)\n".repeat(65);
    for (wrong, message) in [
        ("opena$tty(0)", "line 1, column 1: unknown call `opena$tty`; did you mean `openat$tty`?"),
        ("\n  ioctl(0)", "line 2, column 3: unknown call `ioctl`; did you mean `ioctl$tiocgptpeer`?"),
        (
            "frobnicate()",
            "line 1, column 1: unknown call `frobnicate`; `parallax calls` lists the known ones",
        ),
        ("openat$tty(O_RWDR)", "line 1, column 12: unknown name `O_RWDR`; did you mean `O_RDWR`?"),
        (
            "ioctl$tcflsh(0, ALL)",
            "line 1, column 17: unknown name `ALL`; TCIFLUSH, TCOFLUSH, TCIOFLUSH may stand here",
        ),
        ("read$tty(r0, out)", "line 1, column 10: no earlier call is labelled `r0`: put `r0 =` before one"),
        ("r0 = openat$tty(r0)", "line 1, column 17: no earlier call is labelled `r0`: put `r0 =` before one"),
        ("x = setsid()", "line 1, column 1: `x` is no label: r0, r1, ... are, and `_`"),
        ("r0 = setsid()", "line 1, column 1: `setsid` makes nothing, so there is none for this label"),
        (
            "r0 = openat$tty(0)\nr0 = openat$tty(0)",
            "line 2, column 1: `r0` is taken by an earlier call: choose another number",
        ),
        ("read$tty(0)", "line 1, column 11: argument `buf` of read$tty(fd, buf) is needed here, not `)`"),
        ("setsid(1)", "line 1, column 8: `)` is needed here, not `1`"),
        ("getsid(0, 0)", "line 1, column 9: `)`, since getsid has 1 arguments, is needed here, not `,`"),
        ("setsid() setsid()", "line 1, column 10: the end of the line is needed here, not `setsid`"),
        ("setsid", "line 1, column 7: `(` is needed here, not the end of the line"),
        ("write$keys(3, \"abc)", "line 1, column 15: the string does not end: `\"` is missing"),
        (
            "write$keys(3, \"\u{e4}\\q\")",
            "line 1, column 17: unknown escape: \\n \\r \\t \\\\ \\\" and \\xNN are known",
        ),
        ("getsid(007)", "line 1, column 8: `007`: write 0o for octal, and decimals without leading zeros"),
        ("getsid(1e9)", "line 1, column 8: `1e9` is no number of 64 bits"),
        ("getsid(18446744073709551616)", "line 1, column 8: `18446744073709551616` is no number of 64 bits"),
        ("getsid(\u{1f980})", "line 1, column 8: a pid (`r0`, 0, NO_PID) is needed here, not `\u{1f980}`"),
        (
            "getsid(1)",
            "line 1, column 8: argument pid of getsid: 1 is no pid constant: 0 and NO_PID are (others may be somebody's)",
        ),
        ("ioctl$tiocspgrp(0, {-1, 0})", "line 1, column 23: `}` is needed here, not `,`"),
        (
            "setsid()\nioctl$tiocspgrp(0, {-1})",
            "line 2, column 20: argument arg of ioctl$tiocspgrp: field pid: -1 is no pid constant: 0 and NO_PID are (others may be somebody's)",
        ),
        (
            "read$tty(0, out[257])",
            "line 1, column 13: argument buf of read$tty: 257 bytes, at most 256 allowed",
        ),
        (
            "read$tty(201, out)",
            "line 1, column 10: argument fd of read$tty: 201 is no descriptor constant: 0 to 63, 99 and negative ones are (others may be the agent's)",
        ),
        (
            "read$tty(0, 0x20000000)",
            "line 1, column 13: argument buf of read$tty: 0x20000000 may be mapped: a raw address is below 4096 or at least 0xffff800000000000",
        ),
        (
            "ioctl$tcflsh(0, 7)",
            "line 1, column 17: argument arg of ioctl$tcflsh: 7 is none of TCIFLUSH, TCOFLUSH, TCIOFLUSH",
        ),
        (long.as_str(), "line 65, column 1: 65 calls, more than the 64 allowed"),
    ] {
        assert_eq!(text::parse(wrong).expect_err(wrong).to_string(), message);
    }
    let endless = " ".repeat(text::MAX_TEXT + 1);
    assert!(text::parse(&endless).is_err());
    assert_eq!(text::parse(&endless[1..]), Ok(Program::default()));
}

/// Holds the tables to their order: a value that contains others stands before them, and no value has two names.
#[test]
fn every_name_of_every_set_shows_as_itself() {
    let mut types: Vec<Ty> = Vec::new();
    for argument in tables::all().iter().flat_map(|d| d.args) {
        types.push(argument.ty);
        if let Ty::Ptr(In::Struct(fields, _) | In::Array(fields, _, _), _) = argument.ty {
            types.extend(fields.iter().map(|f| f.ty));
        }
    }
    for ty in types {
        let (Ty::Flags(set) | Ty::Enum(set)) = ty else { continue };
        for (name, value) in set.names {
            assert_eq!(text::value(&ty, *value), *name);
        }
    }
}

#[test]
fn malformed_programs_are_refused_and_still_shown() {
    let at = ResRef { call: 1, slot: 0 };
    let deep = (0..100).fold(Arg::Int(1), |inner, _| Arg::Group(vec![inner]));
    for arg in [
        Arg::Int(wire::WINDOW),
        Arg::Int(64),
        Arg::Int(0x1_0000_0003),
        Arg::Res(at),
        Arg::Res(ResRef { call: 0, slot: 9 }),
        Arg::Res(ResRef { call: 0xffff, slot: 0xff }),
        Arg::Bytes(vec![0; 3]),
        Arg::Out(7),
        deep,
    ] {
        let program = Program {
            calls: vec![call("openat$tty", vec![Arg::Int(0)]), call("ioctl$tcgets", vec![arg, Arg::Out(0)])],
        };
        assert!(program.check().is_err(), "{program:?}");
        let shown = text::write(&program);
        assert!(shown.contains("ioctl$tcgets("), "{shown}");
        assert!(matches!(
            pack::program_from_bytes(&pack::program_to_bytes(&program)),
            Err(PackError::Program(_) | PackError::Body(_))
        ));
    }
    let short = Program { calls: vec![call("ioctl$tcgets", vec![])] };
    let error = short.check().expect_err("no arguments").to_string();
    assert_eq!(error, "call 0 (ioctl$tcgets), argument 1: 0 arguments given, 2 needed");
    let full = Program { calls: vec![call("write$keys", vec![Arg::Int(3), Arg::Bytes(vec![7; 4096])]); 17] };
    let error = full.check().expect_err("too much").to_string();
    assert_eq!(error, "69632 bytes of buffers, more than the 65536 allowed");
}

#[test]
fn removing_any_call_leaves_a_well_formed_program() {
    for index in 0..terminal().calls.len() {
        let mut program = terminal();
        program.remove_call(index);
        assert_eq!(program.check(), Ok(()), "without call {index}");
    }
}

#[test]
fn the_largest_program_fits_both_forms() {
    let bytes = Arg::Bytes(vec![0xff; 4096]);
    let program = Program { calls: vec![call("write$keys", vec![Arg::Int(3), bytes]); 16] };
    assert_eq!(program.check(), Ok(()));
    assert_eq!(text::parse(&text::write(&program)).as_ref(), Ok(&program));
    assert_eq!(pack::program_from_bytes(&pack::program_to_bytes(&program)).expect("opens"), program);
}

#[test]
fn a_sealed_file_says_what_is_wrong_with_it() {
    let sealed = pack::program_to_bytes(&terminal());
    let refusal = |bytes: &[u8]| pack::program_from_bytes(bytes).expect_err("refused").to_string();
    let patched = |at: usize, byte: u8| {
        let mut bytes = sealed.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(refusal(b"#!/bin/sh"), "not a file of the kind PLXPROG\\x00");
    assert_eq!(refusal(&sealed[..10]), "the file is cut off: 8 bytes are missing");
    assert_eq!(refusal(&sealed[..sealed.len() - 3]), "the file is cut off: 3 bytes are missing");
    assert_eq!(refusal(&[&sealed[..], b"!!"].concat()), "2 bytes follow the end of the file's content");
    assert_eq!(
        refusal(&patched(8, 2)),
        "made by a newer Parallax (format 2, this one reads up to 1): update Parallax to read it"
    );
    assert_eq!(refusal(&patched(sealed.len() - 1, 0x77)), "the file is damaged: its checksum is wrong");
    assert_eq!(refusal(&vec![0; pack::MAX_PROGRAM + 1]), "1048577 bytes, more than the 1048576 allowed");
    let renamed = pack::seal(
        &pack::PROGRAM_MAGIC,
        1,
        &std::collections::BTreeMap::from([("calls", [std::collections::BTreeMap::from([("id", "gone")])])]),
    );
    assert!(refusal(&renamed).contains("unknown call `gone`"), "{}", refusal(&renamed));
}

#[test]
fn every_cut_and_every_changed_byte_is_refused() {
    let sealed = pack::program_to_bytes(&terminal());
    for at in 0..sealed.len() {
        assert!(pack::program_from_bytes(&sealed[..at]).is_err(), "cut at {at}");
        for flip in [1, 0x80, 0xff] {
            let mut bytes = sealed.clone();
            bytes[at] ^= flip;
            assert!(pack::program_from_bytes(&bytes).is_err(), "byte {at} ^ {flip}");
        }
    }
}

/// One change to a text.
#[derive(Clone, Debug)]
enum Edit {
    Insert(prop::sample::Index, String),
    Delete(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let piece = prop_oneof![
        "[-(){}\\[\\]=,|~\"\\\\#_ r0-9a-zA-Z$\n]{1,3}",
        "\\PC{1,2}",
        Just("18446744073709551615".to_owned()),
        Just("out[4294967295]".to_owned()),
        Just("r1 = ".to_owned()),
    ];
    let edit = prop_oneof![
        (any::<prop::sample::Index>(), piece).prop_map(|(at, new)| Edit::Insert(at, new)),
        (any::<prop::sample::Index>(), 1..6usize).prop_map(|(at, n)| Edit::Delete(at, n)),
        (any::<prop::sample::Index>(), 1..40usize).prop_map(|(at, n)| Edit::Repeat(at, n)),
    ];
    proptest::collection::vec(edit, 1..6)
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for edit in edits {
        match edit {
            Edit::Insert(at, new) => {
                let at = at.index(chars.len() + 1);
                chars.splice(at..at, new.chars());
            }
            Edit::Delete(at, n) => {
                let at = at.index(chars.len() + 1);
                chars.drain(at..(at + n).min(chars.len()));
            }
            Edit::Repeat(at, n) => {
                let at = at.index(chars.len() + 1);
                let part = chars[at..(at + n).min(chars.len())].to_vec();
                chars.splice(at..at, part);
            }
        }
    }
    chars.into_iter().collect()
}

/// Whatever parses is well formed, and is what its own text says.
fn parse_holds(text: &str) -> Result<(), TestCaseError> {
    if let Ok(program) = text::parse(text) {
        prop_assert_eq!(program.check(), Ok(()));
        prop_assert_eq!(text::parse(&text::write(&program)), Ok(program));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_come_back_from_both_forms(program in common::program()) {
        prop_assert_eq!(program.check(), Ok(()));
        let written = text::write(&program);
        prop_assert_eq!(text::parse(&written).map_err(|e| format!("{e}\n{written}")), Ok(program.clone()));
        for (index, line) in written.lines().enumerate() {
            prop_assert_eq!(text::write_call(&program, index), line);
        }
        prop_assert_eq!(pack::program_from_bytes(&pack::program_to_bytes(&program)).expect("opens"), program);
    }

    #[test]
    fn every_described_call_has_both_forms(choices in proptest::collection::vec(any::<u64>(), 0..2000)) {
        for program in common::every_call(choices) {
            prop_assert_eq!(program.check(), Ok(()));
            let written = text::write(&program);
            prop_assert_eq!(text::parse(&written).map_err(|e| format!("{e}\n{written}")), Ok(program));
        }
    }

    /// Well formed is all it takes to be compiled, room in the agent's memory aside.
    #[test]
    fn programs_compile(program in common::program()) {
        match compile(&program, Mode { fork: false, block_us: 1, probes: true }) {
            Ok(_) | Err(CompileError::TooLarge(_)) => {}
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }

    #[test]
    fn removing_calls_keeps_programs_well_formed(mut program in common::program(), at: prop::sample::Index) {
        while !program.calls.is_empty() {
            program.remove_call(at.index(program.calls.len()));
            prop_assert_eq!(program.check(), Ok(()));
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        parse_holds(&text)?;
    }

    #[test]
    fn any_change_to_a_text_is_answered(program in common::program(), edits in edits()) {
        parse_holds(&edited(&text::write(&program), &edits))?;
    }

    #[test]
    fn any_body_is_answered(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = pack::program_from_bytes(&reseal(&body));
    }

    #[test]
    fn any_change_to_a_body_is_answered(
        program in common::program(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = pack::program_to_bytes(&program)[pack::HEADER..].to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Ok(program) = pack::program_from_bytes(&reseal(&body)) {
            prop_assert_eq!(program.check(), Ok(()));
        }
    }
}

/// A file with that body and a right checksum, as a hostile one has.
fn reseal(body: &[u8]) -> Vec<u8> {
    let (version, len) = (1u16.to_le_bytes(), (body.len() as u32).to_le_bytes());
    let crc = crc32fast::hash(&[&version[..], &len, body].concat()).to_le_bytes();
    [&pack::PROGRAM_MAGIC[..], &version, &len, &crc, body].concat()
}
