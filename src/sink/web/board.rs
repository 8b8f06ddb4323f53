//! The notes from which requests are answered: what was seen last, the last events, the newest picture.
//!
//! The sink writes them, requests read them; a lock is held only to copy.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::WebSettings;
use super::live::Picture;
use crate::frame::Frame;
use crate::health::{Health, HealthStatus, StateChange};
use crate::report::Report;
use crate::sink::json;
use crate::sink::presence::Presence;

/// Events that are remembered.
const EVENTS: usize = 100;

/// What requests are answered from.
pub(super) struct Board {
    pub(super) settings: WebSettings,
    pub(super) health: Arc<Health>,
    pictures: watch::Sender<Option<Picture>>,
    places: Arc<Semaphore>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    seen: Option<Presence>,
    /// JSON objects, the oldest first.
    events: VecDeque<String>,
    /// Events so far, those that are forgotten included.
    events_total: u64,
}

/// What `/state` tells.
#[derive(Serialize)]
struct StateFields<'a> {
    name: &'a str,
    version: &'static str,
    state: &'static str,
    reason: &'a str,
    seconds_since_frame: Option<f64>,
    seen: Option<Presence>,
    frames_per_second: Option<f64>,
    inference_ms: f64,
    frame_age_ms: f64,
    dropped: u64,
    reopened: u64,
    model: &'a str,
    /// Grows with each event, so that who asks need not read them all each time.
    events_total: u64,
}

/// What `/healthz` tells.
#[derive(Serialize)]
struct HealthFields<'a> {
    healthy: bool,
    state: &'static str,
    reason: &'a str,
    seconds_since_frame: Option<f64>,
    model: &'a str,
    version: &'static str,
}

impl Board {
    pub(super) fn new(settings: WebSettings, health: Arc<Health>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(
                settings.max_clients.get().min(Semaphore::MAX_PERMITS),
            )),
            settings,
            health,
            pictures: watch::Sender::new(None),
            notes: Mutex::default(),
        }
    }

    /// Takes note of a report.
    pub(super) fn note(&self, frame: &Frame, report: &Report) {
        let lines = json::event_lines(frame, report);
        let mut notes = self.lock();
        notes.seen = Presence::of(report);
        for line in lines {
            notes.add(line);
        }
    }

    /// Takes note of what capture is at.
    pub(super) fn note_state(&self, change: &StateChange) {
        self.lock().add(json::state_line(change));
    }

    /// Shows everybody who looks a new picture.
    pub(super) fn show_picture(&self, picture: Picture) {
        self.pictures.send_replace(Some(picture));
    }

    /// So that who comes next is not greeted with a picture of long ago.
    pub(super) fn forget_picture(&self) {
        self.pictures
            .send_if_modified(|picture| picture.take().is_some());
    }

    /// Whether anybody looks at pictures.
    pub(super) fn is_watched(&self) -> bool {
        self.pictures.receiver_count() > 0
    }

    /// The pictures from now on.
    pub(super) fn pictures(&self) -> watch::Receiver<Option<Picture>> {
        self.pictures.subscribe()
    }

    /// A place for a live picture, unless all are taken.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The last events as a JSON array, the oldest first.
    pub(super) fn events(&self) -> String {
        let notes = self.lock();
        let events: Vec<&str> = notes.events.iter().map(String::as_str).collect();
        format!("[{}]", events.join(",\n"))
    }

    /// What `/state` tells.
    pub(super) fn state(&self) -> String {
        let now = self.health.status();
        let (seen, events_total) = {
            let notes = self.lock();
            (notes.seen.clone(), notes.events_total)
        };
        text(&StateFields {
            name: &self.settings.name,
            version: env!("CARGO_PKG_VERSION"),
            state: now.state.name(),
            reason: &now.reason,
            seconds_since_frame: seconds_since_frame(&now),
            seen,
            frames_per_second: now.frames_per_second.map(|rate| rounded(f64::from(rate))),
            inference_ms: rounded(now.inference.as_secs_f64() * 1e3),
            frame_age_ms: rounded(now.frame_age.as_secs_f64() * 1e3),
            dropped: self.health.dropped.get(),
            reopened: self.health.reopened.get(),
            model: &now.model,
            events_total,
        })
    }

    /// Whether the run is well, and what `/healthz` tells of it.
    pub(super) fn healthz(&self) -> (bool, String) {
        let now = self.health.status();
        let since = now.last_inference.map(|last| last.elapsed());
        let healthy = since.is_some_and(|since| since <= self.settings.unhealthy_after);
        let told = text(&HealthFields {
            healthy,
            state: now.state.name(),
            reason: &now.reason,
            seconds_since_frame: seconds_since_frame(&now),
            model: &now.model,
            version: env!("CARGO_PKG_VERSION"),
        });
        (healthy, told)
    }

    /// Live pictures that are served at the moment.
    pub(super) fn clients(&self) -> usize {
        self.settings
            .max_clients
            .get()
            .saturating_sub(self.places.available_permits())
    }

    /// Each note is sound by itself, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn add(&mut self, event: String) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.events_total += 1;
    }
}

/// Time since a frame went through the model, once one has.
fn seconds_since_frame(now: &HealthStatus) -> Option<f64> {
    now.last_inference
        .map(|last| rounded(last.elapsed().as_secs_f64()))
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn text(fields: &impl Serialize) -> String {
    // Names and numbers only: there is nothing that JSON can't hold.
    serde_json::to_string(fields).unwrap_or_default()
}
