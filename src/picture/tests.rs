use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageBuffer, Luma, LumaA};

use super::*;

const CMYK: &[u8] = include_bytes!("../../tests/data/cmyk.jpg");
const YCCK: &[u8] = include_bytes!("../../tests/data/ycck.jpg");
const ROTATED: &[u8] = include_bytes!("../../tests/data/rotated.jpg");
const PALETTE: &[u8] = include_bytes!("../../tests/data/palette.png");
const PROGRESSIVE: &[u8] = include_bytes!("../../tests/data/progressive.jpg");

fn decoded(bytes: &[u8]) -> RgbImage {
    decode(Path::new("p"), bytes).expect("a valid picture")
}

fn refused(bytes: &[u8]) -> PictureError {
    decode(Path::new("dir/p"), bytes).expect_err("an invalid picture")
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.into().write_to(&mut file, format).expect("encoded");
    file.into_inner()
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    encode_jpeg(picture, 90).expect("encoded")
}

/// A picture with so much detail that no half of it looks like the whole.
fn detailed(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7 + y) as u8, (x * y / 3) as u8, (y * 11) as u8])
    })
}

/// A JPEG or PNG whose header has this size, which its data does not match.
fn header(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let mut file = encoded(detailed(8, 8), format);
    match format {
        ImageFormat::Png => {
            file[16..20].copy_from_slice(&width.to_be_bytes());
            file[20..24].copy_from_slice(&height.to_be_bytes());
        }
        _ => {
            let frame = file
                .windows(2)
                .position(|pair| pair == [0xff, 0xc0])
                .expect("a frame");
            file[frame + 5..frame + 7].copy_from_slice(&(height as u16).to_be_bytes());
            file[frame + 7..frame + 9].copy_from_slice(&(width as u16).to_be_bytes());
        }
    }
    file
}

#[track_caller]
fn assert_near(picture: &RgbImage, at: (u32, u32), expected: [u8; 3]) {
    let found = picture.get_pixel(at.0, at.1).0;
    let is_near = |(a, b): (u8, u8)| a.abs_diff(b) <= 6;
    assert!(
        found.into_iter().zip(expected).all(is_near),
        "at {at:?}: {found:?}, not {expected:?}"
    );
}

#[test]
fn formats_are_recognised_by_content() {
    let picture = detailed(33, 21);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
        assert_eq!(
            decoded(&encoded(picture.clone(), format)),
            picture,
            "{format:?}"
        );
    }
    assert_eq!(decoded(&jpeg(&picture)).dimensions(), (33, 21));
    assert_eq!(decoded(PROGRESSIVE).dimensions(), (64, 48));
    assert_near(&decoded(PROGRESSIVE), (10, 40), [45, 203, 144]);
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    let picture = ImageBuffer::from_pixel(3, 2, Rgb([0_u16, 0x8080, 0xffff]));
    let file = encoded(picture, ImageFormat::Png);
    assert_eq!(
        decoded(&file),
        RgbImage::from_pixel(3, 2, Rgb([0, 0x80, 0xff]))
    );
}

#[test]
fn grey_becomes_rgb_in_png_and_jpeg() {
    let grey = ImageBuffer::from_pixel(16, 16, Luma([90_u8]));
    let expected = RgbImage::from_pixel(16, 16, Rgb([90; 3]));
    assert_eq!(decoded(&encoded(grey.clone(), ImageFormat::Png)), expected);
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, 100);
    encoder
        .encode(grey.as_raw(), 16, 16, ExtendedColorType::L8)
        .expect("encoded");
    assert_near(&decoded(&file), (8, 8), [90; 3]);
    let deep = ImageBuffer::from_pixel(2, 2, Luma([0x5a5a_u16]));
    assert_near(&decoded(&encoded(deep, ImageFormat::Png)), (0, 0), [90; 3]);
}

