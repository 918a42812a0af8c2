//! The store of cases over time: what campaigns found and replays showed, in buckets, with what became of each.
//!
//! Repro files stay the source of truth: [`Db::rebuild`] makes the store anew from the folders it was filled from.
//! What people decided lies beside it in a journal (`journal.rs`), so that this is not lost either. One import is one
//! transaction; several processes may read and write at once, and one that is killed leaves the store as it was.

mod fill;
mod journal;
mod life;
mod list;
mod look;
mod matrix;
mod near;
mod place;

pub use fill::Imported;
pub use life::{Change, State};
pub use list::{Facet, Filter, Listed, Order, PAGE};
pub use look::{Bucket, CallCount, CampaignRow, CaseRow, HistoryRow, Point, Summary, TargetCoverage};
pub use matrix::{Cell, MAX_VERSIONS, MatrixPart, MatrixRow, Verdict};
pub use near::Near;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The version of the schema this code knows.
const VERSION: i32 = 3;
/// The row of the bucket that has the id `?1`, or holds the case of that id: whoever has a repro file finds its bucket.
const HOLDER: &str =
    "coalesce((SELECT row FROM buckets WHERE id = ?1), (SELECT bucket FROM cases WHERE id = ?1))";
const SCHEMA: &str = include_str!("schema.sql");
/// How long one writer waits for another.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the store cannot be used. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The disk is full.
    #[error("{0}: the disk is full: nothing of this import was kept; make room and import again")]
    Full(PathBuf),
    /// Another process writes for very long.
    #[error("{0}: another process has been writing to the store for a minute: try again when it is done")]
    Busy(PathBuf),
    /// It is no store, or a damaged one.
    #[error(
        "{path}: damaged, or no store ({error}): `parallax triage rebuild` makes it anew from the repro files"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
    /// A newer Parallax wrote it.
    #[error(
        "{path}: a newer Parallax wrote this store (version {found}, this one knows {VERSION}): use that, or another --store"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// An older Parallax wrote it.
    #[error(
        "{path}: an older Parallax wrote this store (version {found}, this one writes {VERSION}): `parallax triage rebuild` makes it anew, with all decisions"
    )]
    Older {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// A file or folder cannot be used.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        error: std::io::Error,
    },
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// Anything else.
    #[error("{path}: {error}")]
    Other {
        /// Which store.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
}

/// The store, opened.
#[derive(Debug)]
pub struct Db {
    path: PathBuf,
    sql: Connection,
}

impl Db {
    /// Opens a store, making it if there is none.
    ///
    /// # Errors
    /// It cannot be made, is damaged, or is of another version.
    pub fn open(path: &Path) -> Result<Db, DbError> {
        let db = Db::open_to_rebuild(path)?;
        let found = db.version().map_err(|e| told(path, e))?;
        if found < VERSION {
            return Err(DbError::Older { path: path.to_owned(), found });
        }
        Ok(db)
    }

    /// The same, also of an older version: for [`Db::rebuild`] only.
    ///
    /// # Errors
    /// It cannot be made, is damaged, or is a newer one.
    pub fn open_to_rebuild(path: &Path) -> Result<Db, DbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sql = Connection::open_with_flags(path, flags).map_err(|e| told(path, e))?;
        let mut db = Db { path: path.to_owned(), sql };
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = db.prepare() {
            let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
            if !busy || Instant::now() > deadline {
                return Err(told(path, error));
            }
            // Two that turn a new file's journal on at once: SQLite refuses one of them without waiting.
            std::thread::sleep(Duration::from_millis(10));
        }
        let found: i32 = db.version().map_err(|e| told(path, e))?;
        if found > VERSION {
            return Err(DbError::Newer { path: path.to_owned(), found });
        }
        Ok(db)
    }

    fn version(&self) -> rusqlite::Result<i32> {
        self.sql.query_row("PRAGMA user_version", [], |row| row.get(0))
    }

    fn prepare(&mut self) -> rusqlite::Result<()> {
        self.sql.busy_timeout(PATIENCE)?;
        // A file from elsewhere must not bring code of its own.
        self.sql.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        self.sql.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        self.sql.pragma_update(None, "journal_mode", "WAL")?;
        // With WAL this outlives every crash of a process, and a power cut but for the last transactions.
        self.sql.pragma_update(None, "synchronous", "NORMAL")?;
        self.sql.pragma_update(None, "foreign_keys", true)?;
        self.sql.pragma_update(None, "cache_size", -32_000)?;
        if self.version()? == 0 {
            let tx = self.sql.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            // Another process may have been faster.
            if tx.query_row("PRAGMA user_version", [], |row| row.get::<_, i32>(0))? == 0 {
                tx.execute_batch(SCHEMA)?;
            }
            tx.commit()?;
        }
        Ok(())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that changes with every change another connection made.
    ///
    /// # Errors
    /// As of the store.
    pub fn stamp(&self) -> Result<i64, DbError> {
        self.say(self.sql.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }

    fn say<T>(&self, result: rusqlite::Result<T>) -> Result<T, DbError> {
        result.map_err(|e| told(&self.path, e))
    }
}

/// What SQLite says, in words that say what to do.
fn told(path: &Path, error: rusqlite::Error) -> DbError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => DbError::Full(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DbError::Busy(path),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => DbError::Damaged { path, error },
        // A full disk can also show as a write that failed.
        Some(ErrorCode::SystemIoFailure) if is_full(&path) => DbError::Full(path),
        _ => DbError::Other { path, error },
    }
}

/// Whether a few more bytes still fit beside that file.
fn is_full(path: &Path) -> bool {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tried = tempfile::tempfile_in(dir).and_then(|mut file| {
        use std::io::Write;
        file.write_all(&[0; 16 << 10])
    });
    tried.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

/// The longest beginning of a text that fits so many bytes, without what has no place in a line.
fn clean(text: &str, max: usize) -> String {
    let kept: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    parallax_replay::limits::clip(&kept, max).to_owned()
}
