//! Runs the trackers and the figures of other people, which are Python packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use boxcam::detect::Detection;
use boxcam::evaluate::TrackBox;
use boxcam::geometry::NormBox;
use boxcam::label::ClassId;
use serde_json::{Value, json};
use test_support::PythonPackages;

/// The detections of a film.
pub(crate) struct PeerFilm<'a> {
    /// Frames per second.
    pub(crate) rate: u32,
    pub(crate) frames: Vec<&'a [Detection]>,
}

/// Python with the packages of `tests/accuracy/tracking/requirements.txt` in a virtual environment, kept between runs; `None` if they
/// cannot be installed.
pub(crate) fn python() -> Option<&'static Path> {
    static PYTHON: LazyLock<Option<PathBuf>> = LazyLock::new(install);
    PYTHON.as_deref()
}

fn install() -> Option<PathBuf> {
    let requirements = script("requirements.txt");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tracking");
    PythonPackages::of_requirements(&requirements).installed(&home)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/accuracy/tracking")
        .join(name)
}

/// Runs a script with a file of input, and perhaps one of output. Returns what it prints.
pub(crate) fn run(python: &Path, name: &str, files: &[PathBuf]) -> Vec<u8> {
    let output = Command::new(python)
        .arg("-B")
        .arg(script(name))
        .args(files)
        .output();
    let output = output.expect("python starts");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    output.stdout
}

/// The tracks of other trackers, by name; `threshold` is the confidence from which they begin one.
pub(crate) fn peers(films: &[PeerFilm<'_>], threshold: f32, python: &Path, folder: &Path) -> Value {
    let row = |found: &Detection| {
        let [x_min, x_max, y_min, y_max] = found.bounding_box.corners();
        let class = found.class.index();
        json!([class, found.confidence, x_min, y_min, x_max, y_max])
    };
    let rows = |frame: &&[Detection]| frame.iter().map(row).collect::<Vec<_>>();
    let film = |film: &PeerFilm<'_>| {
        let frames: Vec<_> = film.frames.iter().map(rows).collect();
        json!({"rate": film.rate, "frames": frames})
    };
    let films: Vec<_> = films.iter().map(film).collect();
    let (input, output) = (folder.join("films.json"), folder.join("tracks.json"));
    let text = json!({"threshold": threshold, "films": films}).to_string();
    std::fs::write(&input, text).expect("written");
    run(python, "peers.py", &[input, output.clone()]);
    serde_json::from_slice(&std::fs::read(output).expect("written")).expect("JSON")
}

/// The boxes of each frame of each film, of one of [`peers`].
pub(crate) fn track_boxes(tracks: &Value) -> Vec<Vec<Vec<TrackBox>>> {
    let rows = |value: &Value| value.as_array().expect("a list").clone();
    let frame = |frame: &Value| rows(frame).iter().map(track_box).collect();
    let film = |film: &Value| rows(film).iter().map(frame).collect();
    rows(tracks).iter().map(film).collect()
}

fn track_box(row: &Value) -> TrackBox {
    let number = |index: usize| row[index].as_f64().expect("a number");
    let corners = [2, 4, 3, 5].map(|index| number(index) as f32);
    TrackBox {
        track: number(0) as u64,
        class: ClassId::new(number(1) as usize),
        bounding_box: NormBox::from_regression(corners).expect("finite"),
    }
}
