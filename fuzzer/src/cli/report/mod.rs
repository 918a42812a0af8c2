//! What a replay of many cases tells CI: a status for each bucket, as JUnit, SARIF and annotations of GitHub.

mod github;
mod junit;
mod sarif;

use parallax_harness::oracles::Signature;
use parallax_replay::{ReplayOutcome, ReplayVerdict, Repro};
use parallax_triage::severity::{self, Severity};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What became of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// It shows in every run.
    StillDiverges,
    /// It shows in some.
    Flaky,
    /// Both sides agree.
    Fixed,
    /// Both sides differ in a way another bucket of these is about.
    Changed,
    /// They differ in a way none of them is about.
    New,
    /// Nothing can be said.
    NotRun,
}

impl Status {
    /// Its name for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Status::StillDiverges => "still diverges",
            Status::Flaky => "flaky",
            Status::Fixed => "fixed",
            Status::Changed => "changed",
            Status::New => "new",
            Status::NotRun => "could not be run",
        }
    }

    /// Of an outcome, among the signatures that are known.
    pub(super) fn of(outcome: &ReplayOutcome, known: &BTreeSet<&Signature>) -> Status {
        let ran = outcome.runs.saturating_sub(outcome.unusable);
        match outcome.verdict {
            ReplayVerdict::StillThere if outcome.same_signature >= ran => Status::StillDiverges,
            ReplayVerdict::StillThere => Status::Flaky,
            ReplayVerdict::Gone => Status::Fixed,
            ReplayVerdict::Other if outcome.other.iter().all(|seen| known.contains(&seen.signature)) => {
                Status::Changed
            }
            ReplayVerdict::Other => Status::New,
            ReplayVerdict::NotRun => Status::NotRun,
        }
    }
}

/// One case, replayed and judged.
#[derive(Debug)]
pub(super) struct Told {
    /// Its file.
    pub(super) file: PathBuf,
    /// It.
    pub(super) repro: Repro,
    /// What replaying it gave.
    pub(super) outcome: ReplayOutcome,
    /// What that comes to.
    pub(super) status: Status,
    /// The difference is expected, and is as it was.
    pub(super) expected: bool,
    /// The difference was expected, and is gone.
    pub(super) unexpected_fix: bool,
}

impl Told {
    /// It is a reason to fail.
    pub(super) fn fails(&self) -> bool {
        self.outcome.diverged > 0 && !self.expected
    }

    pub(super) fn severity(&self) -> Severity {
        severity::of(&self.repro.finding).0
    }

    /// What differs, in a sentence.
    pub(super) fn sentence(&self) -> String {
        self.repro.code().map_or_else(
            |_| self.repro.finding.line(),
            |code| parallax_triage::explain::sentence(&self.repro, &code),
        )
    }

    /// What it comes to, in words.
    pub(super) fn verdict(&self) -> String {
        let outcome = &self.outcome;
        let more = match (self.expected, self.unexpected_fix) {
            (true, _) => ", as expected",
            (_, true) => ", though it is expected to diverge: take it off the list",
            _ => "",
        };
        format!("{}{more} ({} of {} runs)", self.status.words(), outcome.same_signature, outcome.runs)
    }

    /// What was seen, in words.
    pub(super) fn seen(&self) -> String {
        let outcome = &self.outcome;
        let mut text = self.verdict();
        for other in &outcome.other {
            text.push_str(&format!("; in {} runs {}", other.runs, other.line));
        }
        text
    }
}

/// Where to tell it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ReportArgs {
    /// Write a JUnit report, a test for each case
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a SARIF report, a result for each case that diverges
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Print annotations of GitHub Actions, and a summary where GitHub asks for one
    #[arg(long, conflicts_with = "json")]
    github: bool,
}

impl ReportArgs {
    /// Tells it wherever it is wanted.
    pub(super) fn tell(&self, told: &[Told]) -> anyhow::Result<()> {
        let write = |path: &PathBuf, text: String| {
            parallax_replay::files::write_whole(path, text.as_bytes())
                .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))
        };
        if let Some(path) = &self.junit {
            write(path, junit::report(told)?)?;
        }
        if let Some(path) = &self.sarif {
            write(path, sarif::report(told)?)?;
        }
        if self.github {
            github::annotate(told)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
