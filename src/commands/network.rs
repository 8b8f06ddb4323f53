//! The sinks that tell others over the network, as far as they are asked for: MQTT and the web page.

use boxcam::warn;
use std::sync::Arc;

use boxcam::config::RunConfig;
use boxcam::health::Health;
use boxcam::sink::Sink;

use super::Failure;

/// All that is asked for; the page's address is told on standard error.
pub(super) fn outputs(
    config: &RunConfig,
    health: &Arc<Health>,
) -> Result<Vec<Box<dyn Sink + Send>>, Failure> {
    let asked = [mqtt(config, health)?, web(config, health)?];
    Ok(asked.into_iter().flatten().collect())
}

type Asked = Result<Option<Box<dyn Sink + Send>>, Failure>;

#[cfg(feature = "mqtt")]
fn mqtt(config: &RunConfig, health: &Arc<Health>) -> Asked {
    use boxcam::sink::mqtt::MqttSink;
    let Some(broker) = &config.mqtt else {
        return Ok(None);
    };
    let sink = MqttSink::start(broker, &camera_name(config), Arc::clone(health))?;
    Ok(Some(Box::new(sink)))
}

#[cfg(not(feature = "mqtt"))]
fn mqtt(config: &RunConfig, _: &Arc<Health>) -> Asked {
    match config.mqtt {
        None => Ok(None),
        Some(_) => Err(Failure::NotBuilt {
            what: "MQTT",
            feature: "mqtt",
        }),
    }
}

#[cfg(feature = "web")]
fn web(config: &RunConfig, health: &Arc<Health>) -> Asked {
    use boxcam::sink::web::{WebSettings, WebSink};
    let Some(wanted) = config.web else {
        return Ok(None);
    };
    let settings = WebSettings {
        address: wanted.0,
        max_clients: config.web_clients,
        name: camera_name(config),
        unhealthy_after: unhealthy_after(config),
    };
    let sink = WebSink::serve(settings, Arc::clone(health))?;
    warn!("web page at http://{}/", sink.address());
    Ok(Some(Box::new(sink)))
}

#[cfg(not(feature = "web"))]
fn web(config: &RunConfig, _: &Arc<Health>) -> Asked {
    match config.web {
        None => Ok(None),
        Some(_) => Err(Failure::NotBuilt {
            what: "the web page",
            feature: "web",
        }),
    }
}

/// Time without a frame after which the run counts as ill: a camera that comes back at once is no illness.
#[cfg(feature = "web")]
fn unhealthy_after(config: &RunConfig) -> std::time::Duration {
    const SHORTEST: std::time::Duration = std::time::Duration::from_secs(10);
    config.stall.saturating_mul(2).max(SHORTEST)
}

/// What others call this camera: as asked for, or like the machine.
#[cfg(any(feature = "mqtt", feature = "web"))]
fn camera_name(config: &RunConfig) -> String {
    let asked = config.name.clone().filter(|name| !name.trim().is_empty());
    asked.or_else(machine_name).unwrap_or("boxcam".to_owned())
}

#[cfg(all(any(feature = "mqtt", feature = "web"), target_os = "linux"))]
fn machine_name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    Some(name.into_owned()).filter(|name| !name.is_empty())
}

#[cfg(all(any(feature = "mqtt", feature = "web"), not(target_os = "linux")))]
fn machine_name() -> Option<String> {
    None
}
