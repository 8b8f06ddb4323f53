//! The state that requests are answered from: the last report, the last events and the live picture.
//!
//! The sink writes it and requests read it. The lock is held only to copy.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::body::Bytes;
use image::RgbImage;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::WebSettings;
use crate::class_selection::ClassSelection;
use crate::frame::Frame;
use crate::health::{Health, HealthStatus, StateChange};
use crate::label::Labels;
use crate::picture::encode_jpeg;
use crate::report::Report;
use crate::sink::json::{self, rounded, to_json};
use crate::sink::presence::{Presence, PresentThing};
use crate::sink::zone_fields::ZoneFields;
use crate::zone_monitor::{ClassCounts, ZoneCounts};

/// The number of events to keep.
const MAX_EVENTS: usize = 100;

/// JPEG quality, 1 to 100. Text in the overlay stays readable.
const QUALITY: u8 = 80;

/// Separates the parts of the live picture's response.
pub(super) const BOUNDARY: &str = "--frame\r\n";

/// What requests are answered from.
pub(super) struct AppState {
    pub(super) settings: WebSettings,
    pub(super) health: Arc<Health>,
    pictures: watch::Sender<Option<LivePicture>>,
    /// One permit per viewer of the live picture.
    viewer_permits: Arc<Semaphore>,
    latest: Mutex<LatestReport>,
}

#[derive(Default)]
struct LatestReport {
    presence: Presence,
    zones: Arc<ZoneCounts>,
    /// The class names of the model; `None` while they are not known.
    labels: Option<Arc<Labels>>,
    /// JSON objects, the oldest first.
    events: VecDeque<String>,
    /// Number of events so far, including those that are no longer kept.
    events_total: u64,
}

/// An annotated frame, encoded once for all viewers.
#[derive(Debug, Clone)]
pub(super) struct LivePicture {
    /// The headers, the JPEG, and the boundary after it: browsers show a part when they receive its end.
    pub(super) part: Bytes,
    pub(super) jpeg: Bytes,
}

/// The response of `/state`.
#[derive(Serialize)]
struct StateFields<'a> {
    name: &'a str,
    version: &'static str,
    state: &'static str,
    reason: &'a str,
    seconds_since_frame: Option<f64>,
    /// The first of `things`.
    seen: Option<&'a PresentThing>,
    things: &'a [PresentThing],
    /// The number of things of each class that is present.
    counts: &'a BTreeMap<String, usize>,
    #[serde(flatten)]
    zones: ZoneFields,
    frames_per_second: Option<f64>,
    inference_ms: f64,
    frame_age_ms: f64,
    dropped: u64,
    /// Frames that were not computed: nothing had moved, or the rate is limited.
    still: u64,
    held_back: u64,
    reopened: u64,
    model: &'a str,
    /// A client needs to request `/events` only after this has changed.
    events_total: u64,
}

/// The response of `/healthz`.
#[derive(Serialize)]
struct HealthFields<'a> {
    healthy: bool,
    state: &'static str,
    reason: &'a str,
    seconds_since_frame: Option<f64>,
    model: &'a str,
    version: &'static str,
}

impl AppState {
    pub(super) fn new(settings: WebSettings, health: Arc<Health>) -> Self {
        let permits = settings.max_clients.get().min(Semaphore::MAX_PERMITS);
        Self {
            viewer_permits: Arc::new(Semaphore::new(permits)),
            settings,
            health,
            pictures: watch::Sender::new(None),
            latest: Mutex::default(),
        }
    }

    /// Sets what there will be, so that it has metrics before the first report.
    pub(super) fn expect(&self, labels: Arc<Labels>, zones: Arc<ZoneCounts>) {
        let mut latest = self.latest.lock();
        latest.labels = Some(labels);
        latest.zones = zones;
    }

    /// Records the presence and the events of a report.
    pub(super) fn record(&self, frame: &Frame, report: &Report) {
        let lines: Vec<String> = json::event_lines(frame, report).collect();
        let mut latest = self.latest.lock();
        latest.presence = Presence::of(report);
        latest.zones = Arc::clone(&report.zones);
        latest.labels = Some(Arc::clone(&report.labels));
        for line in lines {
            latest.add_event(line);
        }
    }

    pub(super) fn record_state_change(&self, change: &StateChange) {
        self.latest.lock().add_event(json::state_line(change));
    }

    /// Sends a picture to all viewers.
    pub(super) fn set_picture(&self, picture: LivePicture) {
        self.pictures.send_replace(Some(picture));
    }

    /// Clears the picture, so that the next viewer does not get an old one first.
    pub(super) fn clear_picture(&self) {
        self.pictures
            .send_if_modified(|picture| picture.take().is_some());
    }

    pub(super) fn has_viewers(&self) -> bool {
        self.pictures.receiver_count() > 0
    }

