//! What `boxcam run` writes and sends.

use std::sync::Arc;

use boxcam::config::{LogChoice, LogLines, RunConfig, SourceChoice};
use boxcam::health::Health;
use boxcam::sink::Sink;
use boxcam::sink::json::Lines;
use boxcam::sink::log::{LogSettings, LogSink};
use boxcam::sink::snapshots::SnapshotSink;

use super::{Failure, network};

/// All that is written or sent, the log first.
pub(super) fn outputs(
    config: &RunConfig,
    health: &Arc<Health>,
) -> Result<Vec<Box<dyn Sink + Send>>, Failure> {
    let lines = lines(config);
    let settings = LogSettings {
        size: config.log_size.as_u64(),
        keep: config.log_keep,
        lines,
    };
    let log = match &config.log {
        LogChoice::Stdout => LogSink::stdout(lines, Arc::clone(health))?,
        LogChoice::File(path) => LogSink::open(path, settings, Arc::clone(health))?,
    };
    let mut outputs: Vec<Box<dyn Sink + Send>> = vec![Box::new(log)];
    if let Some(folder) = &config.snapshots {
        let budget = config.snapshots_size.as_u64();
        let snapshots = SnapshotSink::open(folder, lines, budget, Arc::clone(health))?;
        outputs.push(Box::new(snapshots));
    }
    #[cfg(target_os = "linux")]
    if let Some(service) = boxcam::service::ServiceSink::from_environment() {
        outputs.push(Box::new(service));
    }
    outputs.extend(network::outputs(config, health)?);
    Ok(outputs)
}

/// What gets a line, and a snapshot.
fn lines(config: &RunConfig) -> Lines {
    match (config.lines, &config.source) {
        (LogLines::Events, _) => Lines::Events,
        (LogLines::Frames, _) => Lines::Frames,
        (LogLines::Auto, SourceChoice::Demo | SourceChoice::Pictures(_)) => Lines::Frames,
        (
            LogLines::Auto,
            SourceChoice::Camera(_) | SourceChoice::Rpicam(_) | SourceChoice::Stdin,
        ) => Lines::Events,
    }
}
