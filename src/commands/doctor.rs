//! `boxcam doctor`: checks whether `boxcam run` will work with these options, and suggests fixes.
//!
//! The checks change nothing: no camera changes its mode, nothing is drawn on a screen, nothing is written, and nothing is
//! published to a broker.

#[cfg(feature = "mqtt")]
use std::fmt::Display;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
#[cfg(feature = "mqtt")]
use std::time::Duration;
use std::time::Instant;

use boxcam::address::{WebAddress, WebLogin};
use boxcam::detect::Detector;
use boxcam::golden;
use boxcam::label::Labels;
use boxcam::options::{DoctorOptions, LogChoice, RunOptions};
#[cfg(feature = "mqtt")]
use boxcam::sink::mqtt;
use serde::Serialize;

#[cfg(feature = "mqtt")]
use super::broker;
use super::{Completion, Failure, aliases, json, model, print, web_login};
use machine::Machine;

mod hardware;
mod machine;
mod source;

/// Time for each of resolving the broker's name, connecting to it, and its answer.
#[cfg(feature = "mqtt")]
const BROKER_TIMEOUT: Duration = Duration::from_secs(3);

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was checked, in one word.
    about: &'static str,
    verdict: Verdict,
    #[serde(rename = "says")]
    message: String,
    #[serde(rename = "mend", skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    /// Missing or not ideal, but boxcam runs without it.
    Note,
    /// The run will fail.
    #[serde(rename = "bad")]
    Failed,
}

/// The JSON output.
#[derive(Serialize)]
struct Diagnosis<'a> {
    version: &'static str,
    verdict: Verdict,
    findings: &'a [Finding],
}

impl Finding {
    fn good(about: &'static str, message: impl Into<String>) -> Self {
        Self {
            about,
            verdict: Verdict::Good,
            message: message.into(),
            fix: None,
        }
    }

    fn note(about: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Note,
            fix: Some(fix.into()),
            ..Self::good(about, message)
        }
    }

    fn failed(about: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Failed,
            ..Self::note(about, message, fix)
        }
    }

    /// Failed if the run needs it, else a note.
    fn missing(
        is_needed: bool,
        about: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        match is_needed {
            true => Self::failed(about, message, fix),
            false => Self::note(about, message, fix),
        }
    }
}

pub(super) fn doctor(options: &DoctorOptions) -> Result<Completion, Failure> {
    let findings = findings(&options.run, &Machine::this());
    print(&if options.json {
        json(&Diagnosis {
            version: env!("CARGO_PKG_VERSION"),
            verdict: worst(&findings),
            findings: &findings,
        })?
    } else {
        text(&findings)
    })?;
    let failed = findings.iter().filter(|f| f.verdict == Verdict::Failed);
    match failed.count() {
        0 => Ok(Completion::Complete),
        count => Err(Failure::ChecksFailed { count }),
    }
}

fn findings(options: &RunOptions, machine: &Machine) -> Vec<Finding> {
    let mut findings = hardware::board(machine);
    findings.extend(model_checks(options));
    findings.extend(hardware::cameras(options, machine));
    findings.extend(source::checks(options));
    findings.extend(hardware::screens(&options.display, machine));
    findings.extend(sink_checks(options));
    findings
}

fn worst(findings: &[Finding]) -> Verdict {
    let verdicts = findings.iter().map(|finding| finding.verdict);
    verdicts.max().unwrap_or(Verdict::Good)
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok    ",
            Verdict::Note => "-     ",
            Verdict::Failed => "FAILED",
        };
        let _ = writeln!(text, "{mark} {:11} {}", finding.about, finding.message);
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "{:18} > {fix}", "");
        }
    }
    text
}

/// Whether the model loads and has the classes of the options, and whether this machine computes its golden examples
/// correctly.
fn model_checks(options: &RunOptions) -> Vec<Finding> {
    let started = Instant::now();
    let mut detector = match model::load(options.model.choice.as_ref()) {
        Ok(detector) => detector,
        Err(failure) => {
            let fix = "give another file with `--model FILE`, or none for the built-in model";
            return vec![Finding::failed("model", failure.to_string(), fix)];
        }
    };
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let card = detector.card();
    let kernels = detector.kernels().unwrap_or("none, a float model");
    let message = format!(
        "{} ({}), {} classes, input {} x {}, threshold {}, loaded in {load_ms:.0} ms, int8 kernels: {kernels}",
        card.name,
        detector.model_hash(),
        card.labels.len(),
        card.input.width,
        card.input.height,
        options.model.threshold_or(card.threshold),
    );
    let mut findings = vec![Finding::good("model", message)];
    findings.extend(unknown_class(options, &card.labels));
    if let Err(failure) = model::check_regions(options.regions, card) {
        let fix = "give a model with object outputs with `--model FILE`, or leave out --regions";
        findings.push(Finding::failed("regions", failure.to_string(), fix));
    }
    findings.push(self_test(&mut detector));
    findings
}

