//! Which Linux release a call needs as it is written: its own, or that of the newest constant in it.
//! From the VERSIONS, HISTORY and "since Linux" notes of the man pages.
//!
//! A layer that says it is an older kernel is not wrong to lack what came later (and one that has it is none the worse).

use crate::desc::{FlagSet, In, SField, Ty};
use crate::program::{Arg, Call};

/// The newest release that `call` needs, and because of what: the call, or one of its flags or values.
///
/// A number that no name covers is taken as it is: what it needs is unknown.
pub fn newest_needed(call: &Call) -> (&'static str, String) {
    let desc = call.id.desc();
    let mut newest = (desc.since, format!("{}()", desc.base_name()));
    let mut need = |release: &'static str, what: &str| {
        if parts(release) > parts(newest.0) {
            newest = (release, what.to_owned());
        }
    };
    for (base, release, what) in ALWAYS {
        if *base == desc.base_name() {
            need(release, what);
        }
    }
    for ((_, described), value) in desc.written().zip(&call.args) {
        each_word(described.ty, value, &mut |ty, word| {
            for name in named(ty, word) {
                for (base, constant, release) in CONSTANTS {
                    if *constant == name && (base.is_empty() || *base == desc.base_name()) {
                        need(release, name);
                    }
                }
            }
        });
    }
    newest
}

/// A release's numbers, to be compared: `6.10` is newer than `6.9`.
pub fn parts(release: &str) -> Vec<u32> {
    release.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

fn each_word(ty: Ty, value: &Arg, f: &mut impl FnMut(Ty, u64)) {
    let fields = |fields: &'static [SField], parts: &[Arg], f: &mut dyn FnMut(Ty, u64)| {
        for (field, part) in fields.iter().zip(parts) {
            if let Arg::Int(word) = part {
                f(field.ty, *word);
            }
        }
    };
    match (ty, value) {
        (Ty::Ptr(In::Struct(described, _), _), Arg::Group(parts)) => fields(described, parts, f),
        (Ty::Ptr(In::Array(described, ..), _), Arg::Group(elements)) => {
            for element in elements {
                if let Arg::Group(parts) = element {
                    fields(described, parts, f);
                }
            }
        }
        (ty, Arg::Int(word)) => f(ty, *word),
        _ => {}
    }
}

/// The names of a word's set that are in it.
fn named(ty: Ty, word: u64) -> Vec<&'static str> {
    let of = |set: &'static FlagSet, there: &dyn Fn(u64) -> bool| {
        set.names.iter().filter(|(_, bits)| there(*bits)).map(|(name, _)| *name).collect()
    };
    match ty {
        Ty::Flags(set) => of(set, &|bits| bits != 0 && word & bits == bits),
        Ty::Enum(set) => of(set, &|value| value == word),
        _ => Vec::new(),
    }
}

/// What a call needs in the world that programs run in, whatever its arguments: call, release, reason.
pub const ALWAYS: &[(&str, &str, &str)] = &[
    ("setxattr", "6.6", "user.* attributes on tmpfs"),
    ("lsetxattr", "6.6", "user.* attributes on tmpfs"),
    ("fsetxattr", "6.6", "user.* attributes on tmpfs"),
    ("getxattr", "6.6", "user.* attributes on tmpfs"),
    ("lgetxattr", "6.6", "user.* attributes on tmpfs"),
    ("fgetxattr", "6.6", "user.* attributes on tmpfs"),
    ("removexattr", "6.6", "user.* attributes on tmpfs"),
    ("lremovexattr", "6.6", "user.* attributes on tmpfs"),
    ("fremovexattr", "6.6", "user.* attributes on tmpfs"),
    ("fallocate", "3.5", "fallocate() on tmpfs"),
];

