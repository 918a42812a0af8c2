//! What a campaign did so far, as `stats.json`.

use crate::files::write_fresh;
use crate::tally::Counts;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Calls of an area, on the native side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AreaStats {
    /// How many were run.
    pub calls: u64,
    /// How many returned without an error.
    pub ok: u64,
}

/// The numbers of a campaign. All of them cover all its sessions, except where it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// The target's name.
    pub target: String,
    /// The seed.
    pub seed: u64,
    /// Runners in this session.
    pub jobs: usize,
    /// Seconds spent.
    pub seconds: f64,
    /// Programs run.
    pub programs: u64,
    /// Programs a second, in this session.
    pub programs_per_second: f64,
    /// Calls run on the native side.
    pub calls: u64,
    /// How many of them returned without an error.
    pub calls_ok: u64,
    /// How many of them were still waiting when their budget ran out.
    pub calls_blocked: u64,
    /// Programs in the corpus.
    pub corpus: usize,
    /// New cases.
    pub cases: u64,
    /// Investigations that ended in a case known before.
    pub known_cases: u64,
    /// Findings that could not be confirmed.
    pub unstable: u64,
    /// Findings that wait for triage.
    pub waiting: usize,
    /// Different raw signatures seen.
    pub signatures: usize,
    /// Sightings of raw signatures seen before.
    pub known_sightings: u64,
    /// Restarts of targets.
    pub restarts: u64,
    /// Programs a side could not set up, in this session.
    pub unusable: u64,
    /// Seconds since the last new case of this session, or since its start.
    pub seconds_since_last_case: f64,
    /// Calls by area.
    pub areas: BTreeMap<&'static str, AreaStats>,
    /// Counts by call.
    pub per_call: BTreeMap<&'static str, Counts>,
}

impl Stats {
    /// Share of calls that returned without an error, in percent.
    pub fn ok_percent(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { 100.0 * self.calls_ok as f64 / self.calls as f64 }
    }

    /// Writes them, whole or not at all.
    ///
    /// # Errors
    /// As of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        write_fresh(path, &text)
    }

    /// Adds a line to what a campaign was like over time. A line that was cut short is left to its readers.
    ///
    /// # Errors
    /// As of the file system.
    pub fn append(&self, path: &Path) -> io::Result<()> {
        use std::io::Write;
        let line = format!(
            "\n{{\"seconds\":{:.1},\"programs\":{},\"corpus\":{},\"cases\":{},\"rate\":{:.1}}}\n",
            self.seconds, self.programs, self.corpus, self.cases, self.programs_per_second
        );
        std::fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())
    }
}
