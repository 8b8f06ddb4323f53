//! A minimal HTTP client that checks what it assumes.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use image::RgbImage;
use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    send(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n"),
    )
}

/// Sends the start of a request, completed by its last headers.
#[track_caller]
pub(crate) fn send(address: SocketAddr, head: &str) -> Response {
    let mut stream = connect(address);
    let request = format!("{head}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut reader = BufReader::new(stream);
    let (status, headers) = read_head(&mut reader);
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    if !head.starts_with("HEAD") {
        reader.read_to_end(&mut response.body).expect("complete");
        let length = response.header("content-length").parse();
        assert_eq!(length, Ok(response.body.len()), "{head}");
    }
    response
}

/// Sends the start of a request, completed by its last headers, and its body.
#[track_caller]
pub(crate) fn send_body(address: SocketAddr, head: &str, body: &[u8]) -> Response {
    let mut stream = connect(address);
    let request = format!(
        "{head}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    // A request that is refused may be answered before its body is read.
    let _ = stream.write_all(body);
    let mut reader = BufReader::new(stream);
    let (status, headers) = read_head(&mut reader);
    let mut body = Vec::new();
    reader.read_to_end(&mut body).expect("complete");
    Response {
        status,
        headers,
        body,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    let timeout = Some(Duration::from_secs(60));
    stream.set_read_timeout(timeout).expect("set");
    stream
}

fn read_head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let first = read_line(reader);
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no status in {first:?}")),
        read_headers(reader),
    )
}

fn read_headers(reader: &mut impl BufRead) -> Vec<(String, String)> {
    std::iter::from_fn(|| {
        let line = read_line(reader);
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    })
    .collect()
}

fn read_line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    assert!(line.ends_with("\r\n"), "{line:?}");
    line.trim_end().to_owned()
}

impl Response {
    /// The value of a header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A viewer of the live picture.
pub(crate) struct LiveViewer(BufReader<Dechunked>);

/// The body of a chunked response.
struct Dechunked {
    stream: BufReader<TcpStream>,
    left: usize,
}

impl LiveViewer {
    /// Panics unless the live picture is served.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut stream = connect(address);
        stream
            .write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("sent");
        let mut stream = BufReader::new(stream);
        let (status, headers) = read_head(&mut stream);
        assert_eq!(status, 200);
        let has = |name: &str, value: &str| headers.contains(&(name.to_owned(), value.to_owned()));
        assert!(has(
            "content-type",
            "multipart/x-mixed-replace; boundary=frame"
        ));
        assert!(has("transfer-encoding", "chunked"));
        let mut viewer = Self(BufReader::new(Dechunked { stream, left: 0 }));
        assert_eq!(read_line(&mut viewer.0), "--frame");
        viewer
    }

    /// Waits for the next picture.
    pub(crate) fn picture(&mut self) -> RgbImage {
        let headers = read_headers(&mut self.0);
        assert_eq!(
            headers[0],
            ("content-type".to_owned(), "image/jpeg".to_owned())
        );
        let length = headers[1].1.parse().expect("a length");
        let mut jpeg = vec![0; length];
        self.0.read_exact(&mut jpeg).expect("complete");
        assert_eq!(
            (
                read_line(&mut self.0).as_str(),
                read_line(&mut self.0).as_str()
            ),
            ("", "--frame")
        );
        image::load_from_memory(&jpeg).expect("a JPEG").into_rgb8()
    }
}

impl Read for Dechunked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let size = read_line(&mut self.stream);
            self.left = usize::from_str_radix(&size, 16).expect("a size");
        }
        let count = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..count])?;
        self.left -= read;
        if self.left == 0 {
            assert_eq!(read_line(&mut self.stream), "");
        }
        Ok(read)
    }
}
