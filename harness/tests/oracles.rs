//! What the oracles say of traces made by hand, and what findings are called.

use parallax_corpus::compile::{Code, Mode, compile};
use parallax_corpus::text::parse;
use parallax_corpus::{CallId, Clocks, End, Outcome, State, Trace};
use parallax_harness::oracles::{
    Class, Evidence, Finding, Verdict, blocked, children, class, differential, judge, memory, repeat, rusage,
    state,
};
use std::error::Error;

type Checked = Result<(), Box<dyn Error>>;

fn code(source: &str) -> Result<Code, Box<dyn Error>> {
    let program = parse(source).map_err(|e| e.to_string())?;
    Ok(compile(&program, Mode { fork: true, block_us: 3000, probes: true })?)
}

/// Every call returned 0 and wrote zeros, 1 ms after the other.
fn blank(code: &Code) -> Trace {
    let outcomes = code.spans.iter().enumerate().map(|(k, spans)| {
        let at = k as i64 * 1_000_000;
        let clocks = Clocks { mono_before: at, mono_after: at, real_before: at, real_after: at };
        let len: usize = spans.iter().map(|s| s.len as usize).sum();
        Outcome { state: State::Done, ret: 0, clocks: Some(clocks), out: vec![0; len], woken: None }
    });
    Trace { outcomes: outcomes.collect(), ..Trace::lost(End::Exited, 0) }
}

/// What is found where the target's outcome of a call is changed so.
fn found(
    source: &str,
    call: usize,
    change: impl Fn(&mut Outcome),
) -> Result<(Code, Trace, Trace, Finding), Box<dyn Error>> {
    let code = code(source)?;
    let native = blank(&code);
    let mut target = native.clone();
    change(&mut target.outcomes[call]);
    let finding = judge(Evidence { code: &code, native: &native, target: &target }).ok_or("no finding")?;
    Ok((code, native, target, finding))
}

fn error(errno: i64) -> impl Fn(&mut Outcome) {
    move |outcome| outcome.ret = -errno
}

fn class_of(source: &str, call: usize, errno: i64, release: &str) -> Result<(Class, String), Box<dyn Error>> {
    let (code, native, target, mut finding) = found(source, call, error(errno))?;
    class::settle(&mut finding, Evidence { code: &code, native: &native, target: &target }, Some(release));
    Ok((finding.class, finding.signature().0))
}

const ENOTTY: i64 = 25;
const EINVAL: i64 = 22;
const ENOSYS: i64 = 38;
const EOPNOTSUPP: i64 = 95;

#[test]
fn what_a_layer_lacks_is_unsupported_or_too_new_for_it_and_all_else_is_semantic() -> Checked {
    let lacks = "differential memfd_create.ret unsupported".to_owned();
    assert_eq!(class_of("memfd_create(0)", 0, ENOSYS, "6.1.0")?, (Class::Unsupported, lacks.clone()));
    assert_eq!(class_of("memfd_create(0)", 0, ENOSYS, "3.10.0-1160.el7")?, (Class::VersionSkew, lacks));
    // A layer that knows nothing of a call knows nothing of what Linux looked at next.
    let answered = "differential memfd_create.ret answered EINVAL".to_owned();
    assert_eq!(class_of("memfd_create(0)", 0, EINVAL, "3.10.0")?, (Class::VersionSkew, answered));
    let refused = "differential memfd_create.ret success became EINVAL".to_owned();
    assert_eq!(class_of("memfd_create(0)", 0, EINVAL, "6.1.0")?, (Class::Semantic, refused));
    let request = "differential ioctl$tiocexcl.ret answered ENOTTY".to_owned();
    assert_eq!(class_of("ioctl$tiocexcl(0)", 0, ENOTTY, "4.4.0")?, (Class::Unsupported, request));
    let file = "r0 = openat$create(\"f\", 0o644)\nfallocate(r0, 0, 0, 1)";
    let mode = "differential fallocate.ret answered EOPNOTSUPP".to_owned();
    assert_eq!(class_of(file, 1, EOPNOTSUPP, "4.4.0")?, (Class::Unsupported, mode));
    // An error of another kind says nothing of what is there.
    let busy = "differential memfd_create.ret success became EBUSY".to_owned();
    assert_eq!(class_of("memfd_create(0)", 0, 16, "2.6.9")?, (Class::Semantic, busy));
    Ok(())
}

