//! Recognizes what a file is by its first bytes, and knows the command that converts what boxcam does not read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The format of a picture, film or document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    Jpeg,
    Png,
    WebP,
    Bmp,
    /// HEIF pictures in HEVC, as phones take them.
    Heic,
    Avif,
    JpegXl,
    Jpeg2000,
    JpegXr,
    Gif,
    Tiff,
    /// The unprocessed picture of a camera's sensor, in any maker's format.
    CameraRaw,
    Psd,
    Svg,
    Ico,
    Tga,
    Qoi,
    Pnm,
    OpenExr,
    RadianceHdr,
    Dicom,
    Pdf,
    PostScript,
    Mp4,
    QuickTime,
    Avi,
    Matroska,
    MpegStream,
    Wmv,
    FlashVideo,
    Ogg,
    /// H.264 or H.265 without a container.
    H264,
    Yuv4Mpeg,
    /// JPEGs one after the other; known by the extension only, since it begins as a JPEG does.
    MotionJpeg,
    Html,
    Archive,
    /// The text that stands for a file in a repository that uses Git LFS.
    LfsPointer,
    /// What macOS keeps beside a file on a disk of another system, as `._photo.jpg`.
    AppleDouble,
}

use FileKind::{
    AppleDouble, Archive, Avi, Avif, Bmp, CameraRaw, Dicom, FlashVideo, Gif, H264, Heic, Html, Ico,
    Jpeg, Jpeg2000, JpegXl, JpegXr, LfsPointer, Matroska, MotionJpeg, Mp4, MpegStream, Ogg,
    OpenExr, Pdf, Png, Pnm, PostScript, Psd, Qoi, QuickTime, RadianceHdr, Svg, Tga, Tiff, WebP,
    Wmv, Yuv4Mpeg,
};

/// Signatures at offset 0, a longer one before its prefix.
const SIGNATURES: [(&[u8], FileKind); 54] = [
    (b"\xff\xd8\xff", Jpeg),
    (b"\x89PNG\r\n\x1a\n", Png),
    (b"GIF87a", Gif),
    (b"GIF89a", Gif),
    (b"\xff\x0a", JpegXl),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JpegXl),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Jpeg2000),
    (b"\xff\x4f\xff\x51", Jpeg2000),
    (b"II\xbc\x01", JpegXr),
    // Canon's CR2 is a TIFF with a mark behind its header.
    (b"II*\0\x10\0\0\0CR", CameraRaw),
    (b"II*\0", Tiff),
    (b"MM\0*", Tiff),
    (b"II+\0", Tiff),
    (b"MM\0+", Tiff),
    // Olympus, Panasonic, Fujifilm, Canon's CRW, Minolta and Sigma.
    (b"IIRO", CameraRaw),
    (b"IIRS", CameraRaw),
    (b"MMOR", CameraRaw),
    (b"IIU\0", CameraRaw),
    (b"FUJIFILMCCD-RAW", CameraRaw),
    (b"II\x1a\0\0\0HEAPCCDR", CameraRaw),
    (b"\0MRM", CameraRaw),
    (b"FOVb", CameraRaw),
    (b"8BPS", Psd),
    (b"\0\0\x01\0", Ico),
    (b"\0\0\x02\0", Ico),
    (b"qoif", Qoi),
    (b"\x76\x2f\x31\x01", OpenExr),
    (b"#?RADIANCE", RadianceHdr),
    (b"#?RGBE", RadianceHdr),
    (b"%PDF-", Pdf),
    (b"\xef\xbb\xbf%PDF-", Pdf),
    (b"%!PS", PostScript),
    (b"\xc5\xd0\xd3\xc6", PostScript),
    (b"\x1a\x45\xdf\xa3", Matroska),
    (b"\0\0\x01\xba", MpegStream),
    (b"\0\0\x01\xb3", MpegStream),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Wmv),
    (b"FLV\x01", FlashVideo),
    (b"OggS", Ogg),
    (b"\0\0\0\x01", H264),
    (b"\0\0\x01", H264),
    (b"YUV4MPEG2", Yuv4Mpeg),
    (b"PK\x03\x04", Archive),
    (b"PK\x05\x06", Archive),
    (b"\x1f\x8b", Archive),
    (b"BZh", Archive),
    (b"\xfd7zXZ\0", Archive),
    (b"7z\xbc\xaf\x27\x1c", Archive),
    (b"Rar!\x1a\x07", Archive),
    (b"\x28\xb5\x2f\xfd", Archive),
    (b"version https://git-lfs.github.com/", LfsPointer),
    (b"\0\x05\x16\x07", AppleDouble),
    (b"\0\x05\x16\0", AppleDouble),
    (b"BM", Bmp),
];

