//! The `parallax` command as scripts see it: what it prints, writes and returns, and what it survives.

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PARALLAX: &str = env!("CARGO_BIN_EXE_parallax");

fn parallax(args: &[&str]) -> Command {
    let mut command = Command::new(PARALLAX);
    command.args(args).stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> Output {
    parallax(args).output().expect("parallax starts")
}

/// Runs it, expects that exit code, returns standard output.
fn expect(code: i32, args: &[&str]) -> String {
    let output = output(args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "parallax {args:?}\n{out}\n{err}");
    out.into_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}:\n{text}"))
}

fn folder() -> (TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out").to_str().expect("a plain path").to_owned();
    (dir, out)
}

/// The names in a folder; none if it is not there.
fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let names = entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| !name.starts_with('.')).collect()
}

fn cases(out: &str) -> Vec<PathBuf> {
    let dir = Path::new(out).join("cases");
    names(&dir).into_iter().filter(|n| n.ends_with(".plx")).map(|n| dir.join(n)).collect()
}

fn stats(out: &str) -> Value {
    json(&std::fs::read_to_string(Path::new(out).join("stats.json")).expect("statistics"))
}

/// Waits for the process's end; kills it and fails after that time.
fn wait(child: &mut Child, patience: Duration) -> i32 {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > deadline {
            child.kill().expect("our child");
            panic!("still runs after {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("our child");
}

/// Finds a fault from nothing; the case's file, at most five calls long.
fn find(fault: &str, out: &str) -> PathBuf {
    let target = format!("mutant:{fault}");
    let limits = ["--stop-after", "1", "--time", "240s", "--no-seeds", "--quiet"];
    expect(1, &[&["fuzz", "--target", &target, "--out", out], &limits[..]].concat());
    let found = cases(out);
    assert_eq!(found.len(), 1, "{found:?}");
    let shown = json(&expect(0, &["show", "--format", "json", found[0].to_str().unwrap()]));
    let program = shown["program"].as_str().expect("the program as text");
    let text = expect(0, &["show", found[0].to_str().unwrap()]);
    assert!((1..=5).contains(&program.lines().count()), "{fault} needs no more than five calls:\n{text}");
    println!("{text}");
    found[0].clone()
}

#[test]
fn a_case_is_found_kept_replayed_shown_and_minimized() {
    let (dir, out) = folder();
    let file = find("winsize-zero", &out);
    let file = file.to_str().unwrap();
    let stats = stats(&out);
    for key in [
        "programs",
        "programs_per_second",
        "calls",
        "calls_ok",
        "corpus",
        "cases",
        "unstable",
        "restarts",
        "seconds",
    ] {
        assert!(stats[key].is_number(), "{key}: {stats}");
    }
    assert_eq!(stats["cases"], 1);

    assert!(expect(1, &["replay", file]).contains("still diverges (5 of 5"));
    assert!(expect(0, &["replay", file, "--target", "native"]).contains("fixed (0 of 5"));
    assert!(expect(1, &["replay", "--recorded", file]).contains("still diverges"));
    let replayed = json(&expect(1, &["replay", "--json", file]));
    assert_eq!(replayed.as_array().map(Vec::len), Some(1));

    assert!(expect(0, &["show", file]).contains("ws_row"));
    json(&expect(0, &["show", "--format", "json", file]));
    let c = expect(0, &["show", "--format", "c", file]);
    let (source, binary) = (dir.path().join("case.c"), dir.path().join("case"));
    std::fs::write(&source, c).unwrap();
    match Command::new("gcc").args(["-static", "-o"]).args([&binary, &source]).output() {
        Ok(compiled) => {
            assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
            let run = Command::new(&binary).output().expect("it starts");
            assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stdout));
        }
        Err(_) => eprintln!("skipped: there is no gcc here"),
    }

    let before = std::fs::read(file).unwrap();
    let smaller = dir.path().join("smaller");
    expect(0, &["minimize", file, "--out", smaller.to_str().unwrap()]);
    assert_eq!(std::fs::read(file).unwrap(), before, "the file given is never changed");
    for name in names(&smaller) {
        expect(1, &["replay", "--recorded", smaller.join(name).to_str().unwrap()]);
    }

    // A campaign is not begun over another one, and its file is the ground for hostile ones.
    expect(2, &["fuzz", "--target", "native", "--out", &out]);
    hostile_files_are_refused(dir.path(), &before);
    expected_differences_are_kept_apart(dir.path(), &out, file);
}

