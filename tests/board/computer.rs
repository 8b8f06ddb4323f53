//! The emulated computer, booted once for all tests, and the files that its scripts left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use image::RgbImage;
use serde_json::Value;

use crate::{additions, common};

/// What the computer left behind, or `None` where it can't be had here.
pub(crate) struct Board {
    out: PathBuf,
    talk: String,
    /// What the model that ships says of the scene that is played, as a line of `boxcam detect`.
    pub(crate) scene: Value,
}

impl Board {
    /// The computer, booted once for all tests.
    pub(crate) fn booted() -> Option<&'static Self> {
        static BOARD: OnceLock<Option<Board>> = OnceLock::new();
        BOARD.get_or_init(Self::boot).as_ref()
    }

    fn boot() -> Option<Self> {
        let tools = [
            "qemu-system-x86_64",
            "apt-get",
            "dpkg",
            "flock",
            "ldd",
            "v4l2-ctl",
        ];
        if tools.iter().any(|tool| common::lacking(tool)) {
            return None;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scene = additions::write(&root.join("target/board/add"));
        let said = Command::new(root.join("cross/board.sh"))
            .args(["pc", "--binary", env!("CARGO_BIN_EXE_boxcam")])
            .output()
            .expect("the script starts");
        let talk = [said.stdout, said.stderr].concat();
        let talk = String::from_utf8_lossy(&talk).into_owned();
        println!("{talk}");
        // What it can't get here, it says with this code.
        if said.status.code() == Some(3) {
            let strict = std::env::var_os("BOXCAM_REQUIRE_ALL").is_some();
            assert!(!strict, "{talk}");
            eprintln!("SKIPPED: {}", talk.trim());
            return None;
        }
        let out = root.join("target/board/pc/out");
        Some(Self { out, talk, scene })
    }

    /// The folder of a script that ran to its end.
    #[track_caller]
    pub(crate) fn results(&self, script: &str) -> Results {
        let ran = format!("{script}: ran in");
        assert!(self.talk.contains(&ran), "{}", self.talk);
        Results {
            folder: self.out.join(script),
        }
    }
}

/// What a script left behind.
pub(crate) struct Results {
    folder: PathBuf,
}

impl Results {
    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> String {
        let path = self.folder.join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[track_caller]
    pub(crate) fn code(&self, name: &str) -> i32 {
        let text = self.text(&format!("{name}.code"));
        text.trim().parse().expect("a number")
    }

    #[track_caller]
    pub(crate) fn picture(&self, name: &str) -> RgbImage {
        let path = self.folder.join(name);
        let picture = image::open(&path);
        let picture = picture.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        picture.into_rgb8()
    }

    /// The lines of a log, each a whole object.
    #[track_caller]
    fn lines(&self, name: &str) -> Vec<Value> {
        let log = self.text(&format!("{name}.log"));
        let parsed = |line| serde_json::from_str(line).expect("a JSON object a line");
        log.lines().map(parsed).collect()
    }

    /// The lines of a log that are about frames.
    #[track_caller]
    pub(crate) fn frames(&self, name: &str) -> Vec<Value> {
        let mut lines = self.lines(name);
        lines.retain(|line| line.get("frame").is_some());
        lines
    }

    /// The states that capture went through, from a log.
    #[track_caller]
    pub(crate) fn states(&self, name: &str) -> Vec<String> {
        let lines = self.lines(name);
        let states = lines.iter().filter_map(|line| line["state"].as_str());
        states.map(str::to_owned).collect()
    }

    /// The last snapshot in a folder.
    #[track_caller]
    pub(crate) fn last_snapshot(&self, name: &str) -> RgbImage {
        let saved = fs::read_dir(self.folder.join(name)).expect("a folder");
        let names = saved.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        let last = names.last().expect("snapshots were saved");
        self.picture(&format!("{name}/{last}"))
    }

    /// boxcam captured three frames of that size and saved them; the last of them.
    #[track_caller]
    pub(crate) fn captured(&self, name: &str, size: (u32, u32)) -> RgbImage {
        assert_eq!(self.code(name), 0, "{}", self.text(&format!("{name}.err")));
        let frames = self.frames(name);
        assert_eq!(frames.len(), 3, "{frames:?}");
        for frame in &frames {
            let (width, height) = (&frame["width"], &frame["height"]);
            assert_eq!((width, height), (&size.0.into(), &size.1.into()));
        }
        let picture = self.last_snapshot(name);
        assert_eq!(picture.dimensions(), size);
        picture
    }
}
