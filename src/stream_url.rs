//! The address of a network camera, and its text without what is secret.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// What stands in place of something secret.
const HIDDEN: &str = "***";

/// A password of fewer characters is hidden within addresses only: it may be a part of any word.
const MIN_SECRET: usize = 3;

/// The address of a stream that is read through `ffmpeg`.
///
/// Its texts (`Display`, `Debug`) contain no user name, password or query: what a camera's address has there is secret,
/// and must not get into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamUrl {
    text: String,
    shown: String,
    /// A name or an IP address, without the brackets of IPv6.
    host: String,
    port: u16,
    is_rtsp: bool,
    /// Parts of the text that must not be shown, the longest first.
    secrets: Vec<String>,
}

/// A text that is not the address of a stream. It does not contain the text, which may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StreamUrlError {
    #[error(
        "boxcam opens rtsp://, rtsps://, http:// and https:// addresses; pipe any other: `ffmpeg -i URL -f mjpeg - | \
         boxcam run --source -`"
    )]
    Scheme,
    #[error(
        "expected rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH, or the same with rtsps, http or https; in a user name or \
         password write / as %2F, ? as %3F, # as %23 and a blank as %20"
    )]
    Form,
}

impl StreamUrl {
    /// Whether a text is meant as an address of a network, with a scheme that may be unknown.
    #[must_use]
    pub fn is_url(text: &str) -> bool {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            !scheme.is_empty() && scheme.bytes().all(is_letter)
        })
    }

    /// The whole address with its secrets, for the program that opens it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, or the one that its protocol has by default.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the protocol is RTSP, with encryption or without.
    #[must_use]
    pub const fn is_rtsp(&self) -> bool {
        self.is_rtsp
    }

    /// A text of another program without the secrets of this address.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut text = redact(&text.replace(&self.text, &self.shown));
        for secret in &self.secrets {
            text = text.replace(secret, HIDDEN);
        }
        text
    }
}

/// A text in which no address has a user name, a password or a query.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        redacted.push_str(before);
        let is_end = |letter: char| letter.is_whitespace() || "'\"`<>".contains(letter);
        let end = after.find(is_end).unwrap_or(after.len());
        // What follows an address in a sentence is no part of it.
        let end = after[..end]
            .trim_end_matches([':', ',', ';', '.', ')'])
            .len();
        let (url, after) = after.split_at(end);
        // A password may contain anything, even a slash or an @.
        let url = match url.rsplit_once('@') {
            Some((_, url)) => {
                redacted.push_str(HIDDEN);
                redacted.push('@');
                url
            }
            None => url,
        };
        let (url, has_query) = match url.split_once('?') {
            Some((url, _)) => (url, true),
            None => (url, false),
        };
        redacted.push_str(&without_passwords(url));
        if has_query {
            redacted.push('?');
            redacted.push_str(HIDDEN);
        }
        rest = after;
    }
    redacted.push_str(rest);
    redacted
}

