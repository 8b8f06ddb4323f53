//! A thousand faults: the camera, the broker, browsers, the disk, the clock and signals fail at the same time, in several
//! programs side by side.
//!
//! `BOXCAM_FAULT_SEED` repeats a run, `BOXCAM_FAULTS` sets the number of faults. Nothing here waits for a time: each fault
//! is followed by the wait until the program infers again.

mod browser_faults;
mod clock;
mod disk;
mod fake_broker;
mod feeder;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::common::reports::wait_until;
use crate::common::running::Running;
use crate::common::{TestDir, rpicam, tiny_model};
use crate::processes::{Resources, alive_in, is_stopped, resources_of, zombies_of};
use crate::{starts, web_page};

use browser_faults::{BrowserFault, Metrics};
use clock::Clock;
use disk::{Disk, DiskFault, LOG_SIZE};
use fake_broker::{BrokerFault, FakeBroker};
use feeder::{CameraFault, Feeder};

/// Programs that run side by side.
const PROGRAMS: u64 = 5;

/// Faults of all programs together, if the environment does not set the number.
const FAULTS: u64 = 1000;

/// The most faults at the same time.
const MAX_AT_ONCE: usize = 4;

/// What fails.
#[derive(Debug, Clone)]
enum Fault {
    Camera(CameraFault),
    Broker(BrokerFault),
    Browser(BrowserFault),
    Disk(DiskFault),
    Clock,
    /// A signal that must not end the program.
    Signal(&'static str),
    /// The program is stopped and continued; if true, only after its camera could not send any more.
    Pause(bool),
    /// The model file is replaced by one that is none.
    Model,
}

/// Signals that a program ignores unless it handles them.
const HARMLESS: [&str; 5] = ["-WINCH", "-URG", "-CHLD", "-PIPE", "-CONT"];

impl Fault {
    fn random(random: &mut fastrand::Rng) -> Self {
        match random.u8(..40) {
            0..10 => Self::Camera(CameraFault::random(random)),
            10..13 => Self::Broker(BrokerFault::random(random)),
            13..22 => Self::Browser(BrowserFault::random(random)),
            22..30 => Self::Disk(DiskFault::random(random)),
            30..33 => Self::Clock,
            33..36 => Self::Signal(HARMLESS[random.usize(..HARMLESS.len())]),
            36..39 => Self::Pause(random.u8(..4) == 0),
            _ => Self::Model,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Camera(_) => "camera",
            Self::Broker(_) => "broker",
            Self::Browser(_) => "browser",
            Self::Disk(_) => "disk",
            Self::Clock => "clock",
            Self::Signal(_) | Self::Pause(_) => "signal",
            Self::Model => "model",
        }
    }
}

/// A running program with everything around it.
struct Instance {
    random: fastrand::Rng,
    has_line_per_frame: bool,
    feeder: Feeder,
    broker: FakeBroker,
    clock: Clock,
    disk: Disk,
    page: SocketAddr,
    program: Running,
    counts: BTreeMap<&'static str, u64>,
    /// The faults of the present round, for messages.
    present: String,
    /// The last, so that it is removed last.
    dir: TestDir,
}

impl Instance {
    fn start(seed: u64, number: u64) -> Self {
        let dir = TestDir::new();
        let folder = dir.path("");
        for name in ["logs", "shots"] {
            fs::create_dir(dir.path(name)).expect("created");
        }
        let feeder = Feeder::start(&folder);
        let broker = FakeBroker::start();
        let clock = Clock::new(&folder);
        let has_line_per_frame = number.is_multiple_of(2);
        let mut command = command(&dir, &broker, has_line_per_frame);
        clock.apply_to(&mut command);
        let mut program = Running::with_stderr(&mut command);
        let page = web_page(&mut program);
        Self {
            random: fastrand::Rng::with_seed(seed.wrapping_add(number)),
            has_line_per_frame,
            disk: Disk::new(&folder, program.id()),
            feeder,
            broker,
            clock,
            page,
            program,
            counts: BTreeMap::new(),
            present: "the start".to_owned(),
            dir,
        }
    }

    fn faults(&self) -> u64 {
        self.counts.values().sum()
    }

    fn metrics(&self) -> Option<Metrics> {
        Metrics::read(self.page)
    }

