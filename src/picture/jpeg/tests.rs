use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, Rgb};

use super::*;
use crate::picture::encode_jpeg;

const CMYK: &[u8] = include_bytes!("../../../tests/data/cmyk.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../../tests/data/progressive.jpg");

macro_rules! jpegs {
    ($($name:literal),+) => {
        [$(($name, include_bytes!(concat!("../../../tests/data/jpeg/", $name)))),+]
    };
}

/// The same picture of 83 x 61 pixels in every coding that can be decoded.
const CODINGS: [(&str, &[u8]); 14] = jpegs![
    "baseline-411.jpg",
    "baseline-420.jpg",
    "baseline-422.jpg",
    "baseline-440.jpg",
    "baseline-444.jpg",
    "baseline-grey.jpg",
    "optimized.jpg",
    "restart-420.jpg",
    "restart-grey.jpg",
    "separate.jpg",
    "separate-restart.jpg",
    "progressive-420.jpg",
    "progressive-grey.jpg",
    "progressive-restart.jpg"
];

const ARITHMETIC: &[u8] = include_bytes!("../../../tests/data/jpeg/arithmetic.jpg");

const EOI: [u8; 2] = [0xff, marker::EOI];

/// Larger than any picture, so that it is decoded at full size.
const FULL_SIZE: (u32, u32) = (u32::MAX, u32::MAX);

/// A gradient, which looks the same at any scale.
fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x * 255 / width, y * 255 / height);
        Rgb([x as u8, y as u8, (255 - x) as u8])
    })
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    encode_jpeg(picture, 95).expect("encoded")
}

/// The JPEG without its Huffman tables, as many USB cameras send it.
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
fn the_smallest_sufficient_scale_is_used() {
    let file = jpeg(&gradient(1920, 1080));
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
    for (min_size, expected) in cases {
        let picture = decode_scaled(&file, min_size).expect("a valid JPEG");
        assert_eq!(picture.dimensions(), expected, "{min_size:?}");
    }
}

#[test]
fn all_scales_show_the_same_picture() {
    for (width, height) in [(320, 240), (333, 219), (40, 250)] {
        let picture = gradient(width, height);
        let file = jpeg(&picture);
        for scale in [8, 4, 2, 1] {
            let size = scaled_size((width, height), scale);
            let found = decode_scaled(&file, size).expect("a valid JPEG");
            let expected = imageops::resize(&picture, size.0, size.1, FilterType::Triangle);
            let difference = mean_difference(&found, &expected);
            assert!(difference < 4.0, "{size:?} is off by {difference}");
        }
    }
}

#[test]
fn missing_huffman_tables_are_those_of_the_standard() {
    let file = jpeg(&gradient(160, 120));
    let stripped = without_tables(&file);
    for min_size in [FULL_SIZE, (80, 60), (20, 15)] {
        assert!(decode_scaled(&stripped, min_size) == decode_scaled(&file, min_size));
    }
}

#[test]
fn bytes_after_the_end_are_ignored() {
    let file = jpeg(&gradient(64, 64));
    let padded = [&file[..], &[0; 500], &file].concat();
    for min_size in [FULL_SIZE, (32, 32)] {
        assert!(decode_scaled(&padded, min_size) == decode_scaled(&file, min_size));
    }
}

#[test]
fn a_truncated_jpeg_is_refused_at_every_scale() {
    let file = jpeg(&gradient(256, 256));
    for min_size in [FULL_SIZE, (128, 128), (64, 64), (32, 32)] {
        assert!(decode_scaled(&file, min_size).is_ok());
        for part in 1..16 {
            let cut = &file[..file.len() * part / 16];
            decode_scaled(cut, min_size).expect_err("cut off");
            // Some cameras write the end marker behind an incomplete frame.
            let ended = [cut, &[0xff, 0xd9]].concat();
            let is_refused = decode_scaled(&ended, min_size).is_err();
            assert!(is_refused, "{part} of 16 parts at {min_size:?}");
        }
    }
}

#[test]
fn grey_cmyk_and_progressive_are_decoded() {
    let mut grey = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut grey, 95);
    encoder
        .encode(&[90; 64 * 64], 64, 64, ExtendedColorType::L8)
        .expect("encoded");
    for min_size in [FULL_SIZE, (32, 32), (8, 8)] {
        let picture = decode_scaled(&grey, min_size).expect("grey");
        assert!(
            picture
                .pixels()
                .all(|Rgb(pixel)| pixel.iter().all(|&value| value.abs_diff(90) < 4))
        );
        decode_scaled(CMYK, min_size).expect("CMYK");
        assert_eq!(
            decode_scaled(PROGRESSIVE, min_size)
                .expect("progressive")
                .dimensions(),
            (64, 48)
        );
    }
}

#[test]
fn impossible_sizes_are_refused_before_memory_is_allocated() {
    let mut file = jpeg(&gradient(64, 64));
    let frame = file
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .expect("a frame");
    file[frame + 5..frame + 9].fill(0xff);
    let error = decode_scaled(&file, (64, 64)).expect_err("too large");
    assert_eq!(error, DecodeError::TooLarge(65535, 65535));
    file[frame + 5..frame + 9].fill(0);
    let error = decode_scaled(&file, (64, 64)).expect_err("no pixels");
    assert_eq!(error, DecodeError::ZeroSized(0, 0));
}

