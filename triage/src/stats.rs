//! A campaign's statistics, `stats.json` and `progress.jsonl`: written by the fuzzer, read back by whoever follows the
//! campaign from outside. When they are read fields may be missing, and nothing of it is trusted.

use parallax_corpus::tables;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Longest `stats.json` that is read, in bytes.
pub const MAX_FILE: u64 = 4 << 20;
/// Most calls of it that are kept.
pub const MAX_CALLS: usize = 4096;

/// Counts of one call, on the native side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// How often it was run.
    pub runs: u64,
    /// How often it returned without an error.
    pub ok: u64,
    /// How often it was still waiting when its budget ran out.
    pub blocked: u64,
    /// How often it was the first difference of a program, with a signature seen before.
    pub known: u64,
    /// How often the target said that it does not have it.
    pub unsupported: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.runs += other.runs;
        self.ok += other.ok;
        self.blocked += other.blocked;
        self.known += other.known;
        self.unsupported += other.unsupported;
    }
}

/// Calls of an area, on the native side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AreaStats {
    /// How many were run.
    pub calls: u64,
    /// How many returned without an error.
    pub ok: u64,
}

/// The numbers of a campaign. All of them cover all its sessions, except where it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// The target's name.
    pub target: String,
    /// The seed.
    pub seed: u64,
    /// Runners in this session.
    pub jobs: u64,
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
    pub corpus: u64,
    /// New cases.
    pub cases: u64,
    /// Investigations that ended in a case known before.
    pub known_cases: u64,
    /// Findings that could not be confirmed.
    pub unstable: u64,
    /// Findings that wait for triage.
    pub waiting: u64,
    /// Different raw signatures seen.
    pub signatures: u64,
    /// Sightings of raw signatures seen before.
    pub known_sightings: u64,
    /// Restarts of targets.
    pub restarts: u64,
    /// Programs a side could not set up, in this session.
    pub unusable: u64,
    /// Seconds since the last new case of this session, or since its start.
    pub seconds_since_last_case: f64,
    /// Calls by area.
    pub areas: BTreeMap<String, AreaStats>,
    /// Counts by call.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_call: BTreeMap<String, Counts>,
}

impl Stats {
    /// Share of calls that returned without an error, in percent.
    pub fn ok_percent(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { 100.0 * self.calls_ok as f64 / self.calls as f64 }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            seconds: self.seconds,
            programs: self.programs,
            corpus: self.corpus,
            cases: self.cases,
            rate: self.programs_per_second,
        }
    }
}

/// Reads `stats.json`.
///
/// # Errors
/// It cannot be read, is too long, or is none.
pub fn read(path: &Path) -> std::io::Result<Stats> {
    let wrong = |what: String| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(wrong(format!("more than the {MAX_FILE} bytes allowed")));
    }
    let mut stats: Stats = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    if stats.per_call.len() > MAX_CALLS {
        return Err(wrong(format!("more than the {MAX_CALLS} calls allowed")));
    }
    stats.per_call.retain(|name, _| parallax_corpus::CallId::named(name).is_some());
    stats.areas.retain(|name, _| tables::all().iter().any(|desc| desc.area.name() == name));
    for number in [&mut stats.seconds, &mut stats.programs_per_second, &mut stats.seconds_since_last_case] {
        if !number.is_finite() || *number < 0.0 {
            *number = 0.0;
        }
    }
    Ok(stats)
}

/// How far a campaign was at one time: a line of `progress.jsonl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Seconds it had run.
    pub seconds: f64,
    /// Programs run.
    pub programs: u64,
    /// Programs in the corpus.
    pub corpus: u64,
    /// Cases.
    pub cases: u64,
    /// Programs a second.
    pub rate: f64,
}

/// Longest `progress.jsonl` that is read, in bytes, and most points that are kept of it.
pub const MAX_PROGRESS: (u64, usize) = (16 << 20, 4000);

/// Reads `progress.jsonl`; lines that are none are left out, and of very many only some are kept.
///
/// # Errors
/// It cannot be read.
pub fn read_progress(path: &Path) -> std::io::Result<Vec<Progress>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(MAX_PROGRESS.0).read_to_end(&mut text)?;
    let lines = text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Progress>(line).ok());
    let all: Vec<Progress> = lines.filter(|p| p.seconds.is_finite() && p.rate.is_finite()).collect();
    let step = all.len().div_ceil(MAX_PROGRESS.1).max(1);
    Ok(all.into_iter().step_by(step).collect())
}
