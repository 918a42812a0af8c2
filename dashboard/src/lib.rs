//! Cases as pages: a local server, and the same pages as files.
//!
//! [`serve`] runs the server, [`export()`] writes the pages into a folder. Both ask the same page types in [`pages`], each
//! a template filled from the store of `parallax_triage::db`; [`links`] knows where pages lie in each of the two.
//! `guard` is what stands between a request and a page. Nothing here runs a program or judges anything.

#![forbid(unsafe_code)]

mod api;
pub mod charts;
pub mod export;
mod guard;
pub mod links;
mod metrics;
pub mod pages;
mod server;
pub mod words;

pub use export::export;
pub use server::{Options, ServeError, serve};

/// What every page needs beside itself: name, content and type.
pub const ASSETS: [(&str, &str, &str); 2] = [
    ("style.css", include_str!("../assets/style.css"), "text/css; charset=utf-8"),
    ("app.js", include_str!("../assets/app.js"), "text/javascript; charset=utf-8"),
];
