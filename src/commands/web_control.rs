//! What requests to the web page may change of a run.

use std::sync::Arc;

use boxcam::sink::web::{Control, ControlError, InstalledModel};

use super::model::reload::{ModelSwitch, ReloadError, Switched};

/// The models and the options of a run.
pub(super) struct RunControl {
    pub(super) models: Arc<ModelSwitch>,
    /// The options in force, as `boxcam config --json` prints them.
    pub(super) config: String,
}

impl Control for RunControl {
    fn install_model(&self, file: &[u8]) -> Result<InstalledModel, ControlError> {
        answer(self.models.install(file))
    }

    fn reload_model(&self) -> Result<InstalledModel, ControlError> {
        answer(self.models.reload())
    }

    fn config(&self) -> String {
        self.config.clone()
    }
}

fn answer(switched: Result<Switched, ReloadError>) -> Result<InstalledModel, ControlError> {
    let switched = switched.map_err(|error| {
        let message = error.to_string();
        match error {
            ReloadError::NoFile | ReloadError::Ended => ControlError::Impossible(message),
            ReloadError::Busy => ControlError::Busy(message),
            ReloadError::Model(_)
            | ReloadError::Golden { .. }
            | ReloadError::Unproved { .. }
            | ReloadError::Hidden { .. } => ControlError::Refused(message),
        }
    })?;
    Ok(InstalledModel {
        model: switched.model_hash,
        golden_examples: switched.agreement.examples,
        max_difference: switched.agreement.difference,
        changed: switched.is_new,
    })
}
