//! Filling the store from folders: repro files, statistics, results of replays.

use super::life::{self, Author};
use super::{Db, DbError, clean, journal, now, told};
use crate::results::{self, Results};
use crate::severity;
use crate::stats::{self, Counts, Progress, Stats};
use crate::{bucket, explain};
use parallax_corpus::Code;
use parallax_harness::oracles::Signature;
use parallax_replay::{ReplayVerdict, Repro};
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

struct Found {
    path: PathBuf,
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
        let filled = self
            .sql
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|tx| fill(&tx, &work).and_then(|done| tx.commit().map(|()| done)));
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
            let done = fill(&tx, &work)?;
            for decision in &decisions {
                life::again(&tx, decision)?;
            }
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
                        if let Some(row) = take_case(tx, &campaign.id, &ready, found.expected, &mut done)? {
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
    for row in touched {
        refresh(tx, row)?;
        life::settle(tx, row)?;
    }
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

/// A case, read and explained.
struct Ready {
    repro: Repro,
    /// The name of the bucket it falls into, and its id.
    bucket: (Signature, String),
    bytes: Vec<u8>,
}

/// What lists say of a case.
struct Facts {
    sentence: String,
    area: &'static str,
    /// The names of its calls: what may be the same bug has the same.
    shape: String,
}

impl Facts {
    fn of(repro: &Repro, code: &Code) -> Facts {
        let call = code.calls.get(repro.finding.call);
        let names: Vec<&str> = repro.program.calls.iter().map(|c| c.id.desc().base_name()).collect();
        Facts {
            sentence: clean(&explain::sentence(repro, code), 2000),
            area: call.map_or("", |c| c.id.desc().area.name()),
            shape: clean(&names.join(" "), 2000),
        }
    }
}

impl Ready {
    fn read(found: &Found) -> Result<Ready, String> {
        let repro = Repro::load(&found.path).map_err(|e| e.to_string())?;
        let in_file = |what: String| format!("{}: {what}", found.path.display());
        let code = repro.code().map_err(|e| in_file(e.to_string()))?;
        if repro.id != Repro::id_of(&repro.target_name, &repro.signature) {
            return Err(in_file("its id does not belong to its target and signature".to_owned()));
        }
        let bucket = bucket::of(&repro, &code);
        let id = Repro::id_of(&repro.target_name, &bucket);
        Ok(Ready { bucket: (bucket, id), bytes: repro.to_bytes(), repro })
    }
}

/// Keeps a case; its bucket's row, unless the campaign has it already.
fn take_case(
    tx: &Transaction<'_>,
    campaign: &str,
    ready: &Ready,
    expected: bool,
    done: &mut Imported,
) -> rusqlite::Result<Option<i64>> {
    let repro = &ready.repro;
    let now = now();
    let created = i64::try_from(repro.created).unwrap_or(now).min(now);
    let row = match bucket_of(tx, &ready.bucket.1)? {
        Some(row) => row,
        None => {
            done.buckets += 1;
            new_bucket(tx, ready, created, expected)?
        }
    };
    let (severity, why) = severity::of(&repro.finding);
    tx.prepare_cached("UPDATE buckets SET severity = ?2, why = ?3 WHERE row = ?1 AND severity > ?2")?
        .execute(params![row, severity as i64, why])?;
    let version = clean(&repro.target_version, 200);
    let kernel = clean(&repro.kernel, 200);
    let inserted = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO cases
             (bucket, campaign, digest, version, kernel, created, k, n, calls, repro, id, signature)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            row,
            campaign,
            format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&ready.bytes)),
            version,
            kernel,
            created,
            repro.confirmation.diverged.k,
            repro.confirmation.diverged.n,
            repro.program.calls.len() as i64,
            ready.bytes,
            repro.id,
            clean(&repro.signature.0, 1000),
        ])?;
    if inserted == 0 {
        return Ok(None);
    }
    done.cases += 1;
    tx.execute(
        "UPDATE campaigns SET version = ?2, kernel = ?3, target = iif(target = '', ?4, target) WHERE id = ?1",
        params![campaign, version, kernel, clean(&repro.target_name, 200)],
    )?;
    Ok(Some(row))
}

