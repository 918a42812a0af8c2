//! Buckets against versions, and calls against targets.

use super::{Frame, Pager};
use crate::links::Links;
use askama::Template;
use parallax_triage::db::{CallCount, Db, DbError, MatrixPart, TargetCoverage};

/// Buckets on one page of a matrix.
const ROWS: usize = 200;

/// The matrix of one target.
#[derive(Debug, Template)]
#[template(path = "matrix.html")]
pub struct MatrixPage {
    frame: Frame,
    target: String,
    targets: Vec<(String, String, bool)>,
    part: MatrixPart,
    pager: Option<Pager>,
}

impl MatrixPage {
    /// Of that target, or of the one most is known of. Those that change between versions come first.
    ///
    /// # Errors
    /// As of the store.
    pub fn new(db: &Db, links: &Links, target: &str, page: usize) -> Result<MatrixPage, DbError> {
        let known = db.targets()?;
        let target =
            if target.is_empty() { known.first().cloned().unwrap_or_default() } else { target.to_owned() };
        let (skip, most) = match links.is_live() {
            true => (page.saturating_mul(ROWS), ROWS),
            false => (0, usize::MAX),
        };
        let part = db.matrix_page(&target, skip, most)?;
        let address = |page: usize| format!("{}&page={page}", links.matrix(&target));
        let pager = links.is_live().then(|| Pager::of(part.total, page, ROWS, &address)).flatten();
        let targets = known.into_iter().map(|t| (t.clone(), links.matrix(&t), t == target)).collect();
        Ok(MatrixPage { frame: Frame::new(links, "Version matrix", "matrix"), target, targets, part, pager })
    }
}

/// Calls against targets.
#[derive(Debug, Template)]
#[template(path = "coverage.html")]
pub struct CoveragePage {
    frame: Frame,
    covered: TargetCoverage,
    ran: usize,
}

impl CoveragePage {
    /// Over all campaigns.
    ///
    /// # Errors
    /// As of the store.
    pub fn new(db: &Db, links: &Links) -> Result<CoveragePage, DbError> {
        let covered = db.coverage()?;
        let ran = covered.calls.iter().filter(|(_, counts)| counts.iter().any(|c| c.runs > 0)).count();
        Ok(CoveragePage { frame: Frame::new(links, "Coverage", "coverage"), covered, ran })
    }

    /// Calls with something to say of them.
    fn shown(&self) -> impl Iterator<Item = &(String, Vec<CallCount>)> {
        self.covered.calls.iter().filter(|(_, counts)| is_told(counts))
    }

    /// The others.
    fn others(&self) -> Vec<&String> {
        self.covered.calls.iter().filter(|(_, counts)| !is_told(counts)).map(|(call, _)| call).collect()
    }

    fn of<'a>(&'a self, counts: &'a [CallCount]) -> impl Iterator<Item = (&'a String, &'a CallCount)> {
        self.covered.targets.iter().zip(counts)
    }

    fn percent(&self, count: &CallCount) -> i64 {
        count.ok.saturating_mul(100).checked_div(count.runs).unwrap_or(0)
    }

    fn shade(&self, count: &CallCount) -> &'static str {
        match (count.runs, count.ok) {
            (0, _) => "none",
            (_, 0) => "part",
            _ => "full",
        }
    }
}

fn is_told(counts: &[CallCount]) -> bool {
    counts.iter().any(|c| c.runs > 0 || c.buckets > 0)
}
