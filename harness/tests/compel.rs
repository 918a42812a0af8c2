//! The target compel: an infection leaves a program as it was, and what it does not leave so is seen.
//!
//! Where the helper is not installed, or the tests do not run as root, they say so and pass.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parallax_corpus::State;
use parallax_corpus::Trace;
use parallax_corpus::compile::{Mode, compile, request};
use parallax_corpus::text::parse;
use parallax_corpus::trace::{Fate, Mishap};
use parallax_harness::compel::{Answer, Area, Helper, How, child_of};
use parallax_harness::freezer::{Freezer, Next, Point};
use parallax_harness::jail::{self, AGENT_PATH, JailSpec, JailedInstance, Root};
use parallax_harness::target::{Instance, Slot, Target};
use parallax_harness::targets::{Choice, choose, host};
use std::collections::BTreeMap;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn target(name: &str) -> Option<Arc<dyn Target>> {
    match choose(&Choice { name: Some(name.into()), ..Choice::default() }) {
        Ok(target) => Some(target),
        Err(e) => {
            println!("skipped: {e}");
            None
        }
    }
}

fn helper() -> Option<Helper> {
    let path = target("compel")?.path()?;
    Some(Helper::start(&path, None, PATIENCE).expect("the helper starts"))
}

/// A process of another program that waits in a call which the kernel restarts.
struct Victim {
    child: Child,
    _input: Option<ChildStdin>,
}

