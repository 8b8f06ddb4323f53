//! Valid and invalid picture files, through the program.

use std::io::Cursor;
use std::process::Command;

use crate::common::{TestDir, data_file, solid_image};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba};
use serde_json::Value;

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.into().write_to(&mut file, format).expect("encoded");
    file.into_inner()
}

/// A PNG whose header has this size, with a valid checksum.
fn png_of_size(width: u32, height: u32) -> Vec<u8> {
    let mut file = encoded(solid_image("red"), ImageFormat::Png);
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    file
}

/// A JPEG whose frame header has this size.
fn jpeg_of_size(width: u16, height: u16) -> Vec<u8> {
    let mut file = encoded(solid_image("red"), ImageFormat::Jpeg);
    let frame = file
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .expect("a frame header");
    file[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    file[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    file
}

/// The checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            1 => crc >> 1 ^ 0xedb8_8320,
            _ => crc >> 1,
        })
    };
    !bytes.iter().fold(!0, step)
}

fn truncated(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() * 2 / 3);
    file
}

#[test]
fn unusual_pictures_are_read() {
    let dir = TestDir::new();
    let deep = ImageBuffer::from_pixel(32, 24, Rgb([0x1111_u16, 0xeeee, 0x1111]));
    dir.write("16-bit.png", encoded(deep, ImageFormat::Png));
    let transparent = ImageBuffer::from_pixel(32, 24, Rgba([0, 0, 255, 160_u8]));
    dir.write("alpha.png", encoded(transparent, ImageFormat::Png));
    dir.write("palette.png", data_file("palette.png"));
    dir.write(
        "grey.png",
        encoded(
            ImageBuffer::from_pixel(9, 9, Luma([90_u8])),
            ImageFormat::Png,
        ),
    );
    dir.write("cmyk.jpg", data_file("cmyk.jpg"));
    dir.write("ycck.jpg", data_file("ycck.jpg"));
    dir.write("rotated.jpg", data_file("rotated.jpg"));
    dir.write("progressive.jpg", data_file("progressive.jpg"));
    dir.write(
        "misnamed.jpg",
        encoded(solid_image("blue"), ImageFormat::Bmp),
    );
    let cases = [
        ("16-bit.png", (32, 24), Some("green")),
        ("alpha.png", (32, 24), Some("blue")),
        ("palette.png", (8, 8), None),
        ("grey.png", (9, 9), None),
        ("cmyk.jpg", (32, 32), None),
        ("ycck.jpg", (32, 32), None),
        ("rotated.jpg", (16, 24), None),
        ("progressive.jpg", (64, 48), None),
        ("misnamed.jpg", (32, 24), Some("blue")),
    ];
    let names = cases.map(|(name, ..)| name);
    let output = dir.run_tiny(&[&["detect"], &names[..]].concat());
    output.assert_exit_code(0);
    let lines = output.lines();
    assert_eq!(lines.len(), cases.len());
    for (line, (name, (width, height), class)) in lines.iter().zip(cases) {
        assert_eq!(line["picture"], name);
        assert_eq!(
            (&line["width"], &line["height"]),
            (&width.into(), &height.into()),
            "{line}"
        );
        if let Some(class) = class {
            assert_eq!(line["detection"]["class"], class, "{line}");
        }
    }
}

#[test]
fn invalid_pictures_are_reported_and_the_others_processed() {
    let dir = TestDir::new();
    dir.write_solid_image("first.png", "red");
    dir.write_solid_image("last.png", "green");
    dir.write("truncated.jpg", truncated(data_file("progressive.jpg")));
    dir.write(
        "truncated.png",
        truncated(encoded(solid_image("red"), ImageFormat::Png)),
    );
    dir.write("empty.jpg", "");
    dir.write("zero.png", png_of_size(0, 7));
    dir.write("zero.jpg", jpeg_of_size(7, 0));
    dir.write("huge.png", png_of_size(20_000, 20_000));
    dir.write("huge.jpg", jpeg_of_size(20_000, 20_000));
    dir.write("words.jpg", "this is not a picture");
    let cases = [
        ("truncated.jpg", "the JPEG is cut off after"),
        ("truncated.png", "the PNG is cut off after"),
        ("empty.jpg", "is empty (0 bytes)"),
        ("zero.png", "is 0 x 7 pixels"),
        ("zero.jpg", "is 7 x 0 pixels"),
        ("huge.png", "is 20000 x 20000 pixels, the limit is 67108864"),
        ("huge.jpg", "is 20000 x 20000 pixels, the limit is 67108864"),
        ("words.jpg", "is not a JPEG, PNG, WebP or BMP file"),
        ("missing.jpg", "can't be read (No such file"),
    ];
    let names = cases.map(|(name, _)| name);
    let output = dir.run_tiny(&[&["detect", "first.png"], &names[..], &["last.png"]].concat());
    output.assert_exit_code(4);
    let lines = output.lines();
    assert_eq!(lines.len(), cases.len() + 2);
    assert_eq!(lines[0]["detection"]["class"], "red");
    assert_eq!(lines[lines.len() - 1]["detection"]["class"], "green");
    for (line, (name, fault)) in lines[1..].iter().zip(cases) {
        assert_eq!(
            (&line["schema"], &line["picture"]),
            (&1.into(), &name.into())
        );
        let error = line["error"].as_str().expect("text");
        assert!(
            error.starts_with(&format!("picture {name}: ")) && error.contains(fault),
            "{error}"
        );
        assert_eq!(line.get("detection"), None::<&Value>);
        output.assert_stderr_contains(&[error]);
    }
}

