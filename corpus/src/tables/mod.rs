//! The description tables: one file an area, one entry a call or variant.

mod dirs;
mod events;
mod files;
mod io;
mod memory;
mod outside;
mod processes;
mod shapes;
mod signals;
mod time;
mod tty;

use crate::desc::{Area, Desc};
use std::collections::HashMap;
use std::sync::LazyLock;

/// In the order of [`Area::ALL`].
const TABLES: [&[Desc]; 10] = [
    tty::CALLS,
    outside::CALLS,
    files::CALLS,
    dirs::CALLS,
    io::CALLS,
    events::CALLS,
    time::CALLS,
    processes::CALLS,
    memory::CALLS,
    signals::CALLS,
];
static ALL: LazyLock<Vec<&'static Desc>> =
    LazyLock::new(|| TABLES.into_iter().flat_map(|table| table.iter()).collect());
static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| ALL.iter().enumerate().map(|(i, d)| (d.name, i)).collect());

/// Every described call.
pub fn all() -> &'static [&'static Desc] {
    &ALL
}

/// The place of a call in [`all`] by its name.
pub fn index_of(name: &str) -> Option<usize> {
    BY_NAME.get(name).copied()
}

/// The calls of one area.
pub fn of_area(area: Area) -> impl Iterator<Item = (usize, &'static Desc)> {
    ALL.iter().enumerate().filter(move |(_, d)| d.area == area).map(|(i, d)| (i, *d))
}