fn bucket_of(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<i64>> {
    tx.prepare_cached("SELECT row FROM buckets WHERE id = ?1")?.query_row([id], |r| r.get(0)).optional()
}

/// A bucket without its cases: [`refresh`] says the rest of it.
fn new_bucket(tx: &Transaction<'_>, ready: &Ready, created: i64, expected: bool) -> rusqlite::Result<i64> {
    let (severity, why) = severity::of(&ready.repro.finding);
    tx.prepare_cached(
        "INSERT INTO buckets (id, target, signature, severity, why, changed, first_seen, last_seen, first_import)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6, ?7)",
    )?
    .execute(params![
        ready.bucket.1,
        clean(&ready.repro.target_name, 200),
        clean(&ready.bucket.0.0, 1000),
        severity as i64,
        why,
        created,
        now(),
    ])?;
    let row = tx.last_insert_rowid();
    tx.execute("INSERT INTO search (rowid, notes) VALUES (?1, '')", [row])?;
    life::record(tx, row, created, "found", ("", "new"), "", Author::Import)?;
    if expected {
        life::set(tx, row, created, super::State::Known, "expected: it lay in expected/", Author::Import)?;
    }
    Ok(row)
}

/// Brings a bucket up to date with its cases: the shortest program speaks for it.
fn refresh(tx: &Transaction<'_>, row: i64) -> rusqlite::Result<()> {
    let best = tx
        .prepare_cached("SELECT repro FROM cases WHERE bucket = ?1 ORDER BY calls, row LIMIT 1")?
        .query_row([row], |r| r.get::<_, Vec<u8>>(0))
        .optional()?;
    // It was written by us, from what had been read.
    let Some(repro) = best.and_then(|bytes| Repro::from_bytes(&bytes).ok()) else { return Ok(()) };
    let Ok(code) = repro.code() else { return Ok(()) };
    let Facts { sentence, area, shape } = Facts::of(&repro, &code);
    let finding = &repro.finding;
    tx.prepare_cached(
        "UPDATE buckets SET sentence = ?2, calls = ?3, shape = ?4, k = ?5, n = ?6, area = ?7, oracle = ?8,
           call = ?9, field = ?10, kind = ?11, cause = ?12, class = ?13,
           first_seen = (SELECT min(created) FROM cases WHERE bucket = ?1),
           last_seen = max((SELECT max(created) FROM cases WHERE bucket = ?1),
             coalesce((SELECT max(at) FROM runs WHERE bucket = ?1 AND verdict = 'diverges'), 0)),
           versions = (SELECT group_concat(v, char(10)) FROM
             (SELECT version AS v FROM cases WHERE bucket = ?1 UNION
              SELECT version FROM runs WHERE bucket = ?1 AND verdict = 'diverges' ORDER BY 1))
         WHERE row = ?1",
    )?
    .execute(params![
        row,
        sentence,
        repro.program.calls.len() as i64,
        shape,
        repro.confirmation.diverged.k,
        repro.confirmation.diverged.n,
        area,
        clean(&finding.oracle, 100),
        clean(&finding.name, 100),
        clean(&finding.field, 100),
        clean(&finding.kind, 200),
        clean(&finding.cause, 100),
        finding.class.name(),
    ])?;
    let program = clean(&parallax_corpus::text::write(&repro.program), 16_000);
    tx.prepare_cached(
        "UPDATE search SET target = (SELECT target FROM buckets WHERE row = ?1),
           signature = (SELECT signature FROM buckets WHERE row = ?1) || char(10) ||
             (SELECT group_concat(DISTINCT signature) FROM cases WHERE bucket = ?1), sentence = ?2, program = ?3 WHERE rowid = ?1",
    )?
    .execute(params![row, sentence, program])
    .map(drop)
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
