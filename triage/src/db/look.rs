//! What pages and programs read from the store.

use super::{Db, DbError, HOLDER, State};
use crate::severity::Severity;
use crate::stats::Stats;
use parallax_replay::Repro;
use rusqlite::{OptionalExtension, Row};
use serde::Serialize;

/// A bucket in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its row, for links within the store.
    #[serde(skip)]
    pub(super) row: i64,
    /// Its id.
    pub id: String,
    /// The target.
    pub target: String,
    /// What its cases have in common (see [`crate::bucket`]).
    pub signature: String,
    /// What differs, in a sentence: that of the shortest case.
    pub sentence: String,
    /// The area.
    pub area: String,
    /// The call.
    pub call: String,
    /// The class.
    pub class: String,
    /// How bad.
    pub severity: Severity,
    /// The state.
    pub state: State,
    /// Calls of the shortest program.
    pub calls: i64,
    /// Runs that showed it.
    pub k: i64,
    /// Runs.
    pub n: i64,
    /// When it was first seen.
    pub first_seen: i64,
    /// When it was last seen.
    pub last_seen: i64,
    /// When it came into the store.
    pub first_import: i64,
    /// The versions on which it diverges.
    pub versions: Vec<String>,
}

const SUMMARY: &str = "row, id, target, signature, sentence, area, call, class, severity, state, calls, k, n,
    first_seen, last_seen, first_import, versions";

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let severity: i64 = row.get(8)?;
    let state: String = row.get(9)?;
    let versions: String = row.get(16)?;
    Ok(Summary {
        row: row.get(0)?,
        id: row.get(1)?,
        target: row.get(2)?,
        signature: row.get(3)?,
        sentence: row.get(4)?,
        area: row.get(5)?,
        call: row.get(6)?,
        class: row.get(7)?,
        severity: usize::try_from(severity)
            .ok()
            .and_then(|s| Severity::ALL.get(s).copied())
            .unwrap_or(Severity::Result),
        state: State::named(&state).unwrap_or(State::New),
        calls: row.get(10)?,
        k: row.get(11)?,
        n: row.get(12)?,
        first_seen: row.get(13)?,
        last_seen: row.get(14)?,
        first_import: row.get(15)?,
        versions: versions.lines().map(str::to_owned).collect(),
    })
}

/// A bucket as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct Bucket {
    /// What lists show of it.
    #[serde(flatten)]
    pub summary: Summary,
    /// Why it is that bad.
    pub why: String,
    /// Why it is in its state.
    pub reason: String,
    /// Since when.
    pub changed: i64,
    /// The bucket it is merged into.
    pub merged_into: Option<String>,
    /// Buckets merged into it.
    pub members: Vec<Summary>,
    /// Its cases, the shortest first.
    pub cases: Vec<CaseRow>,
    /// What became of it, oldest first.
    pub history: Vec<HistoryRow>,
    /// The case that was asked for, else the shortest.
    #[serde(skip)]
    pub shown: Option<Box<Repro>>,
}

/// One case of a bucket.
#[derive(Clone, Debug, Serialize)]
pub struct CaseRow {
    /// Its id: that of its repro file.
    pub id: String,
    /// Its signature.
    pub signature: String,
    /// The campaign's id.
    pub campaign: String,
    /// The campaign's name.
    pub name: String,
    /// The target's version.
    pub version: String,
    /// The kernel beside it.
    pub kernel: String,
    /// When it was written.
    pub created: i64,
    /// Runs that showed it.
    pub k: i64,
    /// Runs.
    pub n: i64,
    /// Calls of its program.
    pub calls: i64,
    /// The name of its file in the campaign.
    pub file: String,
}

/// One line of a bucket's history.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct HistoryRow {
    pub at: i64,
    pub what: String,
    pub was: String,
    pub now: String,
    pub text: String,
    pub by: String,
}

