//! Sends a model to a running boxcam, by its REST interface (`docs/running.md`).

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use thiserror::Error;

/// The port of boxcam's page if the address has none.
const PORT: u16 = 8080;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for a read or write: a small board needs a while to check a model.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Most bytes of an answer.
const MAX_ANSWER: u64 = 1 << 20;

/// Most bytes of a model that boxcam accepts.
const MAX_MODEL: usize = 64 << 20;

/// Why the board does not use the model.
#[derive(Debug, Error)]
pub enum BoardError {
    #[error(
        "the address \"{text}\" is not valid; give the board's name or IP address, as in boxcam.local:8080"
    )]
    Address { text: String },
    #[error(
        "https:// is not supported here; give the address of boxcam itself, without the proxy, as in boxcam.local:8080"
    )]
    Https,
    #[error(
        "{address}: cannot be reached ({source}); check that boxcam runs there with --web and a password"
    )]
    Connection { address: String, source: io::Error },
    #[error("{address}: the password is wrong")]
    Password { address: String },
    #[error(
        "{address}: is not a boxcam that takes models (answer {status}); start it with --web and --web-password-file"
    )]
    Unknown { address: String, status: u16 },
    #[error("{address}: {message}")]
    Refused { address: String, message: String },
    #[error("the model has {size} bytes, but boxcam takes at most {MAX_MODEL}")]
    TooLarge { size: usize },
}

/// Where boxcam serves its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardAddress {
    /// Host and port.
    authority: String,
    /// The path of the page behind a proxy, which ends with `/`.
    base: String,
}

impl BoardAddress {
    /// Parses `HOST`, `HOST:PORT` or `http://HOST:PORT/PATH`.
    ///
    /// # Errors
    /// [`BoardError::Address`], [`BoardError::Https`]
    pub fn parse(text: &str) -> Result<Self, BoardError> {
        let plain = text.trim();
        let lower = plain.to_ascii_lowercase();
        if lower.starts_with("https://") {
            return Err(BoardError::Https);
        }
        let rest = match lower.starts_with("http://") {
            true => &plain["http://".len()..],
            false => plain,
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_valid = |text: &str, more: &str| {
            let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
            text.chars().all(is_allowed)
        };
        let invalid = || BoardError::Address {
            text: text.to_owned(),
        };
        if host.is_empty() || !is_valid(host, ".-_:[]") || !is_valid(path, ".-_~/%") {
            return Err(invalid());
        }
        let has_port = host.rfind(':').is_some_and(|at| !host[at..].contains(']'));
        let authority = match has_port {
            true => host.to_owned(),
            false => format!("{host}:{PORT}"),
        };
        let port = authority
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return Err(invalid());
        }
        let path = path.trim_end_matches('/');
        let base = match path.is_empty() {
            true => "/".to_owned(),
            false => format!("/{path}/"),
        };
        Ok(Self { authority, base })
    }
}

/// A running boxcam. The password is in memory only as long as this.
pub struct Board {
    address: BoardAddress,
    authorization: String,
}

impl Board {
    #[must_use]
    pub fn new(address: BoardAddress, password: &str) -> Self {
        let login = BASE64_STANDARD.encode(format!(":{password}"));
        Self {
            address,
            authorization: format!("Basic {login}"),
        }
    }

    /// Lets boxcam use a model, the bytes of an ONNX file, once it has reproduced its golden examples there. Returns its answer.
    ///
    /// # Errors
    /// [`BoardError`]; boxcam uses the same model as before then.
    pub fn install(&self, model: &[u8]) -> Result<Value, BoardError> {
        if model.len() > MAX_MODEL {
            return Err(BoardError::TooLarge { size: model.len() });
        }
        self.change("model", model)
    }

    /// Lets boxcam go back to the model of its own file. Returns its answer.
    ///
    /// # Errors
    /// [`BoardError`]
    pub fn go_back(&self) -> Result<Value, BoardError> {
        self.change("reload", &[])
    }

