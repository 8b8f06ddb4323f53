//! `boxcam-train data label`: a web page to draw boxes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use boxcam::model_choice::ModelChoice;
use boxcam_train::labeling::{
    self, LabelServer, ProposalModel, StartOptions, Store, Training, TrainingOptions,
};
use boxcam_train::message;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use parking_lot::Mutex;
use signal_hook::consts::TERM_SIGNALS;

use super::{AnyData, DroppedOptions, fraction};

/// The name that turns proposals off.
const NO_MODEL: &str = "none";

/// How often the program looks whether it is to end.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct LabelArguments {
    #[command(flatten)]
    data: AnyData,
    /// Port of the page, which is served to this machine only; 0 is any free one
    #[arg(long, default_value_t = 8081)]
    port: u16,
    /// Classes to begin with, in the order of the number keys; more can be added on the page
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    classes: Vec<String>,
    /// Model that proposes boxes: a file, coco, snacks, or none
    #[arg(long, value_name = "MODEL", default_value = "coco", value_parser = model_parser())]
    model: ModelChoice,
    /// Lowest score of a proposed box, from 0 to 1; by default the model's own threshold
    #[arg(long, value_parser = fraction)]
    threshold: Option<f32>,
    #[command(flatten)]
    dropped: DroppedOptions,
}

fn model_parser() -> impl TypedValueParser<Value = ModelChoice> {
    OsStringValueParser::new().map(ModelChoice::from)
}

pub(crate) fn label(arguments: &LabelArguments) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        signal_hook::flag::register(*signal, Arc::clone(&stop)).context("signals")?;
    }
    let options = StartOptions {
        format: arguments.data.format,
        classes: arguments.classes.clone(),
        allow_dropped: arguments.dropped.allow_dropped,
    };
    let folder = &arguments.data.data;
    let (store, messages) = labeling::open(folder, &options)?;
    for text in messages {
        message!("{text}");
    }
    let model = match &arguments.model {
        ModelChoice::Name(name) if name == NO_MODEL => None,
        choice => Some(ProposalModel::load(choice, arguments.threshold)?),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let store = Arc::new(Mutex::new(store));
    let training = Arc::new(Training::new(TrainingOptions {
        program: std::env::current_exe().context("the path of this program")?,
        folder: folder.clone(),
        format: arguments.data.format,
        allow_dropped: arguments.dropped.allow_dropped,
    }));
    let server = LabelServer::start(address, Arc::clone(&store), model, Arc::clone(&training));
    let server = server.with_context(|| {
        format!(
            "port {}: cannot be served; choose another one with --port",
            address.port()
        )
    })?;
    println!("http://{}/", server.address());
    message!("open this page in a browser; Ctrl-C ends the program, every change is saved at once");
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(STOP_INTERVAL);
    }
    if let Some(text) = training.shut_down() {
        message!("{text}");
    }
    // A change that is being written is completed first.
    let store = store.lock();
    drop(server);
    say_goodbye(&store);
    Ok(())
}

fn say_goodbye(store: &Store) {
    let (labeled, all) = (store.labeled(), store.len());
    if !store.file().exists() {
        message!("nothing was labeled");
        return;
    }
    message!(
        "{labeled} of {all} pictures are labeled, in {}",
        store.file().display()
    );
    message!(
        "next: boxcam-train fit {} --output MODEL_FOLDER",
        store.folder().display()
    );
}
