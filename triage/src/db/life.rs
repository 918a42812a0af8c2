//! The life of a bucket: its state, who changed it when and why, notes, and which buckets are one.

use super::journal::{self, Decision};
use super::{Db, DbError, HOLDER, clean, now, told};
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

/// Longest reason or note, in bytes.
pub const MAX_TEXT: usize = 4000;

/// Where a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nobody has looked at it.
    New,
    /// It is a bug: a person says so, or a later replay showed it in every run.
    Confirmed,
    /// It is reported, or accepted.
    Known,
    /// It is gone.
    Fixed,
    /// It was fixed and has come back.
    Reopened,
    /// It is none, for a reason that is given.
    NotABug,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] =
        [State::New, State::Reopened, State::Confirmed, State::Known, State::Fixed, State::NotABug];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            State::New => "new",
            State::Confirmed => "confirmed",
            State::Known => "known",
            State::Fixed => "fixed",
            State::Reopened => "reopened",
            State::NotABug => "not-a-bug",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Whether somebody should still look at it.
    pub fn is_open(self) -> bool {
        matches!(self, State::New | State::Confirmed | State::Reopened)
    }

    /// The states a person may put a bucket into that is in this one.
    pub fn next(self) -> Vec<State> {
        let all = [State::Confirmed, State::Known, State::Fixed, State::NotABug];
        let mut next: Vec<State> = all.into_iter().filter(|s| *s != self).collect();
        if self == State::Fixed {
            next.insert(0, State::Reopened);
        }
        next
    }
}

/// Whose doing a change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    Person,
    Import,
    Replay,
}

impl Author {
    fn name(self) -> &'static str {
        match self {
            Author::Person => "person",
            Author::Import => "import",
            Author::Replay => "replay",
        }
    }
}

/// What a person does to a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another state, for a reason.
    State(State, String),
    /// A note.
    Note(String),
    /// It is the same as that bucket.
    Merge(String),
    /// It is not the same after all.
    Apart,
}

impl Db {
    /// Does what a person decided, dates it, and writes it into the journal.
    ///
    /// # Errors
    /// There is no such bucket, it cannot be done, or the store cannot be written: then nothing is changed.
    pub fn change(&mut self, bucket: &str, change: Change) -> Result<(), DbError> {
        let (what, now_is, text) = match change {
            Change::State(state, reason) => ("state", state.name().to_owned(), reason),
            Change::Note(text) => ("note", String::new(), text),
            Change::Merge(into) => ("merge", into, String::new()),
            Change::Apart => ("apart", String::new(), String::new()),
        };
        if text.len() > MAX_TEXT {
            return Err(DbError::Refused(format!("the text is longer than the {MAX_TEXT} bytes allowed")));
        }
        let text = clean(text.trim(), MAX_TEXT);
        let decision =
            Decision { at: now(), bucket: bucket.to_owned(), what: what.to_owned(), now: now_is, text };
        let path = self.path.clone();
        let say = |e| told(&path, e);
        let tx = self.sql.transaction_with_behavior(TransactionBehavior::Immediate).map_err(say)?;
        if let Some(wrong) = refusal(&tx, &decision).map_err(say)? {
            return Err(DbError::Refused(wrong));
        }
        again(&tx, &decision).map_err(say)?;
        // First the journal: what is in the store is in the journal.
        journal::add(&path, &decision)?;
        tx.commit().map_err(say)
    }
}

