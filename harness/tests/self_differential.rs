//! Native against native must stay silent, program by program.

use parallax_corpus::text::parse;
use parallax_harness::pair::{Isolation, Pair, RunOptions};
use parallax_harness::target::Slot;
use parallax_harness::targets::native::Native;
use std::sync::Arc;

const PROGRAMS: &[&str] = &[
    "r0 = openat$tty(O_RDWR|O_NONBLOCK)\nfcntl$setfl(r0, O_RDONLY)\nread$tty(r0, out[16])\n",
    "write$keys(3, \"hello\\n\")\nread$tty(0, out[16])\nioctl$fionread(0, out)\n",
    "r0, r1 = pipe2(out, O_NONBLOCK)\nread(r0, out[8])\n",
];

#[test]
fn programs_agree_with_themselves_on_every_rung() {
    let mut pair = Pair::start(Arc::new(Native), Slot::default()).unwrap();
    let programs: Vec<_> = PROGRAMS.iter().map(|t| parse(t).unwrap()).collect();
    for isolation in [Isolation::Shared, Isolation::Forked, Isolation::Fresh] {
        for result in pair.run(&programs, RunOptions::PATIENT.at(isolation)).unwrap() {
            eprintln!("{isolation:?} {:?}", result.native);
            assert_eq!(result.finding, None);
            assert!(!result.unusable(), "{result:?}");
        }
    }
}
