//! The outside terminal: native against native stays silent, nothing outlives a program, the planted fault of `/dev/tty`
//! is found through it, and the real layers run it.

use parallax_corpus::text::parse;
use parallax_corpus::{CallId, End, Program};
use parallax_harness::pair::{Isolation, Pair, PairResult, RunOptions};
use parallax_harness::target::{Slot, Target, TargetError};
use parallax_harness::targets::mutant::Mutant;
use parallax_harness::targets::native::Native;
use parallax_harness::targets::{Choice, choose};
use std::sync::Arc;

const PROGRAMS: &[&str] = &[
    "outside$terminal()\n",
    "outside$type(\"hello\\n\")\nread$tty(0, out[16])\noutside$shown(out[64])\n",
    "outside$type(\"partial\")\nioctl$fionread(0, out)\nread$tty(0, out[16])\n",
    "outside$type(\"a\\tb\\x7f\\x17c\\n\")\nread$tty(0, out[16])\n",
    "outside$terminal()\nr1 = openat$tty(O_RDWR|O_NONBLOCK)\nread$tty(r1, out[16])\nwrite(r1, \"x\\n\")\n",
    "outside$resize(50, 132)\nioctl$tiocgwinsz(0, out)\n",
    "rt_sigaction$set(SIGWINCH, {HANDLER, 0, {}})\noutside$resize(50, 80)\nsignal_log(out)\n",
    "rt_sigaction$set(SIGINT, {HANDLER, 0, {}})\noutside$type(\"\\x03\")\nsignal_log(out)\n",
    "outside$type(\"\\x03\")\ngetpid()\n",
    "outside$type(\"\\x1a\")\ngetpid()\n",
    "rt_sigaction$set(SIGUSR1, {HANDLER, 0, {}})\noutside$signal(SIGUSR1)\nsignal_log(out)\n",
    "outside$signal(SIGKILL)\ngetpid()\n",
    "outside$signal(SIGSTOP)\ngetpid()\n",
    "outside$type(\"\\x13\")\nwrite(1, \"stopped\")\n",
    "outside$terminal()\nioctl$tiocgpgrp(0, out)\nioctl$tiocgsid(0, out)\nr3 = getpid()\ngetpgid(r3)\ngetsid(r3)\n",
    "outside$terminal()\nsetsid()\nioctl$tiocsctty(0, 0)\n",
    // Which terminal of the machine it is.
    "outside$terminal()\nfstat$dev(2, out)\n",
    // To the background, where a read stops it for ever.
    "outside$terminal()\nr1 = spawn(1000, 0)\nsetpgid(r1, r1)\nioctl$tiocspgrp(0, {r1})\nread$tty(0, out[8])\n",
    "outside$terminal()\nr1 = spawn(1000, 0)\nsetpgid(r1, r1)\nioctl$tiocspgrp(0, {r1})\nioctl$tcsets(0, {0, 0, 0, 0, 3, 28, 127, 21, 4, 0, 1})\n",
];

fn pair(target: Arc<dyn Target>) -> Pair {
    Pair::start(target, Slot::default()).unwrap()
}

fn parsed(texts: &[&str]) -> Vec<Program> {
    texts.iter().map(|t| parse(t).unwrap_or_else(|e| panic!("{t}: {e}"))).collect()
}

#[test]
fn programs_with_it_agree_with_themselves_on_every_rung() {
    let mut pair = pair(Arc::new(Native));
    for isolation in [Isolation::Shared, Isolation::Forked, Isolation::Fresh] {
        let results = pair.run(&parsed(PROGRAMS), RunOptions::PATIENT.at(isolation)).unwrap();
        for (result, text) in results.iter().zip(PROGRAMS) {
            assert_eq!(result.finding, None, "{text}");
            assert!(!result.unusable(), "{text}{result:?}");
        }
    }
}

/// Programs that would leave their mark on the terminal, the agent's open file of it, or the agent.
const VANDALS: &[&str] = &[
    "outside$type(\"\\x13\")\nioctl$tiocexcl(0)\n",
    "outside$terminal()\nioctl$tcxonc(0, TCOOFF)\n",
    "outside$type(\"left over\\npart\\x16\")\n",
    "outside$terminal()\nwrite(1, \"never read\")\n",
    "outside$terminal()\nfcntl$setfl(0, O_NONBLOCK|O_APPEND)\n",
    "outside$terminal()\nioctl$tcsets(0, {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0})\n",
    "outside$resize(1, 1)\n",
    "outside$terminal()\nflock(0, LOCK_EX)\nr2 = getpid()\nfcntl$setown(0, r2)\n",
    "outside$type(\"\\x03\\x1c\\x1a\")\n",
    "outside$signal(SIGKILL)\n",
    "outside$terminal()\nr1 = spawn(1000, 0)\nsetpgid(r1, r1)\nioctl$tiocspgrp(0, {r1})\nread$tty(0, out[8])\n",
    "outside$terminal()\nioctl$tiocnotty(0)\n",
    "outside$terminal()\nclose(0)\nclose(1)\nclose(2)\n",
    "outside$terminal()\nr1 = openat$tty(O_RDWR)\nioctl$tiocsctty(r1, 1)\nsetsid()\n",
];