/// Aliases that can't be used, or a class of the filter, to hide, of a zone or of a line that the model does not have.
fn unknown_class(options: &RunOptions, labels: &Labels) -> Option<Finding> {
    let aliases = match aliases::load(options.filter.aliases.as_ref(), labels) {
        Ok(aliases) => aliases,
        Err(error) => {
            let fix = "correct the file, or give another with `--aliases`";
            return Some(Finding::failed("aliases", error.to_string(), fix));
        }
    };
    let filter = options.filter.filter();
    let filter = filter.without_aliases(labels, &aliases).check(labels);
    let hidden = options.filter.hidden_classes(labels, &aliases);
    let zones = options.zones.map().map(|zones| {
        let zones = zones.without_aliases(labels, &aliases);
        zones.check_classes(labels)
    });
    let message = match (filter, hidden, zones) {
        (Err(error), _, _) => format!("--classes: {error}"),
        (_, Err(error), _) => format!("--hide-classes: {error}"),
        (_, _, Ok(Err(error))) => error.to_string(),
        (_, _, Err(error)) => error.to_string(),
        (Ok(()), Ok(_), Ok(Ok(()))) => return None,
    };
    let fix = "correct the name, or give a model that has the class with `--model FILE`";
    Some(Finding::failed("classes", message, fix))
}

fn self_test(detector: &mut dyn Detector) -> Finding {
    match golden::check(detector) {
        Ok(agreement) if agreement.examples == 0 => Finding::note(
            "self-test",
            "the model has no golden examples, so its results on this machine can't be verified",
            "add golden examples: boxcam-train model card FILE --golden --output FILE",
        ),
        Ok(agreement) => {
            let (count, difference) = (agreement.examples, agreement.difference);
            let message =
                format!("passed {count} golden examples (max difference {difference:.4})");
            Finding::good("self-test", message)
        }
        Err(error) => Finding::failed(
            "self-test",
            error.to_string(),
            "copy the model file again; if that does not help, report the board and its system",
        ),
    }
}

/// Whether the log, the snapshots, the clips, the collected pictures, the broker and the web page can be used.
fn sink_checks(options: &RunOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let LogChoice::File(path) = &options.log {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let max_size = options.log_size.as_u64() * (u64::from(options.log_keep) + 1);
        findings.push(storage("log", folder, max_size));
    }
    let (snapshots, clips) = (options.snapshots.as_ref(), &options.clips);
    let collect = &options.collect;
    let folders = [
        ("snapshots", snapshots, options.snapshots_size),
        ("clips", clips.folder.as_ref(), clips.size),
        ("collect", collect.folder.as_ref(), collect.size),
    ];
    for (about, folder, max_size) in folders {
        let Some(folder) = folder else {
            continue;
        };
        let existing = folder.ancestors().find(|folder| folder.is_dir());
        let existing = existing.unwrap_or(Path::new("."));
        findings.push(storage(about, existing, max_size.as_u64()));
    }
    findings.extend(event_program(options));
    findings.extend(broker_login(options));
    findings.extend(options.web.as_ref().map(web_page));
    findings.extend(web_access(options));
    findings
}

/// Whether a folder can be written to and has `max_size` bytes free.
fn storage(about: &'static str, folder: &Path, max_size: u64) -> Finding {
    let path = folder.display();
    if let Err(error) = check_writable(folder) {
        return Finding::failed(
            about,
            format!("{path} can't be written to ({error})"),
            format!("create it and give it to the user that runs boxcam: sudo chown $USER {path}"),
        );
    }
    let megabytes = |bytes: u64| bytes / 1_000_000;
    match free_bytes(folder) {
        Some(free) if free < max_size => Finding::note(
            about,
            format!(
                "{path} has {} MB free, boxcam may use up to {} MB",
                megabytes(free),
                megabytes(max_size)
            ),
            "free some space, or set a smaller size",
        ),
        Some(free) => Finding::good(about, format!("{path}, {} MB free", megabytes(free))),
        None => Finding::good(about, format!("{path} can be written to")),
    }
}

#[cfg(target_os = "linux")]
fn check_writable(folder: &Path) -> std::io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(not(target_os = "linux"))]
fn check_writable(folder: &Path) -> std::io::Result<()> {
    match std::fs::metadata(folder)?.permissions().readonly() {
        true => Err(ErrorKind::PermissionDenied.into()),
        false => Ok(()),
    }
}

/// Bytes that this user may still write; `None` if the system does not report it.
#[cfg(target_os = "linux")]
fn free_bytes(folder: &Path) -> Option<u64> {
    let file_system = rustix::fs::statvfs(folder).ok()?;
    Some(file_system.f_bavail * file_system.f_frsize)
}

#[cfg(not(target_os = "linux"))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Whether the program that is run at events is there.
#[cfg(target_os = "linux")]
fn event_program(options: &RunOptions) -> Option<Finding> {
    use boxcam::sink::on_event::EventProgram;
    let command = options.on_event.command.as_ref()?;
    Some(match EventProgram::find(command) {
        Ok(program) => Finding::good("on-event", format!("runs {}", program.path().display())),
        Err(error) => {
            let fix = "install the program, or leave out --on-event";
            Finding::failed("on-event", error.to_string(), fix)
        }
    })
}

