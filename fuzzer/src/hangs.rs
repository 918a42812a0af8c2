//! What the layer is known not to survive, so that the search need not pay for it again and again.
//!
//! A program that hangs or kills the layer costs as much as hundreds of others. Once such a case is confirmed and
//! minimized, its calls are a *shape*: programs that have them in the same order, about the same things and with the
//! same arguments, are mostly not run. Arguments that turn out not to matter are forgotten: whatever hangs and has the
//! calls of a shape is taken for the same hang.

use crate::dice::Dice;
use parallax_corpus::{Arg, Call, CallId, Program};
use serde::{Deserialize, Serialize};

/// One draw in so many is made though it has a known shape: another bug may hide in the same calls, and a hang may go
/// away.
const STILL: usize = 32;
/// Most shapes that are kept.
const MOST: usize = 128;
/// Most steps of the search for a shape in one program.
const TRIES: usize = 2000;

/// What an argument of a shape must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Wanted {
    /// Anything.
    Any,
    /// Just that.
    Only(Arg),
    /// What that call of the shape made, and which of its things.
    Made { step: u16, slot: u8 },
    /// A group, part by part.
    Parts(Vec<Wanted>),
}

/// One call of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    id: CallId,
    args: Vec<Wanted>,
}

/// The calls of a confirmed case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shape(Vec<Step>);

/// All shapes that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hangs {
    shapes: Vec<Shape>,
}

impl Hangs {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Learns the calls of a confirmed case. Returns whether they are new.
    pub fn learn(&mut self, case: &Program) -> bool {
        let shape = Shape::of(case);
        let new = !case.calls.is_empty() && self.shapes.len() < MOST && !self.shapes.contains(&shape);
        if new {
            self.shapes.push(shape);
        }
        new
    }

    /// Whether this program will most likely do it again.
    pub fn foresees(&self, program: &Program) -> bool {
        self.shapes.iter().any(|shape| shape.places(program, true).is_some())
    }

    /// Whether a program that was drawn is to be left out.
    pub fn avoids<D: Dice>(&self, dice: &mut D, program: &Program) -> bool {
        // Nothing is drawn where nothing is known.
        self.foresees(program) && dice.below(STILL) > 0
    }

    /// Whether a program that did it has the calls of a known shape, whatever their arguments.
    pub fn explains(&self, program: &Program) -> bool {
        self.shapes.iter().any(|shape| shape.places(program, false).is_some())
    }

    /// Learns from a program that did it and has the calls of a known shape which of their arguments do not matter.
    pub fn widen(&mut self, program: &Program) {
        if self.foresees(program) {
            return;
        }
        for shape in &mut self.shapes {
            if let Some(places) = shape.places(program, false) {
                for (step, at) in shape.0.iter_mut().zip(&places) {
                    for (wanted, arg) in step.args.iter_mut().zip(&program.calls[*at].args) {
                        wanted.widen(arg, &places);
                    }
                }
                return;
            }
        }
    }
}

impl Shape {
    fn of(case: &Program) -> Shape {
        let step = |call: &Call| Step { id: call.id, args: call.args.iter().map(Wanted::of).collect() };
        Shape(case.calls.iter().map(step).collect())
    }

    /// Where the shape's calls are in a program; with `exactly`, as its arguments say.
    fn places(&self, program: &Program, exactly: bool) -> Option<Vec<usize>> {
        let mut places = Vec::with_capacity(self.0.len());
        let mut tries = TRIES;
        self.place(program, exactly, &mut places, &mut tries).then_some(places)
    }

    fn place(&self, program: &Program, exactly: bool, places: &mut Vec<usize>, tries: &mut usize) -> bool {
        let Some(step) = self.0.get(places.len()) else { return true };
        let from = places.last().map_or(0, |last| last + 1);
        for (at, call) in program.calls.iter().enumerate().skip(from) {
            if call.id != step.id || !step.fits(call, exactly, places) {
                continue;
            }
            *tries = tries.saturating_sub(1);
            if *tries == 0 {
                return false;
            }
            places.push(at);
            if self.place(program, exactly, places, tries) {
                return true;
            }
            places.pop();
        }
        false
    }
}

impl Step {
    fn fits(&self, call: &Call, exactly: bool, places: &[usize]) -> bool {
        self.args.iter().zip(&call.args).all(|(wanted, arg)| wanted.fits(arg, exactly, places))
    }
}