/// One campaign.
#[derive(Clone, Debug, Serialize)]
pub struct CampaignRow {
    /// Its id.
    pub id: String,
    /// The folder's name.
    pub name: String,
    /// The target.
    pub target: String,
    /// Its version.
    pub version: String,
    /// The kernel beside it.
    pub kernel: String,
    /// When its statistics last changed.
    pub changed: i64,
    /// Files in it that cannot be used.
    pub unreadable: i64,
    /// Its cases.
    pub cases: i64,
    /// What it says of itself.
    pub stats: Stats,
}

impl CampaignRow {
    /// Whether it is going on: its statistics changed in the last half minute.
    pub fn is_running(&self) -> bool {
        super::now().saturating_sub(self.changed) < 30 && self.stats.seconds > 0.0
    }
}

/// How far a campaign was at one time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Seconds it had run.
    pub seconds: f64,
    /// Programs run.
    pub programs: i64,
    /// Programs in the corpus.
    pub corpus: i64,
    /// Cases.
    pub cases: i64,
    /// Programs a second.
    pub rate: f64,
}

/// What is known of a call on one target, over all campaigns.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CallCount {
    /// How often it was run.
    pub runs: i64,
    /// How often it succeeded on Linux.
    pub ok: i64,
    /// Buckets that name it.
    pub buckets: i64,
}

/// Coverage: calls by name, against targets.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TargetCoverage {
    /// The targets.
    pub targets: Vec<String>,
    /// Each call with its counts, one a target.
    pub calls: Vec<(String, Vec<CallCount>)>,
}

impl Db {
    pub(super) fn summaries(&self, rows: &[i64]) -> rusqlite::Result<Vec<Summary>> {
        let mut select = self.sql.prepare_cached(&format!("SELECT {SUMMARY} FROM buckets WHERE row = ?1"))?;
        rows.iter().map(|row| select.query_row([row], summary)).collect()
    }

    /// A bucket with its cases and its history, by its own id or by that of a case in it, which is then the one shown;
    /// `None` if there is none of that id.
    ///
    /// # Errors
    /// As of the store.
    pub fn bucket(&self, id: &str) -> Result<Option<Bucket>, DbError> {
        self.say(self.bucket_of(id))
    }

