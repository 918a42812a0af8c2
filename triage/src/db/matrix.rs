//! Buckets against versions of a target: where it diverges, where it agrees, and between which versions it changed.

use super::{Db, DbError, HOLDER};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashMap;

/// What a version does with a bucket.
///
/// A bucket does the first of these that one of its cases does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It shows every time.
    Diverges,
    /// It shows sometimes.
    Flaky,
    /// Both sides differ, in another way.
    Changed,
    /// Both sides agree.
    Agrees,
    /// It was not run, or could not be.
    NotRun,
}

impl Verdict {
    const ALL: [Verdict; 5] =
        [Verdict::Diverges, Verdict::Flaky, Verdict::Changed, Verdict::Agrees, Verdict::NotRun];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Diverges => "diverges",
            Verdict::Flaky => "flaky",
            Verdict::Changed => "changed",
            Verdict::Agrees => "agrees",
            Verdict::NotRun => "not-run",
        }
    }
}

/// A bucket on one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What it does there.
    pub verdict: Verdict,
    /// Runs that showed it.
    pub k: i64,
    /// Runs.
    pub n: i64,
    /// What was seen instead.
    pub detail: String,
}

impl Cell {
    const NOT_RUN: Cell = Cell { verdict: Verdict::NotRun, k: 0, n: 0, detail: String::new() };
}

/// A bucket on all versions.
#[derive(Clone, Debug, Serialize)]
pub struct MatrixRow {
    /// The bucket's id.
    pub id: String,
    /// Its signature.
    pub signature: String,
    /// What differs.
    pub sentence: String,
    /// One cell a version.
    pub cells: Vec<Cell>,
    /// Between which versions it changed, in words.
    pub changed: Vec<String>,
}

/// A part of a matrix.
#[derive(Clone, Debug, Serialize)]
pub struct MatrixPart {
    /// The versions, oldest first, at most [`MAX_VERSIONS`].
    pub versions: Vec<String>,
    /// Its buckets.
    pub rows: Vec<MatrixRow>,
    /// All buckets of the target.
    pub total: usize,
    /// How many of them change between versions.
    pub changing: usize,
}

/// Most versions of a matrix, the newest: a hostile folder may name one for each case.
pub const MAX_VERSIONS: usize = 100;

impl Db {
    /// The targets with more than nothing known of them.
    ///
    /// # Errors
    /// As of the store.
    pub fn targets(&self) -> Result<Vec<String>, DbError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            self.sql
                .prepare_cached(
                    "SELECT target, count(*) AS n FROM buckets GROUP BY target ORDER BY n DESC, target",
                )?
                .query_map([], |r| r.get(0))?
                .collect()
        };
        self.say(read())
    }

    /// The matrix of one target, or of one bucket of it.
    ///
    /// # Errors
    /// As of the store.
    pub fn matrix(
        &self,
        target: &str,
        bucket: Option<&str>,
    ) -> Result<(Vec<String>, Vec<MatrixRow>), DbError> {
        let read = || {
            let one = match bucket {
                None => None,
                Some(id) => Some(
                    self.sql
                        .prepare_cached(&format!("SELECT {HOLDER}"))?
                        .query_row([id], |r| r.get::<_, Option<i64>>(0))?,
                ),
            };
            let cells = self.cells(target, one.flatten())?;
            let rows: Vec<i64> = match one {
                None => self.rows_of(target)?,
                Some(row) => row.into_iter().collect(),
            };
            let rows = self.described(&rows, &cells)?;
            Ok((cells.versions, rows))
        };
        self.say(read())
    }

    /// A part of the matrix of one target, those buckets that change between versions first.
    ///
    /// # Errors
    /// As of the store.
    pub fn matrix_page(&self, target: &str, skip: usize, most: usize) -> Result<MatrixPart, DbError> {
        let read = || {
            let cells = self.cells(target, None)?;
            let mut rows = self.rows_of(target)?;
            rows.sort_by_cached_key(|row| cells.changes(*row).is_empty());
            let changing = rows.partition_point(|row| !cells.changes(*row).is_empty());
            let total = rows.len();
            let shown: Vec<i64> = rows.into_iter().skip(skip).take(most).collect();
            let rows = self.described(&shown, &cells)?;
            Ok(MatrixPart { versions: cells.versions, rows, total, changing })
        };
        self.say(read())
    }

    /// The buckets of a target in the order of lists.
    fn rows_of(&self, target: &str) -> rusqlite::Result<Vec<i64>> {
        self.sql
            .prepare_cached(
                "SELECT row FROM buckets WHERE target = ?1 AND merged IS NULL ORDER BY severity, signature",
            )?
            .query_map([target], |r| r.get(0))?
            .collect()
    }

    fn described(&self, rows: &[i64], cells: &Cells) -> rusqlite::Result<Vec<MatrixRow>> {
        let mut select =
            self.sql.prepare_cached("SELECT id, signature, sentence FROM buckets WHERE row = ?1")?;
        let mut describe = |row: &i64| {
            select.query_row([row], |r| {
                let (id, signature, sentence) = (r.get(0)?, r.get(1)?, r.get(2)?);
                Ok(MatrixRow { id, signature, sentence, cells: cells.of(*row), changed: cells.changes(*row) })
            })
        };
        rows.iter().map(&mut describe).collect()
    }

    /// What is known of the buckets of a target, or of one of them.
    fn cells(&self, target: &str, bucket: Option<i64>) -> rusqlite::Result<Cells> {
        let names =
            "SELECT cases.version FROM cases JOIN buckets ON buckets.row = bucket WHERE buckets.target = ?1
             UNION SELECT version FROM runs JOIN buckets ON buckets.row = bucket WHERE buckets.target = ?1";
        let mut versions: Vec<String> = self
            .sql
            .prepare_cached(names)?
            .query_map([target], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        versions.sort_by(|a, b| by_number(a, b));
        versions.drain(..versions.len().saturating_sub(MAX_VERSIONS));
        let places: HashMap<&str, usize> = versions.iter().zip(0..).map(|(v, k)| (v.as_str(), k)).collect();
        let mut cases: HashMap<(i64, u64), Vec<(i64, Cell)>> = HashMap::new();
        let only = if bucket.is_some() { "buckets.row = ?2" } else { "?2 IS NULL" };
        let mut select = self.sql.prepare_cached(&format!(
            "SELECT bucket, cases.version, created, 'diverges', cases.k, cases.n, '', cases.id FROM cases
               JOIN buckets ON buckets.row = bucket WHERE buckets.target = ?1 AND {only}
             UNION ALL
             SELECT bucket, version, at, verdict, runs.k, runs.n, detail, runs.id FROM runs
               JOIN buckets ON buckets.row = bucket WHERE buckets.target = ?1 AND {only}"
        ))?;
        let mut known = select.query(rusqlite::params![target, bucket])?;
        while let Some(r) = known.next()? {
            let text = |k: usize| Ok::<_, rusqlite::Error>(r.get_ref(k)?.as_str().unwrap_or_default());
            let Some(place) = places.get(text(1)?) else { continue };
            let (at, name, k, n): (i64, _, i64, i64) = (r.get(2)?, text(3)?, r.get(4)?, r.get(5)?);
            let mut verdict = Verdict::ALL.into_iter().find(|v| v.name() == name).unwrap_or(Verdict::NotRun);
            if verdict == Verdict::Diverges && k < n {
                verdict = Verdict::Flaky;
            }
            let case = (r.get(0)?, u64::from_str_radix(text(7)?, 16).unwrap_or_default());
            let cells = cases.entry(case).or_insert_with(|| vec![(i64::MIN, Cell::NOT_RUN); versions.len()]);
            // The latest word counts, but not being run is none.
            if verdict != Verdict::NotRun && at >= cells[*place].0 {
                cells[*place] = (at, Cell { verdict, k, n, detail: text(6)?.to_owned() });
            }
        }
        let mut seen: HashMap<i64, Vec<Cell>> = HashMap::new();
        for ((bucket, _), cells) in cases {
            let known = seen.entry(bucket).or_insert_with(|| vec![Cell::NOT_RUN; versions.len()]);
            for (known, (_, cell)) in known.iter_mut().zip(cells) {
                // Of two that do the same, whichever way it is read: the one seen most often.
                let rank = |cell: &Cell| (cell.verdict, -cell.n, -cell.k);
                if (rank(&cell), &cell.detail) < (rank(known), &known.detail) {
                    *known = cell;
                }
            }
        }
        Ok(Cells { versions, seen })
    }
}

