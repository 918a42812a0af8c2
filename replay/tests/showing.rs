//! What people read, and what replaying says.

mod common;

use common::{blank, case, program};
use parallax_harness::pair::Pair;
use parallax_harness::target::Slot;
use parallax_harness::targets::native::Native;
use parallax_replay::{ReplayVerdict, Repro, render_json, render_text, replay_live, replay_recorded};
use std::sync::Arc;

fn echo_case() -> Repro {
    let (program, code) = program(
        "r0 = openat$tty(O_RDWR|O_NONBLOCK)\nioctl$tcsets(r0, {ICRNL|IXON, OPOST|ONLCR, B38400|CS8|CREAD, ISIG|ICANON, \
         3, 28, 127, 21, 4, 0, 1})\nwrite$keys(3, \"ls\\r\")\nioctl$tcgets(r0, out)\nread$tty(r0, out[8])\n",
    );
    let mut native = blank(&code);
    native.outcomes[0].ret = 4;
    native.outcomes[2].ret = 3;
    native.outcomes[3].out[..16].copy_from_slice(&[0, 5, 0, 0, 5, 0, 0, 0, 0xbf, 0, 0, 0, 3, 0, 0, 0]);
    native.outcomes[4].ret = 3;
    native.outcomes[4].out = b"ls\n\xa5\xa5\xa5\xa5\xa5".to_vec();
    let mut target = native.clone();
    target.outcomes[3].out[12] = 0x0b;
    target.outcomes[4].ret = -11;
    target.outcomes[4].out.clear();
    let mut repro = case(program, &code, native, target);
    repro.last_words = "panic: \x1b[31mno\nbye\n".into();
    repro
}

#[test]
fn a_case_is_shown_in_columns() {
    insta::assert_snapshot!(render_text(&echo_case()).expect("text"));
}

#[test]
fn a_case_is_shown_as_json() {
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&render_json(&echo_case()).expect("JSON")).expect("text")
    );
}

#[test]
fn a_recording_is_judged_by_todays_oracles() {
    let mut repro = echo_case();
    assert_eq!(replay_recorded(&repro).expect("judged").verdict, ReplayVerdict::StillThere);
    repro.finding.kind.push_str(" of yesterday");
    let other = replay_recorded(&repro).expect("judged");
    assert_eq!((other.verdict, other.other.len()), (ReplayVerdict::Other, 1));
    repro.target = repro.native.clone();
    assert_eq!(replay_recorded(&repro).expect("judged").verdict, ReplayVerdict::Gone);
    repro.target.end = parallax_corpus::End::Failed(2, -2);
    assert_eq!(replay_recorded(&repro).expect("judged").verdict, ReplayVerdict::NotRun);
}

#[test]
fn live_on_linux_itself_a_case_is_gone() {
    let mut pair = match Pair::start(Arc::new(Native), Slot::default()) {
        Ok(pair) => pair,
        Err(e) => return eprintln!("skipped: {e}"),
    };
    let outcome = replay_live(&echo_case(), &mut pair, 3).expect("both sides run");
    assert_eq!((outcome.verdict, outcome.runs, outcome.diverged), (ReplayVerdict::Gone, 3, 0));
    // The recording is made up, and so is not what Linux does.
    assert!(outcome.reference_changed.is_some());
    serde_json::to_string(&outcome).expect("JSON");
}
