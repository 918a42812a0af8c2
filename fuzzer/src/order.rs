//! Orders: how a few programs are to be made.
//!
//! An order holds all that they depend on, its chance included, so that it does not matter where and when it is
//! carried out.

use crate::generate::Generator;
use crate::guidance::Guidance;
use crate::hangs::Hangs;
use crate::mutate::{Context, mutate};
use crate::points;
use crate::relations::{self, Guide, Pair, compare};
use crate::survey::{self, Item};
use crate::tally::Weights;
use libafl_bolts::rands::StdRand;
use parallax_corpus::{Outcome, Program};
use std::sync::Arc;

/// What programs are made from.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// They are there already.
    Given(Vec<Program>),
    /// Fresh ones.
    Fresh,
    /// Those of the survey that try these.
    Survey(Vec<Item>),
    /// Mutants of one program; the others are donors, of which there must be one.
    Mutants {
        /// The program that is changed.
        base: Program,
        /// What its calls did, if that is known.
        digests: Arc<[u64]>,
        /// Programs that parts are taken from.
        donors: Vec<Program>,
    },
}

/// A few programs to be made and run.
#[derive(Clone, Debug)]
pub struct Order {
    /// What they are made from.
    pub recipe: Recipe,
    /// Their number at most; a change may fail to apply.
    pub size: usize,
    /// The seed of their chance.
    pub seed: u64,
    /// How likely each call is.
    pub weights: Arc<Weights>,
    /// Which calls have to do with which.
    pub guide: Arc<Guide>,
    /// Which parts of the guidance are at work.
    pub guidance: Guidance,
    /// What the layer is known not to survive.
    pub hangs: Arc<Hangs>,
}

impl Order {
    fn context<'a>(&'a self, generator: &'a Generator, donor: &'a Program) -> Context<'a> {
        let observes = self.guidance.observe;
        Context { generator, weights: &self.weights, guide: &self.guide, donor, observes }
    }

    /// Without most of those that have what the layer is known not to survive.
    fn survivable<'a>(
        &'a self,
        dice: &'a mut StdRand,
        programs: Vec<Program>,
    ) -> impl Iterator<Item = Program> + 'a {
        programs.into_iter().filter(|program| !self.hangs.avoids(dice, program))
    }

    /// What a run of one of its programs says about relations between calls.
    pub fn relations(&self, program: &Program, outcomes: &[Outcome]) -> Vec<Pair> {
        match &self.recipe {
            Recipe::Mutants { base, digests, .. } if self.guidance.relations && !digests.is_empty() => {
                compare(base, digests, program, &relations::digests(program, outcomes))
            }
            _ => Vec::new(),
        }
    }

    /// Makes the programs. The same order always makes the same ones.
    pub fn make(&self, generator: &Generator) -> Vec<Program> {
        let mut dice = StdRand::with_seed(self.seed);
        let mut programs = self.draw(generator, &mut dice);
        if generator.has_points() {
            programs.iter_mut().for_each(|p| points::ensure(&mut dice, generator, &self.weights, p));
        }
        programs
    }

    fn draw(&self, generator: &Generator, dice: &mut StdRand) -> Vec<Program> {
        let weights = &self.weights;
        match &self.recipe {
            Recipe::Given(programs) => programs.clone(),
            Recipe::Fresh => {
                let programs: Vec<Program> =
                    (0..self.size).map(|_| generator.generate(dice, weights)).collect();
                self.survivable(dice, programs).filter(|program| !program.calls.is_empty()).collect()
            }
            Recipe::Survey(items) => {
                let nothing = Program::default();
                let context = self.context(generator, &nothing);
                let programs: Vec<Program> =
                    items.iter().filter_map(|item| survey::program(item, dice, &context)).collect();
                self.survivable(dice, programs).collect()
            }
            Recipe::Mutants { base, donors, .. } => {
                let mut programs = Vec::with_capacity(self.size);
                // A few more tries make up for changes that do not apply.
                for (_, donor) in (0..2 * self.size).zip(donors.iter().cycle()) {
                    let mut mutant = base.clone();
                    let context = self.context(generator, donor);
                    if programs.len() < self.size
                        && mutate(dice, &context, &mut mutant)
                        && !self.hangs.avoids(dice, &mutant)
                    {
                        programs.push(mutant);
                    }
                }
                programs
            }
        }
    }
}
