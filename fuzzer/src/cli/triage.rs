//! `parallax triage`: cases over time, in a store, as pages.

use super::code;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use parallax_dashboard::{Options as Serve, serve};
use parallax_triage::db::{Db, Imported};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The store's name in the first folder, where none is given.
pub(super) const STORE: &str = "triage.sqlite";

/// Follow cases over time: as pages, as files, as a store.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  parallax triage serve parallax-out                    pages on http://127.0.0.1:7070/
  parallax triage serve night-* --store team.sqlite     several campaigns, one store
  parallax triage export parallax-out --out pages       the same pages as files
  parallax triage rebuild parallax-out                  the store anew from the repro files

The store is DIR/triage.sqlite of the first folder, unless --store says where. What people decided is also in
FILE.journal beside it, from which it can be made anew.")]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Serve the pages of campaigns, and follow those that run
    Serve(ServeOptions),
    /// Write the pages into a folder
    Export(ExportOptions),
    /// Take in what is new, and say what
    Import(Stored),
    /// Make the store anew from repro files, results of replays and the journal of decisions
    Rebuild(Stored),
}

#[derive(Debug, Args)]
struct Stored {
    /// Campaign folders (`--out` of fuzz), or folders of repro files
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The store; made if it is not there
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeOptions {
    #[command(flatten)]
    stored: Stored,
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// What readers must show; needed for addresses that other machines can reach. Also PARALLAX_TOKEN
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

#[derive(Debug, Args)]
struct ExportOptions {
    #[command(flatten)]
    stored: Stored,
    /// The folder the pages are written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Stored {
    fn store(&self) -> PathBuf {
        let first = self.dirs.first().map_or(Path::new("."), PathBuf::as_path);
        self.store.clone().unwrap_or_else(|| first.join(STORE))
    }

    fn imported(&self) -> anyhow::Result<Db> {
        let mut db = Db::open(&self.store())?;
        tell(&db.import(&self.dirs)?);
        Ok(db)
    }
}

fn tell(done: &Imported) {
    done.unreadable.iter().for_each(|what| eprintln!("left alone: {what}"));
    if *done != Imported::default() {
        let Imported { cases, buckets, replays, .. } = done;
        eprintln!("took in {cases} cases in {buckets} new buckets, and {replays} results of replays");
    }
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    match &options.what {
        What::Serve(options) => {
            let token = options.token.clone().or_else(|| std::env::var("PARALLAX_TOKEN").ok());
            let how = Serve {
                store: options.stored.store(),
                dirs: options.stored.dirs.clone(),
                listen: options.listen,
                token,
            };
            serve(how, &|address| {
                // Whoever started it may read this to learn the port.
                let mut out = std::io::stdout().lock();
                let _ = writeln!(out, "http://{address}/").and_then(|()| out.flush());
            })?;
        }
        What::Export(options) => {
            let db = options.stored.imported()?;
            let pages = parallax_dashboard::export(&db, &options.out)?;
            let index = options.out.join("index.html");
            writeln!(std::io::stdout(), "{pages} pages: {}", index.display())?;
        }
        What::Import(stored) => drop(stored.imported()?),
        What::Rebuild(stored) => {
            let store = stored.store();
            let mut db = match Db::open_to_rebuild(&store) {
                Err(parallax_triage::db::DbError::Damaged { .. }) => {
                    put_aside(&store)?;
                    Db::open_to_rebuild(&store)?
                }
                opened => opened?,
            };
            tell(&db.rebuild(&stored.dirs)?);
        }
    }
    Ok(code::OK)
}

/// Renames a damaged store, so that a new one can take its place.
fn put_aside(store: &Path) -> anyhow::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let with = |more: &str| {
            let mut name = store.as_os_str().to_owned();
            name.push(more);
            PathBuf::from(name)
        };
        let (from, to) = (with(ending), with(&format!(".damaged{ending}")));
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot rename {}", from.display()));
            }
            _ => {}
        }
    }
    eprintln!("the damaged store is now {}.damaged", store.display());
    Ok(())
}
