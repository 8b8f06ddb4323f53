//! The size of a picture file without its pixels.
//!
//! In goes a path, out comes a [`Header`]: the size of the pixels as they are stored, and how they are turned to
//! stand upright. Only the beginning of the file is read, so a file that is cut off later passes here and is
//! refused by [`super::open`].

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat, ImageReader};
use zune_jpeg::JpegDecoder;

use super::{Fault, PictureError, check_size, guess_format, not_a_picture};

/// What the beginning of a picture file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Pixels across, as stored.
    pub width: u32,
    /// Pixels down, as stored.
    pub height: u32,
    /// How the stored pixels are turned to stand upright, by EXIF.
    pub orientation: Orientation,
}

impl Header {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// [`PictureError`] when it is none of the formats that [`super::open`] reads, or its header is damaged.
    pub fn read(path: &Path) -> Result<Self, PictureError> {
        if path.is_dir() {
            return Err(PictureError::Folder { path: path.into() });
        }
        let unreadable = |source| PictureError::Read {
            path: path.into(),
            source,
        };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut start = Vec::new();
        file.by_ref()
            .take(32)
            .read_to_end(&mut start)
            .and_then(|_| file.rewind())
            .map_err(unreadable)?;
        if start.is_empty() {
            return Err(PictureError::Empty { path: path.into() });
        }
        let Some((format, name)) = guess_format(&start) else {
            return Err(not_a_picture(path, &start));
        };
        let header = match format {
            ImageFormat::Jpeg => Self::of_jpeg(file),
            _ => Self::of_other(format, file),
        };
        let checked = header.and_then(|header| {
            check_size(header.width, header.height)?;
            Ok(header)
        });
        checked.map_err(|fault| {
            let length = std::fs::metadata(path).map_or(0, |file| file.len());
            fault.of(path, name, usize::try_from(length).unwrap_or(usize::MAX))
        })
    }

    /// Width and height of the upright picture, as [`super::open`] gives it.
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

    fn of_jpeg(file: BufReader<File>) -> Result<Self, Fault> {
        let mut decoder = JpegDecoder::new(file);
        decoder
            .decode_headers()
            .map_err(|error| Fault::Decode(error.to_string()))?;
        let info = decoder
            .info()
            .ok_or_else(|| Fault::Decode("it has no header".to_owned()))?;
        let exif = decoder
            .exif()
            .and_then(|exif| Orientation::from_exif_chunk(exif));
        Ok(Self {
            width: info.width.into(),
            height: info.height.into(),
            orientation: exif.unwrap_or(Orientation::NoTransforms),
        })
    }

    fn of_other(format: ImageFormat, file: BufReader<File>) -> Result<Self, Fault> {
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
