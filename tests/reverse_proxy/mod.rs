//! A reverse proxy that serves the page of a camera below a path, and a page of another origin that embeds it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;

/// Where the page is served.
pub(crate) const PREFIX: &str = "/cams/kitchen/";

/// Serves until the process ends.
pub(crate) struct ReverseProxy {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl ReverseProxy {
    /// Passes requests below [`PREFIX`] on to `backend`, without the prefix and with this host header.
    pub(crate) fn start(backend: SocketAddr, host: &str) -> Self {
        let (requests, host) = (Arc::<Mutex<Vec<String>>>::default(), host.to_owned());
        let seen = Arc::clone(&requests);
        let address = serve(move |stream, path| {
            seen.lock().push(path.to_owned());
            forward(stream, path, backend, &host);
        });
        Self { address, requests }
    }

    /// The page's URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{PREFIX}", self.address)
    }

    /// The paths that were requested, without the query.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock();
        let without_query = |path: &String| path.split('?').next().unwrap_or_default().to_owned();
        requests.iter().map(without_query).collect()
    }
}

/// The URL of a page that embeds another one in a frame. Its variable `isLoaded` is true after the frame has loaded.
pub(crate) fn page_with_frame(framed: &str) -> (String, SocketAddr) {
    let page = format!(
        "<!doctype html><script>window.isLoaded = false;</script>\
         <iframe width=900 height=600 onload='isLoaded = true' src='{framed}'></iframe>"
    );
    let address = serve(move |mut stream, _| {
        let length = page.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(format!("{head}{page}").as_bytes());
    });
    (format!("http://{address}/"), address)
}

/// Answers each connection's first request, on a thread of its own.
fn serve(answer: impl Fn(TcpStream, &str) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                if let Some(path) = request_path(&mut reader) {
                    answer(reader.into_inner(), &path);
                }
            });
        }
    });
    address
}

/// The path of a request without a body, read to its end; `None` if the client closes before.
fn request_path(reader: &mut impl BufRead) -> Option<String> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? <= "\r\n".len() {
            break;
        }
    }
    first.split(' ').nth(1).map(str::to_owned)
}

fn forward(mut client: TcpStream, path: &str, backend: SocketAddr, host: &str) {
    let Some(path) = path.strip_prefix(PREFIX) else {
        let _ = client
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    };
    let Ok(mut server) = TcpStream::connect(backend) else {
        return;
    };
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    if server.write_all(request.as_bytes()).is_ok() {
        // It ends when either side closes the connection.
        let _ = std::io::copy(&mut server, &mut client);
    }
}
