//! The vocabulary in words, for people who read the tables by `parallax calls`.

use super::*;

impl Meaning {
    /// What it means, and so how two are compared.
    pub fn in_words(self) -> String {
        let text = match self {
            Meaning::Exact => "equal on both sides",
            Meaning::Text => "text, equal up to its first NUL",
            Meaning::Flags(set) if set.free != 0 => {
                let free: Vec<&str> = set
                    .names
                    .iter()
                    .filter(|(_, v)| *v != 0 && v & !set.free == 0)
                    .map(|(n, _)| *n)
                    .collect();
                return format!("flags, equal bit by bit but for {}", free.join(", "));
            }
            Meaning::Flags(_) => "flags, equal bit by bit",
            Meaning::Fd => "a descriptor number, the lowest free one",
            Meaning::Pid => "a process id, equal up to renaming",
            Meaning::Inode => "an inode number, equal up to renaming",
            Meaning::Address => "an address, not compared",
            Meaning::Clock(Clk::Realtime, _) => {
                "a reading of CLOCK_REALTIME, between the readings around the call"
            }
            Meaning::Clock(Clk::Arg(_), _) => {
                "a reading of the clock asked for, between the readings around the call"
            }
            Meaning::Duration(Dur::Left, _) => "a time left, compared to the minute",
            Meaning::Duration(Dur::Children, _) => {
                "CPU time of waited-for children, bounded by the wall time"
            }
            Meaning::Duration(..) => "CPU time, bounded by the wall time",
            Meaning::Where(_, Given::NotDirectory) => "equal unless it is a directory's",
            Meaning::Where(_, Given::NotDevice) => "equal unless it is a device's or a nameless file's",
            Meaning::Where(_, Given::Unix) => "equal if it is a UNIX socket's",
            Meaning::Device => "a device number, equal but for which pseudo-terminal",
            Meaning::SizeHint => "a size or number that the kernel chooses, not compared",
            Meaning::Opaque => "not promised, not compared",
        };
        text.to_owned()
    }
}

impl Out {
    /// What a buffer without fields means; `None` where the fields say it, or nothing comes out.
    pub fn in_words(self) -> Option<&'static str> {
        match self {
            Out::Nothing | Out::Fields(..) | Out::Array(..) => None,
            Out::Buf(_) => Some("bytes, equal on both sides"),
            Out::Dirents(_) => Some("directory entries, compared as a set of names and types"),
            Out::Lines(..) => Some("text, compared by the lines that are promised"),
            Out::Opaque(_) => Some("bytes, not compared"),
        }
    }
}

/// One output of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `ret`, or the argument's name, with the field's behind a dot.
    pub name: String,
    /// Bytes, 0 where the program chooses.
    pub bytes: u16,
    /// What it means, in words.
    pub meaning: String,
}

impl Desc {
    /// All outputs, the return value first.
    pub fn outputs(&self) -> Vec<Output> {
        let mut all = vec![Output { name: "ret".to_owned(), bytes: 8, meaning: self.ret.in_words() }];
        for a in self.args {
            match a.ty {
                Ty::Ptr(_, Out::Fields(fields, _) | Out::Array(fields, _)) => {
                    all.extend(fields.iter().map(|f| Output {
                        name: format!("{}.{}", a.name, f.name),
                        bytes: f.size,
                        meaning: f.meaning.in_words(),
                    }));
                }
                Ty::Ptr(before, after) => {
                    let meaning = if before == In::IovOut {
                        Some("bytes, equal on both sides")
                    } else {
                        after.in_words()
                    };
                    all.extend(meaning.map(|meaning| Output {
                        name: a.name.to_owned(),
                        bytes: 0,
                        meaning: meaning.to_owned(),
                    }));
                }
                _ => {}
            }
        }
        all
    }

    /// The manual page it follows, such as `stat(2)`: the one of its name, or the one that describes it.
    pub fn page(&self) -> String {
        match self.op {
            Op::Vdso(_) => return "vdso(7)".to_owned(),
            // No system call: the agent does it.
            Op::Agent(_) => return "docs/architecture.md".to_owned(),
            Op::Sys(_) => {}
        }
        if self.args.iter().any(|a| matches!(a.ty, Ty::Ptr(_, Out::Lines(..)))) {
            return "proc(5)".to_owned();
        }
        let base = self.base_name();
        let name = match (base, self.area) {
            ("ioctl", Area::Sockets) => return "unix(7)".to_owned(),
            ("ioctl", _) => "ioctl_tty",
            ("newfstatat", _) => "stat",
            ("pread64" | "pwrite64", _) => "pread",
            ("fadvise64", _) => "posix_fadvise",
            ("fchmodat2", _) => "fchmodat",
            ("faccessat2", _) => "faccessat",
            ("eventfd2", _) => "eventfd",
            ("signalfd4", _) => "signalfd",
            ("prlimit64", _) => "prlimit",
            ("pselect6", _) => "pselect",
            ("futex_waitv", _) => return "Documentation/userspace-api/futex2.rst".to_owned(),
            ("mq_open" | "mq_unlink", _) => return format!("{base}(3)"),
            ("mq_timedsend", _) => return "mq_send(3)".to_owned(),
            ("mq_timedreceive", _) => return "mq_receive(3)".to_owned(),
            (base, _) => base,
        };
        format!("{name}(2)")
    }
}
