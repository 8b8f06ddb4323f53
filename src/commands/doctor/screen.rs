//! Screens: a desktop, or a framebuffer.

use std::fs::File;
use std::io::ErrorKind;

use boxcam::options::DisplayChoice;

use super::Finding;
use super::machine::Machine;

pub(super) fn findings(wanted: &DisplayChoice, machine: &Machine) -> Vec<Finding> {
    if *wanted == DisplayChoice::None {
        return Vec::new();
    }
    let mut findings = desktop(wanted);
    let buffers: Vec<Finding> = machine
        .list("sys/class/graphics")
        .iter()
        .filter(|name| name.starts_with("fb") && name[2..].parse::<u32>().is_ok())
        .map(|name| framebuffer(machine, name, wanted))
        .collect();
    if buffers.is_empty() && matches!(wanted, DisplayChoice::Framebuffer(_)) {
        let mend = "connect the screen and switch the board on again; a panel on SPI needs its overlay in \
                    config.txt";
        findings.push(Finding::bad("screen", "there is no /dev/fb0", mend));
    }
    findings.extend(buffers);
    if findings.is_empty() {
        let says = "neither a desktop nor a framebuffer is here: boxcam runs headless";
        findings.push(Finding::good("screen", says));
    }
    findings
}

fn desktop(wanted: &DisplayChoice) -> Vec<Finding> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let says = if is_set("WAYLAND_DISPLAY") {
        "a Wayland desktop"
    } else if is_set("DISPLAY") {
        "an X11 desktop"
    } else if *wanted == DisplayChoice::Window {
        let mend = "log in at the desktop and start boxcam there, or use `--display fb`";
        return vec![Finding::bad("screen", "there is no desktop here", mend)];
    } else {
        return Vec::new();
    };
    match cfg!(feature = "window") {
        true => vec![Finding::good("screen", says)],
        false => {
            let says = format!("{says}, but this boxcam was built without windows");
            let mend = "build it with `--features window`";
            vec![Finding::note("screen", says, mend)]
        }
    }
}

fn framebuffer(machine: &Machine, name: &str, wanted: &DisplayChoice) -> Finding {
    let about = |file: &str| {
        machine
            .read(&format!("sys/class/graphics/{name}/{file}"))
            .unwrap_or_else(|| "?".to_owned())
    };
    let says = format!(
        "/dev/{name} ({}): {} pixels, {} bits each",
        about("name"),
        about("virtual_size").replace(',', " x "),
        about("bits_per_pixel"),
    );
    let opened = File::options()
        .read(true)
        .write(true)
        .open(machine.path(&format!("dev/{name}")));
    let Err(error) = opened else {
        return Finding::good("screen", says);
    };
    let mend = match error.kind() {
        ErrorKind::PermissionDenied => {
            "join the group that may draw on it (`sudo usermod -aG video $USER`) and log in again"
        }
        _ => "connect the screen and switch the board on again",
    };
    let says = format!("{says}; it can't be opened ({error})");
    let is_wanted = match wanted {
        DisplayChoice::Framebuffer(Some(path)) => path.ends_with(name),
        DisplayChoice::Framebuffer(None) => true,
        _ => false,
    };
    match is_wanted {
        true => Finding::bad("screen", says, mend),
        false => Finding::note("screen", says, mend),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn framebuffers_are_told_with_their_size() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("sys/class/graphics/fb1");
        fs::create_dir_all(&folder).expect("made");
        for (file, text) in [
            ("name", "st7789v\n"),
            ("virtual_size", "240,240\n"),
            ("bits_per_pixel", "16\n"),
        ] {
            fs::write(folder.join(file), text).expect("written");
        }
        let machine = Machine::at(root.path());
        let wanted = DisplayChoice::Framebuffer(None);
        let found = findings(&wanted, &machine).pop().expect("one");
        assert!(
            found
                .says
                .starts_with("/dev/fb1 (st7789v): 240 x 240 pixels, 16 bits each"),
            "{}",
            found.says
        );
        assert_eq!(found.verdict, Verdict::Bad, "there is no device file");
        fs::create_dir_all(root.path().join("dev")).expect("made");
        fs::write(root.path().join("dev/fb1"), "").expect("written");
        let found = findings(&wanted, &machine).pop().expect("one");
        assert_eq!(found.verdict, Verdict::Good);
        let none = findings(&wanted, &Machine::at(&root.path().join("dev")));
        assert_eq!(none.last().expect("one").verdict, Verdict::Bad);
        assert!(findings(&DisplayChoice::None, &machine).is_empty());
    }
}