/// Why a decision cannot be carried out.
fn refusal(tx: &Transaction<'_>, decision: &Decision) -> rusqlite::Result<Option<String>> {
    let Some((row, state)) = find(tx, &decision.bucket)? else {
        return Ok(Some(format!("there is no bucket {}", decision.bucket)));
    };
    let merged: Option<i64> =
        tx.query_row("SELECT merged FROM buckets WHERE row = ?1", [row], |r| r.get(0))?;
    Ok(match decision.what.as_str() {
        "state" => match State::named(&decision.now) {
            None => Some(format!("there is no state {}", decision.now)),
            Some(to) if !state.next().contains(&to) => {
                Some(format!("a bucket that is {} cannot become {}", state.name(), to.name()))
            }
            Some(State::NotABug) if decision.text.is_empty() => Some("say why it is not a bug".to_owned()),
            Some(_) => None,
        },
        "note" => decision.text.is_empty().then(|| "an empty note".to_owned()),
        "merge" => match find(tx, &decision.now)? {
            None => Some(format!("there is no bucket {}", decision.now)),
            Some((into, _)) if into == row => Some("a bucket is itself already".to_owned()),
            Some((into, _)) => {
                let of = |sql: &str, row: i64| tx.query_row(sql, [row], |r| r.get::<_, bool>(0));
                let is_merged = of("SELECT merged IS NOT NULL FROM buckets WHERE row = ?1", into)?;
                let has_others = of("SELECT EXISTS (SELECT 1 FROM buckets WHERE merged = ?1)", row)?;
                let other_target = tx.query_row(
                    "SELECT a.target <> b.target FROM buckets a, buckets b WHERE a.row = ?1 AND b.row = ?2",
                    [row, into],
                    |r| r.get::<_, bool>(0),
                )?;
                if merged.is_some() || is_merged || has_others {
                    Some("one of the two is merged already: take them apart first".to_owned())
                } else if other_target {
                    Some("they are of two targets".to_owned())
                } else {
                    None
                }
            }
        },
        "apart" => merged.is_none().then(|| "it is not merged".to_owned()),
        what => Some(format!("there is no decision `{what}`")),
    })
}

/// Carries out a decision, now or when the store is made anew. One about a bucket that is gone is left out, and so is a
/// merge of what is one bucket by now.
pub(super) fn again(tx: &Transaction<'_>, decision: &Decision) -> rusqlite::Result<()> {
    let Some((row, state)) = find(tx, &decision.bucket)? else { return Ok(()) };
    let Decision { at, text, .. } = decision;
    match decision.what.as_str() {
        "state" => match State::named(&decision.now) {
            Some(to) if to != state => set(tx, row, *at, to, text, Author::Person),
            _ => Ok(()),
        },
        "note" => {
            record(tx, row, *at, "note", ("", ""), text, Author::Person)?;
            tx.execute(
                "UPDATE search SET notes = notes || char(10) || ?2 WHERE rowid = ?1",
                params![row, text],
            )
            .map(drop)
        }
        "merge" => {
            let Some((into, _)) = find(tx, &decision.now)? else { return Ok(()) };
            if refusal(tx, decision)?.is_some() {
                return Ok(());
            }
            tx.execute("UPDATE buckets SET merged = ?2 WHERE row = ?1", params![row, into])?;
            record(tx, row, *at, "merged", ("", &decision.now), text, Author::Person)?;
            record(tx, into, *at, "joined by", ("", &decision.bucket), text, Author::Person)
        }
        "apart" => {
            tx.execute("UPDATE buckets SET merged = NULL WHERE row = ?1", [row])?;
            record(tx, row, *at, "taken apart", ("", ""), text, Author::Person)
        }
        _ => Ok(()),
    }
}

