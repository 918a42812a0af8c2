//! Findings that were not believed: `DIR/doubts/ID.txt`, one program a signature with a word on why, so that they can be
//! looked into. None of them is a case.

use crate::confirm::Doubt;
use parallax_corpus::{Program, text};
use parallax_harness::oracles::Finding;
use parallax_replay::files::write_whole;
use parallax_replay::{Repro, render_text};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The folder in a campaign's folder.
pub const FOLDER: &str = "doubts";
/// Most programs that are kept: a layer that repeats itself nowhere must not fill the disk.
pub const MOST: usize = 1000;

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::NativeUnstable => f.write_str("Linux itself did not answer the same every time"),
            Doubt::NotRun => f.write_str("a side could not run the program again"),
            Doubt::Flaky(isolation, count) => {
                write!(f, "it showed in {count} runs in {}", render_text::rung(*isolation))
            }
        }
    }
}

/// The doubts of one campaign.
#[derive(Debug)]
pub struct Doubts {
    dir: PathBuf,
    known: BTreeSet<OsString>,
}

impl Doubts {
    /// Those of a campaign's folder. Nothing is written before there is a doubt.
    ///
    /// # Errors
    /// The folder is there and cannot be listed.
    pub fn open(campaign: &Path) -> io::Result<Doubts> {
        let dir = campaign.join(FOLDER);
        let known = match std::fs::read_dir(&dir) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        Ok(Doubts { dir, known })
    }

    /// Keeps the first program of each signature, as long as there are few; whether it did.
    ///
    /// # Errors
    /// As of the file system.
    pub fn keep(
        &mut self,
        target: &str,
        program: &Program,
        finding: &Finding,
        doubt: &Doubt,
    ) -> io::Result<bool> {
        let signature = finding.signature();
        let name = OsString::from(format!("{}.txt", Repro::id_of(target, &signature)));
        if self.known.len() >= MOST || self.known.contains(&name) {
            return Ok(false);
        }
        std::fs::create_dir_all(&self.dir)?;
        // What a layer said stays on its line.
        let sentence = render_text::sentence(finding, target).replace(char::is_control, " ");
        let signature = signature.0.replace(char::is_control, " ");
        let written =
            format!("# {sentence}\n# signature: {signature}\n# doubted: {doubt}\n\n{}", text::write(program));
        write_whole(&self.dir.join(&name), written.as_bytes())?;
        self.known.insert(name);
        Ok(true)
    }

    /// How many programs are kept.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}