    #[track_caller]
    fn wait(&self, what: &str, condition: impl FnMut() -> bool) {
        wait_until(&format!("{what}, at {}", self.present), condition);
    }

    /// Waits until the program infers frames that were sent after this call.
    #[track_caller]
    fn wait_until_live(&self) {
        self.wait("the camera is back", || self.feeder.has_recovered());
        let mut first = None;
        self.wait("live again", || {
            let Some(metrics) = self.metrics() else {
                return false;
            };
            let inferred = metrics.inferred().expect("a number");
            metrics.is_live() && inferred > *first.get_or_insert(inferred) + 2
        });
    }

    /// Some faults at once; waits until the program has recovered from all of them.
    #[track_caller]
    fn round(&mut self) {
        let count = self.random.usize(1..=MAX_AT_ONCE);
        let mut faults: Vec<Fault> = Vec::new();
        while faults.len() < count {
            let fault = Fault::random(&mut self.random);
            // Two of one kind would undo each other.
            if faults.iter().all(|other| other.kind() != fault.kind()) {
                faults.push(fault);
            }
        }
        self.present = format!("{faults:?}").chars().take(300).collect();
        let mut connections = Vec::new();
        for fault in &faults {
            self.inject(fault, &mut connections);
        }
        drop(connections);
        self.broker.resume();
        for fault in &faults {
            if let Fault::Disk(fault) = fault {
                self.disk.restore(*fault);
            }
        }
        self.wait_until_live();
    }

    #[track_caller]
    fn inject(&mut self, fault: &Fault, connections: &mut Vec<TcpStream>) {
        if self.apply(fault, connections) {
            *self.counts.entry(fault.kind()).or_default() += 1;
        }
    }

    /// False if the fault is not possible now.
    #[track_caller]
    fn apply(&mut self, fault: &Fault, connections: &mut Vec<TcpStream>) -> bool {
        match fault {
            Fault::Camera(fault) => {
                let done = self.feeder.done();
                self.feeder.fail(fault.clone());
                // A camera that is not read any more fails later.
                self.wait("the camera fails", || self.feeder.done() > done);
            }
            Fault::Broker(fault) => {
                // A client that waits before it tries again can't be failed.
                if self.broker.is_pending() || !self.broker.is_connected() {
                    return false;
                }
                let done = self.broker.done();
                self.broker.fail(*fault);
                self.wait("the broker fails", || self.broker.done() > done);
            }
            Fault::Browser(fault) => connections.extend(fault.apply(self.page)),
            Fault::Disk(fault) => self.fail_disk(*fault),
            Fault::Clock => self.clock.jump(&mut self.random),
            Fault::Signal(signal) => self.program.signal(signal),
            Fault::Pause(until_blocked) => {
                self.program.signal("-STOP");
                self.wait("it stops", || is_stopped(self.program.id()));
                if *until_blocked {
                    self.feeder.set_fast(true);
                    self.wait("the camera is blocked", || self.feeder.is_blocked());
                    self.feeder.set_fast(false);
                }
                self.program.signal("-CONT");
            }
            Fault::Model => return self.replace_model(),
        }
        true
    }

    #[track_caller]
    fn fail_disk(&mut self, fault: DiskFault) {
        let lost = |instance: &Self| instance.metrics()?.value("log_lines_lost_total");
        let before = lost(self);
        self.disk.fail(fault);
        // Without a line per frame there may be no line to lose.
        if fault.loses_lines() && self.has_line_per_frame && before.is_some() {
            self.wait("lost lines", || lost(self) > before);
        }
    }

    #[track_caller]
    fn replace_model(&self) -> bool {
        let refused = || self.metrics()?.value("models_refused_total");
        let Some(before) = refused() else {
            return false;
        };
        self.dir.write("tiny.onnx", "not a model");
        self.wait("the model is refused", || refused() > Some(before));
        self.dir.write("tiny.onnx", tiny_model::bytes());
        true
    }

