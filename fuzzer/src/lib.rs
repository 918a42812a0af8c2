//! Parallax's search: the generator, the mutators, novelty, and the campaign that ties them to LibAFL.
//!
//! Programs are drawn here ([`generate`], [`mutate`]), run by [`runner`]s, and judged in order by a LibAFL
//! stage ([`stage`]). Comparing two sides lives in the harness, confirming and minimizing in triage.

pub mod arguments;
pub mod dice;
pub mod generate;
pub mod resources;
pub mod tally;
pub mod values;
pub mod files;
pub mod input;
pub mod mutate;
pub mod novelty;
