//! Cases and their buckets: which bucket a case lies in, and what is said of a bucket by its cases.

use super::fill::{Found, Imported};
use super::life::{self, Author};
use super::{clean, now};
use crate::bucket::{self, Place};
use crate::explain;
use crate::severity;
use parallax_corpus::Code;
use parallax_harness::oracles::Signature;
use parallax_replay::Repro;
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::{BTreeMap, BTreeSet};

/// A case, read and explained.
pub(super) struct Ready {
    repro: Repro,
    /// The bucket it falls into.
    place: Place,
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
    pub(super) fn read(found: &Found) -> Result<Ready, String> {
        let repro = Repro::load(&found.path).map_err(|e| e.to_string())?;
        let in_file = |what: String| format!("{}: {what}", found.path.display());
        let code = repro.code().map_err(|e| in_file(e.to_string()))?;
        if repro.id != Repro::id_of(&repro.target_name, &repro.signature) {
            return Err(in_file("its id does not belong to its target and signature".to_owned()));
        }
        Ok(Ready { place: bucket::of(&repro, &code), bytes: repro.to_bytes(), repro })
    }
}

/// Keeps a case; its bucket's row, unless the campaign has it already.
pub(super) fn take_case(
    tx: &Transaction<'_>,
    campaign: &str,
    ready: &Ready,
    expected: bool,
    done: &mut Imported,
) -> rusqlite::Result<Option<i64>> {
    let repro = &ready.repro;
    let now = now();
    let created = i64::try_from(repro.created).unwrap_or(now).min(now);
    let id = |bucket: &Signature| Repro::id_of(&repro.target_name, bucket);
    let explained: Vec<String> = ready.place.explained_by.iter().map(id).collect();
    let known = bucket_of(tx, &id(&ready.place.bucket))?;
    let (severity, why) = severity::of(&repro.finding);
    let row = match known {
        Some(row) => row,
        None => new_bucket(tx, ready, created)?,
    };
    let version = clean(&repro.target_version, 200);
    let kernel = clean(&repro.kernel, 200);
    let inserted = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO cases
             (bucket, campaign, digest, version, kernel, created, k, n, calls, repro, id, signature,
               explained, expected, severity, why)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
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
            serde_json::to_string(&explained).unwrap_or_default(),
            expected,
            severity as i64,
            why,
        ])?;
    if inserted == 0 {
        if known.is_none() {
            // It is there already, in the bucket that explains it.
            forget(tx, row)?;
        }
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
fn new_bucket(tx: &Transaction<'_>, ready: &Ready, created: i64) -> rusqlite::Result<i64> {
    tx.prepare_cached(
        "INSERT INTO buckets (id, target, signature, changed, first_seen, last_seen, first_import)
         VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5)",
    )?
    .execute(params![
        Repro::id_of(&ready.repro.target_name, &ready.place.bucket),
        clean(&ready.repro.target_name, 200),
        clean(&ready.place.bucket.0, 1000),
        created,
        now(),
    ])?;
    let row = tx.last_insert_rowid();
    tx.execute("INSERT INTO search (rowid, notes) VALUES (?1, '')", [row])?;
    life::record(tx, row, created, "found", ("", "new"), "", Author::Import)?;
    Ok(row)
}

/// Takes a bucket without cases away.
fn forget(tx: &Transaction<'_>, row: i64) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM history WHERE bucket = ?1", [row])?;
    tx.execute("DELETE FROM search WHERE rowid = ?1", [row])?;
    tx.execute("DELETE FROM buckets WHERE row = ?1", [row]).map(drop)
}

/// Brings buckets up to date with their cases and replays, and their states with that.
pub(super) fn update(tx: &Transaction<'_>, rows: BTreeSet<i64>) -> rusqlite::Result<()> {
    rows.into_iter().try_for_each(|row| {
        refresh(tx, row)?;
        life::settle(tx, row)
    })
}

/// Brings a bucket up to date with its cases: the shortest program speaks for it, and it is as bad as its worst.
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
           (severity, why) = (SELECT severity, why FROM cases WHERE bucket = ?1 ORDER BY severity, calls, row LIMIT 1),
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

/// Moves each case into the bucket that explains it, where there is one by now: what a store holds is the same whichever
/// of its cases came first. A bucket that is left without a case goes, or points there if somebody has spoken of it.
pub(super) fn explain_cases(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let moves: Vec<(i64, String, i64, i64)> = tx
        .prepare_cached(
            "SELECT cases.row, cases.id, cases.bucket,
               (SELECT buckets.row FROM json_each(explained) JOIN buckets ON buckets.id = value ORDER BY key LIMIT 1)
               AS better
             FROM cases WHERE explained <> '[]' AND better IS NOT NULL AND better <> cases.bucket",
        )?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut touched = BTreeSet::new();
    let (mut left, mut told) = (BTreeMap::new(), BTreeSet::new());
    for (case, id, from, to) in moves {
        tx.prepare_cached("UPDATE cases SET bucket = ?2 WHERE row = ?1")?.execute([case, to])?;
        tx.prepare_cached("UPDATE runs SET bucket = ?2 WHERE id = ?1")?.execute(params![id, to])?;
        touched.insert(to);
        if told.insert((to, id.clone())) {
            life::record(
                tx,
                to,
                now(),
                "case joined",
                ("", &id),
                "another error, which this explains",
                Author::Import,
            )?;
        }
        left.insert(from, to);
    }
    for (from, to) in left {
        let some = |sql: &str| tx.prepare_cached(sql)?.query_row([from], |r| r.get::<_, bool>(0));
        if some("SELECT EXISTS (SELECT 1 FROM cases WHERE bucket = ?1)")? {
            touched.insert(from);
        } else if some(
            "SELECT EXISTS (SELECT 1 FROM history WHERE bucket = ?1 AND by = 'person')
               OR EXISTS (SELECT 1 FROM buckets WHERE merged = ?1)",
        )? {
            tx.execute("UPDATE buckets SET merged = ?2 WHERE row = ?1 AND merged IS NULL", [from, to])?;
            life::record(
                tx,
                from,
                now(),
                "merged",
                ("", ""),
                "all its cases are explained there",
                Author::Import,
            )?;
        } else {
            forget(tx, from)?;
        }
    }
    update(tx, touched)
}
