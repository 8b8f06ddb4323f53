//! A picture file: bytes in, upright RGB pixels out.
//!
//! In goes a JPEG, PNG, WebP or BMP, told apart by its content and not by its ending; out comes an
//! [`RgbImage`] with 8 bits a channel, turned upright as its EXIF orientation says. Deeper channels are
//! rounded to 8 bits, grey and palettes become RGB, CMYK is converted, and what is transparent is blended
//! over white, as on a printed page. A file that is damaged or cut off is refused and never half shown;
//! one with more than [`MAX_PIXELS`] is refused before memory is taken for it. Colour profiles are not
//! applied: models are trained on the plain channel values too.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb, RgbImage, Rgba,
};
use thiserror::Error;

mod header;
mod jpeg;
pub mod motion_jpeg;

pub use header::Header;

/// The most pixels that a picture may have: 64 Mi, as in 8192 x 8192.
pub const MAX_PIXELS: u64 = 64 * 1024 * 1024;

/// Endings of the files that are taken for pictures when a folder is searched.
pub const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// The most bytes that a file or decoded pixels may have: 16 bits for each of four channels, and
/// [`SIDE_MEMORY`] for the rest.
const MAX_BYTES: u64 = MAX_PIXELS * 8 + SIDE_MEMORY;

/// What decoders may take besides the pixels (profiles, texts, tables), in bytes.
const SIDE_MEMORY: u64 = 64 * 1024 * 1024;

/// A picture that can't be used.
#[derive(Debug, Error)]
pub enum PictureError {
    /// The file can't be read.
    #[error("picture {}: can't be read ({source}); check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is a folder.
    #[error("picture {}: is a folder; give the files in it one by one", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("picture {}: is empty (0 bytes); copy it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The first bytes are of no format that is read.
    #[error(
        "picture {}: is no picture that boxcam reads (it begins with the bytes {start}); \
         expected JPEG, PNG, WebP or BMP",
        path.display()
    )]
    NotAPicture {
        /// The file.
        path: PathBuf,
        /// The first bytes, in hexadecimal.
        start: String,
    },
    /// A side has no pixels.
    #[error("picture {}: is {width} x {height} pixels, expected at least 1 x 1; save it again", path.display())]
    ZeroSized {
        /// The file.
        path: PathBuf,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// It has more than [`MAX_PIXELS`].
    #[error(
        "picture {}: is {width} x {height} pixels, the limit is {MAX_PIXELS} pixels (8192 x 8192); \
         scale it down first",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The file ends before the picture does.
    #[error("picture {}: the {format} is cut off after {length} bytes; copy it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// How much of it is there.
        length: usize,
    },
    /// The file is damaged, or of a kind that the decoder doesn't know.
    #[error("picture {}: the {format} can't be decoded ({message}); save it again as 8-bit {format} or PNG", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// The decoder's words.
        message: String,
    },
}

/// What went wrong, before it is known in which file.
#[derive(Debug)]
enum Fault {
    ZeroSized(u32, u32),
    TooLarge(u32, u32),
    Truncated,
    Decode(String),
}

impl Fault {
    /// The fault with the file that it is in, of a format and so many bytes.
    fn of(self, path: &Path, format: &'static str, length: usize) -> PictureError {
        let path = path.to_path_buf();
        match self {
            Self::ZeroSized(width, height) => PictureError::ZeroSized {
                path,
                width,
                height,
            },
            Self::TooLarge(width, height) => PictureError::TooLarge {
                path,
                width,
                height,
            },
            Self::Truncated => PictureError::Truncated {
                path,
                format,
                length,
            },
            Self::Decode(message) => PictureError::Decode {
                path,
                format,
                message,
            },
        }
    }
}

impl PictureError {
    /// The file that can't be used.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::Folder { path }
            | Self::Empty { path }
            | Self::NotAPicture { path, .. }
            | Self::ZeroSized { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Truncated { path, .. }
            | Self::Decode { path, .. } => path,
        }
    }
}

/// Reads a picture file.
///
/// # Errors
/// [`PictureError`] with the path as it is given here.
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

/// The bytes of a file, of a device without an end no more than any picture could have.
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

/// Decodes the bytes of a picture file; `name` is what errors call it.
///
/// # Errors
/// [`PictureError`] with the name in it; never [`PictureError::Read`] or [`PictureError::Folder`].
pub fn decode(name: &Path, bytes: &[u8]) -> Result<RgbImage, PictureError> {
    if bytes.is_empty() {
        let path = name.to_path_buf();
        return Err(PictureError::Empty { path });
    }
    let Some((format, format_name)) = guess_format(bytes) else {
        return Err(not_a_picture(name, bytes));
    };
    let decoded = match format {
        ImageFormat::Jpeg => jpeg::decode(bytes),
        _ => decode_other(format, bytes),
    };
    decoded.map_err(|fault| fault.of(name, format_name, bytes.len()))
}

fn not_a_picture(name: &Path, bytes: &[u8]) -> PictureError {
    let start = bytes.iter().take(8).map(|byte| format!("{byte:02x}"));
    PictureError::NotAPicture {
        path: name.to_path_buf(),
        start: start.collect::<Vec<_>>().join(" "),
    }
}

/// Encodes a picture as a JPEG of a quality from 1 to 100.
///
/// # Errors
/// [`ImageError`] if a side has no pixels, or more than the 65535 that a JPEG can have.
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(image)?;
    Ok(bytes)
}

/// Whether the path has the ending of a picture, in whatever case.
#[must_use]
pub fn is_image_path(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

fn guess_format(bytes: &[u8]) -> Option<(ImageFormat, &'static str)> {
    let format = image::guess_format(bytes).ok()?;
    let name = match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        _ => return None,
    };
    Some((format, name))
}

fn check_size(width: u32, height: u32) -> Result<(), Fault> {
    if width == 0 || height == 0 {
        Err(Fault::ZeroSized(width, height))
    } else if u64::from(width) * u64::from(height) > MAX_PIXELS {
        Err(Fault::TooLarge(width, height))
    } else {
        Ok(())
    }
}

fn decode_other(format: ImageFormat, bytes: &[u8]) -> Result<RgbImage, Fault> {
    if format == ImageFormat::Png {
        // The decoder refuses a PNG without pixels in words that nobody understands.
        if let Some((width, height)) = png_size(bytes) {
            check_size(width, height)?;
        }
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    // A broken EXIF block doesn't spoil the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(over_white(picture))
}

impl From<ImageError> for Fault {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Self::Truncated
            }
            other => Self::Decode(other.to_string()),
        }
    }
}

/// Width and height from the first chunk of a PNG.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.get(12..24)?.strip_prefix(b"IHDR")?;
    let (width, height) = header.split_first_chunk()?;
    let height = height.first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

/// RGB with what is transparent blended over white.
fn over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let blend = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let Rgba([red, green, blue, alpha]) = *picture.get_pixel(x, y);
        Rgb([red, green, blue].map(|colour| blend(colour, alpha)))
    })
}

#[cfg(test)]
mod tests;
