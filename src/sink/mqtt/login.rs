//! Tries the login of a run at a broker, and what a broker's refusal means.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rumqttc::{Connect, ConnectReturnCode, Disconnect, Packet, Protocol};
use rustls::{ClientConnection, StreamOwned};
use thiserror::Error;

use super::discovery::Topics;
use super::tls::{self, BrokerTls, TlsFailure};
use crate::address::BrokerAddress;

/// Length of the packet with which a broker answers a login.
const ANSWER_LENGTH: usize = 4;

/// Why a run can't connect to a broker. The message continues the broker's address.
#[derive(Debug, Error)]
pub enum LoginError {
    #[error("the name can't be resolved ({source})")]
    Resolve { source: io::Error },
    #[error("can't be reached ({source})")]
    Connect { source: io::Error },
    #[error("accepts connections, but does not answer within {} s", timeout.as_secs_f32())]
    NoAnswer { timeout: Duration },
    #[error("closes the connection without an answer ({source})")]
    Closed { source: io::Error },
    #[error(transparent)]
    Tls(TlsFailure),
    #[error("is not an MQTT broker: it does not answer as one")]
    NotMqtt,
    #[error("{}", refusal(*code))]
    Refused { code: ConnectReturnCode },
}

impl LoginError {
    /// The next step.
    #[must_use]
    pub fn fix(&self, broker: &BrokerAddress) -> String {
        match self {
            Self::Resolve { .. } if !broker.host.is_ascii() => {
                "check the name; one with letters beyond ASCII may be known under its ASCII form only, which starts with xn--"
                    .to_owned()
            }
            Self::Resolve { .. } | Self::Connect { .. } => {
                "start the broker, check its name and port, and let it listen on the network".to_owned()
            }
            Self::NoAnswer { .. } => {
                "check that an MQTT broker listens at this port and is not overloaded".to_owned()
            }
            Self::Closed { .. } | Self::NotMqtt => {
                "give the port of plain MQTT, 1883 by default, for mqtt://, or that of TLS, 8883 by default, for mqtts://; 9001 \
                 is for WebSockets; the broker's log may say more"
                    .to_owned()
            }
            Self::Tls(failure) => failure.next_step().to_owned(),
            Self::Refused { code } => next_step(*code).to_owned(),
        }
    }

    /// Whether the connection may succeed later with the same options.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::NoAnswer { .. } => true,
            Self::Refused { code } => matches!(code, ConnectReturnCode::ServiceUnavailable),
            Self::Closed { .. } | Self::Tls(_) | Self::NotMqtt => false,
        }
    }
}

/// What a broker refuses, with the code of its answer.
pub(super) const fn refusal(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::Success => "accepts the login",
        ConnectReturnCode::RefusedProtocolVersion => {
            "refuses MQTT 3.1.1 (code 1, unacceptable protocol version)"
        }
        ConnectReturnCode::BadClientId => "refuses the client ID (code 2, identifier rejected)",
        ConnectReturnCode::ServiceUnavailable => {
            "refuses connections for now (code 3, server unavailable)"
        }
        ConnectReturnCode::BadUserNamePassword => {
            "refuses the login (code 4, bad user name or password)"
        }
        ConnectReturnCode::NotAuthorized => {
            "refuses the login (code 5, not authorized: the user name or the password is wrong or missing, or the user has \
             no permission)"
        }
    }
}

/// What to do about a refusal.
pub(super) const fn next_step(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::Success => "nothing is to be done",
        ConnectReturnCode::RefusedProtocolVersion => "enable MQTT 3.1.1 at the broker",
        ConnectReturnCode::BadClientId => {
            "choose a shorter or another name with --name, or allow the client ID boxcam_NAME at the broker"
        }
        ConnectReturnCode::ServiceUnavailable => "see the broker's log",
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            "correct it in --mqtt mqtt://USER:PASSWORD@HOST or --mqtt-password-file, or add the user at the broker"
        }
    }
}

