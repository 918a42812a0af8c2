//! Checkpoints for targets that have a hand in them: a program without one says nothing there.

use crate::dice::Dice;
use crate::generate::{Generator, LONGEST, splice_in};
use crate::tally::Weights;
use parallax_corpus::{Call, CallId, Program};
use parallax_harness::oracles::state;

/// How often, in percent, a program looks at something right before a checkpoint and right after it.
const LOOKS: usize = 35;
/// How often, in percent, there is one checkpoint more.
const AGAIN: usize = 15;

/// Gives a program that has no checkpoint one, or seldom a few; one that is full loses its last call for it.
pub fn ensure<D: Dice>(dice: &mut D, generator: &Generator, weights: &Weights, program: &mut Program) {
    let Some(checkpoint) = CallId::named("checkpoint").filter(|id| generator.allows(*id)) else { return };
    if program.calls.is_empty() || program.calls.iter().any(|call| call.id == checkpoint) {
        return;
    }
    program.calls.truncate(LONGEST - 1);
    if dice.percent(LOOKS) {
        look(dice, generator, weights, program, checkpoint);
    }
    if !program.calls.iter().any(|call| call.id == checkpoint) {
        insert(dice, program, checkpoint);
    }
    if dice.percent(AGAIN) && program.calls.len() < LONGEST {
        insert(dice, program, checkpoint);
    }
}

/// Puts a checkpoint behind any call.
fn insert<D: Dice>(dice: &mut D, program: &mut Program, checkpoint: CallId) {
    let at = 1 + dice.below(program.calls.len());
    splice_in(program, at, 0, |head| head.calls.push(Call::new(checkpoint, Vec::new())));
}

/// Looks at something, has a checkpoint, and looks again.
fn look<D: Dice>(
    dice: &mut D,
    generator: &Generator,
    weights: &Weights,
    program: &mut Program,
    checkpoint: CallId,
) {
    let looks: Vec<CallId> = state::looks()
        .filter_map(CallId::named)
        .filter(|id| generator.allows(*id) && id.desc().makes.is_empty() && id.desc().weight > 0)
        .collect();
    let Some(&id) = dice.pick(&looks) else { return };
    let Some(at) = generator.push(dice, weights, program, id) else { return };
    // The look is the last call; what it needs may have come before it.
    if at + 2 >= LONGEST || at + 1 != program.calls.len() {
        return;
    }
    let again = program.calls[at].clone();
    program.calls.extend([Call::new(checkpoint, Vec::new()), again]);
}
