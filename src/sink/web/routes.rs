//! The routes of the web page and the check of the host header.
//!
//! All routes are read-only. If the page is served to this machine only, a request must name this machine: otherwise
//! another web site could make its own host name resolve to 127.0.0.1 and read the page (DNS rebinding).

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
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
use super::metrics;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// Each part of the response replaces the one before.
const LIVE: &str = "multipart/x-mixed-replace; boundary=frame";

/// Timeout of `/picture.jpg` for the next frame.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(3);

/// Timeout of `/live` for the next frame. A viewer that is gone is noticed at the latest when a picture is sent to it; without
/// pictures, viewers that are gone would hold their permits.
const LIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// The headers of every response. The page loads nothing from elsewhere and cannot be embedded.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

/// The router of the page at `address`.
pub(super) fn router(state: Arc<AppState>, address: SocketAddr) -> Router {
    let is_private = address.ip().is_loopback();
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
        .route("/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .route("/live", get(live))
        .route("/picture.jpg", get(picture))
        .route("/state", get(app_state))
        .route("/events", get(events))
        .route("/healthz", get(healthz))
        .route("/metrics", get(prometheus))
        .fallback(not_found)
        .with_state(state)
        .layer(from_fn(move |request, next| {
            check_host(is_private, request, next)
        }))
        .layer(map_response(add_headers))
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
    ([(CONTENT_TYPE, LIVE)], Body::from_stream(parts)).into_response()
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
    let message = "Not found. The routes are /, /live, /picture.jpg, /state, /events, /healthz and /metrics.\n";
    respond(StatusCode::NOT_FOUND, TEXT, message.to_owned())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, content_type)], body).into_response()
}

async fn add_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
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

async fn check_host(is_private: bool, request: Request, next: Next) -> Response {
    if is_private && !names_this_machine(request.headers()) {
        let message = "This page is for its own machine only: open it at localhost or 127.0.0.1, or serve it to \
                       other machines with --web ADDRESS:PORT.\n";
        return respond(StatusCode::FORBIDDEN, TEXT, message.to_owned());
    }
    next.run(request).await
}

/// Whether the host header is an IP address or `localhost`.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        // The colons of an IPv6 address are in brackets.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_accepted() {
        let is_accepted = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a header value"));
            names_this_machine(&headers)
        };
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_accepted(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_accepted(host), "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
