//! One name for the agent: in every trace it is process 1, as it is on the native side.
//!
//! A layer that keeps a process of its own above the agent (a tracer, a shell) makes the agent process 2 or 7 of the
//! jail, and a program's `getppid` says so. That is the layer's place and no difference of the call. The two numbers
//! change places, so nothing is lost, and a layer that *invents* a parent of 1 is still caught.

use parallax_corpus::compile::fields_of;
use parallax_corpus::{Code, Meaning, State, Trace};

/// What the agent is called.
const INIT: u64 = 1;

/// Lets the number `agent` and 1 change places wherever the trace names a process.
pub fn agent_is_init(code: &Code, trace: &mut Trace, agent: u64) {
    if agent <= INIT || agent > i32::MAX as u64 {
        return;
    }
    let swap = |pid: u64| match pid {
        INIT => agent,
        pid if pid == agent => INIT,
        pid => pid,
    };
    for (k, outcome) in trace.outcomes.iter_mut().enumerate() {
        let Some(call) = code.calls.get(k).filter(|_| outcome.state == State::Done && outcome.ret >= 0)
        else {
            continue;
        };
        let desc = call.id.desc();
        if desc.ret == Meaning::Pid {
            outcome.ret = swap(outcome.ret as u64) as i64;
        }
        for field in fields_of(desc, code.spans.get(k).map_or(&[], |s| s.as_slice())) {
            if field.field.meaning != Meaning::Pid {
                continue;
            }
            let size = usize::from(field.field.size);
            let Some(bytes) = outcome.out.get_mut(field.at..field.at + size).filter(|b| b.len() <= 8) else {
                continue;
            };
            let mut word = [0; 8];
            word[..size].copy_from_slice(bytes);
            bytes.copy_from_slice(&swap(u64::from_le_bytes(word)).to_le_bytes()[..size]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parallax_corpus::compile::{Mode, compile};
    use parallax_corpus::text::parse;
    use parallax_corpus::{End, Outcome};

    fn parents(agent: u64, seen: i64) -> i64 {
        let mode = Mode { fork: true, block_us: 1000, probes: false };
        let code = compile(&parse("getppid()\n").unwrap(), mode).unwrap();
        let mut trace = Trace::lost(End::Exited, code.calls.len());
        trace.outcomes[0] = Outcome { state: State::Done, ret: seen, ..trace.outcomes[0].clone() };
        agent_is_init(&code, &mut trace, agent);
        trace.outcomes[0].ret
    }

    #[test]
    fn the_agent_is_process_1_whatever_stands_above_it() {
        assert_eq!(parents(1, 1), 1);
        assert_eq!(parents(7, 7), 1);
    }

    #[test]
    fn a_parent_that_is_not_the_agent_does_not_become_it() {
        assert_eq!(parents(7, 1), 7);
        assert_eq!(parents(7, 0), 0);
        assert_eq!(parents(7, 8), 8);
    }
}