#[test]
fn random_damage_never_panics() {
    let files = [
        jpeg(&gradient(120, 90)),
        without_tables(&jpeg(&gradient(64, 64))),
    ];
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
        for min_size in [FULL_SIZE, (40, 40), (8, 8)] {
            // A picture or an error.
            let _ = decode_scaled(&file, min_size);
        }
    }
}

/// The offset of the end marker.
fn data_end(file: &[u8]) -> usize {
    assert!(file.ends_with(&EOI));
    file.len() - 2
}

#[test]
fn every_coding_is_decoded_with_and_without_an_end_marker() {
    let expected = decode(CODINGS[4].1).expect("whole");
    for (name, file) in CODINGS {
        let picture = decode(file).expect(name);
        assert_eq!(picture.dimensions(), (83, 61), "{name}");
        if !name.contains("grey") {
            let difference = mean_difference(&picture, &expected);
            assert!(difference < 25.0, "{name} is off by {difference}");
        }
        let unended = &file[..data_end(file)];
        // Padding, the headers of the next part, the next JPEG.
        let tails: [&[u8]; 5] = [b"", &[0; 300], b"\r\n--b\r\n\r\n", &EOI, file];
        for tail in tails {
            let bytes = [unended, tail].concat();
            assert_eq!(decode(&bytes).as_ref(), Ok(&picture), "{name}");
            for min_size in [FULL_SIZE, (40, 30), (10, 7)] {
                let scaled = decode_scaled(&bytes, min_size);
                assert!(
                    scaled == decode_scaled(file, min_size) && scaled.is_ok(),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_jpeg_cut_anywhere_is_refused_or_complete() {
    for (name, file) in CODINGS
        .into_iter()
        .chain([("CMYK", CMYK), ("progressive", PROGRESSIVE)])
    {
        let whole = decode(file).expect(name);
        let end = data_end(file);
        let cuts = (1..50).map(|part| file.len() * part / 50);
        for cut in cuts.chain(end.saturating_sub(12)..end) {
            for tail in [&[][..], &EOI, b"\xff\xff\xd9"] {
                let bytes = [&file[..cut], tail].concat();
                match decode(&bytes) {
                    // Ones complete the last code.
                    Ok(picture) => assert!(cut >= end - 4 && picture == whole, "{name} at {cut}"),
                    Err(DecodeError::Truncated(length)) => assert!(length <= bytes.len(), "{name}"),
                    // Within a header, to which the end marker now belongs.
                    Err(DecodeError::Invalid(message)) if message.contains("damaged") => {}
                    Err(error) => panic!("{name} cut at {cut}: {error}"),
                }
                let scaled = decode_scaled(&bytes, (10, 7));
                assert!(scaled.is_err() || cut >= end - 4, "{name} at {cut}");
            }
        }
    }
}

#[test]
fn the_check_finds_each_missing_byte() {
    for (name, file) in CODINGS {
        let check = |bytes: &[u8]| entropy::check_whole(&Segments::read(bytes));
        assert_eq!(check(file), Ok(()), "{name}");
        assert_eq!(check(&file[..data_end(file)]), Ok(()), "{name}");
        for cut in (2..data_end(file))
            .rev()
            .step_by(3)
            .chain([data_end(file) - 1])
        {
            for tail in [&[][..], &EOI] {
                let bytes = [&file[..cut], tail].concat();
                match check(&bytes).expect_err(name) {
                    DecodeError::Truncated(length) => assert!(length <= bytes.len()),
                    // Within a header, to which the end marker now belongs.
                    DecodeError::Invalid(message) if message.contains("damaged") => {}
                    error => panic!("{name} cut at {cut}: {error}"),
                }
            }
        }
    }
}

#[test]
fn data_lost_before_a_restart_marker_is_missed() {
    for name in [
        "restart-420.jpg",
        "restart-grey.jpg",
        "separate-restart.jpg",
        "progressive-restart.jpg",
    ] {
        let found = CODINGS.iter().find(|(found, _)| *found == name);
        let file = found.expect("one of them").1;
        let segments = Segments::read(file);
        let scan = segments
            .list
            .iter()
            .find(|segment| segment.marker == marker::SOS);
        let intervals = &scan.expect("a scan").intervals;
        assert!(intervals.len() > 3, "{name}");
        let inner = &intervals[1];
        // The end of an interval, and a whole one with its marker.
        for lost in [inner.end - 3..inner.end, inner.start..intervals[2].start] {
            let mut damaged = file.to_vec();
            damaged.drain(lost);
            for min_size in [FULL_SIZE, (10, 7)] {
                let error = decode_scaled(&damaged, min_size).expect_err(name);
                assert!(
                    matches!(error, DecodeError::Truncated(_)),
                    "{name}: {error}"
                );
            }
        }
        // Fill bytes before markers.
        let mut filled = file.to_vec();
        for interval in intervals.iter().rev() {
            filled.splice(interval.end..interval.end, [0xff; 3]);
        }
        assert_eq!(decode(&filled), decode(file), "{name}");
    }
}

#[test]
fn a_progressive_jpeg_without_its_last_scans_is_refused() {
    let segments = Segments::read(PROGRESSIVE);
    let scans = segments
        .list
        .iter()
        .filter(|segment| segment.marker == marker::SOS);
    let ends: Vec<usize> = scans.map(|scan| scan.intervals[0].end).collect();
    let (last, earlier) = ends.split_last().expect("several scans");
    assert!(earlier.len() > 3);
    for &end in earlier {
        let shortened = [&PROGRESSIVE[..end], &EOI].concat();
        assert_eq!(decode(&shortened), Err(DecodeError::Truncated(end)));
    }
    assert!(decode(&PROGRESSIVE[..*last]).is_ok());
}

#[test]
fn other_codings_are_named() {
    let error = decode(ARITHMETIC).expect_err("not supported").to_string();
    assert!(
        error.contains("arithmetic coding is not supported"),
        "{error}"
    );
    let mut file = jpeg(&gradient(16, 16));
    let frame = file
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .expect("a frame");
    file[frame + 4] = 12;
    let error = decode(&file).expect_err("not supported").to_string();
    assert!(
        error.contains("a precision of 12 bits a sample is not supported"),
        "{error}"
    );
    file[frame + 1] = 0xc3;
    let error = decode(&file).expect_err("not supported").to_string();
    assert!(
        error.contains("lossless coding is not supported"),
        "{error}"
    );
}

#[test]
fn a_file_without_huffman_tables_is_decoded() {
    let file = jpeg(&gradient(160, 120));
    let stripped = without_tables(&file);
    assert_eq!(decode(&stripped), decode(&file));
    let cut = [&stripped[..stripped.len() / 2], &EOI].concat();
    assert!(matches!(decode(&cut), Err(DecodeError::Truncated(_))));
}

#[test]
fn a_thumbnail_is_not_the_picture() {
    let (picture, thumbnail) = (jpeg(&gradient(64, 48)), jpeg(&gradient(16, 12)));
    let length = (thumbnail.len() as u16 + 2).to_be_bytes();
    let head = [&picture[..2], &[0xff, 0xe1], &length, &thumbnail].concat();
    let with_thumbnail = [&head, &picture[2..]].concat();
    assert_eq!(decode(&with_thumbnail), decode(&picture));
    for cut in [head.len(), head.len() + 300] {
        let cut = [&with_thumbnail[..cut], &EOI].concat();
        assert!(matches!(decode(&cut), Err(DecodeError::Truncated(_))));
    }
}

/// The mean luma of a block of eight by eight pixels.
fn block_mean(picture: &RgbImage, column: u32, row: u32) -> f32 {
    let block = imageops::crop_imm(picture, column * 8, row * 8, 8, 8).to_image();
    let luma = |Rgb([r, g, b]): &Rgb<u8>| {
        0.299 * f32::from(*r) + 0.587 * f32::from(*g) + 0.114 * f32::from(*b)
    };
    block.pixels().map(luma).sum::<f32>() / 64.0
}

#[test]
fn a_preview_has_the_brightness_of_the_decoded_blocks() {
    let mut seen = 0;
    for (name, file) in CODINGS {
        let picture = decode_scaled(file, FULL_SIZE).expect(name);
        let preview = preview(file, FULL_SIZE).expect(name);
        let Some(JpegPreview { luma, size }) = preview else {
            let has_scans = name.starts_with("progressive") || name.starts_with("separate");
            assert!(has_scans, "{name}");
            continue;
        };
        seen += 1;
        assert_eq!(size, picture.dimensions(), "{name}");
        assert_eq!((luma.columns(), luma.rows()), (11, 8), "{name}");
        for (column, row) in (0..10).flat_map(|column| (0..7).map(move |row| (column, row))) {
            let found = luma.values()[(row * 11 + column) as usize];
            let expected = block_mean(&picture, column, row);
            assert!(
                (found - expected).abs() < 2.0,
                "{name} {column} {row}: {found}, not {expected}"
            );
        }
    }
    assert_eq!(seen, 9);
}

#[test]
fn a_preview_refuses_what_cannot_be_decoded() {
    let file = jpeg(&gradient(256, 256));
    let expected = preview(&file, (1, 1)).expect("whole").expect("one scan");
    assert_eq!((expected.size, expected.luma.columns()), ((32, 32), 32));
    assert_eq!(preview(&without_tables(&file), (1, 1)), Ok(Some(expected)));
    for part in 1..16 {
        let cut = &file[..file.len() * part / 16];
        assert!(preview(cut, (1, 1)).is_err(), "{part}");
    }
    assert!(preview(ARITHMETIC, (1, 1)).is_err());
    assert_eq!(preview(PROGRESSIVE, (1, 1)), Ok(None));
}
