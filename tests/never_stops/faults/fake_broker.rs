//! A broker of MQTT 3.1.1 that acknowledges everything and fails on request.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use parking_lot::Mutex;

/// Wait for a connection, or for bytes.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
pub(super) enum BrokerFault {
    /// The connection is closed.
    Close,
    /// Bytes that are no packet.
    Garbage,
    /// The acknowledgement of a message that was not sent.
    WrongAck,
    /// The beginning of a packet, and the connection is closed.
    HalfPacket,
    /// A login is refused; an open connection is closed.
    Refuse,
    /// A packet that is larger than any that a client accepts.
    HugePacket,
    /// Home Assistant restarts many times: everything is published again.
    Births,
    /// Nothing is read until [`FakeBroker::resume`].
    Silence,
}

impl BrokerFault {
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
        match random.u8(..14) {
            0 => Self::Close,
            1 => Self::Garbage,
            2 => Self::WrongAck,
            3 => Self::HalfPacket,
            4 => Self::Refuse,
            5 => Self::HugePacket,
            6..10 => Self::Births,
            _ => Self::Silence,
        }
    }
}

/// The thread that serves one client; it ends when this is dropped.
pub(super) struct FakeBroker {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    fault: Mutex<Option<BrokerFault>>,
    /// Payload of the last message on the topic `status`.
    status: Mutex<String>,
    done: AtomicU64,
    is_connected: AtomicBool,
    is_silent: AtomicBool,
    has_ended: AtomicBool,
}

impl FakeBroker {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let served = Arc::clone(&state);
        Self {
            address,
            state,
            thread: Some(thread::spawn(move || served.accept(&listener))),
        }
    }

    /// Whether a client is logged in.
    pub(super) fn is_connected(&self) -> bool {
        self.state.is_connected.load(Ordering::Acquire)
    }

    /// Fails once, now or at the next login.
    pub(super) fn fail(&self, fault: BrokerFault) {
        *self.state.fault.lock() = Some(fault);
    }

    /// Whether the last fault has not taken effect yet.
    pub(super) fn is_pending(&self) -> bool {
        self.state.fault.lock().is_some()
    }

    /// Number of faults that have taken effect.
    pub(super) fn done(&self) -> u64 {
        self.state.done.load(Ordering::Acquire)
    }

    pub(super) fn resume(&self) {
        self.state.is_silent.store(false, Ordering::Release);
    }

    /// The last status that was published.
    pub(super) fn status(&self) -> String {
        self.state.status.lock().clone()
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.state.has_ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(result.is_ok() || thread::panicking(), "the broker panicked");
        }
    }
}

/// Why a connection ends.
struct Closed;

impl State {
    fn accept(&self, listener: &TcpListener) {
        while !self.has_ended() {
            match listener.accept() {
                Ok((client, _)) => {
                    // Any end of a connection is followed by the next one.
                    let _ = self.serve(client);
                    self.is_connected.store(false, Ordering::Release);
                }
                Err(_) => sleep(POLL_INTERVAL),
            }
        }
    }

    fn serve(&self, mut client: TcpStream) -> Result<(), Closed> {
        client.set_nonblocking(false).map_err(|_| Closed)?;
        let timeout = Some(POLL_INTERVAL);
        client.set_read_timeout(timeout).map_err(|_| Closed)?;
        // A client that reads nothing must not hold this thread.
        let timeout = Some(Duration::from_secs(10));
        client.set_write_timeout(timeout).map_err(|_| Closed)?;
        let mut received = Vec::new();
        while !self.has_ended() {
            let fault = *self.fault.lock();
            if let Some(fault) = fault.filter(|fault| self.is_due(*fault)) {
                *self.fault.lock() = None;
                self.done.fetch_add(1, Ordering::Release);
                self.apply(fault, &mut client)?;
            }
            while self.is_silent.load(Ordering::Acquire) && !self.has_ended() {
                sleep(POLL_INTERVAL);
            }
            let mut bytes = [0; 4096];
            match client.read(&mut bytes) {
                Ok(0) => return Err(Closed),
                Ok(length) => received.extend_from_slice(&bytes[..length]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Err(Closed),
            }
            while let Some((head, body)) = next_packet(&mut received) {
                self.answer(head, &body, &mut client)?;
            }
        }
        Ok(())
    }

    fn answer(&self, head: u8, body: &[u8], client: &mut TcpStream) -> Result<(), Closed> {
        match head >> 4 {
            // CONNECT
            1 => {
                send(client, &[0x20, 2, 0, 0])?;
                self.is_connected.store(true, Ordering::Release);
                Ok(())
            }
            // PUBLISH
            3 => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
                let rest = &body[2 + length..];
                let payload = if head & 6 == 0 { rest } else { &rest[2..] };
                if topic.ends_with("/status") {
                    *self.status.lock() = String::from_utf8_lossy(payload).into_owned();
                }
                match head & 6 {
                    0 => Ok(()),
                    _ => send(client, &[0x40, 2, rest[0], rest[1]]),
                }
            }
            // SUBSCRIBE
            8 => send(client, &[0x90, 3, body[0], body[1], 1]),
            // PINGREQ
            12 => send(client, &[0xd0, 0]),
            // DISCONNECT
            14 => Err(Closed),
            _ => Ok(()),
        }
    }

    /// Only a refusal needs no login.
    fn is_due(&self, fault: BrokerFault) -> bool {
        self.is_connected.load(Ordering::Acquire) || matches!(fault, BrokerFault::Refuse)
    }

    fn apply(&self, fault: BrokerFault, client: &mut TcpStream) -> Result<(), Closed> {
        match fault {
            BrokerFault::Close => Err(Closed),
            BrokerFault::Garbage => send(client, &[0xff; 64]),
            BrokerFault::WrongAck => send(client, &[0x40, 2, 0x7f, 0xff]),
            BrokerFault::HalfPacket => send(client, &[0x30, 100, 0, 5]).and(Err(Closed)),
            BrokerFault::Refuse => send(client, &[0x20, 2, 0, 5]).and(Err(Closed)),
            BrokerFault::HugePacket => send(client, &[0x30, 0xff, 0xff, 0xff, 0x7f]),
            BrokerFault::Births => {
                let birth = b"\x30\x1c\0\x14homeassistant/statusonline";
                send(client, &birth.repeat(20))
            }
            BrokerFault::Silence => {
                self.is_silent.store(true, Ordering::Release);
                Ok(())
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

fn send(client: &mut TcpStream, bytes: &[u8]) -> Result<(), Closed> {
    client.write_all(bytes).map_err(|_| Closed)
}

/// Removes a packet from the beginning: its first byte, and what follows its length.
fn next_packet(received: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let head = *received.first()?;
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *received.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        assert!(at < 6, "boxcam sends a wrong length");
    }
    let body = received.get(at..at + length)?.to_vec();
    received.drain(..at + length);
    Some((head, body))
}
