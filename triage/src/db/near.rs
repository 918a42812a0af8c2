//! Buckets that may be the same bug: offered to people, who decide.

use super::{Db, DbError, HOLDER, Summary};
use serde::Serialize;

/// A bucket that may be the same as another, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Near {
    /// Which.
    pub bucket: Summary,
    /// What speaks for it.
    pub why: &'static str,
}

/// Most that are offered.
const MOST: i64 = 8;

impl Db {
    /// Buckets of the same target that may be the same bug as this one, the likeliest first.
    ///
    /// # Errors
    /// As of the store.
    pub fn near(&self, id: &str) -> Result<Vec<Near>, DbError> {
        let read = || -> rusqlite::Result<Vec<Near>> {
            let found: Vec<(i64, i64)> = self
                .sql
                .prepare_cached(&format!(
                    "SELECT b.row, CASE
                         WHEN b.call = a.call AND b.field = a.field AND b.kind = a.kind THEN 4
                         WHEN b.shape = a.shape AND b.kind = a.kind THEN 3
                         WHEN b.shape = a.shape AND b.call = a.call THEN 2
                         WHEN b.call = a.call AND b.field = a.field AND b.cause = a.cause THEN 1
                         ELSE 0 END AS likeness
                     FROM buckets AS a CROSS JOIN buckets AS b
                       ON b.target = a.target AND b.call = a.call AND b.field = a.field
                       OR b.target = a.target AND b.shape = a.shape
                     WHERE a.row = {HOLDER} AND b.row <> a.row AND b.merged IS NULL AND likeness > 0 ORDER BY likeness DESC, b.row LIMIT ?2"
                ))?
                .query_map(rusqlite::params![id, MOST], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let rows: Vec<i64> = found.iter().map(|(row, _)| *row).collect();
            let why = |likeness| match likeness {
                4 => "the same difference, after another call",
                3 => "the same kind of difference in a program of the same calls",
                2 => "another difference in a program of the same calls",
                _ => "another difference of the same output",
            };
            let near = self.summaries(&rows)?.into_iter().zip(found);
            Ok(near.map(|(bucket, (_, likeness))| Near { bucket, why: why(likeness) }).collect())
        };
        self.say(read())
    }
}
