//! Paths and their answers, and who is answered at all.
//!
//! Everything is only to be read. While the page is for this machine alone, a request must name this machine: a
//! page from elsewhere can make a name of its own mean 127.0.0.1 and would else read what it likes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tokio::time::timeout;

use super::board::Board;
use super::{live, metrics};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// How long one who asks for a single picture waits for it.
const PICTURE_PATIENCE: Duration = Duration::from_secs(3);

/// What goes with every answer. Nothing on the page comes from anywhere else, and no other page shows it.
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

/// Everything that the page at `address` answers.
pub(super) fn router(board: Arc<Board>, address: SocketAddr) -> Router {
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
        .route("/live", get(live_picture))
        .route("/picture.jpg", get(picture))
        .route("/state", get(state))
        .route("/events", get(events))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .fallback(nothing_there)
        .with_state(board)
        .layer(from_fn(move |request, next| {
            check_host(is_private, request, next)
        }))
        .layer(map_response(with_headers))
}

fn file(content_type: &'static str, text: &'static str) -> MethodRouter<Arc<Board>> {
    get(move || async move { ([(CONTENT_TYPE, content_type)], text) })
}

async fn live_picture(State(board): State<Arc<Board>>) -> Response {
    let Some(place) = board.place() else {
        let clients = board.settings.max_clients;
        let words = format!(
            "All places for the live picture ({clients}) are taken; close another page, or allow more with \
             --web-clients.\n"
        );
        return told(StatusCode::SERVICE_UNAVAILABLE, TEXT, words);
    };
    let parts = live::parts(board.pictures(), place);
    (
        [(CONTENT_TYPE, live::CONTENT_TYPE)],
        Body::from_stream(parts),
    )
        .into_response()
}

async fn picture(State(board): State<Arc<Board>>) -> Response {
    let mut pictures = board.pictures();
    // The one that is there may be old; the next is awaited.
    let next = timeout(PICTURE_PATIENCE, live::next(&mut pictures));
    match next.await.ok().flatten() {
        Some(picture) => ([(CONTENT_TYPE, "image/jpeg")], picture.jpeg()).into_response(),
        None => told(
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            "There is no picture at the moment; /healthz tells why.\n".to_owned(),
        ),
    }
}

async fn state(State(board): State<Arc<Board>>) -> Response {
    told(StatusCode::OK, JSON, board.state())
}

async fn events(State(board): State<Arc<Board>>) -> Response {
    told(StatusCode::OK, JSON, board.events())
}

async fn healthz(State(board): State<Arc<Board>>) -> Response {
    match board.healthz() {
        (true, words) => told(StatusCode::OK, JSON, words),
        (false, words) => told(StatusCode::SERVICE_UNAVAILABLE, JSON, words),
    }
}

async fn metrics(State(board): State<Arc<Board>>) -> Response {
    told(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&board))
}

async fn nothing_there() -> Response {
    let words = "Nothing is here. There is /, /live, /picture.jpg, /state, /events, /healthz and /metrics.\n";
    told(StatusCode::NOT_FOUND, TEXT, words.to_owned())
}

fn told(status: StatusCode, content_type: &'static str, words: String) -> Response {
    (status, [(CONTENT_TYPE, content_type)], words).into_response()
}

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn check_host(is_private: bool, request: Request, next: Next) -> Response {
    if is_private && !names_this_machine(request.headers()) {
        let words = "This page is for its own machine: ask for it at localhost or 127.0.0.1, or serve it to \
                     others with --web ADDRESS:PORT.\n";
        return told(StatusCode::FORBIDDEN, TEXT, words.to_owned());
    }
    next.run(request).await
}

/// Whether the host that a request names is an address, or a name that can mean no other machine.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        // The colons of a bare address of version 6 stand between brackets.
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
    fn only_names_of_this_machine_are_let_in() {
        let is_let_in = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a value"));
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
            assert!(is_let_in(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_let_in(host), "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