/// A difference that is expected is counted apart, in `replay` and in a campaign, until its entry has expired.
fn expected_differences_are_kept_apart(dir: &Path, out: &str, file: &str) {
    let entry = "[[expect]]\nsignature = \"*ws_*\"\nreason = \"planted\"\n";
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unused = "[[expect]]\nsignature = \"differential never.ret *\"\nreason = \"it never was\"\n";
    let expected = write("expected.toml", &format!("{entry}{unused}"));
    let expired = write("expired.toml", &format!("{entry}expires = 2020-02-29\n"));
    let bad = write("bad.toml", "\n[[expect]]\nsignature = 5\n");

    let said = expect(0, &["replay", file, "--expect", &expected]);
    assert!(said.contains("still diverges, as expected") && said.contains("never matched"), "{said}");
    assert!(said.contains("1 expected (") && said.contains("planted"), "{said}");
    let told = json(&expect(0, &["replay", file, "--expect", &expected, "--json"]));
    assert_eq!(told[0]["expected"], true, "{told}");
    assert!(expect(1, &["replay", file, "--expect", &expired]).contains("expired on 2020-02-29"));
    expect(1, &["replay", file, "--no-expect"]);
    let refused = output(&["replay", file, "--expect", &bad]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("bad.toml:3:"), "{refused:?}");

    let resume =
        ["fuzz", "--resume", "--target", "mutant:winsize-zero", "--execs", "50", "--quiet", "--out", out];
    let said = expect(0, &[&resume[..], &["--expect", &expected]].concat());
    assert!(said.contains("expected differences are not among them") && cases(out).is_empty(), "{said}");
    let apart = Path::new(out).join("expected").join(Path::new(file).file_name().unwrap());
    assert!(apart.exists());
    let said = expect(1, &[&resume[..], &["--expect", &expired]].concat());
    assert!(Path::new(file).exists() && !apart.exists(), "an expired entry gives its cases back: {said}");
    let counted = json(&expect(1, &[&resume[..], &["--json"]].concat()));
    assert!(counted["classes"]["semantic"].as_u64() >= Some(1) && counted["expected"] == 0, "{counted}");
}

