//! Which cases lie in one bucket: those that somebody who mends the layer would mend together.
//!
//! The search keeps every signature apart, since one that is joined with another is not looked for any more. A list that
//! is read wants the opposite: a call that checks its arguments in another order is one bug, whichever two errors were
//! seen. So a bucket has a coarser name than the cases in it, made from the finding and the program by rules that look at
//! nothing else: the same case falls into the same bucket in every store (`docs/decisions/0033-buckets.md`).

use parallax_corpus::desc::{self, FdKinds, Kind, Ty};
use parallax_corpus::{Arg, Call, Code, End, Program, ResRef};
use parallax_harness::oracles::class::{is_errno, says_it_lacks};
use parallax_harness::oracles::{ANOTHER, Finding, Parts, Signature, state, was_or_is_nothing};
use parallax_replay::Repro;

/// Calls that one piece of a layer answers, under the name of the first. An entry that ends in `$` stands for all
/// variants of that call. (Those of one page of the manual are joined in `oracles::state` already.)
const ANSWERED_TOGETHER: &[&[&str]] = &[
    &["read", "read$", "pread64", "preadv", "preadv2"],
    &["write", "write$"],
    &["poll", "select", "epoll_wait"],
    &["clock_gettime", "vdso_clock_gettime", "clock_getres"],
    &["futex$wait", "futex$wait_at", "futex$wait_bitset"],
    &["futex$wake", "futex$wake_at"],
    &["futex$requeue", "futex$cmp_requeue"],
    &["fcntl$getlk", "fcntl$ofd_getlk"],
    &["fcntl$setlk", "fcntl$ofd_setlk"],
    &["ioctl$fionread", "ioctl$siocinq"],
    &["epoll_ctl", "epoll_ctl$"],
    &["personality", "personality$"],
    &["sigaltstack", "sigaltstack$"],
    &["arch_prctl", "arch_prctl$"],
    &["getsockopt", "getsockopt$"],
    &["setsockopt", "setsockopt$"],
    &["socket", "socket$"],
    &["wait4", "wait4$"],
];

/// Calls whose answer is made by what the descriptor is, so that another kind of descriptor is another bug.
const BY_OBJECT: &[&str] = &["read", "write", "poll", "recvfrom", "sendto"];

/// The kinds of descriptors in words, the most telling first.
const OBJECTS: &[(FdKinds, &str)] = &[
    (desc::FD_TTY | desc::FD_PTM, "terminal"),
    (desc::FD_SOCK, "socket"),
    (desc::FD_PIPE, "pipe"),
    (desc::FD_EVENT, "eventfd"),
    (desc::FD_TIMER, "timerfd"),
    (desc::FD_SIGNAL, "signalfd"),
    (desc::FD_INOTIFY, "inotify"),
    (desc::FD_EPOLL, "epoll"),
    (desc::FD_PID, "pidfd"),
    (desc::FD_MQUEUE, "queue"),
    (desc::FD_PROC, "proc text"),
    (desc::FD_DIR, "directory"),
    (desc::FD_ANY, "file"),
];

/// The name of the bucket a case falls into.
pub fn of(repro: &Repro, code: &Code) -> Signature {
    let mut parts = repro.finding.parts();
    if dies_alone(repro) {
        // With several tasks it is not known which call it died in.
        return Signature(format!("differential program.end {}", parts.kind));
    }
    coarsen(&mut parts, &repro.finding);
    let object = BY_OBJECT.contains(&parts.subject.as_str()).then(|| object(code, &repro.finding)).flatten();
    if let Some(object) = object {
        parts.subject = format!("{} of a {object}", parts.subject);
    }
    Signature(parts.to_string())
}

/// Whether a program of several tasks is killed by a signal on Linux and lives on on the target.
fn dies_alone(repro: &Repro) -> bool {
    let several =
        repro.program.calls.iter().any(|call| call.task != 0 || call.id.name().starts_with("task$"));
    several
        && repro.finding.field == "end"
        && matches!(repro.native.end, End::Killed(_))
        && !matches!(repro.target.end, End::Killed(_))
}

/// How a call comes back, as far as the order of two such answers tells bugs apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer<'a> {
    Succeeds,
    /// It waits, or says that it would have to.
    Waits,
    Refuses(&'a str),
}

fn answer(half: &str) -> Option<Answer<'_>> {
    match half {
        "success" => Some(Answer::Succeeds),
        "blocked" | "EAGAIN" => Some(Answer::Waits),
        errno if is_errno(errno) => Some(Answer::Refuses(errno)),
        _ => None,
    }
}

