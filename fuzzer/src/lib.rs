//! Parallax's search: the generator, the mutators, novelty, and the campaign that ties them to LibAFL.
//!
//! Programs are drawn here ([`generate`], [`mutate`]), run by [`runner`]s, and judged in order by a LibAFL
//! stage ([`stage`]). Comparing two sides lives in the harness, confirming and minimizing in triage.

pub mod arguments;
pub mod campaign;
pub mod dice;
pub mod engine;
pub mod files;
pub mod generate;
pub mod guidance;
pub mod hangs;
pub mod input;
pub mod knowledge;
pub mod monitor;
pub mod mutate;
pub mod novelty;
pub mod objective;
pub mod order;
pub mod points;
pub mod pool;
pub mod relations;
pub mod resources;
pub mod runner;
pub mod scenes;
pub mod schedule;
pub mod snapshot;
pub mod stage;
pub mod stats;
pub mod survey;
pub mod tally;
mod tasks;
pub mod values;
mod waiting;
