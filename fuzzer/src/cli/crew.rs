//! Many cases replayed at once, on as many pairs as a target has use for.

use parallax_harness::pair::Pair;
use parallax_harness::target::{Slot, Target, TargetError};
use parallax_replay::{ReplayOutcome, Repro, replay_live};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Replays all cases on one target, each so many times; outcomes in the order of the cases.
pub(super) fn replay_all(
    target: &Arc<dyn Target>,
    repros: &[&Repro],
    runs: u32,
    jobs: usize,
) -> Result<Vec<ReplayOutcome>, TargetError> {
    let jobs = jobs.clamp(1, repros.len().max(1));
    let cores = super::cores();
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done: Mutex<Vec<(usize, ReplayOutcome)>> = Mutex::new(Vec::with_capacity(repros.len()));
    let work = |worker: usize| -> Result<(), TargetError> {
        // Both sides of a pair stay on one core, where the pipes between them and us cost least.
        let slot = Slot { worker, cpu: Some(worker % cores) };
        let mut pair = Pair::start(Arc::clone(target), slot)?;
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(repro) = repros.get(at) else { break };
            let outcome = replay_live(repro, &mut pair, runs)?;
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, outcome));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let crew: Vec<_> = (0..jobs)
            .map(|worker| {
                let (work, failed) = (&work, &failed);
                scope.spawn(move || work(worker).inspect_err(|_| failed.store(true, Ordering::Relaxed)))
            })
            .collect();
        crew.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, outcome)| outcome).collect())
}
