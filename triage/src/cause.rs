//! Which call brought a wrong state about: found by running the program's beginnings, each followed by the look that
//! shows the difference. The first call after which the look differs, and goes on to, is the cause.
//!
//! All beginnings go out as one list, each several times, and each copy must say the same; else the guess of the
//! oracle stands.

use crate::Lab;
use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::{Arg, Call, Code, Program, Ty};
use parallax_harness::oracles::{Evidence, Finding, differential, state};
use parallax_harness::pair::{PairResult, RunOptions};
use parallax_harness::target::TargetError;

/// Runs of each beginning: all must agree.
const COPIES: usize = 3;

/// A beginning of a program and the place of the look in its compiled code.
struct Beginning {
    program: Program,
    /// How many of the program's calls it has.
    calls: usize,
    code: Code,
    look: usize,
}

/// Lays a finding of a probe, or of a call that only looks at state, to the call that made the state differ. Other
/// findings stay as they are.
///
/// # Errors
/// A side cannot be had any more.
pub fn lay(
    lab: &mut dyn Lab,
    program: &Program,
    finding: &Finding,
    how: RunOptions,
) -> Result<Finding, TargetError> {
    let mut laid = finding.clone();
    let Some(code) = compiled(program, how) else { return Ok(laid) };
    let probed = finding.call >= code.own;
    if !is_value(finding) || !probed && !is_look(&code, finding) {
        return Ok(laid);
    }
    let last = if probed { code.own } else { finding.call };
    let all: Vec<Beginning> =
        (0..=last).filter_map(|calls| beginning(program, &code, finding.call, calls, how)).collect();
    let differs = run(lab, &all, finding, how)?;
    // From the whole program backwards, as long as it differs.
    let mut first = None;
    for (beginning, differs) in all.iter().zip(&differs).rev() {
        match differs {
            Some(true) => first = Some(beginning.calls),
            Some(false) => break,
            // It comes and goes: what cannot be told is not told.
            None => return Ok(laid),
        }
    }
    laid.cause = match first {
        None => return Ok(laid),
        Some(0) => laid.name.clone(),
        // A look of the program's own that is wrong as soon as there is something to look at: whatever made that.
        Some(calls) if !probed && all.first().is_some_and(|shortest| shortest.calls == calls) => {
            laid.name.clone()
        }
        Some(calls) => program.calls[calls - 1].id.name().to_owned(),
    };
    Ok(laid)
}

/// The difference in the directory's entries that explains a finding of a call that names one of them: what is wrong
/// was wrong before that call. Gives the shorter program that shows it.
///
/// # Errors
/// A side cannot be had any more.
pub fn earlier(
    lab: &mut dyn Lab,
    program: &Program,
    finding: &Finding,
    how: RunOptions,
) -> Result<Option<(Program, Finding)>, TargetError> {
    if finding.call == 0 || finding.call >= program.calls.len() || finding.class.is_layer() {
        return Ok(None);
    }
    let paths = paths_of(program, finding.call);
    if paths.is_empty() {
        return Ok(None);
    }
    let mut shorter = program.clone();
    shorter.calls.truncate(finding.call);
    let results = lab.run(&vec![shorter.clone(); COPIES], how)?;
    let mut earlier: Option<Finding> = None;
    for result in results {
        let Some(found) = result.finding.filter(|f| f.name == "getdents64" && f.call >= finding.call) else {
            return Ok(None);
        };
        let changed = |path: &String| {
            let entry = format!("{path} (type ");
            found.native.contains(&entry) != found.target.contains(&entry)
        };
        if !paths.iter().any(changed) || earlier.as_ref().is_some_and(|e| !e.same_core(&found)) {
            return Ok(None);
        }
        earlier = Some(found);
    }
    Ok(earlier.map(|found| (shorter, found)))
}

/// A difference in what was seen, not in how the looking itself went: that is the look's own.
fn is_value(finding: &Finding) -> bool {
    finding.kind != "unsupported" && finding.field != "end" && finding.field != "stops"
}

/// Whether an own call only looks at state, and both sides let it.
fn is_look(code: &Code, finding: &Finding) -> bool {
    let call = &code.calls[finding.call];
    let error = finding.field == "state" || finding.kind.starts_with("answered ");
    // `ret` may be an error on one side, or a value.
    let failed =
        finding.field == "ret" && finding.kind.contains(" became ") && !finding.kind.contains("zero");
    state::thing(call.id.name()).is_some() && finding.name == call.id.name() && !error && !failed
}

