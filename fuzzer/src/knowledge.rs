//! What the descriptions do not say about calls and a generator should know, so that what it makes succeeds:
//! facts from the man pages, by the calls' names.

use crate::resources::makes_path;
use parallax_corpus::desc::{self, FdKinds, In, Kind, Out};
use parallax_corpus::{Arg, CallId, Program, ResRef, Ty};

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// Anything else.
    File,
}

impl Node {
    /// What a call that makes a path makes.
    pub fn made_by(id: CallId) -> Node {
        match id.desc().base_name() {
            name if name.starts_with("mkdir") => Node::Dir,
            name if name.starts_with("symlink") => Node::Link,
            _ => Node::File,
        }
    }

    /// What a call wants to find at its path.
    pub fn wanted_by(id: CallId) -> Node {
        let name = id.name();
        if name.starts_with("chdir") || name.contains("rmdir") || name.ends_with("$dir") {
            Node::Dir
        } else if name.starts_with("readlink") {
            Node::Link
        } else {
            Node::File
        }
    }
}

/// Whether the path argument `index` (among all arguments) should be a name that is not there yet.
pub fn wants_new_path(id: CallId, index: usize) -> bool {
    let name = id.desc().args[index].name;
    makes_path(id, index)
        || matches!(name, "newpath" | "linkpath")
        || id.desc().base_name().starts_with("mkdir")
}

/// Whether the call takes away the name at its first path.
pub fn removes_path(id: CallId) -> bool {
    let name = id.desc().base_name();
    name.starts_with("unlink") || name.starts_with("rmdir") || name.starts_with("rename")
}

/// Which way data goes through an argument that is a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Out of it.
    Read,
    /// Into it.
    Write,
    /// Both ways.
    Both,
    /// Neither, or it does not matter.
    Any,
}

impl Direction {
    /// That of the call's argument of that name.
    pub fn of(id: CallId, argument: &str) -> Direction {
        match argument {
            "fd_in" | "in_fd" => return Direction::Read,
            "fd_out" | "out_fd" => return Direction::Write,
            _ => {}
        }
        let name = id.desc().base_name();
        let pointers = |wanted: fn(&In, &Out) -> bool| {
            id.desc().args.iter().any(|a| matches!(&a.ty, Ty::Ptr(into, out) if wanted(into, out)))
        };
        if name == "mmap" {
            Direction::Both
        } else if name == "ftruncate" || name == "fallocate" {
            Direction::Write
        } else if pointers(|into, out| matches!(out, Out::Buf(_)) || *into == In::IovOut) {
            Direction::Read
        } else if name.contains("write") && pointers(|into, _| matches!(into, In::Bytes(_) | In::IovIn)) {
            Direction::Write
        } else {
            Direction::Any
        }
    }

    /// Whether what that call makes can be used so: a pipe is read at its first end and written at its second.
    pub fn fits(self, maker: CallId, kind: Kind, slot: u8) -> bool {
        let variant = maker.name().split_once('$').map_or("", |(_, variant)| variant);
        let pipe = kind == Kind::Fd(desc::FD_PIPE);
        match self {
            Direction::Read => variant != "wronly" && !(pipe && slot == 1),
            Direction::Write => variant != "rdonly" && !(pipe && slot == 0),
            Direction::Both => variant != "wronly" && variant != "rdonly",
            Direction::Any => true,
        }
    }
}

/// The kinds of descriptor that a call can really work with, of those its description takes.
pub fn liked_kinds(id: CallId, argument: &str, kinds: FdKinds) -> FdKinds {
    let liked = match id.desc().base_name() {
        // Only what has positions.
        "pread64" | "pwrite64" | "preadv" | "preadv2" | "pwritev" | "pwritev2" | "lseek" => desc::FD_FILE,
        // A file is always ready and cannot be watched.
        "epoll_ctl" if argument == "fd" => kinds & !(desc::FD_FILE | desc::FD_EPOLL),
        "fchdir" => desc::FD_DIR,
        // One of the two must be a pipe.
        "splice" if argument == "fd_in" => desc::FD_PIPE,
        _ if argument.ends_with("dirfd") => desc::FD_DIR,
        "mmap" => desc::FD_FILE,
        _ => kinds,
    };
    // Kinds that are sure come first: FD_NODE may turn out to be anything.
    match kinds & liked {
        0 => kinds,
        some => some,
    }
}

