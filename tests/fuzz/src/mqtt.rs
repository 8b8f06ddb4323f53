//! What a broker sends. The input is the name of the camera, a line break and the bytes of the broker.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use boxcam::address::BrokerAddress;
use boxcam::health::Health;
use boxcam::sink::mqtt::MqttSink;
use rumqttc::mqttbytes::v4::Packet;

use crate::Bounds;

/// A broker of this process, and its address.
struct Broker {
    listener: TcpListener,
    address: BrokerAddress,
}

pub fn run(bytes: &[u8]) {
    let line = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let (name, incoming) = bytes.split_at(line);
    let name = String::from_utf8_lossy(name);
    let incoming = incoming.get(1..).unwrap_or_default();
    static BROKER: OnceLock<Broker> = OnceLock::new();
    let broker = BROKER.get_or_init(Broker::bind);
    Bounds::TEXT.check(|| {
        let sink = MqttSink::start(&broker.address, &name, Arc::new(Health::default()));
        let sent = broker.serve(incoming);
        drop(sink);
        check(&sent);
    });
}

impl Broker {
    fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let address = format!("mqtt://127.0.0.1:{port}");
        Self {
            listener,
            address: address.parse().expect("an address"),
        }
    }

    /// Accepts one connection, sends the bytes and reads to the end of what the client sends.
    fn serve(&self, incoming: &[u8]) -> Vec<u8> {
        let (mut client, _) = self.listener.accept().expect("the client connects");
        let timeout = Some(Duration::from_secs(20));
        client.set_read_timeout(timeout).expect("set");
        let mut sent = wait_for_connect(&mut client);
        let _ = client.write_all(incoming);
        let _ = client.shutdown(Shutdown::Write);
        let _ = client.read_to_end(&mut sent);
        sent
    }
}

/// The first bytes of the client: a connection that is closed before them is reset.
fn wait_for_connect(client: &mut TcpStream) -> Vec<u8> {
    let mut first = vec![0; 4096];
    let length = client.read(&mut first).unwrap_or(0);
    first.truncate(length);
    first
}

/// The client sends whole packets, to valid topics.
fn check(sent: &[u8]) {
    let mut sent = bytes::BytesMut::from(sent);
    while let Ok(packet) = Packet::read(&mut sent, 1 << 20) {
        let Packet::Publish(message) = packet else {
            continue;
        };
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_/".contains(letter);
        assert!(message.topic.chars().all(is_plain), "{}", message.topic);
        if message.topic.ends_with("/config") || message.topic.ends_with("/state") {
            assert!(
                message.payload.is_empty()
                    || serde_json::from_slice::<serde_json::Value>(&message.payload).is_ok()
            );
        }
    }
}
