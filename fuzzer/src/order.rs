//! Orders: how a few programs are to be made.
//!
//! An order holds all that they depend on, its chance included, so that it does not matter where and when it is
//! carried out.

use crate::generate::Generator;
use crate::mutate::{Context, mutate};
use crate::tally::Weights;
use libafl_bolts::rands::StdRand;
use parallax_corpus::Program;
use std::sync::Arc;

/// What programs are made from.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// They are there already.
    Given(Vec<Program>),
    /// Fresh ones.
    Fresh,
    /// Mutants of one program; the others are donors, of which there must be one.
    Mutants {
        /// The program that is changed.
        base: Program,
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
}

impl Order {
    /// Makes the programs. The same order always makes the same ones.
    pub fn make(&self, generator: &Generator) -> Vec<Program> {
        let mut dice = StdRand::with_seed(self.seed);
        let weights = &self.weights;
        match &self.recipe {
            Recipe::Given(programs) => programs.clone(),
            Recipe::Fresh => {
                let programs = (0..self.size).map(|_| generator.generate(&mut dice, weights));
                programs.filter(|program| !program.calls.is_empty()).collect()
            }
            Recipe::Mutants { base, donors } => {
                let mut programs = Vec::with_capacity(self.size);
                // A few more tries make up for changes that do not apply.
                for (_, donor) in (0..2 * self.size).zip(donors.iter().cycle()) {
                    let mut mutant = base.clone();
                    let context = Context { generator, weights, donor };
                    if programs.len() < self.size && mutate(&mut dice, &context, &mut mutant) {
                        programs.push(mutant);
                    }
                }
                programs
            }
        }
    }
}