/// File name extensions, in lower case; without those that other files have too (`.ts`, `.raw`).
const EXTENSIONS: [(&[&str], FileKind); 31] = [
    (&["jpg", "jpeg", "jpe", "jfif"], Jpeg),
    (&["png", "apng"], Png),
    (&["webp"], WebP),
    (&["bmp", "dib"], Bmp),
    (&["heic", "heif", "hif", "heics", "heifs"], Heic),
    (&["avif", "avifs"], Avif),
    (&["jxl"], JpegXl),
    (
        &["jp2", "j2k", "jpf", "jpx", "jpm", "j2c", "jpc", "jph"],
        Jpeg2000,
    ),
    (&["jxr", "wdp", "hdp"], JpegXr),
    (&["gif"], Gif),
    (&["tif", "tiff"], Tiff),
    (
        &[
            "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos",
            "mrw", "nef", "nrw", "orf", "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f",
        ],
        CameraRaw,
    ),
    (&["psd", "psb"], Psd),
    (&["svg", "svgz"], Svg),
    (&["ico"], Ico),
    (&["tga"], Tga),
    (&["qoi"], Qoi),
    (&["pbm", "pgm", "pnm", "ppm", "pam", "pfm"], Pnm),
    (&["exr"], OpenExr),
    (&["hdr"], RadianceHdr),
    (&["dcm"], Dicom),
    (&["pdf"], Pdf),
    (&["mp4", "m4v", "3gp", "3g2"], Mp4),
    (&["mov", "qt"], QuickTime),
    (&["avi"], Avi),
    (&["mkv", "webm"], Matroska),
    (&["mpg", "mpeg", "vob", "mts", "m2ts", "m2t"], MpegStream),
    (&["wmv", "asf"], Wmv),
    (&["flv"], FlashVideo),
    (&["mjpg", "mjpeg"], MotionJpeg),
    (&["y4m"], Yuv4Mpeg),
];

impl FileKind {
    /// The number of bytes at the beginning of a file that [`FileKind::of`] looks at.
    pub const START_LENGTH: usize = 1024;