/// What each version does with each bucket.
struct Cells {
    versions: Vec<String>,
    seen: HashMap<i64, Vec<Cell>>,
}

impl Cells {
    fn of(&self, row: i64) -> Vec<Cell> {
        match self.seen.get(&row) {
            Some(cells) => cells.clone(),
            None => vec![Cell::NOT_RUN; self.versions.len()],
        }
    }

    /// Between which versions a bucket changed.
    fn changes(&self, row: i64) -> Vec<String> {
        let verdicts = self.seen.get(&row).into_iter().flatten().map(|cell| cell.verdict);
        changes(&self.versions, verdicts)
    }
}

/// Between which versions a bucket changed, over those on which it was run.
fn changes(versions: &[String], verdicts: impl Iterator<Item = Verdict>) -> Vec<String> {
    let ran: Vec<(&String, Verdict)> =
        versions.iter().zip(verdicts).filter(|(_, v)| *v != Verdict::NotRun).collect();
    let there = |verdict| matches!(verdict, Verdict::Diverges | Verdict::Flaky);
    ran.windows(2)
        .filter_map(|pair| {
            let [(from, was), (to, is)] = pair else { return None };
            match (there(*was), there(*is)) {
                (true, false) if *is == Verdict::Changed => {
                    Some(format!("differs otherwise since {to}, after {from}"))
                }
                (true, false) => Some(format!("gone in {to}, still in {from}")),
                (false, true) => Some(format!("came in {to}, not yet in {from}")),
                _ => None,
            }
        })
        .collect()
}

/// Texts in the order of the numbers in them: `0.9` before `0.10`.
fn by_number(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let mut parts: Vec<(String, u64)> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let tail = &rest[word..];
            let number = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
            parts.push((rest[..word].to_owned(), tail[..number].parse().unwrap_or(0)));
            rest = &tail[number..];
        }
        parts
    };
    parts(a).cmp(&parts(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        let mut all = ["runsc 0.0~20240729.0", "runsc 0.0~20221219.0", "7.10", "7.9", "7.9-rc1", ""];
        all.sort_by(|a, b| by_number(a, b));
        assert_eq!(all, ["", "7.9", "7.9-rc1", "7.10", "runsc 0.0~20221219.0", "runsc 0.0~20240729.0"]);
    }

    #[test]
    fn the_range_in_which_a_bucket_changed_skips_versions_it_was_not_run_on() {
        let versions = ["1", "2", "3"].map(str::to_owned);
        let of = |verdicts: [Verdict; 3]| changes(&versions, verdicts.into_iter());
        assert_eq!(of([Verdict::Diverges, Verdict::NotRun, Verdict::Agrees]), ["gone in 3, still in 1"]);
        assert_eq!(of([Verdict::Agrees, Verdict::Flaky, Verdict::Diverges]), ["came in 2, not yet in 1"]);
    }
}
