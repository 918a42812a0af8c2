//! The description tables: one entry a call or variant; a file an area, but that files, sockets and processes have two.

mod attributes;
mod dirs;
mod events;
mod files;
mod io;
mod ipc;
mod memory;
mod outside;
mod proc;
mod processes;
mod sched;
mod shapes;
mod signals;
mod sockets;
mod sockopts;
mod time;
mod tty;

use crate::desc::{Area, Desc};
use std::collections::HashMap;
use std::sync::LazyLock;

/// In the order of [`Area::ALL`].
const TABLES: [&[Desc]; 16] = [
    tty::CALLS,
    outside::CALLS,
    files::CALLS,
    attributes::CALLS,
    dirs::CALLS,
    io::CALLS,
    sockets::CALLS,
    sockopts::CALLS,
    events::CALLS,
    time::CALLS,
    processes::CALLS,
    proc::CALLS,
    sched::CALLS,
    memory::CALLS,
    signals::CALLS,
    ipc::CALLS,
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