    /// A channel that holds the newest picture only.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<LivePicture>> {
        self.pictures.subscribe()
    }

    /// A permit to view the live picture; `None` at the maximum number of viewers.
    pub(super) fn viewer_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.viewer_permits).try_acquire_owned().ok()
    }

    /// The number of viewers of the live picture.
    pub(super) fn viewers(&self) -> usize {
        let max = self.settings.max_clients.get();
        max.saturating_sub(self.viewer_permits.available_permits())
    }

    /// The last events as a JSON array, the oldest first.
    pub(super) fn events(&self) -> String {
        let latest = self.latest.lock();
        let events: Vec<&str> = latest.events.iter().map(String::as_str).collect();
        format!("[{}]", events.join(",\n"))
    }

    /// The response of `/state`.
    pub(super) fn state(&self) -> String {
        let status = self.health.status();
        let (presence, events_total) = {
            let latest = self.latest.lock();
            (latest.presence.clone(), latest.events_total)
        };
        to_json(&StateFields {
            name: &self.settings.name,
            version: env!("CARGO_PKG_VERSION"),
            state: status.state.name(),
            reason: &status.reason,
            seconds_since_frame: seconds_since_frame(&status),
            seen: presence.things.first(),
            things: &presence.things,
            counts: &presence.counts,
            zones: ZoneFields::of(&self.zones()),
            frames_per_second: status
                .frames_per_second
                .map(|rate| rounded(f64::from(rate), 3)),
            inference_ms: rounded(status.inference.as_secs_f64() * 1e3, 3),
            frame_age_ms: rounded(status.frame_age.as_secs_f64() * 1e3, 3),
            dropped: self.health.dropped.get(),
            still: self.health.still.get(),
            held_back: self.health.held_back.get(),
            reopened: self.health.reopened.get(),
            model: &status.model,
            events_total,
        })
    }

    /// The number of things of each class of the model, in the order of its labels; empty before the first report.
    pub(super) fn counts(&self) -> Vec<(String, usize)> {
        let latest = self.latest.lock();
        let names = latest.labels.iter().flat_map(|labels| labels.iter());
        let count = |name: &str| latest.presence.counts.get(name).copied().unwrap_or(0);
        names.map(|name| (name.to_owned(), count(name))).collect()
    }

    /// The count of each class that a zone or a line may have, by name: 0 for one that was not counted yet.
    pub(super) fn counted(&self, classes: &ClassSelection, counts: &ClassCounts) -> ClassCounts {
        let labels = self.latest.lock().labels.clone();
        let names = labels.iter().flat_map(|labels| labels.iter());
        let selected = names.filter(|name| classes.contains(name));
        let zero: ClassCounts = selected.map(|name| (name.to_owned(), 0)).collect();
        let counts = counts.iter().map(|(name, count)| (name.clone(), *count));
        zero.into_iter().chain(counts).collect()
    }

    /// The zones and lines with their counts; none before the first report, unless they are known.
    pub(super) fn zones(&self) -> Arc<ZoneCounts> {
        Arc::clone(&self.latest.lock().zones)
    }

    /// Whether the run is healthy, and the response of `/healthz`.
    pub(super) fn healthz(&self) -> (bool, String) {
        let status = self.health.status();
        let since = status.last_processed().map(|last| last.elapsed());
        let healthy = since.is_some_and(|since| since <= self.settings.unhealthy_after);
        let response = to_json(&HealthFields {
            healthy,
            state: status.state.name(),
            reason: &status.reason,
            seconds_since_frame: seconds_since_frame(&status),
            model: &status.model,
            version: env!("CARGO_PKG_VERSION"),
        });
        (healthy, response)
    }
}

impl LatestReport {
    fn add_event(&mut self, event: String) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.events_total += 1;
    }
}

impl LivePicture {
    /// `None` if the image is empty or too large for a JPEG.
    pub(super) fn encode(image: &RgbImage) -> Option<Self> {
        let jpeg = encode_jpeg(image, QUALITY).ok()?;
        let length = jpeg.len();
        let headers = format!("Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n");
        let end = format!("\r\n{BOUNDARY}");
        let part = Bytes::from([headers.as_bytes(), &jpeg, end.as_bytes()].concat());
        let jpeg = part.slice(headers.len()..headers.len() + length);
        Some(Self { part, jpeg })
    }
}

/// Time since the last frame was computed or left out on purpose, to the millisecond.
fn seconds_since_frame(status: &HealthStatus) -> Option<f64> {
    let last = status.last_processed()?;
    Some(rounded(last.elapsed().as_secs_f64(), 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_length_of_its_jpeg() {
        let picture = LivePicture::encode(&RgbImage::new(40, 30)).expect("encoded");
        let part = picture.part.to_vec();
        let text = String::from_utf8_lossy(&part);
        let length = format!("Content-Length: {}\r\n\r\n", picture.jpeg.len());
        assert!(text.contains(&length) && text.ends_with("\r\n--frame\r\n"));
        let decoded = image::load_from_memory(&picture.jpeg).expect("a JPEG");
        assert_eq!((decoded.width(), decoded.height()), (40, 30));
    }

    #[test]
    fn images_without_a_valid_size_are_not_encoded() {
        assert!(LivePicture::encode(&RgbImage::new(70_000, 1)).is_none());
        assert!(LivePicture::encode(&RgbImage::new(0, 0)).is_none());
    }
}
