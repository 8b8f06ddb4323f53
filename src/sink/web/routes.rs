//! The routes of the web page, and who may use them.
//!
//! All routes but those of `control` are read-only. If the page is served to this machine only, a request must name this
//! machine, or a host that the settings allow: otherwise another web site could make its own host name resolve to 127.0.0.1
//! and read the page (DNS rebinding). All links of the page are relative, so that a reverse proxy can serve it below any path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::app_state::{AppState, BOUNDARY, LivePicture};
use super::control::{self, Control};
use super::login::{LoginCheck, check_login};
use super::metrics;
use crate::address::{FrameAncestors, WebHosts};
use crate::http_server::{host_name, is_this_machine};

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// Each part of the response replaces the one before.
const LIVE: &str = "multipart/x-mixed-replace; boundary=frame";

/// Timeout of `/picture.jpg` for the next frame.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(3);

/// Timeout of `/live` for the next frame. A viewer that is gone is noticed at the latest when a picture is sent to it; without
/// pictures, viewers that are gone would hold their permits.
const LIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// The content security policy without the directive for embedding. The page loads nothing from elsewhere.
const POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'";

/// Tells nginx to pass on each picture at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The longest host name that a message repeats.
const MAX_HOST_LENGTH: usize = 100;

/// The router of the page at `address`.
pub(super) fn router(
    state: Arc<AppState>,
    control: Option<Arc<dyn Control>>,
    address: SocketAddr,
) -> Router {
    let hosts = match (&state.settings.hosts, address.ip().is_loopback()) {
        (None, false) => WebHosts::Any,
        (None, true) => WebHosts::Listed(Vec::new()),
        (Some(hosts), _) => hosts.clone(),
    };
    let hosts = Arc::new(hosts);
    let headers = headers(&state.settings.frame_ancestors);
    let login = state.settings.login.clone();
    let control = control::routes(control, &login);
    let login = Arc::new(LoginCheck::new(login, address));
    Router::new()
        .route(
            "/",
            file("text/html; charset=utf-8", include_str!("page.html")),
        )
        .route(
            "/page.css",
            file("text/css; charset=utf-8", include_str!("page.css")),
        )
        .route(
            "/page.js",
            file("text/javascript; charset=utf-8", include_str!("page.js")),
        )
        .route(
            "/zones",
            file("text/html; charset=utf-8", include_str!("zones.html")),
        )
        .route(
            "/zones.js",
            file("text/javascript; charset=utf-8", include_str!("zones.js")),
        )
        .route("/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .route("/live", get(live))
        .route("/picture.jpg", get(picture))
        .route("/state", get(app_state))
        .route("/events", get(events))
        .route("/healthz", get(healthz))
        .route("/metrics", get(prometheus))
        .merge(control)
        .fallback(not_found)
        .with_state(state)
        .layer(from_fn(move |request, next| {
            check_login(Arc::clone(&login), request, next)
        }))
        .layer(from_fn(move |request, next| {
            check_host(Arc::clone(&hosts), request, next)
        }))
        .layer(map_response(move |response| {
            std::future::ready(with_headers(response, &headers))
        }))
}

fn file(content_type: &'static str, text: &'static str) -> MethodRouter<Arc<AppState>> {
    get(move || async move { ([(CONTENT_TYPE, content_type)], text) })
}

async fn live(State(state): State<Arc<AppState>>) -> Response {
    let Some(permit) = state.viewer_permit() else {
        let max_clients = state.settings.max_clients;
        let message = format!(
            "Viewer limit ({max_clients}) reached. Close another page, or raise the limit with --web-clients.\n"
        );
        return respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, message);
    };
    let parts = live_parts(state.subscribe(), permit);
    let headers = [(CONTENT_TYPE, LIVE), (X_ACCEL_BUFFERING, "no")];
    (headers, Body::from_stream(parts)).into_response()
}

async fn picture(State(state): State<Arc<AppState>>) -> Response {
    let mut pictures = state.subscribe();
    // The current picture may be old, so this waits for the next one.
    let next = timeout(PICTURE_TIMEOUT, next_picture(&mut pictures));
    match next.await.ok().flatten() {
        Some(picture) => ([(CONTENT_TYPE, "image/jpeg")], picture.jpeg).into_response(),
        None => respond(
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            "No picture available; see /healthz for the reason.\n".to_owned(),
        ),
    }
}

