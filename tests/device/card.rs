//! `cross/flash.sh`, with files for cards and for what the kernel says of them, and with this machine's own disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::{ScriptOutput, run, script};
use test_support::{skip, tool_is_missing};

const MIB: usize = 1 << 20;

/// A machine with a card, `sdx`, that has one partition.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().expect("a folder"));
        machine.write("sys/class/block/sdx/removable", "1\n");
        machine.write("sys/class/block/sdx/ro", "0\n");
        machine.write("sys/class/block/sdx/dev", "8:16\n");
        machine.write("sys/class/block/sdx/size", format!("{}\n", 4 * MIB / 512));
        machine.write("sys/class/block/sdx/device/model", "Card Reader\n");
        machine.write("sys/class/block/sdx/sdx1/partition", "1\n");
        machine.write("sys/class/block/sdx/sdx1/dev", "8:17\n");
        machine.write("sys/class/block/sdx/sdx1/size", "2048\n");
        let part = machine.path("sys/class/block/sdx1");
        symlink("sdx/sdx1", part).expect("made");
        machine.write(
            "proc/self/mountinfo",
            "21 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n",
        );
        machine.write("proc/swaps", "Filename Type Size Used Priority\n");
        machine.write("dev/sdx", vec![7; 4 * MIB]);
        machine.write("dev/sdx1", vec![7; MIB]);
        let mut image: Vec<u8> = (0..3 * MIB).map(|place| (place / 511) as u8).collect();
        image[510..512].copy_from_slice(&[0x55, 0xAA]);
        machine.write("card.img", image);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn word(&self, name: &str) -> String {
        self.path(name).to_str().expect("plain").to_owned()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    /// Flashes the card, without being asked.
    fn flash(&self, device: &str, words: &[&str]) -> ScriptOutput {
        let (root, image, device) = (self.word(""), self.word("card.img"), self.word(device));
        let sure = ["--root", &root, &image, &device, "--yes-really", &device];
        script("flash.sh", &[&sure, words].concat())
    }

    #[track_caller]
    fn assert_refused(&self, why: &str) {
        self.flash("dev/sdx", &[]).expect(1, why);
        assert_eq!(
            fs::read(self.path("dev/sdx")).expect("there"),
            vec![7; 4 * MIB]
        );
    }
}

#[test]
fn a_card_is_written_and_nothing_beyond_the_image() {
    let machine = Machine::new();
    machine
        .flash("dev/sdx", &["--dry-run"])
        .expect(0, "would overwrite");
    assert_eq!(
        fs::read(machine.path("dev/sdx")).expect("there"),
        vec![7; 4 * MIB]
    );
    let output = machine
        .flash("dev/sdx", &[])
        .expect(0, "written and verified: 3145728 bytes");
    assert!(output.text.contains("Card Reader"), "{}", output.text);
    assert!(
        output.text.contains("sdx1, 1 MB, will be lost"),
        "{}",
        output.text
    );
    let card = fs::read(machine.path("dev/sdx")).expect("there");
    assert_eq!(
        card[..3 * MIB],
        fs::read(machine.path("card.img")).expect("there")
    );
    assert_eq!(card[3 * MIB..], vec![7; MIB]);
}

#[test]
fn what_is_no_card_is_refused() {
    let machine = Machine::new();
    machine.flash("dev/sdx1", &[]).expect(1, "is a partition");
    machine.write("sys/class/block/sdx/ro", "1\n");
    machine.assert_refused("write-protected");
    machine.write("sys/class/block/sdx/ro", "0\n");
    machine.write("sys/class/block/sdx/size", format!("{}\n", 2 * MIB / 512));
    machine.assert_refused("has 2097152 bytes, the image 3145728");
    machine.write("sys/class/block/sdx/size", "0\n");
    machine.assert_refused("there is no card");
    machine.write("sys/class/block/sdx/size", "8192\n");
    machine.write("sys/class/block/sdx/removable", "0\n");
    machine.assert_refused("is not removable");
    machine
        .flash("dev/sdx", &["--internal", "--dry-run"])
        .expect(0, "would");
}

