//! Cameras: those that Linux offers, and those of a Raspberry Pi's own connector, which it doesn't.

use std::time::Duration;

use boxcam::config::{RunConfig, SourceChoice};

use super::machine::{Machine, has_program, output_of};
use super::{Finding, Verdict};

/// How long rpicam's programs may take to look for cameras.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) fn findings(config: &RunConfig, machine: &Machine) -> Vec<Finding> {
    let is_wanted = matches!(config.source, SourceChoice::Camera(_));
    let mut findings = v4l2(is_wanted);
    let is_rpicam_wanted = matches!(config.source, SourceChoice::Rpicam(_));
    findings.extend(connector(machine, is_rpicam_wanted));
    let has_one = findings.iter().any(|found| found.verdict == Verdict::Good);
    if !has_one && is_wanted {
        let mend =
            "plug a USB camera in; without one, see boxcam at work: boxcam run --source demo";
        findings.push(Finding::bad(
            "camera",
            "there is none that can be used",
            mend,
        ));
    }
    findings
}

#[cfg(all(feature = "camera", target_os = "linux"))]
fn v4l2(is_wanted: bool) -> Vec<Finding> {
    let cameras = boxcam::source::camera::list();
    let finding = |camera: &boxcam::source::camera::CameraInfo| {
        let name = camera.to_string();
        match &camera.fault {
            Some(fault) if is_wanted => Finding::bad("camera", name, fault.clone()),
            Some(fault) => Finding::note("camera", name, fault.clone()),
            None => Finding::good("camera", format!("{name}: {}", offer(camera))),
        }
    };
    cameras.iter().map(finding).collect()
}

/// Formats with their sizes, and the names that stay.
#[cfg(all(feature = "camera", target_os = "linux"))]
fn offer(camera: &boxcam::source::camera::CameraInfo) -> String {
    let format = |format: &boxcam::source::camera::FormatCapabilities| {
        let sizes: Vec<String> = format.sizes.iter().map(ToString::to_string).collect();
        let code = format.name();
        format!("{code} {}", sizes.join(", "))
    };
    let formats: Vec<String> = camera.formats.iter().map(format).collect();
    let mut text = formats.join("; ");
    for link in &camera.links {
        text.push_str(&format!("; always found as camera:{link}"));
    }
    text
}

#[cfg(not(all(feature = "camera", target_os = "linux")))]
fn v4l2(is_wanted: bool) -> Vec<Finding> {
    let says = "this boxcam was built without cameras";
    let mend = "build it on Linux with `--features camera`";
    match is_wanted {
        true => vec![Finding::bad("camera", says, mend)],
        false => vec![Finding::note("camera", says, mend)],
    }
}

/// The camera of a Raspberry Pi's own connector.
fn connector(machine: &Machine, is_wanted: bool) -> Option<Finding> {
    if !machine.is_raspberry_pi() && !is_wanted {
        return None;
    }
    let Some(program) = ["rpicam-hello", "libcamera-hello"]
        .into_iter()
        .find(|program| has_program(program))
    else {
        let says =
            "rpicam-vid is not installed, so a camera of the board's own connector can't be used";
        let mend = "sudo apt install rpicam-apps";
        return Some(match is_wanted {
            true => Finding::bad("rpicam", says, mend),
            false => Finding::note("rpicam", says, mend),
        });
    };
    let said = output_of(program, &["--list-cameras"], PATIENCE).unwrap_or_default();
    Some(judge(program, &said, is_wanted))
}

/// What the list of rpicam's cameras says.
fn judge(program: &str, said: &str, is_wanted: bool) -> Finding {
    let is_camera = |line: &&str| {
        let number = line
            .trim_start()
            .split_once(" : ")
            .map(|(number, _)| number);
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let cameras: Vec<&str> = said.lines().filter(is_camera).map(str::trim).collect();
    if cameras.is_empty() {
        let says = format!("{program} finds no camera on the board's own connector");
        let mend = "switch the board off, seat the ribbon cable firmly at both ends, contacts to the contacts";
        return match is_wanted {
            true => Finding::bad("rpicam", says, mend),
            false => Finding::note("rpicam", says, mend),
        };
    }
    let says = format!("{}; use it with --source rpicam", cameras.join("; "));
    Finding::good("rpicam", says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_cameras_is_understood() {
        let said = "Available cameras\n-----------------\n0 : imx219 [3280x2464 10-bit RGGB] (/base/soc/i2c0mux)\n    \
                    Modes: 'SRGGB10_CSI2P' : 640x480 [206.65 fps - (1000, 752)/1280x960 crop]\n";
        let found = judge("rpicam-hello", said, true);
        assert_eq!(found.verdict, Verdict::Good);
        assert!(found.says.starts_with("0 : imx219 ["), "{}", found.says);
        assert!(!found.says.contains("Modes"), "{}", found.says);
        let none = judge("rpicam-hello", "No cameras available!\n", true);
        assert_eq!(none.verdict, Verdict::Bad);
        assert_eq!(judge("rpicam-hello", "", false).verdict, Verdict::Note);
    }
}
