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

/// Programs that would leave their mark on the root, the devices, the working directory or the agent.
const VANDALS: &[&str] = &[
    "chmod(\"//\", 384)\n",
    "chmod(\".\", 0)\n",
    "chmod(\"..\", 0)\n",
    "r0 = openat$cwd(O_RDONLY)\nfchmod(r0, 384)\n",
    "openat$create(\"f0\", 384)\nr1 = openat$cwd(O_RDONLY)\nfchmod(r1, 0)\n",
    "r0 = mkdirat(\"d0\", 511)\nopenat$create(\"d0/f0\", 384)\nchmod(r0, 0)\n",
    "chdir(\"..\")\nopenat$create(\"f0\", 511)\n",
    "unlinkat(\"/dev/ptmx\")\n",
    "chmod(\"/dev/null\", 0)\n",
    "umask(511)\n",
    "prlimit64$nofile({0, NOFILE_MAX}, out)\n",
    "mmap$private(PAGE0, LEN_4P, PROT_READ)\nmlock2(PAGE0, LEN_4P, MLOCK_ONFAULT)\n",
    "write$keys(3, \"\\x13\")\nioctl$tiocexcl(0)\n",
];

#[test]
fn no_program_changes_the_world_of_the_next() {
    let mut pair = Pair::start(Arc::new(Native), Slot::default()).unwrap();
    let look = "openat$create(\"f0\", 511)\nmkdirat(\"d0\", 511)\nopenat$dir(\".\", 0)\nopenat$null(O_RDWR)\n\
                ioctl$tiocgsid(0, out)\nmmap$private(PAGE3, LEN_4P, PROT_READ|PROT_WRITE)\numask(18)\n\
                prlimit64$nofile({1024, NOFILE_MAX}, out)\n";
    let look = parse(look).unwrap();
    let answers = |pair: &mut Pair, first: &str| {
        let programs = [parse(first).unwrap_or_else(|e| panic!("{first}: {e}")), look.clone()];
        let result = pair.run(&programs, RunOptions::PATIENT).unwrap().remove(1);
        let said: Vec<_> = result.native.outcomes.iter().map(|o| (o.state, o.ret)).collect();
        (result.native.end, said)
    };
    let before = answers(&mut pair, "getpid()\n");
    for vandal in VANDALS {
        assert_eq!(answers(&mut pair, vandal), before, "after\n{vandal}");
    }
}
