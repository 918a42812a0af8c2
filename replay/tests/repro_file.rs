//! Repro files: they come back as they were, and no bytes harm whoever reads them.

mod common;

use common::{blank, case, done, program};
use parallax_corpus::{Clocks, End, Outcome, State};
use parallax_replay::repro::{MAGIC, MAX_FILE, VERSION};
use parallax_replay::{HistoryEntry, Repro, ReproError};
use proptest::prelude::*;

const SOURCE: &str = "r0 = openat$tty(O_RDWR|O_NONBLOCK)\nioctl$tcgets(r0, out)\nread$tty(r0, out[8])\n";

fn sample() -> Repro {
    let (program, code) = program(SOURCE);
    let mut native = blank(&code);
    native.outcomes[0].ret = 4;
    let mut target = native.clone();
    target.outcomes[1].out[12] = 8;
    case(program, &code, native, target)
}

/// Puts a right checksum on whatever the bytes say.
fn reseal(bytes: &mut [u8]) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[8..14]);
    crc.update(&bytes[18..]);
    let crc = crc.finalize();
    bytes[14..18].copy_from_slice(&crc.to_le_bytes());
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let state = prop_oneof![
        Just(State::Done),
        Just(State::Blocked),
        Just(State::Died),
        Just(State::NotRun),
        Just(State::Skipped),
        Just(State::Missed),
        Just(State::Absent)
    ];
    let clocks = proptest::option::of(any::<[i64; 4]>().prop_map(|[a, b, c, d]| Clocks {
        mono_before: a,
        mono_after: b,
        real_before: c,
        real_after: d,
    }));
    let woken = proptest::option::of(any::<u16>());
    (state, any::<i64>(), clocks, woken, proptest::collection::vec(any::<u8>(), 0..80))
        .prop_map(|(state, ret, clocks, woken, out)| Outcome { state, ret, clocks, woken, out })
}

prop_compose! {
    fn repros()(
        outcomes in proptest::collection::vec((outcome(), outcome()), 32),
        end in prop_oneof![Just(End::Exited), any::<u8>().prop_map(End::Killed), Just(End::Hung), Just(End::Crashed)],
        words in ".{0,200}",
        history in proptest::collection::vec((".{0,20}", ".{0,60}"), 0..6),
        numbers in any::<[u64; 2]>(),
        command in proptest::option::of(".{0,40}"),
        bare in any::<bool>(),
    ) -> Repro {
        let mut repro = sample();
        for (k, (native, target)) in outcomes.into_iter().enumerate().take(repro.native.outcomes.len()) {
            repro.native.outcomes[k] = native;
            repro.target.outcomes[k] = target;
        }
        repro.target.end = end;
        repro.last_words = words;
        repro.history =
            history.into_iter().map(|(what, detail)| HistoryEntry { what, detail }).collect();
        [repro.created, repro.seed] = numbers;
        repro.target_command = command;
        if bare {
            repro.native_environment = None;
        }
        repro
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_repro_comes_back_as_it_was(repro in repros()) {
        let bytes = repro.to_bytes();
        prop_assert_eq!(Repro::from_bytes(&bytes).expect("it opens"), repro.clone());
        // Whatever the traces say, both renderings and all oracles take it.
        parallax_replay::render_text(&repro).expect("text");
        parallax_replay::render_json(&repro).expect("JSON");
        parallax_replay::render_c::render_c(&repro).expect("C");
        parallax_replay::replay_recorded(&repro).expect("judged");
    }

    #[test]
    fn bodies_with_changed_bytes_and_a_right_checksum_never_panic(
        changes in proptest::collection::vec((18usize..100_000, any::<u8>()), 1..8)
    ) {
        let mut bytes = sample().to_bytes();
        let len = bytes.len() - 18;
        for (at, byte) in changes {
            bytes[18 + at % len] = byte;
        }
        reseal(&mut bytes);
        if let Ok(repro) = Repro::from_bytes(&bytes) {
            let _ = parallax_replay::render_text(&repro);
            let _ = parallax_replay::render_json(&repro);
            let _ = parallax_replay::render_c::render_c(&repro);
            let _ = parallax_replay::replay_recorded(&repro);
        }
    }

    #[test]
    fn random_bytes_are_no_repro(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Repro::from_bytes(&bytes).is_err());
    }
}

