//! Which call a state is laid to, on layers made up for the purpose.

use parallax_corpus::compile::{Code, Mode, compile};
use parallax_corpus::text::parse;
use parallax_corpus::{End, Outcome, Program, State, Trace};
use parallax_harness::oracles::{Evidence, Finding, judge};
use parallax_harness::pair::{PairResult, RunOptions};
use parallax_harness::target::TargetError;
use parallax_triage::Lab;
use parallax_triage::cause::{earlier, lay};
use std::error::Error;

const HOW: RunOptions = RunOptions::SEARCH;

/// A layer: what it makes of a call's outcome, given the code, the call's index and a count of runs.
struct Layer<F>(F, usize);

impl<F: FnMut(&Code, usize, usize, &mut [Trace; 2])> Lab for Layer<F> {
    fn run(&mut self, programs: &[Program], _: RunOptions) -> Result<Vec<PairResult>, TargetError> {
        let run = |program: &Program| {
            let code =
                compile(program, Mode { fork: false, block_us: 3000, probes: true }).expect("compiles");
            let outcomes = code.spans.iter().map(|spans| {
                let len: usize = spans.iter().map(|s| s.len as usize).sum();
                Outcome { state: State::Done, ret: 0, clocks: None, out: vec![0; len], woken: None }
            });
            let blank = Trace {
                end: End::Exited,
                start_ns: 0,
                mishaps: Vec::new(),
                stops: 0,
                stopped_in: None,
                outcomes: outcomes.collect(),
            };
            let mut sides = [blank.clone(), blank];
            self.1 += 1;
            for call in 0..code.calls.len() {
                (self.0)(&code, call, self.1, &mut sides);
            }
            let [native, target] = sides;
            let finding = judge(Evidence { code: &code, native: &native, target: &target });
            PairResult { native, target, finding, last_words: String::new() }
        };
        Ok(programs.iter().map(run).collect())
    }
}

/// Writes a listing of regular files as `getdents64` does.
fn list(outcome: &mut Outcome, names: &[&str]) {
    let mut bytes = Vec::new();
    for name in names {
        let len = (19 + name.len() + 1).next_multiple_of(8);
        let start = bytes.len();
        bytes.extend([0; 16]);
        bytes.extend((len as u16).to_le_bytes());
        bytes.push(8);
        bytes.extend(name.bytes());
        bytes.resize(start + len, 0);
    }
    outcome.ret = bytes.len() as i64;
    outcome.out[..bytes.len()].copy_from_slice(&bytes);
}

/// A layer in which a rename onto a hard link of the same file takes the old name away (rename(2) does nothing then).
fn renames_wrongly(code: &Code, call: usize, _: usize, sides: &mut [Trace; 2]) {
    let renamed = code.calls[..call].iter().any(|c| c.id.name() == "renameat2");
    match code.calls[call].id.name() {
        "getdents64" => {
            list(&mut sides[0].outcomes[call], &["f", "l"]);
            list(&mut sides[1].outcomes[call], if renamed { &["l"] } else { &["f", "l"] });
        }
        "unlinkat" if renamed => sides[1].outcomes[call].ret = -2,
        _ => {}
    }
}

fn first(lab: &mut dyn Lab, program: &Program) -> Result<Finding, Box<dyn Error>> {
    Ok(lab.run(std::slice::from_ref(program), HOW)?.remove(0).finding.ok_or("nothing differs")?)
}

fn program(source: &str) -> Result<Program, Box<dyn Error>> {
    Ok(parse(source).map_err(|e| e.to_string())?)
}

const RENAMED: &str = "openat$create(\"f\", 0o644)\nlinkat(\"f\", \"l\", 0)\nrenameat2(\"f\", \"l\", 0)\n";

#[test]
fn an_entry_that_was_wrong_before_the_call_that_names_it_is_the_listing_s() -> Result<(), Box<dyn Error>> {
    let mut lab = Layer(renames_wrongly, 0);
    let whole = program(&format!("{RENAMED}unlinkat(\"f\")"))?;
    let finding = first(&mut lab, &whole)?;
    assert_eq!(finding.signature().0, "differential unlinkat.ret success became ENOENT");
    let (shorter, found) = earlier(&mut lab, &whole, &finding, HOW)?.ok_or("explained")?;
    assert_eq!(shorter.calls.len(), 3);
    let laid = lay(&mut lab, &shorter, &found, HOW)?;
    assert_eq!(laid.signature().0, "differential directory.dirp entries missing or changed after renameat2");
    Ok(())
}

#[test]
fn a_call_that_names_another_entry_is_not_explained_by_it() -> Result<(), Box<dyn Error>> {
    let mut lab = Layer(renames_wrongly, 0);
    let whole = program(&format!("{RENAMED}unlinkat(\"d\")"))?;
    let finding = first(&mut lab, &whole)?;
    assert!(earlier(&mut lab, &whole, &finding, HOW)?.is_none());
    Ok(())
}

const LOCKED: &str = "r0 = openat$create(\"f\", 0o644)\nfcntl$setfl(r0, O_APPEND)\nfsync(r0)\nfdatasync(r0)";

/// A layer in which the flags differ once that call was made, until another is.
fn flags(from: &'static str, until: &'static str) -> impl Fn(&Code, usize, usize, &mut [Trace; 2]) {
    move |code, call, _, sides| {
        let made = |name: &str| code.calls[..call].iter().rposition(|c| c.id.name() == name);
        let wrong = made(from).is_some() && made(from) > made(until);
        if code.calls[call].id.name() == "fcntl$getfl" && wrong {
            sides[0].outcomes[call].ret = 0o2000;
        }
    }
}

#[test]
fn the_first_call_after_which_a_state_differs_for_good_is_the_cause() -> Result<(), Box<dyn Error>> {
    let whole = program(LOCKED)?;
    for (from, until, cause) in [
        ("openat$create", "-", "openat$create"),
        ("fcntl$setfl", "-", "fcntl$setfl"),
        ("fsync", "-", "fsync"),
    ] {
        let mut lab = Layer(flags(from, until), 0);
        let finding = first(&mut lab, &whole)?;
        assert_eq!(finding.cause, "fdatasync", "the guess is the last use");
        assert_eq!(lay(&mut lab, &whole, &finding, HOW)?.cause, cause);
    }
    // What was wrong for a while and put right is not what is left.
    let twice = program("r0 = openat$create(\"f\", 0o644)\nfsync(r0)\nfdatasync(r0)\nfsync(r0)")?;
    let mut lab = Layer(flags("fsync", "fdatasync"), 0);
    let finding = first(&mut lab, &twice)?;
    assert_eq!(lay(&mut lab, &twice, &finding, HOW)?.cause, "fsync");
    Ok(())
}

#[test]
fn where_copies_disagree_the_guess_stands() -> Result<(), Box<dyn Error>> {
    let wrong = flags("fcntl$setfl", "-");
    let flaky = move |code: &Code, call: usize, run: usize, sides: &mut [Trace; 2]| {
        if run % 2 == 1 {
            wrong(code, call, run, sides);
        }
    };
    let mut lab = Layer(flaky, 0);
    let whole = program(LOCKED)?;
    let finding = first(&mut lab, &whole)?;
    assert_eq!(lay(&mut lab, &whole, &finding, HOW)?.cause, "fdatasync");
    Ok(())
}
