//! The case store: a folder of repro files, one for each signature.

use parallax_harness::oracles::{Class, Signature};
use parallax_replay::{Repro, ReproError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The cases of one campaign.
#[derive(Debug)]
pub struct CaseStore {
    dir: PathBuf,
    known: BTreeMap<Signature, PathBuf>,
    classes: BTreeMap<Class, u64>,
}

impl CaseStore {
    /// Opens the folder, making it if need be, and reads what is there. Files that cannot be read are left
    /// alone and reported, so that nothing is lost and nothing stops a campaign.
    ///
    /// # Errors
    /// The folder cannot be made or listed.
    pub fn open(dir: &Path) -> std::io::Result<(CaseStore, Vec<ReproError>)> {
        std::fs::create_dir_all(dir)?;
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "plx"))
            .collect();
        paths.sort();
        let mut store = CaseStore { dir: dir.to_owned(), known: BTreeMap::new(), classes: BTreeMap::new() };
        let mut unreadable = Vec::new();
        for path in paths {
            match Repro::load(&path) {
                Ok(repro) => store.note(&repro, path),
                Err(error) => unreadable.push(error),
            }
        }
        Ok((store, unreadable))
    }

    /// Whether a case of that signature is kept already.
    pub fn knows(&self, signature: &Signature) -> bool {
        self.known.contains_key(signature)
    }

    /// Keeps a case; `false` if its signature is known.
    ///
    /// # Errors
    /// The file cannot be written whole.
    pub fn keep(&mut self, repro: &Repro) -> Result<bool, ReproError> {
        if self.knows(&repro.signature) {
            return Ok(false);
        }
        let path = repro.save(&self.dir)?;
        self.note(repro, path);
        Ok(true)
    }

    fn note(&mut self, repro: &Repro, path: PathBuf) {
        *self.classes.entry(repro.finding.class).or_default() += 1;
        self.known.insert(repro.signature.clone(), path);
    }

    /// How many cases there are of each class.
    pub fn classes(&self) -> &BTreeMap<Class, u64> {
        &self.classes
    }

    /// The cases' files by signature.
    pub fn cases(&self) -> &BTreeMap<Signature, PathBuf> {
        &self.known
    }
}
