//! Clients of the web page that misbehave, and one that reads the metrics.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Debug, Clone)]
pub(super) enum BrowserFault {
    /// A request that is cut after this number of bytes.
    Cut(usize),
    /// Bytes that are no request.
    Garbage(Vec<u8>),
    /// Headers without an end.
    HugeHeader,
    /// The live picture is requested and not read.
    SlowViewer,
    /// More connections than are served.
    ManyConnections,
    /// Half a request, and the connection stays open.
    Idle,
    /// Many requests, of which no response is read.
    Unread,
    /// A request that the page does not have.
    WrongRequest,
}

const REQUEST: &[u8] = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";

impl BrowserFault {
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
        match random.u8(..8) {
            0 => Self::Cut(random.usize(..REQUEST.len())),
            1 => {
                let length = random.usize(1..20_000);
                Self::Garbage((0..length).map(|_| random.u8(..)).collect())
            }
            2 => Self::HugeHeader,
            3 => Self::SlowViewer,
            4 => Self::ManyConnections,
            5 => Self::Idle,
            6 => Self::Unread,
            _ => Self::WrongRequest,
        }
    }

    /// Connects and fails. Returns the connections, which are to stay open for a while.
    ///
    /// The program may close each of them at any time, so no error counts.
    pub(super) fn apply(&self, address: SocketAddr) -> Vec<TcpStream> {
        let mut open = vec![];
        let count = match self {
            Self::ManyConnections => 50,
            _ => 1,
        };
        for _ in 0..count {
            let Ok(mut stream) = connect(address) else {
                break;
            };
            let _ = self.send(&mut stream);
            open.push(stream);
        }
        match self {
            Self::SlowViewer | Self::ManyConnections | Self::Idle | Self::Unread => open,
            _ => Vec::new(),
        }
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Self::Cut(length) => stream.write_all(&REQUEST[..*length]),
            Self::Garbage(bytes) => {
                stream.write_all(bytes)?;
                stream.shutdown(Shutdown::Write)?;
                stream.read_to_end(&mut Vec::new()).map(drop)
            }
            Self::HugeHeader => {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")?;
                stream.write_all(&[b'x'; 1_000_000])
            }
            Self::SlowViewer => {
                stream.write_all(REQUEST)?;
                stream.read_exact(&mut [0; 16])
            }
            Self::ManyConnections => Ok(()),
            Self::Idle => stream.write_all(b"GET / HTTP/1.1\r\nHost:"),
            Self::Unread => {
                stream.write_all(&b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200))
            }
            Self::WrongRequest => {
                stream.write_all(b"DELETE /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
                stream.read_exact(&mut [0; 12])
            }
        }
    }
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let timeout = Duration::from_secs(2);
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

/// What `/metrics` says.
pub(super) struct Metrics(String);

impl Metrics {
    /// `None` if the page does not answer now.
    pub(super) fn read(address: SocketAddr) -> Option<Self> {
        let mut stream = connect(address).ok()?;
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        response
            .starts_with("HTTP/1.1 200")
            .then_some(Self(response))
    }

    /// The value of a metric without labels, or with these.
    pub(super) fn value(&self, name: &str) -> Option<u64> {
        let mut lines = self.0.lines();
        lines.find_map(|line| {
            let value = line.strip_prefix("boxcam_")?.strip_prefix(name)?;
            value.strip_prefix(' ')?.trim().parse().ok()
        })
    }

    pub(super) fn inferred(&self) -> Option<u64> {
        self.value("frames_inferred_total")
    }

    pub(super) fn is_live(&self) -> bool {
        self.value("capture_state{state=\"live\"}") == Some(1)
    }
}
