//! Lists of buckets: what is asked for, what there is of each kind, and one page of it.

use super::{Db, DbError, State};
use crate::severity::Severity;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// Buckets on one page.
pub const PAGE: usize = 100;
/// Longest search text that is looked at, in bytes.
const MAX_QUERY: usize = 400;

/// What is asked for. Everything that is not set is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Words to be found in target, signature, sentence, program or notes.
    pub q: String,
    /// The target.
    pub target: String,
    /// A version on which it diverges.
    pub version: String,
    /// The area.
    pub area: String,
    /// The call whose answer differs.
    pub call: String,
    /// The class.
    pub class: String,
    /// How bad, by [`Severity::name`].
    pub severity: String,
    /// `always` or `sometimes`.
    pub reliability: String,
    /// The state, or `open` for all that wait for somebody.
    pub state: String,
    /// The order, by [`Order::name`].
    pub order: String,
    /// The page, from 0.
    pub page: usize,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The worst first.
    Severity,
    /// The newest first.
    Newest,
    /// By call.
    Call,
    /// The shortest program first.
    Shortest,
}

impl Order {
    /// All of them.
    pub const ALL: [Order; 4] = [Order::Severity, Order::Newest, Order::Call, Order::Shortest];

    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Order::Severity => "severity",
            Order::Newest => "newest",
            Order::Call => "call",
            Order::Shortest => "shortest",
        }
    }

    fn of(name: &str) -> Order {
        Order::ALL.into_iter().find(|o| o.name() == name).unwrap_or(Order::Severity)
    }
}

impl Filter {
    /// The names of the facets, in the order they are shown.
    pub const FACETS: [&'static str; 8] =
        ["state", "severity", "target", "version", "area", "class", "reliability", "call"];

    /// The value of a facet.
    pub fn get(&self, facet: &str) -> &str {
        match facet {
            "target" => &self.target,
            "version" => &self.version,
            "area" => &self.area,
            "call" => &self.call,
            "class" => &self.class,
            "severity" => &self.severity,
            "reliability" => &self.reliability,
            "state" => &self.state,
            "order" => &self.order,
            "q" => &self.q,
            _ => "",
        }
    }

    /// The same with another value of one facet, from the first page.
    #[must_use]
    pub fn with(&self, facet: &str, value: &str) -> Filter {
        let mut other = Filter { page: 0, ..self.clone() };
        let place = match facet {
            "target" => &mut other.target,
            "version" => &mut other.version,
            "area" => &mut other.area,
            "call" => &mut other.call,
            "class" => &mut other.class,
            "severity" => &mut other.severity,
            "reliability" => &mut other.reliability,
            "state" => &mut other.state,
            "order" => &mut other.order,
            "q" => &mut other.q,
            _ => return other,
        };
        value.clone_into(place);
        other
    }
}

/// One value of a facet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facet {
    /// The value.
    pub value: String,
    /// Buckets that have it, among those that the other facets leave.
    pub count: usize,
}

/// One page of buckets.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listed {
    /// How many there are on all pages.
    pub total: usize,
    /// The buckets of the page.
    pub buckets: Vec<super::Summary>,
    /// The values of each facet, the most frequent first.
    pub facets: BTreeMap<&'static str, Vec<Facet>>,
}

/// What of a bucket facets and orders look at.
struct Fact {
    row: i64,
    /// As [`Filter::FACETS`]; the version's place stays empty.
    values: [u16; 8],
    versions: Vec<u16>,
    severity: i64,
    seen: i64,
    calls: i64,
}

/// Texts by number, since few of them come again and again.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    places: std::collections::HashMap<String, u16>,
}

impl Texts {
    fn of(&mut self, text: &str) -> u16 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        // Hostile folders may have more of them than any real one: the rest share a place.
        let place = u16::try_from(self.all.len()).unwrap_or(u16::MAX).min(u16::MAX - 1);
        if (place as usize) == self.all.len() {
            self.all.push(text.to_owned());
        }
        self.places.insert(text.to_owned(), place);
        place
    }
}

const STATE: usize = 0;
const SEVERITY: usize = 1;
const VERSION: usize = 3;

impl Db {
    /// One page of the buckets asked for, and what there is of each facet. Merged buckets are not listed.
    ///
    /// # Errors
    /// As of the store.
    pub fn list(&self, filter: &Filter) -> Result<Listed, DbError> {
        self.say(self.listed(filter))
    }

