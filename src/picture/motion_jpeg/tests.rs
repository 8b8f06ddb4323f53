//! Tests of JPEGs at every scale, sound and damaged.

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, Rgb};

use super::*;
use crate::picture::encode_jpeg;

const CMYK: &[u8] = include_bytes!("../../../tests/data/cmyk.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../../tests/data/progressive.jpg");

/// The whole picture, whatever is asked for.
const WHOLE: (u32, u32) = (u32::MAX, u32::MAX);

/// A picture that is soft enough to be the same at any scale.
fn soft(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x * 255 / width, y * 255 / height);
        Rgb([x as u8, y as u8, (255 - x) as u8])
    })
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    encode_jpeg(picture, 95).expect("encoded")
}

/// The same without its Huffman tables, as many USB cameras send it.
fn without_tables(file: &[u8]) -> Vec<u8> {
    let mut kept = file.to_vec();
    while let Some(at) = kept.windows(2).position(|pair| pair == [0xff, 0xc4]) {
        let length = usize::from(u16::from_be_bytes([kept[at + 2], kept[at + 3]]));
        kept.drain(at..at + 2 + length);
    }
    assert!(kept.len() < file.len());
    kept
}

fn mean_difference(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let pairs = one.as_raw().iter().zip(other.as_raw());
    let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.as_raw().len() as f64
}

#[test]
fn a_picture_is_no_larger_than_needed_and_never_smaller() {
    let file = jpeg(&soft(1920, 1080));
    let cases = [
        ((1, 1), (240, 135)),
        ((240, 135), (240, 135)),
        ((224, 224), (480, 270)),
        ((480, 271), (960, 540)),
        ((640, 480), (960, 540)),
        ((961, 1), (1920, 1080)),
        ((1920, 1080), (1920, 1080)),
        ((4000, 1), (1920, 1080)),
    ];
    for (at_least, expected) in cases {
        let picture = decode(&file, at_least).expect("sound");
        assert_eq!(picture.dimensions(), expected, "{at_least:?}");
    }
}

#[test]
fn every_scale_shows_the_same() {
    for (width, height) in [(320, 240), (333, 219), (40, 250)] {
        let picture = soft(width, height);
        let file = jpeg(&picture);
        for eighths in [8, 4, 2, 1] {
            let size = scaled_size((width, height), eighths);
            let found = decode(&file, size).expect("sound");
            let expected = imageops::resize(&picture, size.0, size.1, FilterType::Triangle);
            let difference = mean_difference(&found, &expected);
            assert!(difference < 4.0, "{size:?} is off by {difference}");
        }
    }
}

#[test]
fn tables_that_a_camera_leaves_out_are_those_of_the_standard() {
    let file = jpeg(&soft(160, 120));
    let lean = without_tables(&file);
    for at_least in [WHOLE, (80, 60), (20, 15)] {
        assert!(decode(&lean, at_least) == decode(&file, at_least));
    }
}

#[test]
fn bytes_behind_the_end_are_left() {
    let file = jpeg(&soft(64, 64));
    let padded = [&file[..], &[0; 500], &file].concat();
    for at_least in [WHOLE, (32, 32)] {
        assert!(decode(&padded, at_least) == decode(&file, at_least));
    }
}

#[test]
fn half_a_picture_is_refused_at_every_scale() {
    let file = jpeg(&soft(256, 256));
    for at_least in [WHOLE, (128, 128), (64, 64), (32, 32)] {
        assert!(decode(&file, at_least).is_ok());
        for part in 1..16 {
            let cut = &file[..file.len() * part / 16];
            let fault = decode(cut, at_least).expect_err("cut off");
            assert!(fault.contains("the JPEG"), "{fault}");
            // As a camera sends it that puts an end to whatever it has.
            let ended = [cut, &[0xff, 0xd9]].concat();
            let is_refused = decode(&ended, at_least).is_err();
            assert!(is_refused, "{part} of 16 parts at {at_least:?}");
        }
    }
}

#[test]
fn grey_cmyk_and_progressive_are_read() {
    let mut grey = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut grey, 95);
    encoder
        .encode(&[90; 64 * 64], 64, 64, ExtendedColorType::L8)
        .expect("encoded");
    for at_least in [WHOLE, (32, 32), (8, 8)] {
        let picture = decode(&grey, at_least).expect("grey");
        assert!(
            picture
                .pixels()
                .all(|Rgb(pixel)| pixel.iter().all(|&value| value.abs_diff(90) < 4))
        );
        decode(CMYK, at_least).expect("CMYK");
        assert_eq!(
            decode(PROGRESSIVE, at_least)
                .expect("progressive")
                .dimensions(),
            (64, 48)
        );
    }
}

#[test]
fn sizes_that_cannot_be_are_refused_before_memory_is_taken() {
    let mut file = jpeg(&soft(64, 64));
    let frame = file
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .expect("a frame");
    file[frame + 5..frame + 9].fill(0xff);
    let fault = decode(&file, (64, 64)).expect_err("too large");
    assert!(
        fault.contains("65535 x 65535 pixels, the limit is"),
        "{fault}"
    );
    file[frame + 5..frame + 9].fill(0);
    let fault = decode(&file, (64, 64)).expect_err("nothing");
    assert_eq!(fault, "the JPEG is 0 x 0 pixels");
}

#[test]
fn damage_of_any_kind_is_an_error_or_a_picture_but_no_panic() {
    let files = [jpeg(&soft(120, 90)), without_tables(&jpeg(&soft(64, 64)))];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3000 {
        let mut file = files[random.usize(..files.len())].clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(2..file.len() - 2);
            match random.u8(..3) {
                0 => file[at] = random.u8(..),
                1 => drop(file.drain(at..(at + random.usize(..40)).min(file.len() - 2))),
                _ => file.insert(at, 0xff),
            }
        }
        for at_least in [WHOLE, (40, 40), (8, 8)] {
            // Whatever it is: it comes back.
            let _ = decode(&file, at_least);
        }
    }
}
