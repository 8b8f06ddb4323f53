//! A web page: the live picture with its boxes, what is present, the last events and the health of the run.
//!
//! HTTP requests are answered by a thread. [`WebSink`] only updates the shared `AppState`, so requests and the model
//! never wait for each other. A frame is encoded while there are viewers, once for all of them; a slow viewer skips
//! frames. The page may ask for a password ([`WebLogin`]); with one, requests may change the model ([`Control`]).

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::picture_files::annotate_with_zones;
use super::{Sink, SinkError};
use crate::address::{FrameAncestors, WebHosts, WebLogin};
use crate::health::{Health, StateChange};
use crate::http_server;
use crate::label::Labels;
use crate::privacy::PublicFrame;
use crate::report::Report;
use crate::zone::ZoneMap;
use crate::zone_monitor::ZoneCounts;

mod app_state;
mod control;
mod login;
mod login_throttle;
mod metrics;
mod routes;

use app_state::{AppState, LivePicture};

pub use control::{Control, ControlError, InstalledModel};

/// Minimum time between two live pictures.
const PICTURE_INTERVAL: Duration = Duration::from_millis(66);

/// After encoding a picture, the sink pauses for this multiple of the encoding time, to limit its share of a core.
const PAUSE_FACTOR: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSettings {
    /// The address to serve. With port 0 the system chooses a port.
    pub address: SocketAddr,
    /// Maximum number of viewers of the live picture. Further ones are refused.
    pub max_clients: NonZeroUsize,
    /// The name of this camera on the page.
    pub name: String,
    /// `/healthz` fails after this time without an inference.
    pub unhealthy_after: Duration,
    /// Host names that requests may name besides `localhost` and IP addresses. `None` is none of them if the address is
    /// a loopback address, and any otherwise.
    pub hosts: Option<WebHosts>,
    /// The pages that may embed this one.
    pub frame_ancestors: FrameAncestors,
    /// Whether a password is needed, on all routes but `/healthz`.
    pub login: WebLogin,
}

/// Serves the page until it is dropped.
pub struct WebSink {
    address: SocketAddr,
    state: Arc<AppState>,
    /// When the next picture may be encoded.
    next_picture: Instant,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WebSink {
    /// Binds the address and starts the thread. Requests can change nothing.
    ///
    /// # Errors
    /// [`SinkError::Web`] if the address cannot be bound, or [`SinkError::Thread`].
    pub fn serve(settings: WebSettings, health: Arc<Health>) -> Result<Self, SinkError> {
        Self::start(settings, None, health)
    }

    /// As [`Self::serve`]; requests with the password can use `control`.
    ///
    /// # Errors
    /// [`SinkError`], as [`Self::serve`].
    pub fn serve_controlled(
        settings: WebSettings,
        control: Arc<dyn Control>,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        Self::start(settings, Some(control), health)
    }

    fn start(
        settings: WebSettings,
        control: Option<Arc<dyn Control>>,
        health: Arc<Health>,
    ) -> Result<Self, SinkError> {
        let requested = settings.address;
        let failed = |source| SinkError::Web {
            address: requested,
            source,
        };
        let runtime = http_server::runtime().map_err(failed)?;
        let (listener, address) = http_server::listen(&runtime, requested).map_err(failed)?;
        let state = Arc::new(AppState::new(settings, health));
        let router = routes::router(Arc::clone(&state), control, address);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("web".to_owned())
            .spawn(move || http_server::run(runtime, listener, router, stopped))
            .map_err(|source| SinkError::Thread {
                what: "the web page",
                source,
            })?;
        Ok(Self {
            address,
            state,
            next_picture: Instant::now(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The address that is served, with the actual port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the classes of the model and the zones, so that they have metrics before the first report.
    pub fn expect(&self, labels: Arc<Labels>, zones: Arc<ZoneMap>) {
        self.state.expect(labels, Arc::new(ZoneCounts::new(zones)));
    }

    fn publish_picture(&mut self, frame: &PublicFrame, report: &Report) {
        if !self.state.has_viewers() {
            self.state.clear_picture();
            return;
        }
        let started = Instant::now();
        if started < self.next_picture {
            return;
        }
        let image = annotate_with_zones(frame, report);
        if let Some(picture) = LivePicture::encode(&image) {
            self.state.set_picture(picture);
        }
        let pause = (started.elapsed() * PAUSE_FACTOR).max(PICTURE_INTERVAL);
        self.next_picture = started + pause;
    }
}

/// Answers the requests of one connection to a page without frames, until it is closed.
///
/// For `tests/fuzz`, which connects through a pipe in memory.
#[cfg(feature = "fuzzing")]
pub async fn serve_connection<S>(stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let settings = WebSettings {
        address: SocketAddr::from(([127, 0, 0, 1], 80)),
        max_clients: NonZeroUsize::MIN,
        name: "fuzz".to_owned(),
        unhealthy_after: Duration::from_secs(10),
        hosts: None,
        frame_ancestors: FrameAncestors::default(),
        login: WebLogin::Open,
    };
    let address = settings.address;
    let state = Arc::new(AppState::new(settings, Arc::default()));
    http_server::serve_connection(stream, routes::router(state, None, address)).await;
}

impl Sink for WebSink {
    fn show(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.state.record(frame, report);
        self.publish_picture(frame, report);
        Ok(())
    }

    fn wants_rested_frames(&self) -> bool {
        true
    }

    fn on_track_ended(&mut self, frame: &PublicFrame, report: &Report) -> Result<(), SinkError> {
        self.state.record(frame, report);
        Ok(())
    }

    fn on_state_change(&mut self, change: &StateChange) -> Result<(), SinkError> {
        self.state.record_state_change(change);
        Ok(())
    }
}

impl Drop for WebSink {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic was already reported on standard error.
            let _ = thread.join();
        }
    }
}
