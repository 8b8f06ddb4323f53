//! The board itself: what it is, its heat and its power.

use boxcam::detect::tract;

use super::Finding;
use super::machine::Machine;

/// Degrees Celsius from which a Raspberry Pi slows itself down; others are not far from it.
const HOT: f64 = 80.0;

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    let mut findings = vec![Finding::good("board", name(machine))];
    findings.push(Finding::good("processor", processor()));
    findings.extend(memory(machine));
    findings.extend(heat(machine));
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
    let known = [board, system].into_iter().flatten();
    let known: Vec<String> = known.filter(|name| !name.is_empty()).collect();
    match known.as_slice() {
        [] => "unknown".to_owned(),
        known => known.join(", "),
    }
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let features = tract::cpu_features();
    let features = if features.is_empty() {
        "none that speed up a network".to_owned()
    } else {
        features.join(", ")
    };
    format!("{}, {cores} cores, has {features}", std::env::consts::ARCH)
}

fn memory(machine: &Machine) -> Option<Finding> {
    let info = machine.read("proc/meminfo")?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let megabytes = kibibytes * 1024 / 1_000_000;
    let says = format!("{megabytes} MB free");
    Some(if megabytes < 100 {
        Finding::note(
            "memory",
            says,
            "end other programs; boxcam wants about 100 MB",
        )
    } else {
        Finding::good("memory", says)
    })
}

/// The hottest sensor.
fn heat(machine: &Machine) -> Option<Finding> {
    let zones = machine.list("sys/class/thermal");
    let degrees = |zone: &String| {
        let text = machine.read(&format!("sys/class/thermal/{zone}/temp"))?;
        Some(text.parse::<f64>().ok()? / 1000.0)
    };
    let hottest = zones.iter().filter_map(degrees).max_by(f64::total_cmp)?;
    let says = format!("{hottest:.0} degrees");
    Some(if hottest >= HOT {
        let mend = "give it a heat sink, a fan or shade: from 80 degrees on a Raspberry Pi slows itself down";
        Finding::note("heat", says, mend)
    } else {
        Finding::good("heat", says)
    })
}

/// What a Raspberry Pi's firmware says of its supply: bits of the present in the lower half, of all the time
/// since it was switched on in the upper half, as in the firmware's `get_throttled`.
fn power(machine: &Machine) -> Option<Finding> {
    let path = "sys/devices/platform/soc/soc:firmware/get_throttled";
    let text = machine.read(path)?;
    let bits = u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()?;
    let said = [
        (0, "too little voltage now"),
        (1, "slowed down for its voltage now"),
        (2, "slowed down now"),
        (3, "near its limit of heat now"),
        (16, "too little voltage since it was switched on"),
        (18, "slowed down since it was switched on"),
        (19, "was at its limit of heat since it was switched on"),
    ];
    let faults: Vec<&str> = said
        .iter()
        .filter(|(bit, _)| bits & (1 << bit) != 0)
        .map(|(_, words)| *words)
        .collect();
    Some(if faults.is_empty() {
        Finding::good("power", "steady since it was switched on")
    } else {
        let mend = "use the supply that is made for this board and a short thick cable; cool it";
        Finding::note("power", faults.join("; "), mend)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Verdict;
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("made");
            fs::write(path, text).expect("written");
        }
        let machine = Machine::at(root.path());
        (root, machine)
    }

    #[test]
    fn a_hot_and_starved_board_is_told_so() {
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
        let findings = findings(&machine);
        let about = |name| {
            let found = findings.iter().find(|finding| finding.about == name);
            found.unwrap_or_else(|| panic!("nothing on {name}"))
        };
        assert_eq!(
            about("board").says,
            "Raspberry Pi 4 Model B Rev 1.4, Debian 12"
        );
        assert_eq!(about("heat").says, "83 degrees");
        for name in ["memory", "heat", "power"] {
            assert_eq!(about(name).verdict, Verdict::Note, "{name}");
        }
        let power = &about("power").says;
        for words in [
            "too little voltage now",
            "slowed down now",
            "since it was switched on",
        ] {
            assert!(power.contains(words), "{power}");
        }
        assert!(machine.is_raspberry_pi());
    }

    #[test]
    fn what_a_machine_does_not_tell_is_left_out() {
        let (_root, machine) = machine(&[]);
        let about: Vec<&str> = findings(&machine).iter().map(|f| f.about).collect();
        assert_eq!(about, ["board", "processor"]);
    }
}
