//! The oracles.
