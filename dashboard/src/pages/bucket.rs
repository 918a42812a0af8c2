//! One bucket: what differs, in words and in both traces, how to see it again, and what became of it.

use super::Frame;
use crate::links::Links;
use crate::words;
use askama::Template;
use parallax_corpus::{End, Program, text};
use parallax_replay::outcomes::{Mark, Row, rows};
use parallax_replay::render_text::show_end;
use parallax_replay::{Repro, render_c};
use parallax_triage::db::{Bucket, Cell, Db, DbError, Near};
use parallax_triage::explain::{Explanation, Piece, explain, lit};
use std::collections::BTreeSet;

/// The page of a bucket.
#[derive(Debug, Template)]
#[template(path = "bucket.html")]
pub struct BucketPage {
    frame: Frame,
    bucket: Bucket,
    reliability: String,
    /// How many different cases there are.
    different: usize,
    case: Option<CaseView>,
    versions: Vec<(String, Cell)>,
    changed: Vec<String>,
    near: Vec<Near>,
    /// What a form must bring along; none where nothing can be changed.
    token: Option<String>,
    said: Option<String>,
}

#[derive(Debug)]
struct CaseView {
    id: String,
    signature: String,
    explained: Explanation,
    kernel: String,
    version: String,
    rows: Vec<RowView>,
    /// Looks that gave the same and are not shown.
    same: usize,
    ends: Vec<String>,
    last_words: String,
    command: String,
    worlds: Vec<String>,
    c: String,
    c_lines: usize,
}

#[derive(Debug)]
struct RowView {
    call: String,
    finding: bool,
    /// The first of what was left behind.
    between: bool,
    native: Vec<Piece>,
    target: Vec<Piece>,
    fields: Vec<FieldView>,
}

#[derive(Debug)]
struct FieldView {
    name: String,
    native: Vec<Piece>,
    target: Vec<Piece>,
}

impl BucketPage {
    /// The page of the bucket of that id, if there is one. `said` is shown above it.
    ///
    /// # Errors
    /// As of the store.
    pub fn new(
        db: &Db,
        links: &Links,
        id: &str,
        token: Option<&str>,
        said: Option<String>,
    ) -> Result<Option<BucketPage>, DbError> {
        let Some(bucket) = db.bucket(id)? else { return Ok(None) };
        let (names, rows) = db.matrix(&bucket.summary.target, Some(id))?;
        let row = rows.into_iter().next();
        let changed = row.as_ref().map(|r| r.changed.clone()).unwrap_or_default();
        let versions = names.into_iter().zip(row.map(|r| r.cells).unwrap_or_default()).collect();
        let case = bucket.shown.as_ref().and_then(|repro| CaseView::new(repro));
        let mut frame = Frame::new(links, &bucket.summary.signature, "buckets");
        frame.title.truncate(parallax_replay::limits::clip(&frame.title, 120).len());
        Ok(Some(BucketPage {
            frame,
            reliability: reliability(&bucket),
            different: bucket.cases.iter().map(|case| &case.id).collect::<BTreeSet<_>>().len(),
            case,
            versions,
            changed,
            near: db.near(id)?,
            token: token.filter(|_| links.is_live()).map(str::to_owned),
            said,
            bucket,
        }))
    }

    fn is_shown(&self, id: &str) -> bool {
        self.case.as_ref().is_some_and(|case| case.id == id)
    }
}

fn reliability(bucket: &Bucket) -> String {
    let Some(confirmation) = bucket.shown.as_ref().map(|repro| repro.confirmation) else {
        return format!("shown in {} of {} runs", bucket.summary.k, bucket.summary.n);
    };
    let shown = format!("shown in {} runs", confirmation.diverged);
    if confirmation.native_self.n == 0 && confirmation.target_self.n == 0 {
        return shown;
    }
    let (native, target) = (confirmation.native_self, confirmation.target_self);
    format!("{shown}; Linux agreed with itself in {native}, the target in {target}")
}

impl CaseView {
    fn new(repro: &Repro) -> Option<CaseView> {
        let code = repro.code().ok()?;
        let all = rows(repro, &code);
        let shown = |row: &&Row| !row.probe || row.mark != Mark::Same;
        let same = all.len() - all.iter().filter(shown).count();
        let mut between = false;
        let rows = all.iter().filter(shown).map(|row| {
            let first = row.probe && !between;
            between |= row.probe;
            RowView { between: first, ..RowView::new(row) }
        });
        let rows: Vec<RowView> = rows.collect();
        let c = render_c::render_c(repro).unwrap_or_else(|error| format!("// {error}\n"));
        let ends = [("Linux", repro.native.end), (repro.target_name.as_str(), repro.target.end)];
        Some(CaseView {
            id: repro.id.clone(),
            signature: repro.signature.0.clone(),
            explained: explain(repro, &code),
            kernel: repro.kernel.clone(),
            version: repro.target_version.clone(),
            rows,
            same,
            ends: ends
                .into_iter()
                .filter(|(_, end)| *end != End::Exited)
                .map(|(side, end)| format!("{side}: the program {}.", show_end(end)))
                .collect(),
            last_words: repro.last_words.clone(),
            command: command(repro),
            worlds: repro.environment_differences(),
            c_lines: c.lines().count(),
            c,
        })
    }
}

impl RowView {
    fn new(row: &Row) -> RowView {
        let finding = row.mark == Mark::Finding;
        let differs = row.mark != Mark::Same;
        // Numbers that are free by their meaning differ without being a difference.
        let lights = |a: &str, b: &str, on: bool| match on {
            true => lit(a, b),
            false => (plain(a), plain(b)),
        };
        let in_fields = row.fields.iter().any(|f| f.differs);
        let (native, target) = lights(&row.native, &row.target, differs && !in_fields);
        let single = row.fields.len() == 1 && !row.probe;
        let fields = row.fields.iter().filter(|f| f.differs || single || finding && !in_fields);
        let fields = fields
            .map(|f| {
                let (native, target) = lights(&f.native, &f.target, f.differs);
                FieldView { name: f.name.clone(), native, target }
            })
            .collect();
        RowView { call: row.call.clone(), finding, between: false, native, target, fields }
    }
}

fn plain(text: &str) -> Vec<Piece> {
    vec![Piece { text: text.to_owned(), lit: false }]
}

/// What shows the case again, to be copied.
fn command(repro: &Repro) -> String {
    let file = format!("DIR/cases/{}.plx", repro.id);
    let target = match &repro.target_command {
        Some(command) if repro.target_name.starts_with("command") => {
            format!("--target-cmd {}", words::quoted(command))
        }
        _ => format!("--target {}", words::quoted(&repro.target_name)),
    };
    let program = text::write(&Program { calls: repro.program.calls.clone() });
    format!("parallax replay {file} {target} --runs 20\n\n# {}", program.trim_end().replace('\n', "\n# "))
}
