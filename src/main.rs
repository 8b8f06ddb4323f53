//! boxcam, the program: the command line goes to a command, its result to an exit code.

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use boxcam::config::{Config, ConfigError};
use boxcam::warn;

use commands::{Completion, Failure};

mod commands;
mod stop;

fn main() -> ExitCode {
    let config = match Config::from_args(std::env::args_os()) {
        Ok(config) => config,
        Err(ConfigError::Words(words)) => {
            // Without a standard error there is nobody left to tell.
            let _ = words.print();
            return ExitCode::from(if words.use_stderr() { 2 } else { 0 });
        }
        Err(error) => {
            warn!("{error}");
            return ExitCode::from(2);
        }
    };
    match carry_out(&config) {
        Ok(completion) => completion.exit_code(),
        Err(error) => match error.downcast_ref::<Failure>() {
            // Its message has its cause in it already.
            Some(failure) => {
                warn!("{failure}");
                failure.exit_code()
            }
            None => {
                warn!("{error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn carry_out(config: &Config) -> Result<Completion> {
    if config.is_guard() {
        // It has its own way with signals.
        return Ok(commands::execute(config, &AtomicBool::new(false))?);
    }
    let stop = stop::flag()
        .context("the signals that end a run can't be caught; end other programs and try again")?;
    Ok(commands::execute(config, &stop)?)
}