impl Wanted {
    fn of(arg: &Arg) -> Wanted {
        match arg {
            Arg::Res(made) => Wanted::Made { step: made.call, slot: made.slot },
            Arg::Group(parts) => Wanted::Parts(parts.iter().map(Wanted::of).collect()),
            Arg::Out(_) => Wanted::Any,
            other => Wanted::Only(other.clone()),
        }
    }

    fn fits(&self, arg: &Arg, exactly: bool, places: &[usize]) -> bool {
        match (self, arg) {
            (Wanted::Any, _) => true,
            (Wanted::Made { step, slot }, Arg::Res(made)) => {
                made.slot == *slot && places.get(usize::from(*step)) == Some(&usize::from(made.call))
            }
            (Wanted::Made { .. }, _) => false,
            (Wanted::Parts(wanted), Arg::Group(parts)) => {
                let same = wanted.len() == parts.len() || !exactly;
                same && wanted.iter().zip(parts).all(|(wanted, part)| wanted.fits(part, exactly, places))
            }
            (Wanted::Parts(_), _) => !exactly,
            (Wanted::Only(only), arg) => !exactly || only == arg,
        }
    }

    /// Forgets what this argument shows not to matter.
    fn widen(&mut self, arg: &Arg, places: &[usize]) {
        match (&mut *self, arg) {
            (Wanted::Parts(wanted), Arg::Group(parts)) if wanted.len() == parts.len() => {
                wanted.iter_mut().zip(parts).for_each(|(wanted, part)| wanted.widen(part, places));
            }
            (wanted, arg) if !wanted.fits(arg, true, places) => *self = Wanted::Any,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libafl_bolts::rands::StdRand;
    use parallax_corpus::text::parse;

    fn known(case: &str) -> Hangs {
        let mut hangs = Hangs::default();
        assert!(hangs.learn(&parse(case).unwrap()));
        hangs
    }

    const CASE: &str = "r0 = eventfd2(0, 0)\nread(r0, out[8])\n";

    #[test]
    fn a_program_with_the_calls_of_a_known_hang_on_one_chain_is_foreseen() {
        let hangs = known(CASE);
        let with = parse("getpid()\nr1 = eventfd2(0, 0)\ngetppid()\nread(r1, out[4])\ngetpid()\n").unwrap();
        assert!(hangs.foresees(&with) && hangs.explains(&with));
        let other_thing = parse("r0 = eventfd2(0, 0)\nr1 = dup(r0)\nread(r1, out[8])\n").unwrap();
        assert!(!hangs.foresees(&other_thing) && !hangs.explains(&other_thing));
        let other_order = parse("r0 = eventfd2(0, 0)\ngetpid()\n").unwrap();
        assert!(!hangs.explains(&other_order));
    }

    #[test]
    fn arguments_matter_until_a_hang_shows_that_they_do_not() {
        let mut hangs = known(CASE);
        let other = parse("r0 = eventfd2(7, 0)\nread(r0, out[8])\n").unwrap();
        let third = parse("r0 = eventfd2(9, 0)\nread(r0, out[8])\n").unwrap();
        let flags = parse("r0 = eventfd2(9, EFD_SEMAPHORE)\nread(r0, out[8])\n").unwrap();
        assert!(!hangs.foresees(&other) && hangs.explains(&other));
        hangs.widen(&other);
        assert!(hangs.foresees(&other) && hangs.foresees(&third) && !hangs.foresees(&flags));
    }

    #[test]
    fn one_draw_in_thirty_two_of_a_known_hang_is_made_and_every_other_program() {
        let hangs = known(CASE);
        let with = parse(CASE).unwrap();
        let mut dice = StdRand::with_seed(1);
        let made = (0..3200).filter(|_| !hangs.avoids(&mut dice, &with)).count();
        assert!((60..160).contains(&made), "{made}");
        assert!(!hangs.avoids(&mut dice, &parse("getpid()\n").unwrap()));
    }

    #[test]
    fn a_program_of_many_same_calls_does_not_take_long_to_look_through() {
        let many = |count: usize, last: &str| format!("{}{last}", "getpid()\n".repeat(count));
        let hangs = known(&many(20, "umask(1)\n"));
        assert!(!hangs.foresees(&parse(&many(40, "umask(2)\n")).unwrap()));
    }

    #[test]
    fn what_is_known_is_the_same_when_read_back_and_learned_once() {
        let mut hangs = known(CASE);
        assert!(!hangs.learn(&parse(CASE).unwrap()) && !hangs.learn(&Program::default()));
        let bytes = rmp_serde::to_vec_named(&hangs).unwrap();
        assert_eq!(rmp_serde::from_slice::<Hangs>(&bytes).unwrap(), hangs);
    }
}
