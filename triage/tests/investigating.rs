//! From a finding to a case on real pairs: which call it is laid to, and what it is called.

use parallax_corpus::text::parse;
use parallax_harness::oracles::{Class, Signature};
use parallax_harness::pair::{Pair, RunOptions};
use parallax_harness::target::Slot;
use parallax_harness::targets::mutant::Mutant;
use parallax_replay::Repro;
use parallax_triage::confirm::Doubt;
use parallax_triage::investigate::{Provenance, Verdict, investigate};
use std::error::Error;
use std::sync::Arc;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn from(fault: &str) -> Provenance {
    Provenance { target_name: format!("mutant:{fault}"), kernel: "6.1.0".into(), ..Provenance::default() }
}

/// Investigates the first finding of a program.
fn looked_into(fault: &str, source: &str, known: &dyn Fn(&Signature) -> bool) -> Outcome<Verdict> {
    let mut pair = Pair::start(Arc::new(Mutant::named(fault)?), Slot::default())?;
    let program = parse(source).map_err(|e| format!("{fault}: {e}"))?;
    let result = pair.run(std::slice::from_ref(&program), RunOptions::PATIENT)?.remove(0);
    let finding = result.finding.ok_or_else(|| format!("{fault} does not show"))?;
    Ok(investigate(&mut pair, &program, &finding, &from(fault), known)?)
}

fn case(fault: &str, source: &str) -> Outcome<Repro> {
    match looked_into(fault, source, &|_| false)? {
        Verdict::Case(repro) => Ok(*repro),
        other => Err(format!("{fault}: {other:?}").into()),
    }
}

#[test]
fn a_wrong_state_is_laid_to_the_call_that_made_it_wrong_whichever_descriptor_shows_it() -> Outcome<()> {
    let shared = "differential status flags.ret gained O_APPEND after fcntl$setfl";
    for source in [
        // Shown by a probe of a descriptor that the guilty call never touched.
        "r0 = openat$tty(O_RDWR)\nr1 = openat$tty(O_RDWR)\nfcntl$setfl_tty(r0, O_APPEND)",
        // The same, with harmless uses of that descriptor at the end.
        "r0 = openat$tty(O_RDWR)\nr1 = openat$tty(O_RDWR)\nfcntl$setfl_tty(r0, O_APPEND)\nioctl$tiocgwinsz(r1, out)",
        // Looked at by the program itself.
        "r0 = openat$tty(O_RDWR)\nr1 = openat$tty(O_RDWR)\nfcntl$setfl_tty(r0, O_APPEND)\nfcntl$getfl(r1)",
    ] {
        assert_eq!(case("tty-shared-flags", source)?.signature.0, shared, "{source}");
    }
    Ok(())
}

#[test]
fn a_flag_that_is_not_set_is_laid_to_the_call_that_should_have_set_it() -> Outcome<()> {
    for source in [
        "r0 = openat$create(\"f\", 0o644)\nfcntl$setfl(r0, O_APPEND)",
        "r0 = creat(\"f\", 0o644)\nfcntl$setfl(r0, O_APPEND)\nr1 = dup(r0)\nfcntl$getfl(r1)",
    ] {
        let repro = case("append-ignored", source)?;
        assert_eq!(repro.signature.0, "differential status flags.ret lost O_APPEND after fcntl$setfl");
        assert_eq!((repro.finding.cause.as_str(), repro.finding.class), ("fcntl$setfl", Class::Semantic));
        assert_eq!(repro.program.calls.len(), 2, "{:?}", repro.program);
    }
    Ok(())
}

#[test]
fn a_flag_lost_by_the_call_that_makes_the_descriptor_is_laid_to_it() -> Outcome<()> {
    let repro =
        case("dupfd-cloexec-lost", "r0 = eventfd2(0, 0)\nr1 = fcntl$dupfd_cloexec(r0, 10)\nclose(r0)")?;
    assert_eq!(
        repro.signature.0,
        "differential descriptor flags.ret lost FD_CLOEXEC after fcntl$dupfd_cloexec"
    );
    Ok(())
}

#[test]
fn a_look_that_is_wrong_by_itself_is_its_own_cause() -> Outcome<()> {
    let repro = case("winsize-zero", "ioctl$tiocgpgrp(0, out)\nioctl$tiocgwinsz(0, out)")?;
    assert_eq!(repro.signature.0, "differential ioctl$tiocgwinsz.ws_row something became zero");
    Ok(())
}

#[test]
fn a_case_that_is_known_is_not_confirmed_again() -> Outcome<()> {
    let known = |s: &Signature| s.0 == "differential getppid.ret not the same one";
    let verdict = looked_into("getppid-zero", "getpid()\ngetppid()", &known)?;
    assert!(matches!(verdict, Verdict::Known(..)), "{verdict:?}");
    Ok(())
}

#[test]
fn a_finding_that_does_not_show_is_a_doubt() -> Outcome<()> {
    let mut pair = Pair::start(Arc::new(Mutant::named("getppid-zero")?), Slot::default())?;
    let program = parse("getppid()")?;
    let finding = pair.run(std::slice::from_ref(&program), RunOptions::PATIENT)?.remove(0).finding;
    let finding = finding.ok_or("it shows")?;
    let other = parse("getpid()")?;
    let verdict = investigate(&mut pair, &other, &finding, &from("getppid-zero"), &|_| false)?;
    assert!(matches!(verdict, Verdict::Doubt(Doubt::Flaky(_, count), _) if count.k == 0), "{verdict:?}");
    Ok(())
}