/// Damages of a good file: each is refused in a line, with little memory.
fn hostile_files_are_refused(dir: &Path, good: &[u8]) {
    let mut bad: Vec<Vec<u8>> = [0, 1, 7, 8, 10, 20, good.len() / 2, good.len() - 1]
        .iter()
        .map(|&len| good[..len.min(good.len())].to_vec())
        .collect();
    for k in (0..good.len()).step_by(good.len() / 24 + 1) {
        let mut flipped = good.to_vec();
        flipped[k] ^= 0x40;
        bad.push(flipped);
    }
    for at in [8, 10, 12, 16, 20, 24] {
        let mut long = good.to_vec();
        long[at..at + 4].copy_from_slice(&[0xff; 4]);
        bad.push(long);
    }
    bad.push(vec![0xff; 3 << 20]);
    let path = dir.join("bad.plx");
    for (k, bytes) in bad.iter().enumerate() {
        std::fs::write(&path, bytes).unwrap();
        // 256 MiB of addresses in all: a length that is believed would not fit.
        let script = "ulimit -v 262144; exec \"$0\" show \"$1\"";
        let run = Command::new("sh").args(["-c", script, PARALLAX]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "file {k}: {said}");
        assert!(said.contains("bad.plx") && said.trim_end().lines().count() == 1, "file {k}: {said}");
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn bad_usage_is_2_and_says_so() {
    let (dir, out) = folder();
    let garbage = dir.path().join("garbage.plx");
    std::fs::write(&garbage, "no repro file").unwrap();
    let garbage = garbage.to_str().unwrap();
    let empty = dir.path().to_str().unwrap();
    for args in [
        &["fuzz", "--target", "solaris", "--out", &out] as &[&str],
        &["fuzz", "--target", "mutant:nothing", "--out", &out],
        &["fuzz", "--time", "soon"],
        &["fuzz", "--resume", "--target", "native", "--out", &out],
        &["show", "/no/such/file.plx"],
        &["show", garbage],
        &["replay", garbage],
        &["minimize", garbage],
        &["replay", &out],
        &["show", "--format", "c", empty, empty],
        &["replay"],
        &["no-such-command"],
    ] {
        let output = output(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(!said.trim().is_empty() && !said.contains("panicked") && output.stdout.is_empty(), "{said}");
    }
}

#[test]
fn a_layer_that_is_not_there_is_3() {
    let (_dir, out) = folder();
    for target in ["gvisor", "qemu-user"] {
        expect(3, &["fuzz", "--target", target, "--target-path", "/nowhere", "--out", &out]);
    }
}

#[test]
fn lists_are_json_too() {
    let targets = json(&expect(0, &["targets", "--json"]));
    assert!(targets.as_array().unwrap().iter().any(|t| t["name"] == "native" && t["active"] == true));
    let calls = json(&expect(0, &["calls", "--json"]));
    assert!(calls.as_array().unwrap().len() > 90);
    assert!(calls.as_array().unwrap().iter().all(|c| c["name"].is_string() && c["area"].is_string()));
}

#[test]
fn linux_does_not_differ_from_itself() {
    let (_dir, out) = folder();
    let args = ["fuzz", "--target", "native", "--execs", "20000", "--quiet", "--json", "--out", &out];
    let printed = json(&expect(0, &args));
    assert_eq!(printed["cases"], 0, "{printed}");
    assert!(printed["programs"].as_u64().unwrap() >= 20_000, "{printed}");
    assert!(cases(&out).is_empty());
}

#[test]
fn a_campaign_ends_on_time_or_when_asked_and_goes_on_later() {
    let (_dir, out) = folder();
    // Nearly every program shows something, so that triage is always busy.
    let target = ["--target", "mutant:getppid-zero", "--quiet", "--out", &out];
    let start = Instant::now();
    let first = output(&[&["fuzz", "--time", "4s"], &target[..]].concat());
    assert!(matches!(first.status.code(), Some(0 | 1)), "{first:?}");
    assert!(start.elapsed() < Duration::from_secs(25), "it took {:?}", start.elapsed());
    let programs = stats(&out)["programs"].as_u64().unwrap();

    let mut child = parallax(&[&["fuzz", "--resume", "--time", "10m"], &target[..]].concat());
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // On a busy machine it takes a while until it has started its pairs again.
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    let more = || stats(&out)["programs"].as_u64().is_some_and(|now| now > programs);
    while !more() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(200));
    }
    signal(&child, Signal::SIGINT);
    let code = wait(&mut child, Duration::from_secs(20));
    assert_eq!(code, i32::from(!cases(&out).is_empty()), "as if its time had been up");
    assert!(stats(&out)["programs"].as_u64().unwrap() > programs, "it went on from where it was");
    let known = cases(&out);
    output(&[&["fuzz", "--resume", "--execs", "100"], &target[..]].concat());
    assert!(known.iter().all(|case| case.exists()));
}

#[test]
fn a_killed_campaign_loses_nothing() {
    let (_dir, out) = folder();
    let mut known = BTreeSet::new();
    for round in 0..10_u64 {
        let begun = Path::new(&out).join("corpus").exists();
        let mut args =
            vec!["fuzz", "--target", "mutant:winsize-zero", "--time", "10m", "--quiet", "--out", &out];
        if begun {
            args.push("--resume");
        }
        let mut child = parallax(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Moments without a pattern: at the start, in the search, in triage.
        std::thread::sleep(Duration::from_millis(300 + round * 7919 % 3100));
        signal(&child, Signal::SIGKILL);
        wait(&mut child, Duration::from_secs(5));
        let now: BTreeSet<PathBuf> = cases(&out).into_iter().collect();
        assert!(known.is_subset(&now), "round {round}: {known:?} {now:?}");
        known = now;
        if !known.is_empty() {
            expect(1, &["replay", "--recorded", &format!("{out}/cases")]);
        }
    }
    let on_disk = names(&Path::new(&out).join("corpus")).len();
    let args =
        ["fuzz", "--resume", "--target", "mutant:winsize-zero", "--execs", "200", "--quiet", "--out", &out];
    let last = output(&args);
    let said = String::from_utf8_lossy(&last.stderr);
    assert!(matches!(last.status.code(), Some(0 | 1)), "{said}");
    assert!(!said.contains("skipped") && !said.contains("left alone"), "{said}");
    let loaded = stats(&out)["corpus"].as_u64().unwrap() as usize;
    assert!(loaded >= on_disk, "{loaded} of {on_disk} files are in the corpus");
    assert!(stats(&out)["cases"].as_u64().unwrap() >= known.len() as u64);
    assert!(cases(&out).len() >= known.len());
}

#[test]
fn two_campaigns_keep_out_of_one_folder() {
    let (_dir, out) = folder();
    std::fs::create_dir_all(&out).unwrap();
    let file = std::fs::File::create(Path::new(&out).join("lock")).unwrap();
    let _other = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e).unwrap();
    let said = output(&["fuzz", "--target", "mutant:winsize-zero", "--quiet", "--out", &out]);
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("another campaign"));
}

#[test]
fn cpu_time_beyond_the_wall_is_found() {
    let (_dir, out) = folder();
    find("rusage-user-exceeds-wall", &out);
}

#[test]
fn the_time_of_children_that_never_were_is_found() {
    let (_dir, out) = folder();
    find("rusage-children-is-self", &out);
}

#[test]
fn a_clock_lost_over_a_checkpoint_is_found() {
    let (_dir, out) = folder();
    find("time-zero-after-restore", &out);
}

#[test]
fn memory_changed_over_a_checkpoint_is_found() {
    let (_dir, out) = folder();
    find("memory-after-inject", &out);
}