#[test]
fn other_files_in_a_folder_are_ignored() {
    let dir = TestDir::new();
    dir.write_solid_image("mixed/b.png", "red");
    dir.write("mixed/notes.txt", "bread, butter");
    dir.write("mixed/annotations.csv", "image_id");
    dir.write("mixed/.hidden", "");
    dir.write("mixed/deep/a.jpg", data_file("rotated.jpg"));
    let output = dir.run_tiny(&["detect", "mixed"]);
    output.assert_exit_code(0);
    assert_eq!(output.stderr, "");
    let pictures: Vec<_> = output
        .lines()
        .iter()
        .map(|line| line["picture"].clone())
        .collect();
    assert_eq!(pictures, ["mixed/b.png", "mixed/deep/a.jpg"]);
}

#[test]
fn pictures_of_other_formats_in_a_folder_are_named() {
    let dir = TestDir::new();
    dir.write_solid_image("mixed/b.png", "red");
    for name in [
        "mixed/1.heic",
        "mixed/2.HEIC",
        "mixed/more/3.heic",
        "mixed/film.mov",
    ] {
        dir.write(name, "not read");
    }
    let output = dir.run_tiny(&["detect", "mixed"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&[
        "folder mixed: 3 HEIC files are not read, such as mixed/1.heic; convert it to JPEG: `heif-convert mixed/1.heic",
        "folder mixed: 1 QuickTime (MOV) file is not read, mixed/film.mov; run boxcam on the film: `ffmpeg -i mixed/film.mov",
    ]);
    let lines = output.lines();
    assert_eq!(lines.len(), 3, "{output:?}");
    assert_eq!(lines[0]["detection"]["class"], "red");
    // Pictures that were converted are not missed.
    for name in [
        "mixed/1.jpg",
        "mixed/2.jpg",
        "mixed/more/3.JPG",
        "mixed/film.png",
    ] {
        dir.write(name, encoded(solid_image("red"), ImageFormat::Png));
    }
    let output = dir.run_tiny(&["detect", "mixed"]);
    output.assert_exit_code(0);
    assert_eq!(output.stderr, "");
}

#[test]
fn a_folder_without_pictures_is_reported() {
    let dir = TestDir::new();
    dir.write_solid_image("a.png", "red");
    dir.write("texts/a.txt", "");
    let output = dir.run_tiny(&["detect", "texts", "a.png"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["folder texts: contains no pictures"]);
    let lines = output.lines();
    assert_eq!(
        (&lines[0]["picture"], &lines[1]["detection"]["class"]),
        (&"texts".into(), &"red".into())
    );
}

#[cfg(unix)]
#[test]
fn an_unreadable_picture_is_reported() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let dir = TestDir::new();
    dir.write_solid_image("locked.png", "red");
    set_permissions(dir.path("locked.png"), Permissions::from_mode(0o000)).expect("locked");
    let mut command = dir.command(&["detect", "locked.png", "--model", "tiny.onnx"]);
    if std::fs::File::open(dir.path("locked.png")).is_ok() {
        // Root may read everything; another user may not, and needs a program that it can reach.
        set_permissions(dir.path("."), Permissions::from_mode(0o755)).expect("reachable");
        std::fs::copy(env!("CARGO_BIN_EXE_boxcam"), dir.path("boxcam")).expect("copied");
        command = Command::new(dir.path("boxcam"));
        command
            .args(["detect", "locked.png", "--model", "tiny.onnx"])
            .current_dir(dir.path("."))
            .uid(65534);
    }
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("picture locked.png: can't be read (Permission denied"),
        "{stderr}"
    );
}

/// A picture with detail, so that each part of it takes data.
fn detailed_jpeg() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(160, 120, |x, y| {
        Rgb([(x * y) as u8, (x * 3) as u8, (y * 5) as u8])
    });
    encoded(picture, ImageFormat::Jpeg)
}

const EOI: [u8; 2] = [0xff, 0xd9];

