//! Asks for the password of the page: HTTP Basic, on all routes but `/healthz`.
//!
//! Wrong passwords are throttled by address ([`LoginThrottle`]). Behind a proxy all browsers have the same address, so one that
//! has logged in gets a cookie by which it is recognized: the throttle does not apply to it. The cookie is no login; the
//! password is needed beside it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, COOKIE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::login_throttle::LoginThrottle;
use super::routes::{TEXT, respond};
use crate::address::WebLogin;
use crate::http_server::ClientAddress;

/// The route that tells whether the run is healthy, for monitors that have no password.
const WITHOUT_PASSWORD: &str = "/healthz";

const CHALLENGE: &str = "Basic realm=\"boxcam\"";

const MESSAGE: &str =
    "A password is needed, that of --web-password-file; the user name does not matter.\n";

/// Who may use the page.
pub(super) struct LoginCheck {
    login: WebLogin,
    throttle: Mutex<LoginThrottle>,
    cookie: LoginCookie,
}

/// A cookie that only clients have which had the password in this run.
struct LoginCookie {
    /// Browsers send the cookies of a host to all of its ports.
    name: String,
    value: String,
}

/// The answer to a request, before it is passed on.
#[derive(Debug, PartialEq, Eq)]
enum LoginDecision {
    Passed,
    /// With the cookie for the response.
    LoggedIn(String),
    NeedsPassword,
    /// The time until the next password is compared.
    Throttled(Duration),
}

impl LoginCheck {
    /// For a page at this address.
    pub(super) fn new(login: WebLogin, address: SocketAddr) -> Self {
        Self {
            login,
            throttle: Mutex::default(),
            cookie: LoginCookie::new(address),
        }
    }

    fn decide(&self, client: IpAddr, headers: &HeaderMap, now: Instant) -> LoginDecision {
        let WebLogin::Password(password) = &self.login else {
            return LoginDecision::Passed;
        };
        let given = headers.get(AUTHORIZATION);
        let Some(given) = given.and_then(|value| given_password(value.as_bytes())) else {
            return LoginDecision::NeedsPassword;
        };
        let is_known = self.cookie.is_in(headers);
        // Locked until the end, so that requests at the same time are not compared together.
        let mut throttle = self.throttle.lock();
        if !is_known && let Some(remaining) = throttle.remaining(client, now) {
            return LoginDecision::Throttled(remaining);
        }
        if password.matches(&given) {
            return match is_known {
                true => LoginDecision::Passed,
                false => LoginDecision::LoggedIn(self.cookie.header()),
            };
        }
        throttle.record_failure(client, Sha256::digest(&given).into(), now);
        LoginDecision::NeedsPassword
    }
}

impl LoginCookie {
    fn new(address: SocketAddr) -> Self {
        // The keys of the hashes are random numbers of the system.
        let random = [RandomState::new(), RandomState::new()];
        let value = random.map(|state| format!("{:016x}", state.hash_one(address)));
        Self {
            name: format!("boxcam-login-{}", address.port()),
            value: value.concat(),
        }
    }

    /// The value of `Set-Cookie`. Its path is that of the request, also below a path of a proxy.
    fn header(&self) -> String {
        let Self { name, value } = self;
        format!("{name}={value}; HttpOnly; SameSite=Strict")
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(COOKIE).into_iter();
        let mut cookies = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let expected = format!("{}={}", self.name, self.value);
        cookies.any(|cookie| cookie.trim_ascii().ct_eq(expected.as_bytes()).into())
    }
}

/// Passes a request on if it has the password.
pub(super) async fn check_login(check: Arc<LoginCheck>, request: Request, next: Next) -> Response {
    if request.uri().path() == WITHOUT_PASSWORD {
        return next.run(request).await;
    }
    let client = request.extensions().get::<ClientAddress>();
    let client = client.map_or(Ipv6Addr::UNSPECIFIED.into(), |client| client.0);
    match check.decide(client, request.headers(), Instant::now()) {
        LoginDecision::Passed => next.run(request).await,
        LoginDecision::LoggedIn(cookie) => {
            let mut response = next.run(request).await;
            let cookie = HeaderValue::try_from(cookie).expect("the cookie is ASCII");
            response.headers_mut().append(SET_COOKIE, cookie);
            response
        }
        LoginDecision::NeedsPassword => {
            let body = respond(StatusCode::UNAUTHORIZED, TEXT, MESSAGE.to_owned());
            ([(WWW_AUTHENTICATE, CHALLENGE)], body).into_response()
        }
        LoginDecision::Throttled(remaining) => throttled(remaining),
    }
}