#[test]
fn what_is_used_is_refused() {
    let machine = Machine::new();
    let root = "21 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n";
    for (line, where_it_is) in [
        (
            "36 21 8:17 / /media/card rw - vfat /dev/sdx1 rw\n",
            "/media/card",
        ),
        ("36 21 8:16 / / rw - ext4 /dev/root rw\n", "at /"),
        (
            "36 21 0:31 / /srv rw,noatime shared:1 - btrfs /dev/sdx1 rw\n",
            "/srv",
        ),
    ] {
        machine.write("proc/self/mountinfo", format!("{root}{line}"));
        machine.assert_refused(where_it_is);
    }
    machine.write("proc/self/mountinfo", root);
    machine.write("proc/swaps", "Filename Type\n/dev/sdx1 partition 1 0 -2\n");
    machine.assert_refused("swap");
    machine.write("proc/swaps", "Filename Type\n");
    machine.write("sys/class/block/sdx/sdx1/holders/dm-0", "");
    machine.assert_refused("is part of dm-0");
}

#[test]
fn nothing_is_written_unless_it_is_confirmed() {
    let machine = Machine::new();
    let (root, image, device) = (
        machine.word(""),
        machine.word("card.img"),
        machine.word("dev/sdx"),
    );
    let words = ["--root", &root, &image, &device];
    script("flash.sh", &words).expect(1, "cannot ask for confirmation");
    let wrong = [&words[..], &["--yes-really", "/dev/sdy"]].concat();
    script("flash.sh", &wrong).expect(2, "not");
    machine.write("card.img", vec![0; MIB]);
    machine.assert_refused("is not a card image");
    assert_eq!(
        fs::read(machine.path("dev/sdx")).expect("there"),
        vec![7; 4 * MIB]
    );
}

/// With the kernel's own words, and never without `--dry-run`.
#[test]
fn the_disk_of_this_machine_is_refused() {
    let machine = Machine::new();
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("there");
    let number = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let number = number
        .filter(|line| line[4] == "/")
        .map(|line| line[2])
        .next_back();
    let block = fs::canonicalize(format!("/sys/dev/block/{}", number.expect("a root")));
    let Ok(block) = block else {
        skip!("the root file system is on no disk");
        return;
    };
    let name = block.file_name().expect("has one").to_str().expect("plain");
    let device = format!("/dev/{name}");
    let image = machine.word("card.img");
    if PathBuf::from(&device).exists() {
        script("flash.sh", &["--dry-run", "--internal", &image, &device]).expect(1, "flash.sh: ");
    } else {
        skip!("{device} does not exist");
    }
}

/// A file as a disk of the kernel's, until the end of the test.
struct Loop(String);

impl Loop {
    fn new(file: &str) -> Option<Self> {
        let output = run(Command::new("losetup").args(["--find", "--show", file]));
        if output.code != Some(0) {
            skip!("no loop device can be set up: {}", output.text);
            return None;
        }
        Some(Self(output.text.trim().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run(Command::new("losetup").args(["--detach", &self.0]));
    }
}

#[test]
fn a_disk_of_the_kernel_is_written_and_refused_while_it_is_mounted() {
    let machine = Machine::new();
    let image = machine.word("card.img");
    if tool_is_missing("losetup") {
        return;
    }
    let Some(disk) = Loop::new(&machine.word("dev/sdx")) else {
        return;
    };
    let flash = |words: &[&str]| {
        let sure = [&image, &disk.0, "--yes-really", &disk.0];
        script("flash.sh", &[&sure, words].concat())
    };
    flash(&[]).expect(1, "is not removable");
    flash(&["--internal"]).expect(0, "written and verified: 3145728 bytes");
    let written = fs::read(&disk.0).expect("a disk");
    assert_eq!(written[..3 * MIB], fs::read(&image).expect("there"));
    assert_eq!(written[3 * MIB..], vec![7; MIB]);

    run(Command::new("mke2fs").args(["-q", "-F", &disk.0])).expect(0, "");
    let place = machine.word("mounted");
    fs::create_dir(&place).expect("made");
    let output = run(Command::new("mount").args([&disk.0, &place]));
    if output.code != Some(0) {
        skip!("no file system can be mounted: {}", output.text);
        return;
    }
    let refused = flash(&["--internal"]);
    run(Command::new("umount").arg(&place)).expect(0, "");
    refused.expect(1, &format!("is mounted at {place}"));
}
