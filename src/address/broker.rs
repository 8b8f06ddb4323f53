//! The URL of an MQTT broker.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::AddressError;

/// MQTT's port without encryption.
const MQTT_PORT: u16 = 1883;

/// MQTT's port with TLS.
const TLS_PORT: u16 = 8883;

/// Schemes of plain MQTT.
const PLAIN: [&str; 2] = ["mqtt", "tcp"];

/// Schemes of MQTT with TLS.
const TLS: [&str; 4] = ["mqtts", "ssl", "tls", "mqtt+ssl"];

/// Schemes of MQTT over WebSockets.
const WEB_SOCKET: [&str; 2] = ["ws", "wss"];

/// The address of an MQTT broker, with a login where it needs one.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// A host name or an IP address; an IPv6 address has no brackets, and may have a zone, as `fe80::1%eth0`.
    pub host: String,
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// User name and password. The password may be empty, the name not.
    pub login: Option<(String, String)>,
}

/// `mqtt://[USER[:PASSWORD]@]HOST[:PORT][/]`, or the same with `tcp`, or with `mqtts`, `ssl` or `tls` for TLS. User name and password may be percent-encoded; only
/// a `:` in the name and a percent sign before two hexadecimal digits must be.
impl FromStr for BrokerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (tls, rest) = without_scheme(text)?;
        // A password may contain an `@`, a host can't.
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (parse_login(login)?, rest),
            None => (None, rest),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !path.chars().all(|c| c == '/') {
            return Err(AddressError::Path);
        }
        let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
            let (address, port) = bracketed.split_once(']').ok_or(AddressError::Ipv6)?;
            (parse_ipv6(address)?, port)
        } else {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, port) = authority.split_at(end);
            (parse_host(host, port)?, port)
        };
        let default_port = match tls {
            true => TLS_PORT,
            false => MQTT_PORT,
        };
        let port = parse_port(port)?.unwrap_or(default_port);
        Ok(Self {
            host,
            port,
            tls,
            login,
        })
    }
}

/// Whether the scheme is one of TLS, and the text after `://`.
fn without_scheme(text: &str) -> Result<(bool, &str), AddressError> {
    let (scheme, rest) = text.split_once("://").ok_or(AddressError::Broker)?;
    let is = |known: &&&str| scheme.eq_ignore_ascii_case(known);
    if PLAIN.iter().any(|known| is(&known)) {
        return Ok((false, rest));
    }
    if TLS.iter().any(|known| is(&known)) {
        return Ok((true, rest));
    }
    match WEB_SOCKET.iter().find(is) {
        Some(scheme) => Err(AddressError::WebSocket { scheme }),
        None => Err(AddressError::Broker),
    }
}

fn parse_login(text: &str) -> Result<Option<(String, String)>, AddressError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decode = |text| {
        let decoded = percent_decode_str(text).decode_utf8();
        // MQTT allows no zero in them.
        let decoded = decoded.ok().filter(|text| !text.contains('\0'));
        decoded.map(String::from).ok_or(AddressError::Login)
    };
    match (user.is_empty(), password.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err(AddressError::Login),
        (false, _) => Ok(Some((decode(user)?, decode(password)?))),
    }
}

/// The text between brackets.
fn parse_ipv6(text: &str) -> Result<String, AddressError> {
    let (address, zone) = match text.split_once('%') {
        // RFC 6874 writes the percent sign as `%25`; many write it as it is.
        Some((address, zone)) => match zone.strip_prefix("25") {
            Some(zone) if !zone.is_empty() => (address, Some(zone)),
            _ => (address, Some(zone)),
        },
        None => (text, None),
    };
    let is_zone_valid = zone.is_none_or(|zone| {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        !zone.is_empty() && zone.chars().all(is_valid)
    });
    if address.parse::<Ipv6Addr>().is_err() || !is_zone_valid {
        return Err(AddressError::Ipv6);
    }
    Ok(zone.map_or_else(|| address.to_owned(), |zone| format!("{address}%{zone}")))
}

fn parse_host(host: &str, port: &str) -> Result<String, AddressError> {
    if port.matches(':').count() > 1 {
        return Err(AddressError::Ipv6);
    }
    let is_valid = |c: char| {
        let is_ascii_valid = c.is_ascii_alphanumeric() || "-._".contains(c);
        is_ascii_valid || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
    };
    if host.is_empty() || !host.chars().all(is_valid) {
        return Err(AddressError::Host);
    }
    Ok(host.to_owned())
}

/// An empty text, or a colon with or without a number.
fn parse_port(text: &str) -> Result<Option<u16>, AddressError> {
    let digits = match text.strip_prefix(':') {
        Some("") => return Ok(None),
        Some(digits) => digits,
        None if text.is_empty() => return Ok(None),
        None => return Err(AddressError::Ipv6),
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| is_number && *port > 0);
    port.map(Some).ok_or(AddressError::Port)
}

/// Without the login: a password must not get into a log.
impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.tls {
            true => "mqtts",
            false => "mqtt",
        };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// As [`Display`](fmt::Display), also without the login.
