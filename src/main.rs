//! The program `boxcam`: parses the command line, executes the command and returns its exit code.

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use boxcam::error;
use boxcam::options::{self, Command, OptionsError};

use commands::{Completion, Failure};

mod commands;
mod stop;

const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let command = match options::parse(std::env::args_os(), &options::candidates()) {
        Ok(command) => command,
        Err(OptionsError::Cli(error)) => {
            // Nothing can report that the terminal can't be written to.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE_ERROR } else { 0 });
        }
        Err(error) => {
            error!("{error}");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    match execute(&command) {
        Ok(completion) => completion.exit_code(),
        Err(failure) => {
            error!("{failure}");
            failure.exit_code()
        }
    }
}

fn execute(command: &Command) -> Result<Completion, Failure> {
    if !command.ends_gracefully() {
        // A signal ends it at once, or it handles signals by itself.
        return commands::execute(command, &AtomicBool::new(false));
    }
    let stop = stop::flag().map_err(Failure::Signals)?;
    commands::execute(command, &stop)
}