#[test]
fn whole_is_a_jpeg_with_the_data_of_all_pixels() {
    let dir = TestDir::new();
    let whole = detailed_jpeg();
    let data = &whole[..whole.len() - 2];
    dir.write("whole.jpg", &whole);
    dir.write("no_eoi.jpg", data);
    dir.write("padded.jpg", [data, &[0; 512]].concat());
    let cut = |part: usize| data[..data.len() * part / 100].to_vec();
    dir.write("cut40.jpg", [&cut(40)[..], &EOI].concat());
    dir.write("cut99.jpg", [&cut(99)[..], &EOI].concat());
    dir.write("cut70.jpg", cut(70));
    dir.write("arithmetic.jpg", data_file("jpeg/arithmetic.jpg"));
    let names = [
        "whole.jpg",
        "no_eoi.jpg",
        "padded.jpg",
        "cut40.jpg",
        "cut99.jpg",
        "cut70.jpg",
        "arithmetic.jpg",
    ];
    let output = dir.run_tiny(&[&["detect"], &names[..]].concat());
    output.assert_exit_code(4);
    let lines = output.lines();
    for line in &lines[..3] {
        assert_eq!(line["detection"], lines[0]["detection"], "{line}");
        assert_eq!(line["width"], 160, "{line}");
    }
    for line in &lines[3..6] {
        let error = line["error"].as_str().expect("refused");
        assert!(error.contains("the JPEG is cut off after"), "{error}");
    }
    let error = lines[6]["error"].as_str().expect("refused");
    assert!(
        error.contains("arithmetic coding is not supported"),
        "{error}"
    );
}

#[test]
fn a_jpeg_without_huffman_tables_is_read_as_a_frame_is() {
    let dir = TestDir::new();
    let whole = detailed_jpeg();
    let mut without = whole.clone();
    while let Some(at) = without.windows(2).position(|pair| pair == [0xff, 0xc4]) {
        let length = usize::from(u16::from_be_bytes([without[at + 2], without[at + 3]]));
        without.drain(at..at + 2 + length);
    }
    dir.write("whole.jpg", &whole);
    dir.write("nodht.jpg", &without);
    let output = dir.run_tiny(&["detect", "whole.jpg", "nodht.jpg"]);
    output.assert_exit_code(0);
    let lines = output.lines();
    assert_eq!(lines[0]["detection"], lines[1]["detection"]);
}

#[test]
fn pictures_and_films_of_other_formats_are_named_with_a_command() {
    let dir = TestDir::new();
    let cases: [(&str, &[u8], &str); 9] = [
        (
            "iphone.jpg",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "is HEIC, which boxcam does not read; convert it to JPEG: `heif-convert iphone.jpg iphone-converted.jpg`",
        ),
        (
            "a.avif",
            b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
            "is AVIF, which boxcam does not read; convert it to PNG or JPEG: `ffmpeg -i a.avif a.png`",
        ),
        (
            "b.png",
            b"GIF89a\x01\0\x01\0",
            "is GIF, which boxcam does not read; convert it to PNG: `ffmpeg -i b.png -frames:v 1 b-converted.png`",
        ),
        (
            "c.tif",
            b"II*\0\x08\0\0\0",
            "is TIFF, which boxcam does not read; convert it to PNG or JPEG: `ffmpeg -i c.tif c.png`",
        ),
        (
            "d.pdf",
            b"%PDF-1.7\n",
            "is PDF, which boxcam does not read; make JPEGs of its pages: `pdftoppm -jpeg -r 150 d.pdf d`",
        ),
        (
            "e.mp4",
            b"\0\0\0\x18ftypisom\0\0\0\0isommp41",
            "is MP4, which boxcam does not read; run boxcam on the film: `ffmpeg -i e.mp4 -q:v 3 -f mjpeg - | boxcam run --source -`",
        ),
        ("f.avi", b"RIFF\0\0\0\0AVI LIST", "is AVI"),
        ("g.jpg", b"<!DOCTYPE html><html>", "is HTML"),
        (
            "h.jxl",
            b"\xff\x0a\0\0",
            "is JPEG XL, which boxcam does not read; convert it to PNG or JPEG: `djxl h.jxl h.png`",
        ),
    ];
    for (name, bytes, _) in cases {
        dir.write(name, bytes);
    }
    let names = cases.map(|(name, ..)| name);
    let output = dir.run_tiny(&[&["detect"], &names[..]].concat());
    output.assert_exit_code(4);
    for (line, (name, _, expected)) in output.lines().iter().zip(cases) {
        let error = line["error"].as_str().expect("refused");
        assert!(
            error.starts_with(&format!("picture {name}: {expected}")),
            "{error}"
        );
    }
}

#[test]
fn inputs_of_the_field_are_judged_right() {
    let Some(field) = test_support::optional_data("field") else {
        return;
    };
    let dir = TestDir::new();
    let at = |name: &str| field.join(name).display().to_string();
    let (whole, cut) = (
        at("04-cut-scan-with-eoi/scene_whole.jpg"),
        at("04-cut-scan-with-eoi/scene_cut40.jpg"),
    );
    let (no_tables, no_end) = (at("01-webcam-no-dht/nodht.jpg"), at("02-no-eoi/no_eoi.jpg"));
    let output = dir.run_tiny(&["detect", &whole, &no_tables, &no_end, &cut]);
    output.assert_exit_code(4);
    let lines = output.lines();
    for line in &lines[..3] {
        assert!(line["width"].is_u64(), "{line}");
    }
    let error = lines[3]["error"].as_str().expect("refused");
    assert!(error.contains("the JPEG is cut off after"), "{error}");
}
