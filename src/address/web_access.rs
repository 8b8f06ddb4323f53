//! Who may use the web page: the host names that it answers to, and the pages that may embed it.

use std::str::FromStr;

use super::AddressError;

/// Host names that the web page answers to, besides `localhost` and IP addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebHosts {
    Any,
    /// In lower case, without a final dot.
    Listed(Vec<String>),
}

/// The pages that may embed the web page in a frame, as sources of the directive `frame-ancestors`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameAncestors(Vec<String>);

impl WebHosts {
    /// Whether `name` is one of these, in any case and with or without a final dot.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(names) => names.contains(&normalized(name)),
        }
    }
}

fn normalized(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

/// Whether these are labels of letters, digits, `-` and `_` with dots between them.
fn is_host_name(text: &str) -> bool {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label = |label: &str| !label.is_empty() && label.chars().all(is_valid);
    text.split('.').all(is_label)
}

impl FromStr for WebHosts {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let name = |text: &str| {
            let name = normalized(text.trim());
            is_host_name(&name).then_some(name)
        };
        let names: Option<Vec<String>> = text.split(',').map(name).collect();
        names.map(Self::Listed).ok_or(AddressError::Hosts)
    }
}

impl FrameAncestors {
    /// The directive of a content security policy.
    #[must_use]
    pub fn directive(&self) -> String {
        let sources = match self.0.as_slice() {
            [] => "'none'".to_owned(),
            sources => sources.join(" "),
        };
        format!("frame-ancestors {sources}")
    }

    /// The value of the older header `X-Frame-Options`, which can't name other origins.
    #[must_use]
    pub fn x_frame_options(&self) -> Option<&'static str> {
        match self.0.as_slice() {
            [] => Some("DENY"),
            [own] if own == "'self'" => Some("SAMEORIGIN"),
            _ => None,
        }
    }
}

impl FromStr for FrameAncestors {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let sources: Option<Vec<String>> =
            text.split(',').map(|text| source(text.trim())).collect();
        sources.map(Self).ok_or(AddressError::FrameAncestors)
    }
}

/// A source of `frame-ancestors`. Only these characters are let through, since a policy separates by spaces and `;`.
fn source(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    if text == "self" || text == "'self'" {
        return Some("'self'".to_owned());
    }
    let origin = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    let rest = origin.strip_prefix("http://");
    let rest = rest.or_else(|| origin.strip_prefix("https://"))?;
    let (host, port) = rest.split_once(':').unwrap_or((rest, "*"));
    let is_port = port == "*" || port.parse::<u16>().is_ok_and(|port| port > 0);
    let host = host.strip_prefix("*.").unwrap_or(host);
    (is_port && is_host_name(host)).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_compared_without_case() {
        let hosts: WebHosts = "Cam.lan, cam.example.org.".parse().expect("valid");
        for name in ["cam.lan", "CAM.LAN.", "cam.example.org"] {
            assert!(hosts.contains(name), "{name}");
        }
        for name in ["lan", "cam.lan.example", "xcam.lan", ""] {
            assert!(!hosts.contains(name), "{name}");
        }
        let any: WebHosts = "*".parse().expect("valid");
        assert!(any.contains("anything"));
        for wrong in [
            "",
            "cam.lan,",
            "cam.lan:80",
            "http://cam.lan",
            "cam lan",
            "*.lan",
            "cam..lan",
            "k\u{fc}che.lan",
            "a/b",
        ] {
            assert_eq!(
                wrong.parse::<WebHosts>(),
                Err(AddressError::Hosts),
                "{wrong}"
            );
        }
    }

    #[test]
    fn frame_ancestors_become_a_directive() {
        let cases = [
            ("none", "frame-ancestors 'none'", Some("DENY")),
            ("self", "frame-ancestors 'self'", Some("SAMEORIGIN")),
            ("*", "frame-ancestors *", None),
            (
                "http://HomeAssistant.local:8123/, self",
                "frame-ancestors http://homeassistant.local:8123 'self'",
                None,
            ),
            (
                "https://*.example.org,http://10.0.0.2:8123",
                "frame-ancestors https://*.example.org http://10.0.0.2:8123",
                None,
            ),
        ];
        for (text, directive, x_frame_options) in cases {
            let ancestors: FrameAncestors = text.parse().expect(text);
            assert_eq!(ancestors.directive(), directive);
            assert_eq!(ancestors.x_frame_options(), x_frame_options, "{text}");
        }
        for wrong in [
            "",
            "homeassistant.local",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a;script-src *",
            "http://a script-src",
            "http://a,",
            "http://a:b",
            "http://u:p@a",
            "http://[::1]",
            "'none'x",
            "data:",
        ] {
            let parsed = wrong.parse::<FrameAncestors>();
            assert_eq!(parsed, Err(AddressError::FrameAncestors), "{wrong}");
        }
    }
}