#[test]
fn a_call_that_waits_on_one_side_alone_is_the_oracle_of_waiting_s() -> Checked {
    let source = "r0, r1 = pipe2(out, 0)\nread(r0, out[1])";
    let (_, _, _, finding) = found(source, 1, |o| o.state = State::Blocked)?;
    assert_eq!(finding.signature().0, "blocked read.state success became blocked");
    let code = code(source)?;
    let returns = blank(&code);
    let mut waits = returns.clone();
    waits.outcomes[1].state = State::Blocked;
    let said = |trace| blocked::judge(Evidence { code: &code, native: trace, target: trace });
    assert_eq!([said(&returns), said(&waits)], [Verdict::NotApplicable, Verdict::Agree]);
    Ok(())
}

#[test]
fn a_program_of_several_tasks_that_is_killed_somewhere_is_laid_to_no_call() -> Checked {
    let source = "task$thread()\ngetpid()\n@1 getppid()\ngettid()";
    let code = code(source)?;
    let target = blank(&code);
    let mut native = target.clone();
    native.end = End::Killed(2);
    native.outcomes[1..].iter_mut().for_each(|o| o.state = State::NotRun);
    let finding = judge(Evidence { code: &code, native: &native, target: &target }).ok_or("no finding")?;
    assert_eq!(finding.signature().0, "differential program.end Killed(2) became Exited");
    // A case of before, which names a guess, is still the same.
    let older = Finding { name: "getpid".into(), cause: "getpid".into(), ..finding.clone() };
    assert!(finding.same_core(&older) && older.same_core(&finding));
    let otherwise = Finding { kind: "Killed(1) became Exited".into(), ..older };
    assert!(!finding.same_core(&otherwise));
    // Where it is known which call it was, that one is named.
    native.outcomes[1].state = State::Died;
    let finding = judge(Evidence { code: &code, native: &native, target: &target }).ok_or("no finding")?;
    assert!(finding.signature().0.starts_with("differential getpid."), "{}", finding.signature());
    Ok(())
}

#[test]
fn children_s_time_without_children_is_the_oracle_of_children_s() -> Checked {
    let (_, _, _, finding) = found("getrusage$children(out)", 0, |o| o.out[0] = 1)?;
    assert_eq!(finding.signature().0, "children getrusage$children.ru_utime children without children");
    let code = code("spawn(1000, 0)\ngetrusage$children(out)")?;
    let native = blank(&code);
    let evidence = Evidence { code: &code, native: &native, target: &native };
    assert_eq!(children::judge(evidence), Verdict::NotApplicable, "it had a child");
    Ok(())
}

#[test]
fn cpu_time_beyond_the_wall_is_found_and_programs_without_it_are_not_judged() -> Checked {
    let (_, _, _, finding) = found("getrusage$self(out)", 0, |o| o.out[0] = 9)?;
    assert_eq!(finding.signature().0, "rusage getrusage$self.ru_utime more than wall time");
    let code = code("getpid()")?;
    let native = blank(&code);
    let evidence = Evidence { code: &code, native: &native, target: &native };
    for oracle in [rusage::judge, children::judge, memory::judge, blocked::judge] {
        assert_eq!(oracle(evidence), Verdict::NotApplicable);
    }
    assert_eq!(differential::judge(evidence), Verdict::Agree);
    Ok(())
}

#[test]
fn a_layer_that_does_not_repeat_itself_is_found_if_it_shows_often_enough() -> Checked {
    let (code, native, other, finding) = found("getppid()", 0, |o| o.ret = 7)?;
    let ran = |differ: usize| {
        let runs: Vec<(&Trace, &Trace)> =
            (0..17).map(|k| (&native, if k < differ { &other } else { &native })).collect();
        repeat::judge(&code, &runs, &finding)
    };
    assert!(matches!(ran(9), Verdict::Diverge(f) if f.oracle == "repeat"));
    assert!(matches!(ran(16), Verdict::Diverge(_)));
    assert_eq!(ran(8), Verdict::Agree, "a stroke of bad luck");
    assert_eq!(ran(17), Verdict::Agree, "it repeats itself: another oracle's");
    let unsteady = [(&native, &other), (&other, &native)];
    assert_eq!(
        repeat::judge(&code, &unsteady, &finding),
        Verdict::NotApplicable,
        "Linux does not repeat itself"
    );
    Ok(())
}