    /// The kind of a file that begins with these bytes; `None` if it is none of them.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        let start = &start[..start.len().min(Self::START_LENGTH)];
        let signature = SIGNATURES.iter().find(|(bytes, _)| {
            start.starts_with(bytes)
                // Two bytes are too few to tell a text from a bitmap.
                && (*bytes != b"BM" || !is_text(start))
        });
        signature
            .map(|(_, kind)| *kind)
            .or_else(|| of_riff(start))
            .or_else(|| of_boxes(start))
            .or_else(|| of_text(start))
            .or_else(|| of_distant_signature(start))
    }

    /// The kind of a file by its first bytes.
    ///
    /// # Errors
    /// If the file can't be opened or read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut start = Vec::with_capacity(Self::START_LENGTH);
        File::open(path)?
            .take(Self::START_LENGTH as u64)
            .read_to_end(&mut start)?;
        Ok(Self::of(&start))
    }

    /// The kind that the extension of a file name stands for, in upper or lower case.
    #[must_use]
    pub fn of_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let found = EXTENSIONS
            .iter()
            .find(|(extensions, _)| extensions.contains(&&*extension));
        found.map(|(_, kind)| *kind)
    }

    /// Whether boxcam reads it as a picture.
    #[must_use]
    pub fn is_readable(self) -> bool {
        matches!(self, Jpeg | Png | WebP | Bmp)
    }

    /// Whether it holds a film, which ffmpeg can pipe into boxcam.
    #[must_use]
    pub fn is_film(self) -> bool {
        matches!(
            self,
            Mp4 | QuickTime
                | Avi
                | Matroska
                | MpegStream
                | Wmv
                | FlashVideo
                | Ogg
                | H264
                | Yuv4Mpeg
                | MotionJpeg
        )
    }

    /// The name of the format, with the words that a sentence needs after "is".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Jpeg => "JPEG",
            Png => "PNG",
            WebP => "WebP",
            Bmp => "BMP",
            Heic => "HEIC",
            Avif => "AVIF",
            JpegXl => "JPEG XL",
            Jpeg2000 => "JPEG 2000",
            JpegXr => "JPEG XR",
            Gif => "GIF",
            Tiff => "TIFF",
            CameraRaw => "camera RAW",
            Psd => "PSD",
            Svg => "SVG",
            Ico => "ICO",
            Tga => "TGA",
            Qoi => "QOI",
            Pnm => "PNM",
            OpenExr => "OpenEXR",
            RadianceHdr => "Radiance HDR",
            Dicom => "DICOM",
            Pdf => "PDF",
            PostScript => "PostScript",
            Mp4 => "MP4",
            QuickTime => "QuickTime (MOV)",
            Avi => "AVI",
            Matroska => "Matroska or WebM",
            MpegStream => "MPEG",
            Wmv => "WMV",
            FlashVideo => "FLV",
            Ogg => "Ogg",
            H264 => "H.264 or H.265",
            Yuv4Mpeg => "YUV4MPEG2",
            MotionJpeg => "motion JPEG",
            Html => "HTML",
            Archive => "an archive",
            LfsPointer => "a Git LFS pointer",
            AppleDouble => "an AppleDouble file of macOS",
        }
    }

    /// The next step for a file of this kind that boxcam can't read as a picture, with the command for it.
    #[must_use]
    pub fn advice(self, path: &Path) -> String {
        let input = quoted(&path.display().to_string());
        let output = |extension: &str| quoted(&converted(path, extension).display().to_string());
        let numbered = quoted(&numbered(path).display().to_string());
        let (jpeg, png) = (output("jpg"), output("png"));
        match self {
            Heic => format!(
                "convert it to JPEG: `heif-convert {input} {jpeg}` (of libheif), or with a recent ffmpeg \
                 `ffmpeg -i {input} {jpeg}`"
            ),
            Avif => format!(
                "convert it to PNG or JPEG: `ffmpeg -i {input} {png}`, or `avifdec {input} {png}`"
            ),
            JpegXl => format!(
                "convert it to PNG or JPEG: `djxl {input} {png}`, or `ffmpeg -i {input} {png}`"
            ),
            Gif | Ico => {
                format!("convert it to PNG: `ffmpeg -i {input} -frames:v 1 {png}`")
            }
            Jpeg | Png | WebP | Bmp | Tiff | Psd | Tga | Qoi | Pnm | OpenExr | RadianceHdr
            | Jpeg2000 => {
                format!("convert it to PNG or JPEG: `ffmpeg -i {input} {png}`")
            }
            JpegXr => format!("convert it to PNG or JPEG: `magick {input} {png}`"),
            CameraRaw => format!(
                "develop it to JPEG: `darktable-cli {input} {jpeg}`, or `magick {input} {jpeg}`"
            ),
            Svg => format!("draw it as PNG: `rsvg-convert -o {png} {input}`"),
            Dicom => format!("convert it to PNG: `dcmj2pnm +on {input} {png}`"),
            Pdf => {
                let prefix = quoted(&path.with_extension("").display().to_string());
                format!("make JPEGs of its pages: `pdftoppm -jpeg -r 150 {input} {prefix}`")
            }
            PostScript => format!("draw it as PNG: `gs -sDEVICE=png16m -r150 -o {png} {input}`"),
            Yuv4Mpeg | MotionJpeg => format!("replay it: `boxcam run --source {input}`"),
            Mp4 | QuickTime | Avi | Matroska | MpegStream | Wmv | FlashVideo | Ogg | H264 => {
                format!(
                    "run boxcam on the film: `ffmpeg -i {input} -q:v 3 -f mjpeg - | boxcam run --source -`, or save a \
                 frame each second: `ffmpeg -i {input} -r 1 -q:v 3 {numbered}`"
                )
            }
            Html => "a server sent a page in place of the picture; download the picture again"
                .to_owned(),
            Archive => "unpack it and give the pictures in it".to_owned(),
            LfsPointer => "get the file itself: `git lfs pull`".to_owned(),
            AppleDouble => "give the file without `._` in front of its name".to_owned(),
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

fn of_riff(start: &[u8]) -> Option<FileKind> {
    if !start.starts_with(b"RIFF") {
        return None;
    }
    match start.get(8..12)? {
        b"WEBP" => Some(WebP),
        b"AVI " | b"AVIX" => Some(Avi),
        _ => None,
    }
}

/// The boxes of MPEG-4, QuickTime and HEIF: a length, a type, and in a file type box the brands.
fn of_boxes(start: &[u8]) -> Option<FileKind> {
    match start.get(4..8)? {
        b"ftyp" => {}
        b"moov" | b"mdat" | b"wide" | b"pnot" => return Some(QuickTime),
        _ => return None,
    }
    let length = u32::from_be_bytes(*start.first_chunk()?) as usize;
    let brands = start[8..length.clamp(8, start.len())].chunks_exact(4);
    // The second field is a version.
    let brands: Vec<&[u8]> = brands
        .enumerate()
        .filter_map(|(at, brand)| (at != 1).then_some(brand))
        .collect();
    let has = |wanted: &[&[u8; 4]]| {
        brands
            .iter()
            .any(|brand| wanted.iter().any(|wanted| *brand == *wanted))
    };
    // The first brand says what the file is, unless it stands for any HEIF picture.
    Some(match *brands.first()? {
        b"avif" | b"avis" => Avif,
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => Heic,
        b"mif1" | b"mif2" | b"msf1" | b"miaf" if has(&[b"avif", b"avis"]) => Avif,
        b"mif1" | b"mif2" | b"msf1" | b"miaf" => Heic,
        b"jp2 " | b"jpx " | b"jpm " | b"jph " => Jpeg2000,
        b"jxl " => JpegXl,
        b"crx " => CameraRaw,
        b"qt  " => QuickTime,
        _ => Mp4,
    })
}

/// Formats of text, behind a byte-order mark, blanks, declarations and comments.
fn of_text(start: &[u8]) -> Option<FileKind> {
    if let [b'P', b'1'..=b'7' | b'F' | b'f', blank, ..] = start
        && blank.is_ascii_whitespace()
    {
        return Some(Pnm);
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let text = text.trim_ascii_start().to_ascii_lowercase();
    if !text.starts_with(b"<") {
        return None;
    }
    let has = |tag: &[u8]| text.windows(tag.len()).any(|window| window == tag);
    if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        Some(Html)
    } else if has(b"<svg") || text.starts_with(b"<!doctype svg") {
        Some(Svg)
    } else {
        has(b"<html").then_some(Html)
    }
}

/// Signatures that are not at the beginning.
fn of_distant_signature(start: &[u8]) -> Option<FileKind> {
    /// The lengths of the packets of a transport stream, and the offset of the first byte of one.
    const PACKETS: [(usize, usize); 2] = [(188, 0), (192, 4)];
    if start.get(128..132) == Some(b"DICM") {
        return Some(Dicom);
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(Archive);
    }
    let is_synchronized = |(packet, offset): &(usize, usize)| {
        let mut bytes = (0..4).map(|number| start.get(offset + number * packet));
        bytes.all(|byte| byte == Some(&0x47))
    };
    if PACKETS.iter().any(is_synchronized) {
        return Some(MpegStream);
    }
    // Readers accept a PDF behind a kilobyte of anything.
    let is_pdf = start.windows(5).any(|window| window == b"%PDF-");
    is_pdf.then_some(Pdf)
}

fn is_text(start: &[u8]) -> bool {
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    start.iter().all(is_text)
}

/// A name beside the file for its converted copy, which is not the file itself and not there yet.
fn converted(path: &Path, extension: &str) -> std::path::PathBuf {
    let beside = path.with_extension(extension);
    if path == beside || beside.exists() {
        let mut name = path.file_stem().unwrap_or_default().to_os_string();
        name.push(format!("-converted.{extension}"));
        return path.with_file_name(name);
    }
    beside
}

/// The pattern of the names of frames beside a film.
fn numbered(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push("-%05d.jpg");
    path.with_file_name(name)
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+,%@:=".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    let word = word.replace('\'', r"'\''");
    // A program takes a word that begins with a dash for an option.
    let here = if word.starts_with('-') { "./" } else { "" };
    format!("'{here}{word}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file type box with these brands.
    fn file_type(brands: &[&[u8; 4]]) -> Vec<u8> {
        let (first, others) = brands.split_first().expect("one at least");
        let parts = [&[0; 4][..], b"ftyp", *first, &[0; 4]];
        let mut bytes = parts.concat();
        for brand in others {
            bytes.extend_from_slice(*brand);
        }
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        [&bytes[..], &[0, 0, 1, 0x59], b"meta"].concat()
    }

    #[test]
    fn brands_tell_heic_avif_raw_and_films() {
        let cases: [(&[&[u8; 4]], FileKind); 12] = [
            (&[b"heic", b"mif1", b"MiHB", b"heic"], Heic),
            (&[b"mif1", b"heic"], Heic),
            (&[b"msf1", b"hevc"], Heic),
            (&[b"heix"], Heic),
            (&[b"avif", b"mif1", b"miaf"], Avif),
            (&[b"mif1", b"miaf", b"avif"], Avif),
            (&[b"avis"], Avif),
            (&[b"crx ", b"isom"], CameraRaw),
            (&[b"qt  "], QuickTime),
            (&[b"isom", b"iso2", b"avc1", b"mp41"], Mp4),
            (&[b"M4V ", b"mp42"], Mp4),
            (&[b"3gp5"], Mp4),
        ];
        for (brands, expected) in cases {
            assert_eq!(
                FileKind::of(&file_type(brands)),
                Some(expected),
                "{brands:?}"
            );
        }
        assert_eq!(FileKind::of(b"\0\0\0\x18ftyphe"), None, "cut off");
        assert_eq!(FileKind::of(b"\0\0\0\x08wide\0\0"), Some(QuickTime));
    }

    #[test]
    fn signatures_are_recognized() {
        let transport = [&[0x47][..], &[0; 187]].concat().repeat(5);
        let tape = [&[0; 257][..], b"ustar\0", &[0; 100]].concat();
        let dicom = [&[0; 128][..], b"DICM", &[2, 0]].concat();
        let cases: [(&[u8], FileKind); 33] = [
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Jpeg),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Png),
            (b"RIFF\x24\0\0\0WEBPVP8 ", WebP),
            (b"BM\x36\0\x03\0\0\0\0\0", Bmp),
            (b"GIF89a\x01\0\x01\0", Gif),
            (b"\xff\x0a\xfa\x1f", JpegXl),
            (b"\0\0\0\x0cJXL \r\n\x87\n", JpegXl),
            (b"\0\0\0\x0cjP  \r\n\x87\n", Jpeg2000),
            (b"II*\0\x08\0\0\0", Tiff),
            (b"MM\0*\0\0\0\x08", Tiff),
            (b"II*\0\x10\0\0\0CR\x02\0", CameraRaw),
            (b"FUJIFILMCCD-RAW 0201", CameraRaw),
            (b"8BPS\0\x01", Psd),
            (b"\0\0\x01\0\x01\0", Ico),
            (b"P6\n640 480\n255\n", Pnm),
            (b"%PDF-1.7\n", Pdf),
            (b"\n\n%PDF-1.4", Pdf),
            (b"%!PS-Adobe-3.0", PostScript),
            (b"RIFF\0\x10\0\0AVI LIST", Avi),
            (b"\x1a\x45\xdf\xa3\x9f", Matroska),
            (b"\0\0\x01\xba\x44", MpegStream),
            (&transport, MpegStream),
            (b"\0\0\0\x01\x67\x42", H264),
            (b"FLV\x01\x05", FlashVideo),
            (b"YUV4MPEG2 W8 H8\n", Yuv4Mpeg),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\">", Svg),
            (
                b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- x -->\n<svg>",
                Svg,
            ),
            (b"\n<!DOCTYPE html><html><body><svg>", Html),
            (b"PK\x03\x04\x14\0", Archive),
            (&tape, Archive),
            (&dicom, Dicom),
            (b"version https://git-lfs.github.com/spec/v1\n", LfsPointer),
            (b"\0\x05\x16\x07\0\x02", AppleDouble),
        ];
        for (start, expected) in cases {
            let shown = String::from_utf8_lossy(&start[..start.len().min(24)]);
            assert_eq!(FileKind::of(start), Some(expected), "{shown}");
        }
        let others: [&[u8]; 6] = [
            b"",
            b"image_id,x_min\n",
            b"RIFF\x24\0\0\0WAVEfmt ",
            b"BMW and others\n",
            b"<annotation><filename>a.jpg</filename></annotation>",
            b"PDF",
        ];
        for other in others {
            assert_eq!(
                FileKind::of(other),
                None,
                "{}",
                String::from_utf8_lossy(other)
            );
        }
    }

    #[test]
    fn any_bytes_are_accepted() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
            if bytes.len() > 8 && random.bool() {
                bytes[4..8].copy_from_slice(b"ftyp");
            }
            // Any kind or none, but no panic.
            let _ = FileKind::of(&bytes);
        }
    }

    #[test]
    fn extensions_are_known_in_any_case() {
        let of = |path: &str| FileKind::of_extension(Path::new(path));
        assert_eq!(of("d/IMG_1.HEIC"), Some(Heic));
        assert_eq!(of("a.b.Tiff"), Some(Tiff));
        assert_eq!(of("x.NEF"), Some(CameraRaw));
        assert_eq!(of("x.csv"), None);
        assert_eq!(of("heic"), None);
        for extension in crate::picture::EXTENSIONS {
            let name = format!("p.{extension}");
            let kind = of(&name).expect("known");
            assert!(kind.is_readable(), "{extension}");
        }
    }

    #[test]
    fn the_advice_is_a_command_that_never_overwrites_a_file() {
        let folder = tempfile::tempdir().expect("created");
        let at = |name: &str| folder.path().join(name);
        let shown = |name: &str| at(name).display().to_string();
        let heic = Heic.advice(&at("a.heic"));
        let command = format!("`heif-convert {} {}`", shown("a.heic"), shown("a.jpg"));
        assert!(heic.contains(&command), "{heic}");
        std::fs::write(at("a.jpg"), "mine").expect("written");
        for name in ["a.heic", "a.jpg"] {
            let heic = Heic.advice(&at(name));
            assert!(heic.contains(&shown("a-converted.jpg")), "{heic}");
        }
        let film = Mp4.advice(Path::new("my film's.mp4"));
        assert!(film.contains(r"`ffmpeg -i 'my film'\''s.mp4' "), "{film}");
        assert!(film.contains("| boxcam run --source -"), "{film}");
        let dash = Gif.advice(Path::new("-x.gif"));
        assert!(dash.contains("ffmpeg -i './-x.gif' "), "{dash}");
    }
}
