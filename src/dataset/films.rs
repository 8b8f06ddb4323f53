//! Films whose objects have true tracks, in the format of MOTChallenge (Dendorfer et al., "MOTChallenge: A Benchmark for
//! Single-Camera Multiple Target Tracking", 2020).
//!
//! A film is a folder with the frames `img1/000001.jpg`, ..., their rate and size in `seqinfo.ini` and the true boxes in
//! `gt/gt.txt`. Its class number N is named by line N of `labels.txt`, beside the folders of the films.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::geometry::NormBox;
use crate::text::{self, TextError};

/// A film and its ground truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    pub folder: PathBuf,
    /// From one frame to the next.
    pub frame_time: Duration,
    /// In their order.
    pub frames: Vec<FilmFrame>,
}

/// A frame of a film.
#[derive(Debug, Clone, PartialEq)]
pub struct FilmFrame {
    pub picture: PathBuf,
    pub objects: Vec<FilmObject>,
}

/// An object in a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FilmObject {
    /// Number of its track in the film.
    pub track: u64,
    pub class_name: String,
    pub bounding_box: NormBox,
    /// Whether it must be found; else it is neither missed nor wrong to find it.
    pub counts: bool,
}

/// Films that can't be used.
#[derive(Debug, Error)]
pub enum FilmError {
    #[error("films {}: can't be listed ({source}); check the path", folder.display())]
    List {
        folder: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "films {}: has no film; expected FILM/seqinfo.ini, FILM/gt/gt.txt and FILM/img1/000001.jpg", folder.display()
    )]
    NoFilm { folder: PathBuf },
    #[error("film {}: {source}", file.display())]
    Read { file: PathBuf, source: TextError },
    #[error("film {}: has no valid {key}; add the line {key}=NUMBER", file.display())]
    Info { file: PathBuf, key: &'static str },
    #[error("film {}, line {line}: {kind}; correct or remove the line", file.display())]
    Line {
        file: PathBuf,
        /// From 1.
        line: usize,
        kind: FilmLineError,
    },
}

/// What is wrong with a line of the true boxes.
#[derive(Debug, Error)]
pub enum FilmLineError {
    #[error("field {field} is \"{value}\", expected a number")]
    NotANumber {
        /// From 1.
        field: usize,
        value: String,
    },
    #[error("frame {frame} is not one of the film's {frames}")]
    Frame { frame: usize, frames: usize },
    #[error("class {class} is no line of labels.txt")]
    Class { class: usize },
    #[error("the box is not within the frame")]
    Box,
}

/// `seqinfo.ini`.
struct SequenceInfo {
    /// Frames per second.
    rate: f64,
    frames: usize,
    /// In pixels.
    width: f64,
    height: f64,
}

/// Reads all films in a folder, sorted by name.
///
/// # Errors
/// [`FilmError`] if there is none, or one is invalid. Whether the frames can be decoded is not checked.
pub fn read_films(folder: &Path) -> Result<Vec<Film>, FilmError> {
    let unlisted = |source| FilmError::List {
        folder: folder.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(unlisted)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(unlisted)?;
    paths.retain(|path| path.join("seqinfo.ini").is_file());
    paths.sort();
    if paths.is_empty() {
        let folder = folder.to_owned();
        return Err(FilmError::NoFilm { folder });
    }
    let labels = read(&folder.join("labels.txt"))?;
    let labels: Vec<&str> = labels.lines().map(text::trim).collect();
    paths
        .into_iter()
        .map(|path| Film::read(path, &labels))
        .collect()
}

fn read(file: &Path) -> Result<String, FilmError> {
    text::read(file).map_err(|source| FilmError::Read {
        file: file.to_owned(),
        source,
    })
}

impl Film {
    fn read(folder: PathBuf, labels: &[&str]) -> Result<Self, FilmError> {
        let info = SequenceInfo::read(&folder.join("seqinfo.ini"))?;
        let frame = |number: usize| FilmFrame {
            picture: folder.join("img1").join(format!("{number:06}.jpg")),
            objects: Vec::new(),
        };
        let mut frames: Vec<FilmFrame> = (1..=info.frames).map(frame).collect();
        let file = folder.join("gt").join("gt.txt");
        for (line, text) in (1..).zip(read(&file)?.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            let object = info.object(text, labels).map_err(|kind| FilmError::Line {
                file: file.clone(),
                line,
                kind,
            })?;
            let (frame, object) = object;
            frames[frame - 1].objects.push(object);
        }
        Ok(Self {
            folder,
            frame_time: Duration::from_secs_f64(1.0 / info.rate),
            frames,
        })
    }
}

impl SequenceInfo {
    fn read(file: &Path) -> Result<Self, FilmError> {
        let text = read(file)?;
        let lines = || text.lines().filter_map(|line| line.split_once('='));
        let number = |key: &'static str| {
            let found = lines().find(|(name, _)| name.trim() == key);
            let number = found.and_then(|(_, value)| text::number(value));
            let valid = number.filter(|number| (1e-3..1e6).contains(number));
            let file = file.to_owned();
            valid.ok_or(FilmError::Info { file, key })
        };
        Ok(Self {
            rate: number("frameRate")?,
            frames: number("seqLength")? as usize,
            width: number("imWidth")?,
            height: number("imHeight")?,
        })
    }

    /// The frame of a line, from 1, and its object.
    fn object(&self, line: &str, labels: &[&str]) -> Result<(usize, FilmObject), FilmLineError> {
        let fields: Vec<&str> = line.split(',').map(text::trim).collect();
        let frame = field(&fields, 1)?;
        if !(1..=self.frames).contains(&frame) {
            let frames = self.frames;
            return Err(FilmLineError::Frame { frame, frames });
        }
        let [left, top] = [field(&fields, 3)?, field(&fields, 4)?].map(|at: f64| at - 1.0);
        let [width, height]: [f64; 2] = [field(&fields, 5)?, field(&fields, 6)?];
        let class: usize = field(&fields, 8)?;
        let name = class.checked_sub(1).and_then(|index| labels.get(index));
        let name = name.filter(|name| !name.is_empty());
        let share = |at: f64, side: f64| (at / side) as f32;
        let corners = [
            share(left, self.width),
            share(left + width, self.width),
            share(top, self.height),
            share(top + height, self.height),
        ];
        let bounding_box = NormBox::from_regression(corners);
        let counts: f64 = field(&fields, 7)?;
        let object = FilmObject {
            track: field(&fields, 2)?,
            class_name: (*name.ok_or(FilmLineError::Class { class })?).to_owned(),
            bounding_box: bounding_box
                .filter(|found| found.area() > 0.0)
                .ok_or(FilmLineError::Box)?,
            counts: counts != 0.0,
        };
        Ok((frame, object))
    }
}

