//! The pages as files: for an artifact of CI, or to be sent to somebody.

use crate::ASSETS;
use crate::links::Links;
use crate::pages::{
    BucketPage, BucketsPage, CampaignPage, CampaignsPage, CoveragePage, MatrixPage, OverviewPage,
};
use askama::Template;
use parallax_triage::db::{Bucket, Db, DbError, Filter, Listed, State};
use parallax_triage::severity::Severity;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why pages cannot be written. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A file or folder.
    #[error("{0}: cannot be written: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// A page cannot be made.
    #[error("a page cannot be made: {0}")]
    Page(#[from] askama::Error),
    /// Something else is there.
    #[error("{0}: holds other files than an export: give an empty or a new folder")]
    Occupied(PathBuf),
}

/// The name of a file that says that the folder is an export's.
const MARK: &str = "parallax-export";

/// Writes all pages into a folder, with links that work anywhere. Gives how many.
///
/// # Errors
/// The store cannot be read or the folder not written, or it holds something else.
pub fn export(db: &Db, out: &Path) -> Result<usize, ExportError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| ExportError::Io(path, error)
    };
    fs::create_dir_all(out).map_err(io(out))?;
    let occupied = fs::read_dir(out).map_err(io(out))?.next().is_some();
    if occupied && !out.join(MARK).exists() {
        return Err(ExportError::Occupied(out.to_owned()));
    }
    let mut files = Files { out, written: 0 };
    files.write(MARK, b"Pages of parallax triage export.\n")?;
    for (name, content, _) in ASSETS {
        files.write(&format!("assets/{name}"), content.as_bytes())?;
    }
    let (top, below) = (Links::files(""), Links::files("../"));
    files.page("index.html", &OverviewPage::new(db, &top, None)?)?;
    files.page("coverage.html", &CoveragePage::new(db, &top)?)?;
    files.page("matrix.html", &MatrixPage::new(db, &top, "", 0)?)?;
    for target in db.targets()? {
        files.page(&top.matrix(&target), &MatrixPage::new(db, &top, &target, 0)?)?;
    }
    files.page("campaigns.html", &CampaignsPage::new(db, &top)?)?;
    for campaign in db.campaigns()? {
        if let Some(page) = CampaignPage::new(db, &below, &campaign.id)? {
            files.page(&top.campaign(&campaign.id), &page)?;
        }
    }
    let all = whole(db, &Filter::default())?;
    for (facet, values) in linked(db, &all)? {
        for value in values {
            let filter = Filter::default().with(facet, &value);
            let listed = whole(db, &filter)?;
            files.page(&top.buckets(&filter), &BucketsPage::of(listed, &top, filter))?;
        }
    }
    for bucket in &all.buckets {
        let Some(found) = db.bucket(&bucket.id)? else { continue };
        files.bucket(db, &below, &found)?;
        // Merged buckets are reached from those they are merged into.
        for member in &found.members {
            if let Some(member) = db.bucket(&member.id)? {
                files.bucket(db, &below, &member)?;
            }
        }
    }
    files.page("buckets.html", &BucketsPage::of(all, &top, Filter::default()))?;
    Ok(files.written)
}

/// The values of facets that pages link to: those of buckets, and those that a page names though no bucket has them.
fn linked(db: &Db, all: &Listed) -> Result<BTreeMap<&'static str, BTreeSet<String>>, DbError> {
    let mut linked: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for (facet, values) in &all.facets {
        linked.entry(facet).or_default().extend(values.iter().map(|v| v.value.clone()));
    }
    let mut also = |facet, value: &str| {
        linked.entry(facet).or_default().insert(value.to_owned());
    };
    also("state", "open");
    State::ALL.into_iter().for_each(|state| also("state", state.name()));
    Severity::ALL.into_iter().for_each(|severity| also("severity", severity.name()));
    for campaign in db.campaigns()? {
        also("target", &campaign.target);
    }
    for bucket in &all.buckets {
        for member in db.bucket(&bucket.id)?.map(|b| b.members).unwrap_or_default() {
            also("class", &member.class);
            also("area", &member.area);
            also("call", &member.call);
        }
    }
    for values in linked.values_mut() {
        values.remove("");
    }
    Ok(linked)
}

/// All buckets of a filter on one page.
fn whole(db: &Db, filter: &Filter) -> Result<Listed, DbError> {
    let mut all = db.list(filter)?;
    let mut page = 1;
    while all.buckets.len() < all.total {
        let mut more = db.list(&Filter { page, ..filter.clone() })?.buckets;
        if more.is_empty() {
            break;
        }
        all.buckets.append(&mut more);
        page += 1;
    }
    Ok(all)
}

struct Files<'a> {
    out: &'a Path,
    written: usize,
}

impl Files<'_> {
    /// The page of a bucket, and one for each of its cases.
    fn bucket(&mut self, db: &Db, links: &Links, bucket: &Bucket) -> Result<(), ExportError> {
        let ids: BTreeSet<&str> = bucket.cases.iter().map(|case| case.id.as_str()).collect();
        for id in ids.into_iter().chain([bucket.summary.id.as_str()]) {
            if let Some(page) = BucketPage::new(db, links, id, None, None)? {
                self.page(&Links::files("").bucket(id), &page)?;
            }
        }
        Ok(())
    }

    fn page(&mut self, name: &str, page: &impl Template) -> Result<(), ExportError> {
        let text = page.render()?;
        self.written += 1;
        self.write(name, text.as_bytes())
    }

    /// Writes a file whole: a reader of an export that is made again sees the old page or the new one.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), ExportError> {
        let path = self.out.join(name);
        let failed = |error| ExportError::Io(path.clone(), error);
        let dir = path.parent().unwrap_or(self.out);
        fs::create_dir_all(dir).map_err(failed)?;
        let mut temporary = path.clone().into_os_string();
        temporary.push(".tmp");
        fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, &path)).map_err(|error| {
            let _ = fs::remove_file(&temporary);
            ExportError::Io(path.clone(), error)
        })
    }
}
