//! Asks for the password of the page: HTTP Basic, on all routes but `/healthz`.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::routes::{TEXT, respond};
use crate::address::{WebLogin, WebPassword};

/// The route that tells whether the run is healthy, for monitors that have no password.
const WITHOUT_PASSWORD: &str = "/healthz";

const CHALLENGE: &str = "Basic realm=\"boxcam\"";

const MESSAGE: &str =
    "A password is needed, that of --web-password-file; the user name does not matter.\n";

/// Passes a request on if it has the password.
pub(super) async fn check_login(login: Arc<WebLogin>, request: Request, next: Next) -> Response {
    let is_allowed = match &*login {
        WebLogin::Open => true,
        WebLogin::Password(password) => {
            request.uri().path() == WITHOUT_PASSWORD || has_password(request.headers(), password)
        }
    };
    if is_allowed {
        return next.run(request).await;
    }
    let body = respond(StatusCode::UNAUTHORIZED, TEXT, MESSAGE.to_owned());
    ([(WWW_AUTHENTICATE, CHALLENGE)], body).into_response()
}

fn has_password(headers: &HeaderMap, password: &WebPassword) -> bool {
    let given = headers.get(AUTHORIZATION);
    let given = given.and_then(|value| given_password(value.as_bytes()));
    given.is_some_and(|given| password.matches(&given))
}

/// The password in the value of the header: `Basic` and the base64 text of `USER:PASSWORD`.
fn given_password(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, login) = value.split_at_checked("Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let login = BASE64_STANDARD.decode(login.trim_ascii()).ok()?;
    let colon = login.iter().position(|byte| *byte == b':')?;
    Some(login[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_follows_the_first_colon() {
        let given = |login: &str| {
            let value = format!("bAsIc {}", BASE64_STANDARD.encode(login));
            given_password(value.as_bytes())
        };
        assert_eq!(given("anna:s3cret").as_deref(), Some(&b"s3cret"[..]));
        assert_eq!(given(":a:b").as_deref(), Some(&b"a:b"[..]));
        assert_eq!(given("anna:").as_deref(), Some(&b""[..]));
        assert_eq!(given("anna"), None);
        for invalid in [
            "",
            "Basic",
            "Basic ",
            "Basic !!!",
            "Bearer YTpi",
            "Basic=YTpi",
            "YTpi",
        ] {
            assert_eq!(given_password(invalid.as_bytes()), None, "{invalid}");
        }
    }
}
