//! Calls said with other words: old system calls by their newer ones, and what is never said.

use super::lex::Event;
use super::value::Value;

/// Why calls of that name are never imported, if so.
pub(super) fn never(name: &str) -> Option<&'static str> {
    Some(match name {
        "execve" | "execveat" => "starts another program",
        "exit" | "exit_group" => "the end of a process",
        "brk" | "arch_prctl" | "set_robust_list" | "rseq" => "the C library's own set-up",
        "rt_sigreturn" | "restart_syscall" => "made by the kernel, not by the program",
        _ => return None,
    })
}

/// Whether a call waits for something to happen to descriptors.
pub(super) fn polls(name: &str) -> bool {
    matches!(name, "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait" | "epoll_pwait2")
}

fn number(n: u64) -> Value {
    Value::Number(n)
}
fn here() -> Value {
    Value::Number(-100i64 as u64)
}
fn named(event: &Event, name: &str, args: Vec<Value>) -> Event {
    Event { name: name.to_owned(), args, ..event.clone() }
}

/// The call as it is looked up: what depends on the machine, on when a child ended, or on descriptors' numbers taken
/// out.
pub(super) fn plainly(event: &Event) -> Event {
    let mut event = polled(event).unwrap_or_else(|| event.clone());
    // A child that was there without waiting is waited for.
    let options = match event.name.as_str() {
        "wait4" => 2,
        "waitid" => 3,
        _ => 0,
    };
    if options > 0 && event.ok().is_some() {
        if let Some(word) = event.arg(options).word(None) {
            event.args[options] = number(word & !1);
        }
    }
    // The terminal has a number of its own there.
    for arg in &mut event.args {
        if matches!(arg, Value::Text(path, _) if path.starts_with(b"/dev/pts/") && path.len() > 9) {
            *arg = Value::Text(b"/dev/tty".to_vec(), false);
        }
    }
    event
}

/// The same as another call, for where the tables have no such call.
pub(super) fn otherwise(event: &Event) -> Option<Event> {
    let arg = |k: usize| event.args.get(k).cloned().unwrap_or(Value::Number(0));
    let (name, args) = match event.name.as_str() {
        "open" => ("openat", vec![here(), arg(0), arg(1), arg(2)]),
        "creat" => ("openat", vec![here(), arg(0), number(0o1101), arg(1)]),
        "stat" => ("newfstatat", vec![here(), arg(0), arg(1), number(0)]),
        "lstat" => ("newfstatat", vec![here(), arg(0), arg(1), number(0x100)]),
        "unlink" => ("unlinkat", vec![here(), arg(0), number(0)]),
        "rmdir" => ("unlinkat", vec![here(), arg(0), number(0x200)]),
        "mkdir" => ("mkdirat", vec![here(), arg(0), arg(1)]),
        "rename" => ("renameat", vec![here(), arg(0), here(), arg(1)]),
        "link" => ("linkat", vec![here(), arg(0), here(), arg(1), number(0)]),
        "symlink" => ("symlinkat", vec![arg(0), here(), arg(1)]),
        "readlink" => ("readlinkat", vec![here(), arg(0), arg(1), arg(2)]),
        "chmod" => ("fchmodat", vec![here(), arg(0), arg(1)]),
        "chown" => ("fchownat", vec![here(), arg(0), arg(1), arg(2), number(0)]),
        "lchown" => ("fchownat", vec![here(), arg(0), arg(1), arg(2), number(0x100)]),
        "access" => ("faccessat", vec![here(), arg(0), arg(1)]),
        "inotify_init" => ("inotify_init1", vec![number(0)]),
        "eventfd" => ("eventfd2", vec![arg(0), number(0)]),
        "signalfd" => ("signalfd4", vec![arg(0), arg(1), arg(2), number(0)]),
        "getdents" => ("getdents64", event.args.clone()),
        "accept" => ("accept4", vec![arg(0), arg(1), arg(2), number(0)]),
        // Reading a limit.
        "prlimit64" if arg(2).is_null() && arg(0).word(None) == Some(0) => {
            ("getrlimit", vec![arg(1), arg(3)])
        }
        "getrlimit" => ("prlimit64", vec![number(0), arg(0), number(0), arg(1)]),
        "tgkill" => ("tkill", vec![arg(1), arg(2)]),
        _ => return None,
    };
    Some(named(event, name, args))
}

/// As poll(2), whose descriptors are named one by one and whose time may be endless: in select(2) they are bits, whose
/// numbers are other ones in a program.
fn polled(event: &Event) -> Option<Event> {
    let pollfd = |(fd, events): &(u64, u64)| {
        let fields = vec![("fd".to_owned(), number(*fd)), ("events".to_owned(), number(*events))];
        (String::new(), Value::List(true, fields))
    };
    let (list, time) = match event.name.as_str() {
        "select" | "pselect6" => {
            let fds = selected(event)?;
            (Value::List(false, fds.iter().map(pollfd).collect()), 4)
        }
        "ppoll" if event.arg(3).is_null() => (event.arg(0).clone(), 2),
        _ => return None,
    };
    let count = list.entries().len() as u64;
    let part = |name: &str| event.arg(time).before().entry(name).and_then(|v| v.word(None));
    let timeout = match (part("tv_sec"), part("tv_nsec"), part("tv_usec")) {
        (Some(0), Some(0), _) | (Some(0), _, Some(0)) => 0,
        (Some(_), ..) => 1,
        _ => u64::MAX,
    };
    Some(named(event, "poll", vec![list, number(count), number(timeout)]))
}

/// The descriptors of select(2), each with the events of poll(2).
fn selected(event: &Event) -> Option<Vec<(u64, u64)>> {
    let mut fds: Vec<(u64, u64)> = Vec::new();
    for (k, events) in [(1, 1u64), (2, 4u64)] {
        for (_, fd) in event.arg(k).before().entries().iter().take(64) {
            let fd = fd.word(None)?;
            match fds.iter_mut().find(|(n, _)| *n == fd) {
                Some((_, all)) => *all |= events,
                None => fds.push((fd, events)),
            }
        }
    }
    Some(fds)
}
