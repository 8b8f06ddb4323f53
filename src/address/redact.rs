//! Texts for messages, without the passwords of the URLs in them.

use crate::stream_url;

/// What a password is replaced by.
const HIDDEN: &str = "***";

/// As [`stream_url::redact`], for a text that the user gave in a place that may be the wrong one: also with a password that
/// contains anything, with a login that follows no scheme, and for what stands in the place of a port and is none. It
/// rather replaces too much than too little.
#[must_use]
pub fn redacted(text: &str) -> String {
    let text = stream_url::redact(text);
    let scheme_end = text.find("://").map(|start| start + "://".len());
    let start = scheme_end.unwrap_or(0);
    match text.rfind('@') {
        Some(at) if at >= start => {
            let is_login = scheme_end.is_some() || text[..at].contains(':');
            if !is_login {
                return text;
            }
            let (before, after) = (&text[..start], &text[at..]);
            format!("{before}{HIDDEN}{after}")
        }
        _ if scheme_end.is_some() => {
            let (scheme, rest) = text.split_at(start);
            format!("{scheme}{}", without_invalid_port(rest))
        }
        _ => text,
    }
}

/// As [`redacted`], for a text that stands where the URL of a broker is expected, also one without a scheme.
#[must_use]
pub fn redacted_broker(text: &str) -> String {
    if text.contains("://") || text.contains('@') {
        return redacted(text);
    }
    without_invalid_port(text)
}

/// `rest` follows a scheme. In `USER:PASSWORD` without a host, the password is in the place of the port.
fn without_invalid_port(rest: &str) -> String {
    let address_end = match rest.starts_with('[') {
        true => rest.find(']').unwrap_or(0),
        false => 0,
    };
    let Some(colon) = rest[address_end..].find(':') else {
        return rest.to_owned();
    };
    let (host, port) = rest.split_at(address_end + colon + 1);
    let digits_end = port.find(|c: char| !c.is_ascii_digit());
    match digits_end.map(|end| &port[end..]) {
        None => rest.to_owned(),
        Some(path) if path.starts_with(['/', '?']) => rest.to_owned(),
        Some(_) => format!("{host}{HIDDEN}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_replaced() {
        let cases = [
            ("mqtts://u:s3cret@home:1/x", "mqtts://***@home:1/x"),
            ("mqtt://u:a@s3cret/b@home", "mqtt://***@home"),
            ("--mqtt=mqtt://u:s3cret@home", "--mqtt=mqtt://***@home"),
            ("rtsp://u:s3cret@cam", "rtsp://***@cam"),
            ("u:s3cret@home", "***@home"),
            ("mqtt://u:s3cret", "mqtt://u:***"),
            ("mqtt://u:s3cret/7", "mqtt://u:***"),
            ("mqtt://u:7s3cret", "mqtt://u:***"),
            ("mqtt://home:1883/topic", "mqtt://home:1883/topic"),
            ("mqtt://[::1]:1883", "mqtt://[::1]:1883"),
            ("mqtt://[::1]", "mqtt://[::1]"),
            ("rtsp://u:s3 cret@cam/x", "rtsp://***@cam/x"),
            ("http://cam:80/v?pwd=s3cret", "http://cam:80/v?***"),
            ("a@b.png", "a@b.png"),
            ("camera:front", "camera:front"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn a_broker_without_a_scheme_is_redacted_too() {
        let cases = [
            ("u:s3cret", "u:***"),
            ("u:s3cret@home", "***@home"),
            ("home:1883", "home:1883"),
            ("mqtt://u:s3cret", "mqtt://u:***"),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted_broker(text), expected, "{text}");
        }
    }
}
