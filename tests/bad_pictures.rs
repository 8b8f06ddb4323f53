//! Valid and invalid picture files, through the program.

mod common;

use std::io::Cursor;

use common::{TestDir, data_file, solid_image};
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
    use std::os::unix::fs::PermissionsExt;
    let dir = TestDir::new();
    dir.write_solid_image("locked.png", "red");
    let locked = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(dir.path("locked.png"), locked).expect("locked");
    if std::fs::File::open(dir.path("locked.png")).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let output = dir.run_tiny(&["detect", "locked.png"]);
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["picture locked.png: can't be read (Permission denied"]);
}
