//! Campaigns: all of them, one with its curves, and the numbers that change while one runs.

use super::Frame;
use crate::links::Links;
use crate::{charts, words};
use askama::Template;
use parallax_triage::db::{CampaignRow, Db, DbError};
use std::collections::BTreeMap;

/// All campaigns.
#[derive(Debug, Template)]
#[template(path = "campaigns.html")]
pub struct CampaignsPage {
    frame: Frame,
    pub(super) campaigns: Vec<CampaignRow>,
}

impl CampaignsPage {
    /// The one that changed last first.
    ///
    /// # Errors
    /// As of the store.
    pub fn new(db: &Db, links: &Links) -> Result<CampaignsPage, DbError> {
        Ok(CampaignsPage {
            frame: Frame::new(links, "Campaigns", "campaigns").alive(),
            campaigns: db.campaigns()?,
        })
    }
}

/// One campaign.
#[derive(Debug, Template)]
#[template(path = "campaign.html")]
pub struct CampaignPage {
    frame: Frame,
    c: CampaignRow,
    ok: u64,
    charts: Vec<(&'static str, String)>,
}

impl CampaignPage {
    /// The campaign of that id, if there is one.
    ///
    /// # Errors
    /// As of the store.
    pub fn new(db: &Db, links: &Links, id: &str) -> Result<Option<CampaignPage>, DbError> {
        let Some(c) = db.campaigns()?.into_iter().find(|c| c.id == id) else { return Ok(None) };
        let points = db.points(id)?;
        let over = |of: &dyn Fn(&parallax_triage::db::Point) -> f64| -> Vec<(f64, f64)> {
            points.iter().map(|p| (p.seconds, of(p))).collect()
        };
        let finds = found_over_time(&db.finds(id)?, c.stats.seconds);
        let curves = [
            ("Cases over time", charts::curve("seconds", "cases", &finds)),
            (
                "Corpus over time",
                charts::curve("seconds", "programs in the corpus", &over(&|p| p.corpus as f64)),
            ),
            ("Speed over time", charts::curve("seconds", "programs/s", &over(&|p| p.rate))),
        ];
        let charts = curves.into_iter().filter_map(|(name, svg)| Some((name, svg?))).collect();
        let ok = c.stats.calls_ok.saturating_mul(100).checked_div(c.stats.calls).unwrap_or(0);
        Ok(Some(CampaignPage { frame: Frame::new(links, &c.name, "campaigns").alive(), c, ok, charts }))
    }
}

/// The number of cases over time, from when each was found: known even where nobody looked while it ran.
fn found_over_time(finds: &[i64], seconds: f64) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (finds.first(), finds.last()) else { return Vec::new() };
    // When it began is not written down; it cannot be later than its first case.
    let span = (last.saturating_sub(*first)) as f64;
    let lead = (seconds - span).max(0.0).min(seconds);
    let mut points = vec![(0.0, 0.0)];
    let step = finds.len().div_ceil(1000).max(1);
    for (k, at) in finds.iter().enumerate() {
        if k % step == 0 || k + 1 == finds.len() {
            points.push((lead.min(1.0) + at.saturating_sub(*first) as f64, (k + 1) as f64));
        }
    }
    if let Some(last) = points.last().copied().filter(|last| last.0 < seconds && span > 0.0) {
        points.push((seconds, last.1));
    }
    points
}

/// Numbers of all campaigns by the names pages have for them.
pub fn numbers(campaigns: &[CampaignRow]) -> BTreeMap<String, String> {
    let mut numbers = BTreeMap::new();
    for c in campaigns {
        let mut set = |name: &str, value: String| numbers.insert(format!("{}.{name}", c.id), value);
        set("clock", words::clock(c.stats.seconds));
        set("rate", format!("{:.0}", c.stats.programs_per_second));
        set("programs", words::grouped(c.stats.programs));
        set("corpus", c.stats.corpus.to_string());
        set("cases", c.stats.cases.to_string());
    }
    numbers
}
