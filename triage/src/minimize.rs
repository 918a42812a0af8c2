//! Cuts a program down to what its finding needs: calls first, then arguments. Every accepted step shows the
//! same difference at the same call and field, so it cannot drift to another bug.
//!
//! All candidates of a round go out as one list, which a [`Lab`] of several pairs runs in parallel.

use crate::Lab;
use parallax_corpus::{Arg, Program, Ty};
use parallax_harness::oracles::Finding;
use parallax_harness::pair::RunOptions;
use parallax_harness::target::TargetError;

/// A minimized program.
#[derive(Clone, Debug)]
pub struct Minimized {
    /// The program.
    pub program: Program,
    /// Its finding, as the program now shows it.
    pub finding: Finding,
    /// Runs it took.
    pub runs: usize,
}

/// Most runs spent on one finding.
const BUDGET: usize = 1_500;
/// The same where every run may cost a restart of the layer.
const LAYER_BUDGET: usize = 40;

/// Minimizes.
///
/// # Errors
/// A side cannot be had any more.
pub fn minimize(
    lab: &mut dyn Lab,
    program: &Program,
    finding: &Finding,
    how: RunOptions,
) -> Result<Minimized, TargetError> {
    let costly = finding.class.is_layer();
    let mut work = Work {
        lab,
        how,
        best: program.clone(),
        finding: finding.clone(),
        left: if costly { LAYER_BUDGET } else { BUDGET },
        costly,
    };
    let budget = work.left;
    work.cut_tail()?;
    loop {
        let before = (work.best.calls.len(), work.left);
        work.remove_calls()?;
        work.simplify_arguments()?;
        if work.best.calls.len() == before.0 || work.left == 0 {
            break;
        }
    }
    Ok(Minimized { runs: budget - work.left, program: work.best, finding: work.finding })
}

struct Work<'a> {
    lab: &'a mut dyn Lab,
    how: RunOptions,
    best: Program,
    finding: Finding,
    left: usize,
    costly: bool,
}

impl Work<'_> {
    /// Runs candidates; for each whether it still shows the finding (twice: a flaky candidate is no candidate).
    fn try_all(&mut self, candidates: &[Program]) -> Result<Vec<Option<Finding>>, TargetError> {
        let candidates = &candidates[..candidates.len().min(self.left)];
        self.left -= candidates.len();
        let mut kept: Vec<Option<Finding>> = Vec::with_capacity(candidates.len());
        let rounds = if self.costly { 1 } else { 2 };
        for round in 0..rounds {
            let results = self.lab.run(candidates, self.how)?;
            for (k, result) in results.into_iter().enumerate() {
                let same = result.finding.filter(|f| f.same_core(&self.finding) || self.same_layer(f));
                if round == 0 {
                    kept.push(same);
                } else if same.is_none() {
                    kept[k] = None;
                }
            }
        }
        Ok(kept)
    }

    /// A hang or crash is laid to the last call, whichever that is now.
    fn same_layer(&self, finding: &Finding) -> bool {
        self.costly && finding.class == self.finding.class
    }

    fn accept(&mut self, program: Program, finding: Finding) {
        self.best = program;
        self.finding = finding;
    }

    /// Nothing after the differing call matters, if it is one of the program's own.
    fn cut_tail(&mut self) -> Result<(), TargetError> {
        let keep = self.finding.call + 1;
        if keep < self.best.calls.len() {
            let mut shorter = self.best.clone();
            shorter.calls.truncate(keep);
            if let Some(Some(finding)) = self.try_all(std::slice::from_ref(&shorter))?.pop() {
                self.accept(shorter, finding);
            }
        }
        Ok(())
    }

    /// Removes calls, as many at once as can go, until none can: the result is 1-minimal.
    fn remove_calls(&mut self) -> Result<(), TargetError> {
        while self.best.calls.len() > 1 && self.left > 0 {
            let singles: Vec<Program> =
                (0..self.best.calls.len()).map(|k| without(&self.best, &[k])).collect();
            let kept = self.try_all(&singles)?;
            let removable: Vec<usize> =
                kept.iter().enumerate().filter(|(_, f)| f.is_some()).map(|(k, _)| k).collect();
            let Some(&first) = removable.first() else { return Ok(()) };
            if removable.len() > 1 {
                // Halves of what can go alone: all of it often goes together.
                let all = without(&self.best, &removable);
                let half = without(&self.best, &removable[..removable.len().div_ceil(2)]);
                let other = without(&self.best, &removable[removable.len() / 2..]);
                let together = self.try_all(&[all.clone(), half.clone(), other.clone()])?;
                let taken = [all, half, other].into_iter().zip(together).find_map(|(p, f)| f.map(|f| (p, f)));
                if let Some((program, finding)) = taken {
                    self.accept(program, finding);
                    continue;
                }
            }
            if let Some(finding) = kept[first].clone() {
                self.accept(singles[first].clone(), finding);
            }
        }
        Ok(())
    }

    /// Makes arguments simpler, one at a time, until no simpler one shows the finding.
    fn simplify_arguments(&mut self) -> Result<(), TargetError> {
        while self.left > 0 {
            let mut candidates = Vec::new();
            for (c, call) in self.best.calls.iter().enumerate() {
                if call.task != 0 {
                    let mut program = self.best.clone();
                    program.calls[c].task = 0;
                    if program.check().is_ok() {
                        candidates.push(program);
                    }
                }
                for (a, (_, desc)) in call.id.desc().written().enumerate() {
                    for simpler in simpler(&call.args[a], desc.ty) {
                        let mut program = self.best.clone();
                        program.calls[c].args[a] = simpler;
                        if program.check().is_ok() {
                            candidates.push(program);
                        }
                    }
                }
            }
            if candidates.is_empty() {
                return Ok(());
            }
            let kept = self.try_all(&candidates)?;
            let Some((program, finding)) =
                candidates.into_iter().zip(kept).find_map(|(p, f)| f.map(|f| (p, f)))
            else {
                return Ok(());
            };
            self.accept(program, finding);
        }
        Ok(())
    }
}