#[test]
fn transparent_pixels_are_blended_over_white() {
    let colours = [
        Rgba([200_u8, 0, 0, 255]),
        Rgba([200, 0, 0, 0]),
        Rgba([200, 0, 0, 128]),
    ];
    let picture = ImageBuffer::from_fn(3, 1, |x, _| colours[x as usize]);
    let expected = [[200, 0, 0], [255; 3], [227, 127, 127]];
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let picture = decoded(&encoded(picture.clone(), format));
        let found = [0, 1, 2].map(|x| picture.get_pixel(x, 0).0);
        assert_eq!(found, expected, "{format:?}");
    }
    let grey = ImageBuffer::from_pixel(1, 1, LumaA([0_u8, 51]));
    assert_eq!(
        decoded(&encoded(grey, ImageFormat::Png)).get_pixel(0, 0).0,
        [204; 3]
    );
}

#[test]
fn palettes_are_converted() {
    let picture = decoded(PALETTE);
    assert_near(&picture, (1, 1), [250, 10, 10]);
    assert_near(&picture, (6, 1), [10, 250, 10]);
    assert_near(&picture, (3, 7), [255; 3]);
}

#[test]
fn cmyk_is_not_inverted() {
    for file in [CMYK, YCCK] {
        let picture = decoded(file);
        assert_near(&picture, (8, 8), [255, 0, 0]);
        assert_near(&picture, (24, 8), [0, 255, 0]);
        assert_near(&picture, (8, 24), [0, 0, 255]);
        assert_near(&picture, (24, 24), [0, 0, 0]);
    }
}

#[test]
fn the_exif_orientation_is_applied() {
    let picture = decoded(ROTATED);
    assert_eq!(picture.dimensions(), (16, 24));
    assert_near(&picture, (8, 4), [220, 20, 20]);
    assert_near(&picture, (8, 20), [20, 20, 220]);
    // The same file with another value in the entry of tag 0x0112 (one short).
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0];
    let at = ROTATED
        .windows(9)
        .position(|w| w == entry)
        .expect("the entry")
        + 9;
    let mut file = ROTATED.to_vec();
    file[at] = 3;
    let picture = decoded(&file);
    assert_eq!(picture.dimensions(), (24, 16));
    assert_near(&picture, (4, 8), [20, 20, 220]);
    file[at] = 99;
    assert_near(&decoded(&file), (4, 8), [220, 20, 20]);
}

#[test]
fn a_truncated_file_is_refused_or_complete() {
    let mut lossless = Vec::new();
    let picture = detailed(40, 30);
    let encoder = WebPEncoder::new_lossless(&mut lossless);
    picture.write_with_encoder(encoder).expect("encoded");
    let files = [
        jpeg(&picture),
        PROGRESSIVE.to_vec(),
        CMYK.to_vec(),
        ROTATED.to_vec(),
        encoded(picture.clone(), ImageFormat::Png),
        encoded(picture.clone(), ImageFormat::Bmp),
        lossless,
    ];
    for file in files {
        let whole = decoded(&file);
        let kind = recognize(Path::new("p"), &file).expect("known").1;
        for cut in 0..file.len() {
            match decode(Path::new("cut"), &file[..cut]) {
                Ok(picture) => assert!(picture == whole, "{kind} cut at {cut} of {}", file.len()),
                Err(error) if kind == "JPEG" && cut > 2 => {
                    assert!(
                        matches!(error, PictureError::Truncated { length, .. } if length == cut)
                    );
                }
                Err(error) => assert!(error.to_string().starts_with("picture cut: "), "{error}"),
            }
        }
    }
}

#[test]
fn bytes_changed_at_random_never_panic() {
    let random = &mut fastrand::Rng::with_seed(11);
    let picture = detailed(40, 30);
    let mut files = vec![jpeg(&picture)];
    files.extend([PROGRESSIVE, CMYK, YCCK, ROTATED, PALETTE].map(<[u8]>::to_vec));
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
        files.push(encoded(picture.clone(), format));
    }
    for round in 0..4000 {
        let mut file = files[round % files.len()].clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..file.len());
            file[at] = random.u8(..);
        }
        if let Err(error) = decode(Path::new("changed"), &file) {
            assert_eq!(error.path(), Path::new("changed"));
        }
    }
}

#[test]
fn a_damaged_scan_is_an_error() {
    let mut file = jpeg(&detailed(200, 200));
    let middle = file.len() / 2;
    // A run of ones is not a Huffman code; FF 00 is an escaped FF.
    file[middle..middle + 60].copy_from_slice(&[0xff, 0x00].repeat(30));
    let error = refused(&file);
    assert!(
        matches!(error, PictureError::Decode { format: "JPEG", .. }),
        "{error}"
    );
}

