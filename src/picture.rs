//! Reads picture files as upright RGB with 8 bits a channel, and encodes JPEGs.
//!
//! JPEG, PNG, WebP and BMP are recognised by their content, not by their file name. The EXIF orientation is applied,
//! deeper channels are rounded to 8 bits, grey, palettes and CMYK are converted to RGB, and transparent pixels are blended over white.
//! A file that is damaged or cut off is an error; one with more than [`MAX_PIXELS`] is refused before memory is
//! allocated for it. Color profiles are not applied: models are trained on the plain channel values too.

use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read, Seek};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb, RgbImage, Rgba,
};
use zune_jpeg::JpegDecoder;

mod error;
mod file_kind;
pub mod jpeg;
mod other_files;
mod thumbnail;

use error::check_size;

pub use error::{DecodeError, MAX_PIXELS, PictureError};
pub use file_kind::FileKind;
pub use other_files::OtherFiles;
pub use thumbnail::Thumbnail;

/// File name extensions of pictures.
pub const EXTENSIONS: [&str; 9] = [
    "jpg", "jpeg", "png", "webp", "bmp", "jpe", "jfif", "apng", "dib",
];

/// The most bytes that a file or its decoded pixels may have: four channels of 16 bits, and [`METADATA_MEMORY`].
const MAX_BYTES: u64 = MAX_PIXELS * 8 + METADATA_MEMORY;

/// Memory that decoders may use besides the pixels (profiles, texts, tables), in bytes.
const METADATA_MEMORY: u64 = 64 * 1024 * 1024;

/// Reads a picture file.
///
/// # Errors
/// [`PictureError`] with this path.
pub fn open(path: &Path) -> Result<RgbImage, PictureError> {
    if path.is_dir() {
        return Err(PictureError::Folder { path: path.into() });
    }
    match read(path) {
        Ok(bytes) => decode(path, &bytes),
        Err(source) => Err(PictureError::Read {
            path: path.into(),
            source,
        }),
    }
}

/// Reads a file, but not more than [`MAX_BYTES`]: the path may be a device without an end.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(MAX_BYTES + 1);
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("it is longer than {MAX_BYTES} bytes");
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Decodes the bytes of a picture file; `name` is the path that errors contain.
///
/// # Errors
/// [`PictureError`], but never [`PictureError::Read`] or [`PictureError::Folder`].
pub fn decode(name: &Path, bytes: &[u8]) -> Result<RgbImage, PictureError> {
    let (format, format_name) = recognize(name, bytes)?;
    let decoded = match format {
        ImageFormat::Jpeg => jpeg::decode(bytes),
        _ => decode_other(format, bytes),
    };
    decoded.map_err(|error| error.in_file(name, format_name))
}

/// Encodes a picture as a JPEG with a quality from 1 to 100.
///
/// # Errors
/// [`ImageError`] if a side has no pixels, or more than the 65535 that a JPEG can have.
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(image)?;
    Ok(bytes)
}

/// Whether the path has the extension of a picture, in upper or lower case.
#[must_use]
pub fn is_image_path(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// The size and orientation of a picture file, read from its beginning without decoding its pixels.
///
/// A file that is cut off after its header has one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels as stored, before the orientation is applied.
    pub width: u32,
    /// Height in pixels as stored, before the orientation is applied.
    pub height: u32,
    /// The EXIF orientation.
    pub orientation: Orientation,
}

impl Header {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// [`PictureError`] if it has none of the formats that [`open`] reads, or its header is damaged.
    pub fn read(path: &Path) -> Result<Self, PictureError> {
        if path.is_dir() {
            return Err(PictureError::Folder { path: path.into() });
        }
        let unreadable = |source| PictureError::Read {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut file = BufReader::new(file);
        let mut start = Vec::new();
        file.by_ref()
            .take(FileKind::START_LENGTH as u64)
            .read_to_end(&mut start)
            .and_then(|_| file.rewind())
            .map_err(unreadable)?;
        let (format, format_name) = recognize(path, &start)?;
        let header = match format {
            ImageFormat::Jpeg => Self::of_jpeg(file),
            _ => {
                Self::of_other(format, file).map_err(|error| DecodeError::from_image(error, length))
            }
        };
        let checked = header.and_then(|header| {
            check_size(header.width, header.height)?;
            Ok(header)
        });
        checked.map_err(|error| error.in_file(path, format_name))
    }

    /// Width and height of the upright picture, as [`open`] returns it.
    #[must_use]
    pub fn upright(&self) -> (u32, u32) {
        match self.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }

    fn of_jpeg(file: BufReader<File>) -> Result<Self, DecodeError> {
        let mut decoder = JpegDecoder::new(file);
        decoder
            .decode_headers()
            .map_err(|error| DecodeError::Invalid(error.to_string()))?;
        let info = decoder
            .info()
            .ok_or_else(|| DecodeError::Invalid("it has no frame header".to_owned()))?;
        let exif = decoder
            .exif()
            .and_then(|exif| Orientation::from_exif_chunk(exif));
        Ok(Self {
            width: info.width.into(),
            height: info.height.into(),
            orientation: exif.unwrap_or(Orientation::NoTransforms),
        })
    }

    fn of_other(format: ImageFormat, file: BufReader<File>) -> Result<Self, ImageError> {
        let mut decoder = ImageReader::with_format(file, format).into_decoder()?;
        let (width, height) = decoder.dimensions();
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        Ok(Self {
            width,
            height,
            orientation,
        })
    }
}

/// The format of a file by its first bytes, and the format's name.
fn recognize(path: &Path, bytes: &[u8]) -> Result<(ImageFormat, &'static str), PictureError> {
    let path = path.to_path_buf();
    if bytes.is_empty() {
        return Err(PictureError::Empty { path });
    }
    match FileKind::of(bytes) {
        Some(FileKind::Jpeg) => Ok((ImageFormat::Jpeg, "JPEG")),
        Some(FileKind::Png) => Ok((ImageFormat::Png, "PNG")),
        Some(FileKind::WebP) => Ok((ImageFormat::WebP, "WebP")),
        Some(FileKind::Bmp) => Ok((ImageFormat::Bmp, "BMP")),
        Some(kind) => Err(PictureError::OtherKind { path, kind }),
        None => {
            let start = bytes.iter().take(8).map(|byte| format!("{byte:02x}"));
            let start = start.collect::<Vec<_>>().join(" ");
            Err(PictureError::NotAPicture { path, start })
        }
    }
}

fn decode_other(format: ImageFormat, bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    if format == ImageFormat::Png
        && let Some((width, height)) = png_size(bytes)
    {
        // The decoder's own message for a PNG without pixels does not mention the size.
        check_size(width, height)?;
    }
    let from_image = |error| DecodeError::from_image(error, bytes.len());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(from_image)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    // A damaged EXIF block does not affect the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(from_image)?;
    picture.apply_orientation(orientation);
    Ok(blend_over_white(picture))
}

/// Width and height from the first chunk of a PNG.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.get(12..24)?.strip_prefix(b"IHDR")?;
    let (width, height) = header.split_first_chunk()?;
    let height = height.first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

fn blend_over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let blend = |color: u8, alpha: u8| {
        let (color, alpha) = (u32::from(color), u32::from(alpha));
        ((color * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let Rgba([red, green, blue, alpha]) = *picture.get_pixel(x, y);
        Rgb([red, green, blue].map(|color| blend(color, alpha)))
    })
}

#[cfg(test)]
mod tests;
