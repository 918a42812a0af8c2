//! Filling the store from folders: repro files, statistics, results of replays.

use super::life;
use super::place::{self, Ready};
use super::{Db, DbError, clean, journal, now, told};
use crate::results::{self, Results};
use crate::stats::{self, Counts, Progress, Stats};
use parallax_replay::ReplayVerdict;
use rayon::prelude::*;
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// Cases that were not in the store.
    pub cases: u64,
    /// Buckets that were not in the store.
    pub buckets: u64,
    /// Results of single replays that were not in the store.
    pub replays: u64,
    /// Files that cannot be used, and why. They are left alone.
    pub unreadable: Vec<String>,
}

/// Files that are new or changed since the last import.
struct Work {
    campaigns: Vec<Campaign>,
}

struct Campaign {
    id: String,
    dir: PathBuf,
    stats: Option<(String, PathBuf)>,
    repros: Vec<Found>,
    replays: Vec<Found>,
}

pub(super) struct Found {
    pub(super) path: PathBuf,
    stamp: String,
    /// It lies where what is expected lies.
    expected: bool,
}

/// Cases read and explained before the next ones are: what is in memory at once.
const CHUNK: usize = 128;

impl Db {
    /// Takes in what is new in these folders: all of it, or if that fails nothing. A folder is a campaign's, or holds
    /// repro files itself.
    ///
    /// # Errors
    /// A folder cannot be listed, or the store cannot be written. Single files that cannot be used are told instead.
    pub fn import(&mut self, dirs: &[PathBuf]) -> Result<Imported, DbError> {
        let work = self.look_for_work(dirs)?;
        if work.campaigns.is_empty() {
            return Ok(Imported::default());
        }
        let path = self.path.clone();
        let filled = self.sql.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
            let before = count(&tx)?;
            let mut done = fill(&tx, &work)?;
            place::explain_cases(&tx)?;
            done.buckets = count(&tx)?.saturating_sub(before);
            tx.commit()?;
            Ok(done)
        });
        filled.map_err(|e| told(&path, e))
    }

    /// Makes the store anew from the folders and the journal of decisions. Whoever reads meanwhile sees the old store;
    /// if anything fails, it stays.
    ///
    /// # Errors
    /// As [`Db::import`].
    pub fn rebuild(&mut self, dirs: &[PathBuf]) -> Result<Imported, DbError> {
        let mut dirs = dirs.to_vec();
        if dirs.is_empty() {
            dirs = self.dirs()?;
        }
        let work = all_work(&dirs, &BTreeMap::new(), &BTreeMap::new())?;
        let decisions = journal::read(&self.path)?;
        let path = self.path.clone();
        let built = self.sql.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
            // Merged ones first: a table goes by deleting its rows.
            tx.execute("UPDATE buckets SET merged = NULL", [])?;
            for table in
                ["search", "history", "runs", "cases", "coverage", "points", "files", "buckets", "campaigns"]
            {
                tx.execute(&format!("DROP TABLE {table}"), [])?;
            }
            tx.execute_batch(super::SCHEMA)?;
            let mut done = fill(&tx, &work)?;
            for decision in &decisions {
                life::again(&tx, decision)?;
            }
            place::explain_cases(&tx)?;
            done.buckets = count(&tx)?;
            for row in life::fixed_ones(&tx)? {
                life::settle(&tx, row)?;
            }
            tx.commit()?;
            Ok(done)
        });
        built.map_err(|e| told(&path, e))
    }

    /// The folders it was filled from.
    ///
    /// # Errors
    /// As of the store.
    pub fn dirs(&self) -> Result<Vec<PathBuf>, DbError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            self.sql.prepare("SELECT dir FROM campaigns ORDER BY dir")?.query_map([], |r| r.get(0))?.collect()
        };
        Ok(self.say(read())?.into_iter().map(PathBuf::from).collect())
    }

    fn look_for_work(&self, dirs: &[PathBuf]) -> Result<Work, DbError> {
        let stamps = |sql: &str| -> rusqlite::Result<BTreeMap<String, String>> {
            self.sql.prepare(sql)?.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
        };
        let files = self.say(stamps("SELECT path, stamp FROM files"))?;
        let campaigns = self.say(stamps("SELECT id, stats_stamp FROM campaigns"))?;
        all_work(dirs, &files, &campaigns)
    }
}

