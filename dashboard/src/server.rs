//! The server: addresses, the pool of connections to the store, and the thread that follows the folders.

use crate::guard::{self, HEADERS, Limits, MAX_BODY, cookie, same};
use crate::links::Links;
use crate::metrics::Counters;
use crate::pages::{
    BucketPage, BucketsPage, CampaignPage, CampaignsPage, CoveragePage, ErrorPage, Frame, MatrixPage,
    OverviewPage,
};
use crate::{ASSETS, api};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router, middleware};
use parallax_triage::db::{Change, Db, DbError, Filter, State as Life, now};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

/// How often folders are looked at for news.
const LOOK: Duration = Duration::from_secs(2);
/// After so long without a page, the next one begins another visit.
const VISIT: i64 = 30 * 60;
/// Connections to the store that are kept.
const POOL: usize = 4;

/// How the server is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The store.
    pub store: PathBuf,
    /// The folders it follows.
    pub dirs: Vec<PathBuf>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it asks for. Without one it listens on this machine only.
    pub token: Option<String>,
}

/// Why the server cannot run. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Anybody could reach it.
    #[error(
        "{0} can be reached from other machines: give a --token of at least 16 characters, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// The address is taken, or is none of this machine's.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The system.
    #[error("cannot run the server: {0}")]
    Io(#[from] std::io::Error),
}

/// What all requests share.
pub(crate) struct App {
    store: PathBuf,
    pool: Mutex<Vec<Db>>,
    /// What a form must bring along.
    secret: String,
    /// What somebody has who has shown the token.
    pub(crate) session: String,
    pub(crate) token: Option<String>,
    /// The names it answers to; any if there are none.
    pub(crate) hosts: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
}

/// What becomes of a request that gets no page.
#[derive(Debug)]
pub(crate) enum Failure {
    Missing,
    Refused(String),
    Forbidden(&'static str),
    Broken(String),
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Failure {
        match error {
            DbError::Refused(what) => Failure::Refused(what),
            error => Failure::Broken(error.to_string()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, title, what) = match self {
            Failure::Missing => (StatusCode::NOT_FOUND, "Not here", "There is no such page.".to_owned()),
            Failure::Refused(what) => (StatusCode::BAD_REQUEST, "That cannot be done", what),
            Failure::Forbidden(what) => (StatusCode::FORBIDDEN, "That is not allowed", what.to_owned()),
            Failure::Broken(what) => {
                // Paths of this machine are for whoever runs it.
                eprintln!("parallax: {what}");
                let said = "The server says on its own standard error what it is.".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "Something is broken", said)
            }
        };
        page(status, &ErrorPage { frame: Frame::new(&Links::live(), title, ""), what })
    }
}

/// A page as an answer.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("a page cannot be made: {error}\n")).into_response()
        }
    }
}

/// Does something with the store, on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&mut Db) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let app = Arc::clone(app);
    let done = tokio::task::spawn_blocking(move || {
        let kept = app.pool.lock().ok().and_then(|mut pool| pool.pop());
        let mut db = match kept {
            Some(db) => db,
            None => Db::open(&app.store)?,
        };
        let result = work(&mut db);
        if let Ok(mut pool) = app.pool.lock() {
            if pool.len() < POOL {
                pool.push(db);
            }
        }
        result
    });
    done.await.map_err(|error| Failure::Broken(error.to_string()))?
}

async fn shown<P: Template + Send + 'static>(
    app: &Arc<App>,
    make: impl FnOnce(&mut Db) -> Result<Option<P>, DbError> + Send + 'static,
) -> Result<Response, Failure> {
    blocking(app, |db| Ok(page(StatusCode::OK, &make(db)?.ok_or(Failure::Missing)?))).await
}

type Answer = Result<Response, Failure>;

async fn overview(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    // Two times in two cookies: of the last page of the visit before this one, and of the last page at all.
    let read = |name| cookie(&headers, name).and_then(|v| v.parse::<i64>().ok()).filter(|at| *at <= now());
    let (before, last) = (read("parallax_before"), read("parallax_last"));
    let before = match last {
        Some(last) if now().saturating_sub(last) > VISIT => Some(last),
        _ => before,
    };
    let mut answer = shown(&app, move |db| OverviewPage::new(db, &Links::live(), before).map(Some)).await?;
    let mut set = |name: &str, at: i64| {
        let text = format!("{name}={at}; HttpOnly; SameSite=Strict; Path=/; Max-Age=31536000");
        if let Ok(value) = HeaderValue::from_str(&text) {
            answer.headers_mut().append(header::SET_COOKIE, value);
        }
    };
    set("parallax_last", now());
    if let Some(before) = before {
        set("parallax_before", before);
    }
    Ok(answer)
}

async fn buckets(State(app): State<Arc<App>>, Query(filter): Query<Filter>) -> Answer {
    shown(&app, |db| BucketsPage::new(db, &Links::live(), filter).map(Some)).await
}

async fn bucket(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let secret = app.secret.clone();
    shown(&app, move |db| BucketPage::new(db, &Links::live(), &id, Some(&secret), None)).await
}

#[derive(serde::Deserialize)]
struct Which {
    #[serde(default)]
    target: String,
    #[serde(default)]
    page: usize,
}

async fn matrix(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Answer {
    shown(&app, move |db| MatrixPage::new(db, &Links::live(), &which.target, which.page).map(Some)).await
}

async fn coverage(State(app): State<Arc<App>>) -> Answer {
    shown(&app, |db| CoveragePage::new(db, &Links::live()).map(Some)).await
}

async fn campaigns(State(app): State<Arc<App>>) -> Answer {
    shown(&app, |db| CampaignsPage::new(db, &Links::live()).map(Some)).await
}

async fn campaign(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    shown(&app, move |db| CampaignPage::new(db, &Links::live(), &id)).await
}

/// What the forms of a bucket's page send.
#[derive(serde::Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Sent {
    token: String,
    state: String,
    reason: String,
    text: String,
    into: String,
}