/// Some cameras have the password in the path, as `/user=admin_password=secret_channel=1`.
fn without_passwords(path: &str) -> String {
    let parts = path.split('/').map(|part| match has_password(part) {
        true => HIDDEN,
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn has_password(part: &str) -> bool {
    let part = part.to_ascii_lowercase();
    let names = ["password=", "passwd=", "pass=", "pwd=", "token=", "key="];
    names.iter().any(|name| part.contains(name))
}

impl FromStr for StreamUrl {
    type Err = StreamUrlError;

    fn from_str(text: &str) -> Result<Self, StreamUrlError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(StreamUrlError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let (is_rtsp, default_port) = match &*scheme {
            "rtsp" => (true, 554),
            "rtsps" => (true, 322),
            "http" => (false, 80),
            "https" => (false, 443),
            _ => return Err(StreamUrlError::Scheme),
        };
        if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(StreamUrlError::Form);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (host, port) = split_port(address).ok_or(StreamUrlError::Form)?;
        Ok(Self {
            shown: redact(&format!("{scheme}://{address}{path}")),
            host: host.to_owned(),
            port: port.unwrap_or(default_port),
            is_rtsp,
            secrets: secrets(login, path),
            text: format!("{scheme}://{rest}"),
        })
    }
}

/// The host and the port of `HOST[:PORT]`, where an IPv6 address stands in brackets.
fn split_port(address: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// What must not be shown: the login, the password as given and decoded, the query, and passwords in the path.
fn secrets(login: Option<&str>, path: &str) -> Vec<String> {
    let password = login.and_then(|login| login.split_once(':'));
    let password = password.map(|(_, password)| password);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let values = query.split('&').filter_map(|pair| pair.split_once('='));
    let values = values.filter(|(name, _)| has_password(&format!("{name}=")));
    let parts = path.split('/').filter(|part| has_password(part));
    let found = login.into_iter().chain(password).chain([query]);
    let found = found.chain(values.map(|(_, value)| value)).chain(parts);
    let mut secrets: Vec<String> = found
        .flat_map(|secret| [secret.to_owned(), percent_decoded(secret)])
        .filter(|secret| secret.chars().count() >= MIN_SECRET)
        .collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

/// A text without its percent-encoding; what is not UTF-8 then is replaced.
pub(crate) fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl fmt::Display for StreamUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl fmt::Debug for StreamUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> StreamUrl {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn addresses_of_streams_are_parsed() {
        let cases = [
            ("rtsp://cam.lan/stream1", "cam.lan", 554, true),
            ("RTSPS://10.0.0.7:7441/x?enableSrtp", "10.0.0.7", 7441, true),
            ("rtsps://cam", "cam", 322, true),
            ("http://admin:pw@cam:8080/video.mjpg", "cam", 8080, false),
            ("https://a:p@ss@cam/x", "cam", 443, false),
            ("rtsp://u:p@[fe80::1]:8554/x", "fe80::1", 8554, true),
            ("http://[::1]", "::1", 80, false),
        ];
        for (text, host, port, is_rtsp) in cases {
            let url = url(text);
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.is_rtsp(), is_rtsp, "{text}");
        }
        assert_eq!(url("RTSP://Cam/A").expose(), "rtsp://Cam/A");
    }

    #[test]
    fn other_texts_are_refused_without_their_secrets() {
        let refused = [
            ("rtmp://u:secret@cam/live", StreamUrlError::Scheme),
            ("rtsp:/cam", StreamUrlError::Scheme),
            ("rtsp://", StreamUrlError::Form),
            ("rtsp://u:secret@", StreamUrlError::Form),
            ("rtsp://u:sec/ret@cam/x", StreamUrlError::Form),
            ("rtsp://cam:port/x", StreamUrlError::Form),
            ("rtsp://cam:70000/x", StreamUrlError::Form),
            ("rtsp://[::1/x", StreamUrlError::Form),
            ("rtsp://u:my secret@cam/x", StreamUrlError::Form),
        ];
        for (text, expected) in refused {
            let error = text.parse::<StreamUrl>().expect_err(text);
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(StreamUrl::is_url("rtmp://cam") && !StreamUrl::is_url("a/b://c"));
        assert!(!StreamUrl::is_url("://x") && !StreamUrl::is_url("pictures"));
    }

    #[test]
    fn the_shown_address_has_no_secret() {
        let cases = [
            ("rtsp://admin:hunter2@cam:8554/a/b", "rtsp://cam:8554/a/b"),
            (
                "http://cam/v.cgi?user=admin&pwd=hunter2",
                "http://cam/v.cgi?***",
            ),
            (
                "rtsp://cam/user=admin_password=hunter2_x/0",
                "rtsp://cam/***/0",
            ),
            ("http://a:p@hunter2@cam/x", "http://cam/x"),
        ];
        for (text, shown) in cases {
            let url = url(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }

    #[test]
    fn messages_of_other_programs_are_redacted() {
        let cam = url("rtsp://admin:hun%40ter2@cam/x?token=abcdef");
        let messages = [
            (
                "rtsp://admin:hun%40ter2@cam/x?token=abcdef: refused",
                "rtsp://cam/x?***: refused",
            ),
            (
                "open 'http://admin:hun%40ter2@cam:80/y' failed",
                "open 'http://***@cam:80/y' failed",
            ),
            ("login hun@ter2 is wrong", "login *** is wrong"),
            ("token abcdef expired", "token *** expired"),
            ("no address here", "no address here"),
        ];
        for (message, expected) in messages {
            assert_eq!(cam.redact(message), expected);
        }
        let any = "tcp://a:b@c/d and \"http://x:y/z@h?q=1\", ftp://h/p";
        let expected = "tcp://***@c/d and \"http://***@h?***\", ftp://h/p";
        assert_eq!(redact(any), expected);
        // A password of one letter does not take that letter out of every word.
        assert_eq!(url("rtsp://a:e@cam").redact("refused"), "refused");
    }
}
