//! What `boxcam run` writes and sends.

use std::sync::Arc;

use boxcam::config::{LogChoice, RunConfig, SourceChoice};
use boxcam::health::Health;
use boxcam::log_lines::RecordPer;
use boxcam::sink::Sink;
use boxcam::sink::log::{LogSettings, LogSink};
use boxcam::sink::snapshots::SnapshotSink;

use super::{Failure, network};

/// All that is written or sent, the log first.
pub(super) fn outputs(
    config: &RunConfig,
    health: &Arc<Health>,
) -> Result<Vec<Box<dyn Sink + Send>>, Failure> {
    let per = config.lines.resolve(auto_lines(&config.source));
    let settings = LogSettings {
        max_size: config.log_size.as_u64(),
        keep: config.log_keep,
        per,
    };
    let log = match &config.log {
        LogChoice::Stdout => LogSink::stdout(per, Arc::clone(health))?,
        LogChoice::File(path) => LogSink::open(path, settings, Arc::clone(health))?,
    };
    let mut outputs: Vec<Box<dyn Sink + Send>> = vec![Box::new(log)];
    if let Some(folder) = &config.snapshots {
        let budget = config.snapshots_size.as_u64();
        let snapshots = SnapshotSink::open(folder, per, budget, Arc::clone(health))?;
        outputs.push(Box::new(snapshots));
    }
    #[cfg(target_os = "linux")]
    if let Some(service) = boxcam::sink::service::ServiceSink::from_environment() {
        outputs.push(Box::new(service));
    }
    outputs.extend(network::outputs(config, health)?);
    Ok(outputs)
}

/// What `--lines auto` means for a source.
fn auto_lines(source: &SourceChoice) -> RecordPer {
    match source {
        SourceChoice::Demo | SourceChoice::Pictures(_) => RecordPer::Frame,
        SourceChoice::Camera(_) | SourceChoice::Rpicam(_) | SourceChoice::Stdin => RecordPer::Event,
    }
}