    fn change(&self, path: &str, body: &[u8]) -> Result<Value, BoardError> {
        // A connection that is refused while a model is sent may lose the answer.
        self.request("GET", "config", &[])?;
        self.request("POST", path, body)
    }

    /// The object of an answer with the status 200.
    fn request(&self, method: &str, path: &str, body: &[u8]) -> Result<Value, BoardError> {
        let address = self.address.authority.clone();
        let exchanged = self.exchange(method, path, body);
        let (status, answer) = exchanged.map_err(|source| BoardError::Connection {
            address: address.clone(),
            source,
        })?;
        let object = serde_json::from_slice::<Value>(&answer).ok();
        let object = object.filter(Value::is_object);
        let message = object.as_ref().and_then(|object| object["error"].as_str());
        match (status, object.as_ref(), message) {
            (200, Some(object), _) => Ok(object.clone()),
            (401, ..) => Err(BoardError::Password { address }),
            (_, _, Some(message)) => Err(BoardError::Refused {
                address,
                message: message.to_owned(),
            }),
            _ => Err(BoardError::Unknown { address, status }),
        }
    }

    /// Status and body of the answer. HTTP/1.0, so that it ends with the connection and has no chunks.
    fn exchange(&self, method: &str, path: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let BoardAddress { authority, base } = &self.address;
        let mut stream = connect(authority)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let head = format!(
            "{method} {base}{path} HTTP/1.0\r\nHost: {authority}\r\nAuthorization: {}\r\nX-Boxcam-Request: 1\r\n\
             Content-Length: {}\r\n\r\n",
            self.authorization,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        let read = stream.take(MAX_ANSWER).read_to_end(&mut answer);
        match parse(&answer) {
            // A request that is refused may be answered before its body is read.
            Some(parsed) => Ok(parsed),
            None => {
                sent?;
                read?;
                Err(io::Error::other("its answer is not HTTP"))
            }
        }
    }
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Status and body of an HTTP response.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut words = head.lines().next()?.split(' ');
    let is_http = words.next()?.starts_with("HTTP/1.");
    let status = words.next()?.parse().ok()?;
    is_http.then(|| (status, answer[end + 4..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port_and_a_path() {
        for (text, authority, base) in [
            ("boxcam.local", "boxcam.local:8080", "/"),
            (" 10.0.0.7:81 ", "10.0.0.7:81", "/"),
            ("http://cam/", "cam:8080", "/"),
            ("HTTP://cam:80/kitchen", "cam:80", "/kitchen/"),
            ("[::1]", "[::1]:8080", "/"),
            ("[::1]:99", "[::1]:99", "/"),
        ] {
            let address = BoardAddress::parse(text).expect("valid");
            assert_eq!((&*address.authority, &*address.base), (authority, base));
        }
        for text in [
            "",
            " ",
            "a b",
            "cam:0",
            "cam:x",
            "u@cam",
            "cam/\r\nX: y",
            "cam?x",
            "ftp://cam",
        ] {
            let error = BoardAddress::parse(text).expect_err(text);
            assert!(matches!(error, BoardError::Address { .. }), "{text}");
        }
        let error = BoardAddress::parse("https://cam").expect_err("TLS");
        assert!(matches!(error, BoardError::Https));
    }

    #[test]
    fn only_http_is_an_answer() {
        let parsed = parse(b"HTTP/1.0 422 Unprocessable Entity\r\nA: b\r\n\r\n{}");
        assert_eq!(parsed, Some((422, b"{}".to_vec())));
        for answer in [
            &b""[..],
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(parse(answer), None);
        }
    }

    #[test]
    fn a_board_that_is_not_there_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let board = Board::new(BoardAddress::parse(&address).expect("valid"), "secret");
        let message = board.go_back().expect_err("nobody").to_string();
        assert!(
            message.contains(&address) && !message.contains("secret"),
            "{message}"
        );
    }
}
