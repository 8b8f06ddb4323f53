//! The command line of boxcam-train.

mod commands;
mod process;
mod renamed;

use std::process::ExitCode;

use boxcam_train::message;
use clap::{Parser, Subcommand};

use commands::{data, eval, fit, model_file, train};

/// Trains models for boxcam: images and a CSV file of boxes in, one quantized ONNX file out.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a model of your own images in one command: convert, train and quantize
    Fit(Box<fit::Arguments>),
    /// Convert, inspect, draw and synthesize data sets
    #[command(subcommand)]
    Data(data::Command),
    /// Train a float model, measure the speed of training, plot its history
    #[command(subcommand)]
    Train(train::Command),
    /// Draw a model's predictions, calibrate its confidence
    #[command(subcommand)]
    Eval(eval::Command),
    /// Import, quantize, average, summarize and change model files
    #[command(subcommand)]
    Model(model_file::Command),
}

fn main() -> ExitCode {
    process::keep_freed_memory();
    process::end_on_closed_pipe();
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        if let Some(hint) = renamed::hint(&error) {
            message!("boxcam-train: {hint}");
            std::process::exit(2);
        }
        error.exit()
    });
    let done = match &arguments.command {
        Command::Fit(arguments) => fit::run(arguments),
        Command::Data(command) => data::run(command),
        Command::Train(command) => train::run(command),
        Command::Eval(command) => eval::run(command),
        Command::Model(command) => model_file::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match commands::exit_code(&error) {
            // These messages contain their cause.
            Some(code) => {
                message!("boxcam-train: {error}");
                code
            }
            None => {
                message!("boxcam-train: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}