async fn app_state(State(state): State<Arc<AppState>>) -> Response {
    respond(StatusCode::OK, JSON, state.state())
}

async fn events(State(state): State<Arc<AppState>>) -> Response {
    respond(StatusCode::OK, JSON, state.events())
}

async fn healthz(State(state): State<Arc<AppState>>) -> Response {
    match state.healthz() {
        (true, body) => respond(StatusCode::OK, JSON, body),
        (false, body) => respond(StatusCode::SERVICE_UNAVAILABLE, JSON, body),
    }
}

async fn prometheus(State(state): State<Arc<AppState>>) -> Response {
    respond(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&state))
}

async fn not_found() -> Response {
    let message = "Not found. The routes are /, /live, /picture.jpg, /zones, /state, /events, /healthz, /metrics, and with a \
                   password /config, /model and /reload.\n";
    respond(StatusCode::NOT_FOUND, TEXT, message.to_owned())
}

pub(super) fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, content_type)], body).into_response()
}

/// The headers of every response.
fn headers(frame_ancestors: &FrameAncestors) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = format!("{POLICY}; {}", frame_ancestors.directive());
    let policy = HeaderValue::try_from(policy).expect("frame ancestors are ASCII");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    if let Some(value) = frame_ancestors.x_frame_options() {
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static(value));
    }
    headers
}

fn with_headers(mut response: Response, headers: &HeaderMap) -> Response {
    response.headers_mut().extend(headers.clone());
    response
}

/// A viewer of the live picture. Dropping it returns the permit.
struct Viewer {
    pictures: watch::Receiver<Option<LivePicture>>,
    has_started: bool,
    _permit: OwnedSemaphorePermit,
}

/// The parts of the live picture's response, which ends after [`LIVE_TIMEOUT`] without a picture. It starts with the current picture, if there is one. A
/// slow viewer skips pictures, since the channel holds the newest one only.
fn live_parts(
    mut pictures: watch::Receiver<Option<LivePicture>>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    pictures.mark_changed();
    let viewer = Viewer {
        pictures,
        has_started: false,
        _permit: permit,
    };
    unfold(viewer, async |mut viewer| {
        if !viewer.has_started {
            viewer.has_started = true;
            return Some((Ok(Bytes::from_static(BOUNDARY.as_bytes())), viewer));
        }
        let next = timeout(LIVE_TIMEOUT, next_picture(&mut viewer.pictures)).await;
        let picture = next.ok().flatten()?;
        Some((Ok(picture.part), viewer))
    })
}

/// The next picture; `None` after the sink was dropped.
async fn next_picture(pictures: &mut watch::Receiver<Option<LivePicture>>) -> Option<LivePicture> {
    loop {
        pictures.changed().await.ok()?;
        let newest = pictures.borrow_and_update().clone();
        if newest.is_some() {
            return newest;
        }
    }
}

async fn check_host(hosts: Arc<WebHosts>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let name = host.map_or("", host_name);
    if *hosts == WebHosts::Any || is_this_machine(name) || hosts.contains(name) {
        return next.run(request).await;
    }
    respond(StatusCode::FORBIDDEN, TEXT, refusal(name))
}

/// Why a request to this host name is refused, and what to do.
fn refusal(name: &str) -> String {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_shown = !name.is_empty() && name.len() <= MAX_HOST_LENGTH && name.chars().all(is_valid);
    let name = if is_shown { name } else { "NAME" };
    format!(
        "boxcam does not answer to this host name. Open the page at localhost or at its IP address, allow the name with \
         --web-hosts {name}, or serve the page to other machines with --web ADDRESS:PORT.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_repeats_only_host_names() {
        assert!(refusal("cam.lan").contains("--web-hosts cam.lan,"));
        for name in ["", "<b>", "a b", &"x".repeat(101)] {
            assert!(refusal(name).contains("--web-hosts NAME,"), "{name}");
        }
    }
}
