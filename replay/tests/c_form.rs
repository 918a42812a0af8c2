//! The C form, compiled and run on this very Linux: where the case expects what Linux really does, it says so.

mod common;

use common::{blank, case, native, program};
use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::desc::{In, Out};
use parallax_corpus::{Arg, Call, CallId, Outcome, Program, State, Trace, Ty, tables, wire};
use parallax_replay::Repro;
use parallax_replay::render_c::render_c;
use std::process::Command;

/// Compiles and runs; standard output and exit code. `None` without gcc.
fn run(repro: &Repro) -> Option<(String, i32)> {
    let c = render_c(repro).expect("it has a C form");
    let dir = tempfile::tempdir().expect("a directory");
    let (source, binary) = (dir.path().join("case.c"), dir.path().join("case"));
    std::fs::write(&source, &c).expect("written");
    let compiled = Command::new("gcc")
        .args(["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&binary, &source])
        .output();
    let Ok(compiled) = compiled else {
        eprintln!("skipped: there is no gcc here");
        return None;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = Command::new(&binary).output().expect("it starts");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    Some((text, output.status.code().unwrap_or(-1)))
}

/// Records what Linux does, lets the layer do something else at one call, and expects the C form of that case to
/// say `SAME AS LINUX` here. Then the other way round: where the recording says what Linux does not do, the C form
/// must notice.
fn shows(source: &str, call: usize, wrong: impl Fn(&mut Outcome)) {
    let (program, code) = program(source);
    let Some(recorded) = native(&program) else { return };
    let falsified = |trace: &Trace| {
        let mut trace = trace.clone();
        wrong(&mut trace.outcomes[call]);
        trace
    };
    let repro = case(program.clone(), &code, recorded.clone(), falsified(&recorded));
    println!("{}", parallax_replay::render_text(&repro).expect("it has a text form"));
    let Some((text, exit)) = run(&repro) else { return };
    assert!(text.contains("SAME AS LINUX") && exit == 0, "exit {exit}:\n{text}");
    if repro.finding.oracle != "differential" {
        // An invariant has no recorded value that could be wrong.
        return;
    }
    let lie = case(program, &code, falsified(&recorded), recorded);
    let Some((text, exit)) = run(&lie) else { return };
    assert!(text.contains("DIVERGES: expected") && exit == 1, "exit {exit}:\n{text}");
}

#[test]
fn terminal_settings() {
    let source =
        "ioctl$tcgets(0, out)\nwrite$keys(3, \"ls\\r\")\nread$tty(0, out[64])\nioctl$fionread(3, out)\n";
    shows(source, 0, |o| o.out[12] ^= 8); // ECHO
    shows(source, 2, |o| o.out[1] = b'?');
    shows(source, 3, |o| o.out[0] += 1);
}

#[test]
fn a_blocked_read() {
    shows("read$tty(0, out[8])\nioctl$tiocgetd(0, out)\n", 0, |o| {
        *o = Outcome { state: State::Done, ret: -11, clocks: None, woken: None, out: Vec::new() };
    });
}

#[test]
fn an_error_and_a_flag() {
    shows("r0 = openat$tty(O_RDWR|O_NONBLOCK)\nread$tty(r0, out[8])\n", 1, |o| o.ret = -5);
    // The first probe of the first descriptor: its status flags.
    shows("r0 = openat$tty(O_RDWR|O_NONBLOCK)\nclose(r0)\nioctl$fionbio(0, {1})\n", 3, |o| o.ret ^= 0o4000);
}

#[test]
fn pipes() {
    let source = "r0, r1 = pipe2(out, O_NONBLOCK)\nwrite(r1, \"hello\")\nread(r0, out[3])\n";
    shows(source, 0, |o| o.out[0] += 1);
    shows(source, 2, |o| o.ret = 5);
    shows(source, 2, |o| o.out[0] = 0);
}

#[test]
fn files_and_directories() {
    let source = "r0 = openat$create(\"a\", 0644)\nwrite(r0, \"hello\")\nfstat(r0, out)\n\
        mkdirat(\"d\", 0755)\nr1 = openat$dir(\".\", O_RDONLY|O_DIRECTORY)\ngetdents64(r1, out[2048])\n";
    let source = source.replace("0644", "0o644").replace("0755", "0o755");
    shows(&source, 2, |o| o.out[48] += 1);
    shows(&source, 5, |o| o.out[19] = b'z');
}

#[test]
fn the_working_directory() {
    shows("getcwd(out[64])\n", 0, |o| o.out[1] = b'x');
}

#[test]
fn clocks_and_cpu_times() {
    shows("clock_gettime(CLOCK_MONOTONIC, out)\nvdso_time(NULL)\n".replace("NULL", "").as_str(), 0, |o| {
        o.out[0] = o.out[0].wrapping_add(100);
    });
    shows("spin(1000)\ngetrusage$self(out)\n", 1, |o| o.out[0] = 100);
    shows("getrusage$children(out)\n", 0, |o| o.out[8] = 100);
    shows("vdso_clock_gettime(CLOCK_REALTIME, out)\nvdso_gettimeofday(out)\n", 1, |o| o.out[0] ^= 64);
}

#[test]
fn children() {
    let source = "r0 = spawn(1000, 7)\nwait4$pid(r0, out)\n";
    shows(source, 1, |o| o.out[1] = 8);
    shows("r0 = spawn(1000, 0)\nwait4$any(out, 0)\ngetpid()\n", 1, |o| o.ret += 1);
    shows("getpid()\ngetpgrp()\nr0 = spawn(1000, 0)\ngetsid(0)\n", 3, |o| o.ret += 9);
}

#[test]
fn a_checkpoint() {
    shows("checkpoint()\ngetpid()\n", 0, |o| o.ret = 3);
}

#[test]
fn signals() {
    let source = "r0 = gettid()\nrt_sigaction$set(SIGUSR1, {HANDLER, 0, {}})\ntkill(r0, SIGUSR1)\n\
        rt_sigaction$get(SIGUSR1, out)\nrt_sigprocmask$block({{SIGINT}})\nrt_sigprocmask$get(out)\n";
    shows(source, 2, |o| o.ret = -1);
    shows(source, 3, |o| o.out[0..8].fill(0));
    shows(source, 5, |o| o.out[0] = 0);
}

#[test]
fn memory() {
    let source = "r0 = mmap$private(PAGE0, 0x1000, PROT_READ|PROT_WRITE)\npoke(r0, 0x41, 16)\nload(r0)\n";
    shows(source, 2, |o| o.ret = 0);
}

#[test]
fn a_fault_ends_the_program() {
    let source = "load(PAGE0)\ngetpid()\n";
    shows(source, 0, |o| {
        *o = Outcome { state: State::Done, ret: 0, clocks: None, woken: None, out: Vec::new() }
    });
}

/// Some argument of that type.
fn some(ty: &Ty) -> Arg {
    match ty {
        Ty::Const(n) => Arg::Int(*n),
        Ty::OneOf(numbers) => Arg::Int(numbers[0]),
        Ty::Flags(set) | Ty::Enum(set) => Arg::Int(set.names[0].1),
        Ty::Page => Arg::Int(wire::WINDOW),
        Ty::Path => Arg::Bytes(b"what*/ever??/\"\\".to_vec()),
        Ty::Ptr(In::Bytes(_), _) => Arg::Bytes(b"\0%s*/\xff12".to_vec()),
        Ty::Ptr(In::Struct(fields, _), _) => Arg::Group(fields.iter().map(|f| some(&f.ty)).collect()),
        Ty::Ptr(In::Array(fields, ..), _) => {
            Arg::Group(vec![Arg::Group(fields.iter().map(|f| some(&f.ty)).collect()); 2])
        }
        Ty::Ptr(In::IovIn, _) => Arg::Group(vec![Arg::Bytes(b"abc".to_vec()); 2]),
        Ty::Ptr(In::IovOut, _) => Arg::Group(vec![Arg::Out(5); 2]),
        Ty::Ptr(In::Nothing, Out::Fields(..) | Out::Array(..)) => Arg::Out(0),
        Ty::Ptr(In::Nothing, Out::Dirents(size) | Out::Lines(size, _)) => Arg::Out((*size).into()),
        Ty::Ptr(In::Nothing, Out::Buf(_) | Out::Opaque(_)) => Arg::Out(7),
        Ty::Ptr(In::Nothing, Out::Nothing) => Arg::Int(0),
        _ => Arg::Int(0),
    }
}

#[test]
fn every_call_of_every_table_has_a_c_form_without_warnings() {
    let calls: Vec<Call> = (0..tables::all().len())
        .filter_map(CallId::from_index)
        // What keeps the order of several tasks is the agent's alone (decision 0012).
        .filter(|id| !id.name().starts_with("task$"))
        .map(|id| Call::new(id, id.desc().written().map(|(_, a)| some(&a.ty)).collect()))
        .collect();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("case.c");
    for calls in calls.chunks(40) {
        let program = Program { calls: calls.to_vec() };
        let code = compile(&program, Mode { fork: true, block_us: 1, probes: true }).expect("compiles");
        let native = blank(&code);
        let mut target = native.clone();
        target.outcomes[calls.len() - 1].ret = -5;
        let c = render_c(&case(program, &code, native, target)).expect("it has a C form");
        std::fs::write(&path, c).expect("written");
        let gcc = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror"];
        let Ok(checked) = Command::new("gcc").args(gcc).arg(&path).output() else {
            return eprintln!("skipped: there is no gcc here");
        };
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