fn find(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<(i64, State)>> {
    tx.prepare_cached(&format!("SELECT row, state FROM buckets WHERE row = {HOLDER}"))?
        .query_row([id], |r| {
            let state: String = r.get(1)?;
            Ok((r.get(0)?, State::named(&state).unwrap_or(State::New)))
        })
        .optional()
}

/// Puts a bucket into a state, with a line of history.
pub(super) fn set(
    tx: &Transaction<'_>,
    row: i64,
    at: i64,
    to: State,
    reason: &str,
    by: Author,
) -> rusqlite::Result<()> {
    let was: String = tx.query_row("SELECT state FROM buckets WHERE row = ?1", [row], |r| r.get(0))?;
    tx.execute(
        "UPDATE buckets SET state = ?2, reason = ?3, changed = ?4 WHERE row = ?1",
        params![row, to.name(), reason, at],
    )?;
    record(tx, row, at, "state", (&was, to.name()), reason, by)
}

/// Adds a line to a bucket's history.
pub(super) fn record(
    tx: &Transaction<'_>,
    row: i64,
    at: i64,
    what: &str,
    (was, now): (&str, &str),
    text: &str,
    by: Author,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO history (bucket, at, what, was, now, text, by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![row, at, what, was, now, text, by.name()])
    .map(drop)
}

/// All buckets that count as fixed.
pub(super) fn fixed_ones(tx: &Transaction<'_>) -> rusqlite::Result<Vec<i64>> {
    tx.prepare("SELECT row FROM buckets WHERE state = 'fixed'")?.query_map([], |r| r.get(0))?.collect()
}

/// What follows from cases that lay where what is expected lies: a bucket nobody has spoken of is known if all of its cases
/// did, and new if one did not.
fn settle_expected(tx: &Transaction<'_>, row: i64) -> rusqlite::Result<()> {
    let (state, at, all, spoken): (String, i64, bool, bool) = tx
        .prepare_cached(
            "SELECT state, changed,
               NOT EXISTS (SELECT 1 FROM cases WHERE bucket = ?1 AND NOT expected),
               EXISTS (SELECT 1 FROM history WHERE bucket = ?1 AND what = 'state' AND by <> 'import')
             FROM buckets WHERE row = ?1",
        )?
        .query_row([row], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
    match State::named(&state) {
        Some(State::New) if all && !spoken => {
            set(tx, row, at, State::Known, "expected: it lay in expected/", Author::Import)
        }
        Some(State::Known) if !all && !spoken => {
            set(tx, row, at, State::New, "one of its cases is not expected", Author::Import)
        }
        _ => Ok(()),
    }
}

/// What follows from new evidence by itself: a replay that shows a new bucket in every run confirms it; a fixed one that
/// shows again is reopened.
///
/// Evidence that a version is as wrong as it was before the fix reopens nothing: only a version that was not known to
/// diverge before, or one that had agreed.
pub(super) fn settle(tx: &Transaction<'_>, row: i64) -> rusqlite::Result<()> {
    settle_expected(tx, row)?;
    let (state, changed): (String, i64) =
        tx.query_row("SELECT state, changed FROM buckets WHERE row = ?1", [row], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })?;
    match State::named(&state) {
        Some(State::New) => {
            let shown = tx
                .prepare_cached(
                    "SELECT at, version, k, n FROM runs
                     WHERE bucket = ?1 AND verdict = 'diverges' AND n > 1 AND k = n ORDER BY at LIMIT 1",
                )?
                .query_row([row], |r| {
                    Ok((r.get(0)?, r.get::<_, String>(1)?, r.get::<_, i64>(2)?, r.get::<_, i64>(3)?))
                })
                .optional()?;
            if let Some((at, version, k, n)) = shown {
                let reason = format!("a replay on {version} showed it in {k} of {n} runs");
                set(tx, row, at, State::Confirmed, &reason, Author::Replay)?;
            }
        }
        Some(State::Fixed) => {
            let back = tx
                .prepare_cached(
                    "WITH shown (version, at) AS (
                       SELECT version, created FROM cases WHERE bucket = ?1
                       UNION ALL
                       SELECT version, at FROM runs WHERE bucket = ?1 AND verdict IN ('diverges', 'flaky'))
                     SELECT version, at FROM shown AS new WHERE at > ?2 AND (
                       NOT EXISTS (SELECT 1 FROM shown AS old WHERE old.version = new.version AND old.at <= ?2)
                       OR EXISTS (SELECT 1 FROM runs WHERE bucket = ?1 AND runs.version = new.version
                                  AND verdict = 'agrees' AND runs.at <= new.at))
                     ORDER BY at LIMIT 1",
                )?
                .query_row(params![row, changed], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?)))
                .optional()?;
            if let Some((version, at)) = back {
                set(tx, row, at, State::Reopened, &format!("it is back on {version}"), Author::Import)?;
            }
        }
        _ => {}
    }
    Ok(())
}
