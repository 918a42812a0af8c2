//! Which cases lie in one bucket: those that somebody who mends the layer would mend together.
//!
//! The search keeps every signature apart, since one that is joined with another is not looked for any more. A list that
//! is read wants the opposite: a call that checks its arguments in another order is one bug, whichever two errors were
//! seen. So a bucket has a coarser name than the cases in it, made from the finding and the program. One rule also asks
//! which other buckets there are, and says so ([`Place::explained_by`]). Why it is so: `docs/decisions/0033-buckets.md`.

use parallax_corpus::desc::{self, FdKinds, Kind, Ty};
use parallax_corpus::names::signal_name;
use parallax_corpus::{Arg, Call, Code, End, Program, ResRef};
use parallax_harness::oracles::class::{is_errno, says_it_lacks};
use parallax_harness::oracles::{ANOTHER, Finding, Parts, Signature, state, tasks, was_or_is_nothing};
use parallax_replay::Repro;

/// Calls that one piece of a layer answers, under the name of the first. An entry that ends in `$` stands for all
/// variants of that call. (Those of one page of the manual are joined in `oracles::state` already.)
const ANSWERED_TOGETHER: &[&[&str]] = &[
    &["openat", "openat$"],
    &["socketpair", "socketpair$"],
    &["read", "read$", "pread64", "preadv", "preadv2"],
    &["write", "write$"],
    &["poll", "select", "epoll_wait"],
    &["clock_gettime", "vdso_clock_gettime", "clock_getres"],
    &["futex", "futex$"],
    &["fcntl$getlk", "fcntl$ofd_getlk"],
    &["fcntl$setlk", "fcntl$ofd_setlk"],
    &["epoll_ctl", "epoll_ctl$"],
    &["personality", "personality$"],
    &["sigaltstack", "sigaltstack$"],
    &["arch_prctl", "arch_prctl$"],
    &["getsockopt", "getsockopt$"],
    &["setsockopt", "setsockopt$"],
    &["socket", "socket$"],
    &["semctl", "semctl$"],
    &["wait4", "wait4$"],
    &["sched_get_priority_max", "sched_get_priority_min"],
    &["ioprio_get", "ioprio_set"],
];

/// Calls and looks whose answer is made by what the descriptor is, so that another kind of descriptor is another bug.
const BY_OBJECT: &[&str] = &["read", "write", "poll", "offset", "queued bytes"];

/// Looks that tell what a descriptor is more than what was done to it.
const OF_THE_OBJECT: &[&str] = &["offset", "queued bytes", "terminal", "window size"];

/// What but one call changes: it is the cause, and what it says was there before is the same.
const SET_BY: &[(&str, &str)] = &[
    ("timer_settime", "timer"),
    ("timerfd_settime", "timerfd"),
    ("setitimer", "interval timer"),
    ("fcntl$setown_ex", "owner"),
    ("rt_sigaction$set", "dispositions"),
    ("rt_sigaction$swap", "dispositions"),
];

/// Calls that hand on what another call answers for each of several things.
const HAND_ON: &[&str] = &["sendmmsg", "recvmmsg"];

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

/// Where a case belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of its bucket.
    pub bucket: Signature,
    /// Buckets that explain it where there are such, the first that there is: a call that refuses with one error where
    /// Linux refuses with another is no news where it refuses the same way what Linux does, or lacks Linux's check.
    pub explained_by: Vec<Signature>,
}

/// Where a case belongs.
pub fn of(repro: &Repro, code: &Code) -> Place {
    let finding = &repro.finding;
    let mut parts = finding.parts();
    let mut explained = Vec::new();
    if let Some(kind) = death(repro, code) {
        // Whichever call the signal came in: sending it is one piece of a layer.
        parts = Parts {
            oracle: "differential".to_owned(),
            subject: "program".to_owned(),
            field: "end".to_owned(),
            kind,
            cause: None,
        };
    } else {
        let kinds = coarsen(&mut parts, finding);
        if ["descriptor flags", "status flags"].contains(&parts.subject.as_str()) && parts.cause.is_none() {
            // Wrong as soon as there is something to look at: as a look of ours would lay it.
            parts.cause = maker(code, finding).map(|name| together(state::operation(name)).to_owned());
        }
        let object = BY_OBJECT.contains(&parts.subject.as_str()).then(|| object(code, finding)).flatten();
        if let Some(object) = object {
            parts.subject = format!("{} of a {object}", parts.subject);
        }
        explained.extend(kinds.into_iter().map(|kind| Parts { kind, ..parts.clone() }));
    }
    let name = |parts: &Parts| Signature(parts.to_string());
    Place { bucket: name(&parts), explained_by: explained.iter().map(name).collect() }
}

/// What a program is killed by on one side alone, or there by something else, if that is a signal that was sent by
/// something else than a call that does nothing but send it. The signals of a program's own bad access are the call's.
fn death(repro: &Repro, code: &Code) -> Option<String> {
    const FAULTS: [&str; 4] = ["SIGILL", "SIGBUS", "SIGFPE", "SIGSEGV"];
    let Finding { oracle, field, kind, name, .. } = &repro.finding;
    let died = kind.split(" became ").any(|half| half == "died");
    let ended = field == "end" || field == "state" && died;
    let sends = state::operation(name) == state::operation("kill$self");
    let (native, target) = (repro.native.end, repro.target.end);
    if oracle != "differential" || !ended || sends || native == target {
        return None;
    }
    // Of several tasks it is not known which one was in which call.
    let several = tasks::are_in(code) && field == "end";
    let signal = |end| match end {
        End::Killed(number) => {
            signal_name(u64::from(number)).filter(|name| several || !FAULTS.contains(name))
        }
        _ => None,
    };
    match (signal(native), signal(target)) {
        (Some(signal), _) => Some(format!("is not killed by {signal}")),
        (None, Some(signal)) if !matches!(native, End::Killed(_)) => Some(format!("is killed by {signal}")),
        _ => None,
    }
}

