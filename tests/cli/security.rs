//! SECURITY.md has the bounds of the code.

use std::fs;
use std::path::Path;

/// The least number of bounds, so that a changed table is not passed over.
const LEAST: usize = 20;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A number with a unit, in bytes, milliseconds or whatever is counted.
#[track_caller]
fn stated(value: &str) -> u64 {
    let (number, unit) = value.split_once(' ').expect("a number and a unit");
    let number: u64 = number.parse().expect("a number");
    number
        * match unit {
            "KiB" => 1024,
            "MiB" => 1024 * 1024,
            "s" => 1000,
            _ => 1,
        }
}

/// The value of a constant: a product or a shift of numbers, or a duration in milliseconds.
#[track_caller]
fn defined(name: &str, source: &str) -> u64 {
    let start = format!("const {name}: ");
    let at = source
        .find(&start)
        .unwrap_or_else(|| panic!("no constant {name}"));
    let definition = &source[at..];
    let definition = &definition[..definition.find(';').expect("it ends")];
    let (_, value) = definition.split_once(" = ").expect("it has a value");
    if let Some((_, seconds)) = value.split_once("from_secs(") {
        return number(seconds.trim_end_matches(')')) * 1000;
    }
    if let Some((base, shift)) = value.split_once(" << ") {
        return number(base) << number(shift);
    }
    value.split(" * ").map(number).product()
}

#[track_caller]
fn number(text: &str) -> u64 {
    let digits = text.trim().replace('_', "");
    digits
        .parse()
        .unwrap_or_else(|_| panic!("{text} is not a number"))
}

#[test]
fn each_bound_has_its_value_in_the_code() {
    let text = read("SECURITY.md");
    let mut bounds = 0;
    for line in text.lines().filter(|line| line.contains("` in `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, value, definition] = cells[..] else {
            panic!("expected three columns: {line}");
        };
        let (name, path) = definition
            .split_once("` in `")
            .expect("a constant in a file");
        let (name, path) = (name.trim_matches('`'), path.trim_matches('`'));
        assert_eq!(
            stated(value),
            defined(name, &read(path)),
            "{name} in {path}"
        );
        bounds += 1;
    }
    assert!(bounds >= LEAST, "{bounds} bounds");
}

#[test]
fn the_service_has_the_stated_privileges() {
    let text = read("SECURITY.md");
    let unit = read("cross/boxcam.service");
    for (stated, line) in [
        ("the user `boxcam`", "User=boxcam"),
        (
            "the groups `video` and `tty`",
            "SupplementaryGroups=video tty",
        ),
        (
            "`CAP_SYS_TTY_CONFIG`",
            "CapabilityBoundingSet=CAP_SYS_TTY_CONFIG",
        ),
        ("`/var/log/boxcam`", "LogsDirectory=boxcam"),
        ("`/var/lib/boxcam`", "StateDirectory=boxcam"),
        ("no home folders", "ProtectHome=yes"),
    ] {
        let has_line = unit.lines().any(|found| found == line);
        assert!(
            text.replace('\n', " ").contains(stated) && has_line,
            "{stated}: {line}"
        );
    }
}