/// Logs in as a run with this camera name does, with the same user, password and last will, and out again.
///
/// `tls` are the certificates that the broker's one may come from, `None` those of the system.
///
/// The client ID has `-doctor` appended, so that a run with the same name keeps its connection. `timeout` is for each of
/// resolving the name, connecting and the answer.
///
/// # Errors
/// [`LoginError`]
pub fn check_login(
    broker: &BrokerAddress,
    tls: Option<&BrokerTls>,
    name: &str,
    timeout: Duration,
) -> Result<(), LoginError> {
    let addresses = resolve(broker, timeout)?;
    let stream = connect(&addresses, Instant::now() + timeout)
        .map_err(|source| LoginError::Connect { source })?;
    let mut stream = match broker.tls {
        true => {
            let tls = tls.cloned().unwrap_or_else(BrokerTls::of_system);
            let connection = tls.connection(&broker.host);
            let connection = connection
                .map_err(|error| LoginError::Tls(TlsFailure::Other(error.to_string())))?;
            Stream::Tls(Box::new(StreamOwned::new(connection, stream)))
        }
        false => Stream::Plain(stream),
    };
    let answer = answer(&mut stream, broker, name, timeout);
    // Also without an answer: a broker that accepts the login later would publish the last will otherwise.
    let _ = say_goodbye(&mut stream);
    match answer {
        Ok(answer) => check(&answer),
        Err(source) if is_timeout(&source) => Err(LoginError::NoAnswer { timeout }),
        Err(source) => match tls::failure(&source) {
            Some(failure) => Err(LoginError::Tls(failure)),
            None => Err(LoginError::Closed { source }),
        },
    }
}

/// A connection to a broker.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    const fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// On a thread of its own, because resolving has no timeout.
fn resolve(broker: &BrokerAddress, timeout: Duration) -> Result<Vec<SocketAddr>, LoginError> {
    let target = (broker.host.clone(), broker.port);
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let addresses = target.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody waits for it after the timeout.
        let _ = sender.send(addresses);
    });
    let resolved = receiver.recv_timeout(timeout);
    let resolved = resolved.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    let failed = |source| LoginError::Resolve { source };
    match resolved.map_err(failed)? {
        addresses if addresses.is_empty() => Err(failed(ErrorKind::NotFound.into())),
        addresses => Ok(addresses),
    }
}

/// Connects to the first address that accepts.
fn connect(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut error = ErrorKind::TimedOut.into();
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, left) {
            Ok(stream) => return Ok(stream),
            Err(failure) => error = failure,
        }
    }
    Err(error)
}

fn answer(
    stream: &mut Stream,
    broker: &BrokerAddress,
    name: &str,
    timeout: Duration,
) -> io::Result<[u8; ANSWER_LENGTH]> {
    let options = super::options(broker, &Topics::of(name));
    let login = Connect {
        protocol: Protocol::V4,
        keep_alive: u16::try_from(options.keep_alive().as_secs()).unwrap_or(u16::MAX),
        client_id: format!("{}-doctor", options.client_id()),
        clean_session: options.clean_session(),
        last_will: options.last_will(),
        login: options.credentials(),
    };
    let mut packet = Default::default();
    login
        .write(&mut packet)
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error.to_string()))?;
    stream.tcp().set_write_timeout(Some(timeout))?;
    // The handshake of TLS reads, too.
    stream.tcp().set_read_timeout(Some(timeout))?;
    stream.write_all(&packet)?;
    read_answer(stream, Instant::now() + timeout)
}