/// How a call comes back, as far as the order of two such answers tells bugs apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer<'a> {
    Succeeds,
    /// It waits.
    Waits,
    /// It says that it would have to.
    WouldWait,
    Refuses(&'a str),
}

fn answer(half: &str) -> Option<Answer<'_>> {
    match half {
        "success" => Some(Answer::Succeeds),
        "blocked" => Some(Answer::Waits),
        // The one of message queues is the other.
        "EAGAIN" | "ENOMSG" => Some(Answer::WouldWait),
        errno if is_errno(errno) => Some(Answer::Refuses(errno)),
        _ => None,
    }
}

fn refuses(errno: &str) -> String {
    format!("refuses with {errno}")
}

fn does_not_refuse(errno: &str) -> String {
    format!("does not refuse with {errno}")
}

/// Joins what is mended together. Gives the kinds that explain this one.
fn coarsen(parts: &mut Parts, finding: &Finding) -> Vec<String> {
    let own = finding.cause == finding.name;
    match parts.oracle.as_str() {
        "differential" | "blocked" => {}
        "repeat" => {
            parts.subject = together(state::operation(&parts.subject)).to_owned();
            return Vec::new();
        }
        _ => return Vec::new(),
    }
    if let Some(thing) = state::thing(&finding.name) {
        // A look of the program's own is a look.
        thing.clone_into(&mut parts.subject);
        parts.field = state::thing_field(&parts.field);
    }
    let kind = parts.kind.clone();
    let halves = kind.split_once(" became ");
    let answers = halves.and_then(|(native, target)| answer(native).zip(answer(target)));
    let errs = answers.is_some() || says_it_lacks(&parts.kind);
    if OF_THE_OBJECT.contains(&parts.subject.as_str()) && (errs || parts.subject == "queued bytes") {
        parts.cause = None;
    }
    let set = SET_BY.iter().find(|(call, thing)| {
        parts.subject == *thing && parts.cause.as_deref().is_none_or(|cause| cause == *call)
            || own && parts.subject == *call && ["it_", "sa_"].iter().any(|f| parts.field.starts_with(f))
    });
    if let Some((_, thing)) = set {
        (*thing).clone_into(&mut parts.subject);
        parts.cause = None;
    }
    // A thing that a layer says it lacks is a thing to be built: each is its own.
    if says_it_lacks(&parts.kind) {
        return Vec::new();
    }
    if own {
        parts.subject = together(state::operation(&parts.subject)).to_owned();
    }
    if let Some(cause) = &mut parts.cause {
        *cause = together(cause).to_owned();
    }
    if parts.field == "end" && parts.kind.split(" became ").all(|half| half.starts_with("Killed(")) {
        // A bad access ends it either way.
        "program".clone_into(&mut parts.subject);
    }
    let mut explained = Vec::new();
    if let Some(answers) = answers.filter(|_| parts.cause.is_none()) {
        "differential".clone_into(&mut parts.oracle);
        "ret".clone_into(&mut parts.field);
        parts.kind = match answers {
            // Which of several checks comes first, or what a failed one is called.
            (Answer::Refuses(native), Answer::Refuses(target)) => {
                explained = vec![refuses(target), does_not_refuse(native)];
                if ["pread", "pwrite"].iter().any(|positioned| finding.name.starts_with(positioned)) {
                    // Where in the file is looked at before what the file is, or after.
                    "pread or pwrite".clone_into(&mut parts.subject);
                }
                "another error".to_owned()
            }
            (_, Answer::Refuses(errno)) => refuses(errno),
            (Answer::Refuses(_), _) if HAND_ON.contains(&finding.name.as_str()) => {
                parts.subject.clone_from(&finding.name);
                "does not refuse".to_owned()
            }
            (Answer::Refuses(errno), _) => does_not_refuse(errno),
            (Answer::Waits, _) | (Answer::WouldWait, Answer::Succeeds) => "does not wait".to_owned(),
            (_, _) => "waits".to_owned(),
        };
    }
    match halves {
        Some((_, "died")) => "ends the program".clone_into(&mut parts.kind),
        Some(("died", _)) => "does not end the program".clone_into(&mut parts.kind),
        _ => {}
    }
    if parts.subject == "fcntl$getlk" && parts.field.starts_with("l_") {
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
        // What a terminal keeps of a `struct termios`.
        "flags".clone_into(&mut parts.field);
        "are others".clone_into(&mut parts.kind);
    } else if number && (parts.field == "lock" || parts.subject == "queued bytes") {
        ANOTHER.clone_into(&mut parts.kind);
    }
    explained
}

/// The name of the first call that is answered together with this one.
fn together(name: &str) -> &str {
    let is = |entry: &&str| match entry.strip_suffix('$') {
        Some(base) => name.split_once('$').is_some_and(|(of, _)| of == base),
        None => *entry == name,
    };
    let list = ANSWERED_TOGETHER.iter().find(|list| list.iter().any(is));
    list.map_or(name, |list| list[0])
}

/// The call that made what a finding's call is about.
fn maker(code: &Code, finding: &Finding) -> Option<&'static str> {
    match code.calls.get(finding.call)?.args.first()? {
        Arg::Res(r) => Some(code.calls.get(usize::from(r.call))?.id.name()),
        _ => None,
    }
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
