//! The mutant with the real agent: its interposer is there, leaves the agent alone, and ends. That each fault
//! is found is the business of the tests of pairs and oracles; the few here show the way through.

use parallax_corpus::text::parse;
use parallax_harness::oracles::Finding;
use parallax_harness::pair::{Pair, RunOptions};
use parallax_harness::target::{Instance, Slot, Target};
use parallax_harness::targets::mutant::{Mutant, faults};
use parallax_harness::targets::native::Native;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Tested = Result<(), Box<dyn Error>>;

const HELLO: Duration = Duration::from_secs(10);

#[test]
fn the_canary_sees_a_call_of_the_agents() -> Tested {
    let seen = Mutant::named("")?.canary()?;
    assert!(seen.contains("of the agent's own calls") && !seen.contains("saw 0"), "{seen}");
    Ok(())
}

#[test]
fn under_every_fault_the_agent_finds_the_native_world() -> Tested {
    let native = Native.start(&Slot::default())?.link().hello(HELLO)?;
    for fault in faults::all() {
        let world = Mutant::named(fault.name)?.launch(&Slot::default())?.link().hello(HELLO)?;
        assert_eq!(native.differences(&world), Vec::<String>::new(), "{}", fault.name);
    }
    Ok(())
}

#[test]
fn a_killed_instance_says_so_and_its_supervisor_ends_at_once() -> Tested {
    let mut instance = Mutant::named("winsize-zero")?.launch(&Slot::default())?;
    instance.link().hello(HELLO)?;
    instance.kill();
    assert!(instance.last_words().contains("SIGKILL"), "{}", instance.last_words());
    let clock = Instant::now();
    drop(instance);
    assert!(clock.elapsed() < Duration::from_secs(1), "{:?}", clock.elapsed());
    Ok(())
}

/// What the oracles say first of that program under that fault.
fn finding(fault: &str, program: &str) -> Result<Option<Finding>, Box<dyn Error>> {
    let mutant: Arc<dyn Target> = Arc::new(Mutant::named(fault)?);
    let mut pair = Pair::start(mutant, Slot::default())?;
    let result = pair.run(&[parse(program)?], RunOptions::PATIENT)?.remove(0);
    assert!(!result.unusable(), "{result:?}");
    Ok(result.finding)
}

#[test]
fn a_fault_is_found_in_the_call_it_is_in() -> Tested {
    let found = finding("winsize-zero", "getsid(0)\nioctl$tiocgwinsz(0, out)\n")?.ok_or("no finding")?;
    assert_eq!((found.call, found.name.as_str(), found.field.as_str()), (1, "ioctl$tiocgwinsz", "ws_row"));
    Ok(())
}

#[test]
fn a_program_that_a_fault_is_not_about_runs_as_natively() -> Tested {
    // Every ioctl is listened to under this fault, but only TCSETS is what it breaks.
    let program = "r0 = openat$tty(O_RDWR)\nioctl$tcgets(r0, out)\nioctl$tiocgsid(r0, out)\n";
    assert_eq!(finding("tcsets-echo-stuck", program)?, None);
    Ok(())
}