/// Whether a call needs the pid of a process that is there: 0 is nobody to it.
pub fn needs_pid(id: CallId) -> bool {
    matches!(
        id.desc().base_name(),
        "tkill" | "tgkill" | "kill" | "pidfd_open" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo"
    ) || matches!(id.name(), "ioctl$tiocspgrp" | "sendmsg$creds")
}

/// Whether a call waits for a child.
pub fn waits(id: CallId) -> bool {
    let name = id.desc().base_name();
    name == "wait4" || name == "waitid"
}

/// Whether a call makes a child.
pub fn spawns(id: CallId) -> bool {
    id.desc().base_name() == "spawn"
}

/// The children nobody waited for yet, oldest first.
pub fn children(program: &Program) -> Vec<ResRef> {
    let mut alive: Vec<ResRef> = Vec::new();
    for (i, call) in program.calls.iter().enumerate() {
        if spawns(call.id) {
            alive.push(ResRef { call: i as u16, slot: 0 });
        } else if waits(call.id) && !alive.is_empty() {
            let named = call.args.iter().find_map(|arg| match arg {
                Arg::Res(r) => alive.iter().position(|child| child == r),
                _ => None,
            });
            alive.remove(named.unwrap_or(0));
        }
    }
    alive
}

/// Whether a call sends a signal.
pub fn sends(id: CallId) -> bool {
    matches!(
        id.desc().base_name(),
        "tkill" | "tgkill" | "kill" | "pidfd_send_signal" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo"
    )
}

/// The signals the program set a handler for, or ignores.
pub fn handled(program: &Program) -> Vec<u64> {
    let handles = program.calls.iter().filter(|call| call.id.desc().base_name() == "rt_sigaction");
    let signal = |call: &parallax_corpus::Call| match (call.args.first(), call.args.get(1)) {
        (Some(Arg::Int(signal)), Some(Arg::Group(act))) if act.first() != Some(&Arg::Int(0)) => Some(*signal),
        _ => None,
    };
    handles.filter_map(signal).filter(|signal| (1..=64).contains(signal)).collect()
}

/// The call that must have come before, on the same things, for this one to find anything.
pub fn precedent(id: CallId) -> Option<CallId> {
    let (base, variant) = id.name().split_once('$')?;
    if base == "task" && variant == "exit" {
        return CallId::named("task$thread");
    }
    if base != "epoll_ctl" || variant == "add" {
        return None;
    }
    CallId::named("epoll_ctl$add")
}

/// Why a call never succeeds natively, for the few that only ever fail: they are there for how they fail.
pub fn fruitless(id: CallId) -> Option<&'static str> {
    FRUITLESS.iter().find(|(name, _)| *name == id.name()).map(|(_, why)| *why)
}

/// See [`fruitless`].
pub const FRUITLESS: &[(&str, &str)] = &[
    ("clock_gettime$bad", "no kernel has these clocks"),
    ("mmap$neither", "neither MAP_SHARED nor MAP_PRIVATE is EINVAL"),
    ("setxattr$trusted", "trusted.* needs CAP_SYS_ADMIN, which nobody in the jail has"),
    ("setxattr$nameless", "an attribute needs a name behind its prefix"),
    ("futex$wait", "the word is its own, so nobody wakes: the time runs out, or it is another one"),
    ("futex$wait_bitset", "as futex$wait"),
    ("futex$bad", "no kernel has these operations"),
    ("futex_waitv", "its vector would have to hold an address"),
    ("futex$unlock_pi", "the word is its own, and does not hold the caller's id"),
    ("rt_sigaction$size", "a signal set has one size"),
    ("read$timer", "timers here never run out"),
    ("pkey_alloc", "needs a processor with protection keys"),
    ("pkey_free", "needs a processor with protection keys"),
    ("readlinkat$proc_fd", "descriptor 99 is never open"),
    ("exit_group", "it does not return"),
    ("pause", "it returns only with EINTR, or blocks"),
    ("rt_sigsuspend", "it returns only with EINTR, or blocks"),
    ("pidfd_getfd", "the jail denies it"),
];