#[test]
fn a_cut_or_damaged_file_is_refused() {
    let bytes = sample().to_bytes();
    for end in 0..bytes.len() {
        assert!(Repro::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Repro::from_bytes(&damaged).is_err(), "flipped at {at}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(Repro::from_bytes(&longer).is_err());
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let refused = |change: &dyn Fn(&mut Repro), why: &str| {
        let mut repro = sample();
        change(&mut repro);
        let error = Repro::from_bytes(&repro.to_bytes()).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&|r| r.id = "../../etc/passwd".into(), "hexadecimal");
    refused(&|r| r.id = "abc".into(), "hexadecimal");
    refused(&|r| r.native.outcomes.truncate(2), "outcomes");
    refused(&|r| r.target.outcomes.push(Outcome::NOT_RUN), "outcomes");
    refused(&|r| r.finding.call = 1000, "finding");
    refused(&|r| r.program.calls[2].args.clear(), "argument");
    refused(&|r| r.history = vec![HistoryEntry::default(); 1000], "longer than the 256");
    refused(&|r| r.native.outcomes = vec![Outcome::NOT_RUN; 3000], "longer than the 512");
}

#[test]
fn recordings_of_versions_with_other_probes_keep_their_meaning() {
    let original = sample();
    let mut older = original.clone();
    let own = older.program.calls.len();
    // That version had one probe more, in front, and lacked the last one.
    older.probes.pop();
    older.probes.insert(0, "sync()".into());
    for trace in [&mut older.native, &mut older.target] {
        trace.outcomes.pop();
        trace.outcomes.insert(own, done(77, b""));
    }
    let read = Repro::from_bytes(&older.to_bytes()).expect("it opens");
    assert_eq!(read.probes, original.probes);
    assert_eq!(read.native.outcomes.last(), Some(&Outcome::NOT_RUN));
    let last = original.native.outcomes.len() - 1;
    assert_eq!(read.native.outcomes[..last], original.native.outcomes[..last]);
    // If the finding is at a probe that is no more, nothing can be said of it.
    older.finding.call = own;
    assert!(
        matches!(Repro::from_bytes(&older.to_bytes()), Err(ReproError::ProbeGone(probe, _)) if probe == "sync()")
    );
}

#[test]
fn files_are_written_whole_and_errors_name_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut repro = sample();
    repro.last_words = "ö".repeat(60_000);
    let path = repro.save(dir.path()).expect("saved");
    assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(repro.file_name().as_str()));
    let read = Repro::load(&path).expect("loaded");
    assert_eq!(read.last_words.len(), 64 << 10);
    assert_eq!((read.id, read.signature), (repro.id.clone(), repro.signature.clone()));
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing else is left");
    std::fs::write(&path, vec![0; MAX_FILE + 10]).expect("written");
    let error = Repro::load(&path).expect_err("too long").to_string();
    assert!(error.contains(path.to_str().expect("a path")) && error.contains("more than"), "{error}");
    let error = Repro::load(&dir.path().join("none.plx")).expect_err("not there").to_string();
    assert!(error.contains("none.plx"), "{error}");
    assert!(repro.save(&dir.path().join("nowhere")).is_err());
}

/// High-water mark of this process's memory, KiB (proc(5)).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|l| l.starts_with("VmHWM")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn hostile_lengths_cost_little_memory() {
    // Each body claims or holds as much as fits, behind a right checksum. They run in a process of their own,
    // since the high-water mark is the whole process's.
    if std::env::var_os("PLX_HOSTILE").is_none() {
        let itself = std::env::current_exe().expect("this test");
        let status = std::process::Command::new(itself)
            .args(["--exact", "hostile_lengths_cost_little_memory", "--nocapture"])
            .env("PLX_HOSTILE", "1")
            .status();
        assert!(status.expect("it starts").success());
        return;
    }
    let sealed = |body: Vec<u8>| {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        reseal(&mut bytes);
        bytes
    };
    let named = |field: &str, value: &[u8]| {
        let mut body = vec![0x81, 0xa0 | field.len() as u8];
        body.extend(field.as_bytes());
        body.extend(value);
        body
    };
    let room = MAX_FILE - 200;
    let array = |element: &[u8]| {
        let mut value = vec![0xdd, 0xff, 0xff, 0xff, 0xff];
        value.extend(element.repeat(room / element.len()));
        value
    };
    let refused = |body: Vec<u8>| {
        let bytes = sealed(body);
        assert!(bytes.len() <= MAX_FILE);
        assert!(Repro::from_bytes(&bytes).is_err());
    };
    // What building the bodies takes is the test's own: a few MiB, and no part of what is measured.
    refused(named("nobody", &array(&[0xc0])));
    let before = peak();
    for field in ["native", "target", "probes", "history", "program", "finding", "id", "nobody"] {
        for element in [
            &[0xc0][..],
            &[0x90],
            &[0x80],
            &[0xa0],
            &[0x92, 0, 0],
            &[0x81, 0, 0],
            &[0xdd, 255, 255, 255, 255],
        ] {
            refused(named(field, &array(element)));
            // One level deeper: the first field of a struct written as an array.
            refused(named(field, &[&[0x91][..], &array(element)].concat()));
            refused(named(field, &[&[0x93, 0xa6][..], b"Exited", &[0], &array(element)].concat()));
        }
        refused(named(field, &[0xdb, 0xff, 0xff, 0xff, 0xff]));
        refused(named(field, &[0xc6, 0xff, 0xff, 0xff, 0xff]));
        refused(named(field, &[0xdf, 0xff, 0xff, 0xff, 0xff]));
    }
    // A program of many arguments, and of deep ones.
    let mut call = b"\x91\x91\x92\xa6setsid".to_vec();
    call.extend(array(&[0x81, 0, 0]));
    refused(named("program", &call));
    let mut call = b"\x91\x91\x92\xa6setsid".to_vec();
    for _ in 0..30 {
        call.extend([0xdd, 255, 255, 255, 255, 0x81, 0xa5]);
        call.extend(b"Group");
    }
    refused(named("program", &call));
    let grown = peak() - before;
    println!("{grown} KiB");
    assert!(grown < 64 << 10, "{grown} KiB");
}
