//! boxcam beside other engines: the same network, picture and machine, one thread, in one run.
//!
//! `cargo bench --bench peers` makes the other engines' models from a boxcam model, starts each engine in a
//! process of its own, checks that all say the same of some pictures, and then lets them compute in turn, round
//! after round, so that whatever else the machine does meets all of them alike. README.md beside this file says
//! what each is given and how to read the table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use boxcam::card::ModelCard;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use clap::Parser;
use clap::builder::PossibleValuesParser;

use engine::{ENGINES, Engine, Kind, OURS, REFERENCE};
use instructions::Counter;
use report::{Report, Row};
use setup::Setup;

mod agreement;
mod engine;
mod instructions;
mod report;
mod setup;
mod worker;

/// Time that one engine computes before it is the next one's turn: some turns of the system's own clock, and
/// short beside the changes of a busy machine's mood.
const TURN_SECONDS: f64 = 0.1;

/// boxcam beside other engines, one thread each
#[derive(Parser)]
struct Options {
    /// Model to compare on
    #[arg(long, default_value_os_t = root().join("models/snacks.onnx"))]
    model: PathBuf,
    /// Turns that each engine has
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Write all figures to this file too
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only these engines, boxcam, and the one whose answers are taken for right
    #[arg(long, value_delimiter = ',', value_name = "ENGINE,...", value_parser = names())]
    only: Vec<String>,
    /// Count the instructions of an emulated AVX2 machine where this one's processor doesn't count
    #[arg(long)]
    valgrind: bool,
    /// Be one engine for the process that measures
    #[arg(long, hide = true, value_names = ["ENGINE", "FOLDER"], num_args = 2)]
    worker: Option<Vec<String>>,
    /// What cargo says to all benches
    #[arg(long, hide = true)]
    bench: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ENGINES.iter().map(|kind| kind.name))
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    if let Some([engine, folder]) = options.worker.as_deref() {
        worker::run(engine, &options.model, Path::new(folder))?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = compare(options)?;
    print!("{report}");
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, text + "\n").with_context(|| file.display().to_string())?;
    }
    Ok(if report.rows.iter().any(Row::is_wrong) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn compare(options: &Options) -> Result<Report> {
    let model = std::path::absolute(&options.model)?;
    let card: ModelCard = TractDetector::from_file(&model)?.card().clone();
    let setup = Setup::make(&model, &card)?;
    let wanted = ENGINES.iter().filter(|kind| {
        let only = &options.only;
        let is_needed = [OURS, REFERENCE].contains(&kind.name);
        only.is_empty() || is_needed || only.iter().any(|name| name == kind.name)
    });
    let mut rows = Vec::new();
    let mut engines: Vec<(usize, Engine)> = Vec::new();
    for kind in wanted {
        eprintln!("starting {}", kind.name);
        match start(kind, &setup) {
            Ok(engine) => {
                engines.push((rows.len(), engine));
                rows.push(Row::new(kind.name));
            }
            Err(error) => {
                eprintln!("SKIPPED: {}: {error:#}", kind.name);
                rows.push(Row::missing(kind.name, &error));
            }
        }
    }
    let reference = agreement::check(&mut rows, &engines);
    measure(options.rounds, &mut rows, &mut engines);
    drop(engines);
    let counter = Counter::find(options.valgrind);
    if let Some(counter) = counter {
        setup.keep_one_picture()?;
        count(counter, &mut rows, &setup);
    }
    Ok(Report::new(
        &model,
        options.rounds,
        reference,
        counter,
        rows,
    ))
}

/// Counts instructions where it works; a table without some of them is better than none.
fn count(counter: Counter, rows: &mut [Row], setup: &Setup) {
    eprintln!("counting instructions");
    for kind in &ENGINES {
        let present = |row: &&mut Row| row.name == kind.name && row.missing.is_none();
        if let Some(row) = rows.iter_mut().find(present) {
            match counter.per_inference(kind, setup) {
                Ok(instructions) => row.instructions = Some(instructions),
                Err(error) => eprintln!("SKIPPED: instructions of {}: {error:#}", kind.name),
            }
        }
    }
}

fn start(kind: &Kind, setup: &Setup) -> Result<Engine> {
    let mut engine = Engine::start(setup.command(kind)?)?;
    // The first inferences after loading find cold caches.
    engine.run(3)?;
    Ok(engine)
}

/// Lets all engines compute in turn; one that ends on the way is missing from then on.
fn measure(rounds: u32, rows: &mut [Row], engines: &mut [(usize, Engine)]) {
    eprintln!("measuring {rounds} rounds");
    for round in 0..rounds as usize {
        for place in 0..engines.len() {
            // Each round begins with another engine, so that none always follows the same one.
            let (row, engine) = &mut engines[(place + round) % engines.len()];
            let row = &mut rows[*row];
            if row.missing.is_none() {
                take_turn(row, engine)
                    .unwrap_or_else(|error| row.missing = Some(error.to_string()));
            }
        }
    }
    for (row, engine) in engines {
        rows[*row].take(engine);
    }
}

/// The first inference finds its caches full of another engine; it only tells how many fit in the turn.
fn take_turn(row: &mut Row, engine: &mut Engine) -> Result<()> {
    let one = engine.run(1)?.wall;
    let count = (TURN_SECONDS / one).ceil().clamp(1.0, 10_000.0);
    let cost = engine.run(count as u32)?;
    row.cpu_ms.push(cost.cpu * 1e3 / count);
    row.wall_ms.push(cost.wall * 1e3 / count);
    Ok(())
}