    fn listed(&self, filter: &Filter) -> rusqlite::Result<Listed> {
        let mut texts = Texts::default();
        let facts = self.facts(&mut texts)?;
        let found = match words(&filter.q) {
            None => None,
            Some(query) => Some(self.found(&query)?),
        };
        let wanted = Filter::FACETS.map(|facet| filter.get(facet));
        let text = |place: u16| texts.all[place as usize].as_str();
        let misses = |fact: &Fact, k: usize| match (k, wanted[k]) {
            (_, "") => false,
            (STATE, "open") => !State::named(text(fact.values[k])).is_some_and(State::is_open),
            (VERSION, value) => !fact.versions.iter().any(|v| text(*v) == value),
            (_, value) => text(fact.values[k]) != value,
        };
        let mut counts: [BTreeMap<u16, usize>; 8] = Default::default();
        let mut kept: Vec<&Fact> = Vec::new();
        for fact in &facts {
            if found.as_ref().is_some_and(|found| !found.contains(&fact.row)) {
                continue;
            }
            let missed: Vec<usize> = (0..8).filter(|k| misses(fact, *k)).collect();
            // A facet counts what all the others leave.
            let counted = match missed[..] {
                [] => 0..8,
                [one] => one..one + 1,
                _ => continue,
            };
            for k in counted {
                if k == VERSION {
                    fact.versions.iter().for_each(|v| *counts[k].entry(*v).or_default() += 1);
                } else {
                    *counts[k].entry(fact.values[k]).or_default() += 1;
                }
            }
            if missed.is_empty() {
                kept.push(fact);
            }
        }
        match Order::of(&filter.order) {
            Order::Severity => kept.sort_by_key(|f| (f.severity, -f.seen, f.row)),
            Order::Newest => kept.sort_by_key(|f| (-f.seen, f.row)),
            Order::Call => kept.sort_by(|a, b| (text(a.values[7]), a.row).cmp(&(text(b.values[7]), b.row))),
            Order::Shortest => kept.sort_by_key(|f| (f.calls, f.severity, f.row)),
        }
        let rows: Vec<i64> =
            kept.iter().skip(filter.page.saturating_mul(PAGE)).take(PAGE).map(|f| f.row).collect();
        let mut facets = BTreeMap::new();
        for (k, facet) in Filter::FACETS.into_iter().enumerate() {
            let mut values: Vec<Facet> = counts[k]
                .iter()
                .map(|(place, count)| Facet { value: text(*place).to_owned(), count: *count })
                .collect();
            values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
            if k == SEVERITY {
                let place = |v: &Facet| Severity::named(&v.value);
                values.sort_by_key(place);
            }
            facets.insert(facet, values);
        }
        Ok(Listed { total: kept.len(), buckets: self.summaries(&rows)?, facets })
    }

    fn facts(&self, texts: &mut Texts) -> rusqlite::Result<Vec<Fact>> {
        let mut select = self.sql.prepare_cached(
            "SELECT row, state, severity, target, versions, area, class, k >= n, call, first_seen, calls
             FROM buckets NOT INDEXED WHERE merged IS NULL",
        )?;
        let mut rows = select.query([])?;
        let mut facts = Vec::new();
        fn text<'a>(row: &'a rusqlite::Row<'_>, k: usize) -> rusqlite::Result<&'a str> {
            Ok(match row.get_ref(k)? {
                ValueRef::Text(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
                _ => "",
            })
        }
        while let Some(row) = rows.next()? {
            let severity: i64 = row.get(2)?;
            let named = usize::try_from(severity).ok().and_then(|s| Severity::ALL.get(s));
            let always = if row.get(7)? { "always" } else { "sometimes" };
            let values = [
                texts.of(text(row, 1)?),
                texts.of(named.map_or("", |s| s.name())),
                texts.of(text(row, 3)?),
                0,
                texts.of(text(row, 5)?),
                texts.of(text(row, 6)?),
                texts.of(always),
                texts.of(text(row, 8)?),
            ];
            let versions = text(row, 4)?.lines().map(|v| texts.of(v)).collect();
            facts.push(Fact {
                row: row.get(0)?,
                values,
                versions,
                severity,
                seen: row.get(9)?,
                calls: row.get(10)?,
            });
        }
        Ok(facts)
    }

    fn found(&self, query: &str) -> rusqlite::Result<HashSet<i64>> {
        self.sql
            .prepare_cached("SELECT rowid FROM search WHERE search MATCH ?1")?
            .query_map([query], |r| r.get(0))?
            .collect()
    }
}

/// A search text as a query: each word is to be found, or a word that begins with it. What people type is never syntax.
fn words(text: &str) -> Option<String> {
    let text = parallax_replay::limits::clip(text, MAX_QUERY);
    let kept = |c: char| c.is_alphanumeric() || c == '_';
    let words: Vec<String> =
        text.split(|c| !kept(c)).filter(|w| !w.is_empty()).map(|w| format!("\"{w}\"*")).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
