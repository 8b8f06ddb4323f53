//! Live runs of the program: sources, signals, and what a run writes and calls.

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "web")]
#[path = "../http/mod.rs"]
mod http;

mod clips;
mod collect;
mod framebuffer;
mod log_faults;
mod objects;
mod on_event;
mod overlay;
mod privacy;
mod reload;
mod rest;
mod service;
mod snapshots;
mod sources;
mod stream;
mod zones;
