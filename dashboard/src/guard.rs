//! What stands between a request and a page: who may ask, from where, how much and how often.

use crate::pages::LoginPage;
use crate::server::{App, page};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Form, body::Body};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Largest body of a request, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 10;
/// The cookie of somebody who has shown the token.
const SESSION: &str = "parallax_session";

/// What every answer carries.
pub(crate) const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` a browser calls the origin of this server's own forms `null`.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// How often may be asked, changed and guessed.
#[derive(Debug)]
pub(crate) struct Limits {
    reads: DefaultDirectRateLimiter,
    changes: DefaultDirectRateLimiter,
    guesses: DefaultDirectRateLimiter,
}

impl Limits {
    pub(crate) fn new() -> Limits {
        let a_second = |n: u32| Quota::per_second(NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        Limits {
            reads: RateLimiter::direct(a_second(200)),
            changes: RateLimiter::direct(a_second(20)),
            guesses: RateLimiter::direct(a_second(2)),
        }
    }
}

/// Refuses what must not pass; everything else gets its page.
pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let answer = match refused(&app, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    app.counters.answered(answer.status().as_u16());
    answer
}

fn refused(app: &App, request: &Request<Body>) -> Option<Response> {
    let headers = request.headers();
    let path = request.uri().path();
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let limit = match (path, changes) {
        ("/login", true) => &app.limits.guesses,
        (_, true) => &app.limits.changes,
        (_, false) => &app.limits.reads,
    };
    if limit.check().is_err() {
        return Some(plain(StatusCode::TOO_MANY_REQUESTS, "too many requests: wait a second"));
    }
    // A page from elsewhere must not reach a server on this machine under a name of its own.
    if !app.hosts.is_empty() {
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        if !app.hosts.iter().any(|known| known == host) {
            return Some(plain(StatusCode::FORBIDDEN, "this server answers to its own address only"));
        }
    }
    if changes && !is_own(headers) {
        return Some(plain(StatusCode::FORBIDDEN, "this request comes from another site"));
    }
    if let Some(token) = &app.token {
        let open = path == "/login" || path.starts_with("/assets/");
        if !open && !may_enter(headers, token, &app.session) {
            let wants_page = !path.starts_with("/api/") && path != "/metrics" && !changes;
            return Some(match wants_page {
                true => page(StatusCode::UNAUTHORIZED, &LoginPage { wrong: false }),
                false => plain(
                    StatusCode::UNAUTHORIZED,
                    "this server wants its token: Authorization: Bearer TOKEN",
                ),
            });
        }
    }
    None
}

/// Whether a changing request comes from a page of this server, or from no page at all.
fn is_own(headers: &HeaderMap) -> bool {
    let get = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    if let Some(site) = get(HeaderName::from_static("sec-fetch-site")) {
        if site != "same-origin" && site != "none" {
            return false;
        }
    }
    match (get(header::ORIGIN), get(header::HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (Some(_), None) => false,
    }
}

fn may_enter(headers: &HeaderMap, token: &str, session: &str) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let bearer = bearer.and_then(|v| v.strip_prefix("Bearer "));
    bearer.is_some_and(|given| same(given, token))
        || cookie(headers, SESSION).is_some_and(|c| same(&c, session))
}

/// Whether two secrets are the same, in a time that says nothing of them but their lengths.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// A cookie's value.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok());
    let mut each = all.flat_map(|line| line.split(';')).filter_map(|c| c.trim().split_once('='));
    each.find(|(n, _)| *n == name).map(|(_, value)| value.to_owned())
}

#[derive(serde::Deserialize)]
pub(crate) struct Login {
    token: String,
}

/// Takes the token and gives the cookie.
pub(crate) async fn login(State(app): State<Arc<App>>, Form(given): Form<Login>) -> Response {
    match &app.token {
        Some(token) if same(&given.token, token) => {
            let cookie = format!("{SESSION}={}; HttpOnly; SameSite=Strict; Path=/", app.session);
            let mut answer = Redirect::to("/").into_response();
            if let Ok(value) = HeaderValue::from_str(&cookie) {
                answer.headers_mut().insert(header::SET_COOKIE, value);
            }
            answer
        }
        Some(_) => page(StatusCode::UNAUTHORIZED, &LoginPage { wrong: true }),
        None => Redirect::to("/").into_response(),
    }
}

fn plain(status: StatusCode, what: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{what}\n")).into_response()
}
