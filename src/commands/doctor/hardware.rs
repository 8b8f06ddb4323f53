//! Checks of the board, the cameras and the screens.

use std::fs::File;
use std::io::ErrorKind;
use std::time::Duration;

use boxcam::detect::tract;
use boxcam::heat::{HeatSensors, throttled_bits};
use boxcam::options::{DisplayChoice, RunOptions, SourceChoice};

use super::machine::{Machine, output_of};
use super::{Finding, Verdict};

/// Degrees Celsius at which a Raspberry Pi throttles; other boards are similar.
const HOT: f64 = 80.0;

/// Megabytes that boxcam needs.
const MEMORY_NEEDED: u64 = 100;

/// Time for rpicam's programs to list the cameras.
const RPICAM_TIMEOUT: Duration = Duration::from_secs(8);

/// The board: name, processor, memory, temperature, power.
pub(super) fn board(machine: &Machine) -> Vec<Finding> {
    let mut findings = vec![
        Finding::good("board", name(machine)),
        Finding::good("processor", processor()),
    ];
    findings.extend(memory(machine));
    findings.extend(temperature(machine));
    findings.extend(power(machine));
    findings
}

fn name(machine: &Machine) -> String {
    let board = machine.read("proc/device-tree/model");
    let board = board.or_else(|| machine.read("sys/class/dmi/id/product_name"));
    let system = machine.read("etc/os-release").and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches('"').to_owned())
    });
    let names = [board, system].into_iter().flatten();
    let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    match names.as_slice() {
        [] => "unknown".to_owned(),
        names => names.join(", "),
    }
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let features = tract::cpu_features();
    let features = if features.is_empty() {
        "no features that accelerate int8".to_owned()
    } else {
        format!("has {}", features.join(", "))
    };
    format!("{}, {cores} cores, {features}", std::env::consts::ARCH)
}

fn memory(machine: &Machine) -> Option<Finding> {
    let info = machine.read("proc/meminfo")?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let megabytes = kibibytes * 1024 / 1_000_000;
    let message = format!("{megabytes} MB free");
    Some(if megabytes < MEMORY_NEEDED {
        let fix = "end other programs; boxcam needs about 100 MB";
        Finding::note("memory", message, fix)
    } else {
        Finding::good("memory", message)
    })
}

/// The temperature of the hottest sensor.
fn temperature(machine: &Machine) -> Option<Finding> {
    let hottest = HeatSensors::at(machine.path("")).read().temperature?;
    let message = format!("{hottest:.0} degrees Celsius");
    Some(if hottest >= HOT {
        let fix = "add a heat sink or a fan, or shade it: a Raspberry Pi throttles at 80 degrees";
        Finding::note("temperature", message, fix)
    } else {
        Finding::good("temperature", message)
    })
}

