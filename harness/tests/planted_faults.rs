//! Every planted fault is found by a program that steps on it, and in the call it is in.

use parallax_corpus::text::parse;
use parallax_harness::oracles::{Class, Finding};
use parallax_harness::pair::{Isolation, Pair, RunOptions};
use parallax_harness::target::Slot;
use parallax_harness::targets::mutant::{Mutant, faults};
use std::error::Error;
use std::sync::Arc;

/// Fault, the call and the field the finding must name, and a program that steps on it.
const PROGRAMS: &[(&str, &str, &str, &str)] = &[
    ("rusage-user-exceeds-wall", "getrusage$self", "ru_utime", "getrusage$self(out)"),
    ("rusage-children-is-self", "getrusage$children", "ru_utime", "getrusage$children(out)"),
    (
        "tty-shared-flags",
        "fcntl$getfl",
        "ret",
        "r0 = openat$tty(O_RDWR)\nr1 = openat$tty(O_RDWR)\nfcntl$setfl_tty(r0, O_NONBLOCK|O_APPEND)\nfcntl$getfl(r1)",
    ),
    ("time-zero-after-restore", "time", "ret", "time()\ncheckpoint()\ntime()"),
    ("memory-after-inject", "checkpoint", "pages", "getppid()\ncheckpoint()"),
    ("winsize-zero", "ioctl$tiocgwinsz", "ws_row", "ioctl$tiocgwinsz(0, out)"),
    (
        "tcsets-echo-stuck",
        "ioctl$tcgets",
        "c_lflag",
        "ioctl$tcsets(0, {0, 0, 0, ICANON, 3, 28, 127, 21, 4, 0, 1})\nioctl$tcgets(0, out)",
    ),
    (
        "fionread-zero",
        "ioctl$fionread",
        "value",
        "r0, r1 = pipe(out)\nwrite(r1, \"hello\")\nioctl$fionread(r0, out)",
    ),
    (
        "dupfd-cloexec-lost",
        "fcntl$getfd",
        "ret",
        "r0 = eventfd2(0, 0)\nr1 = fcntl$dupfd_cloexec(r0, 10)\nfcntl$getfd(r1)",
    ),
    (
        "append-ignored",
        "fcntl$getfl",
        "ret",
        "r0 = openat$create(\"f\", 0o644)\nfcntl$setfl(r0, O_APPEND)\nfcntl$getfl(r0)",
    ),
    (
        "pipe-nonblock-lost",
        "fcntl$getfl",
        "ret",
        "r0, r1 = pipe2(out, O_NONBLOCK)\nfcntl$getfl(r0)\nfcntl$getfl(r1)",
    ),
    (
        "eventfd-semaphore-ignored",
        "read$event",
        "value",
        "r0 = eventfd2(5, EFD_SEMAPHORE)\nread$event(r0, out)",
    ),
    (
        "epoll-ctl-mod-enoent",
        "epoll_ctl$mod",
        "ret",
        "r0 = epoll_create1(0)\nr1 = eventfd2(0, 0)\nepoll_ctl$add(r0, r1, {EPOLLIN, 1})\nepoll_ctl$mod(r0, r1, {EPOLLIN, 2})",
    ),
    (
        "shutdown-ignored",
        "sendto",
        "ret",
        "r0, r1 = socketpair$stream(out)\nshutdown(r0, SHUT_WR)\nsendto(r0, \"x\", MSG_NOSIGNAL)",
    ),
    (
        "lseek-end-off-by-one",
        "lseek",
        "ret",
        "r0 = openat$create(\"f\", 0o644)\nwrite(r0, \"hello\")\nlseek(r0, 0, SEEK_END)",
    ),
    ("ftruncate-negative-ok", "ftruncate", "ret", "r0 = openat$create(\"f\", 0o644)\nftruncate(r0, -1)"),
    ("readlink-counts-nul", "readlinkat", "ret", "symlinkat(\"f\", \"l\")\nreadlinkat(\"l\", out[64])"),
    (
        "rename-noreplace-overwrites",
        "renameat2",
        "ret",
        "openat$create(\"f\", 0o644)\nopenat$create(\"l\", 0o644)\nrenameat2(\"f\", \"l\", RENAME_NOREPLACE)",
    ),
    ("getdents-dots-lost", "getdents64", "dirp", "r0 = openat$cwd(O_RDONLY)\ngetdents64(r0, out[2048])"),
    ("clock-behind-vdso", "clock_gettime", "tp", "clock_gettime(CLOCK_MONOTONIC, out)"),
    ("nanosleep-einval-lost", "nanosleep", "ret", "nanosleep({1000000000}, out)"),
    (
        "timerfd-gettime-zero",
        "timerfd_gettime",
        "it_interval",
        "r0 = timerfd_create(CLOCK_MONOTONIC, 0)\ntimerfd_settime(r0, {1000, 0, 1000, 0}, out)\ntimerfd_gettime(r0, out)",
    ),
    (
        "getitimer-zero",
        "getitimer",
        "it_interval",
        "setitimer(ITIMER_VIRTUAL, {1000, 0, 1000, 0}, out)\ngetitimer(ITIMER_VIRTUAL, out)",
    ),
    ("getppid-zero", "getppid", "ret", "getppid()"),
    ("umask-ignored", "umask", "ret", "umask(0o77)\numask(0o22)"),
    (
        "rlimit-ignored",
        "getrlimit",
        "rlim_cur",
        "setrlimit$nofile({64, NOFILE_MAX})\ngetrlimit(RLIMIT_NOFILE, out)",
    ),
    ("setpriority-ignored", "getpriority", "ret", "setpriority(19)\ngetpriority()"),
    ("wait-echild-lost", "wait4$any", "ret", "wait4$any(out, 0)"),
    (
        "sigpending-empty",
        "rt_sigpending",
        "mask",
        "r0 = getpid()\nrt_sigprocmask$block({{SIGUSR1}})\nkill$self(r0, SIGUSR1)\nrt_sigpending(out)",
    ),
    (
        "mprotect-ignored",
        "poke",
        "state",
        "r0 = mmap$private(PAGE0, 4096, PROT_READ|PROT_WRITE)\nmprotect(r0, 4096, PROT_READ)\npoke(r0, 65, 1)",
    ),
    (
        "madvise-dontneed-ignored",
        "load",
        "ret",
        "r0 = mmap$private(PAGE0, 4096, PROT_READ|PROT_WRITE)\npoke(r0, 65, 1)\nmadvise(r0, 4096, MADV_DONTNEED)\nload(r0)",
    ),
    (
        "tcflsh-ignored",
        "ioctl$fionread",
        "value",
        "r0 = openat$ptmx(O_RDWR|O_NOCTTY)\nioctl$tiocsptlck(r0, {0})\nr1 = ioctl$tiocgptpeer(r0, O_RDWR|O_NOCTTY)\nwrite$keys(r0, \"hello\\n\")\nioctl$tcflsh(r1, TCIFLUSH)\nioctl$fionread(r1, out)",
    ),
    (
        "winsize-stuck",
        "ioctl$tiocgwinsz",
        "ws_row",
        "ioctl$tiocswinsz(0, {30, 90, 0, 0})\nioctl$tiocgwinsz(0, out)",
    ),
    (
        "epoll-add-twice-ok",
        "epoll_ctl$add",
        "ret",
        "r0 = epoll_create1(0)\nr1 = eventfd2(0, 0)\nepoll_ctl$add(r0, r1, {EPOLLIN, 1})\nepoll_ctl$add(r0, r1, {EPOLLIN, 1})",
    ),
    (
        "inotify-rm-ignored",
        "inotify_rm_watch",
        "ret",
        "r0 = inotify_init1(0)\ninotify_add_watch$cwd(r0, IN_CREATE)\ninotify_rm_watch(r0, 1)\ninotify_rm_watch(r0, 1)",
    ),
    (
        "setsockopt-ignored",
        "getsockopt$int",
        "value",
        "r0, r1 = socketpair$stream(out)\nsetsockopt$int(r0, SO_KEEPALIVE, {1})\ngetsockopt$int(r0, SO_KEEPALIVE, out, {4})",
    ),
    (
        "peek-consumes",
        "recvfrom",
        "ret",
        "r0, r1 = socketpair$stream(out)\nsendto(r0, \"ab\", 0)\nrecvfrom(r1, out[1], MSG_PEEK)\nrecvfrom(r1, out[8], MSG_DONTWAIT)",
    ),
    (
        "sockname-family-zero",
        "getsockname",
        "sun_family",
        "r0, r1 = socketpair$stream(out)\ngetsockname(r0, out, {112})",
    ),
    (
        "fchmod-setid-lost",
        "fstat",
        "st_mode",
        "r0 = openat$create(\"f\", 0o644)\nfchmod(r0, 0o4755)\nfstat(r0, out)",
    ),
    ("mkdir-exists-ok", "mkdirat", "ret", "mkdirat(\"d\", 0o755)\nmkdirat(\"d\", 0o755)"),
    (
        "fchdir-ignored",
        "getcwd",
        "ret",
        "mkdirat(\"d\", 0o755)\nr0 = openat$dir(\"d\", O_RDONLY)\nfchdir(r0)\ngetcwd(out[64])",
    ),
    ("clock-coarse-einval", "clock_getres", "ret", "clock_getres(CLOCK_MONOTONIC_COARSE, out)"),
    ("rlimit-max-infinite", "getrlimit", "rlim_max", "getrlimit(RLIMIT_NOFILE, out)"),
    ("getpriority-off-by-one", "getpriority", "ret", "getpriority()"),
    (
        "sigprocmask-query-empty",
        "rt_sigprocmask$get",
        "mask",
        "rt_sigprocmask$block({{SIGUSR1}})\nrt_sigprocmask$get(out)",
    ),
    (
        "sigaction-query-default",
        "rt_sigaction$get",
        "sa_handler",
        "rt_sigaction$set(SIGUSR1, {SIG_IGN, 0, 0})\nrt_sigaction$get(SIGUSR1, out)",
    ),
    ("kill-probe-eperm", "kill$probe", "ret", "r0 = getpid()\nkill$probe(r0)"),
    (
        "munmap-ignored",
        "load",
        "state",
        "r0 = mmap$private(PAGE0, 4096, PROT_READ|PROT_WRITE)\npoke(r0, 65, 1)\nmunmap(r0, 4096)\nload(r0)",
    ),
    (
        "msync-unmapped-ok",
        "msync",
        "ret",
        "r0 = mmap$private(PAGE0, 4096, PROT_READ|PROT_WRITE)\nmunmap(r0, 4096)\nmsync(r0, 4096, MS_SYNC)",
    ),
];

