//! The real layers: each one that is installed starts, says hello, proves itself, and leaves nothing behind.
//!
//! Where a layer is missing a test says so and passes, except under `CI=true`, where all must be there.

use parallax_corpus::End;
use parallax_corpus::text::parse;
use parallax_harness::pair::{Pair, PairResult, RunOptions};
use parallax_harness::target::{Instance, Slot, Target, TargetError};
use parallax_harness::targets::{Choice, choose, host};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Set for the process that holds a layer until it is killed.
const HOLD: &str = "PARALLAX_TEST_HOLD";
const HELLO: Duration = Duration::from_secs(30);

/// The target of that name or, with a brace in it, of that command; `None` if it is not installed.
fn layer(name: &str) -> Option<Arc<dyn Target>> {
    let word = Some(name.to_owned());
    let choice = if name.contains('{') {
        Choice { command: word, ..Choice::default() }
    } else {
        Choice { name: word, ..Choice::default() }
    };
    match choose(&choice) {
        Ok(target) => Some(target),
        Err(e @ TargetError::Missing { .. }) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{name}: {e}"),
    }
}

fn started(target: &dyn Target, slot: &Slot) -> Box<dyn Instance> {
    let mut instance = target.start(slot).unwrap_or_else(|e| panic!("{}: {e}", target.name()));
    let seen = instance.link().hello(HELLO);
    seen.unwrap_or_else(|e| panic!("{}: {e}: {}", target.name(), instance.last_words()));
    instance
}

/// The canary passes, a version is there, and two instances live side by side on different cores.
fn works(name: &str) {
    let Some(target) = layer(name) else { return };
    assert_eq!(target.name(), name);
    let version = target.version().unwrap();
    let seen = target.canary().unwrap();
    eprintln!("{name}, version {version}: {seen}");
    assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");

    let start = Instant::now();
    let mut first = started(target.as_ref(), &Slot { worker: 0, cpu: Some(0) });
    eprintln!("{name}: hello after {:?}", start.elapsed());
    let mut second = started(target.as_ref(), &Slot::default());
    first.kill();
    assert!(first.link().receive(Duration::from_secs(5)).is_err(), "a killed instance answers");
    // The other one is still there: silent, not closed.
    let quiet = second.link().receive(Duration::from_millis(50)).unwrap_err().to_string();
    assert!(quiet.contains("no answer within"), "{quiet}");
}

#[test]
fn gvisor_takes_the_best_platform() {
    works("gvisor");
}

#[test]
fn gvisor_runs_on_systrap() {
    works("gvisor:systrap");
}

#[test]
fn gvisor_runs_on_ptrace() {
    works("gvisor:ptrace");
}

#[test]
fn qemu_user_translates_the_agent() {
    works("qemu-user");
}

#[test]
fn any_command_can_be_a_layer() {
    works("proot {agent}");
}

#[test]
fn a_sandbox_command_can_be_a_layer() {
    works("bwrap --bind / / --dev /dev --proc /proc --unshare-all --cap-drop ALL --die-with-parent {agent}");
}

