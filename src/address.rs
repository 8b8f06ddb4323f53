//! Network addresses: of an MQTT broker, and of boxcam's own web page.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// MQTT's port without encryption.
const MQTT_PORT: u16 = 1883;

/// The address of an MQTT broker, with a login where it needs one.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// A host name or an IP address.
    pub host: String,
    pub port: u16,
    /// User name and password.
    pub login: Option<(String, String)>,
}

/// The address that the web page is served at; `127.0.0.1` if only a port is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebAddress(pub SocketAddr);

/// A text that is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("expected mqtt://[USER[:PASSWORD]@]HOST[:PORT]")]
    Broker,
    #[error("expected a port, or an address with a port as 0.0.0.0:8080")]
    Web,
}

impl FromStr for BrokerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix("mqtt://").ok_or(AddressError::Broker)?;
        let rest = rest.trim_end_matches('/');
        let (login, host_and_port) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login.split_once(':').unwrap_or((login, ""))), rest),
            None => (None, rest),
        };
        let (host, port) = match host_and_port.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| AddressError::Broker)?),
            None => (host_and_port, MQTT_PORT),
        };
        if host.is_empty() {
            return Err(AddressError::Broker);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
        })
    }
}

/// Without the login: a password must not get into a log.
impl fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt://{}:{}", self.host, self.port)
    }
}

impl FromStr for WebAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(port) = text.parse() {
            return Ok(Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        }
        text.parse().map(Self).map_err(|_| AddressError::Web)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        let broker: BrokerAddress = "mqtt://cam:p@ss:w@home.lan:1884/".parse().expect("valid");
        let login = Some(("cam".to_owned(), "p@ss:w".to_owned()));
        assert_eq!((broker.port, &broker.login), (1884, &login));
        assert_eq!(format!("{broker:?}"), "mqtt://home.lan:1884");
        let plain: BrokerAddress = "mqtt://localhost".parse().expect("valid");
        assert_eq!((plain.port, plain.login), (1883, None));
        for wrong in ["localhost", "mqtt://", "mqtt://home:port", "http://home"] {
            assert!(wrong.parse::<BrokerAddress>().is_err(), "{wrong}");
        }
        let web: WebAddress = "8080".parse().expect("a port");
        assert!(
            web.0.ip().is_loopback(),
            "a port alone is only open to this machine"
        );
        let open: WebAddress = "0.0.0.0:80".parse().expect("an address");
        assert!(open.0.ip().is_unspecified());
    }
}
