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
        format!("{:016x}.{EXTENSION}", xxh3_64(&pack::program_to_bytes(&self.0)))
    }
}

impl Input for ProgramInput {
    /// Writes a whole file or none. One that already holds this program stays as it is.
    fn to_file<P: AsRef<Path>>(&self, path: P) -> Result<(), Error> {
        let bytes = pack::program_to_bytes(&self.0);
        if std::fs::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        files::write_whole(path.as_ref(), &bytes)
            .map_err(|e| Error::os_error(e, path.as_ref().display().to_string()))
    }

    fn from_file<P: AsRef<Path>>(path: P) -> Result<Self, Error> {
        let bytes = std::fs::read(&path)?;
        let program = pack::program_from_bytes(&bytes).map_err(|e| Error::serialize(e.to_string()))?;
        Ok(ProgramInput(program))
    }

    fn generate_name(&self, _id: Option<CorpusId>) -> String {
        self.file_name()
    }
}
