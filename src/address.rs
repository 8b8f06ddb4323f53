//! Network addresses: of an MQTT broker, of boxcam's own web page, and of who may use that page.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

mod broker;
mod redact;
mod web_access;
mod web_login;

pub use broker::BrokerAddress;
pub use redact::{redacted, redacted_broker};
pub use web_access::{FrameAncestors, WebHosts};
pub use web_login::{WebLogin, WebPassword, WebPasswordError};

/// The address that the web page is served at; `127.0.0.1` if only a port is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebAddress(pub SocketAddr);

/// A text that is not an address. No message repeats the text, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("expected mqtt://[USER[:PASSWORD]@]HOST[:PORT], or mqtts://... for TLS")]
    Broker,
    #[error(
        "{scheme}:// is MQTT over WebSockets, which boxcam does not have; expected mqtt://HOST with the broker's port \
         for plain MQTT, 1883 by default, or mqtts://HOST with the one for TLS, 8883 by default"
    )]
    WebSocket { scheme: &'static str },
    #[error(
        "the host is missing or has an invalid character; expected mqtt://[USER[:PASSWORD]@]HOST[:PORT]"
    )]
    Host,
    #[error(
        "expected an IPv6 address in brackets, as mqtt://[::1]:1883 or mqtt://[fe80::1%25eth0]"
    )]
    Ipv6,
    #[error("the port is invalid; expected a number from 1 to 65535, as mqtt://HOST:1883")]
    Port,
    #[error(
        "there is a path after the host, which boxcam has no use for: it publishes below boxcam/NAME; expected \
         mqtt://[USER[:PASSWORD]@]HOST[:PORT]"
    )]
    Path,
    #[error(
        "the user name or the password is invalid; expected USER or USER:PASSWORD before the @, in UTF-8, with %25 for a \
         percent sign before two hexadecimal digits"
    )]
    Login,
    #[error("expected a port, or an address with a port as 0.0.0.0:8080")]
    Web,
    #[error(
        "expected host names separated by commas, as cam.lan,cam.example.org, without a scheme, a port or a path (xn--... \
         for letters beyond ASCII), or * for any"
    )]
    Hosts,
    #[error(
        "expected none, or origins separated by commas, as http://homeassistant.local:8123, self for the page's own \
         origin, or * for any"
    )]
    FrameAncestors,
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
    fn a_port_alone_is_only_open_to_this_machine() {
        let web: WebAddress = "8080".parse().expect("a port");
        assert!(web.0.ip().is_loopback());
        let open: WebAddress = "0.0.0.0:80".parse().expect("an address");
        assert!(open.0.ip().is_unspecified());
        assert_eq!("home".parse::<WebAddress>(), Err(AddressError::Web));
    }
}
