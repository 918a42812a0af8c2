//! CPU time: a program never used more of it than time has passed since it began, times its threads, and one
//! without children has none of theirs (getrusage(2), times(2)).

use super::{Evidence, Verdict, ms, times_of};
use parallax_corpus::desc::{Dur, Op};
use parallax_corpus::wire::{OP_FORK, OP_SIGNAL, OP_SPAWN, OP_THREAD};
use parallax_corpus::{Meaning, Trace};

/// What accounting by ticks may add: two ticks of 10 ms.
const SLACK: i128 = 20_000_000;

/// The first CPU time that cannot be, where the native side's can.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    let mut applies = false;
    let mut spawned = false;
    let mut threads = 1;
    for (k, call) in evidence.code.calls.iter().enumerate() {
        // Whoever signals from outside is its child, too.
        spawned |= matches!(call.id.desc().op, Op::Agent(OP_SPAWN | OP_FORK | OP_SIGNAL));
        threads += i128::from(call.id.desc().op == Op::Agent(OP_THREAD));
        let program = Program { spawned, threads };
        let target = impossible(&evidence, evidence.target, k, program);
        applies |= target.is_some();
        if let Some(Some((field, kind, shown))) = target {
            if let Some(None) = impossible(&evidence, evidence.native, k, program) {
                let shown = ("possible".to_owned(), shown);
                return Verdict::Diverge(evidence.finding("rusage", k, field, shown, kind.into()));
            }
        }
    }
    if applies { Verdict::Agree } else { Verdict::NotApplicable }
}

/// What a program has done so far that CPU times depend on.
#[derive(Clone, Copy)]
struct Program {
    /// It has had children.
    spawned: bool,
    /// Threads begun, the first one included. The agent's coordinator only ever waits.
    threads: i128,
}

type Impossible = (&'static str, &'static str, String);

/// `None` if the call says nothing of CPU time; else what is impossible about it.
fn impossible(
    evidence: &Evidence<'_>,
    trace: &Trace,
    call: usize,
    Program { spawned, threads }: Program,
) -> Option<Option<Impossible>> {
    let clocks = trace.outcomes[call].clocks?;
    let wall = i128::from(clocks.mono_after) - i128::from(trace.start_ns);
    let mut applies = false;
    for (field, meaning, ns) in times_of(evidence, trace, call) {
        let Meaning::Duration(whose, _) = meaning else { continue };
        if whose == Dur::Left {
            continue;
        }
        applies = true;
        if ns < 0 {
            return Some(Some((field, "negative", ms(ns))));
        }
        if whose == Dur::Children && !spawned && ns != 0 {
            return Some(Some((field, "children without children", format!("{} of no children", ms(ns)))));
        }
        if ns > wall * threads + SLACK {
            return Some(Some((field, "more than wall time", format!("{} in {}", ms(ns), ms(wall)))));
        }
    }
    applies.then_some(None)
}
