//! One side of a pair: a layer with its running instance, which is asked, waited for, and started again after trouble.

use crate::link::{Environment, LinkError, StopWhen};
use crate::oracles;
use crate::pace::{self, Pace};
use crate::pair::RunOptions;
use crate::renumber;
use crate::target::{Instance, Slot, Target, TargetError};
use parallax_corpus::compile::request;
use parallax_corpus::{Code, End, Trace, wire};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One side of a pair: a target with its running instance.
pub(crate) struct Side {
    pub(crate) target: Arc<dyn Target>,
    pub(crate) slot: Slot,
    pub(crate) instance: Option<Box<dyn Instance>>,
    pub(crate) environment: Environment,
    pub(crate) restarts: u64,
    used: bool,
    pub(crate) stop: Option<StopWhen>,
    pace: Pace,
    /// It has not answered any program since it was started: the first takes longer.
    cold: bool,
    /// When something was sent last.
    sent: Instant,
}

/// How long to wait after each failed start of a layer that has started before.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];

/// The traces that came, and why not all did.
pub(crate) struct Answer {
    traces: Vec<Trace>,
    error: Option<LinkError>,
    /// Each program was to be answered by itself: the first without an answer is the one that did it.
    each: bool,
}

impl Side {
    pub(crate) fn start(target: Arc<dyn Target>, slot: Slot) -> Result<Side, TargetError> {
        let (instance, environment) = launch(&*target, &slot, None)?;
        Ok(Side {
            target,
            slot,
            instance: Some(instance),
            environment,
            restarts: 0,
            used: false,
            stop: None,
            pace: Pace::default(),
            cold: true,
            sent: Instant::now(),
        })
    }

    pub(crate) fn instance(&mut self) -> Result<&mut Box<dyn Instance>, TargetError> {
        if self.instance.is_none() {
            let (instance, environment) = self.launch_again()?;
            self.environment = environment;
            self.instance = Some(instance);
            self.cold = true;
        }
        self.instance.as_mut().ok_or_else(|| TargetError::Start {
            target: self.target.name(),
            why: "it vanished while starting".into(),
        })
    }