async fn change(
    State(app): State<Arc<App>>,
    Path((id, what)): Path<(String, String)>,
    Form(sent): Form<Sent>,
) -> Answer {
    if !same(&sent.token, &app.secret) {
        return Err(Failure::Forbidden(
            "This form is from another server, or from before it was started again: load the page anew.",
        ));
    }
    let change = match what.as_str() {
        "state" => match Life::named(&sent.state) {
            Some(state) => Change::State(state, sent.reason),
            None => return Err(Failure::Refused("There is no such state.".to_owned())),
        },
        "note" => Change::Note(sent.text),
        "merge" => Change::Merge(sent.into.clone()),
        "apart" => Change::Apart,
        _ => return Err(Failure::Missing),
    };
    let back = if what == "merge" { sent.into } else { id.clone() };
    let secret = app.secret.clone();
    blocking(&app, move |db| match db.change(&id, change) {
        Ok(()) => Ok(Redirect::to(&Links::live().bucket(&back)).into_response()),
        // The page again, with what was wrong above it.
        Err(DbError::Refused(why)) => {
            let said = format!("Nothing was changed: {why}.");
            let made = BucketPage::new(db, &Links::live(), &id, Some(&secret), Some(said))?;
            Ok(page(StatusCode::BAD_REQUEST, &made.ok_or(Failure::Missing)?))
        }
        Err(error) => Err(error.into()),
    })
    .await
}

async fn asset(Path(name): Path<String>) -> Answer {
    let (_, content, kind) = ASSETS.into_iter().find(|(n, ..)| *n == name).ok_or(Failure::Missing)?;
    Ok(([(header::CONTENT_TYPE, kind)], content).into_response())
}

async fn metrics(State(app): State<Arc<App>>) -> Answer {
    let counters = app.counters.clone();
    let text = blocking(&app, move |db| Ok(counters.text(db)?)).await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn routes(app: Arc<App>) -> Router {
    let mut routes = Router::new()
        .route("/", get(overview))
        .route("/buckets", get(buckets))
        .route("/bucket/{id}", get(bucket))
        .route("/bucket/{id}/{what}", post(change))
        .route("/matrix", get(matrix))
        .route("/coverage", get(coverage))
        .route("/campaigns", get(campaigns))
        .route("/campaign/{id}", get(campaign))
        .route("/assets/{name}", get(asset))
        .route("/metrics", get(metrics))
        .route("/login", post(guard::login))
        .route("/api/overview", get(api::overview))
        .route("/api/buckets", get(api::buckets))
        .route("/api/bucket/{id}", get(api::bucket).post(api::change))
        .route("/api/matrix", get(api::matrix))
        .route("/api/coverage", get(api::coverage))
        .route("/api/campaigns", get(api::campaigns))
        .route("/api/campaign/{id}", get(api::campaign))
        .route("/api/live", get(api::live))
        .fallback(|| async { Failure::Missing })
        .with_state(Arc::clone(&app))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(90)))
        .layer(middleware::from_fn_with_state(app, guard::check));
    for (name, value) in HEADERS {
        routes = routes.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)));
    }
    routes
}

/// Takes in what is new, then serves pages until the process is told to end. `ready` is told the address.
///
/// # Errors
/// The store or the address cannot be had.
pub fn serve(options: Options, ready: &dyn Fn(SocketAddr)) -> Result<(), ServeError> {
    let Options { store, dirs, listen, token } = options;
    if !listen.ip().is_loopback() && token.as_ref().is_none_or(|t| t.len() < 16) {
        return Err(ServeError::Open(listen));
    }
    let mut db = Db::open(&store)?;
    let counters = Counters::default();
    let done = db.import(&dirs)?;
    done.unreadable.iter().for_each(|what| eprintln!("left alone: {what}"));
    counters.imported(done.cases);
    let socket = std::net::TcpListener::bind(listen).map_err(|e| ServeError::Listen(listen, e))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let mut hosts = Vec::new();
    if address.ip().is_loopback() {
        let port = address.port();
        hosts = [address.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}")].into();
    }
    let (secret, session) = (random()?, random()?);
    let pool = Mutex::new(Vec::new());
    let limits = Limits::new();
    let app = App { store, pool, secret, session, token, hosts, limits, counters: counters.clone() };
    // It ends with the process; an import that is cut short leaves nothing behind.
    std::thread::Builder::new().name("import".to_owned()).spawn(move || follow(db, &dirs, &counters))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(socket)?;
        ready(address);
        axum::serve(listener, routes(Arc::new(app))).with_graceful_shutdown(told_to_end()).await
    })?;
    Ok(())
}

/// Ends when the process is told to.
async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => drop(interrupted.await),
    }
}

/// Takes in what campaigns write, while they write it.
fn follow(mut db: Db, dirs: &[PathBuf], counters: &Counters) {
    let mut told = String::new();
    loop {
        std::thread::sleep(LOOK);
        match db.import(dirs) {
            Ok(done) => {
                counters.imported(done.cases);
                done.unreadable.iter().for_each(|what| eprintln!("left alone: {what}"));
                told.clear();
            }
            Err(error) => {
                counters.import_failed();
                let text = error.to_string();
                // Once is enough, until it is another trouble.
                if text != told {
                    eprintln!("parallax: {text}");
                    told = text;
                }
            }
        }
    }
}

/// 256 random bits, as text.
fn random() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
