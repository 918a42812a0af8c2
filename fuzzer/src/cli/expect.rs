//! `--expect`: what need not be told, and where it is kept.

use parallax_triage::expect::{ExpectError, Expectations, load};
use parallax_triage::store::CaseStore;
use std::path::{Path, PathBuf};

/// How expected differences are named on the command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ExpectArgs {
    /// A file of expected differences (docs/expect.md), besides what the layers themselves declare; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "no_expect")]
    expect: Vec<PathBuf>,
    /// Tell everything, also what the layers declare
    #[arg(long)]
    no_expect: bool,
}

impl ExpectArgs {
    /// What is expected: the user's entries first, then those that came with Parallax.
    pub(super) fn read(&self) -> Result<Expectations, ExpectError> {
        let mut all = Expectations::none();
        if self.no_expect {
            return Ok(all);
        }
        for file in &self.expect {
            all.add(load(file)?);
        }
        all.add(Expectations::shipped()?.entries().to_vec());
        Ok(all)
    }
}

/// A campaign's cases, and what is expected apart from them.
pub(super) struct Stores {
    /// `OUT/cases`.
    pub(super) cases: CaseStore,
    /// `OUT/expected`.
    pub(super) expected: CaseStore,
}

impl Stores {
    /// Opens both folders. What lies in the wrong one by today's expectations (an entry has expired, another file was
    /// given) is moved; files that cannot be read are left alone and told.
    pub(super) fn open(out: &Path, target: &str, expectations: &mut Expectations) -> anyhow::Result<Stores> {
        use anyhow::Context as _;
        let dirs = [out.join("cases"), out.join("expected")];
        let open =
            |dir: &PathBuf| CaseStore::open(dir).with_context(|| format!("cannot use {}", dir.display()));
        for (k, dir) in dirs.iter().enumerate() {
            let (store, unreadable) = open(dir)?;
            unreadable.iter().for_each(|error| eprintln!("left alone: {error}"));
            for (signature, path) in store.cases() {
                let belongs = usize::from(expectations.silences(target, signature));
                if let (true, Some(name)) = (belongs != k, path.file_name()) {
                    let to = dirs[belongs].join(name);
                    std::fs::rename(path, &to)
                        .with_context(|| format!("cannot move {} to {}", path.display(), to.display()))?;
                }
            }
        }
        // Counted anew from what lies where it belongs.
        expectations.forget();
        let stores = Stores { cases: open(&dirs[0])?.0, expected: open(&dirs[1])?.0 };
        for signature in stores.expected.cases().keys() {
            expectations.silences(target, signature);
        }
        Ok(stores)
    }
}