fn compiled(program: &Program, how: RunOptions) -> Option<Code> {
    compile(program, Mode { fork: false, block_us: how.block_us, probes: true }).ok()
}

/// The first `calls` calls of a program and the same look: as a probe of theirs if there is one (which also looks after
/// a call that blocks), else as a call of the program. `None` if what is looked at is not made yet.
fn beginning(
    program: &Program,
    code: &Code,
    look: usize,
    calls: usize,
    how: RunOptions,
) -> Option<Beginning> {
    let mut shorter = Program { calls: program.calls[..calls].to_vec() };
    let wanted = &code.calls[look];
    if let Some(short) = compiled(&shorter, how).filter(|_| calls > 0 && look >= code.own) {
        let by = code.own - calls;
        let same = |call: &Call| call.id == wanted.id && moved(&wanted.args, code.own, by) == call.args;
        if let Some(at) = (calls..short.calls.len()).find(|&k| same(&short.calls[k])) {
            return Some(Beginning { program: shorter, calls, code: short, look: at });
        }
    }
    // The calls the look needs, if they are probes too: the directory that is listed.
    let mut needed = vec![look];
    let mut k = 0;
    while k < needed.len() {
        for arg in &code.calls[needed[k]].args {
            if let Arg::Res(r) = arg {
                let at = r.call as usize;
                if at >= calls && at < code.own {
                    return None;
                }
                if at >= code.own && !needed.contains(&at) {
                    needed.push(at);
                }
            }
        }
        k += 1;
    }
    needed.sort_unstable();
    for &at in &needed {
        let mut call = code.calls[at].clone();
        for arg in &mut call.args {
            if let Arg::Res(r) = arg {
                if let Some(place) = needed.iter().position(|&n| n == r.call as usize && n >= code.own) {
                    r.call = (calls + place) as u16;
                }
            }
        }
        shorter.calls.push(call);
    }
    let look = shorter.calls.len() - 1;
    let code = compiled(&shorter, how)?;
    Some(Beginning { program: shorter, calls, code, look })
}

/// Arguments of a probe with references to other probes moved down, as in a program with so many calls less.
fn moved(args: &[Arg], own: usize, by: usize) -> Vec<Arg> {
    let mut args = args.to_vec();
    for arg in &mut args {
        if let Arg::Res(r) = arg {
            if r.call as usize >= own {
                r.call -= by as u16;
            }
        }
    }
    args
}

/// For each beginning whether its look differs as the finding says; `None` where its copies do not agree.
fn run(
    lab: &mut dyn Lab,
    all: &[Beginning],
    finding: &Finding,
    how: RunOptions,
) -> Result<Vec<Option<bool>>, TargetError> {
    let programs: Vec<Program> =
        all.iter().flat_map(|b| std::iter::repeat_n(b.program.clone(), COPIES)).collect();
    let results = lab.run(&programs, how)?;
    let shows = |beginning: &Beginning, result: &PairResult| {
        let evidence = Evidence { code: &beginning.code, native: &result.native, target: &result.target };
        !result.unusable()
            && differential::differs_at(evidence, beginning.look, &finding.field, &finding.kind)
    };
    let said = |(beginning, results): (&Beginning, &[PairResult])| {
        let first = shows(beginning, results.first()?);
        results.iter().all(|result| shows(beginning, result) == first).then_some(first)
    };
    Ok(all.iter().zip(results.chunks(COPIES)).map(said).collect())
}

/// The names in the working directory that a call gives as paths.
fn paths_of(program: &Program, call: usize) -> Vec<String> {
    let path = |arg: &Arg| match arg {
        Arg::Bytes(bytes) => Some(bytes.escape_ascii().to_string()),
        Arg::Res(r) => {
            let maker = program.calls.get(r.call as usize)?;
            let made = maker.id.desc().makes.get(r.slot as usize)?;
            let parallax_corpus::desc::From::PathArg(of) = made.from else { return None };
            let written = maker.id.desc().written().position(|(k, _)| k == of as usize)?;
            match maker.args.get(written)? {
                Arg::Bytes(bytes) => Some(bytes.escape_ascii().to_string()),
                _ => None,
            }
        }
        _ => None,
    };
    let call = &program.calls[call];
    let args = call.id.desc().written().zip(&call.args);
    args.filter(|((_, desc), _)| matches!(desc.ty, Ty::Path)).filter_map(|(_, arg)| path(arg)).collect()
}
