//! `/metrics`, for Prometheus.

use parallax_triage::db::{Db, DbError, Filter, State};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    status: u16,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTarget {
    target: String,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCampaign {
    campaign: String,
    name: String,
    target: String,
}

/// What is counted as long as the server runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    answers: Family<Answer, Counter>,
    imported: Counter,
    failed: Counter,
}

impl Counters {
    pub(crate) fn answered(&self, status: u16) {
        self.answers.get_or_create(&Answer { status }).inc();
    }
    pub(crate) fn imported(&self, cases: u64) {
        self.imported.inc_by(cases);
    }
    pub(crate) fn import_failed(&self) {
        self.failed.inc();
    }

    /// Everything as text.
    pub(crate) fn text(&self, db: &Db) -> Result<String, DbError> {
        let mut all = Registry::with_prefix("parallax");
        all.register("answers", "Answers by status", self.answers.clone());
        all.register("imported_cases", "Cases taken in since the server began", self.imported.clone());
        all.register("failed_imports", "Imports that failed", self.failed.clone());
        let states = Family::<OfState, Gauge>::default();
        for (state, count) in db.states()? {
            states.get_or_create(&OfState { state: State::name(state) }).set(count);
        }
        all.register("buckets", "Buckets by state", states);
        let open = Family::<OfTarget, Gauge>::default();
        for facet in
            db.list(&Filter::default().with("state", "open"))?.facets.remove("target").unwrap_or_default()
        {
            open.get_or_create(&OfTarget { target: facet.value }).set(facet.count as i64);
        }
        all.register("open_buckets", "Open buckets by target", open);
        let number = Family::<OfCampaign, Gauge<f64, AtomicU64>>::default;
        let (rate, programs, corpus, cases, running) = (number(), number(), number(), number(), number());
        for c in db.campaigns()? {
            let of = OfCampaign { campaign: c.id.clone(), name: c.name.clone(), target: c.target.clone() };
            rate.get_or_create(&of).set(if c.is_running() { c.stats.programs_per_second } else { 0.0 });
            programs.get_or_create(&of).set(c.stats.programs as f64);
            corpus.get_or_create(&of).set(c.stats.corpus as f64);
            cases.get_or_create(&of).set(c.cases as f64);
            running.get_or_create(&of).set(f64::from(u8::from(c.is_running())));
        }
        all.register("campaign_programs_per_second", "Programs a second, while it runs", rate);
        all.register("campaign_programs", "Programs run", programs);
        all.register("campaign_corpus", "Programs in the corpus", corpus);
        all.register("campaign_cases", "Cases in the store", cases);
        all.register("campaign_running", "Whether it runs", running);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &all);
        Ok(text)
    }
}