/// Constants that came after the call they are given to: call (empty: any), constant, release.
#[rustfmt::skip]
pub const CONSTANTS: &[(&str, &str, &str)] = &[
    // open(2), pipe(2), dup(2)
    ("", "O_CLOEXEC", "2.6.23"), ("", "O_PATH", "2.6.39"), ("", "O_SYNC", "2.6.33"), ("pipe2", "O_DIRECT", "3.4"),
    // stat(2), link(2), statx(2), access(2)
    ("newfstatat", "AT_EMPTY_PATH", "2.6.39"), ("newfstatat", "AT_NO_AUTOMOUNT", "2.6.38"),
    ("linkat", "AT_SYMLINK_FOLLOW", "2.6.18"),
    // fallocate(2), preadv2(2), close_range(2)
    ("", "FALLOC_FL_PUNCH_HOLE", "2.6.38"), ("", "RWF_DSYNC", "4.7"), ("", "RWF_SYNC", "4.7"),
    ("", "CLOSE_RANGE_CLOEXEC", "5.11"),
    // socket(2), socket(7), recv(2)
    ("socket", "SOCK_NONBLOCK", "2.6.27"), ("socket", "SOCK_CLOEXEC", "2.6.27"), ("", "MSG_CMSG_CLOEXEC", "2.6.23"),
    ("", "SO_PROTOCOL", "2.6.32"), ("", "SO_DOMAIN", "2.6.32"), ("", "SO_RXQ_OVFL", "2.6.33"),
    ("", "SO_REUSEPORT", "3.9"), ("", "IP_MTU_DISCOVER", "2.6"),
    // poll(2), epoll_ctl(2), eventfd(2), inotify(7)
    ("", "POLLRDHUP", "2.6.17"), ("", "EPOLLRDHUP", "2.6.17"), ("", "EFD_SEMAPHORE", "2.6.30"),
    ("", "IN_ONLYDIR", "2.6.15"), ("", "IN_DONT_FOLLOW", "2.6.15"), ("", "IN_EXCL_UNLINK", "2.6.36"),
    // clock_getres(2), timerfd_create(2), timer_create(2)
    ("", "CLOCK_PROCESS_CPUTIME_ID", "2.6.12"), ("", "CLOCK_THREAD_CPUTIME_ID", "2.6.12"),
    ("", "CLOCK_MONOTONIC_RAW", "2.6.28"), ("", "CLOCK_REALTIME_COARSE", "2.6.32"),
    ("", "CLOCK_MONOTONIC_COARSE", "2.6.32"), ("timerfd_create", "CLOCK_BOOTTIME", "3.15"),
    ("", "CLOCK_BOOTTIME", "2.6.39"), ("", "CLOCK_TAI", "3.10"),
    // madvise(2), mlockall(2), set_mempolicy(2)
    ("", "MADV_REMOVE", "2.6.16"), ("", "MADV_DONTFORK", "2.6.16"), ("", "MADV_DOFORK", "2.6.16"),
    ("", "MCL_ONFAULT", "4.4"), ("", "MPOL_LOCAL", "3.8"),
    // sigaltstack(2), sched(7), seccomp(2), getrlimit(2)
    ("", "SCHED_BATCH", "2.6.16"), ("", "SCHED_IDLE", "2.6.23"), ("", "SCHED_DEADLINE", "3.14"),
    ("", "RLIMIT_NICE", "2.6.12"), ("", "RLIMIT_RTPRIO", "2.6.12"), ("", "RLIMIT_RTTIME", "2.6.25"),
    ("", "RLIMIT_SIGPENDING", "2.6.8"), ("", "RLIMIT_MSGQUEUE", "2.6.8"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tables, text};
    use std::collections::HashSet;

    fn needed(line: &str) -> (&'static str, String) {
        let program = text::parse(line).unwrap_or_else(|error| panic!("{error}"));
        newest_needed(&program.calls[0])
    }

    #[test]
    fn a_call_needs_its_own_release_or_that_of_its_newest_constant() {
        assert_eq!(needed("getpid()"), ("2.6", "getpid()".to_owned()));
        assert_eq!(needed("close_range(3, 5, 0)"), ("5.9", "close_range()".to_owned()));
        assert_eq!(
            needed("close_range(3, 5, CLOSE_RANGE_CLOEXEC)"),
            ("5.11", "CLOSE_RANGE_CLOEXEC".to_owned())
        );
        assert_eq!(needed("pipe2(out, O_DIRECT|O_CLOEXEC)"), ("3.4", "O_DIRECT".to_owned()));
        assert_eq!(needed("timerfd_create(CLOCK_BOOTTIME, 0)").0, "3.15");
        assert_eq!(needed("clock_gettime(CLOCK_BOOTTIME, out)").0, "2.6.39");
        assert_eq!(needed("poll([{0, POLLRDHUP}], 0)"), ("2.6.17", "POLLRDHUP".to_owned()));
    }

    #[test]
    fn releases_are_compared_number_by_number() {
        assert!(parts("6.10") > parts("6.9"));
        assert!(parts("3.0") > parts("2.6.39"));
        assert!(parts("2.6.16") > parts("2.6"));
    }

    #[test]
    fn every_constant_and_call_listed_is_in_the_tables() {
        let bases: HashSet<&str> = tables::all().iter().map(|d| d.base_name()).collect();
        let mut names: HashSet<&str> = HashSet::new();
        for d in tables::all() {
            let mut of = |ty: Ty| {
                if let Ty::Flags(set) | Ty::Enum(set) = ty {
                    names.extend(set.names.iter().map(|(name, _)| *name));
                }
            };
            for a in d.args {
                of(a.ty);
                if let Ty::Ptr(In::Struct(fields, _) | In::Array(fields, ..), _) = a.ty {
                    fields.iter().for_each(|f| of(f.ty));
                }
            }
        }
        for (base, constant, release) in CONSTANTS {
            assert!(base.is_empty() || bases.contains(base), "{base}");
            assert!(names.contains(constant), "{constant}");
            assert!(parts(release) >= parts("2.6"), "{constant}");
        }
        for (base, release, _) in ALWAYS {
            assert!(bases.contains(base), "{base}");
            assert!(parts(release) >= parts("2.6"), "{base}");
        }
    }
}
