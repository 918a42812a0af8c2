//! State that is looked at: which calls only look, what they look at, and which names of calls mean one operation.
//!
//! A signature is to be the same whichever way the same wrong state was seen or brought about, and never the same for
//! two bugs. So only what is listed here is joined; a call that is not listed stands for itself (see
//! `docs/decisions/0018-signatures.md`).

use super::Evidence;
use parallax_corpus::Arg;

/// Calls that look at one thing in several ways: the thing, and the calls.
const THINGS: &[(&str, &[&str])] = &[
    (
        "file",
        &[
            "stat",
            "lstat",
            "fstat",
            "fstat$anon",
            "fstat$dev",
            "newfstatat",
            "newfstatat$at",
            "newfstatat$fd",
            "statx",
            "statx$fd",
            "statx$mask",
            "tree",
        ],
    ),
    ("directory", &["getdents64"]),
    ("descriptor flags", &["fcntl$getfd"]),
    ("status flags", &["fcntl$getfl"]),
    ("offset", &["lseek"]),
    ("owner", &["fcntl$getown", "fcntl$getown_ex"]),
    ("terminal", &["ioctl$tcgets"]),
    ("window size", &["ioctl$tiocgwinsz"]),
    ("queued bytes", &["ioctl$fionread", "ioctl$siocinq"]),
    ("blocked signals", &["rt_sigprocmask$get"]),
    ("pending signals", &["rt_sigpending"]),
    ("delivered signals", &["signal_log"]),
    ("dispositions", &["rt_sigaction$get"]),
    ("limits", &["getrlimit", "getrlimit$kernel", "prlimit64$get"]),
    ("nice value", &["getpriority"]),
    ("interval timer", &["getitimer"]),
    ("timer", &["timer_gettime"]),
    ("timerfd", &["timerfd_gettime"]),
    ("directory of work", &["getcwd"]),
    ("process group", &["getpgid", "getpgrp"]),
    ("session", &["getsid"]),
    ("seals", &["fcntl$get_seals"]),
    ("pipe size", &["fcntl$getpipe_sz"]),
];

/// Variants of one system call that only differ in how its arguments are given, under the name of the first.
const SPELLINGS: &[&[&str]] = &[
    &[
        "openat",
        "openat$at",
        "openat$create",
        "openat$excl",
        "openat$trunc",
        "openat$append",
        "openat$rdonly",
        "openat$wronly",
        "openat$dir",
        "openat$cwd",
        "openat$fifo",
        "openat$path",
        "open",
    ],
    &["dup2", "dup2$new"],
    &["newfstatat", "newfstatat$at", "newfstatat$fd"],
    &["statx", "statx$fd", "statx$mask"],
    &["utimensat", "utimensat$now", "utimensat$fd"],
    &["mkdirat", "mkdirat$at", "mkdir"],
    &["mknodat", "mknodat$fifo", "mknod"],
    &["unlinkat", "unlinkat$at", "unlink"],
    &["unlinkat$rmdir", "rmdir"],
    &["linkat", "linkat$at", "link"],
    &["symlinkat", "symlinkat$at", "symlink"],
    &["readlinkat", "readlinkat$at", "readlink"],
    &["renameat2", "renameat2$at", "renameat", "rename"],
    &["accept4", "accept4$in", "accept"],
    &["sendto", "sendto$un", "sendto$in"],
    &["sendmsg", "sendmsg$un", "sendmmsg"],
    &["recvfrom", "recvfrom$un", "recvfrom$in"],
    &["recvmsg", "recvmsg$control", "recvmsg$short", "recvmmsg"],
    &["semctl$getval", "semctl$setval", "semctl$getpid", "semctl$getncnt", "semctl$getzcnt"],
    &["shmget", "shmget$flags"],
    &["semget", "semget$flags"],
    &["msgget", "msgget$flags"],
    &["eventfd2", "eventfd"],
    &["inotify_init1", "inotify_init"],
    &["fcntl$setfl", "fcntl$setfl_tty"],
    &["ioctl$tcsets", "ioctl$tcsetsw", "ioctl$tcsetsf"],
    &["lseek$data", "lseek$hole"],
    &["sendfile", "sendfile$off"],
    &["splice", "splice$from", "splice$to"],
    &["copy_file_range", "copy_file_range$off"],
    &["epoll_wait", "epoll_wait$one"],
    &["signalfd4", "signalfd4$mask", "signalfd"],
    &["inotify_add_watch", "inotify_add_watch$cwd"],
    &["clock_gettime", "clock_gettime$bad"],
    &["gettimeofday", "gettimeofday$tz"],
    &["time", "time$tloc"],
    &["vdso_time", "vdso_time$tloc"],
    &["clock_nanosleep", "clock_nanosleep$past"],
    &["getrlimit", "getrlimit$kernel", "prlimit64$get"],
    &["setrlimit$nofile", "prlimit64$nofile"],
    &["mmap$private", "mmap$shared", "mmap$populate", "mmap$noreserve"],
    &["mmap$file", "mmap$file_shared"],
    &["mremap", "mremap$fixed"],
    &["rt_sigprocmask", "rt_sigprocmask$block", "rt_sigprocmask$unblock"],
    &["pwritev2", "pwritev2$append"],
];

