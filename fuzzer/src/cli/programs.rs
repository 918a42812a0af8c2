//! Programs that are no cases: read from files, run on both sides, and the first call that differs shown.

use super::{TargetArgs, code};
use anyhow::Context as _;
use parallax_corpus::{Program, pack, text};
use parallax_harness::oracles::Finding;
use parallax_harness::pair::{Isolation, Pair, PairResult, RunOptions};
use parallax_harness::target::{Slot, Target, TargetError};
use parallax_replay::{Count, render_text};
use parallax_triage::Many;
use parallax_triage::confirm::{Doubt, confirm};
use serde::Serialize;
use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

/// Runs of a program that differed once, on each rung.
const LADDER: [(Isolation, u32); 2] = [(Isolation::Shared, 3), (Isolation::Forked, 2)];
/// Runs of a program: of a long recording there are hundreds.
pub(super) const RUNS: u32 = 1;
/// Programs run at a time.
const TOGETHER: usize = 16;

/// A program, what it is called, and a comment for each of its calls.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) program: Program,
    pub(super) comments: Vec<Option<String>>,
}

/// The endings of files that hold programs: text, and the corpus's own form.
pub(super) const ENDINGS: [&str; 2] = ["txt", parallax_fuzzer::input::EXTENSION];

/// Whether a file holds a program by its ending.
pub(super) fn is_program(path: &Path) -> bool {
    path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e == *known))
}

/// Reads a program, as text or in its binary form. The comment before a call stays with it.
pub(super) fn load(path: &Path) -> anyhow::Result<Named> {
    let named = || path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than allowed shows that it is too long without reading all of it.
    let most = text::MAX_TEXT.max(pack::MAX_PROGRAM) as u64 + 1;
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).with_context(named)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if bytes.starts_with(&pack::PROGRAM_MAGIC) {
        let program = pack::program_from_bytes(&bytes).with_context(named)?;
        return Ok(Named { name, program, comments: Vec::new() });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| anyhow::anyhow!("neither text nor a program file"));
    let text = text.with_context(named)?;
    let program = text::parse(text).with_context(named)?;
    Ok(Named { name, program, comments: comments(text) })
}

fn comments(text: &str) -> Vec<Option<String>> {
    let mut comments = Vec::new();
    let mut last = None;
    for line in text.lines().map(str::trim) {
        match line.strip_prefix('#') {
            Some(comment) => last = Some(comment.trim().to_owned()),
            None if line.is_empty() => last = None,
            None => comments.push(last.take()),
        }
    }
    comments
}

/// All programs that paths name: files themselves, and those with a known ending in folders, sorted.
pub(super) fn load_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Named>> {
    let mut programs = Vec::new();
    for path in paths {
        if !path.is_dir() {
            programs.push(load(path)?);
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let mut inside: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        inside.retain(|path| is_program(path));
        inside.sort();
        anyhow::ensure!(!inside.is_empty(), "{}: no programs (*.txt, *.prog) in this folder", path.display());
        for path in inside {
            programs.push(load(&path)?);
        }
    }
    Ok(programs)
}

/// What running a program on both sides came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// Both sides agree.
    Agrees,
    /// They differ, every time.
    Diverges,
    /// They differ now and then, or Linux differs from itself.
    Unstable,
    /// A side could not set it up.
    NotRun,
}

/// A program that was run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ran {
    name: String,
    outcome: Outcome,
    /// Runs that differed, where not all did.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Count>,
    /// Index of the first call that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<usize>,
    /// That call as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    /// What stands about it in the file: for imported programs the recorded line.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<String>,
    /// How the sides differ, as a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    difference: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    signature: String,
    /// What the layer said before it died.
    #[serde(skip_serializing_if = "String::is_empty")]
    last_words: String,
}

/// What the runs of one program showed.
#[derive(Clone, Default)]
struct Seen {
    unusable: u32,
    differed: u32,
    /// The first difference, and the layer's last words.
    first: Option<(Finding, String)>,
}

impl Seen {
    fn take(&mut self, result: PairResult) {
        if result.unusable() {
            self.unusable += 1;
        } else if let Some(finding) = result.finding {
            self.differed += 1;
            self.first.get_or_insert((finding, result.last_words));
        }
    }
}