/// Faults of the layer as a whole: a class, not a field.
const LAYER: &[(&str, Class, &str)] = &[
    ("hang-on-inotify", Class::Hang, "getppid()\ninotify_init1(0)"),
    ("crash-on-memfd", Class::Crash, "getppid()\nmemfd_create(0)"),
];

fn finding(fault: &str, program: &str, isolation: Isolation) -> Result<Option<Finding>, Box<dyn Error>> {
    let mut pair = Pair::start(Arc::new(Mutant::named(fault)?), Slot::default())?;
    let program = parse(program).map_err(|e| format!("{fault}: {e}"))?;
    let result = pair.run(&[program], RunOptions::PATIENT.at(isolation))?.remove(0);
    assert!(!result.unusable(), "{fault}: {result:?}");
    Ok(result.finding)
}

#[test]
fn every_fault_is_found_in_shared_memory_and_in_a_forked_child() {
    let mut wrong = Vec::new();
    for (fault, call, field, program) in PROGRAMS {
        for isolation in [Isolation::Shared, Isolation::Forked] {
            match finding(fault, program, isolation) {
                Ok(Some(f)) if f.name == *call && f.field == *field => {}
                Ok(Some(f)) => wrong.push(format!(
                    "{fault}, {isolation:?}: {} {} {} {} ({})",
                    f.name, f.field, f.native, f.target, f.oracle
                )),
                Ok(None) => wrong.push(format!("{fault}, {isolation:?}: nothing found")),
                Err(e) => wrong.push(format!("{fault}, {isolation:?}: {e}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_layer_that_hangs_or_dies_is_reported_as_such() -> Result<(), Box<dyn Error>> {
    for (fault, class, program) in LAYER {
        let found = finding(fault, program, Isolation::Shared)?.ok_or("nothing found")?;
        assert_eq!(found.class, *class, "{fault}: {found:?}");
    }
    Ok(())
}

#[test]
fn programs_that_do_not_step_on_the_fault_run_as_natively() -> Result<(), Box<dyn Error>> {
    for (_, _, _, program) in PROGRAMS {
        let found = finding("crash-on-memfd", program, Isolation::Shared)?;
        assert_eq!(found, None, "{program}");
    }
    Ok(())
}

#[test]
fn no_fault_is_forgotten() {
    for fault in faults::all() {
        let known = PROGRAMS.iter().any(|p| p.0 == fault.name) || LAYER.iter().any(|p| p.0 == fault.name);
        assert!(known, "{}", fault.name);
    }
}
