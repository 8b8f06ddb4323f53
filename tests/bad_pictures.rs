//! Pictures of every kind, good and bad, through the real program.

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

/// A PNG whose header claims this size, with the checksum that belongs to it.
fn png_of_size(width: u32, height: u32) -> Vec<u8> {
    let mut file = encoded(solid_image("red"), ImageFormat::Png);
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    file
}

/// A JPEG whose frame header claims this size.
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

fn cut(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() * 2 / 3);
    file
}

#[test]
fn pictures_out_of_the_ordinary_are_read() {
    let place = TestDir::new();
    let deep = ImageBuffer::from_pixel(32, 24, Rgb([0x1111_u16, 0xeeee, 0x1111]));
    place.write("16-bit.png", encoded(deep, ImageFormat::Png));
    let clear = ImageBuffer::from_pixel(32, 24, Rgba([0, 0, 255, 160_u8]));
    place.write("alpha.png", encoded(clear, ImageFormat::Png));
    place.write("palette.png", data_file("palette.png"));
    place.write(
        "grey.png",
        encoded(
            ImageBuffer::from_pixel(9, 9, Luma([90_u8])),
            ImageFormat::Png,
        ),
    );
    place.write("cmyk.jpg", data_file("cmyk.jpg"));
    place.write("ycck.jpg", data_file("ycck.jpg"));
    place.write("rotated.jpg", data_file("rotated.jpg"));
    place.write("progressive.jpg", data_file("progressive.jpg"));
    place.write(
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
    let said = place.run_tiny(&[&["detect"], &names[..]].concat());
    said.assert_exit_code(0);
    let lines = said.lines();
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
fn each_bad_picture_is_named_and_the_others_are_done() {
    let place = TestDir::new();
    place.write_solid_image("first.png", "red");
    place.write_solid_image("last.png", "green");
    place.write("truncated.jpg", cut(data_file("progressive.jpg")));
    place.write(
        "truncated.png",
        cut(encoded(solid_image("red"), ImageFormat::Png)),
    );
    place.write("empty.jpg", "");
    place.write("zero.png", png_of_size(0, 7));
    place.write("zero.jpg", jpeg_of_size(7, 0));
    place.write("huge.png", png_of_size(20_000, 20_000));
    place.write("huge.jpg", jpeg_of_size(20_000, 20_000));
    place.write("words.jpg", "this is no picture");
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
    let said = place.run_tiny(&[&["detect", "first.png"], &names[..], &["last.png"]].concat());
    said.assert_exit_code(4);
    let lines = said.lines();
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
        said.assert_stderr_contains(&[error]);
    }
}

#[test]
fn other_files_in_a_folder_are_passed_over() {
    let place = TestDir::new();
    place.write_solid_image("mixed/b.png", "red");
    place.write("mixed/notes.txt", "bread, butter");
    place.write("mixed/annotations.csv", "image_id");
    place.write("mixed/.hidden", "");
    place.write("mixed/deep/a.jpg", data_file("rotated.jpg"));
    let said = place.run_tiny(&["detect", "mixed"]);
    said.assert_exit_code(0);
    assert_eq!(said.stderr, "");
    let pictures: Vec<_> = said
        .lines()
        .iter()
        .map(|line| line["picture"].clone())
        .collect();
    assert_eq!(pictures, ["mixed/b.png", "mixed/deep/a.jpg"]);
}

#[test]
fn a_folder_without_pictures_is_named() {
    let place = TestDir::new();
    place.write_solid_image("a.png", "red");
    place.write("texts/a.txt", "");
    let said = place.run_tiny(&["detect", "texts", "a.png"]);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["folder texts: contains no pictures"]);
    let lines = said.lines();
    assert_eq!(
        (&lines[0]["picture"], &lines[1]["detection"]["class"]),
        (&"texts".into(), &"red".into())
    );
}

#[cfg(unix)]
#[test]
fn a_picture_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = TestDir::new();
    place.write_solid_image("locked.png", "red");
    let locked = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(place.path("locked.png"), locked).expect("locked");
    if std::fs::File::open(place.path("locked.png")).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let said = place.run_tiny(&["detect", "locked.png"]);
    said.assert_exit_code(4);
    said.assert_stderr_contains(&["picture locked.png: can't be read (Permission denied"]);
}
