//! Connections: how many there may be, and how long one may take.
//!
//! Everything runs on one thread. A visitor beyond the bound is told so and sent away; one who sends half a
//! request, or takes nothing of the answer, is given up after a while.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::sleep;

use super::patient::Patient;

/// Connections at once.
const CONNECTIONS: usize = 32;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 32;

/// Time for the head of a request, the wait for it on an open connection included.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// Time in which somebody must take something of an answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of an answer that wait in hyper; little, so that a slow viewer sees new pictures, not old ones.
const BUFFER: usize = 16 * 1024;

/// Bytes of an answer that wait in the system.
const SEND_BUFFER: u32 = 128 * 1024;

/// Pause after a connection that could not be accepted, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\
    Connection: close\r\nContent-Length: 47\r\n\r\nToo many connections; close a page, try again.\n";

/// What all connections run on.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

/// A listener at that address, and the address with the port that it got.
pub(super) fn listen(
    runtime: &Runtime,
    address: SocketAddr,
) -> io::Result<(TcpListener, SocketAddr)> {
    let _entered = runtime.enter();
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // So that a restart finds the address free; on Windows it would let others take it.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until `stopped` ends; connections that are open then are closed.
#[allow(clippy::needless_pass_by_value, reason = "it ends with this call")]
pub(super) fn run(
    runtime: Runtime,
    listener: TcpListener,
    router: Router,
    stopped: oneshot::Receiver<()>,
) {
    runtime.spawn(accept(listener, router));
    // The sender is dropped, nothing is sent.
    let _ = runtime.block_on(stopped);
}

async fn accept(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                tokio::spawn(serve(stream, router.clone(), place));
            }
            // A fresh connection has room for so few bytes.
            Err(_) => {
                let _ = stream.try_write(FULL);
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router, _place: OwnedSemaphorePermit) {
    // Pictures are sent whole; without it the end of one would wait for the next.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(
            TokioIo::new(Patient::new(stream, WRITE_PATIENCE)),
            TowerToHyperService::new(router),
        );
    // A visitor who leaves in the middle is nobody's concern.
    let _ = connection.await;
}