fn throttled(remaining: Duration) -> Response {
    // Not a moment too early.
    let seconds = remaining.as_millis().div_ceil(1000);
    let message = format!(
        "Too many wrong passwords came from this address; try again in {seconds} s. Other addresses are not affected.\n"
    );
    let body = respond(StatusCode::TOO_MANY_REQUESTS, TEXT, message);
    ([(RETRY_AFTER, seconds.to_string())], body).into_response()
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
    use crate::address::WebPassword;

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

    fn check() -> LoginCheck {
        let password = WebPassword::from_file_content(b"s3cret").expect("valid");
        let address = SocketAddr::from(([0, 0, 0, 0], 8080));
        LoginCheck::new(WebLogin::Password(password), address)
    }

    fn headers(password: &str, cookie: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let login = format!("Basic {}", BASE64_STANDARD.encode(format!(":{password}")));
        headers.insert(AUTHORIZATION, login.try_into().expect("ASCII"));
        if let Some(value) = cookie {
            let value = format!("other=1; {value}; last=2");
            headers.append(COOKIE, value.try_into().expect("ASCII"));
        }
        headers
    }

    /// Fails until the address is blocked. Returns the remaining time.
    fn block(check: &LoginCheck, client: IpAddr, now: Instant) -> Duration {
        for guess in 0..100 {
            let guess = headers(&guess.to_string(), None);
            match check.decide(client, &guess, now) {
                LoginDecision::NeedsPassword => {}
                LoginDecision::Throttled(remaining) => return remaining,
                other => panic!("{other:?}"),
            }
        }
        panic!("guesses are not throttled");
    }

    #[test]
    fn a_blocked_address_waits_also_with_the_right_password() {
        let (check, now) = (check(), Instant::now());
        let client = IpAddr::from([192, 0, 2, 7]);
        let remaining = block(&check, client, now);
        let right = headers("s3cret", None);
        let decision = check.decide(client, &right, now);
        assert_eq!(decision, LoginDecision::Throttled(remaining));
        // A request without a password is no attempt.
        let none = check.decide(client, &HeaderMap::new(), now);
        assert_eq!(none, LoginDecision::NeedsPassword);
        let other = IpAddr::from([192, 0, 2, 8]);
        for (client, now) in [(other, now), (client, now + remaining)] {
            let decision = check.decide(client, &right, now);
            assert!(
                matches!(decision, LoginDecision::LoggedIn(_)),
                "{decision:?}"
            );
        }
    }

    #[test]
    fn a_browser_that_has_logged_in_is_not_blocked_by_others_behind_its_proxy() {
        let (check, now) = (check(), Instant::now());
        let proxy = IpAddr::from([127, 0, 0, 1]);
        let decision = check.decide(proxy, &headers("s3cret", None), now);
        let LoginDecision::LoggedIn(cookie) = decision else {
            panic!("{decision:?}");
        };
        assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().expect("a value");
        block(&check, proxy, now);
        let with_cookie =
            |password: &str| check.decide(proxy, &headers(password, Some(cookie)), now);
        assert_eq!(with_cookie("s3cret"), LoginDecision::Passed);
        assert_eq!(with_cookie("wrong"), LoginDecision::NeedsPassword);
        for forged in [
            "boxcam-login-8080=",
            &cookie[..cookie.len() - 1],
            &cookie.to_uppercase(),
        ] {
            let decision = check.decide(proxy, &headers("s3cret", Some(forged)), now);
            assert!(
                matches!(decision, LoginDecision::Throttled(_)),
                "{forged}: {decision:?}"
            );
        }
    }

    #[test]
    fn each_run_has_its_own_cookie() {
        let cookies = [check().cookie.header(), check().cookie.header()];
        assert_ne!(cookies[0], cookies[1]);
    }

    #[test]
    fn an_open_page_asks_nothing() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let check = LoginCheck::new(WebLogin::Open, address);
        let client = IpAddr::from([127, 0, 0, 1]);
        let decision = check.decide(client, &headers("x", None), Instant::now());
        assert_eq!(decision, LoginDecision::Passed);
    }
}
