//! The snapshot: what a campaign needs to go on, in one file.
//!
//! Programs are not in it; they have files of their own. What was kept after the last snapshot is found there.

use crate::hangs::Hangs;
use crate::novelty::Seen;
use crate::objective::Ledger;
use crate::relations::Relations;
use crate::tally::Tally;
use libafl_bolts::rands::StdRand;
use parallax_corpus::{Program, pack};
use parallax_harness::oracles::Finding;
use parallax_replay::files::write_whole;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::time::Duration;

const MAGIC: [u8; 8] = *b"PLXSNAP\0";
const VERSION: u16 = 1;
/// Longest snapshot that is read, bytes.
const MAX_SIZE: usize = 256 << 20;

/// Everything but the programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// The seed the campaign began with.
    pub seed: u64,
    /// The source of chance.
    pub rand: StdRand,
    /// Programs run so far.
    pub programs: u64,
    /// Groups of programs drawn so far.
    pub groups: u64,
    /// Classes seen.
    pub seen: Seen,
    /// Signatures seen.
    pub ledger: Ledger,
    /// Counts of calls.
    pub tally: Tally,
    /// Relations between calls.
    pub relations: Relations,
    /// What the layer is known not to survive.
    pub hangs: Hangs,
    /// How far the survey came.
    pub surveyed: usize,
    /// Names of the corpus's files, oldest first.
    pub corpus: Vec<String>,
    /// Findings that wait for triage.
    pub waiting: Vec<(Program, Finding)>,
    /// Cases found so far.
    pub cases: u64,
    /// Investigations that ended in a case known before.
    pub known_cases: u64,
    /// Findings that could not be confirmed.
    pub unstable: u64,
    /// Restarts of targets in earlier sessions.
    pub restarts: u64,
    /// Time spent so far.
    pub elapsed: Duration,
}

impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot {
            seed: 0,
            rand: StdRand::with_seed(0),
            programs: 0,
            groups: 0,
            seen: Seen::default(),
            ledger: Ledger::default(),
            tally: Tally::default(),
            relations: Relations::default(),
            hangs: Hangs::default(),
            surveyed: 0,
            corpus: Vec::new(),
            waiting: Vec::new(),
            cases: 0,
            known_cases: 0,
            unstable: 0,
            restarts: 0,
            elapsed: Duration::ZERO,
        }
    }
}

impl Snapshot {
    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// As of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write_whole(path, &pack::seal(&MAGIC, VERSION, self))
    }

    /// Reads one. `None` if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is no snapshot; the text says which.
    pub fn read(path: &Path) -> Result<Option<Snapshot>, String> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let snapshot: Snapshot =
            pack::open(&MAGIC, VERSION, MAX_SIZE, &bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        // It was not checked when it was written: programs come from the search.
        for (program, _) in &snapshot.waiting {
            program.check().map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(Some(snapshot))
    }
}
