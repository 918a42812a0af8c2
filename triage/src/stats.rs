//! A campaign's statistics as they are read back: by whoever follows it from outside. Fields may be missing, and
//! nothing of it is trusted.

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
pub struct CallStats {
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

/// What a campaign says of itself in `stats.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // The names of `docs/architecture.md` and of the fuzzer's own type.
pub struct CampaignStats {
    pub target: String,
    pub seed: u64,
    pub jobs: u64,
    pub seconds: f64,
    pub programs: u64,
    pub programs_per_second: f64,
    pub calls: u64,
    pub calls_ok: u64,
    pub calls_blocked: u64,
    pub corpus: u64,
    pub cases: u64,
    pub known_cases: u64,
    pub unstable: u64,
    pub waiting: u64,
    pub signatures: u64,
    pub restarts: u64,
    pub seconds_since_last_case: f64,
    #[serde(skip_serializing)]
    pub per_call: BTreeMap<String, CallStats>,
}

/// Reads `stats.json`.
///
/// # Errors
/// It cannot be read, is too long, or is none.
pub fn read(path: &Path) -> std::io::Result<CampaignStats> {
    let wrong = |what: String| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(wrong(format!("more than the {MAX_FILE} bytes allowed")));
    }
    let mut stats: CampaignStats = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    if stats.per_call.len() > MAX_CALLS {
        return Err(wrong(format!("more than the {MAX_CALLS} calls allowed")));
    }
    stats.per_call.retain(|name, _| parallax_corpus::CallId::named(name).is_some());
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