#[cfg(not(target_os = "linux"))]
fn event_program(options: &RunOptions) -> Option<Finding> {
    options.on_event.command.as_ref()?;
    let fix = "leave out --on-event";
    Some(Finding::failed("on-event", "it needs Linux", fix))
}

/// Whether the broker accepts the login of a run with these options.
#[cfg(feature = "mqtt")]
fn broker_login(options: &RunOptions) -> Option<Finding> {
    let name = super::run::camera_name(options);
    let (broker, tls) = match (broker::address(options), broker::tls(options)) {
        (Ok(address), Ok(tls)) => (address?, tls),
        (Err(error), _) => return Some(unusable_broker(&error)),
        (_, Err(error)) => return Some(unusable_broker(&error)),
    };
    let broker = &broker;
    Some(
        match mqtt::check_login(broker, tls.as_ref(), &name, BROKER_TIMEOUT) {
            Ok(()) => Finding::good("broker", format!("{broker} accepts the login")),
            Err(error) => {
                let message = format!("{broker} {error}");
                // A run continues without the broker and connects later, if it can.
                Finding::missing(!error.may_pass(), "broker", message, error.fix(broker))
            }
        },
    )
}

#[cfg(feature = "mqtt")]
fn unusable_broker(error: &impl Display) -> Finding {
    let fix = "correct the options and variables that give the login";
    Finding::failed("broker", error.to_string(), fix)
}

#[cfg(not(feature = "mqtt"))]
fn broker_login(options: &RunOptions) -> Option<Finding> {
    options.mqtt.as_ref()?;
    let message = "this boxcam was built without MQTT";
    let fix = "build it with `--features mqtt`, or leave `--mqtt` out";
    Some(Finding::failed("broker", message, fix))
}

fn web_page(address: &WebAddress) -> Finding {
    let address = address.0;
    match TcpListener::bind(address) {
        Ok(_) => Finding::good("web page", format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::note(
            "web page",
            format!("{address} is in use, perhaps by a running boxcam"),
            "if not, choose another port with `--web`",
        ),
        Err(error) => Finding::failed(
            "web page",
            format!("{address} can't be served ({error})"),
            "choose an address of this machine and a port above 1023",
        ),
    }
}

/// Who may see the web page.
fn web_access(options: &RunOptions) -> Option<Finding> {
    let about = "web login";
    let address = options.web?.0;
    let login = match web_login::of(options) {
        Ok(login) => login?,
        Err(error) => {
            let fix = "write a password into a file: install -m 600 /dev/stdin FILE, and give --web-password-file FILE; or give \
                       --web-open";
            return Some(Finding::failed(about, error.to_string(), fix));
        }
    };
    Some(match (login, &options.web_password_file) {
        (WebLogin::Password(_), Some(file)) if web_login::is_readable_by_all(file) => {
            Finding::note(
                about,
                format!(
                    "every user of this machine can read the password in {}",
                    file.display()
                ),
                format!(
                    "chmod 640 {}, and give it to the group that runs boxcam",
                    file.display()
                ),
            )
        }
        (WebLogin::Password(_), _) => Finding::good(about, "a password is asked for"),
        (WebLogin::Open, _) if options.web_open => Finding::note(
            about,
            format!("everybody who reaches {address} can watch, without a password"),
            "give --web-password-file FILE in place of --web-open",
        ),
        (WebLogin::Open, _) => {
            Finding::good(about, "served to this machine only, without a password")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_listed_with_their_fixes() {
        let findings = [
            Finding::good("model", "fine"),
            Finding::note("temperature", "warm", "add a fan"),
            Finding::failed("camera", "none", "plug one in"),
        ];
        let expected = "ok     model       fine\n\
                        -      temperature warm\n                   > add a fan\n\
                        FAILED camera      none\n                   > plug one in\n";
        assert_eq!(text(&findings), expected);
        assert_eq!(worst(&findings), Verdict::Failed);
        assert_eq!(worst(&findings[..2]), Verdict::Note);
        assert_eq!(worst(&[]), Verdict::Good);
    }

    #[test]
    fn storage_is_checked_for_access_and_space() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(storage("log", folder.path(), 1).verdict, Verdict::Good);
        assert_eq!(
            storage("log", &folder.path().join("none"), 1).verdict,
            Verdict::Failed
        );
        if cfg!(target_os = "linux") {
            assert_eq!(
                storage("log", folder.path(), u64::MAX).verdict,
                Verdict::Note
            );
        }
    }

    #[test]
    fn ports_are_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        assert_eq!(web_page(&WebAddress(address)).verdict, Verdict::Note);
        let any_free_port = WebAddress(([127, 0, 0, 1], 0).into());
        assert_eq!(web_page(&any_free_port).verdict, Verdict::Good);
        let other_machine = WebAddress(([192, 0, 2, 1], 80).into());
        assert_eq!(web_page(&other_machine).verdict, Verdict::Failed);
    }
}
