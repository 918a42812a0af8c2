//! Programs people would write, and recordings of real ones: they run, and Linux agrees with itself about them.

use parallax_corpus::{State, seeds, text};
use parallax_harness::pair::{Pair, RunOptions};
use parallax_harness::target::Slot;
use parallax_harness::targets::native::Native;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/tests/fixtures");

fn parallax(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.args(args).stdin(Stdio::null()).output().expect("parallax starts")
}

/// Runs it, expects that exit code, returns standard output.
fn expect(code: i32, args: &[&str]) -> String {
    let output = parallax(args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "parallax {args:?}\n{out}\n{err}");
    out.into_owned()
}

fn pair() -> Option<Pair> {
    let started = Pair::start(Arc::new(Native), Slot::default());
    started.inspect_err(|error| eprintln!("skipped: {error}")).ok()
}

#[test]
fn seeds_run_and_are_stable_on_linux() {
    let Some(mut pair) = pair() else { return };
    for (area, name, source) in seeds::ALL {
        let program = text::parse(source).unwrap_or_else(|e| panic!("{area}/{name}: {e}"));
        if !program.calls.iter().all(|call| pair.can_run(call.id)) {
            continue;
        }
        let copies = vec![program.clone(); 5];
        for result in pair.run(&copies, RunOptions::PATIENT).expect("runs") {
            assert!(!result.unusable(), "{area}/{name} could not be run");
            let found = result.finding.map(|finding| finding.line());
            assert_eq!(found, None, "{area}/{name}: Linux differs from itself");
            let outcomes = &result.native.outcomes[..program.calls.len()];
            let good = outcomes.iter().filter(|o| o.state == State::Done && o.ok()).count();
            let bad: Vec<String> = (0..outcomes.len())
                .filter(|k| !(outcomes[*k].state == State::Done && outcomes[*k].ok()))
                .map(|k| format!("{} gives {:?}", text::write_call(&program, k), outcomes[k]))
                .collect();
            assert!(good * 5 >= outcomes.len() * 4, "{area}/{name}: only {good} succeed: {bad:#?}");
        }
    }
}

#[test]
fn a_recording_is_imported_and_replayed_by_one_command() {
    if pair().is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("programs");
    let out = out.to_str().expect("a plain path");
    for name in ["editor", "shell"] {
        let file = format!("{FIXTURES}/{name}.strace");
        let shown = expect(0, &["import", "strace", &file, "--out", out, "--replay", "--target", "native"]);
        assert!(shown.contains(" 0 differ, 0 unstable, 0 could not be run"), "{shown}");
        // A planted fault shows as the recorded call it is in.
    }
    let editor = format!("{FIXTURES}/editor.strace");
    let shown = expect(1, &["import", "strace", &editor, "--replay", "--target", "mutant:winsize-zero"]);
    assert!(
        shown.contains("ioctl$tiocgwinsz") && shown.contains("editor.strace:17: ioctl(1, TIOCGWINSZ"),
        "{shown}"
    );
    // What was written can be replayed too, and begin a campaign.
    let json = expect(1, &["replay", out, "--target", "mutant:winsize-zero", "--runs", "2", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let ran = json.as_array().expect("a list");
    let first = ran.iter().find(|r| r["outcome"] == "diverges").expect("a difference");
    assert!(first["recorded"].as_str().is_some_and(|line| line.starts_with("editor.strace:17:")), "{first}");
    let campaign = dir.path().join("campaign");
    let campaign = campaign.to_str().expect("a plain path");
    let args = ["fuzz", "--target", "native", "--seeds", out, "--execs", "300", "--quiet", "--out", campaign];
    expect(0, &args);
    assert!(Path::new(campaign).join("corpus").exists());
}

#[test]
fn bad_input_is_2_and_says_where() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("t.txt");
    std::fs::write(&file, "nothing of the kind\n").expect("a file");
    let file = file.to_str().expect("a plain path");
    for args in [&["import", "strace", file] as &[&str], &["import", "strace", "/nowhere"], &["replay", file]]
    {
        let output = parallax(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("line 1") || said.contains("/nowhere"), "{said}");
    }
}

#[test]
fn a_live_program_is_recorded_where_strace_is() {
    let traces = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !traces.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no strace here that may trace");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let script =
        format!("cd {} && echo one > a && cat a && mv a b && ls && (exit 3); true", dir.path().display());
    let json = expect(0, &["record", "--json", "--", "sh", "-c", &script]);
    // The program's own output comes first.
    let json: Value = serde_json::from_str(&json[json.find("{\n").expect("JSON")..]).expect("JSON");
    assert!(json["share"].as_f64().is_some_and(|share| share >= 0.8), "{json:#}");
    assert!(json["programs"].as_u64().is_some_and(|n| n >= 2), "{json:#}");
}
