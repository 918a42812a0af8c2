//! The list of buckets with its facets. What is chosen is in the address.

use super::{Frame, Pager};
use crate::links::Links;
use askama::Template;
use parallax_triage::db::{Db, DbError, Filter, Listed, Order, PAGE};
use parallax_triage::severity::Severity;

/// Values of a facet that are offered at once.
const VALUES: usize = 40;

/// The list.
#[derive(Debug, Template)]
#[template(path = "buckets.html")]
pub struct BucketsPage {
    frame: Frame,
    filter: Filter,
    /// No filter at all.
    all: Filter,
    listed: Listed,
    facets: Vec<FacetView>,
    orders: Vec<(&'static str, String, bool)>,
    pager: Option<Pager>,
}

#[derive(Debug)]
struct FacetView {
    name: &'static str,
    values: Vec<ValueView>,
}

#[derive(Debug)]
struct ValueView {
    words: String,
    address: String,
    count: usize,
    chosen: bool,
}

impl BucketsPage {
    /// What is asked for.
    ///
    /// # Errors
    /// As of the store.
    pub fn new(db: &Db, links: &Links, filter: Filter) -> Result<BucketsPage, DbError> {
        let listed = db.list(&filter)?;
        Ok(BucketsPage::of(listed, links, filter))
    }

    /// Of a list that is there already.
    pub fn of(listed: Listed, links: &Links, filter: Filter) -> BucketsPage {
        let facets = Filter::FACETS.into_iter().map(|name| {
            let chosen = filter.get(name);
            let found = listed.facets.get(name).map_or(&[][..], Vec::as_slice);
            let value = |value: &str, count: usize| {
                let is_chosen = value == chosen;
                let other = filter.with(name, if is_chosen { "" } else { value });
                let words = match (name, Severity::named(value)) {
                    ("severity", Some(severity)) => severity.words().to_owned(),
                    _ if value.is_empty() => "(none)".to_owned(),
                    _ => value.to_owned(),
                };
                ValueView { words, address: links.buckets(&other), count, chosen: is_chosen }
            };
            let mut values: Vec<ValueView> = Vec::new();
            if name == "state" && !found.is_empty() {
                let open = |f: &&parallax_triage::db::Facet| {
                    parallax_triage::db::State::named(&f.value).is_some_and(|s| s.is_open())
                };
                values.push(value("open", found.iter().filter(open).map(|f| f.count).sum()));
            }
            values.extend(
                found
                    .iter()
                    .enumerate()
                    .filter(|(k, f)| !f.value.is_empty() && (*k < VALUES || f.value == chosen))
                    .map(|(_, f)| value(&f.value, f.count)),
            );
            FacetView { name, values }
        });
        let facets = facets.collect();
        let order = if filter.order.is_empty() { "severity" } else { &filter.order };
        let orders = Order::ALL
            .into_iter()
            .map(|o| (o.name(), links.buckets(&filter.with("order", o.name())), o.name() == order))
            .collect();
        let address = |page| links.buckets(&Filter { page, ..filter.clone() });
        let pager = links.is_live().then(|| Pager::of(listed.total, filter.page, PAGE, &address)).flatten();
        let mut frame = Frame::new(links, "Buckets", "buckets");
        frame.q.clone_from(&filter.q);
        BucketsPage { frame, all: Filter::default(), listed, facets, orders, pager, filter }
    }

    /// What a search keeps of the choice.
    fn kept(&self) -> Vec<(&'static str, String)> {
        let names = Filter::FACETS.into_iter().chain(["order"]);
        names.filter(|n| !self.filter.get(n).is_empty()).map(|n| (n, self.filter.get(n).to_owned())).collect()
    }

    fn is_filtered(&self) -> bool {
        self.filter.with("order", "") != Filter::default()
    }
}