/// Joins what is mended together.
fn coarsen(parts: &mut Parts, finding: &Finding) {
    let comparison = ["differential", "blocked"].contains(&parts.oracle.as_str());
    // A thing that a layer says it lacks is a thing to be built: each is its own.
    if !comparison || says_it_lacks(&parts.kind) {
        return;
    }
    let own = finding.cause == finding.name;
    if own {
        parts.subject = together(state::operation(&parts.subject)).to_owned();
    }
    if let Some(cause) = &mut parts.cause {
        *cause = together(cause).to_owned();
    }
    let halves = parts.kind.split_once(" became ");
    let answers = halves.and_then(|(native, target)| answer(native).zip(answer(target)));
    if let Some(answers) = answers.filter(|_| own) {
        "differential".clone_into(&mut parts.oracle);
        "ret".clone_into(&mut parts.field);
        parts.kind = match answers {
            // Which of several checks comes first, or what a failed one is called.
            (Answer::Refuses(_), Answer::Refuses(_)) => "another error".to_owned(),
            (_, Answer::Refuses(errno)) => format!("refuses with {errno}"),
            (Answer::Refuses(errno), _) => format!("does not refuse with {errno}"),
            (Answer::Waits, _) => "does not wait".to_owned(),
            (_, _) => "waits".to_owned(),
        };
    }
    let is_lock = parts.subject == "fcntl$getlk" && parts.field.starts_with("l_");
    if is_lock {
        // A lock that is found or is not: all of its fields follow.
        "lock".clone_into(&mut parts.field);
    }
    let ready =
        parts.subject == "poll" && ["ret", "fds", "events", "revents"].contains(&parts.field.as_str());
    let flags = parts.kind.starts_with("lost ") || parts.kind.starts_with("gained ");
    let number = was_or_is_nothing(&parts.kind) || parts.kind == ANOTHER;
    let waits = ["waits", "does not wait"].contains(&parts.kind.as_str());
    if ready && (flags || number || waits) {
        "events".clone_into(&mut parts.field);
        "are others".clone_into(&mut parts.kind);
    } else if parts.field.starts_with("c_") && flags {
        // What a terminal keeps of a `struct termios`, word by word.
        "other flags".clone_into(&mut parts.kind);
    } else if number {
        ANOTHER.clone_into(&mut parts.kind);
    }
}

/// The name of the first call that is answered together with this one.
fn together(name: &str) -> &str {
    let is = |entry: &&str| match entry.strip_suffix('$') {
        Some(base) => name.split_once('$').is_some_and(|(of, _)| of == base),
        None => *entry == name,
    };
    let list = ANSWERED_TOGETHER.iter().find(|list| list.iter().any(|entry| is(entry)));
    list.map_or(name, |list| list[0])
}

/// What the descriptor is that a finding's call is about, in a word.
fn object(code: &Code, finding: &Finding) -> Option<&'static str> {
    let call = code.calls.get(finding.call)?;
    let whole = Program { calls: code.calls.clone() };
    let first = call.id.desc().written().zip(&call.args).next();
    if let Some(((_, argument), Arg::Int(0..=3))) = first
        && matches!(argument.ty, Ty::Fd(_))
    {
        // What every program has from the start: its terminal, and the terminal's other side.
        return Some("terminal");
    }
    let of_call = |call: &Call| call.args.iter().find_map(|arg| described(&whole, arg));
    of_call(call).or_else(|| {
        // What an epoll instance tells of are the descriptors it was given.
        let given =
            code.calls[..finding.call].iter().rev().find(|c| c.id.desc().base_name() == "epoll_ctl")?;
        of_call(given)
    })
}

fn described(program: &Program, arg: &Arg) -> Option<&'static str> {
    let word = |r: ResRef| match program.kind_of(r)? {
        Kind::Fd(kinds) => OBJECTS.iter().find(|(bits, _)| kinds & bits != 0).map(|(_, word)| *word),
        _ => None,
    };
    let mut found = None;
    arg.each_ref(&mut |r| found = found.or_else(|| word(r).filter(|word| *word != "epoll")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use parallax_corpus::{CallId, tables};

    #[test]
    fn all_joined_names_are_the_tables_own() {
        for entry in ANSWERED_TOGETHER.iter().flat_map(|list| list.iter()) {
            let there = match entry.strip_suffix('$') {
                Some(base) => tables::all().iter().any(|desc| desc.base_name() == base && desc.name != base),
                // The first of a list may be a name for all of them.
                None => CallId::named(entry).is_some() || ANSWERED_TOGETHER.iter().any(|l| l[0] == *entry),
            };
            assert!(there, "{entry}");
            // What is joined below is found under its first name there.
            assert!(entry.ends_with('$') || state::operation(entry) == *entry, "{entry}");
        }
        for subject in BY_OBJECT {
            assert_eq!(together(state::operation(subject)), *subject);
        }
    }
}