fn all_work(
    dirs: &[PathBuf],
    files: &BTreeMap<String, String>,
    campaigns: &BTreeMap<String, String>,
) -> Result<Work, DbError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for dir in dirs {
        let io = |error| DbError::Io { path: dir.clone(), error };
        let dir = fs::canonicalize(dir).map_err(io)?;
        if !seen.insert(dir.clone()) {
            continue;
        }
        let id = format!("{:012x}", xxhash_rust::xxh3::xxh3_64(dir.as_os_str().as_encoded_bytes()) >> 16);
        let known = campaigns.get(&id);
        let mut campaign = Campaign { id, dir, stats: None, repros: Vec::new(), replays: Vec::new() };
        let stats = campaign.dir.join("stats.json");
        campaign.stats = stamp_of(&stats).filter(|s| known != Some(s)).map(|stamp| (stamp, stats));
        for (sub, ending) in [("", "plx"), ("cases", "plx"), ("expected", "plx"), (results::FOLDER, "json")] {
            let within = if sub.is_empty() { campaign.dir.clone() } else { campaign.dir.join(sub) };
            let listed = match fs::read_dir(&within) {
                Ok(listed) => listed,
                Err(_) if !sub.is_empty() => continue,
                Err(error) => return Err(DbError::Io { path: within, error }),
            };
            let mut inside: Vec<Found> = listed
                .filter_map(|entry| entry.ok().map(|e| e.path()))
                .filter(|path| path.extension().is_some_and(|e| e == ending))
                .filter(|path| !path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b".")))
                .filter_map(|path| Some(Found { stamp: stamp_of(&path)?, path, expected: sub == "expected" }))
                .filter(|f| files.get(f.path.to_string_lossy().as_ref()) != Some(&f.stamp))
                .collect();
            inside.sort_by(|a, b| a.path.cmp(&b.path));
            if ending == "plx" { &mut campaign.repros } else { &mut campaign.replays }.append(&mut inside);
        }
        let nothing = campaign.stats.is_none() && campaign.repros.is_empty() && campaign.replays.is_empty();
        if !nothing || known.is_none() {
            found.push(campaign);
        }
    }
    Ok(Work { campaigns: found })
}

/// Length and time of change of a regular file; nothing else is opened: a pipe would never answer, and a link may lead
/// out of the folder.
fn stamp_of(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    let changed = meta.modified().ok()?.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    Some(format!("{}-{changed}", meta.len()))
}

/// How many buckets there are.
fn count(tx: &Transaction<'_>) -> rusqlite::Result<u64> {
    tx.query_row("SELECT count(*) FROM buckets", [], |r| r.get::<_, i64>(0)).map(|n| n as u64)
}

fn fill(tx: &Transaction<'_>, work: &Work) -> rusqlite::Result<Imported> {
    let mut done = Imported::default();
    let mut touched = BTreeSet::new();
    for campaign in &work.campaigns {
        let dir = campaign.dir.to_string_lossy();
        let name = campaign.dir.file_name().map_or_else(|| dir.clone(), |n| n.to_string_lossy());
        tx.execute(
            "INSERT INTO campaigns (id, dir, name) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
            params![campaign.id, dir, clean(&name, 200)],
        )?;
        if let Some((stamp, path)) = &campaign.stats {
            match stats::read(path) {
                Ok(stats) => {
                    let progress = campaign.dir.join("progress.jsonl");
                    // Only its curves are drawn from it.
                    let progress = match stamp_of(&progress) {
                        Some(_) => stats::read_progress(&progress).unwrap_or_default(),
                        None => Vec::new(),
                    };
                    take_stats(tx, &campaign.id, &stats, &progress, stamp)?;
                }
                Err(error) => {
                    tx.execute("UPDATE campaigns SET stats_stamp = ?2 WHERE id = ?1", [&campaign.id, stamp])?;
                    done.unreadable.push(format!("{}: {error}", path.display()));
                }
            }
        }
        for chunk in campaign.repros.chunks(CHUNK) {
            let read: Vec<Result<Ready, String>> = chunk.par_iter().map(Ready::read).collect();
            for (found, ready) in chunk.iter().zip(read) {
                let error = ready.as_ref().err().cloned().unwrap_or_default();
                note_file(tx, found, &error)?;
                match ready {
                    Ok(ready) => {
                        if let Some(row) =
                            place::take_case(tx, &campaign.id, &ready, found.expected, &mut done)?
                        {
                            touched.insert(row);
                        }
                    }
                    Err(error) => done.unreadable.push(error),
                }
            }
        }
    }
    // Replays speak of cases, perhaps of another folder's.
    for found in work.campaigns.iter().flat_map(|c| &c.replays) {
        match Results::load(&found.path) {
            Ok(results) => {
                note_file(tx, found, "")?;
                take_results(tx, &results, &found.path, &mut done, &mut touched)?;
            }
            Err(error) => {
                note_file(tx, found, &error.to_string())?;
                done.unreadable.push(format!("{}: {error}", found.path.display()));
            }
        }
    }
    for campaign in &work.campaigns {
        let unreadable: i64 = tx.query_row(
            "SELECT count(*) FROM files WHERE error <> '' AND substr(path, 1, length(?1)) = ?1",
            [format!("{}/", campaign.dir.to_string_lossy())],
            |row| row.get(0),
        )?;
        tx.execute("UPDATE campaigns SET unreadable = ?2 WHERE id = ?1", params![campaign.id, unreadable])?;
    }
    place::update(tx, touched)?;
    Ok(done)
}