fn read_answer(stream: &mut Stream, deadline: Instant) -> io::Result<[u8; ANSWER_LENGTH]> {
    let mut answer = [0; ANSWER_LENGTH];
    let mut length = 0;
    while length < ANSWER_LENGTH {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.tcp().set_read_timeout(Some(left))?;
        length += match stream.read(&mut answer[length..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(answer)
}

fn check(answer: &[u8]) -> Result<(), LoginError> {
    let mut bytes = Default::default();
    Extend::<u8>::extend(&mut bytes, answer.iter().copied());
    match Packet::read(&mut bytes, ANSWER_LENGTH) {
        Ok(Packet::ConnAck(answer)) => match answer.code {
            ConnectReturnCode::Success => Ok(()),
            code => Err(LoginError::Refused { code }),
        },
        _ => Err(LoginError::NotMqtt),
    }
}

/// A connection that ends with this packet leaves no last will.
fn say_goodbye(stream: &mut Stream) -> io::Result<()> {
    let mut packet = Default::default();
    if Disconnect.write(&mut packet).is_ok() {
        stream.write_all(&packet)?;
    }
    if let Stream::Tls(stream) = stream {
        stream.conn.send_close_notify();
        stream.flush()?;
    }
    stream.tcp().shutdown(Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// The result of a login at a server that answers with these bytes and closes, and the first bytes that it got.
    fn log_in(url: &str, answer: &'static [u8]) -> (Result<(), LoginError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepted");
            let mut received = vec![0; 512];
            let length = stream.read(&mut received).expect("a login");
            received.truncate(length);
            stream.write_all(answer).expect("sent");
            // A client that leaves a part of the answer unread resets the connection.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut received);
            received
        });
        let url = url.replace("PORT", &port.to_string());
        let result = check_login(&url.parse().expect("valid"), None, "cam", LONG);
        (result, server.join().expect("no panic"))
    }

    #[test]
    fn each_code_is_named_with_a_next_step() {
        let cases: [(&[u8], &str, &str, bool); 5] = [
            (
                &[32, 2, 0, 1],
                "unacceptable protocol version",
                "3.1.1",
                false,
            ),
            (&[32, 2, 0, 2], "identifier rejected", "--name", false),
            (&[32, 2, 0, 3], "server unavailable", "log", true),
            (&[32, 2, 0, 4], "bad user name or password", "--mqtt", false),
            (&[32, 2, 0, 5], "not authorized", "--mqtt", false),
        ];
        for (answer, reason, fix, may_pass) in cases {
            let (result, _) = log_in("mqtt://127.0.0.1:PORT", answer);
            let error = result.expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(error.may_pass(), may_pass, "{error}");
            let broker = "mqtt://localhost".parse().expect("valid");
            assert!(error.fix(&broker).contains(fix), "{error}");
        }
    }

    #[test]
    fn the_login_is_that_of_a_run_with_another_client_id() {
        let (result, received) = log_in("mqtt://anna:s%3Acret@127.0.0.1:PORT", &[32, 2, 0, 0]);
        assert!(result.is_ok(), "{result:?}");
        let text = String::from_utf8_lossy(&received);
        for part in [
            "boxcam_cam-doctor",
            "boxcam/cam/status",
            "offline",
            "anna",
            "s:cret",
        ] {
            assert!(text.contains(part), "{text:?}");
        }
        // The last packet is a disconnection, so that the broker does not publish the last will.
        assert!(received.ends_with(&[0xe0, 0]), "{received:?}");
    }

    #[test]
    fn a_server_without_tls_is_told_from_a_certificate() {
        let (result, _) = log_in("mqtts://127.0.0.1:PORT", &[32, 2, 0, 0]);
        let error = result.expect_err("no TLS");
        assert!(
            matches!(error, LoginError::Tls(TlsFailure::NotTls)),
            "{error:?}"
        );
        let broker = "mqtts://localhost".parse().expect("valid");
        assert!(error.fix(&broker).contains("8883") && !error.may_pass());
    }

    #[test]
    fn other_servers_are_not_brokers() {
        let answers: [&[u8]; 4] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"SSH-2.0-x\r\n",
            &[0x15, 3, 3, 0, 2, 2, 70],
            &[32, 2, 0, 17],
        ];
        for answer in answers {
            let (result, _) = log_in("mqtt://127.0.0.1:PORT", answer);
            assert!(matches!(result, Err(LoginError::NotMqtt)), "{result:?}");
        }
        let (result, _) = log_in("mqtt://127.0.0.1:PORT", &[]);
        assert!(
            matches!(result, Err(LoginError::Closed { .. })),
            "{result:?}"
        );
    }

    #[test]
    fn a_server_that_does_not_answer_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
        let broker = url.parse().expect("valid");
        let result = check_login(&broker, None, "cam", Duration::from_millis(100));
        assert!(
            matches!(result, Err(LoginError::NoAnswer { .. })),
            "{result:?}"
        );
        // The kernel has accepted; the login ends with a disconnection all the same.
        let (mut stream, _) = listener.accept().expect("accepted");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("read");
        assert!(received.ends_with(&[0xe0, 0]), "{received:?}");
    }

    #[test]
    fn a_closed_port_and_an_unknown_name_are_told_apart() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            listener.local_addr().expect("an address").port()
        };
        let broker = format!("mqtt://127.0.0.1:{port}").parse().expect("valid");
        let result = check_login(&broker, None, "cam", LONG);
        assert!(
            matches!(result, Err(LoginError::Connect { .. })),
            "{result:?}"
        );
        let broker = "mqtt://k\u{fc}che.invalid".parse().expect("valid");
        let error = check_login(&broker, None, "cam", LONG).expect_err("unknown");
        assert!(matches!(error, LoginError::Resolve { .. }), "{error:?}");
        assert!(error.may_pass() && error.fix(&broker).contains("xn--"));
    }
}