/// Runs programs on both sides so many times, in order.
pub(super) fn run_all(
    programs: &[Named],
    runs: u32,
    target: &dyn Target,
    pair: Pair,
) -> Result<Vec<Ran>, TargetError> {
    let mut pairs = vec![pair];
    let mut all = Vec::new();
    for group in programs.chunks(TOGETHER) {
        let copies: Vec<Program> = group.iter().map(|named| named.program.clone()).collect();
        let mut seen = vec![Seen::default(); group.len()];
        for _ in 0..runs {
            let results = pairs[0].run(&copies, RunOptions::PATIENT)?;
            seen.iter_mut().zip(results).for_each(|(seen, result)| seen.take(result));
        }
        for (named, seen) in group.iter().zip(seen) {
            let Some((finding, last_words)) = seen.first else {
                let outcome = if seen.unusable == runs { Outcome::NotRun } else { Outcome::Agrees };
                all.push(Ran::new(named, outcome));
                continue;
            };
            let ran = |outcome| Ran::new(named, outcome).with(named, &finding, target, &last_words);
            if seen.differed < runs {
                let count = Count { k: seen.differed, n: runs };
                all.push(Ran { runs: Some(count), ..ran(Outcome::Unstable) });
                continue;
            }
            let signature = finding.signature();
            let wanted = |f: &Finding| f.signature() == signature;
            let lab = &mut Many(&mut pairs);
            all.push(match confirm(lab, &named.program, &wanted, &LADDER, RunOptions::PATIENT)? {
                Ok(_) => ran(Outcome::Diverges),
                Err(Doubt::NotRun) => Ran::new(named, Outcome::NotRun),
                Err(_) => ran(Outcome::Unstable),
            });
        }
    }
    Ok(all)
}

impl Ran {
    fn new(named: &Named, outcome: Outcome) -> Ran {
        Ran {
            name: named.name.clone(),
            outcome,
            runs: None,
            call: None,
            text: String::new(),
            recorded: None,
            difference: String::new(),
            signature: String::new(),
            last_words: String::new(),
        }
    }

    fn with(mut self, named: &Named, finding: &Finding, target: &dyn Target, last_words: &str) -> Ran {
        let calls = &named.program.calls;
        // A probe's finding is laid to the last call that used what is probed.
        let call = if finding.call < calls.len() {
            Some(finding.call)
        } else {
            calls.iter().rposition(|call| call.id.name() == finding.cause)
        };
        self.call = call;
        self.text = call.map(|k| text::write_call(&named.program, k)).unwrap_or_default();
        self.recorded = call.and_then(|k| named.comments.get(k).cloned().flatten());
        self.difference = render_text::sentence(finding, &target.name());
        self.signature = finding.signature().0;
        last_words.clone_into(&mut self.last_words);
        self
    }
}

/// Runs programs on the named target, or the best that is here; says how it went and gives the exit code.
pub(super) fn replay(
    programs: &[Named],
    runs: u32,
    args: &TargetArgs,
    json: bool,
) -> anyhow::Result<(Vec<Ran>, u8)> {
    let target = args.active()?;
    let pair = Pair::start(target.clone(), Slot::default())?;
    let ran = run_all(programs, runs, &*target, pair)?;
    if !json {
        tell(&mut std::io::stdout().lock(), &ran)?;
    }
    let some = |outcome| ran.iter().any(|r: &Ran| r.outcome == outcome);
    let code = if some(Outcome::Diverges) {
        code::DIVERGES
    } else if !some(Outcome::Agrees) && some(Outcome::NotRun) {
        code::NO_TARGET
    } else {
        code::OK
    };
    Ok((ran, code))
}

fn tell(out: &mut impl Write, ran: &[Ran]) -> std::io::Result<()> {
    let mut first = true;
    for program in ran {
        match program.outcome {
            Outcome::Agrees => continue,
            Outcome::NotRun => writeln!(out, "{}: could not be run", program.name)?,
            Outcome::Unstable => {
                let runs = program.runs.map_or_else(String::new, |count| format!(" ({count} runs)"));
                writeln!(out, "{}: unstable{runs}: {}", program.name, program.difference)?;
            }
            Outcome::Diverges => {
                let at = program.call.map_or_else(String::new, |call| format!(" at call {}", call + 1));
                writeln!(out, "{}: differs{at}: {}", program.name, program.difference)?;
                // The first is what to look at; the others are often its consequences.
                if first {
                    writeln!(out, "  the call    {}", program.text)?;
                    if let Some(recorded) = &program.recorded {
                        writeln!(out, "  recorded    {recorded}")?;
                    }
                    writeln!(out, "  signature   {}", program.signature)?;
                    for line in program.last_words.lines().take(5) {
                        writeln!(out, "  last words  {}", line.escape_debug())?;
                    }
                    first = false;
                }
            }
        }
    }
    let count = |outcome| ran.iter().filter(|r| r.outcome == outcome).count();
    writeln!(
        out,
        "{} programs: {} agree, {} differ, {} unstable, {} could not be run",
        ran.len(),
        count(Outcome::Agrees),
        count(Outcome::Diverges),
        count(Outcome::Unstable),
        count(Outcome::NotRun)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stay_with_their_calls() {
        let text = "# t:1: getpid() = 4\ngetpid()\n\n# alone\n\ngettid()\n# a\n# b\ngetpid()\n";
        assert_eq!(comments(text), [Some("t:1: getpid() = 4".to_owned()), None, Some("b".to_owned())]);
    }
}
