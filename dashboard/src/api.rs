//! The JSON API: everything pages show, and what they can change.

use crate::pages::numbers;
use crate::server::{App, Failure, blocking};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use parallax_replay::render_json;
use parallax_triage::db::{Change, Filter, State as Life};
use parallax_triage::explain::explain;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Response, Failure>;

fn answer(value: &impl serde::Serialize) -> Answer {
    let value = serde_json::to_value(value).map_err(|e| Failure::Broken(e.to_string()))?;
    Ok(Json(value).into_response())
}

/// `/api/overview`
pub(crate) async fn overview(State(app): State<Arc<App>>) -> Answer {
    blocking(&app, |db| {
        let states: serde_json::Map<String, Value> =
            db.states()?.into_iter().map(|(state, n)| (state.name().to_owned(), n.into())).collect();
        let open: Vec<Value> = db
            .open_by_area()?
            .into_iter()
            .map(|(severity, area, n)| json!({ "severity": severity, "area": area, "buckets": n }))
            .collect();
        answer(&json!({ "states": states, "open": open, "newest": db.new_since(0, 20)?.1 }))
    })
    .await
}

/// `/api/buckets`, with the facets of pages.
pub(crate) async fn buckets(State(app): State<Arc<App>>, Query(filter): Query<Filter>) -> Answer {
    blocking(&app, move |db| answer(&db.list(&filter)?)).await
}

/// `/api/bucket/ID`
pub(crate) async fn bucket(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    blocking(&app, move |db| {
        let Some(bucket) = db.bucket(&id)? else { return Err(Failure::Missing) };
        let mut value = serde_json::to_value(&bucket).map_err(|e| Failure::Broken(e.to_string()))?;
        if let Some(repro) = &bucket.shown {
            if let (Ok(code), Ok(case)) = (repro.code(), render_json(repro)) {
                value["explanation"] = json!(explain(repro, &code));
                value["case"] = case;
            }
        }
        value["near"] = json!(db.near(&id)?);
        let (versions, rows) = db.matrix(&bucket.summary.target, Some(&id))?;
        value["matrix"] = json!({ "versions": versions, "row": rows.first() });
        answer(&value)
    })
    .await
}

/// What can be done to a bucket.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    state: Option<String>,
    #[serde(default)]
    reason: String,
    note: Option<String>,
    merge_into: Option<String>,
    #[serde(default)]
    apart: bool,
}

/// `POST /api/bucket/ID`: JSON only, which no form of another site can send.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Json(order): Json<Order>,
) -> Answer {
    let change = match order {
        Order { state: Some(state), note: None, merge_into: None, apart: false, reason } => {
            let state =
                Life::named(&state).ok_or_else(|| Failure::Refused(format!("there is no state {state}")))?;
            Change::State(state, reason)
        }
        Order { state: None, note: Some(note), merge_into: None, apart: false, .. } => Change::Note(note),
        Order { state: None, note: None, merge_into: Some(into), apart: false, .. } => Change::Merge(into),
        Order { state: None, note: None, merge_into: None, apart: true, .. } => Change::Apart,
        _ => return Err(Failure::Refused("one of state, note, merge_into and apart is wanted".to_owned())),
    };
    blocking(&app, move |db| {
        db.change(&id, change)?;
        answer(&db.bucket(&id)?)
    })
    .await
}

#[derive(Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    target: String,
}

/// `/api/matrix?target=NAME`
pub(crate) async fn matrix(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Answer {
    blocking(&app, move |db| {
        let first = db.targets()?.into_iter().next().unwrap_or_default();
        let target = if which.target.is_empty() { first } else { which.target };
        let (versions, rows) = db.matrix(&target, None)?;
        answer(&json!({ "target": target, "versions": versions, "rows": rows }))
    })
    .await
}

/// `/api/coverage`
pub(crate) async fn coverage(State(app): State<Arc<App>>) -> Answer {
    blocking(&app, |db| answer(&db.coverage()?)).await
}

/// `/api/campaigns`
pub(crate) async fn campaigns(State(app): State<Arc<App>>) -> Answer {
    blocking(&app, |db| answer(&db.campaigns()?)).await
}

/// `/api/campaign/ID`
pub(crate) async fn campaign(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    blocking(&app, move |db| {
        let found = db.campaigns()?.into_iter().find(|c| c.id == id).ok_or(Failure::Missing)?;
        answer(&json!({ "campaign": found, "points": db.points(&id)?, "finds": db.finds(&id)? }))
    })
    .await
}

/// `/api/live`: the numbers of pages, by the names they have there.
pub(crate) async fn live(State(app): State<Arc<App>>) -> Answer {
    blocking(&app, |db| answer(&json!({ "numbers": numbers(&db.campaigns()?) }))).await
}
