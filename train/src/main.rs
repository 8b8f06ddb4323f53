//! The command line of boxcam-train.

mod commands;
mod process;

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
    /// Make a model of your own pictures, from any data set to the file that boxcam runs, in one go.
    New(commands::new::Arguments),
    /// Draw one training batch as the network gets it.
    Batch(commands::batch::Arguments),
    /// Summarise a model: its layers, parameters and multiply-adds; and draw it.
    Summary(commands::summary::Arguments),
    /// Say what a model thinks of one picture: scores of all classes and the raw box.
    Sanity(commands::sanity::Arguments),
    /// Train a float model from pictures, their boxes and ImageNet weights.
    Train(commands::train::Arguments),
    /// Average the weights of several trainings that went on from the same model.
    Average(commands::average::Arguments),
    /// Make a model's confidences mean what they say.
    Temper(commands::temper::Arguments),
    /// Plot losses and metrics of one or more runs, as a picture and an HTML report.
    Plot(commands::plot::Arguments),
    /// Draw truth and prediction together, worst and best first.
    Predict(commands::predict::Arguments),
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
    /// Measure how many pictures a second this machine learns.
    Speed(commands::speed::Arguments),
    /// Look at a data set: counts, sizes, duplicates, and what is suspect.
    Inspect(commands::inspect::Arguments),
    /// Turn a data set of any format into the layout that `train` reads, split without leaks.
    Prepare(commands::prepare::Arguments),
    /// Show the card of a model file.
    Card(commands::card::Arguments),
}

fn main() -> ExitCode {
    process::keep();
    process::end_with_the_reader();
    let done = match Arguments::parse().command {
        Command::New(arguments) => commands::new::run(&arguments),
        Command::Batch(arguments) => commands::batch::run(&arguments),
        Command::Summary(arguments) => commands::summary::run(&arguments),
        Command::Sanity(arguments) => commands::sanity::run(&arguments),
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Average(arguments) => commands::average::run(&arguments),
        Command::Temper(arguments) => commands::temper::run(&arguments),
        Command::Plot(arguments) => commands::plot::run(&arguments),
        Command::Predict(arguments) => commands::predict::run(&arguments),
        Command::Quantise(arguments) => commands::quantise::run(&arguments),
        Command::Dequantise(arguments) => commands::dequantise::run(&arguments),
        Command::Trunk(arguments) => commands::trunk::run(&arguments),
        Command::Scenes(arguments) => commands::scenes::run(&arguments),
        Command::Backgrounds(arguments) => commands::backgrounds::run(&arguments),
        Command::Speed(arguments) => commands::speed::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Prepare(arguments) => commands::prepare::run(&arguments),
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
