//! The overview: what waits, what is new, what runs.

use super::{CampaignsPage, Frame};
use crate::links::Links;
use crate::words;
use askama::Template;
use parallax_triage::db::{CampaignRow, Db, DbError, Filter, State, Summary};
use parallax_triage::severity::Severity;

/// New buckets that are shown.
const FRESH: usize = 12;

/// The overview.
#[derive(Debug, Template)]
#[template(path = "overview.html")]
pub struct OverviewPage {
    frame: Frame,
    open: i64,
    states: Vec<(State, i64)>,
    areas: Vec<String>,
    grid: Vec<(Severity, Vec<(String, i64)>)>,
    running: Vec<CampaignRow>,
    fresh_title: String,
    fresh: Vec<Summary>,
    fresh_count: usize,
}

impl OverviewPage {
    /// For somebody who was here last at that second, if that is known.
    ///
    /// # Errors
    /// As of the store.
    pub fn new(db: &Db, links: &Links, last_visit: Option<i64>) -> Result<OverviewPage, DbError> {
        let counted = db.open_by_area()?;
        let mut areas: Vec<String> = counted.iter().map(|(_, area, _)| area.clone()).collect();
        areas.sort();
        areas.dedup();
        let of = |severity: Severity, area: &String| {
            let found = counted.iter().find(|(s, a, _)| *s == severity && a == area);
            (area.clone(), found.map_or(0, |(_, _, n)| *n))
        };
        let grid: Vec<(Severity, Vec<(String, i64)>)> = Severity::ALL
            .into_iter()
            .map(|severity| (severity, areas.iter().map(|area| of(severity, area)).collect()))
            .collect();
        let since = last_visit.unwrap_or(0);
        let (fresh_count, fresh) = db.new_since(since, FRESH)?;
        let fresh_title = match last_visit {
            Some(at) => format!("{fresh_count} new since your last visit, {}", words::when(at)),
            None => "The newest buckets".to_owned(),
        };
        let running: Vec<CampaignRow> =
            CampaignsPage::new(db, links)?.campaigns.into_iter().filter(CampaignRow::is_running).collect();
        Ok(OverviewPage {
            frame: Frame::new(links, "Overview", "overview").alive(),
            open: counted.iter().map(|c| c.2).sum(),
            states: db.states()?,
            areas,
            grid,
            running,
            fresh_title,
            fresh,
            fresh_count: usize::try_from(fresh_count).unwrap_or(0),
        })
    }

    fn cell(&self, severity: &Severity, area: &str) -> String {
        if !self.frame.links.is_live() {
            return self.frame.links.facet("area", area);
        }
        let open = Filter::default().with("state", "open");
        self.frame.links.buckets(&open.with("severity", severity.name()).with("area", area))
    }

    fn newest(&self) -> String {
        self.frame.links.buckets(&Filter::default().with("order", "newest"))
    }
}
