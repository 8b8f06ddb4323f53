//! Requests of other web sites in the user's browser: which host they name, and where they come from.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, HeaderName, ORIGIN};

/// A browser sets it for no other site without asking this server first, which does not allow it.
pub const CHANGE_HEADER: HeaderName = HeaderName::from_static("x-boxcam-request");

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host header without its port.
#[must_use]
pub fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address are in brackets.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// Whether this is `localhost` or an IP address: no other web site can have them as its name.
#[must_use]
pub fn is_this_machine(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Why a request that changes something is refused: a page of another site may have sent it (cross-site request forgery).
/// It must have a header that such a page can't set, and if it says where it comes from, that is this page.
#[must_use]
pub fn change_refusal(headers: &HeaderMap) -> Option<&'static str> {
    if !headers.contains_key(CHANGE_HEADER) {
        return Some(
            "the header X-Boxcam-Request is missing, which shows that no other web page sent this; add it, as in \
             curl -H 'X-Boxcam-Request: 1'",
        );
    }
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let is_own_site =
        text(SEC_FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none");
    let is_own_origin = text(ORIGIN).is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && host == text(HOST)
    });
    let message = "the request comes from a page of another site, which may change nothing here";
    (!is_own_site || !is_own_origin).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(headers: &[(&'static str, &'static str)]) -> bool {
        let host = [("host", "cam.lan:8080")];
        let headers = host.iter().chain(headers).map(|&(name, value)| {
            let value = axum::http::HeaderValue::from_static(value);
            (HeaderName::from_static(name), value)
        });
        change_refusal(&headers.collect()).is_some()
    }

    #[test]
    fn changes_of_other_sites_are_refused() {
        let own = ("x-boxcam-request", "1");
        assert!(!is_refused(&[own]));
        assert!(!is_refused(&[own, ("origin", "http://cam.lan:8080")]));
        assert!(!is_refused(&[own, ("sec-fetch-site", "same-origin")]));
        assert!(!is_refused(&[own, ("sec-fetch-site", "none")]));
        assert!(is_refused(&[]));
        assert!(is_refused(&[("origin", "http://cam.lan:8080")]));
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://cam.lan",
            "http://cam.lan:8080.evil.example",
        ] {
            assert!(is_refused(&[own, ("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(is_refused(&[own, ("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_accepted() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_this_machine(host_name(host)), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_this_machine(host_name(host)), "{host}");
        }
    }
}