impl fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> BrokerAddress {
        text.parse()
            .unwrap_or_else(|error: AddressError| panic!("{text}: {error}"))
    }

    #[test]
    fn hosts_and_ports_are_parsed() {
        let cases = [
            ("mqtt://localhost", "localhost", 1883),
            ("mqtt://home.lan:1884/", "home.lan", 1884),
            ("MQTT://Home.lan:", "Home.lan", 1883),
            ("tcp://broker_1//", "broker_1", 1883),
            ("Tcp://10.0.0.2:65535", "10.0.0.2", 65535),
            ("mqtt://[::1]", "::1", 1883),
            ("mqtt://[::1]:1884/", "::1", 1884),
            ("mqtt://[fe80::1%25eth0]", "fe80::1%eth0", 1883),
            ("mqtt://[fe80::1%eth0]:18", "fe80::1%eth0", 18),
            ("mqtt://[fe80::1%252]", "fe80::1%2", 1883),
            ("mqtt://[fe80::1%25]", "fe80::1%25", 1883),
            ("mqtt://k\u{fc}che.local", "k\u{fc}che.local", 1883),
            (
                "mqtt://xn--kche-0ra.example.",
                "xn--kche-0ra.example.",
                1883,
            ),
        ];
        for (text, host, port) in cases {
            let address = parsed(text);
            assert_eq!(
                (address.host.as_str(), address.port),
                (host, port),
                "{text}"
            );
            assert_eq!(address.login, None, "{text}");
        }
    }

    #[test]
    fn logins_are_decoded() {
        let cases = [
            ("cam:p@ss:w", "cam", "p@ss:w"),
            ("cam:p%40ss%3Aw", "cam", "p@ss:w"),
            ("cam:a/b?c#d", "cam", "a/b?c#d"),
            ("cam", "cam", ""),
            ("cam:", "cam", ""),
            ("DOMAIN%5Ccam:%2525", "DOMAIN\\cam", "%25"),
            ("a%3Ab:c", "a:b", "c"),
            ("cam:100%", "cam", "100%"),
            ("cam:50%zz", "cam", "50%zz"),
            ("k%C3%BCche:\u{5bc6}", "k\u{fc}che", "\u{5bc6}"),
            ("cam:a b", "cam", "a b"),
        ];
        for (login, user, password) in cases {
            let expected = Some((user.to_owned(), password.to_owned()));
            assert_eq!(parsed(&format!("mqtt://{login}@home")).login, expected);
        }
        for none in ["mqtt://@home", "mqtt://:@home"] {
            assert_eq!(parsed(none).login, None);
        }
    }

    #[test]
    fn errors_name_the_cause() {
        use AddressError::{Broker, Host, Ipv6, Login, Path, Port, WebSocket};
        let cases = [
            ("", Broker),
            ("localhost", Broker),
            ("localhost:1883", Broker),
            ("http://home", Broker),
            ("://home", Broker),
            ("mqtt:/home", Broker),
            ("wss://home/mqtt", WebSocket { scheme: "wss" }),
            ("ws://home:9001", WebSocket { scheme: "ws" }),
            ("mqtt://", Host),
            ("mqtt:///", Host),
            ("mqtt://:1883", Host),
            ("mqtt://u:p@", Host),
            ("mqtt://ho me", Host),
            ("mqtt://home\n", Host),
            ("mqtt://ho%6De", Host),
            ("mqtt://::1", Ipv6),
            ("mqtt://fe80::1:1883", Ipv6),
            ("mqtt://[::1", Ipv6),
            ("mqtt://[::1]1883", Ipv6),
            ("mqtt://[home]", Ipv6),
            ("mqtt://[fe80::1%]", Ipv6),
            ("mqtt://[fe80::1%25e h]", Ipv6),
            ("mqtt://home:port", Port),
            ("mqtt://home:0", Port),
            ("mqtt://home:65536", Port),
            ("mqtt://home:+80", Port),
            ("mqtt://home:-1", Port),
            ("mqtt://home/topic", Path),
            ("mqtt://home:1883/a/", Path),
            ("mqtt://home?keepalive=5", Path),
            ("mqtt://home#x", Path),
            ("mqtt://:secret@home", Login),
            ("mqtt://u:%FF@home", Login),
            ("mqtt://u%00:p@home", Login),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<BrokerAddress>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn some_schemes_are_those_of_tls() {
        let cases = [
            ("mqtt://home", false, 1883, "mqtt://home:1883"),
            ("mqtts://home", true, 8883, "mqtts://home:8883"),
            ("SSL://home:1", true, 1, "mqtts://home:1"),
            ("tls://u:p@[::1]", true, 8883, "mqtts://[::1]:8883"),
            ("mqtt+ssl://home/", true, 8883, "mqtts://home:8883"),
        ];
        for (text, tls, port, shown) in cases {
            let address = parsed(text);
            assert_eq!((address.tls, address.port), (tls, port), "{text}");
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn the_login_is_never_shown() {
        for text in ["mqtt://cam:s3cret@[::1]", "tcp://cam:s3cret@[::1]:1883/"] {
            let address = parsed(text);
            assert_eq!(address.to_string(), "mqtt://[::1]:1883");
            assert_eq!(format!("{address:?}"), "mqtt://[::1]:1883");
        }
        for text in [
            "wss://cam:s3cret@home",
            "mqtt://cam:s3cret",
            "mqtt://cam:s3cret@home/x",
            "cam:s3cret@home",
            "mqtt://:s3cret@home",
            "s3cret://home",
        ] {
            let error = text.parse::<BrokerAddress>().expect_err(text);
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{text}");
        }
    }
}
