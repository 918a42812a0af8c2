//! The pages, each a template and what fills it. Templates escape every text.

mod bucket;
mod campaigns;
mod list;
mod overview;
mod versions;

pub use bucket::BucketPage;
pub use campaigns::{CampaignPage, CampaignsPage, numbers};
pub use list::BucketsPage;
pub use overview::OverviewPage;
pub use versions::{CoveragePage, MatrixPage};

use crate::links::Links;
use askama::Template;

/// What is around every page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where the other pages are.
    pub links: Links,
    /// The page's title.
    pub title: String,
    /// Which of [`Frame::pages`] it belongs to.
    pub here: &'static str,
    /// What is searched for.
    pub q: String,
    /// Where its numbers are asked for again, if they change.
    pub numbers: Option<String>,
}

impl Frame {
    /// The frame of a page that does not change by itself.
    pub fn new(links: &Links, title: impl Into<String>, here: &'static str) -> Frame {
        Frame { links: links.clone(), title: title.into(), here, q: String::new(), numbers: None }
    }

    /// With numbers that change, where there is a server.
    #[must_use]
    pub fn alive(mut self) -> Frame {
        self.numbers = self.links.is_live().then(|| "/api/live".to_owned());
        self
    }

    /// The pages of the head line.
    pub fn pages(&self) -> [(&'static str, String); 5] {
        [
            ("overview", self.links.overview()),
            ("buckets", self.links.facet("state", "open")),
            ("matrix", self.links.matrices()),
            ("coverage", self.links.coverage()),
            ("campaigns", self.links.campaigns()),
        ]
    }
}

/// Where a long list goes on.
#[derive(Clone, Debug)]
pub struct Pager {
    /// Where it was before.
    pub before: Option<String>,
    /// Where it goes on.
    pub after: Option<String>,
    /// Where it is.
    pub words: String,
}

impl Pager {
    /// For so many rows on pages of that size, with the address of each page; `None` if one page has them all.
    pub fn of(total: usize, page: usize, size: usize, address: &dyn Fn(usize) -> String) -> Option<Pager> {
        let pages = total.div_ceil(size);
        (pages > 1).then(|| Pager {
            before: page.checked_sub(1).map(|page| address(page.min(pages - 1))),
            after: (page + 1 < pages).then(|| address(page + 1)),
            words: format!("page {} of {pages}", page.saturating_add(1)),
        })
    }
}

/// Asks for the token of a server that has one.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// It was asked before, and the answer was wrong.
    pub wrong: bool,
}

/// Says that something is not so.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// Around it.
    pub frame: Frame,
    /// What, in a sentence.
    pub what: String,
}
