//! Values that options, sources and sinks share. Parsing checks them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// A text that could not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected {expected}")]
pub struct InvalidValue {
    /// The form of a valid text.
    pub expected: &'static str,
}

/// Width and height of frames in pixels, each in `16..=8192`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSize {
    pub width: u32,
    pub height: u32,
}

/// Clockwise rotation of the image on a screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rotation {
    /// Not rotated.
    #[default]
    None,
    /// 90 degrees.
    Quarter,
    /// 180 degrees.
    Half,
    /// 270 degrees.
    ThreeQuarters,
}

/// Address of an MQTT broker, and the login.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Host name or IP address.
    pub host: String,
    pub port: u16,
    /// User name and password, if the broker needs them.
    pub login: Option<(String, String)>,
}

/// Address of the web page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebAddress(pub SocketAddr);

impl FromStr for FrameSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let side = |text: &str| text.parse().ok().filter(|side| (16..=8192).contains(side));
        let sides = text.split_once('x');
        let sides = sides.and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = sides.ok_or(InvalidValue {
            expected: "width x height in pixels, as 640x480, each from 16 to 8192",
        })?;
        Ok(Self { width, height })
    }
}

impl FromStr for Rotation {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "0" => Ok(Self::None),
            "90" => Ok(Self::Quarter),
            "180" => Ok(Self::Half),
            "270" => Ok(Self::ThreeQuarters),
            _ => Err(InvalidValue {
                expected: "0, 90, 180 or 270",
            }),
        }
    }
}

impl FromStr for BrokerAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = InvalidValue {
            expected: "mqtt://[USER[:PASSWORD]@]HOST[:PORT]",
        };
        let rest = text.strip_prefix("mqtt://").ok_or(invalid)?;
        let rest = rest.trim_end_matches('/');
        let (login, address) = match rest.rsplit_once('@') {
            Some((login, address)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (Some((user.to_owned(), password.to_owned())), address)
            }
            None => (None, rest),
        };
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| invalid)?),
            None => (address, 1883),
        };
        if host.is_empty() {
            return Err(invalid);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            login,
        })
    }
}

/// Without the login, which must not get into a log.
impl fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt://{}:{}", self.host, self.port)
    }
}

impl FromStr for WebAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if let Ok(port) = text.parse() {
            return Ok(Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        }
        text.parse().map(Self).map_err(|_| InvalidValue {
            expected: "a port, or an address with a port as 0.0.0.0:8080",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_addresses_are_parsed() {
        let broker: BrokerAddress = "mqtt://cam:p@ss:w@home.lan:1884/".parse().expect("valid");
        let login = Some(("cam".to_owned(), "p@ss:w".to_owned()));
        assert_eq!((broker.port, &broker.login), (1884, &login));
        assert_eq!(format!("{broker:?}"), "mqtt://home.lan:1884");
        let plain: BrokerAddress = "mqtt://localhost".parse().expect("valid");
        assert_eq!((plain.port, plain.login), (1883, None));
        for invalid in ["localhost", "mqtt://", "mqtt://home:port", "http://home"] {
            assert!(invalid.parse::<BrokerAddress>().is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_port_alone_is_an_address_of_this_machine_only() {
        let local: WebAddress = "8080".parse().expect("a port");
        assert!(local.0.ip().is_loopback());
        let public: WebAddress = "0.0.0.0:80".parse().expect("an address");
        assert!(public.0.ip().is_unspecified());
        assert!("80.0".parse::<WebAddress>().is_err());
    }

    #[test]
    fn frame_sizes_are_parsed() {
        let size: FrameSize = "640x480".parse().expect("valid");
        assert_eq!((size.width, size.height), (640, 480));
        for invalid in ["640", "640x", "15x480", "640x8193", "-640x480"] {
            assert!(invalid.parse::<FrameSize>().is_err(), "{invalid}");
        }
    }
}