/// Undervoltage and throttling of a Raspberry Pi, by the bits of its firmware's `get_throttled`: the lower half is the
/// present, the upper half the time since boot.
fn power(machine: &Machine) -> Option<Finding> {
    let path = "sys/devices/platform/soc/soc:firmware/get_throttled";
    let text = machine.read(path)?;
    let bits = throttled_bits(&text)?;
    let descriptions = [
        (0, "undervoltage now"),
        (1, "frequency capped now"),
        (2, "throttled now"),
        (3, "at the temperature limit now"),
        (16, "undervoltage since boot"),
        (17, "frequency capped since boot"),
        (18, "throttled since boot"),
        (19, "at the temperature limit since boot"),
    ];
    let is_set = |(bit, _): &&(u32, &'static str)| bits & (1 << bit) != 0;
    let problems: Vec<&str> = descriptions
        .iter()
        .filter(is_set)
        .map(|(_, text)| *text)
        .collect();
    Some(if problems.is_empty() {
        Finding::good("power", "stable since boot")
    } else {
        let fix = "use the power supply for this board and a short thick cable; cool the board";
        Finding::note("power", problems.join("; "), fix)
    })
}

/// USB and V4L2 cameras, and those on a Raspberry Pi's camera connector.
pub(super) fn cameras(options: &RunOptions, machine: &Machine) -> Vec<Finding> {
    let is_needed = matches!(options.source, SourceChoice::Camera(_));
    let mut findings = v4l2_cameras(is_needed);
    let is_rpicam_needed = matches!(options.source, SourceChoice::Rpicam(_));
    findings.extend(rpicam(machine, is_rpicam_needed));
    let is_any_usable = findings.iter().any(|found| found.verdict == Verdict::Good);
    if !is_any_usable && is_needed {
        let fix = "plug in a USB camera, or try boxcam without one: boxcam run --source demo";
        findings.push(Finding::failed("camera", "no usable camera", fix));
    }
    findings
}

#[cfg(all(feature = "camera", target_os = "linux"))]
fn v4l2_cameras(is_needed: bool) -> Vec<Finding> {
    let finding = |camera: &boxcam::source::camera::CameraInfo| {
        let name = camera.to_string();
        match &camera.fault {
            Some(fault) => Finding::missing(is_needed, "camera", name, fault.clone()),
            None => Finding::good("camera", format!("{name}: {}", capabilities(camera))),
        }
    };
    let cameras = boxcam::source::camera::list();
    cameras.iter().map(finding).collect()
}

/// Formats with their frame sizes, and the links to the device that do not change.
#[cfg(all(feature = "camera", target_os = "linux"))]
fn capabilities(camera: &boxcam::source::camera::CameraInfo) -> String {
    let format = |format: &boxcam::source::camera::FormatCapabilities| {
        let sizes: Vec<String> = format.sizes.iter().map(ToString::to_string).collect();
        let code = format.name();
        format!("{} {}", code, sizes.join(", "))
    };
    let formats: Vec<String> = camera.formats.iter().map(format).collect();
    let mut text = formats.join("; ");
    for link in &camera.links {
        text.push_str(&format!("; permanent name: camera:{link}"));
    }
    text
}

#[cfg(not(all(feature = "camera", target_os = "linux")))]
fn v4l2_cameras(is_needed: bool) -> Vec<Finding> {
    let message = "this boxcam was built without cameras";
    let fix = "build it on Linux with `--features camera`";
    vec![Finding::missing(is_needed, "camera", message, fix)]
}

/// The camera on a Raspberry Pi's camera connector.
fn rpicam(machine: &Machine, is_needed: bool) -> Option<Finding> {
    if !machine.is_raspberry_pi() && !is_needed {
        return None;
    }
    let programs = ["rpicam-hello", "libcamera-hello"];
    let Some(program) = programs.into_iter().find(|name| which::which(name).is_ok()) else {
        let message =
            "rpicam-vid is not installed, which is required for a camera on the camera connector";
        let fix = "sudo apt install rpicam-apps";
        return Some(Finding::missing(is_needed, "rpicam", message, fix));
    };
    let list = output_of(program, &["--list-cameras"], RPICAM_TIMEOUT).unwrap_or_default();
    Some(rpicam_list(program, &list, is_needed))
}

/// Parses the output of `rpicam-hello --list-cameras`.
fn rpicam_list(program: &str, list: &str, is_needed: bool) -> Finding {
    let is_camera = |line: &&str| {
        let number = line
            .trim_start()
            .split_once(" : ")
            .map(|(number, _)| number);
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let cameras: Vec<&str> = list.lines().filter(is_camera).map(str::trim).collect();
    if cameras.is_empty() {
        let message = format!("{program} finds no camera on the camera connector");
        let fix = "switch the board off and reseat the ribbon cable at both ends, contacts facing the contacts";
        return Finding::missing(is_needed, "rpicam", message, fix);
    }
    let message = format!("{}; use it with --source rpicam", cameras.join("; "));
    Finding::good("rpicam", message)
}

/// The desktop and the framebuffers.
pub(super) fn screens(display: &DisplayChoice, machine: &Machine) -> Vec<Finding> {
    if *display == DisplayChoice::None {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = desktop(display).into_iter().collect();
    let framebuffers: Vec<Finding> = machine
        .list("sys/class/graphics")
        .iter()
        .filter(|name| name.starts_with("fb") && name[2..].parse::<u32>().is_ok())
        .map(|name| framebuffer(machine, name, display))
        .collect();
    if framebuffers.is_empty() && matches!(display, DisplayChoice::Framebuffer(_)) {
        let fix = "connect the screen and restart the board; an SPI panel needs its overlay in config.txt";
        findings.push(Finding::failed("screen", "/dev/fb0 does not exist", fix));
    }
    findings.extend(framebuffers);
    if findings.is_empty() {
        let message = "no desktop and no framebuffer: boxcam runs headless";
        findings.push(Finding::good("screen", message));
    }
    findings
}

fn desktop(display: &DisplayChoice) -> Option<Finding> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let desktop = if is_set("WAYLAND_DISPLAY") {
        "a Wayland desktop"
    } else if is_set("DISPLAY") {
        "an X11 desktop"
    } else if *display == DisplayChoice::Window {
        let fix = "log in at the desktop and start boxcam there, or use `--display fb`";
        return Some(Finding::failed("screen", "no desktop is running", fix));
    } else {
        return None;
    };
    Some(match cfg!(feature = "window") {
        true => Finding::good("screen", desktop),
        false => {
            let message = format!("{desktop}, but this boxcam was built without windows");
            Finding::note("screen", message, "build it with `--features window`")
        }
    })
}

fn framebuffer(machine: &Machine, name: &str, display: &DisplayChoice) -> Finding {
    let attribute = |file: &str| {
        machine
            .read(&format!("sys/class/graphics/{name}/{file}"))
            .unwrap_or_else(|| "?".to_owned())
    };
    let message = format!(
        "/dev/{name} ({}): {} pixels of {} bits",
        attribute("name"),
        attribute("virtual_size").replace(',', " x "),
        attribute("bits_per_pixel"),
    );
    let opened = File::options()
        .read(true)
        .write(true)
        .open(machine.path(&format!("dev/{name}")));
    let Err(error) = opened else {
        return Finding::good("screen", message);
    };
    let fix = match error.kind() {
        ErrorKind::PermissionDenied => {
            "join the group that may draw on it (`sudo usermod -aG video $USER`) and log in again"
        }
        _ => "connect the screen and restart the board",
    };
    let is_needed = match display {
        DisplayChoice::Framebuffer(Some(path)) => path.ends_with(name),
        DisplayChoice::Framebuffer(None) => true,
        _ => false,
    };
    let message = format!("{message}; it can't be opened ({error})");
    Finding::missing(is_needed, "screen", message, fix)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        }
        let machine = Machine::at(root.path());
        (root, machine)
    }

    #[test]
    fn a_hot_board_with_undervoltage_is_noted() {
        let (_root, machine) = machine(&[
            ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            ("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian 12\"\n"),
            ("proc/meminfo", "MemTotal: 1 kB\nMemAvailable:   50000 kB\n"),
            ("sys/class/thermal/thermal_zone0/temp", "61000\n"),
            ("sys/class/thermal/thermal_zone1/temp", "83200\n"),
            (
                "sys/devices/platform/soc/soc:firmware/get_throttled",
                "50005\n",
            ),
        ]);
        let findings = board(&machine);
        let find = |about| {
            let found = findings.iter().find(|finding| finding.about == about);
            found.unwrap_or_else(|| panic!("no finding about {about}"))
        };
        assert_eq!(
            find("board").message,
            "Raspberry Pi 4 Model B Rev 1.4, Debian 12"
        );
        assert_eq!(find("temperature").message, "83 degrees Celsius");
        for about in ["memory", "temperature", "power"] {
            assert_eq!(find(about).verdict, Verdict::Note, "{about}");
        }
        let power = &find("power").message;
        for problem in ["undervoltage now", "throttled now", "since boot"] {
            assert!(power.contains(problem), "{power}");
        }
        assert!(machine.is_raspberry_pi());
    }

    #[test]
    fn unknown_values_of_a_board_are_left_out() {
        let (_root, machine) = machine(&[]);
        let about: Vec<&str> = board(&machine).iter().map(|f| f.about).collect();
        assert_eq!(about, ["board", "processor"]);
    }

    #[test]
    fn the_list_of_rpicam_is_parsed() {
        let list = "Available cameras\n-----------------\n0 : imx219 [3280x2464 10-bit RGGB] (/base/soc/i2c0mux)\n    \
                    Modes: 'SRGGB10_CSI2P' : 640x480 [206.65 fps - (1000, 752)/1280x960 crop]\n";
        let found = rpicam_list("rpicam-hello", list, true);
        assert_eq!(found.verdict, Verdict::Good);
        let message = &found.message;
        assert!(message.starts_with("0 : imx219 ["), "{message}");
        assert!(!message.contains("Modes"), "{message}");
        let none = rpicam_list("rpicam-hello", "No cameras available!\n", true);
        assert_eq!(none.verdict, Verdict::Failed);
        let not_needed = rpicam_list("rpicam-hello", "", false);
        assert_eq!(not_needed.verdict, Verdict::Note);
    }

    #[test]
    fn framebuffers_are_listed_with_their_size() {
        let (root, machine) = machine(&[
            ("sys/class/graphics/fb1/name", "st7789v\n"),
            ("sys/class/graphics/fb1/virtual_size", "240,240\n"),
            ("sys/class/graphics/fb1/bits_per_pixel", "16\n"),
        ]);
        let display = DisplayChoice::Framebuffer(None);
        let found = screens(&display, &machine).pop().expect("a finding");
        assert!(
            found
                .message
                .starts_with("/dev/fb1 (st7789v): 240 x 240 pixels of 16 bits"),
            "{}",
            found.message
        );
        assert_eq!(found.verdict, Verdict::Failed, "no device file");
        fs::create_dir_all(root.path().join("dev")).expect("created");
        fs::write(root.path().join("dev/fb1"), "").expect("written");
        let found = screens(&display, &machine).pop().expect("a finding");
        assert_eq!(found.verdict, Verdict::Good);
        let none = screens(&display, &Machine::at(&root.path().join("dev")));
        assert_eq!(none.last().expect("a finding").verdict, Verdict::Failed);
        assert!(screens(&DisplayChoice::None, &machine).is_empty());
    }
}
