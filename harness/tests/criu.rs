//! Programs that CRIU dumps and restores at their checkpoints, for real; and the jail that this takes.

use parallax_corpus::text::parse;
use parallax_corpus::{End, Program, State};
use parallax_harness::oracles::Class;
use parallax_harness::pair::{Isolation, Pair, PairResult, RunOptions};
use parallax_harness::target::{Slot, Target, TargetError};
use parallax_harness::targets::criu::Criu;
use std::path::Path;
use std::sync::Arc;

/// The CRIU of this machine; none where there is none, but under `CI=true`.
fn criu(options: Option<&str>) -> Option<Arc<Criu>> {
    match Criu::named(options, None) {
        Ok(criu) => Some(Arc::new(criu)),
        Err(e @ TargetError::Missing { .. }) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn parsed(texts: &[&str]) -> Vec<Program> {
    texts.iter().map(|t| parse(t).unwrap_or_else(|e| panic!("{t}: {e}"))).collect()
}

fn run(target: Arc<dyn Target>, texts: &[&str], isolation: Isolation) -> Vec<PairResult> {
    let mut pair = Pair::start(target, Slot::default()).unwrap();
    pair.run(&parsed(texts), RunOptions::PATIENT.at(isolation)).unwrap()
}

/// What comes through a dump and a restore as it was.
const WHOLE: &[&str] = &[
    "checkpoint()\n",
    "getpid()\ncheckpoint()\ngetpid()\ncheckpoint()\ngetppid()\n",
    "r0, r1 = pipe2(out, O_NONBLOCK)\nwrite(r1, \"kept\")\ncheckpoint()\nread(r0, out[16])\n",
    "r0 = openat$create(\"/w/a\", 0o600)\nwrite(r0, \"kept\")\ncheckpoint()\nlseek(r0, 0, SEEK_CUR)\n",
    "r0 = eventfd2(3, 0)\ncheckpoint()\nread$event(r0, out)\n",
    "rt_sigaction$set(SIGUSR1, {HANDLER, 0, {}})\ncheckpoint()\nr2 = getpid()\nkill$self(r2, SIGUSR1)\nsignal_log(out)\n",
    "umask(0o77)\ncheckpoint()\numask(0o22)\n",
];

#[test]
fn what_criu_keeps_is_no_finding_on_any_rung() {
    let Some(target) = criu(None) else { return };
    for isolation in [Isolation::Shared, Isolation::Fresh] {
        for (result, text) in run(target.clone(), WHOLE, isolation).iter().zip(WHOLE) {
            assert_eq!(result.finding, None, "{text}{result:?}");
            assert!(!result.unusable(), "{text}{result:?}");
        }
    }
}

#[test]
fn threads_and_terminals_of_the_program_s_own_are_dumped_with_it() {
    let Some(target) = criu(None) else { return };
    let programs = [
        "r0 = task$thread()\n@1 getpid()\ncheckpoint()\n@1 getppid()\n",
        "r0 = task$process()\n@1 getpid()\ncheckpoint()\n@1 getpid()\n",
        "r0, r1 = pipe2(out, 0)\nr2 = task$process()\n@1 read(r0, out[4])\ncheckpoint()\nwrite(r1, \"wake\")\n",
        "r0 = openat$tty(O_RDWR)\nclose(r0)\nwrite(0, \"x\")\ncheckpoint()\nioctl$tiocgwinsz(0, out)\n",
    ];
    for (result, text) in run(target, &programs, Isolation::Shared).iter().zip(programs) {
        assert_eq!(result.target.mishaps, [], "{text}");
        assert_eq!(result.target.end, End::Exited, "{text}{result:?}");
    }
}

#[test]
fn the_terminal_from_outside_is_given_back_to_a_restored_program() {
    let Some(target) = criu(None) else { return };
    let programs = [
        "outside$terminal()\ncheckpoint()\nioctl$tiocgwinsz(0, out)\n",
        "outside$type(\"hello\\n\")\ncheckpoint()\nread$tty(0, out[16])\noutside$shown(out[64])\n",
        "outside$terminal()\nwrite(1, \"a\\n\")\ncheckpoint()\noutside$shown(out[64])\noutside$resize(50, 132)\n",
    ];
    for (result, text) in run(target, &programs, Isolation::Shared).iter().zip(programs) {
        assert_eq!(result.finding, None, "{text}{result:?}");
        assert_eq!(result.target.end, End::Exited, "{text}{result:?}");
    }
}

#[test]
fn a_refusal_is_a_class_of_its_own_and_names_criu_s_reason() {
    let Some(target) = criu(None) else { return };
    // A segment of System V memory without its IPC namespace.
    let programs = ["r0 = shmget(KEY2, 1)\nshmat(r0, PAGE1, 0)\ncheckpoint()\ngetpid()\n"; 2];
    let results = run(target, &programs, Isolation::Shared);
    let findings: Vec<_> = results.iter().map(|r| r.finding.clone().expect("refused")).collect();
    assert_eq!(findings[0].class, Class::Refusal);
    assert_eq!((findings[0].name.as_str(), findings[0].field.as_str()), ("checkpoint", "dump"));
    assert!(findings[0].kind.starts_with("criu/"), "{}", findings[0].kind);
    assert_eq!(findings[0].signature(), findings[1].signature());
    assert!(!results[0].target.mishaps[0].log.is_empty());
    assert_eq!(results[0].target.outcomes[2].state, State::Died);
}

#[test]
fn the_reference_agrees_with_itself_and_its_programs_have_no_rights() {
    let Some(target) = criu(None) else { return };
    let reference = target.reference();
    let mut pair = Pair::start(reference, Slot::default()).unwrap();
    let texts = [
        "checkpoint()\ngetpid()\n",
        // Root of the machine, but for what it may do: `/run` is root's, and so is this device's mode.
        "openat$at(AT_FDCWD, \"/run/trace\", O_RDONLY, 0)\n",
        "chmod(\"/dev/null\", 0)\n",
        "openat$at(AT_FDCWD, \"/proc/sys/kernel/core_pattern\", O_WRONLY, 0)\n",
        "openat$at(AT_FDCWD, \"/proc/sysrq-trigger\", O_WRONLY, 0)\n",
    ];
    for text in texts {
        let result = pair.run(&parsed(&[text]), RunOptions::PATIENT).unwrap().remove(0);
        assert_eq!(result.finding, None, "{text}");
        let first = &result.native.outcomes[0];
        assert_eq!(text.starts_with("checkpoint"), first.ok(), "{text}{first:?}");
    }
}

#[test]
fn memory_that_comes_when_it_is_touched_is_the_same_memory() {
    let Some(criu) = criu(Some("lazy-pages")) else { return };
    // Written before the checkpoint, read after it; twice, so that it is served twice.
    let memory =
        "poke(PAGE0, 0, 1)\npoke(PAGE2, 8, 1)\ncheckpoint()\nload(PAGE2)\ncheckpoint()\nload(PAGE0)\n";
    let programs = [WHOLE, &[memory]].concat();
    for (result, text) in run(criu, &programs, Isolation::Shared).iter().zip(programs) {
        assert_eq!(result.target.mishaps, [], "{text}");
        assert_eq!(result.finding, None, "{text}{result:?}");
    }
}

#[test]
fn options_are_part_of_the_name_and_strange_ones_are_refused() {
    let Some(target) = criu(Some("ghost-limit=4096,fault=127")) else { return };
    assert_eq!(target.name(), "criu:ghost-limit=4096,fault=127");
    let said = Criu::named(Some("x y"), None).expect_err("strange").to_string();
    assert!(said.contains("criu:x y"), "{said}");
    let said = Criu::named(None, Some(Path::new("/nowhere/criu"))).expect_err("nowhere").to_string();
    assert!(said.contains("/nowhere/criu"), "{said}");
}
