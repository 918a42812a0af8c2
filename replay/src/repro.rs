//! The repro file `ID.plx`: one confirmed, minimized case, whole in itself.

use crate::files::write_whole;
use crate::limits;
use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::pack::{self, PackError};
use parallax_corpus::{Code, CompileError, Outcome, Program, Trace, text, wire};
use parallax_harness::link::Environment;
use parallax_harness::oracles::{Evidence, Finding, Signature};
use parallax_harness::pair::{Isolation, RunOptions};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What a repro file begins with.
pub const MAGIC: [u8; 8] = *b"PLXREPRO";
/// The newest version of its body. Added fields need no new one.
pub const VERSION: u16 = 1;
/// Longest repro file that is read or written, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// What the file names end in.
pub const EXTENSION: &str = "plx";

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Times it was so.
    pub k: u32,
    /// Times it was tried.
    pub n: u32,
}
impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.k, self.n)
    }
}

/// How sure a case is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Confirmation {
    /// Native runs that agreed with the first native run.
    pub native_self: Count,
    /// Target runs that agreed with the first target run.
    pub target_self: Count,
    /// Runs that showed the case.
    pub diverged: Count,
    /// The highest rung of the isolation ladder it was seen on.
    pub isolation: Isolation,
}

/// One step of how a case came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Which: `found`, `minimized`, `imported`, ...
    pub what: String,
    /// What there is to say of it.
    #[serde(default)]
    pub detail: String,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repro {
    /// Its name: 8 to 16 hexadecimal digits, see [`Repro::id_of`].
    pub id: String,
    /// The version of Parallax that wrote it.
    #[serde(default)]
    pub parallax: String,
    /// The minimized program.
    pub program: Program,
    /// The probes that were run after it, in text form: other versions of Parallax may probe other things.
    #[serde(default, deserialize_with = "limits::list::<_, _, { limits::MAX_OUTCOMES }>")]
    pub probes: Vec<String>,
    /// What Linux did: an outcome for each call of the program, then for each probe.
    #[serde(with = "limits::trace")]
    pub native: Trace,
    /// What the target did.
    #[serde(with = "limits::trace")]
    pub target: Trace,
    /// The native world.
    #[serde(default)]
    pub native_environment: Option<Environment>,
    /// The target's world.
    #[serde(default)]
    pub target_environment: Option<Environment>,
    /// The target's name, such as `gvisor`.
    #[serde(default)]
    pub target_name: String,
    /// Its version, as it reported it.
    #[serde(default)]
    pub target_version: String,
    /// The path or the command it was started by, if the user gave one.
    #[serde(default)]
    pub target_command: Option<String>,
    /// Release of the native kernel.
    #[serde(default)]
    pub kernel: String,
    /// The difference.
    pub finding: Finding,
    /// What makes it the same case elsewhere.
    pub signature: Signature,
    /// How sure it is.
    #[serde(default)]
    pub confirmation: Confirmation,
    /// How it came to be, oldest first.
    #[serde(default, deserialize_with = "limits::list::<_, _, { limits::MAX_HISTORY }>")]
    pub history: Vec<HistoryEntry>,
    /// What the layer said before it died, at most 64 KiB.
    #[serde(default)]
    pub last_words: String,
    /// When it was written, seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// The seed of the campaign that found it.
    #[serde(default)]
    pub seed: u64,
}

/// Why a repro file cannot be read or written. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReproError {
    /// The file cannot be opened, read, written or renamed.
    #[error("{path}: cannot {action}: {error}", path = path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        #[source]
        error: io::Error,
    },
    /// It is no repro file, or a damaged or newer one.
    #[error("no usable repro file: {0}")]
    Pack(#[from] PackError),
    /// Its parts do not belong together.
    #[error("the repro file contradicts itself: {0}. Record the case again, or get the file anew")]
    Inconsistent(String),
    /// Its program cannot be compiled by this version.
    #[error("the program cannot be compiled: {0}. Replay it with the Parallax version that wrote it")]
    Compile(#[from] CompileError),
    /// The case is seen by a probe this version does not have.
    #[error("this Parallax no longer probes `{0}`, which shows the case: replay it with version {1}")]
    ProbeGone(String, String),
    /// It is more than may be written.
    #[error(
        "the repro file would have {0} bytes, more than the {MAX_FILE} allowed: minimize the case further"
    )]
    TooLarge(usize),
    /// Another error, in that file.
    #[error("{path}: {error}", path = path.display())]
    In {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: Box<ReproError>,
    },
}

impl Repro {
    /// A case's name: 16 hexadecimal digits, a hash of target and signature. The same case found again has the
    /// same name; the same difference in another target is another case.
    pub fn id_of(target_name: &str, signature: &Signature) -> String {
        let text = format!("{target_name}\0{}", signature.0);
        format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
    }

    /// The probes' texts of a compiled program, for [`Repro::probes`].
    pub fn probes_of(code: &Code) -> Vec<String> {
        let whole = Program { calls: code.calls.clone() };
        (code.own..code.calls.len()).map(|k| text::write_call(&whole, k)).collect()
    }

    /// The compiled program, probes included, which says what the traces' bytes are.
    ///
    /// # Errors
    /// It cannot be compiled.
    pub fn code(&self) -> Result<Code, CompileError> {
        let block_us = RunOptions::PATIENT.block_us;
        compile(&self.program, Mode { fork: true, block_us, probes: true })
    }

