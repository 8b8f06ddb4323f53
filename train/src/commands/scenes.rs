//! `boxcam-train data scenes`: pictures and films of cut-outs on photographs, to measure models and trackers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use boxcam::dataset::COLUMNS;
use boxcam::label::Labels;
use boxcam_train::dataset::prepared;
use boxcam_train::films::{FRAME_RATE, FRAMES, Film, FilmBox, FilmRenderer, MOST};
use boxcam_train::message;
use boxcam_train::samples::Object;
use boxcam_train::scenes::SceneSource;
use boxcam_train::storage::write_unsynced;
use clap::{Args, ValueEnum};
use fastrand::Rng;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;

use super::train::labels;
use super::{OutputError, PreparedData, progress};

/// Quality of the JPEG files, `1..=100`.
const QUALITY: u8 = 92;

/// From this visible share on, an object of a film must be found.
const VISIBLE: f32 = 0.25;

/// Tries for a scene until it has an object.
const TRIES: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct ScenesArguments {
    #[command(flatten)]
    data: PreparedData,
    /// The split whose images the cut-outs are of
    #[arg(long, value_enum, default_value = "val")]
    split: Split,
    /// Folder with cutouts.csv and masks/
    #[arg(long, value_name = "FOLDER")]
    cutouts: PathBuf,
    /// Folder with photographs that show none of the classes
    #[arg(long, value_name = "FOLDER")]
    backgrounds: PathBuf,
    /// Folder to write; it must not exist, or be empty
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Number of pictures
    #[arg(long, value_name = "COUNT", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// Write this many films instead of pictures, with the tracks of their objects in the format of MOTChallenge
    #[arg(long, value_name = "COUNT", conflicts_with = "images", value_parser = clap::value_parser!(u32).range(1..))]
    films: Option<u32>,
    /// Seed: the same seed gives the same pictures and films
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Split {
    Train,
    Val,
}

impl Split {
    const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

pub(super) fn scenes(arguments: &ScenesArguments) -> Result<()> {
    prepared::check_output(&arguments.output, &arguments.data.data)?;
    let split = arguments.data.split(arguments.split.name())?;
    let labels = labels(&split)?;
    let (backgrounds, cutouts) = (&arguments.backgrounds, &arguments.cutouts);
    let source = SceneSource::read(backgrounds, Some(cutouts), &split, &labels)?;
    let (backgrounds, cutouts) = source.counts();
    message!("{cutouts} cut-outs, {backgrounds} photographs");
    let random = &mut Rng::with_seed(arguments.seed);
    let output = &arguments.output;
    match arguments.films {
        None => write_pictures(&source, &labels, arguments.images, output, random)?,
        Some(count) => write_films(&source, &labels, count, output, random)?,
    }
    message!("written: {}", output.display());
    Ok(())
}

/// Writes `val/CLASS/scene-NUMBER.jpg` and `annotations-val.csv`. The class of a picture as a whole is that of its largest
/// object.
fn write_pictures(
    source: &SceneSource,
    labels: &Labels,
    count: u32,
    output: &Path,
    random: &mut Rng,
) -> Result<()> {
    let bar = progress(count as usize, "pictures");
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS)?;
    for number in 1..=count {
        let id = format!("scene-{number:05}");
        let (picture, objects) = scene_with_objects(source, random)?;
        let named = objects.iter().filter_map(|object| {
            let name = labels.name(object.class?)?;
            Some((name, object.bounding_box))
        });
        let named: Vec<_> = named.collect();
        let largest = named
            .iter()
            .max_by(|(_, a), (_, b)| a.area().total_cmp(&b.area()));
        let folder = largest.map_or("", |(name, _)| name);
        for (name, bounding_box) in &named {
            let mut record = vec![id.clone()];
            record.extend(bounding_box.corners().map(|corner| corner.to_string()));
            record.extend([(*name).to_owned(), folder.to_owned()]);
            csv.write_record(&record)?;
        }
        let file = output.join("val").join(folder).join(format!("{id}.jpg"));
        write_jpeg(&picture, &file)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let file = output.join("annotations-val.csv");
    let bytes = csv.into_inner().map_err(csv::IntoInnerError::into_error)?;
    write_file(&file, &bytes)?;
    Ok(())
}

/// A random scene of at least one object.
fn scene_with_objects(source: &SceneSource, random: &mut Rng) -> Result<(RgbImage, Vec<Object>)> {
    for _ in 0..TRIES {
        let scene = source.random(0.0, random);
        let composed = source.compose_exactly(&scene)?;
        if !composed.1.is_empty() {
            return Ok(composed);
        }
    }
    anyhow::bail!(
        "no cut-out fits onto the photographs; give larger photographs, or other cut-outs"
    )
}

/// Writes `film-NUMBER/` as a sequence of MOTChallenge, and `labels.txt`, whose line N is the class N.
fn write_films(
    source: &SceneSource,
    labels: &Labels,
    count: u32,
    output: &Path,
    random: &mut Rng,
) -> Result<()> {
    let bar = progress(count as usize * FRAMES as usize, "frames");
    for index in 0..count {
        // One object in the first film, then one more in each.
        let objects = index as usize % MOST + 1;
        let film = Film::random(source, objects, random);
        let name = format!("film-{}", index + 1);
        let folder = output.join(&name);
        let renderer = FilmRenderer::new(source, &film)?;
        let mut truth = String::new();
        for number in 0..FRAMES {
            let (picture, boxes) = renderer.frame(number);
            for found in &boxes {
                truth += &truth_line(number + 1, found);
            }
            let file = folder.join("img1").join(format!("{:06}.jpg", number + 1));
            write_jpeg(&picture, &file)?;
            bar.inc(1);
        }
        write_file(&folder.join("gt").join("gt.txt"), truth.as_bytes())?;
        let info = sequence_info(&name, film.size());
        write_file(&folder.join("seqinfo.ini"), info.as_bytes())?;
    }
    bar.finish_and_clear();
    let mut names = String::new();
    for name in labels.iter() {
        // Writing to a string cannot fail.
        let _ = writeln!(names, "{name}");
    }
    write_file(&output.join("labels.txt"), names.as_bytes())?;
    Ok(())
}

/// A line of `gt.txt`: frame, track, left, top, width, height, whether it counts, class, visibility. Frames, tracks, classes
/// and pixels are counted from 1.
fn truth_line(frame: u32, found: &FilmBox) -> String {
    let FilmBox {
        track,
        class,
        pixels,
        visibility,
    } = found;
    format!(
        "{frame},{track},{},{},{},{},{},{},{visibility:.3}\n",
        pixels.x + 1,
        pixels.y + 1,
        pixels.width,
        pixels.height,
        u8::from(*visibility >= VISIBLE),
        class.index() + 1,
    )
}

fn sequence_info(name: &str, (width, height): (u32, u32)) -> String {
    format!(
        "[Sequence]\nname={name}\nimDir=img1\nframeRate={FRAME_RATE}\nseqLength={FRAMES}\nimWidth={width}\n\
         imHeight={height}\nimExt=.jpg\n"
    )
}

fn write_jpeg(picture: &RgbImage, file: &Path) -> Result<(), OutputError> {
    let mut bytes = Vec::new();
    let encoded = picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY));
    encoded.map_err(|error| OutputError::new(file, std::io::Error::other(error)))?;
    write_file(file, &bytes)
}

/// Writes a file; its folder is created.
fn write_file(file: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    write_unsynced(file, bytes).map_err(|source| OutputError::new(file, source))
}

#[cfg(test)]
mod tests {
    use boxcam::label::ClassId;
    use image::math::Rect;

    use super::*;

    #[test]
    fn a_line_of_the_truth_counts_from_one() {
        let found = FilmBox {
            track: 2,
            class: ClassId::new(4),
            pixels: Rect {
                x: 0,
                y: 9,
                width: 30,
                height: 20,
            },
            visibility: 0.5,
        };
        assert_eq!(truth_line(1, &found), "1,2,1,10,30,20,1,5,0.500\n");
        let hidden = FilmBox {
            visibility: 0.2,
            ..found
        };
        assert_eq!(truth_line(7, &hidden), "7,2,1,10,30,20,0,5,0.200\n");
    }
}
