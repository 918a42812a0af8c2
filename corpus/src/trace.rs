//! Traces: what one side saw when it ran a program, call by call.

use crate::wire;
use serde::{Deserialize, Serialize};

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// The program ended before it.
    NotRun,
    /// It returned.
    Done,
    /// It was still waiting when the block budget ran out.
    Blocked,
    /// A resource it uses was never made.
    Skipped,
    /// The process died in it.
    Died,
    /// The vdso has no such function.
    Absent,
    /// Its task was still waiting in an earlier call, or had ended, when its turn came.
    Missed,
}

impl State {
    fn from_wire(byte: u8) -> Option<State> {
        Some(match byte {
            wire::STATE_NOTRUN => State::NotRun,
            wire::STATE_DONE => State::Done,
            wire::STATE_BLOCKED => State::Blocked,
            wire::STATE_SKIPPED => State::Skipped,
            wire::STATE_DIED => State::Died,
            wire::STATE_ABSENT => State::Absent,
            wire::STATE_MISSED => State::Missed,
            _ => return None,
        })
    }
}

/// Clock readings around a call, by the side's own clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Clocks {
    /// `CLOCK_MONOTONIC` before.
    pub mono_before: i64,
    /// `CLOCK_MONOTONIC` after.
    pub mono_after: i64,
    /// `CLOCK_REALTIME` before.
    pub real_before: i64,
    /// `CLOCK_REALTIME` after.
    pub real_after: i64,
}

/// The outcome of one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Outcome {
    /// What became of it.
    pub state: State,
    /// The raw return register: a value, or a negative errno.
    pub ret: i64,
    /// Clock readings around it, where the description asks for them.
    #[serde(default)]
    pub clocks: Option<Clocks>,
    /// Index of the call after which it returned, where it had been left waiting in its task meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken: Option<u16>,
    /// Its out buffers, joined in the order of [`crate::compile::Code::spans`]. Empty if it failed.
    #[serde(default, with = "serde_bytes")]
    pub out: Vec<u8>,
}

impl Outcome {
    /// The outcome of a call that was not run.
    pub const NOT_RUN: Outcome =
        Outcome { state: State::NotRun, ret: 0, clocks: None, woken: None, out: Vec::new() };
    /// The errno, if it returned one.
    pub fn errno(&self) -> Option<i32> {
        (self.state == State::Done && (-4095..0).contains(&self.ret)).then_some(-self.ret as i32)
    }
    /// Whether it returned without an error.
    pub fn ok(&self) -> bool {
        self.state == State::Done && self.errno().is_none()
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum End {
    /// It came to its end.
    Exited,
    /// A signal ended it.
    Killed(u8),
    /// The agent could not set it up: step and negative errno.
    Failed(u8, i32),
    /// The whole layer gave no answer in time.
    Hung,
    /// The whole layer died.
    Crashed,
}

/// What befell a program at a checkpoint where somebody dumped and restored it, or put code into it. What goes as it
/// should leaves nothing here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mishap {
    /// What it was.
    pub fate: Fate,
    /// Why, in the layer's own words, without what differs from run to run.
    pub reason: String,
    /// The end of what the layer said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

/// Of a program at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The layer says it cannot dump it; it was not touched.
    Refused,
    /// It was dumped and could not be restored.
    Lost,
    /// It goes on, but something in it is not what it was.
    Changed,
}

/// What one side saw.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trace {
    /// How it ended.
    pub end: End,
    /// How often it was stopped by a signal, and continued by the agent.
    #[serde(default)]
    pub stops: u32,
    /// Index of the call in which it was first stopped by anything but a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_in: Option<u16>,
    /// `CLOCK_MONOTONIC` at the program's start, ns.
    pub start_ns: i64,
    /// What went wrong at its checkpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mishaps: Vec<Mishap>,
    /// One outcome for each call of the compiled code, probes included.
    pub outcomes: Vec<Outcome>,
}

/// The bytes were no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed trace at byte {0}")]
pub struct BadTrace(pub usize);

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}
impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], BadTrace> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.bytes.len()).ok_or(BadTrace(self.at))?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }
    fn u8(&mut self) -> Result<u8, BadTrace> {
        Ok(self.take(1)?[0])
    }
    fn u16(&mut self) -> Result<u16, BadTrace> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into().unwrap_or_default()))
    }
    fn u32(&mut self) -> Result<u32, BadTrace> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().unwrap_or_default()))
    }
    fn i64(&mut self) -> Result<i64, BadTrace> {
        Ok(i64::from_le_bytes(self.take(8)?.try_into().unwrap_or_default()))
    }
}

impl Trace {
    /// The trace of a program that a dead or silent layer never answered.
    pub fn lost(end: End, calls: usize) -> Trace {
        Trace {
            end,
            stops: 0,
            stopped_in: None,
            start_ns: 0,
            mishaps: Vec::new(),
            outcomes: vec![Outcome::NOT_RUN; calls],
        }
    }