    fn bucket_of(&self, id: &str) -> rusqlite::Result<Option<Bucket>> {
        let found = self
            .sql
            .prepare_cached(&format!(
                "SELECT {SUMMARY}, why, reason, changed, (SELECT id FROM buckets AS b WHERE b.row = a.merged)
                 FROM buckets AS a WHERE row = {HOLDER}"
            ))?
            .query_row([id], |r| Ok((summary(r)?, r.get(17)?, r.get(18)?, r.get(19)?, r.get(20)?)))
            .optional()?;
        let Some((summary, why, reason, changed, merged_into)) = found else { return Ok(None) };
        let row = summary.row;
        let members: Vec<i64> = self
            .sql
            .prepare_cached("SELECT row FROM buckets WHERE merged = ?1 ORDER BY row")?
            .query_map([row], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let cases = self
            .sql
            .prepare_cached(
                "SELECT campaign, name, cases.version, cases.kernel, created, k, n, calls, cases.id, signature
                 FROM cases JOIN campaigns ON campaigns.id = campaign
                 WHERE bucket = ?1 ORDER BY calls, cases.row LIMIT 200",
            )?
            .query_map([row], |r| {
                Ok(CaseRow {
                    campaign: r.get(0)?,
                    name: r.get(1)?,
                    version: r.get(2)?,
                    kernel: r.get(3)?,
                    created: r.get(4)?,
                    k: r.get(5)?,
                    n: r.get(6)?,
                    calls: r.get(7)?,
                    file: format!("{}.plx", r.get::<_, String>(8)?),
                    id: r.get(8)?,
                    signature: r.get(9)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let history = self
            .sql
            .prepare_cached(
                "SELECT at, what, was, now, text, by FROM history WHERE bucket = ?1 ORDER BY at, row LIMIT 1000",
            )?
            .query_map([row], |r| {
                Ok(HistoryRow {
                    at: r.get(0)?,
                    what: r.get(1)?,
                    was: r.get(2)?,
                    now: r.get(3)?,
                    text: r.get(4)?,
                    by: r.get(5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let shown = self
            .sql
            .prepare_cached(
                "SELECT repro FROM cases WHERE bucket = ?1 ORDER BY id <> ?2, calls, row LIMIT 1",
            )?
            .query_row(rusqlite::params![row, id], |r| r.get::<_, Vec<u8>>(0))
            .optional()?
            .and_then(|bytes| Repro::from_bytes(&bytes).ok())
            .map(Box::new);
        let members = self.summaries(&members)?;
        Ok(Some(Bucket { summary, why, reason, changed, merged_into, members, cases, history, shown }))
    }

    /// All campaigns, the one that changed last first.
    ///
    /// # Errors
    /// As of the store.
    pub fn campaigns(&self) -> Result<Vec<CampaignRow>, DbError> {
        let read = || -> rusqlite::Result<Vec<CampaignRow>> {
            self.sql
                .prepare_cached(
                    "SELECT id, name, target, version, kernel, changed, unreadable,
                       (SELECT count(*) FROM cases WHERE campaign = campaigns.id), stats
                     FROM campaigns ORDER BY changed DESC, name",
                )?
                .query_map([], |r| {
                    let stats: String = r.get(8)?;
                    Ok(CampaignRow {
                        id: r.get(0)?,
                        name: r.get(1)?,
                        target: r.get(2)?,
                        version: r.get(3)?,
                        kernel: r.get(4)?,
                        changed: r.get(5)?,
                        unreadable: r.get(6)?,
                        cases: r.get(7)?,
                        stats: serde_json::from_str(&stats).unwrap_or_default(),
                    })
                })?
                .collect()
        };
        self.say(read())
    }

    /// How a campaign went, oldest first, at most 2000 points.
    ///
    /// # Errors
    /// As of the store.
    pub fn points(&self, campaign: &str) -> Result<Vec<Point>, DbError> {
        let read = || -> rusqlite::Result<Vec<Point>> {
            self.sql
                .prepare_cached(
                    "SELECT seconds, programs, corpus, cases, rate FROM points WHERE campaign = ?1 ORDER BY seconds",
                )?
                .query_map([campaign], |r| {
                    Ok(Point {
                        seconds: r.get(0)?,
                        programs: r.get(1)?,
                        corpus: r.get(2)?,
                        cases: r.get(3)?,
                        rate: r.get(4)?,
                    })
                })?
                .collect()
        };
        let all = self.say(read())?;
        let step = all.len().div_ceil(2000).max(1);
        let last = all.len().saturating_sub(1);
        Ok(all.into_iter().enumerate().filter(|(k, _)| k % step == 0 || *k == last).map(|(_, p)| p).collect())
    }

    /// When each case of a campaign was found, in seconds since 1970, oldest first.
    ///
    /// # Errors
    /// As of the store.
    pub fn finds(&self, campaign: &str) -> Result<Vec<i64>, DbError> {
        let read = || -> rusqlite::Result<Vec<i64>> {
            self.sql
                .prepare_cached("SELECT created FROM cases WHERE campaign = ?1 ORDER BY created")?
                .query_map([campaign], |r| r.get(0))?
                .collect()
        };
        self.say(read())
    }

    /// Open buckets by severity and area.
    ///
    /// # Errors
    /// As of the store.
    pub fn open_by_area(&self) -> Result<Vec<(Severity, String, i64)>, DbError> {
        let read = || -> rusqlite::Result<Vec<(Severity, String, i64)>> {
            self.sql
                .prepare_cached(
                    "SELECT severity, area, count(*) FROM buckets
                     WHERE merged IS NULL AND state IN ('new', 'confirmed', 'reopened')
                     GROUP BY severity, area ORDER BY severity, area",
                )?
                .query_map([], |r| {
                    let severity: usize = r.get::<_, i64>(0)?.try_into().unwrap_or(usize::MAX);
                    let severity = Severity::ALL.get(severity).copied().unwrap_or(Severity::Result);
                    Ok((severity, r.get(1)?, r.get(2)?))
                })?
                .collect()
        };
        self.say(read())
    }

    /// How many buckets there are in each state.
    ///
    /// # Errors
    /// As of the store.
    pub fn states(&self) -> Result<Vec<(State, i64)>, DbError> {
        let read = || -> rusqlite::Result<Vec<(String, i64)>> {
            self.sql
                .prepare_cached("SELECT state, count(*) FROM buckets WHERE merged IS NULL GROUP BY state")?
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect()
        };
        let counts = self.say(read())?;
        let of = |state: State| counts.iter().find(|(name, _)| name == state.name()).map_or(0, |(_, n)| *n);
        Ok(State::ALL.into_iter().map(|state| (state, of(state))).collect())
    }

    /// Buckets that came into the store after that second, the newest first; how many, and the first `most`.
    ///
    /// # Errors
    /// As of the store.
    pub fn new_since(&self, when: i64, most: usize) -> Result<(i64, Vec<Summary>), DbError> {
        let read = || -> rusqlite::Result<(i64, Vec<Summary>)> {
            let count = self.sql.query_row(
                "SELECT count(*) FROM buckets WHERE merged IS NULL AND first_import > ?1",
                [when],
                |r| r.get(0),
            )?;
            let rows: Vec<i64> = self
                .sql
                .prepare_cached(
                    "SELECT row FROM buckets WHERE merged IS NULL AND first_import > ?1
                     ORDER BY first_import DESC, severity, row LIMIT ?2",
                )?
                .query_map(rusqlite::params![when, most as i64], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok((count, self.summaries(&rows)?))
        };
        self.say(read())
    }

    /// Calls against targets: how often run, how often successful, how many buckets.
    ///
    /// # Errors
    /// As of the store.
    pub fn coverage(&self) -> Result<TargetCoverage, DbError> {
        self.say(self.covered())
    }

    fn covered(&self) -> rusqlite::Result<TargetCoverage> {
        let counted: Vec<(String, String, i64, i64)> = self
            .sql
            .prepare_cached(
                "SELECT target, call, sum(runs), sum(ok) FROM coverage JOIN campaigns ON id = campaign
                 GROUP BY target, call",
            )?
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let diverged: Vec<(String, String, i64)> = self
            .sql
            .prepare_cached(
                "SELECT target, call, count(*) FROM buckets WHERE merged IS NULL GROUP BY target, call",
            )?
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut targets: Vec<String> = counted.iter().map(|c| c.0.clone()).collect();
        targets.extend(diverged.iter().map(|d| d.0.clone()));
        targets.sort();
        targets.dedup();
        let place = |target: &String| targets.binary_search(target).unwrap_or(0);
        let mut calls: std::collections::BTreeMap<String, Vec<CallCount>> = parallax_corpus::tables::all()
            .iter()
            .map(|desc| (desc.name.to_owned(), vec![CallCount::default(); targets.len()]))
            .collect();
        let empty = || vec![CallCount::default(); targets.len()];
        for (target, call, runs, ok) in counted {
            let count = &mut calls.entry(call).or_insert_with(empty)[place(&target)];
            (count.runs, count.ok) = (runs, ok);
        }
        for (target, call, buckets) in diverged {
            calls.entry(call).or_insert_with(empty)[place(&target)].buckets = buckets;
        }
        Ok(TargetCoverage { targets, calls: calls.into_iter().collect() })
    }
}
