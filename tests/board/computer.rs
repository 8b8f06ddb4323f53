//! The emulated computers, each booted once for all tests, and the files of their scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use image::RgbImage;
use serde_json::Value;
use test_support::{skip, tool_is_missing};

use crate::common;
use crate::inputs::{self, Scene};

/// A computer that has run its scripts.
pub(crate) struct Board {
    out: PathBuf,
    log: String,
    /// The scene that its webcam played.
    pub(crate) scene: Scene,
}

impl Board {
    /// The PC, booted once for all tests, or `None` if something for it is missing.
    pub(crate) fn pc() -> Option<&'static Self> {
        static BOARD: OnceLock<Option<Board>> = OnceLock::new();
        BOARD.get_or_init(|| Self::boot_pc("pc")).as_ref()
    }

    /// The PC with a Debian system.
    pub(crate) fn debian() -> Option<&'static Self> {
        static BOARD: OnceLock<Option<Board>> = OnceLock::new();
        BOARD.get_or_init(|| Self::boot_pc("debian")).as_ref()
    }

    /// qemu's generic ARM board.
    pub(crate) fn virt() -> Option<&'static Self> {
        static BOARD: OnceLock<Option<Board>> = OnceLock::new();
        BOARD.get_or_init(|| Self::boot_arm("virt")).as_ref()
    }

    /// The Raspberry Pi.
    pub(crate) fn raspi3b() -> Option<&'static Self> {
        static BOARD: OnceLock<Option<Board>> = OnceLock::new();
        BOARD.get_or_init(|| Self::boot_arm("raspi3b")).as_ref()
    }

    fn boot_pc(target: &str) -> Option<Self> {
        let tools = ["qemu-system-x86_64", "v4l2-ctl"];
        let binary = ["--binary", env!("CARGO_BIN_EXE_boxcam")];
        Self::boot(target, &tools, &binary)
    }

    fn boot_arm(target: &str) -> Option<Self> {
        if !common::arm_build::is_built("aarch64-unknown-linux-gnu") {
            return None;
        }
        let tools = ["qemu-system-aarch64", "aarch64-linux-gnu-strip"];
        Self::boot(target, &tools, &[])
    }

    fn boot(target: &str, tools: &[&str], options: &[&str]) -> Option<Self> {
        let shared = ["apt-get", "dpkg", "flock", "readelf"];
        if tools
            .iter()
            .chain(&shared)
            .any(|tool| tool_is_missing(tool))
        {
            return None;
        }
        // One at a time: each uses all processors, and they share the input files.
        static FIRST: Mutex<Option<Scene>> = Mutex::new(None);
        let mut scene = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scene = scene.get_or_insert_with(|| inputs::write(&root.join("target/board/add")));
        let output = Command::new(root.join("cross/board.sh"))
            .arg(target)
            .args(options)
            .output()
            .expect("the script starts");
        let log = [output.stdout, output.stderr].concat();
        let log = String::from_utf8_lossy(&log).into_owned();
        println!("{target}:\n{log}");
        // Something is missing on this machine.
        if output.status.code() == Some(3) {
            skip!("{log}");
            return None;
        }
        Some(Self {
            out: root.join("target/board").join(target).join("out"),
            log,
            scene: scene.clone(),
        })
    }

    /// The files of a script, which must have completed.
    #[track_caller]
    pub(crate) fn results(&self, script: &str) -> Results {
        let ran = format!("{script}: ran in");
        assert!(self.log.contains(&ran), "{}", self.log);
        Results {
            folder: self.out.join(script),
        }
    }
}

/// The files of a script.
pub(crate) struct Results {
    folder: PathBuf,
}

impl Results {
    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> String {
        let path = self.folder.join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.join(name).is_file()
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

    /// The JSON objects of a log.
    #[track_caller]
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let log = self.text(&format!("{name}.log"));
        let parsed = |line| serde_json::from_str(line).expect("a JSON object a line");
        log.lines().map(parsed).collect()
    }

    /// The frames in a log.
    #[track_caller]
    pub(crate) fn frames(&self, name: &str) -> Vec<Value> {
        let mut lines = self.lines(name);
        lines.retain(|line| line.get("frame").is_some());
        lines
    }

    /// The events in a log.
    #[track_caller]
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let mut lines = self.lines(name);
        lines.retain(|line| line.get("event").is_some());
        lines
    }

    /// The capture states in a log, in order.
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

    /// boxcam captured and saved three frames of that size. Returns the last snapshot.
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