fn note_file(tx: &Transaction<'_>, found: &Found, error: &str) -> rusqlite::Result<()> {
    let mut insert =
        tx.prepare_cached("INSERT OR REPLACE INTO files (path, stamp, error) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![found.path.to_string_lossy(), found.stamp, clean(error, 1000)]).map(drop)
}

fn take_stats(
    tx: &Transaction<'_>,
    id: &str,
    stats: &Stats,
    progress: &[Progress],
    stamp: &str,
) -> rusqlite::Result<()> {
    // Counts by call have a table of their own.
    let text =
        serde_json::to_string(&Stats { per_call: BTreeMap::new(), ..stats.clone() }).unwrap_or_default();
    tx.execute(
        "UPDATE campaigns SET target = ?2, seed = ?3, stats = ?4, stats_stamp = ?5, changed = ?6 WHERE id = ?1",
        params![id, clean(&stats.target, 200), stats.seed as i64, text, stamp, changed(stamp)],
    )?;
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO points (campaign, seconds, programs, corpus, cases, rate)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let of = |n: u64| n.min(i64::MAX as u64) as i64;
    for Progress { seconds, programs, corpus, cases, rate } in
        progress.iter().copied().chain([stats.progress()])
    {
        // To the tenth of a second, as it is written: what was seen twice is kept once.
        let seconds = (seconds * 10.0).round() / 10.0;
        insert.execute(params![id, seconds, of(programs), of(corpus), of(cases), rate])?;
    }
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO coverage (campaign, call, runs, ok, blocked, known, unsupported)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (call, Counts { runs, ok, blocked, known, unsupported }) in &stats.per_call {
        insert.execute(params![id, call, of(*runs), of(*ok), of(*blocked), of(*known), of(*unsupported)])?;
    }
    Ok(())
}

/// The time of change in a stamp, in seconds.
fn changed(stamp: &str) -> i64 {
    let nanos = stamp.split('-').nth(1).and_then(|n| n.parse::<u128>().ok());
    nanos.map_or(0, |n| i64::try_from(n / 1_000_000_000).unwrap_or(0))
}

fn take_results(
    tx: &Transaction<'_>,
    results: &Results,
    path: &Path,
    done: &mut Imported,
    touched: &mut BTreeSet<i64>,
) -> rusqlite::Result<()> {
    let at = i64::try_from(results.at).unwrap_or(i64::MAX).min(now());
    // The file's name is made of its content, so that copies of it are one.
    let source = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    for case in &results.cases {
        let held = tx
            .prepare_cached("SELECT bucket FROM cases WHERE id = ?1 LIMIT 1")?
            .query_row([&case.id], |r| r.get(0));
        let Some(row) = held.optional()? else { continue };
        let verdict = match case.verdict {
            ReplayVerdict::StillThere if case.k < case.n => super::Verdict::Flaky,
            ReplayVerdict::StillThere => super::Verdict::Diverges,
            ReplayVerdict::Gone => super::Verdict::Agrees,
            ReplayVerdict::Other => super::Verdict::Changed,
            ReplayVerdict::NotRun => super::Verdict::NotRun,
        };
        let inserted = tx
            .prepare_cached(
                "INSERT OR IGNORE INTO runs (bucket, target, version, at, verdict, k, n, detail, source, id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                row,
                clean(&results.target, 200),
                clean(&results.version, 200),
                at,
                verdict.name(),
                case.k,
                case.n,
                clean(&case.detail, 500),
                clean(&source, 200),
                case.id,
            ])?;
        if inserted > 0 {
            done.replays += 1;
            touched.insert(row);
        }
    }
    Ok(())
}
