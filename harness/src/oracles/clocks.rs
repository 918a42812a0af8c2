//! Clocks: they never run backwards, and a reading lies between the readings right before and right after it,
//! whether it came by vdso or by system call (clock_gettime(2), time(2), vdso(7)).
//!
//! The agent reads both clocks around every call that reads one, by vdso where there is one: so a system call
//! that disagrees with the vdso is seen by a single call.

use super::{Evidence, Verdict, ms, times_of};
use parallax_corpus::desc::{Clk, Ty, Unit};
use parallax_corpus::{Arg, Clocks, Meaning, State, Trace};

/// Coarse clocks stand still for a tick (at most 10 ms, `CONFIG_HZ=100`), and `time` follows them.
const TICK: i128 = 20_000_000;
/// What two ways to read a fine clock may differ by: layers compute it from calibrated counters.
const FINE: i128 = 2_000_000;

/// The first reading out of its bounds on the target, where the native side's lie within.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    let mut applies = false;
    let mut last = i64::MIN;
    for k in 0..evidence.code.calls.len() {
        let (Some(native), Some(target)) =
            (evidence.native.outcomes[k].clocks, evidence.target.outcomes[k].clocks)
        else {
            continue;
        };
        applies = true;
        if target.mono_after < target.mono_before || target.mono_before < last {
            let shown = ("forwards".to_owned(), "CLOCK_MONOTONIC ran backwards".to_owned());
            return Verdict::Diverge(evidence.finding("clocks", k, "monotonic", shown, "backwards".into()));
        }
        // One that was left waiting returned behind later calls.
        let outcome = &evidence.target.outcomes[k];
        if outcome.woken.is_none() && outcome.state == State::Done {
            last = target.mono_after;
        }
        let theirs = out_of_bounds(&evidence, evidence.target, k, &target);
        if let Some((field, off)) = theirs {
            if out_of_bounds(&evidence, evidence.native, k, &native).is_none() {
                let kind = if off < 0 { "behind" } else { "ahead" };
                let shown = ("within the clocks around it".to_owned(), format!("{} {kind}", ms(off.abs())));
                return Verdict::Diverge(evidence.finding("clocks", k, field, shown, kind.into()));
            }
        }
    }
    if applies { Verdict::Agree } else { Verdict::NotApplicable }
}

/// The first reading of a call that lies outside what the clocks around it allow, and by how many ns.
fn out_of_bounds(
    evidence: &Evidence<'_>,
    trace: &Trace,
    call: usize,
    clocks: &Clocks,
) -> Option<(&'static str, i128)> {
    for (field, meaning, ns) in times_of(evidence, trace, call) {
        let Meaning::Clock(clock, unit) = meaning else { continue };
        let id = match clock {
            Clk::Realtime => 0,
            Clk::Arg(n) => constant_argument(evidence, call, n)?,
        };
        let (before, after, below) = match id {
            0 => (clocks.real_before, clocks.real_after, FINE),
            5 => (clocks.real_before, clocks.real_after, TICK),
            1 => (clocks.mono_before, clocks.mono_after, FINE),
            6 => (clocks.mono_before, clocks.mono_after, TICK),
            _ => continue,
        };
        let (mut low, high) = (i128::from(before) - below, i128::from(after) + FINE);
        if unit == Unit::Secs {
            low = (i128::from(before) - TICK).div_euclid(1_000_000_000) * 1_000_000_000;
        }
        if ns < low {
            return Some((field, ns - low));
        }
        if ns > high {
            return Some((field, ns - high));
        }
    }
    None
}

/// The constant value of a call's argument, by its index among all arguments.
fn constant_argument(evidence: &Evidence<'_>, call: usize, index: u8) -> Option<u64> {
    let call = &evidence.code.calls[call];
    let argument = call.id.desc().args.get(index as usize)?;
    if let Ty::Const(n) = argument.ty {
        return Some(n);
    }
    call.id.desc().written().zip(&call.args).find(|((k, _), _)| *k == index as usize).and_then(
        |(_, value)| match value {
            Arg::Int(n) => Some(*n),
            _ => None,
        },
    )
}
