//! Generated and mutated programs are well formed, whatever the dice say.

use libafl::inputs::Input;
use libafl_bolts::rands::StdRand;
use parallax_corpus::desc::{NO_PID, Ty};
use parallax_corpus::{Area, Arg, CallId, Program, tables};
use parallax_fuzzer::generate::{Generator, LONGEST};
use parallax_fuzzer::input::ProgramInput;
use parallax_fuzzer::mutate::{CHANGES, Context, apply, mutate, remove_healing};
use parallax_fuzzer::relations::Guide;
use parallax_fuzzer::tally::{Tally, Weights};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The rules of the search itself, besides those of the language.
fn assert_sound(program: &Program) {
    program.check().unwrap_or_else(|e| panic!("{e} in\n{program:#?}"));
    assert!(program.calls.len() <= LONGEST);
    for (i, call) in program.calls.iter().enumerate() {
        program.each_ref(i, |r| {
            assert!((r.call as usize) < i);
            assert!(program.kind_of(r).is_some());
        });
        for ((_, described), arg) in call.id.desc().written().zip(&call.args) {
            match (described.ty, arg) {
                (Ty::Fd(_), Arg::Int(n)) => assert!(!(200..208).contains(n)),
                (Ty::Pid, Arg::Int(n)) => assert!(matches!(*n, 0 | NO_PID)),
                (Ty::Signal, Arg::Int(n)) => assert_ne!(*n, 14),
                (Ty::Ptr(..), Arg::Int(a)) => assert!(*a < 4096 || *a >= 0xffff_8000_0000_0000),
                (Ty::Int(listed), Arg::Int(n)) if described.name == "iterations" => {
                    assert!(listed.contains(n))
                }
                _ => {}
            }
        }
    }
}

fn context<'a>(
    generator: &'a Generator,
    weights: &'a Weights,
    guide: &'a Guide,
    donor: &'a Program,
) -> Context<'a> {
    Context { generator, weights, guide, donor, observes: true }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn generated_programs_are_well_formed(seed: u64) {
        let generator = Generator::new(&[]);
        let mut dice = StdRand::with_seed(seed);
        let program = generator.generate(&mut dice, &Weights::even());
        prop_assert!(!program.calls.is_empty());
        assert_sound(&program);
    }

    #[test]
    fn mutated_programs_are_well_formed(seed: u64) {
        let (generator, weights) = (Generator::new(&[]), Weights::even());
        let guide = Guide::by_name(&weights);
        let mut dice = StdRand::with_seed(seed);
        let donor = generator.generate(&mut dice, &weights);
        let mut program = generator.generate(&mut dice, &weights);
        for _ in 0..40 {
            mutate(&mut dice, &context(&generator, &weights, &guide, &donor), &mut program);
            assert_sound(&program);
        }
    }

    #[test]
    fn removing_any_call_keeps_a_program_well_formed(seed: u64) {
        let mut program = Generator::new(&[]).generate(&mut StdRand::with_seed(seed), &Weights::even());
        while program.calls.len() > 1 {
            let index = seed as usize % program.calls.len();
            remove_healing(&mut program, index);
            assert_sound(&program);
        }
    }
}

#[test]
fn every_kind_of_change_changes_something() {
    let (generator, weights) = (Generator::new(&[]), Weights::even());
    let guide = Guide::by_name(&weights);
    let mut dice = StdRand::with_seed(3);
    for (change, _) in CHANGES {
        let mut changed = 0;
        for _ in 0..200 {
            let donor = generator.generate(&mut dice, &weights);
            let before = generator.generate(&mut dice, &weights);
            let mut after = before.clone();
            apply(change, &mut dice, &context(&generator, &weights, &guide, &donor), &mut after);
            changed += usize::from(after != before);
        }
        assert!(changed >= 30, "{change:?} changed {changed} of 200 programs");
    }
}

#[test]
fn no_area_is_starved() {
    let generator = Generator::new(&[]);
    let (mut dice, weights) = (StdRand::with_seed(5), Weights::even());
    let mut calls: BTreeMap<Area, usize> = BTreeMap::new();
    for _ in 0..3_000 {
        for call in generator.generate(&mut dice, &weights).calls {
            *calls.entry(call.id.desc().area).or_default() += 1;
        }
    }
    let all: usize = calls.values().sum();
    for area in Area::ALL {
        let share = calls.get(&area).copied().unwrap_or(0);
        assert!(share * 100 >= all * 4, "{} has {share} of {all} calls", area.name());
    }
}

#[test]
fn calls_that_are_switched_off_are_never_made() {
    let off = |name: &str| name.starts_with("vdso") || name == "pipe2" || name == "spawn";
    let allowed: Vec<bool> = tables::all().iter().map(|d| !off(d.name)).collect();
    let (generator, weights) = (Generator::new(&allowed), Weights::even());
    let guide = Guide::by_name(&weights);
    let mut dice = StdRand::with_seed(9);
    let donor = generator.generate(&mut dice, &weights);
    for _ in 0..500 {
        let mut program = generator.generate(&mut dice, &weights);
        mutate(&mut dice, &context(&generator, &weights, &guide, &donor), &mut program);
        assert!(program.calls.iter().all(|c| !off(c.id.name())));
    }
}

#[test]
fn a_call_that_keeps_diverging_is_drawn_less_and_a_missing_one_not_at_all() {
    let mut tally = Tally::default();
    let (known, missing) = (CallId::named("fcntl$getfl").unwrap(), CallId::named("pipe2").unwrap());
    let full = Weights::even();
    tally.of_mut(known).runs = 1000;
    tally.of_mut(known).known = 900;
    tally.of_mut(missing).runs = 100;
    tally.of_mut(missing).unsupported = 100;
    tally.of_mut(missing).known = 99;
    let damped = Weights::from_tally(&tally);
    assert_eq!(damped.of(known), full.of(known) / 8);
    assert_eq!(damped.of(missing), 0);
}

#[test]
fn an_input_file_reads_back_as_the_same_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = StdRand::with_seed(11);
    let generator = Generator::new(&[]);
    for _ in 0..50 {
        let input = ProgramInput(generator.generate(&mut dice, &Weights::even()));
        let path = dir.path().join(input.generate_name(None));
        input.to_file(&path).unwrap();
        assert_eq!(ProgramInput::from_file(&path).unwrap(), input);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_damaged_input_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.prog");
    let input = ProgramInput(Generator::new(&[]).generate(&mut StdRand::with_seed(1), &Weights::even()));
    input.to_file(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(ProgramInput::from_file(&path).is_err());
    }
}

#[test]
fn a_tenth_of_the_programs_about_terminals_has_the_outside_one() {
    use parallax_corpus::desc::{NEED_OUTER, NEED_TTY};
    let allowed: Vec<bool> = tables::all().iter().map(|d| d.area == Area::Tty).collect();
    let (generator, weights) = (Generator::new(&allowed), Weights::even());
    let mut dice = StdRand::with_seed(7);
    let (mut outside, mut events) = (0, 0);
    for _ in 0..2000 {
        let program = generator.generate(&mut dice, &weights);
        if program.needs() & NEED_OUTER != 0 {
            assert_eq!(program.needs() & NEED_TTY, 0);
            outside += 1;
            events += program.calls.iter().filter(|c| c.id.name() != "outside$terminal").count();
        }
    }
    assert!((140..260).contains(&outside), "{outside} of 2000");
    assert!(events > 2 * outside, "{events} calls in {outside}");
}
