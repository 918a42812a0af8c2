//! What is not as it was after an infection.

use std::fmt;

/// Where something can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// A general register.
    Register = 1,
    /// The extended state: x87, vector registers, protection keys.
    Extended = 2,
    /// A page.
    Page = 3,
    /// The list of mappings.
    Map = 4,
    /// A descriptor.
    Descriptor = 5,
    /// The blocked signals.
    Mask = 6,
    /// A line of `/proc/PID/status`.
    Status = 7,
    /// A signal that waits.
    Queue = 8,
    /// A debug register.
    Debug = 9,
    /// The number of threads.
    Threads = 10,
    /// Stopped, running, dead.
    State = 11,
}

impl Area {
    /// All of them.
    pub const ALL: [Area; 11] = [
        Area::Register,
        Area::Extended,
        Area::Page,
        Area::Map,
        Area::Descriptor,
        Area::Mask,
        Area::Status,
        Area::Queue,
        Area::Debug,
        Area::Threads,
        Area::State,
    ];

    pub(super) fn of(word: u32) -> Option<Area> {
        Area::ALL.into_iter().find(|area| *area as u32 == word)
    }
}

/// One thing that is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub area: Area,
    /// In which thread, counted from the first.
    pub thread: u32,
    /// Where in it; see `enum area` in `wire.h`.
    pub place: u64,
    /// What it was.
    pub before: u64,
    /// What it is.
    pub after: u64,
}

/// The registers of `struct user_regs_struct`, in its order.
const REGISTERS: [&str; 27] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
    "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
];

/// The lines of `/proc/PID/status` that are compared, in the helper's order.
const STATUS: [&str; 17] = [
    "SigPnd",
    "ShdPnd",
    "SigBlk",
    "SigIgn",
    "SigCgt",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "Umask",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "Threads",
    "Uid",
    "Gid",
];

impl Difference {
    /// What changed, without anything that varies from run to run.
    pub fn what(&self) -> String {
        let named = |names: &[&str]| {
            names
                .get(self.place as usize)
                .map_or_else(|| "one of no name".to_owned(), |name| (*name).to_owned())
        };
        match self.area {
            Area::Register => format!("register {}", named(&REGISTERS)),
            Area::Extended => match self.place >> 32 {
                0 => "x87 registers".into(),
                1 => "xmm registers".into(),
                2 => "upper halves of the ymm registers".into(),
                5 => "AVX-512 mask registers".into(),
                6 => "upper halves of the zmm registers".into(),
                7 => "registers zmm16 to zmm31".into(),
                9 => "PKRU".into(),
                17 | 18 => "AMX tiles".into(),
                n => format!("component {n} of the extended state"),
            },
            Area::Page => "memory".into(),
            Area::Map if self.after == 0 => "a mapping that is gone".into(),
            Area::Map if self.before == 0 => "a mapping that came".into(),
            Area::Map => "a mapping".into(),
            Area::Descriptor if self.after == 0 => "a descriptor that is gone".into(),
            Area::Descriptor if self.before == 0 => "a descriptor that came".into(),
            Area::Descriptor => "a descriptor".into(),
            Area::Mask => "blocked signals".into(),
            Area::Status => format!("status {}", named(&STATUS)),
            Area::Queue if self.after == 0 => format!("pending signal {} that is gone", self.place),
            Area::Queue => format!("pending signal {} that came", self.place),
            Area::Debug => format!("debug register {}", self.place),
            Area::Threads => "threads".into(),
            Area::State => "being stopped".into(),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what())?;
        if self.thread > 0 {
            write!(f, " of thread {}", self.thread)?;
        }
        write!(f, " ({:#x}): {:#x} before, {:#x} after", self.place, self.before, self.after)
    }
}
