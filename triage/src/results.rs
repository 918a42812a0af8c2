//! What replaying cases gave, kept beside them: `DIR/replays/*.json`, each file whole or not there. The store is filled
//! from these, so that it can be made anew.

use parallax_harness::oracles::Signature;
use parallax_replay::files::write_whole;
use parallax_replay::{ReplayOutcome, ReplayVerdict};
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The folder in a campaign's folder.
pub const FOLDER: &str = "replays";
/// Longest file that is read, in bytes.
pub const MAX_FILE: u64 = 32 << 20;
/// Most cases of a file.
pub const MAX_CASES: usize = 100_000;

/// Replays of many cases on one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The target's name.
    pub target: String,
    /// Its version, as it reported it.
    pub version: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// What became of each case.
    pub cases: Vec<Replayed>,
}

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// The case's id, as on the target it was found on.
    pub id: String,
    /// Its signature.
    pub signature: Signature,
    /// What it comes to.
    pub verdict: ReplayVerdict,
    /// Runs that showed it.
    pub k: u32,
    /// Runs.
    pub n: u32,
    /// What was seen instead, in words.
    #[serde(default)]
    pub detail: String,
}

impl From<&ReplayOutcome> for Replayed {
    fn from(outcome: &ReplayOutcome) -> Replayed {
        Replayed {
            id: outcome.id.clone(),
            signature: outcome.signature.clone(),
            verdict: outcome.verdict,
            k: outcome.same_signature,
            n: outcome.runs - outcome.unusable.min(outcome.runs),
            detail: outcome.other.first().map(|seen| seen.line.clone()).unwrap_or_default(),
        }
    }
}

impl Results {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is too long, or is none.
    pub fn load(path: &Path) -> io::Result<Results> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut text = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_FILE {
            return Err(wrong(format!("more than the {MAX_FILE} bytes allowed")));
        }
        let results: Results = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        if results.cases.len() > MAX_CASES {
            return Err(wrong(format!("more than the {MAX_CASES} cases allowed")));
        }
        Ok(results)
    }

    /// Writes them into the folder of a campaign, whole or not at all.
    ///
    /// # Errors
    /// As of the file system.
    pub fn save(&self, campaign: &Path) -> io::Result<PathBuf> {
        let dir = campaign.join(FOLDER);
        std::fs::create_dir_all(&dir)?;
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let name = format!("{}-{:016x}.json", self.at, xxhash_rust::xxh3::xxh3_64(&text));
        let path = dir.join(name);
        write_whole(&path, &text)?;
        Ok(path)
    }
}
