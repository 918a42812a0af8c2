//! A program as LibAFL's input.

use crate::files;
use libafl::{Error, corpus::CorpusId, inputs::Input};
use parallax_corpus::{Program, pack};
use serde::{Deserialize, Serialize};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// What corpus files are called after the program's hash.
pub const EXTENSION: &str = "prog";

/// A [`Program`] in LibAFL's hands. Its file is the program's binary form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProgramInput(pub Program);

impl ProgramInput {
    /// The name of its file: equal programs have equal names.
    pub fn file_name(&self) -> String {
        self.to_named_bytes().0
    }

    /// The name of its file, and what is in it.
    pub fn to_named_bytes(&self) -> (String, Vec<u8>) {
        let bytes = pack::program_to_bytes(&self.0);
        (format!("{:016x}.{EXTENSION}", xxh3_64(&bytes)), bytes)
    }

    /// Reads a corpus file and checks the program in it.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or holds no well-formed program.
    pub fn read(path: &Path) -> anyhow::Result<ProgramInput> {
        Ok(ProgramInput(pack::program_from_bytes(&std::fs::read(path)?)?))
    }
}

impl Input for ProgramInput {
    /// Writes a whole file or none, as far as a kill goes; [`crate::engine::Engine::snapshot`] sees to power cuts,
    /// since a sync for each program costs more than running it.
    fn to_file<P: AsRef<Path>>(&self, path: P) -> Result<(), Error> {
        files::write_fresh(path.as_ref(), &pack::program_to_bytes(&self.0))
            .map_err(|e| Error::os_error(e, path.as_ref().display().to_string()))
    }

    fn from_file<P: AsRef<Path>>(path: P) -> Result<Self, Error> {
        ProgramInput::read(path.as_ref()).map_err(|e| Error::serialize(format!("{e:#}")))
    }

    fn generate_name(&self, _id: Option<CorpusId>) -> String {
        self.file_name()
    }
}
