//! The parts of the kernel.

/// The part of the kernel a call belongs to; generation gives each its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Area {
    Tty,
    Files,
    Dirs,
    Io,
    Sockets,
    Events,
    Time,
    Processes,
    Sched,
    Memory,
    Signals,
    Ipc,
}

impl Area {
    /// All of them.
    pub const ALL: [Area; 12] = [
        Area::Tty,
        Area::Files,
        Area::Dirs,
        Area::Io,
        Area::Sockets,
        Area::Events,
        Area::Time,
        Area::Processes,
        Area::Sched,
        Area::Memory,
        Area::Signals,
        Area::Ipc,
    ];
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Area::Tty => "tty",
            Area::Files => "files",
            Area::Dirs => "dirs",
            Area::Io => "io",
            Area::Sockets => "sockets",
            Area::Events => "events",
            Area::Time => "time",
            Area::Processes => "processes",
            Area::Sched => "sched",
            Area::Memory => "memory",
            Area::Signals => "signals",
            Area::Ipc => "ipc",
        }
    }
}
