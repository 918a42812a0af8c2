//! The mutant: the native kernel behind an interposer that injects one known fault, chosen by name.
//!
//! It is the ground truth of the tests (a fuzzer that does not find a planted fault would not find a real
//! one) and the target of a first run, since it needs nothing installed.
//!
//! The jail is the native side's own, with a seccomp filter that hands the calls of interest to a thread of
//! ours (seccomp_unotify(2)). That thread lets the kernel run a call, answers it with something else, or runs
//! it on the program's behalf on shared descriptors and memory. Which, is a fault's affair: see
//! [`faults`]. Everything a fault does not name runs natively.

mod call;
pub mod faults;
mod notify;

use crate::jail::{self, AGENT_PATH, JailSpec, JailedInstance, Root};
use crate::link::Link;
use crate::target::{Instance, Slot, Target, TargetError};
use call::{Call, Restored};
use faults::{Answer, Fault};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, pipe2};
use notify::{Listener, Notice, Verdict, Wake};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The fault of plain `mutant`.
pub const DEFAULT: &str = "tty-shared-flags";

/// Goes up when a fault changes what programs see.
const VERSION: u32 = 1;

/// The agent makes this call for its hello whatever the fault, so it proves that calls reach us.
const STARTUP_CALL: u32 = faults::nr::UNAME;

/// How long the agent may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

/// How long the supervisor may take to end. It waits for nothing then, so this is never used up.
const FAREWELL: Duration = Duration::from_secs(2);

/// The native kernel with one fault.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    fault: &'static Fault,
}

impl Mutant {
    /// The mutant with the fault of that name; [`DEFAULT`] if the name is empty.
    ///
    /// # Errors
    /// [`TargetError::Unknown`], listing the faults.
    pub fn named(name: &str) -> Result<Mutant, TargetError> {
        let wanted = if name.is_empty() { DEFAULT } else { name };
        let fault = faults::named(wanted).ok_or_else(|| TargetError::Unknown {
            name: format!("mutant:{name}"),
            known: format!(
                "the faults are {}",
                faults::all().iter().map(|f| f.name).collect::<Vec<_>>().join(", ")
            ),
        })?;
        Ok(Mutant { fault })
    }

    /// Its fault.
    pub fn fault(&self) -> &'static Fault {
        self.fault
    }

    /// Starts an instance, as [`Target::start`] does, with its counters in sight.
    ///
    /// # Errors
    /// As [`Target::start`].
    pub fn launch(&self, slot: &Slot) -> Result<MutantInstance, TargetError> {
        let mut notify = self.fault.calls.to_vec();
        notify.push(STARTUP_CALL);
        let spec = JailSpec::new(vec![AGENT_PATH.into()], Root::Bare);
        let mut jailed = jail::spawn(&JailSpec { notify, cpu: slot.cpu, ..spec })?;
        let failed = |why: String| TargetError::Start { target: self.name(), why };
        let listener = jailed.listener.take().ok_or_else(|| failed("the jail gave no listener".into()))?;
        let interposer = Interposer::start(listener, jailed.pid, self.fault, slot.cpu)
            .map_err(|e| failed(format!("the supervisor cannot be set up: {e}")))?;
        Ok(MutantInstance { jailed: JailedInstance::new(jailed, &self.name())?, interposer })
    }
}

impl Target for Mutant {
    fn name(&self) -> String {
        format!("mutant:{}", self.fault.name)
    }

    fn version(&self) -> Result<String, TargetError> {
        let kernel = nix::sys::utsname::uname()
            .map_err(|e| TargetError::Start { target: self.name(), why: format!("uname: {e}") })?;
        Ok(format!("{}, mutant {VERSION}", kernel.release().to_string_lossy()))
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        Ok(Box::new(self.launch(slot)?))
    }

    fn answers_each(&self) -> bool {
        false
    }

    fn canary(&self) -> Result<String, TargetError> {
        let mut instance = self.launch(&Slot::default())?;
        if let Err(error) = instance.link().hello(HELLO) {
            let why = format!("no hello from the agent: {error}; {}", instance.last_words());
            return Err(TargetError::Start { target: self.name(), why });
        }
        match instance.interposer.seen() {
            0 => Err(TargetError::Inactive {
                target: self.name(),
                why: "the agent's own uname() did not reach the interposer".into(),
            }),
            n => Ok(format!("the interposer saw {n} of the agent's own calls before its hello")),
        }
    }
}

/// A jail under interposition, with an agent in it.
#[derive(Debug)]
pub struct MutantInstance {
    // Before the interposer: once everything in the jail is dead, its thread ends by itself.
    jailed: JailedInstance,
    interposer: Interposer,
}

impl MutantInstance {
    /// The supervisor.
    pub fn interposer(&self) -> &Interposer {
        &self.interposer
    }
}

