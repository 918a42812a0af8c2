//! Running programs: the agent, the jail, the targets, the pair runner and the oracles.
//!
//! What lives elsewhere: the language (`parallax-corpus`), files and repros, searching.

pub mod bare;
pub mod compel;
pub mod freezer;
pub mod jail;
pub mod link;
pub mod oracles;
mod pace;
pub mod pair;
mod renumber;
mod side;
pub mod target;
pub mod targets;
pub mod terminal;

/// The agent's bytes: a static x86-64 ELF executable, built by `build.rs` from `harness/agent`.
pub static AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/parallax-agent"));
