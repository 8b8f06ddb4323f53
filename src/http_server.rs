//! An HTTP server with a connection limit and timeouts, and the checks that keep the pages of other web sites out.
//!
//! Everything runs on one thread. A connection beyond the limit gets an error and is closed. A client that sends half a
//! request, or does not read the response, is disconnected after a timeout.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Sleep, sleep};

/// Maximum number of connections.
const MAX_CONNECTIONS: usize = 32;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 32;

/// Timeout for the headers of a request, including the idle time before it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for a write to make progress.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a response to buffer in hyper. Few, so that a slow viewer gets new pictures instead of old ones.
const BUFFER: usize = 16 * 1024;

/// Bytes of a response to buffer in the system.
const SEND_BUFFER: u32 = 128 * 1024;

/// Delay after a connection could not be accepted, for example without free file descriptors.
const ACCEPT_DELAY: Duration = Duration::from_secs(1);

/// The address of the client, an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

mod origin;

pub use origin::{CHANGE_HEADER, change_refusal, host_name, is_this_machine};

const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\
    Connection: close\r\nContent-Length: 47\r\n\r\nToo many connections; close a page, try again.\n";

/// A runtime of one thread, which is that of [`run`].
///
/// # Errors
/// The I/O error, for example without free file descriptors.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

/// Binds the address. Returns the listener and its address with the actual port.
///
/// # Errors
/// The I/O error, for example if another program has the port.
pub fn listen(runtime: &Runtime, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let _entered = runtime.enter();
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted boxcam can then bind the address at once. On Windows, other programs could bind it too.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until the sender of `stopped` is dropped, then closes all connections.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the runtime ends with this call"
)]
pub fn run(
    runtime: Runtime,
    listener: TcpListener,
    router: Router,
    stopped: oneshot::Receiver<()>,
) {
    runtime.spawn(accept(listener, router));
    // An error: the sender is dropped without a message.
    let _ = runtime.block_on(stopped);
    // A model that is being checked would delay the end.
    runtime.shutdown_background();
}

async fn accept(listener: TcpListener, router: Router) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            sleep(ACCEPT_DELAY).await;
            continue;
        };
        match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => {
                let client = Extension(ClientAddress(client.ip()));
                tokio::spawn(serve(stream, router.clone().layer(client), permit));
            }
            // The send buffer of a new connection has space for these bytes.
            Err(_) => {
                let _ = stream.try_write(TOO_MANY_CONNECTIONS);
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router, _permit: OwnedSemaphorePermit) {
    // Otherwise the end of a picture would wait for the next one.
    let _ = stream.set_nodelay(true);
    serve_connection(stream, router).await;
}

/// Answers the requests of one connection until it is closed.
pub async fn serve_connection<S>(stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(
            TokioIo::new(TimeoutStream::new(stream, WRITE_TIMEOUT)),
            TowerToHyperService::new(router),
        );
    // It is not an error of boxcam if a client disconnects.
    let _ = connection.await;
}

/// A stream whose writes fail if they make no progress within the timeout.
///
/// Without it, a client that opens the live picture and stops reading would hold its permit forever.
struct TimeoutStream<S> {
    inner: S,
    timeout: Duration,
    /// Runs while a write is pending.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> TimeoutStream<S> {
    const fn new(inner: S, timeout: Duration) -> Self {
        Self {
            inner,
            timeout,
            timer: None,
        }
    }

    fn check_timeout<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let timeout = self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        match timer.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimeoutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.check_timeout(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.check_timeout(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