#[test]
fn impossible_sizes_are_reported() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let message = refused(&header(format, 20_000, 20_000)).to_string();
        assert!(
            message.contains("20000 x 20000 pixels, the limit is 67108864"),
            "{message}"
        );
        let error = refused(&header(format, 0, 5));
        assert!(
            matches!(
                error,
                PictureError::ZeroSized {
                    width: 0,
                    height: 5,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn files_that_are_not_pictures_are_refused() {
    let error = refused(b"");
    assert!(matches!(error, PictureError::Empty { .. }), "{error}");
    let message = refused(b"image_id,x_min\n").to_string();
    assert!(
        message.contains("it starts with the bytes 69 6d 61 67 65 5f 69 64"),
        "{message}"
    );
    let message = refused(b"GIF89a rest").to_string();
    let expected =
        "picture dir/p: is GIF, which boxcam does not read; convert it to PNG: `ffmpeg -i dir/p ";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn unreadable_files_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("none.jpg");
    let error = open(&missing).expect_err("not there");
    assert!(matches!(&error, PictureError::Read { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("none.jpg: can't be read (No such file"),
        "{error}"
    );
    let error = open(folder.path()).expect_err("a folder");
    assert!(matches!(error, PictureError::Folder { .. }), "{error}");
    let misnamed = folder.path().join("really.png");
    std::fs::write(&misnamed, CMYK).expect("written");
    assert_eq!(open(&misnamed).expect("a picture"), decoded(CMYK));
}

#[test]
fn picture_extensions_are_known_in_any_case() {
    for path in ["a.jpg", "b/c.JPEG", "d.Png", "e.webp", "f.bmp"] {
        assert!(is_image_path(Path::new(path)), "{path}");
    }
    for path in ["a.txt", "jpg", "b.jpg.part", ".png", ""] {
        assert!(!is_image_path(Path::new(path)), "{path}");
    }
}

#[test]
fn a_header_has_the_size_of_the_decoded_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p");
    let picture = detailed(37, 21);
    let files = [
        jpeg(&picture),
        encoded(picture.clone(), ImageFormat::Png),
        encoded(picture.clone(), ImageFormat::WebP),
        encoded(picture, ImageFormat::Bmp),
        ROTATED.to_vec(),
        PROGRESSIVE.to_vec(),
        PALETTE.to_vec(),
    ];
    for bytes in files {
        std::fs::write(&path, &bytes).expect("written");
        let header = Header::read(&path).expect("a valid picture");
        assert_eq!(header.upright(), open(&path).expect("valid").dimensions());
        // The header of a file with a truncated scan is valid.
        std::fs::write(&path, &bytes[..bytes.len() - 8]).expect("written");
        assert_eq!(Header::read(&path).expect("has its beginning"), header);
    }
    std::fs::write(&path, ROTATED).expect("written");
    let header = Header::read(&path).expect("valid");
    assert_eq!(header.upright(), (header.height, header.width));
}

#[test]
fn invalid_headers_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        Header::read(&path).expect_err("refused")
    };
    assert!(matches!(refused(b""), PictureError::Empty { .. }));
    assert!(matches!(refused(b"text"), PictureError::NotAPicture { .. }));
    // A JPEG, since the header of a PNG has a checksum.
    let huge = header(ImageFormat::Jpeg, 9000, 9000);
    assert!(matches!(refused(&huge), PictureError::TooLarge { .. }));
    assert!(matches!(
        refused(&jpeg(&detailed(8, 8))[..20]),
        PictureError::Decode { .. }
    ));
    let folder = Header::read(folder.path()).expect_err("refused");
    assert!(matches!(folder, PictureError::Folder { .. }));
}

#[test]
fn jpegs_are_encoded_at_their_quality() {
    let picture = detailed(64, 48);
    let (small, large) = (encode_jpeg(&picture, 20), encode_jpeg(&picture, 95));
    let (small, large) = (small.expect("encoded"), large.expect("encoded"));
    assert!(small.len() < large.len());
    assert_eq!(decoded(&small).dimensions(), (64, 48));
    for (width, height) in [(0, 0), (70_000, 1)] {
        assert!(encode_jpeg(&RgbImage::new(width, height), 80).is_err());
    }
}
