//! Which version a card starts, by the script that decides it there, with the power cut at every moment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::{ScriptOutput, repository, run};

/// More moments than there are in taking an update in.
const MOMENTS: usize = 20;

/// A card: its data and boot partitions as folders, and a `sync` after which the power may go.
struct Card(tempfile::TempDir);

impl Card {
    fn new() -> Self {
        let card = Self(tempfile::tempdir().expect("a folder"));
        for folder in ["data/state", "data/a", "data/b", "boot/update", "bin"] {
            fs::create_dir_all(card.0.path().join(folder)).expect("made");
        }
        // What is asked to be on the disk is there; before that, or after it, the power goes.
        let sync = "#!/bin/sh\nleft=$(cat \"$CUT\" 2>/dev/null) || exit 0\n\
                    [ \"$left\" -gt 1 ] || kill -9 \"$PPID\"\necho $((left - 1)) >\"$CUT\"\n";
        card.write("bin/sync", sync);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(card.0.path().join("bin/sync"), mode).expect("set");
        card
    }

    fn write(&self, name: &str, words: &str) {
        fs::write(self.0.path().join(name), words).expect("written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }

    /// Runs words of that script, up to a moment at which the power goes.
    fn shell(&self, words: &str, cut: Option<usize>) -> ScriptOutput {
        let (path, place) = (std::env::var("PATH").unwrap_or_default(), self.0.path());
        let moment = place.join("cut");
        match cut {
            Some(moment) => self.write("cut", &moment.to_string()),
            None => drop(fs::remove_file(&moment)),
        }
        let slots = repository("cross/image/root/usr/lib/boxcam/slots");
        let script = format!("say() {{ echo \"$*\"; }}; . {}; {words}", slots.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command.env("PATH", format!("{}:{path}", place.join("bin").display()));
        command.env("DATA", place.join("data"));
        command.env("BOOT", place.join("boot"));
        command.env("CUT", moment);
        run(&mut command)
    }

    fn start(&self) -> String {
        self.shell("install_update; next_slot", None)
            .text
            .trim()
            .to_owned()
    }

    /// A person puts a version onto the card.
    fn offer(&self, version: &str) {
        self.write("boot/update/boxcam", version);
        let mut command = Command::new("sha256sum");
        let sum = run(command.arg(self.0.path().join("boot/update/boxcam"))).expect(0, "");
        self.write("boot/update/boxcam.sha256", &sum.text);
    }
}

#[test]
fn a_new_version_is_tried_twice_and_stays_once_it_was_accepted() {
    let card = Card::new();
    assert_eq!(card.start(), "factory");
    card.offer("one");
    assert_eq!(card.start(), "installed the update in slot a\na");
    assert_eq!(card.start(), "a", "the power was cut while it was tried");
    assert_eq!(card.start(), "factory", "it brings the board down");
    assert_eq!(card.start(), "factory", "it is not taken again");

    card.offer("two");
    assert_eq!(card.start(), "installed the update in slot a\na");
    card.shell("accept a", None).expect(0, "");
    for _ in 0..3 {
        assert_eq!(card.start(), "a");
    }
    card.offer("three");
    assert_eq!(card.start(), "installed the update in slot b\nb");
    assert_eq!(
        (card.read("data/a/boxcam"), card.read("data/b/boxcam")),
        ("two".into(), "three".into())
    );
    card.shell("clear_state trial", None).expect(0, "");
    assert_eq!(card.start(), "a");

    fs::remove_file(card.0.path().join("data/a/boxcam")).expect("it was there");
    assert_eq!(card.start(), "factory", "the data partition was made anew");
}

#[test]
fn a_damaged_update_is_told_of_once_and_never_started() {
    let card = Card::new();
    card.offer("one");
    card.write("boot/update/boxcam", "o");
    assert_eq!(
        card.start(),
        "the update is damaged and was not installed\nfactory"
    );
    assert_eq!(card.start(), "factory");
}

#[test]
fn a_power_cut_at_any_moment_leaves_a_version_that_is_whole() {
    let mut cuts = 0;
    for moment in 1..=MOMENTS {
        let card = Card::new();
        card.offer("old");
        card.start();
        card.shell("accept a", None).expect(0, "");
        card.offer("new");
        let output = card.shell(
            "install_update; next_slot >/dev/null; accept b",
            Some(moment),
        );
        cuts += usize::from(output.code.is_none());
        let slot = card.shell("next_slot", None).text.trim().to_owned();
        let version = card.read(&format!("data/{slot}/boxcam"));
        let whole = [("a", "old"), ("b", "new")];
        assert!(
            whole.contains(&(&slot, &version)),
            "moment {moment}: {slot} has {version:?}"
        );
        // The next start brings it to its end.
        card.start();
        card.shell("accept b", None).expect(0, "");
        assert_eq!(card.start(), "b", "moment {moment}");
        assert_eq!(card.read("data/b/boxcam"), "new", "moment {moment}");
    }
    assert!((5..MOMENTS).contains(&cuts), "{cuts} cuts");
}