    /// Ends the program and checks all that it leaves.
    #[track_caller]
    fn end(mut self, early: Resources) {
        self.present = "the end".to_owned();
        self.wait_until_live();
        self.wait("the broker has it again", || self.broker.is_connected());
        let id = self.program.id();
        let is_flat =
            |late: Resources| late.threads <= early.threads + 1 && late.files <= early.files + 4;
        self.wait("threads and files as at the start", || {
            is_flat(resources_of(id))
        });
        let late = resources_of(id);
        eprintln!("{early:?} -> {late:?}, {:?}", self.counts);
        assert!(
            late.memory_kib <= early.memory_kib + 48 * 1024,
            "{early:?} -> {late:?}"
        );
        self.wait("no zombies", || zombies_of(id).is_empty());
        self.program.signal("-TERM");
        let status = self.program.wait();
        let stderr = self.program.lines.join("\n");
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(!stderr.contains("internal error"), "{stderr}");
        self.wait("no orphans", || alive_in(&starts(&self.dir)).is_empty());
        self.wait("it says goodbye", || self.broker.status() == "offline");
        self.check_logs();
        self.check_snapshots();
    }

    /// All lines are whole, and the frames of each file are in order.
    #[track_caller]
    fn check_logs(&self) {
        let mut total = 0;
        for path in self.disk.logs() {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let mut last = None;
            for line in text.lines() {
                let line: Value = serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("{error} in {}: {line}", path.display()));
                total += 1;
                if let Some(frame) = line["frame"].as_u64() {
                    let is_event = line["event"].is_string();
                    assert!(last < Some(frame) || is_event, "{last:?} before {line}");
                    last = Some(frame);
                }
            }
            assert!(
                text.is_empty() || text.ends_with('\n'),
                "{}",
                path.display()
            );
        }
        assert!(total > 0, "no lines");
    }

    #[track_caller]
    fn check_snapshots(&self) {
        let Ok(entries) = fs::read_dir(self.dir.path("shots")) else {
            return;
        };
        for entry in entries {
            let path = entry.expect("readable").path();
            boxcam::picture::open(&path).expect("a whole picture");
        }
    }
}

/// The run, with everything that can fail.
fn command(dir: &TestDir, broker: &FakeBroker, has_line_per_frame: bool) -> Command {
    let path = rpicam::install(dir, feeder::SCRIPT);
    let mut command = dir.command(&["run", "--source", "rpicam", "--size", "64x48"]);
    command.args([
        "--stall",
        "300ms",
        "--display",
        "none",
        "--wait",
        "--threads",
        "1",
    ]);
    command.args([
        "--model",
        "tiny.onnx",
        "--web",
        "127.0.0.1:0",
        "--name",
        "cam",
    ]);
    command.args(["--mqtt", &format!("mqtt://{}", broker.address)]);
    command.args([
        "--log",
        "logs/log.jsonl",
        "--log-size",
        &LOG_SIZE.to_string(),
        "--log-keep",
        "1000",
    ]);
    if has_line_per_frame {
        command.args(["--lines", "frames"]);
    } else {
        command.args([
            "--lines",
            "events",
            "--snapshots",
            "shots",
            "--snapshots-size",
            "20kB",
        ]);
    }
    command.env("PATH", path);
    command
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {value}, expected a number")),
    )
}

#[test]
fn a_thousand_faults_end_nothing_and_leak_nothing() {
    let seed = from_environment("BOXCAM_FAULT_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let faults = from_environment("BOXCAM_FAULTS").unwrap_or(FAULTS);
    eprintln!("BOXCAM_FAULT_SEED={seed} BOXCAM_FAULTS={faults}");
    let started = Instant::now();
    let each = faults.div_ceil(PROGRAMS);
    let run = move |number| {
        let mut instance = Instance::start(seed, number);
        instance.wait_until_live();
        let mut early = None;
        while instance.faults() < each {
            instance.round();
            if instance.faults() >= each / 10 {
                early.get_or_insert_with(|| resources_of(instance.program.id()));
            }
        }
        let total = instance.faults();
        let early = early.expect("at least one round");
        instance.end(early);
        total
    };
    let threads: Vec<_> = (0..PROGRAMS)
        .map(|number| thread::spawn(move || run(number)))
        .collect();
    let totals = threads
        .into_iter()
        .map(|thread| thread.join().expect("all is well"));
    let total: u64 = totals.sum();
    eprintln!("{total} faults in {:.0} s", started.elapsed().as_secs_f32());
    assert!(total >= faults, "{total}");
}
