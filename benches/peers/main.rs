//! boxcam beside other engines: the same network, image and machine, one thread, in one run.
//!
//! Converts a boxcam model for the other engines, starts each engine in its own process, compares their predictions with a
//! reference, and then times them in turn, round after round, so that the load of the machine affects all of them alike.
//! README.md lists each engine's model and input, and explains the table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use boxcam::card::ModelCard;
use boxcam::detect::Detector;
use boxcam::detect::tract::TractDetector;
use clap::Parser;
use clap::builder::PossibleValuesParser;

use agreement::Agreement;
use engine::{ENGINES, Engine, EngineKind, OURS, REFERENCE};
use instructions::Counter;
use report::{Report, Row};
use setup::Setup;

mod agreement;
mod engine;
mod instructions;
mod report;
mod setup;
mod worker;

/// Time that each engine computes per round: long against the resolution of the clock, short against changes of the
/// machine's load.
const TURN_SECONDS: f64 = 0.1;

/// boxcam beside other engines, one thread each
#[derive(Parser)]
struct Options {
    /// Model to run
    #[arg(long, default_value_os_t = root().join("models/snacks.onnx"))]
    model: PathBuf,
    /// Number of rounds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Also write all results to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only boxcam and these engines
    #[arg(long, value_delimiter = ',', value_name = "ENGINE,...", value_parser = names())]
    only: Vec<String>,
    /// Count instructions on an emulated AVX2 processor if this one has no counters
    #[arg(long)]
    valgrind: bool,
    /// Run as the worker of one engine
    #[arg(long, hide = true, value_names = ["ENGINE", "FOLDER"], num_args = 2)]
    worker: Option<Vec<String>>,
    /// Passed by cargo to all benchmarks
    #[arg(long, hide = true)]
    bench: bool,
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
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
    let report = measure_all(options)?;
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

/// An engine and its row in the table.
struct RunningEngine {
    row: usize,
    kind: &'static EngineKind,
    engine: Engine,
}

fn measure_all(options: &Options) -> Result<Report> {
    let model = std::path::absolute(&options.model)?;
    let card: ModelCard = TractDetector::from_file(&model)?.card().clone();
    let setup = Setup::make(&model, &card)?;
    let wanted = ENGINES.iter().filter(|kind| {
        let only = &options.only;
        only.is_empty() || kind.is_ours() || only.iter().any(|name| name == kind.name)
    });
    let mut rows = Vec::new();
    let mut engines: Vec<RunningEngine> = Vec::new();
    for kind in wanted {
        eprintln!("starting {}", kind.name);
        match start(kind, &setup) {
            Ok(engine) => {
                engines.push(RunningEngine {
                    row: rows.len(),
                    kind,
                    engine,
                });
                rows.push(Row::new(kind.name));
            }
            Err(error) => {
                eprintln!("{} is not measured: {error:#}", kind.name);
                rows.push(Row::missing(kind.name, &error));
            }
        }
    }
    let reference = compare_predictions(&setup, &mut rows, &engines);
    measure(options.rounds, &mut rows, &mut engines);
    drop(engines);
    let counter = Counter::find(options.valgrind);
    if let Some(counter) = counter {
        setup.keep_one_image()?;
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

/// Compares the predictions of all engines with the reference's, or with boxcam's if the reference cannot be started.
/// Returns the name of the reference.
fn compare_predictions(setup: &Setup, rows: &mut [Row], engines: &[RunningEngine]) -> &'static str {
    eprintln!("starting {}", REFERENCE.name);
    let reference = setup.command(&REFERENCE).and_then(Engine::start);
    let ours = engines.iter().find(|running| running.kind.is_ours());
    let (name, expected) = match (&reference, ours) {
        (Ok(reference), _) => (REFERENCE.name, &reference.ready.predictions),
        (Err(error), Some(ours)) => {
            eprintln!(
                "the engines are compared with boxcam, as the reference is missing: {error:#}"
            );
            (OURS, &ours.engine.ready.predictions)
        }
        (Err(_), None) => return "nothing",
    };
    for running in engines {
        let predictions = &running.engine.ready.predictions;
        let row = &mut rows[running.row];
        row.agreement = Some(Agreement::new(running.kind, predictions, expected));
        if row.is_wrong() {
            eprintln!("WRONG: {} computes another network than {name}", row.name);
        }
    }
    name
}

/// Counts instructions; the table has no count for engines where this fails.
fn count(counter: Counter, rows: &mut [Row], setup: &Setup) {
    eprintln!("counting instructions");
    for kind in &ENGINES {
        let present = |row: &&mut Row| row.name == kind.name && row.missing.is_none();
        if let Some(row) = rows.iter_mut().find(present) {
            match counter.per_inference(kind, setup) {
                Ok(instructions) => row.instructions = Some(instructions),
                Err(error) => eprintln!("instructions of {} are not counted: {error:#}", kind.name),
            }
        }
    }
}

fn start(kind: &EngineKind, setup: &Setup) -> Result<Engine> {
    let mut engine = Engine::start(setup.command(kind)?)?;
    // The first inferences run with cold caches.
    engine.run(3)?;
    Ok(engine)
}

/// Times all engines in turn; one that ends early counts as missing.
fn measure(rounds: u32, rows: &mut [Row], engines: &mut [RunningEngine]) {
    eprintln!("measuring {rounds} rounds");
    for round in 0..rounds as usize {
        for turn in 0..engines.len() {
            // Each round starts with another engine.
            let running = &mut engines[(turn + round) % engines.len()];
            let row = &mut rows[running.row];
            if row.missing.is_none() {
                take_turn(row, &mut running.engine)
                    .unwrap_or_else(|error| row.missing = Some(error.to_string()));
            }
        }
    }
    for running in engines {
        rows[running.row].record(&running.engine);
    }
}

/// The first inference runs with another engine's data in the caches; it only determines how many fit in the turn.
fn take_turn(row: &mut Row, engine: &mut Engine) -> Result<()> {
    let one = engine.run(1)?.wall;
    let count = (TURN_SECONDS / one).ceil().clamp(1.0, 10_000.0);
    let cost = engine.run(count as u32)?;
    row.cpu_ms.push(cost.cpu * 1e3 / count);
    row.wall_ms.push(cost.wall * 1e3 / count);
    Ok(())
}
