//! What guides the search: the survey of the tables, and relations between calls.

use libafl_bolts::rands::StdRand;
use parallax_corpus::{Call, CallId, Program};
use parallax_fuzzer::generate::{Generator, LONGEST};
use parallax_fuzzer::guidance::Guidance;
use parallax_fuzzer::mutate::Context;
use parallax_fuzzer::relations::{Guide, Relations, compare};
use parallax_fuzzer::survey::{self, Scene};
use parallax_fuzzer::tally::Weights;
use std::collections::BTreeSet;

fn id(name: &str) -> CallId {
    CallId::named(name).unwrap_or_else(|| panic!("no call {name}"))
}

#[test]
fn the_survey_tries_every_call_with_every_value_in_well_formed_programs() {
    let (generator, weights) = (Generator::new(&[]), Weights::even());
    let (guide, donor) = (Guide::by_name(&weights), Program::default());
    let context =
        Context { generator: &generator, weights: &weights, guide: &guide, donor: &donor, observes: true };
    let items = survey::items(&generator);
    let calls: BTreeSet<CallId> = generator.calls().collect();
    let tried: BTreeSet<CallId> = items.iter().map(|item| item.id).collect();
    assert_eq!(tried, calls);
    let mut dice = StdRand::with_seed(1);
    let mut made = 0;
    let (mut twins, mut checkpoints) = (0, 0);
    for item in &items {
        let Some(program) = survey::program(item, &mut dice, &context) else { continue };
        program.check().unwrap_or_else(|e| panic!("{e} in\n{program:#?}"));
        assert!(program.calls.len() <= LONGEST);
        // Tasks are few: with as many as there can be, a twin becomes another call.
        let tries =
            program.calls.iter().any(|call| call.id == item.id) || item.id.name().starts_with("task$");
        assert!(tries, "{item:?} is not in\n{program:#?}");
        made += 1;
        twins += usize::from(item.scene == Scene::Twin);
        checkpoints += usize::from(item.scene == Scene::Checkpoint);
    }
    println!("{} items of {} calls, {twins} with twins", items.len(), calls.len());
    assert!(made * 100 > items.len() * 99, "{made} of {}", items.len());
    assert!(twins > calls.len() && checkpoints > 0);
}

fn program(names: &[&str]) -> Program {
    Program { calls: names.iter().map(|name| Call::new(id(name), Vec::new())).collect() }
}

#[test]
fn a_call_put_in_influences_what_then_did_something_else() {
    let parent = program(&["getpid", "getppid"]);
    let mutant = program(&["getpid", "getuid", "getppid"]);
    let learned = [(id("getuid"), id("getppid"))];
    assert_eq!(compare(&parent, &[1, 2], &mutant, &[1, 7, 3]), learned);
    assert_eq!(compare(&mutant, &[1, 7, 3], &parent, &[1, 2]), learned, "and one taken out, too");
    assert_eq!(compare(&parent, &[1, 2], &mutant, &[1, 7, 2]), []);
    assert_eq!(compare(&parent, &[1, 2], &program(&["getuid", "getuid"]), &[1, 3]), []);
}

#[test]
fn relations_are_believed_when_seen_twice_and_kept_by_name() {
    let weights = Weights::even();
    let pair = (id("getuid"), id("getppid"));
    let mut relations = Relations::default();
    relations.count(&[pair]);
    let knows = |relations: &Relations| {
        let guide = Guide::by_name(&weights).with(relations, &weights);
        let after = guide.after(pair.0).iter().any(|(id, _)| *id == pair.1);
        assert_eq!(after, guide.before(pair.1).iter().any(|(id, _)| *id == pair.0));
        after
    };
    assert!(!knows(&relations));
    relations.count(&[pair]);
    assert!(knows(&relations));
    let names: Vec<(String, String, u32)> = relations.clone().into();
    assert_eq!(names, [("getuid".to_owned(), "getppid".to_owned(), 2)]);
    assert_eq!(Relations::from(names), relations);
}

#[test]
fn what_sets_and_what_gets_belong_together_from_the_start() {
    let guide = Guide::by_name(&Weights::even());
    let after = guide.after(id("timerfd_settime"));
    assert!(after.iter().any(|(id, _)| id.name() == "timerfd_gettime"), "{after:?}");
}

#[test]
fn parts_of_the_guidance_are_taken_away_by_name() {
    let some = Guidance::default().without(&["survey".to_owned(), "novelty".to_owned()]).unwrap();
    assert_eq!(some, Guidance { survey: false, novelty: false, ..Guidance::default() });
    assert!(Guidance::default().without(&["luck".to_owned()]).unwrap_err().contains("luck"));
}