    /// Starts another instance of a layer that has started before. On a busy machine that may take several tries, and a
    /// night's campaign is not to end for that.
    fn launch_again(&self) -> Result<(Box<dyn Instance>, Environment), TargetError> {
        for pause in PAUSES {
            match launch(&*self.target, &self.slot, self.stop.clone()) {
                Err(TargetError::Start { .. }) => {}
                result => return result,
            }
            let until = Instant::now() + pause;
            while Instant::now() < until {
                if self.stop.as_ref().is_some_and(|stop| stop()) {
                    return Err(TargetError::Stopped);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        launch(&*self.target, &self.slot, self.stop.clone())
    }

    /// Ends the instance after trouble; gives what it said last. The next use starts another.
    fn bury(&mut self) -> String {
        self.restarts += 1;
        match self.instance.take() {
            Some(mut instance) => {
                instance.kill();
                instance.last_words()
            }
            None => String::new(),
        }
    }

    /// A fresh instance, if programs have run in this one.
    pub(crate) fn refresh(&mut self) {
        if self.used {
            if let Some(mut old) = self.instance.take() {
                old.kill();
            }
            self.used = false;
        }
    }

    /// Time for one message of answers.
    fn patience(&self, programs: usize, how: RunOptions) -> Duration {
        let haste = u64::from(how.haste.max(1));
        let each = u64::from(how.block_us) / 1000 * 2 + 100 / haste;
        Duration::from_millis(self.target.patience_ms() / haste + each * programs as u64)
    }

    /// Time for the answer to a whole batch. Who hurries suspects a side as soon as it takes much longer than usual:
    /// that only has the batch run again.
    fn patience_of_batch(&self, programs: usize, how: RunOptions) -> Duration {
        let most = self.patience(programs, how);
        if how.haste > 1 && programs >= pace::SMALLEST && !self.cold {
            most.min(self.pace.suspects_after(programs, Duration::from_micros(u64::from(how.block_us) * 2)))
        } else {
            most
        }
    }

    /// Sends a request of so many programs.
    pub(crate) fn send(
        &mut self,
        request: &[u8],
        programs: usize,
        how: RunOptions,
    ) -> Result<Result<(), LinkError>, TargetError> {
        self.used = true;
        let patience = self.patience(programs, how);
        let sent = self.instance()?.link().send(request, patience);
        self.sent = Instant::now();
        Ok(sent)
    }

    fn receive(&mut self, codes: &[&Code], each: bool, how: RunOptions) -> Answer {
        let mut traces = Vec::with_capacity(codes.len());
        let mut error = None;
        for part in codes.chunks(if each { 1 } else { codes.len().max(1) }) {
            let patience = if each { self.patience(1, how) } else { self.patience_of_batch(part.len(), how) };
            match self.receive_part(part, patience) {
                Ok(part) => traces.extend(part),
                Err(e) => {
                    error = Some(e);
                    break;
                }
            }
        }
        if !each && !self.cold && error.is_none() && how.haste > 1 && codes.len() >= pace::SMALLEST {
            self.pace.note(self.sent.elapsed(), codes.len());
        }
        self.cold &= traces.is_empty();
        Answer { traces, error, each }
    }

    fn receive_part(&mut self, codes: &[&Code], patience: Duration) -> Result<Vec<Trace>, LinkError> {
        let Some(instance) = self.instance.as_mut() else { return Err(LinkError::Closed) };
        let reply = instance.link().receive(patience)?;
        let mishaps = instance.link().take_mishaps();
        let calls: Vec<usize> = codes.iter().map(|c| c.calls.len()).collect();
        let mut traces =
            Trace::decode_reply(&reply, &calls).map_err(|e| LinkError::Garbage(e.to_string()))?;
        let agent = self.environment.words[wire::hello::PID];
        for (code, trace) in codes.iter().zip(&mut traces) {
            renumber::agent_is_init(code, trace, agent);
            if oracles::tasks::are_in(code) {
                trace.forget_race(|call| code.calls[call].task);
            }
        }
        // Whoever has checkpoints answers each program by itself.
        if let Some(trace) = traces.first_mut() {
            trace.mishaps = mishaps;
        }
        Ok(traces)
    }

    /// Waits for the answers to what was sent, if it was.
    pub(crate) fn answer(
        &mut self,
        codes: &[&Code],
        each: bool,
        how: RunOptions,
        sent: Result<(), LinkError>,
    ) -> Answer {
        match sent {
            Ok(()) => self.receive(codes, each, how),
            Err(error) => Answer { traces: Vec::new(), error: Some(error), each },
        }
    }

    /// Brings a batch to its end: what hung or killed the layer is found, the layer started again, and the rest
    /// run. A trace for each program, and the layer's last words where it did not survive it.
    pub(crate) fn complete(
        &mut self,
        codes: &[&Code],
        how: RunOptions,
        first: Answer,
    ) -> Result<Vec<(Trace, String)>, TargetError> {
        let mut done: Vec<(Trace, String)> = Vec::with_capacity(codes.len());
        let mut answer = first;
        let mut suspected = false;
        loop {
            done.extend(answer.traces.into_iter().map(|trace| (trace, String::new())));
            let Some(error) = answer.error else { break };
            let words = self.bury();
            if matches!(error, LinkError::Stopped) {
                return Err(TargetError::Stopped);
            }
            if answer.each || codes.len() - done.len() == 1 {
                done.push((Trace::lost(end_of(&error), codes[done.len()].calls.len()), words));
            } else {
                suspected |= matches!(error, LinkError::Timeout(_)) && how.haste > 1;
            }
            let rest = &codes[done.len()..];
            answer = match rest {
                [] => break,
                _ => self.ask(rest, how)?,
            };
        }
        if suspected && done.iter().all(|(trace, _)| !matches!(trace.end, End::Hung | End::Crashed)) {
            self.pace.was_wrong();
        }
        Ok(done)
    }

    /// Sends programs and waits for their answers, one by one.
    pub(crate) fn ask(&mut self, codes: &[&Code], how: RunOptions) -> Result<Answer, TargetError> {
        let sent = self.send(&request(codes, true), codes.len(), how)?;
        Ok(self.answer(codes, true, how, sent))
    }
}

fn end_of(error: &LinkError) -> End {
    if matches!(error, LinkError::Timeout(_)) { End::Hung } else { End::Crashed }
}

/// Starts an instance and reads its hello.
fn launch(
    target: &dyn Target,
    slot: &Slot,
    stop: Option<StopWhen>,
) -> Result<(Box<dyn Instance>, Environment), TargetError> {
    let mut instance = target.start(slot)?;
    instance.link().stop_when(stop);
    match instance.link().hello(Duration::from_secs(20)) {
        Ok(environment) => Ok((instance, environment)),
        Err(e) => {
            instance.kill();
            if matches!(e, LinkError::Stopped) {
                return Err(TargetError::Stopped);
            }
            let words = instance.last_words();
            Err(TargetError::Start { target: target.name(), why: format!("{e}; it said: {}", words.trim()) })
        }
    }
}
