//! Native against native must stay silent, program by program.

use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::text::parse;
use parallax_harness::oracles::repeat;
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
    "r0 = shmget(KEY1, 8192)\nshmat(r0, PAGE14, 0)\n",
    "semget(KEY1, 4)\nsemget(KEY2, 1)\nsemget(IPC_PRIVATE, 1)\n",
    "r0 = msgget(KEY1)\nmsgsnd(r0, {1, 0x61}, 8, 0)\n",
    "r0 = mq_open({0, 4, 16})\nmq_timedsend(r0, \"hello\", 1)\n",
    "r0 = mmap$private(PAGE15, LEN_1P, PROT_READ)\nmmap$private(r0, LEN_4P, PROT_READ)\n",
    "r0 = socket$unix(SOCK_STREAM)\nbind$un(r0, {AF_UNIX, ABSTRACT_A}, 110)\nlisten(r0, 5)\n",
    "personality(UNAME26)\nsched_setscheduler(SCHED_BATCH, {0})\nsetpriority(19)\n",
    "setxattr(\".\", \"value\", 0)\n",
];

#[test]
fn no_program_changes_the_world_of_the_next() {
    let mut pair = Pair::start(Arc::new(Native), Slot::default()).unwrap();
    let look = "openat$create(\"f0\", 511)\nmkdirat(\"d0\", 511)\nopenat$dir(\".\", 0)\nopenat$null(O_RDWR)\n\
                ioctl$tiocgsid(0, out)\nmmap$private(PAGE3, LEN_4P, PROT_READ|PROT_WRITE)\numask(18)\n\
                prlimit64$nofile({1024, NOFILE_MAX}, out)\nshmget$flags(KEY1, 4096, 0)\n\
                semget$flags(KEY1, 0, 0)\nsemget$flags(KEY2, 0, 0)\nmsgget$flags(KEY1, 0)\n\
                mq_open$again(O_RDONLY)\nr0 = socket$unix(SOCK_DGRAM)\nsched_getscheduler(0)\ngetpriority()\n\
                bind$un(r0, {AF_UNIX, ABSTRACT_A}, 110)\n";
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

/// Programs that say nothing that is promised if the harness looks at the wrong moment or the wrong thing.
const TELLTALES: &[(&str, &str)] = &[
    (
        "a forked task that dies in its last call",
        "r0 = task$process()\n@1 inotify_init1(IN_NONBLOCK)\ngetpid()\n@1 r1 = openat$append(\"d1\", 1023)\n\
         @1 r2 = mmap$file_shared(PAGE1, LEN_1P, PROT_READ|PROT_WRITE, r1, 0)\n@1 poke(r2, 0, 0x2000)\n",
    ),
    (
        "what a handler leaves on an alternate stack",
        "r1 = mmap$private(PAGE4, LEN_4P, PROT_READ|PROT_WRITE)\nsigaltstack({r1, 0, 0x4000}, out)\n\
         rt_sigaction$set(SIGUSR1, {HANDLER, SA_ONSTACK, {}})\nr2 = gettid()\ntkill(r2, SIGUSR1)\nsignal_log(out)\n",
    ),
    (
        "how far a text with pids was read",
        "r0 = openat$status(O_NONBLOCK)\nread$lines(r0, out[2048])\nr2 = openat$fdinfo3(O_RDONLY)\n\
         read$lines(r2, out[2048])\n",
    ),
    (
        "a port where a path would be",
        "r0 = socket$tcp(SOCK_STREAM, 0)\nbind$in(r0, {AF_INET, LOOPBACK}, 16)\nlisten(r0, 5)\n\
         r1 = getsockname$in(r0, out, {16})\nr2 = socket$tcp(SOCK_STREAM, 0)\n\
         connect$in(r2, {r1, LOOPBACK}, 16)\ngetsockname$un(r2, out, {8})\n",
    ),
    (
        "a key that kills, typed by a call that is for files",
        "openat$tty(O_RDWR|O_NONBLOCK)\npwritev2$append(3, [\"\\x1c\"], -1)\npipe(out)\nsocketpair$nonblock(out)\n",
    ),
];

#[test]
fn what_nobody_promises_is_not_looked_at() {
    let mut pair = Pair::start(Arc::new(Native), Slot::default()).unwrap();
    let mode = Mode { fork: true, block_us: RunOptions::PATIENT.block_us, probes: true };
    for (what, text) in TELLTALES {
        let program = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let code = compile(&program, mode).unwrap();
        let results = pair.run(&vec![program; 30], RunOptions::PATIENT).unwrap();
        // Each side and each run against the first one.
        let first = results[0].native.clone();
        for trace in results.iter().flat_map(|r| [&r.native, &r.target]) {
            assert!(repeat::same(&code, &first, trace), "{what}:\n{text}\n{first:#?}\n{trace:#?}");
        }
    }
}