/// The program without those calls (ascending); what used them gets a missing resource.
fn without(program: &Program, calls: &[usize]) -> Program {
    let mut program = program.clone();
    for &call in calls.iter().rev() {
        program.remove_call(call);
    }
    program
}

/// Simpler forms of an argument, simplest first. Each is strictly smaller, so that simplifying ends.
fn simpler(arg: &Arg, ty: Ty) -> Vec<Arg> {
    match (arg, ty) {
        (Arg::Int(0), _) | (Arg::Int(_), Ty::Fd(_) | Ty::Page | Ty::Pid | Ty::Timer) => Vec::new(),
        (Arg::Int(n), Ty::Flags(_) | Ty::SigSet) => {
            let mut forms = vec![Arg::Int(0)];
            forms
                .extend((0..64).filter(|b| n >> b & 1 == 1 && *n != 1 << b).map(|b| Arg::Int(n & !(1 << b))));
            forms
        }
        (Arg::Int(1), _) => vec![Arg::Int(0)],
        (Arg::Int(n), Ty::OneOf(values)) => values.iter().filter(|v| *v < n).map(|v| Arg::Int(*v)).collect(),
        (Arg::Int(n), Ty::Int(_)) if *n > 1 => vec![Arg::Int(0), Arg::Int(1)],
        (Arg::Bytes(bytes), _) if !bytes.is_empty() => {
            let mut forms = Vec::new();
            if !matches!(ty, Ty::Path) {
                forms.push(Arg::Bytes(Vec::new()));
                if bytes.len() > 1 {
                    forms.push(Arg::Bytes(bytes[..bytes.len() / 2].to_vec()));
                    forms.push(Arg::Bytes(bytes[1..].to_vec()));
                }
            }
            forms
        }
        (Arg::Out(n), _) if *n > 1 => vec![Arg::Out(1), Arg::Out(n / 2)],
        (Arg::Group(parts), _) => {
            let mut forms = Vec::new();
            if matches!(parts.first(), Some(Arg::Group(_) | Arg::Bytes(_) | Arg::Out(_))) && parts.len() > 1 {
                forms.extend((0..parts.len()).map(|k| {
                    let mut fewer = parts.clone();
                    fewer.remove(k);
                    Arg::Group(fewer)
                }));
            }
            for (k, part) in parts.iter().enumerate() {
                let zeroed = match part {
                    Arg::Int(n) if *n != 0 => Some(Arg::Int(0)),
                    _ => None,
                };
                let inner = zeroed.into_iter().chain(match part {
                    Arg::Int(_) => Vec::new(),
                    part => simpler(part, ty),
                });
                for form in inner {
                    let mut changed = parts.clone();
                    changed[k] = form;
                    forms.push(Arg::Group(changed));
                }
            }
            forms
        }
        _ => Vec::new(),
    }
}