#[test]
fn no_program_changes_the_outside_terminal_of_the_next() {
    let mut pair = pair(Arc::new(Native));
    let look = "outside$shown(out[64])\nioctl$tcgets(0, out)\nioctl$tiocgwinsz(0, out)\nioctl$fionread(0, out)\n\
                fcntl$getfl(0)\nr5 = openat$tty(O_RDWR)\nioctl$tiocgpgrp(0, out)\noutside$type(\"ok\\n\")\n\
                read$tty(r5, out[8])\nwrite(1, \"\\tx\")\noutside$shown(out[64])\n";
    // A terminal of a program's own is no concern of the outside one's, nor the other way round.
    let own = "openat$tty(O_RDWR)\nwrite$keys(3, \"x\\n\")\nread$tty(0, out[8])\n";
    let looks = parsed(&[look, own]);
    let mut answers = |first: &str| -> Vec<_> {
        let mut programs = parsed(&[first]);
        programs.extend(looks.clone());
        let results = pair.run(&programs, RunOptions::PATIENT).unwrap();
        let said = |r: &PairResult| -> Vec<_> {
            // The group's number is the program's own.
            let outs = r
                .native
                .outcomes
                .iter()
                .enumerate()
                .map(|(k, o)| (k != 6).then(|| (o.state, o.ret, o.out.clone())));
            outs.collect()
        };
        results[1..].iter().map(|r| (r.native.end, said(r))).collect()
    };
    let before = answers("getpid()\n");
    assert!(before.iter().all(|(end, _)| *end == End::Exited), "{before:?}");
    for vandal in VANDALS {
        assert_eq!(answers(vandal), before, "after\n{vandal}");
    }
}

#[test]
fn the_planted_fault_of_dev_tty_is_found_through_it() {
    let mut pair = pair(Arc::new(Mutant::named("tty-shared-flags").unwrap()));
    let program = "outside$terminal()\nr1 = openat$tty(O_RDWR)\nr2 = openat$tty(O_RDWR)\n\
                   fcntl$setfl_tty(r1, O_NONBLOCK|O_APPEND)\nfcntl$getfl(r2)\n";
    for isolation in [Isolation::Shared, Isolation::Forked, Isolation::Fresh] {
        let result = pair.run(&parsed(&[program]), RunOptions::PATIENT.at(isolation)).unwrap().remove(0);
        let finding = result.finding.expect("the fault is stepped on");
        assert_eq!((finding.name.as_str(), finding.field.as_str()), ("fcntl$getfl", "ret"), "{finding:?}");
    }
}

/// What everybody who hands a terminal on does alike: size, line, echo, and what is shown.
const PLAIN: &[&str] = &[
    "outside$terminal()\n",
    "outside$type(\"hello\\n\")\nread$tty(0, out[16])\noutside$shown(out[64])\n",
    "outside$resize(50, 132)\nioctl$tiocgwinsz(0, out)\n",
    "outside$terminal()\nwrite(1, \"a\\n\")\noutside$shown(out[64])\n",
    "rt_sigaction$set(SIGUSR1, {HANDLER, 0, {}})\noutside$signal(SIGUSR1)\nsignal_log(out)\n",
    // The one before has left nothing.
    "outside$type(\"part\")\n",
    "outside$type(\"x\\n\")\nread$tty(0, out[16])\noutside$shown(out[64])\n",
];

/// Runs on that layer as natively; says so and passes where it is not installed, but under `CI=true`.
fn works_on(name: &str) {
    let command = name.contains('{');
    let choice = Choice {
        name: (!command).then(|| name.to_owned()),
        command: command.then(|| name.to_owned()),
        path: None,
    };
    let target = match choose(&choice) {
        Ok(target) => target,
        Err(e @ TargetError::Missing { .. }) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("skipped: {e}");
            return;
        }
        Err(e) => panic!("{name}: {e}"),
    };
    let mut pair = pair(target);
    assert!(pair.environments().1.has_outer(), "{name}: the hello knows of no outside terminal");
    assert!(CallId::named("outside$terminal").is_some_and(|id| pair.can_run(id)));
    for (result, text) in pair.run(&parsed(PLAIN), RunOptions::PATIENT).unwrap().iter().zip(PLAIN) {
        assert_eq!(result.finding, None, "{name}: {text}{result:?}");
        assert!(!result.unusable(), "{name}: {text}{result:?}");
    }
}

#[test]
fn gvisor_hands_it_on() {
    works_on("gvisor");
}

#[test]
fn qemu_user_hands_it_on() {
    works_on("qemu-user");
}

#[test]
fn a_command_hands_it_on() {
    works_on("proot {agent}");
}