#[test]
fn all_joined_names_are_the_tables_own() {
    for name in state::joined_names() {
        assert!(CallId::named(name).is_some(), "{name}");
    }
}

#[test]
fn one_bug_has_one_name_however_it_was_seen_and_brought_about() {
    let finding = |name: &str, field: &str, kind: &str, cause: &str| Finding {
        oracle: "differential".into(),
        class: Class::Semantic,
        call: 3,
        name: name.into(),
        cause: cause.into(),
        field: field.into(),
        native: "1".into(),
        target: "2".into(),
        kind: kind.into(),
    };
    let names = [
        finding("fstat", "st_mode", "another value", "fchmod"),
        finding("statx$fd", "stx_mode", "another value", "fchmodat"),
        finding("newfstatat", "st_mode", "something became zero", "chmod"),
        finding("ioctl$tcgets", "c_cflag", "lost CS8", "ioctl$tcsetsf"),
        finding("ioctl$tcgets", "c_cflag", "lost CREAD", "ioctl$tcsets"),
        finding("getdents64", "dirp", "entries missing or changed", "renameat2$at"),
        finding("renameat2$at", "ret", "EINVAL became ENOTDIR", "renameat2$at"),
        finding("read$tty", "ret", "another value", "read$tty"),
        finding("read", "ret", "another value", "read"),
        finding("fchmod", "ret", "success became EPERM", "fchmod"),
        finding("fchmodat", "ret", "success became EPERM", "fchmodat"),
        finding("ppoll", "ret", "something became zero", "ppoll"),
        finding("ppoll", "ret", "success became EINVAL", "ppoll"),
        finding("rt_tgsigqueueinfo", "stops", "stopped too often", "rt_tgsigqueueinfo"),
        finding("sendmmsg", "state", "died became EPIPE", "sendmmsg"),
        finding("epoll_pwait2", "ret", "unsupported", "epoll_pwait2"),
        Finding { oracle: "layer".into(), ..finding("pipe2", "end", "hung", "pipe2") },
    ];
    let told: Vec<String> = names.iter().map(|f| f.signature().0).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    differential file.st_mode another value after chmod
    differential file.st_mode another value after chmod
    differential file.st_mode another value after chmod
    differential terminal.c_cflag lost CS8 after ioctl$tcsets
    differential terminal.c_cflag lost CREAD after ioctl$tcsets
    differential directory.dirp entries missing or changed after renameat2
    differential renameat2.ret EINVAL became ENOTDIR
    differential read$tty.ret another value
    differential read.ret another value
    differential fchmod.ret success became EPERM
    differential fchmodat.ret success became EPERM
    differential poll.ret something became zero
    differential ppoll.ret success became EINVAL
    differential kill$self.stops stopped too often
    differential sendto.state died became EPIPE
    differential epoll_pwait2.ret unsupported
    layer pipe2.end hung
    ");
}

#[test]
fn classes_of_older_files_are_still_read() -> Checked {
    for (stored, class) in
        [("divergence", Class::Semantic), ("unsupported", Class::Unsupported), ("hang", Class::Hang)]
    {
        assert_eq!(serde_json::from_str::<Class>(&format!("\"{stored}\""))?, class);
    }
    for class in Class::ALL {
        assert_eq!(serde_json::to_string(&class)?, format!("\"{}\"", class.name()));
    }
    Ok(())
}

#[test]
fn of_a_kernels_text_only_the_promised_lines_are_compared() -> Checked {
    for (source, compared) in [
        ("r0 = openat$fdinfo3(O_RDONLY)\nreadv(r0, [out[32]])", false),
        ("r0 = openat$fdinfo3(O_RDONLY)\nr1 = dup(r0)\nread(r1, out[32])", false),
        ("r0 = openat$fdinfo3(O_RDONLY)\nr1 = memfd_create(0)\nread(r1, out[32])", true),
        ("r1 = memfd_create(0)\nread(r1, out[32])", true),
    ] {
        let code = code(source)?;
        let native = blank(&code);
        let mut target = native.clone();
        let call = code.own - 1;
        target.outcomes[call].out[5] = 7;
        let finding = judge(Evidence { code: &code, native: &native, target: &target });
        assert_eq!(finding.is_some(), compared, "{source}");
    }
    Ok(())
}