impl Instance for MutantInstance {
    fn link(&mut self) -> &mut Link {
        self.jailed.link()
    }

    fn last_words(&mut self) -> String {
        self.jailed.last_words()
    }

    fn kill(&mut self) {
        self.jailed.kill();
    }
}

/// Calls counted by a supervisor.
#[derive(Debug, Default)]
struct Counts {
    seen: AtomicU64,
    injected: AtomicU64,
}

/// The thread that answers a jail's notified calls. Dropping it ends the thread; calls that still wait then
/// fail with `ENOSYS`, so the jail should be dead by then.
#[derive(Debug)]
pub struct Interposer {
    counts: Arc<Counts>,
    /// Dropped to wake the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    /// Closed by the thread when it ends.
    ended: Receiver<()>,
}

impl Interposer {
    /// Answers the calls that come in on a seccomp listener by this fault, until nobody is left under its
    /// filter. Calls of `init` itself, the jail's process 1 by our numbering, are seen but left alone.
    ///
    /// # Errors
    /// `init` is gone, or a resource of our own ran out.
    pub fn start(
        listener: OwnedFd,
        init: i32,
        fault: &'static Fault,
        cpu: Option<usize>,
    ) -> std::io::Result<Interposer> {
        let (stopped, stop) = pipe2(OFlag::O_CLOEXEC)?;
        let (end, ended) = channel();
        let counts = Arc::new(Counts::default());
        let supervisor = Supervisor {
            listener: Listener::new(listener)?,
            init,
            init_handle: notify::pidfd_open(init)?,
            fault,
            counts: Arc::clone(&counts),
            restored: Restored::default(),
        };
        let thread = std::thread::Builder::new().name(format!("mutant-{init}")).spawn(move || {
            // Held so that its end is the thread's end, even by a panic.
            let _end = end;
            supervisor.run(&stopped, cpu);
        })?;
        Ok(Interposer { counts, stop: Some(stop), thread: Some(thread), ended })
    }

    /// Calls that came in so far, the agent's own among them.
    pub fn seen(&self) -> u64 {
        self.counts.seen.load(Ordering::Relaxed)
    }

    /// Calls the fault changed so far.
    pub fn injected(&self) -> u64 {
        self.counts.injected.load(Ordering::Relaxed)
    }
}

impl Drop for Interposer {
    fn drop(&mut self) {
        self.stop = None;
        // A thread that does not end is a defect of ours, and still no reason to hang the campaign.
        if self.ended.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Disconnected) {
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

struct Supervisor {
    listener: Listener,
    init: i32,
    init_handle: OwnedFd,
    fault: &'static Fault,
    counts: Arc<Counts>,
    restored: Restored,
}

impl Supervisor {
    fn run(mut self, stop: &OwnedFd, cpu: Option<usize>) {
        if let Some(cpu) = cpu {
            // On the program's own core a call's way to us and back needs no other core to wake up. Where
            // that is not allowed it is only slower.
            let mut set = CpuSet::new();
            if set.set(cpu).is_ok() {
                let _ = sched_setaffinity(Pid::from_raw(0), &set);
            }
        }
        while self.listener.wait(stop.as_fd()) == Wake::Call {
            match self.listener.receive() {
                Ok(notice) => self.answer(notice),
                // It died, or a signal took it away, between the two: the next one, then.
                Err(Errno::ENOENT | Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn answer(&mut self, notice: Notice) {
        let answer = match notice.nr {
            Some(nr) if notice.pid != self.init && self.fault.calls.contains(&nr) => {
                let mut call = Call {
                    listener: &self.listener,
                    notice,
                    nr,
                    init: self.init_handle.as_fd(),
                    restored: &mut self.restored,
                };
                (self.fault.handler)(&mut call).unwrap_or(Answer::Kernel)
            }
            _ => Answer::Kernel,
        };
        self.counts.seen.fetch_add(1, Ordering::Relaxed);
        if answer != Answer::Kernel {
            self.counts.injected.fetch_add(1, Ordering::Relaxed);
        }
        let verdict = match answer {
            Answer::Kernel | Answer::Tampered => Verdict::Continue,
            Answer::Value(value) => Verdict::Value(value),
            Answer::Fail(error) => Verdict::Fail(error),
            Answer::Silence => return,
        };
        // ENOENT: a signal took the caller away, and nobody waits for this answer.
        let _ = self.listener.send(notice.id, verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_mutant_has_the_default_fault() -> Result<(), TargetError> {
        assert_eq!(Mutant::named("")?.name(), "mutant:tty-shared-flags");
        Ok(())
    }

    #[test]
    fn an_unknown_fault_is_refused_with_the_list_of_faults() {
        let error = Mutant::named("nonesuch").map(|m| m.name()).unwrap_err().to_string();
        assert!(error.contains("mutant:nonesuch") && error.contains("winsize-zero"), "{error}");
    }
}