impl Victim {
    fn new() -> Victim {
        // Nothing that others write to meanwhile: the offset of an open file is a difference.
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = cat.spawn().expect("cat starts");
        let input = child.stdin.take();
        let victim = Victim { child, _input: input };
        victim.wait_until(" S ");
        victim
    }
    fn wait_until(&self, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stat().contains(state) {
            assert!(Instant::now() < deadline, "not{state}: {}", self.stat());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    fn pid(&self) -> i32 {
        self.child.id() as i32
    }
    fn stat(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it lives")
    }
    fn stop(&self) {
        kill(Pid::from_raw(self.pid()), Signal::SIGSTOP).expect("it is ours");
        self.wait_until(" T ");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_process_is_as_it_was_whether_it_waits_or_is_stopped() {
    let Some(mut helper) = helper() else { return };
    let mut victim = Victim::new();
    for stopped in [false, true] {
        if stopped {
            victim.stop();
        }
        for _ in 0..20 {
            for infected in [false, true] {
                let (pid, how) = (victim.pid(), How { settle: true, ..How::default() });
                let answer = if infected { helper.infect(pid, how) } else { helper.look(pid, how) };
                let answer = answer.expect("an answer");
                assert_eq!(answer.failed, None, "{}", answer.log);
                // A whole C library fills vector registers: see docs/findings/compel.md.
                let others = answer.differences.iter().filter(|d| d.area != Area::Extended);
                assert_eq!(others.count(), 0, "{:#?}", answer.differences);
                assert!(answer.pages > 20, "{answer:?}");
            }
        }
        if !stopped {
            victim.wait_until(" S ");
        }
        assert!(victim.stat().contains(if stopped { " T " } else { " S " }), "{}", victim.stat());
    }
    kill(Pid::from_raw(victim.pid()), Signal::SIGCONT).expect("it is ours");
    victim._input = None;
    assert!(victim.child.wait().expect("it ends").success(), "its interrupted read went on");
}

#[test]
fn whatever_is_changed_on_purpose_is_seen() {
    let Some(mut helper) = helper() else { return };
    for (area, seen) in [
        (Area::Register, "register r15"),
        (Area::Extended, "xmm registers"),
        (Area::Page, "memory"),
        (Area::Map, "a mapping that came"),
        (Area::Descriptor, "a descriptor that came"),
        (Area::Mask, "blocked signals"),
        (Area::Status, "status Umask"),
        (Area::Queue, "pending signal 12 that came"),
    ] {
        let victim = Victim::new();
        victim.stop();
        let answer =
            helper.infect(victim.pid(), How { spoil: Some(area), ..How::default() }).expect("an answer");
        let kinds: Vec<String> = answer.differences.iter().map(|d| d.what()).collect();
        assert!(kinds.iter().any(|kind| kind == seen), "{area:?}: {kinds:?} {}", answer.log);
    }
}

#[test]
fn the_debug_registers_keep_the_address_of_a_breakpoint() {
    let Some(mut helper) = helper() else { return };
    let victim = Victim::new();
    let answer = helper.infect(victim.pid(), How { debug: true, ..How::default() }).expect("an answer");
    // Whether they do is libcompel's affair; that nothing else is said of them is ours.
    assert!(answer.differences.iter().all(|d| matches!(d.area, Area::Debug | Area::Extended)), "{answer:?}");
}

#[test]
fn a_process_that_is_not_there_is_a_step_that_failed() {
    let Some(mut helper) = helper() else { return };
    let mut victim = Victim::new();
    victim.child.kill().expect("it is ours");
    victim.child.wait().expect("it ends");
    let answer = helper.infect(victim.pid(), How::default()).expect("an answer");
    assert!(answer.failed.is_some_and(|step| step.is_untouched()), "{answer:?}");
    assert!(!answer.log.is_empty());
}

/// Has an agent run a program, and gives its trace.
fn run(instance: &mut dyn Instance, text: &str) -> Trace {
    let program = parse(text).expect(text);
    let mode = Mode { fork: true, block_us: 200_000, probes: false };
    let code = compile(&program, mode).expect("it compiles");
    instance.link().send(&request(&[&code], true), PATIENCE).expect("it is sent");
    let reply = instance.link().receive(PATIENCE * 200).expect("a reply");
    let mut trace = Trace::decode_reply(&reply, &[code.calls.len()]).expect("a trace").remove(0);
    trace.mishaps = instance.link().take_mishaps();
    trace
}

#[test]
fn what_the_helper_says_of_vector_registers_is_what_the_program_sees() {
    for name in ["compel", "compel:threads"] {
        let Some(target) = target(name) else { return };
        let mut instance = target.start(&Slot::default()).expect("it starts");
        host::hello(instance.as_mut(), name, PATIENCE).expect("hello");
        let plain = run(instance.as_mut(), "checkpoint()\n");
        assert_eq!((plain.outcomes[0].state, plain.outcomes[0].ret), (State::Done, 0));
        assert_eq!(plain.mishaps, []);
        let full = run(instance.as_mut(), "checkpoint$vectors()\n");
        let lost = full.outcomes[0].ret;
        assert_eq!(full.outcomes[0].state, State::Done);
        assert_eq!(lost != 0, !full.mishaps.is_empty(), "{lost:#x} lost, the helper says {:?}", full.mishaps);
        for mishap in &full.mishaps {
            assert_eq!(mishap.fate, Fate::Changed);
        }
    }
}

#[test]
fn natively_no_register_is_lost_at_a_checkpoint() {
    let native = target("native").expect("it is always there");
    let mut instance = native.start(&Slot::default()).expect("it starts");
    host::hello(instance.as_mut(), "native", PATIENCE).expect("hello");
    for _ in 0..50 {
        let trace = run(instance.as_mut(), "checkpoint$vectors()\n");
        assert_eq!((trace.outcomes[0].state, trace.outcomes[0].ret), (State::Done, 0));
    }
}

/// Infects a program at its checkpoint again and again.
struct Many {
    helper: Helper,
    agent: i32,
    times: u32,
    how: How,
    /// Whom to move from core to core, once it is known.
    moved: Arc<AtomicU64>,
    told: Sender<Told>,
}

/// What became of many infections.
struct Told {
    /// What differed, and how often.
    seen: BTreeMap<String, u32>,
    last: Answer,
    took: Duration,
    /// CPU time of the helper and the program.
    computed: Duration,
}

fn computed_by(pid: i32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

impl Freezer for Many {
    fn next(&mut self, point: Point) -> Next {
        let pid = child_of(self.agent, point.pid).expect("the program is the agent's child");
        self.moved.store(pid as u64, Ordering::SeqCst);
        let (begin, before) = (Instant::now(), computed_by(self.helper.pid()) + computed_by(pid));
        let mut seen = BTreeMap::new();
        let mut last = Answer::default();
        for _ in 0..self.times {
            last = self.helper.infect(pid, self.how).expect("an answer");
            if let Some(step) = last.failed {
                *seen.entry(format!("{step:?}: {}", last.log)).or_default() += 1;
            }
            for difference in &last.differences {
                *seen.entry(difference.to_string()).or_default() += 1;
            }
        }
        self.moved.store(0, Ordering::SeqCst);
        let (took, computed) = (begin.elapsed(), computed_by(self.helper.pid()) + computed_by(pid) - before);
        self.told.send(Told { seen, last, took, computed }).expect("the test waits");
        Next::todo(parallax_corpus::wire::point::GO)
    }
    fn take_mishaps(&mut self) -> Vec<Mishap> {
        Vec::new()
    }
}

/// Infects one program so many times, optionally while it is moved from core to core by somebody else and both cores
/// are busy. What differed, and how long it took.
fn many(times: u32, migrate: bool) -> Option<Told> {
    let path = target("compel")?.path()?;
    let cpu = if migrate { None } else { Some(0) };
    let helper = Helper::start(&path, cpu, PATIENCE).expect("the helper starts");
    let argv = [AGENT_PATH, "--points"].map(Into::into).into();
    let jailed = jail::spawn(&JailSpec { cpu, ..JailSpec::new(argv, Root::Bare) }).expect("a jail");
    let agent = jailed.pid;
    let mut instance = JailedInstance::new(jailed, "compel").expect("its pipes");
    let (told, tells) = channel();
    let moved = Arc::new(AtomicU64::new(0));
    // The next infection must not meet a stop that is on its way: libcompel waits for ever then.
    let how = How { settle: true, ..How::default() };
    instance.link().set_freezer(Box::new(Many {
        helper,
        agent,
        times,
        how,
        moved: Arc::clone(&moved),
        told,
    }));
    host::hello(&mut instance, "compel", PATIENCE).expect("hello");
    let over = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(2);
    let trace = std::thread::scope(|scope| {
        for core in 0..if migrate { cores } else { 0 } {
            let (moved, over) = (&moved, &over);
            scope.spawn(move || {
                let set = |core: usize| {
                    let mut set = CpuSet::new();
                    set.set(core).map(|()| set)
                };
                let _ = set(core).and_then(|set| sched_setaffinity(Pid::from_raw(0), &set));
                while !over.load(Ordering::Relaxed) {
                    let pid = moved.load(Ordering::SeqCst) as i32;
                    if pid > 0 {
                        // To this core; the other thread takes it back.
                        let _ = set(core).and_then(|set| sched_setaffinity(Pid::from_raw(pid), &set));
                    }
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
        }
        let trace = run(&mut instance, "checkpoint()\n");
        over.store(true, Ordering::Relaxed);
        trace
    });
    assert_eq!((trace.outcomes[0].state, trace.outcomes[0].ret), (State::Done, 0));
    Some(tells.recv().expect("it was infected"))
}

#[test]
fn migration_is_no_difference() {
    let Some(Told { seen, last, .. }) = many(300, true) else { return };
    assert!(seen.is_empty(), "{seen:#?}");
    assert!(last.pages > 10 && last.skipped == 0 && last.threads == 1, "{last:?}");
}

/// The measurement behind docs/benchmarks.md: `cargo test --release -p parallax-harness --test compel -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_infections_without_a_false_alarm() {
    let times = std::env::var("INFECTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    for (migrate, times) in [(false, times / 10), (true, times)] {
        let Some(Told { seen, last, took, computed }) = many(times, migrate) else { return };
        let (rate, each) =
            (f64::from(times) / took.as_secs_f64(), computed.as_secs_f64() * 1e6 / f64::from(times));
        println!("migration {migrate}: {times} infections of {} pages, {rate:.0}/s", last.pages);
        println!("  {each:.0} us of CPU time each; differences {seen:?}");
        assert!(seen.is_empty(), "{seen:#?}");
    }
}

#[test]
fn a_program_that_has_no_room_for_the_parasite_is_refused_and_stays_as_it_was() {
    let Some(target) = target("compel") else { return };
    let mut instance = target.start(&Slot::default()).expect("it starts");
    host::hello(instance.as_mut(), "compel", PATIENCE).expect("hello");
    for (text, why) in [
        ("setrlimit$nofile({0, NOFILE_MAX})\ncheckpoint()\n", "Too many open files"),
        (
            "mlockall(MCL_FUTURE)\nmmap$private(PAGE3, LEN_2P, 0)\ntask$thread()\ncheckpoint()\n",
            "mmap() failed",
        ),
    ] {
        let trace = run(instance.as_mut(), text);
        let [mishap] = &trace.mishaps[..] else { panic!("{text}{trace:#?}") };
        // As it was: `judge` has looked.
        assert_eq!(mishap.fate, Fate::Refused, "{text}{mishap:?}");
        assert!(mishap.reason.contains(why), "{text}{mishap:?}");
    }
}
