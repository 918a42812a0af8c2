//! Repro files: what a confirmed, minimized case is kept as, and everything that is done with one.
//!
//! [`repro`] is the file's content and its reading and writing, [`files`] how files are written, [`limits`] what keeps
//! hostile ones harmless,
//! [`replay`] judges a case again, recorded or live, [`outcomes`] puts both sides' outcomes beside each other,
//! [`mod@render_text`] and [`mod@render_c`] show them: to people, to programs, and as a C program that shows the divergence
//! by itself. Nothing here searches, and nothing here decides what is worth keeping.

pub mod files;
pub mod limits;
pub mod outcomes;
pub mod render_c;
pub mod render_text;
pub mod replay;
pub mod repro;

pub use render_text::{render_json, render_text};
pub use replay::{ReplayOutcome, ReplayVerdict, replay_live, replay_recorded};
pub use repro::{Confirmation, Count, HistoryEntry, Repro, ReproError};
