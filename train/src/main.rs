//! The command line of boxcam-train.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes the models of boxcam: pictures and a CSV of boxes in, one quantised ONNX file out.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a float model from pictures, their boxes and ImageNet weights.
    Train(commands::train::Arguments),
    /// Quantise a float model to int8, check it against the float one, and write the file that ships.
    Quantise(commands::quantise::Arguments),
    /// Write the float model that an int8 model stands for, to quantise it anew.
    Dequantise(commands::dequantise::Arguments),
    /// Write the trunk of a model by itself, in half precision, for a training to start from.
    Trunk(commands::trunk::Arguments),
    /// Write a data set of made-up scenes, to try the whole way with.
    Scenes(commands::scenes::Arguments),
    /// Cut parts without any box out of annotated pictures, to count false alarms on.
    Backgrounds(commands::backgrounds::Arguments),
    /// Show the card of a model file.
    Card(commands::card::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Quantise(arguments) => commands::quantise::run(&arguments),
        Command::Dequantise(arguments) => commands::dequantise::run(&arguments),
        Command::Trunk(arguments) => commands::trunk::run(&arguments),
        Command::Scenes(arguments) => commands::scenes::run(&arguments),
        Command::Backgrounds(arguments) => commands::backgrounds::run(&arguments),
        Command::Card(arguments) => commands::card::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match commands::exit_code(&error) {
            // These messages have their cause in them already.
            Some(code) => {
                eprintln!("boxcam-train: {error}");
                code
            }
            None => {
                eprintln!("boxcam-train: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}
