//! Hints for former names of commands and options.

use std::env;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Former commands, and the present ones.
const COMMANDS: [(&str, &str); 18] = [
    ("new", "fit"),
    ("prepare", "data convert"),
    ("inspect", "data inspect"),
    ("batch", "data show-batch"),
    ("scenes", "data synthesize"),
    ("backgrounds", "data mine-negatives"),
    ("train", "train run"),
    ("speed", "train benchmark"),
    ("plot", "train plot"),
    ("predict", "eval predict"),
    ("sanity", "eval predict --raw IMAGE"),
    ("temper", "eval calibrate"),
    ("quantise", "model quantize"),
    ("dequantise", "model dequantize"),
    ("average", "model average"),
    ("summary", "model summary"),
    ("card", "model card"),
    ("trunk", "model export-backbone"),
];

/// Former options, and the present ones.
const OPTIONS: [(&str, &str); 7] = [
    ("--side", "--input-size PIXELS"),
    ("--batch", "--batch-size COUNT"),
    ("--views", "--set cached_augmentations=COUNT"),
    ("--scenes", "--set synthetic_images=COUNT"),
    ("--backgrounds", "--set synthetic_negatives=COUNT"),
    ("--empty", "--negatives COUNT"),
    ("--to", "--output FOLDER"),
];

/// The present name of a former command or option that the command line could not be parsed for.
pub(crate) fn hint(error: &Error) -> Option<String> {
    let first = env::args().nth(1)?;
    let command = COMMANDS.iter().find(|(former, _)| *former == first);
    match (error.kind(), command) {
        (ErrorKind::InvalidSubcommand, Some((former, name))) if first != "train" => {
            Some(format!("the command \"{former}\" is now called \"{name}\""))
        }
        (ErrorKind::UnknownArgument, _) => match error.get(ContextKind::InvalidArg)? {
            // The group of the same name has no options: these are those of the former command.
            ContextValue::String(_) if is_former_train(&first) => {
                Some("the command \"train\" is now called \"train run\"".to_owned())
            }
            ContextValue::String(option) => {
                let (former, name) = OPTIONS.iter().find(|(former, _)| former == option)?;
                Some(format!("the option {former} is now called {name}"))
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_former_train(first: &str) -> bool {
    first == "train" && env::args().nth(2).is_some_and(|word| word.starts_with('-'))
}
