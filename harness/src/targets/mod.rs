//! The targets: one file each.

pub mod native;

use crate::target::{Target, TargetError};
use std::path::PathBuf;
use std::sync::Arc;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// `--target`.
    pub name: Option<String>,
    /// `--target-cmd`.
    pub command: Option<String>,
    /// `--target-path`.
    pub path: Option<PathBuf>,
}

/// The target of that choice.
///
/// # Errors
/// There is none of that name.
pub fn choose(_choice: &Choice) -> Result<Arc<dyn Target>, TargetError> {
    unimplemented!()
}
