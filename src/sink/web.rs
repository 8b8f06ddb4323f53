//! A small web page: the live picture with its boxes, what is there, the last events, and how the run is doing.
//!
//! In go frames and reports, out come answers to HTTP requests from a thread of its own. [`WebSink`] only takes
//! notes: a request never waits for the model, nor the model for a request. A picture is encoded while somebody
//! looks, once for all who do, and one who is slow to take pictures misses some. Nothing can be changed from the
//! page, and there is no login: whoever may reach the address may look.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::picture_files::annotate;
use super::{Sink, SinkError};
use crate::frame::Frame;
use crate::health::{Health, StateChange};
use crate::report::Report;

mod board;
mod live;
mod metrics;
mod patient;
mod routes;
mod server;

use board::Board;
use live::Picture;

/// Pause between two pictures at least, for whoever looks.
const PICTURE_PAUSE: Duration = Duration::from_millis(66);

/// Share of a core that making pictures takes at most: one part in so many.
const PICTURE_SHARE: u32 = 3;

/// Who may look, and how the page is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSettings {
    /// Where the page is served; with port 0 the system chooses one.
    pub address: SocketAddr,
    /// Live pictures that are served at once; whoever comes then is sent away.
    pub max_clients: NonZeroUsize,
    /// What the page calls this camera.
    pub name: String,
    /// Time since a frame went through the model after which the run counts as ill.
    pub unhealthy_after: Duration,
}

/// Serves the page until it is dropped.
pub struct WebSink {
    address: SocketAddr,
    board: Arc<Board>,
    /// When the next picture may be made.
    next_picture: Instant,
    /// Its end ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WebSink {
    /// Starts serving; `health` is what `/healthz` and `/metrics` tell.
    ///
    /// # Errors
    /// [`SinkError::Web`] where the address can't be had, [`SinkError::Thread`] without a thread.
    pub fn serve(settings: WebSettings, health: Arc<Health>) -> Result<Self, SinkError> {
        let wanted = settings.address;
        let failed = |source| SinkError::Web {
            address: wanted,
            source,
        };
        let runtime = server::runtime().map_err(failed)?;
        let (listener, address) = server::listen(&runtime, wanted).map_err(failed)?;
        let board = Arc::new(Board::new(settings, health));
        let router = routes::router(Arc::clone(&board), address);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("web".to_owned())
            .spawn(move || server::run(runtime, listener, router, stopped))
            .map_err(|source| SinkError::Thread {
                what: "the web page",
                source,
            })?;
        Ok(Self {
            address,
            board,
            next_picture: Instant::now(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where the page is, with the port that it got.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn show_picture(&mut self, frame: &Frame, report: &Report) {
        if !self.board.is_watched() {
            self.board.forget_picture();
            return;
        }
        let started = Instant::now();
        if started < self.next_picture {
            return;
        }
        if let Some(picture) = Picture::encode(&annotate(frame, report, report.shown())) {
            self.board.show_picture(picture);
        }
        let pause = (started.elapsed() * PICTURE_SHARE).max(PICTURE_PAUSE);
        self.next_picture = started + pause;
    }
}

impl Sink for WebSink {
    fn show(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.board.note(frame, report);
        self.show_picture(frame, report);
        Ok(())
    }

    fn on_track_ended(&mut self, frame: &Frame, report: &Report) -> Result<(), SinkError> {
        self.board.note(frame, report);
        Ok(())
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.board.note_state(change);
        Ok(())
    }
}

impl Drop for WebSink {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // What it had to say of a panic stands on standard error.
            let _ = thread.join();
        }
    }
}