    /// Both recorded traces, to be judged.
    pub fn evidence<'a>(&'a self, code: &'a Code) -> Evidence<'a> {
        Evidence { code, native: &self.native, target: &self.target }
    }

    /// What differs between the two worlds and could explain the case.
    pub fn environment_differences(&self) -> Vec<String> {
        match (&self.native_environment, &self.target_environment) {
            // Another version may have written fewer words.
            (Some(native), Some(target))
                if native.words.len().min(target.words.len()) >= wire::hello::WORDS =>
            {
                native.differences(target)
            }
            _ => Vec::new(),
        }
    }

    /// The file's name: `ID.plx`.
    pub fn file_name(&self) -> String {
        format!("{}.{EXTENSION}", self.id)
    }

    /// The file's bytes. Last words beyond 64 KiB are cut.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.last_words.len() <= limits::MAX_LAST_WORDS {
            return pack::seal(&MAGIC, VERSION, self);
        }
        let last_words = limits::clip(&self.last_words, limits::MAX_LAST_WORDS).to_owned();
        pack::seal(&MAGIC, VERSION, &Repro { last_words, ..self.clone() })
    }

    /// Reads a file's bytes. They are hostile until proven otherwise.
    ///
    /// # Errors
    /// They are no undamaged repro file, or its parts do not belong together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Repro, ReproError> {
        let mut repro: Repro = pack::open(&MAGIC, VERSION, MAX_FILE, bytes)?;
        let wrong = |what: &str| Err(ReproError::Inconsistent(what.to_owned()));
        let digits = repro.id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !digits || !(8..=16).contains(&repro.id.len()) {
            return wrong("its id is not 8 to 16 hexadecimal digits");
        }
        if repro.last_words.len() > limits::MAX_LAST_WORDS {
            return wrong("its last words are longer than 64 KiB");
        }
        let worlds = [&repro.native_environment, &repro.target_environment];
        if worlds.iter().any(|w| w.as_ref().is_some_and(|w| w.words.len() > limits::MAX_WORDS)) {
            return wrong("its environments are longer than any agent reports");
        }
        repro.program.check().map_err(PackError::from)?;
        repro.align()?;
        Ok(repro)
    }

    /// Brings recorded probes into the order of today's: those no longer made are dropped, new ones were not run.
    fn align(&mut self) -> Result<(), ReproError> {
        let code = self.code()?;
        let today = Repro::probes_of(&code);
        let recorded = if self.probes.is_empty() { today.clone() } else { std::mem::take(&mut self.probes) };
        let len = code.own + recorded.len();
        for (side, trace) in [("native", &self.native), ("target", &self.target)] {
            if trace.outcomes.len() != len {
                let n = trace.outcomes.len();
                let what =
                    format!("the {side} trace has {n} outcomes, the program and its probes {len} calls");
                return Err(ReproError::Inconsistent(what));
            }
        }
        if self.finding.call >= len {
            let what = format!("the finding is at call {} of {len}", self.finding.call);
            return Err(ReproError::Inconsistent(what));
        }
        if recorded != today {
            let place = |probe: &String| recorded.iter().position(|r| r == probe).map(|p| p + code.own);
            let places: Vec<Option<usize>> = (0..code.own).map(Some).chain(today.iter().map(place)).collect();
            let Some(call) = places.iter().position(|p| *p == Some(self.finding.call)) else {
                let probe = recorded[self.finding.call - code.own].clone();
                return Err(ReproError::ProbeGone(probe, self.parallax.clone()));
            };
            self.finding.call = call;
            for trace in [&mut self.native, &mut self.target] {
                let outcome = |p: &Option<usize>| p.map_or(Outcome::NOT_RUN, |p| trace.outcomes[p].clone());
                trace.outcomes = places.iter().map(outcome).collect();
            }
        }
        self.probes = today;
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Repro::from_bytes`], or it cannot be read. The error names the file.
    pub fn load(path: &Path) -> Result<Repro, ReproError> {
        let io = |action| move |error| ReproError::Io { path: path.to_owned(), action, error };
        let file = File::open(path).map_err(io("open"))?;
        let len = file.metadata().map_err(io("open"))?.len();
        let mut bytes = Vec::new();
        // One byte more than allowed shows that it is too long without reading all of it.
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(io("read"))?;
        let read = if bytes.len() > MAX_FILE {
            let len = usize::try_from(len).unwrap_or(usize::MAX).max(bytes.len());
            Err(PackError::TooLong { len, max: MAX_FILE }.into())
        } else {
            Repro::from_bytes(&bytes)
        };
        read.map_err(|error: ReproError| ReproError::In { path: path.to_owned(), error: Box::new(error) })
    }

    /// Writes `ID.plx` into the folder, whole or not at all, also when the machine stops in the middle.
    ///
    /// # Errors
    /// It is too large, or the folder cannot be written.
    pub fn save(&self, dir: &Path) -> Result<PathBuf, ReproError> {
        let bytes = self.to_bytes();
        if bytes.len() > MAX_FILE {
            return Err(ReproError::TooLarge(bytes.len()));
        }
        let path = dir.join(self.file_name());
        write_whole(&path, &bytes).map_err(|error| ReproError::Io {
            path: path.clone(),
            action: "write",
            error,
        })?;
        Ok(path)
    }
}