    /// Reads a reply's traces (what follows its length); `calls[i]` is the number of outcomes of program `i`.
    ///
    /// # Errors
    /// The bytes are hostile until proven otherwise: anything that is not a whole, exact reply is refused.
    pub fn decode_reply(bytes: &[u8], calls: &[usize]) -> Result<Vec<Trace>, BadTrace> {
        let mut r = Reader { bytes, at: 0 };
        if r.u32()? != wire::MAGIC_REPLY || r.u32()? as usize != calls.len() {
            return Err(BadTrace(0));
        }
        let traces = calls.iter().map(|&n| Trace::decode(&mut r, n)).collect::<Result<Vec<_>, _>>()?;
        if r.at != bytes.len() {
            return Err(BadTrace(r.at));
        }
        Ok(traces)
    }

    /// Forgets what is chance in a program of several tasks that a signal killed: how far the others still came, and
    /// whether the call that sent it had returned. What stays are the calls before that; and the one it died in, if
    /// the first task made that and the one before, for then nobody raced with it. `task` is the task of a call.
    pub fn forget_race(&mut self, task: impl Fn(usize) -> u8) {
        if !matches!(self.end, End::Killed(_)) {
            return;
        }
        let first = self.outcomes.iter().position(|o| o.state != State::Done).unwrap_or(self.outcomes.len());
        let died = self.outcomes.get(first).is_some_and(|o| o.state == State::Died);
        let alone = || [first, first.saturating_sub(1)].into_iter().all(|call| task(call) == 0);
        let sure = if died && alone() { first + 1 } else { first.saturating_sub(1) };
        self.outcomes[sure..].fill(Outcome::NOT_RUN);
    }

    fn decode(r: &mut Reader<'_>, calls: usize) -> Result<Trace, BadTrace> {
        let size = r.u32()? as usize;
        let begin = r.at;
        let written = r.u16()? as usize;
        let (end, signal) = (r.u8()?, r.u8()?);
        let detail = r.u32()? as i32;
        let start_ns = r.i64()?;
        let stopped = if end == wire::END_EXITED { detail.max(0) as u32 } else { 0 };
        let stops = stopped & 0xff;
        let stopped_in = (stopped >> 8).checked_sub(1).filter(|&k| (k as usize) < calls).map(|k| k as u16);
        let end = match end {
            wire::END_EXITED => End::Exited,
            wire::END_KILLED => End::Killed(signal),
            wire::END_FAILED => End::Failed(signal, detail),
            _ => return Err(BadTrace(begin)),
        };
        if written > calls + 1 {
            return Err(BadTrace(begin));
        }
        let mut outcomes = vec![Outcome::NOT_RUN; calls];
        for _ in 0..written {
            let at = r.at;
            let state = State::from_wire(r.u8()?).ok_or(BadTrace(at))?;
            let flags = r.u8()?;
            let len = r.u16()? as usize;
            let index = r.u16()? as usize;
            let woken = r.u16()?.checked_sub(1);
            if index == calls && state == State::Died {
                // It died behind its last call.
                r.i64()?;
                continue;
            }
            let place = outcomes.get_mut(index).filter(|o| o.state == State::NotRun).ok_or(BadTrace(at))?;
            if woken.is_some_and(|by| by as usize >= calls) {
                return Err(BadTrace(at));
            }
            let ret = r.i64()?;
            let clocks = if flags & wire::OUT_CLOCKS == 0 {
                None
            } else {
                let (mono_before, mono_after) = (r.i64()?, r.i64()?);
                Some(Clocks { mono_before, mono_after, real_before: r.i64()?, real_after: r.i64()? })
            };
            *place = Outcome { state, ret, clocks, woken, out: r.take(len)?.to_vec() };
        }
        if r.at - begin != size {
            return Err(BadTrace(r.at));
        }
        Ok(Trace { end, stops, stopped_in, start_ns, mishaps: Vec::new(), outcomes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chance_is_forgotten_wherever_it_died() {
        use State::{Died, Done, NotRun};
        let tasks = [0, 0, 1, 0];
        let kept = |end, states: [State; 4]| {
            let outcomes = states.map(|state| Outcome { state, ..Outcome::NOT_RUN }).to_vec();
            let mut trace = Trace { outcomes, ..Trace::lost(end, 4) };
            // Asked for calls there are, and no others.
            trace.forget_race(|call| tasks[call]);
            trace.outcomes.iter().map(|o| o.state).collect::<Vec<_>>()
        };
        let killed = End::Killed(9);
        assert_eq!(kept(End::Exited, [Done, Done, NotRun, NotRun]), [Done, Done, NotRun, NotRun]);
        assert_eq!(kept(killed, [Died, NotRun, NotRun, NotRun]), [Died, NotRun, NotRun, NotRun]);
        assert_eq!(kept(killed, [Done, Died, NotRun, NotRun]), [Done, Died, NotRun, NotRun]);
        // Another task may have sent it: in the call before, or in its own.
        assert_eq!(kept(killed, [Done, Done, Done, Died]), [Done, Done, NotRun, NotRun]);
        assert_eq!(kept(killed, [Done, Done, Died, NotRun]), [Done, NotRun, NotRun, NotRun]);
        // Behind its last call.
        assert_eq!(kept(killed, [Done, Done, Done, Done]), [Done, Done, Done, NotRun]);
    }
}