#[test]
fn a_command_that_steps_aside_is_no_layer() {
    let target = layer("env {agent}").expect("env is everywhere");
    match target.canary() {
        Err(TargetError::Inactive { why, .. }) => assert!(why.contains("become the agent itself"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_layer_that_dies_tells_its_last_words() {
    let target = layer("sh -c 'echo no such luck >&2; : {agent}'").expect("sh is everywhere");
    let said = target.canary().unwrap_err().to_string();
    assert!(said.contains("no such luck"), "{said}");
}

/// What the oracles say of a program under a wrapper script of our own that calls upon a file beside it.
#[test]
fn a_wrapper_from_a_private_folder_finds_its_files_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("words"), "words='there they are'\n").unwrap();
    let wrapper = folder.path().join("wrapper");
    let script = "#!/bin/sh\n. \"$(dirname \"$0\")/words\"\n[ -n \"$words\" ] && \"$@\"; exit\n";
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).unwrap();
    let target = layer(&format!("{} {{agent}}", wrapper.display())).expect("a shell is everywhere");
    let mut pair = Pair::start(target, Slot::default()).unwrap();
    // The agent's parent is the shell there, and its root shows more than a bare jail's.
    let calls = "getppid()\ngetsid(0)\nr0 = openat$dir(\"//\", O_RDONLY)\ngetdents64(r0, out[2048])\nfstat(r0, out)\n";
    let result = pair.run(&[parse(calls).unwrap()], RunOptions::PATIENT).unwrap().remove(0);
    assert!(!result.unusable(), "{result:?}");
    assert_eq!(result.finding, None);
}

/// docs/findings/gvisor-hang.md: a layer that takes a key of no value for one stops the program.
#[test]
fn a_program_stopped_by_a_key_of_no_value_is_continued() {
    let Some(target) = layer("gvisor") else { return };
    let mut pair = Pair::start(target, Slot::default()).unwrap();
    let settings = "{ICRNL, OPOST|ONLCR, B38400|CS8|CREAD, ISIG, 3, 28, 127, 21, 4, 0, 1}";
    let after = parse(&format!("ioctl$tcsets(0, {settings})\nwrite$keys(3, \"\\x00\")\n")).unwrap();
    let before = parse(&format!("write$keys(3, \"a\\n\\x00\")\nioctl$tcsets(0, {settings})\n")).unwrap();
    for result in pair.run(&[after, before], RunOptions::SEARCH).unwrap() {
        assert_eq!((result.native.end, result.target.end), (End::Exited, End::Exited));
    }
    assert_eq!(pair.restarts(), 0);
}

/// No test, but the other process of the tests below: starts a layer and holds it until it is killed.
#[test]
fn hold() {
    let Ok(name) = std::env::var(HOLD) else { return };
    let target = layer(&name).expect("it was there a moment ago");
    let _instance = started(target.as_ref(), &Slot::default());
    let family = host::family(std::process::id() as i32);
    println!("\nholding {}", family[1..].iter().map(i32::to_string).collect::<Vec<_>>().join(" "));
    std::thread::sleep(Duration::from_secs(60));
}

/// Whether a process still runs; a zombie nobody has waited for does not.
fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn survives_no_sigkill(name: &str) {
    if layer(name).is_none() {
        return;
    }
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold", "--nocapture"])
        .env(HOLD, name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let held: Vec<i32> = lines
        .map_while(Result::ok)
        .find_map(|line| {
            Some(line.strip_prefix("holding ")?.split(' ').map(|pid| pid.parse().unwrap()).collect())
        })
        .expect("the other process holds a layer");
    assert!(!held.is_empty() && held.iter().all(|&pid| alive(pid)), "{held:?}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while held.iter().any(|&pid| alive(pid)) {
        assert!(Instant::now() < deadline, "{name} survives its owner: {held:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_owner_takes_gvisor_along() {
    survives_no_sigkill("gvisor:systrap");
    survives_no_sigkill("gvisor:ptrace");
}

#[test]
fn a_killed_owner_takes_a_jailed_layer_along() {
    survives_no_sigkill("qemu-user");
    survives_no_sigkill("proot {agent}");
}

/// What a batch of programs, in text form, comes to on a layer; `None` if it is not installed.
fn run(name: &str, programs: &[&str]) -> Option<Vec<PairResult>> {
    let mut pair = Pair::start(layer(name)?, Slot::default()).unwrap();
    let programs: Vec<_> = programs.iter().map(|text| parse(text).unwrap()).collect();
    Some(pair.run(&programs, RunOptions { haste: 3, ..RunOptions::PATIENT }).unwrap())
}

fn signature(result: &PairResult) -> String {
    result.finding.as_ref().map_or("none".to_owned(), |f| f.signature().0)
}

/// qemu-user 7.2 leaks both ends of a pipe whose numbers it cannot hand out.
#[test]
fn a_leaked_descriptor_is_laid_to_the_call_that_leaked_it() {
    let program = "r0, r1 = pipe(-1)\nmkdirat(\"d0\", 511)\nr2 = openat$null(O_RDWR)\n";
    let Some(results) = run("qemu-user", &[program]) else { return };
    assert_eq!(signature(&results[0]), "differential descriptors.number shifted after pipe");
}

/// gVisor lets `SIGTSTP` stop an orphaned process group, which Linux does not.
#[test]
fn a_stop_is_laid_to_the_call_it_came_in() {
    let Some(results) = run("gvisor", &["getpid()\nr1 = gettid()\ntkill(r1, SIGTSTP)\ngetppid()\n"]) else {
        return;
    };
    assert_eq!(signature(&results[0]), "differential kill$self.stops stopped too often");
}

/// qemu-user 7.2 reports a signal on the program's standard error, which is a terminal that `^S` has stopped.
#[test]
fn a_hang_costs_the_other_programs_of_the_batch_nothing() {
    let programs = ["getpid()\n", "write$keys(3, \"\\x13\")\npoke(PAGE0, 0, 1)\n", "getppid()\n"];
    let Some(results) = run("qemu-user", &programs) else { return };
    let ends: Vec<End> = results.iter().map(|r| r.target.end).collect();
    assert_eq!(ends, [End::Exited, End::Hung, End::Exited]);
}

#[test]
fn a_pair_that_is_told_to_stop_does_not_wait_for_a_hung_layer() {
    let Some(target) = layer("qemu-user") else { return };
    let mut pair = Pair::start(target, Slot::default()).unwrap();
    let hang = parse("write$keys(3, \"\\x13\")\npoke(PAGE0, 0, 1)\n").unwrap();
    pair.stop_when(Arc::new(|| true));
    let answer = pair.run(&[hang], RunOptions::PATIENT);
    assert!(matches!(answer, Err(TargetError::Stopped)));
}