/// A field of a line, from 1.
fn field<T: FromStr>(fields: &[&str], field: usize) -> Result<T, FilmLineError> {
    let value = fields.get(field - 1).copied().unwrap_or_default();
    value.parse().map_err(|_| FilmLineError::NotANumber {
        field,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "[Sequence]\nname=one\nimDir=img1\nframeRate=15\nseqLength=2\nimWidth=100\nimHeight=50\nimExt=.jpg\n";

    const TRUTH: &str =
        "1,3,1,1,50,25,1,2,1.000\n2,3,11,1,50,25,0,2,0.100\n2,4,91,41,20,20,1,1,0.500\n";

    fn folder(info: &str, truth: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let film = folder.path().join("one");
        std::fs::create_dir_all(film.join("gt")).expect("created");
        std::fs::write(film.join("seqinfo.ini"), info).expect("written");
        std::fs::write(film.join("gt/gt.txt"), truth).expect("written");
        std::fs::write(folder.path().join("labels.txt"), "apple\nhot dog\n").expect("written");
        folder
    }

    #[test]
    fn frames_have_their_objects() {
        let folder = folder(INFO, TRUTH);
        let films = read_films(folder.path()).expect("readable");
        let [film] = films.as_slice() else {
            panic!("{films:?}");
        };
        assert_eq!(film.frame_time, Duration::from_secs_f64(1.0 / 15.0));
        let [first, second] = film.frames.as_slice() else {
            panic!("{film:?}");
        };
        assert!(second.picture.ends_with("one/img1/000002.jpg"));
        let object = &first.objects[0];
        assert_eq!((object.track, object.class_name.as_str()), (3, "hot dog"));
        assert_eq!(object.bounding_box.corners(), [0.0, 0.5, 0.0, 0.5]);
        let counts: Vec<bool> = second.objects.iter().map(|object| object.counts).collect();
        assert_eq!(counts, [false, true]);
        // What is beyond the frame is cut off.
        let corners = second.objects[1].bounding_box.corners();
        assert_eq!(corners, [0.9, 1.0, 0.8, 1.0]);
    }

    #[test]
    fn invalid_films_are_named() {
        let message = |info: &str, truth: &str| {
            let folder = folder(info, truth);
            read_films(folder.path()).expect_err("invalid").to_string()
        };
        let cases = [
            (
                message(&INFO.replace("frameRate=15", "frameRate=x"), TRUTH),
                "seqinfo.ini: has no valid frameRate",
            ),
            (
                message(INFO, &TRUTH.replace("1,3,1,1", "7,3,1,1")),
                "gt.txt, line 1: frame 7 is not one of the film's 2",
            ),
            (
                message(INFO, &TRUTH.replace("1,2,1.000", "1,9,1.000")),
                "line 1: class 9 is no line of labels.txt",
            ),
            (
                message(INFO, "1,3,left,1,50,25,1,2,1"),
                "line 1: field 3 is \"left\", expected a number",
            ),
            (message(INFO, "1,3,1,1,50,25"), "line 1: field 8 is \"\""),
            (
                message(INFO, "1,3,1,1,0,25,1,2,1"),
                "line 1: the box is not within the frame",
            ),
        ];
        for (found, expected) in cases {
            assert!(found.contains(expected), "{found}");
        }
        let empty = tempfile::tempdir().expect("a folder");
        let none = read_films(empty.path()).expect_err("empty").to_string();
        assert!(none.contains("has no film"), "{none}");
        let nowhere = read_films(&empty.path().join("nowhere")).expect_err("missing");
        assert!(nowhere.to_string().contains("can't be listed"));
    }
}