/// Calls that are older and newer, or by name and by descriptor, of one operation (mostly one page of the manual's
/// section 2). They are joined as what brought a state about, by what they do to the process (it dies, stops, waits), and
/// by what they bring: how each of them refuses is its own.
const OPERATIONS: &[&[&str]] = &[
    &["openat", "creat"],
    &["chmod", "fchmod", "fchmodat", "fchmodat2"],
    &["fchownat", "fchown", "chown", "lchown"],
    &["truncate", "ftruncate"],
    &["dup2", "dup3"],
    &["pipe", "pipe2"],
    &["epoll_create", "epoll_create1"],
    &["write", "writev", "write$file", "pwrite64", "pwritev", "pwritev2"],
    &["mlock", "mlock2"],
    &["read", "readv"],
    &["sendto", "sendmsg", "sendmsg$creds", "sendmsg$rights"],
    &["recvfrom", "recvmsg"],
    &["poll", "ppoll"],
    &["select", "select$except", "pselect6"],
    &["epoll_wait", "epoll_pwait", "epoll_pwait2"],
    &["kill$self", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
];

/// The first of the list that holds the name, or the name.
fn first_of<'a>(lists: &[&'static [&'static str]], name: &'a str) -> &'a str {
    let list = lists.iter().find(|list| list.contains(&name));
    list.and_then(|list| list.first().copied()).unwrap_or(name)
}

/// The name under which a call's own answers are kept: variants that only differ in how arguments are given are one.
pub fn spelled(name: &str) -> &str {
    first_of(SPELLINGS, name)
}

/// The name under which a call is kept that brought a state about.
pub fn operation(name: &str) -> &str {
    first_of(OPERATIONS, spelled(name))
}

/// What a call looks at, if looking is all it does.
pub fn thing(name: &str) -> Option<&'static str> {
    THINGS.iter().find(|(_, calls)| calls.contains(&name)).map(|(thing, _)| *thing)
}

/// The calls that only look at something.
pub fn looks() -> impl Iterator<Item = &'static str> {
    THINGS.iter().flat_map(|(_, calls)| calls.iter()).copied()
}

/// A field under the one name it has for all who look at the thing: `stx_mode` is `st_mode`.
pub fn thing_field(field: &str) -> String {
    field.strip_prefix("stx_").map_or_else(|| field.to_owned(), |rest| format!("st_{rest}"))
}

/// All names that this file joins: for the test that they are the tables' own.
pub fn joined_names() -> impl Iterator<Item = &'static str> {
    let spelled = SPELLINGS.iter().copied().flatten().copied();
    looks().chain(spelled).chain(OPERATIONS.iter().copied().flatten().copied())
}

/// A first guess at the program's call that a difference at `call` is laid to, from the program's text alone: for a
/// probe the last call that used the probed descriptor, or made it; for probes of the whole process, the program's
/// last call. Triage asks the kernels instead, by running the program's beginnings.
pub(super) fn guess(evidence: &Evidence<'_>, call: usize) -> String {
    let calls = &evidence.code.calls;
    if call < evidence.code.own {
        return calls[call].id.name().to_owned();
    }
    let own = &calls[..evidence.code.own];
    let by = match calls[call].args.first() {
        Some(fd @ (Arg::Res(_) | Arg::Int(_))) => own
            .iter()
            .rposition(|c| c.args.contains(fd))
            .or(match fd {
                Arg::Res(r) if (r.call as usize) < own.len() => Some(r.call as usize),
                _ => None,
            })
            .or(own.len().checked_sub(1)),
        _ => own.len().checked_sub(1),
    };
    by.map_or_else(|| "start".to_owned(), |k| own[k].id.name().to_owned())
}
