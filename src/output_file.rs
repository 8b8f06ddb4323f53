//! Writes files whole or not at all, and never over a file that boxcam did not write.
//!
//! boxcam recognizes its own files by a mark, so that a second run may replace them: the text `Software` of a PNG, the
//! comment of a JPEG, the software (`ISFT`) of an AVI, the generator of an HTML page, a comment in an SVG image, the card or
//! the producer of a model. A table or JSON file is its own if it begins as the new one does. Any other file, link or folder of that name
//! is left as it is, and so is a read-only file.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::NamedTempFile;
use thiserror::Error;

use crate::card::METADATA_KEY;
use crate::diagnostics::writing_advice;

/// A file that was not written. The old one, if any, is unchanged.
#[derive(Debug, Error)]
pub enum OutputFileError {
    #[error("{}: {reason}, so it is left as it is; move it away, or choose another name or folder", path.display())]
    Kept { path: PathBuf, reason: KeptReason },
    #[error("{}: can't be written ({source}); {}", path.display(), writing_advice(source))]
    Write { path: PathBuf, source: io::Error },
}

/// Why a file is not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptReason {
    /// Another program has written it.
    Foreign,
    ReadOnly,
    /// It can't be read, so who has written it is unknown.
    Unreadable,
    Link,
    Folder,
    /// A device or pipe.
    Special,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteSettings {
    /// Flush it to the disk before it gets its name, so that a power cut leaves no empty file.
    pub sync: bool,
    /// The time of modification; by default that of the write.
    pub modified: Option<SystemTime>,
}

/// Writes a file under a temporary name in the same folder and renames it when it is complete. Pictures, pages and charts
/// get boxcam's mark. Returns the number of bytes written.
///
/// # Errors
/// [`OutputFileError`]
pub fn write(path: &Path, bytes: &[u8], settings: WriteSettings) -> Result<u64, OutputFileError> {
    let bytes = marked(bytes);
    let failed = |source| OutputFileError::Write {
        path: path.into(),
        source,
    };
    check_replaceable(path, &bytes)?;
    let complete = write_temporary(path, &bytes, settings).map_err(failed)?;
    persist(complete, path, &bytes)?;
    Ok(bytes.len() as u64)
}

/// Gives a complete file, which begins with `start`, its name.
fn persist(complete: NamedTempFile, path: &Path, start: &[u8]) -> Result<(), OutputFileError> {
    // Another program may have written the file since it was checked.
    match complete.persist_noclobber(path) {
        Ok(_) => Ok(()),
        // It exists, or the file system has neither links nor a rename that replaces nothing.
        Err(refused) => {
            check_replaceable(path, start)?;
            match refused.file.persist(path) {
                Ok(_) => Ok(()),
                Err(error) => Err(OutputFileError::Write {
                    path: path.into(),
                    source: error.error,
                }),
            }
        }
    }
}

/// A file that is written bit by bit under a temporary name. It is removed if it is dropped before it is complete.
#[derive(Debug)]
pub struct PendingFile {
    file: NamedTempFile,
    /// Bytes since the disk was last asked to write.
    unwritten: usize,
}

/// So many bytes wait in memory before the disk begins to write them, so that the sync at the end is short.
const WRITEBACK_BYTES: usize = 1 << 20;

impl PendingFile {
    /// Creates a file beside the one that it will become.
    ///
    /// # Errors
    /// If the folder does not exist or can't be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: create_temporary(path)?,
            unwritten: 0,
        })
    }

    /// Gives it its name. `start` is its first bytes, with boxcam's mark.
    ///
    /// # Errors
    /// [`OutputFileError`]
    pub fn complete(
        self,
        path: &Path,
        start: &[u8],
        settings: WriteSettings,
    ) -> Result<(), OutputFileError> {
        let finished = finish_temporary(&self.file, settings);
        finished.map_err(|source| OutputFileError::Write {
            path: path.into(),
            source,
        })?;
        persist(self.file, path, start)
    }

    /// Lets the disk write what it has so far. What it refuses, the sync at the end reports.
    fn start_writeback(&mut self) {
        self.unwritten = 0;
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{Advice, fadvise};
            // Nobody reads it soon, so the kernel writes it now and frees the memory.
            let _ = fadvise(self.file.as_file(), 0, None, Advice::DontNeed);
        }
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unwritten += written;
        if self.unwritten >= WRITEBACK_BYTES {
            self.start_writeback();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for PendingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Whether this is a picture, film, page or chart that boxcam has written and may delete. Links, read-only files and whatever
/// can't be read are not.
#[must_use]
pub fn may_delete(path: &Path) -> bool {
    let is_writable = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file() && !metadata.permissions().readonly());
    is_writable && read_start(path).is_ok_and(|start| is_marked(&start))
}

/// Whether the name is that of a file of [`write()`] that is not complete.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    let rest = name.strip_prefix(TEMPORARY_PREFIX);
    let inner = rest.and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX));
    inner.is_some_and(|inner| {
        let process = inner.split_once('-').map_or(inner, |(process, _)| process);
        process.parse::<u32>().is_ok()
    })
}

/// Deletes what [`write()`] has left in the folder in programs that were killed. What can't be deleted stays.
pub fn remove_abandoned(folder: &Path) {
    let is_running = |name: &str| {
        let rest = name.strip_prefix(TEMPORARY_PREFIX).unwrap_or_default();
        let digits = rest.find(|letter: char| !letter.is_ascii_digit());
        let process = &rest[..digits.unwrap_or(rest.len())];
        // Without a list of processes, none is known to have ended.
        !Path::new("/proc/self").exists() || Path::new("/proc").join(process).exists()
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && is_temporary(&name) && !is_running(&name) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl fmt::Display for KeptReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Foreign => "exists and was not written by boxcam",
            Self::ReadOnly => "exists and is read-only",
            Self::Unreadable => "exists and can't be read",
            Self::Link => "exists and is a link",
            Self::Folder => "exists and is a folder",
            Self::Special => "exists and is a device or pipe",
        })
    }
}

const TEMPORARY_PREFIX: &str = ".boxcam-";
const TEMPORARY_SUFFIX: &str = ".part";

/// A complete file under a temporary name, which is removed if it is dropped.
fn write_temporary(
    path: &Path,
    bytes: &[u8],
    settings: WriteSettings,
) -> io::Result<NamedTempFile> {
    let mut file = create_temporary(path)?;
    file.write_all(bytes)?;
    finish_temporary(&file, settings)?;
    Ok(file)
}

/// An empty file under a temporary name, beside a path.
fn create_temporary(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let process = std::process::id();
    let named = |prefix: &str, random: usize| {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix(prefix)
            .suffix(TEMPORARY_SUFFIX)
            .rand_bytes(random);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The user's mask applies, as for any file.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        builder.tempfile_in(folder)
    };
    match named(&format!("{TEMPORARY_PREFIX}{process}"), 0) {
        // Of another thread, or of a program that was killed.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            named(&format!("{TEMPORARY_PREFIX}{process}-"), 6)
        }
        created => created,
    }
}

fn finish_temporary(file: &NamedTempFile, settings: WriteSettings) -> io::Result<()> {
    if let Some(time) = settings.modified {
        // Some file systems have no times.
        let _ = file.as_file().set_modified(time);
    }
    if settings.sync {
        file.as_file().sync_data()?;
    }
    Ok(())
}

/// Checks that [`write()`] would not replace a file that boxcam did not write.
///
/// # Errors
/// [`OutputFileError::Kept`]
pub fn check_replaceable(path: &Path, new: &[u8]) -> Result<(), OutputFileError> {
    match kept_reason(path, new) {
        None => Ok(()),
        Some(reason) => Err(OutputFileError::Kept {
            path: path.into(),
            reason,
        }),
    }
}

/// Why the file at the path, if there is one, can't be replaced by these bytes.
fn kept_reason(path: &Path, new: &[u8]) -> Option<KeptReason> {
    // Any other error is that of the write too, which reports it.
    let metadata = path.symlink_metadata().ok()?;
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return Some(KeptReason::Link);
    } else if kind.is_dir() {
        return Some(KeptReason::Folder);
    } else if !kind.is_file() {
        return Some(KeptReason::Special);
    }
    let is_own = if is_marked(new) {
        read_start(path).map(|start| is_marked(&start))
    } else if is_own_model(new) {
        fs::read(path).map(|old| is_own_model(&old))
    } else {
        read_start(path).map(|start| begins_alike(&start, new))
    };
    match is_own {
        Ok(true) if metadata.permissions().readonly() => Some(KeptReason::ReadOnly),
        Ok(true) => None,
        Ok(false) => Some(KeptReason::Foreign),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(_) => Some(KeptReason::Unreadable),
    }
}

/// The bytes in which a mark is looked for.
const START_LENGTH: u64 = 4096;

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?
        .take(START_LENGTH)
        .read_to_end(&mut start)?;
    Ok(start)
}

/// A chunk `tEXt` with `Software` = `boxcam`, and its checksum.
const PNG_MARK: &[u8] = b"\0\0\0\x0ftEXtSoftware\0boxcam\x24\xbd\xab\x5f";
/// The signature and the header chunk.
const PNG_HEADER_LENGTH: usize = 33;
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// A comment segment.
const JPEG_MARK: &[u8] = b"\xff\xfe\0\x08boxcam";
/// The list `INFO` with the text `ISFT` = `boxcam`. [`crate::sink::clips`] writes it behind the headers of a film.
pub(crate) const AVI_MARK: &[u8] = b"LIST\x14\0\0\0INFOISFT\x07\0\0\0boxcam\0\0";
const HTML_MARK: &str = "<meta name=\"generator\" content=\"boxcam\">";
const SVG_MARK: &str = "<!-- Software: boxcam -->";

/// The file with boxcam's mark, if it is of a format that has one.
#[must_use]
pub fn marked(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (at, mark) = if bytes.starts_with(PNG_SIGNATURE) && bytes.len() > PNG_HEADER_LENGTH {
        (PNG_HEADER_LENGTH, PNG_MARK)
    } else if let Some(at) = behind_jpeg_header(bytes) {
        (at, JPEG_MARK)
    } else if let Some(at) = behind_svg_tag(bytes) {
        (at, SVG_MARK.as_bytes())
    } else if let Some(at) = behind_html_head(bytes) {
        (at, HTML_MARK.as_bytes())
    } else {
        return Cow::Borrowed(bytes);
    };
    if bytes[at..].starts_with(mark) {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned([&bytes[..at], mark, &bytes[at..]].concat())
}

/// Whether the beginning of a picture, film, page or chart has the mark where [`marked`] puts it.
fn is_marked(start: &[u8]) -> bool {
    let has = |at: usize, mark: &[u8]| start.get(at..).is_some_and(|rest| rest.starts_with(mark));
    (start.starts_with(PNG_SIGNATURE) && has(PNG_HEADER_LENGTH, PNG_MARK))
        || behind_jpeg_header(start).is_some_and(|at| has(at, JPEG_MARK))
        || behind_avi_headers(start).is_some_and(|at| has(at, AVI_MARK))
        || behind_svg_tag(start).is_some_and(|at| has(at, SVG_MARK.as_bytes()))
        || behind_html_head(start).is_some_and(|at| has(at, HTML_MARK.as_bytes()))
}

/// The offset behind the JFIF segment, which must come first, or behind the start marker.
fn behind_jpeg_header(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.strip_prefix(b"\xff\xd8")?;
    match rest.strip_prefix(b"\xff\xe0") {
        Some(segment) => {
            let length = u16::from_be_bytes(*segment.first_chunk()?);
            let behind = 4 + usize::from(length);
            (behind <= bytes.len()).then_some(behind)
        }
        None => Some(2),
    }
}

/// The offset behind the list `hdrl`, which comes first in an AVI.
fn behind_avi_headers(bytes: &[u8]) -> Option<usize> {
    const LIST: usize = 12;
    let is_avi = bytes.starts_with(b"RIFF") && bytes.get(8..16) == Some(b"AVI LIST");
    let size = bytes.get(LIST + 4..LIST + 8)?.first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    is_avi.then(|| size.checked_add(LIST + 8)).flatten()
}

fn behind_svg_tag(bytes: &[u8]) -> Option<usize> {
    const TAG: &[u8] = b"<svg";
    let start = &bytes[..bytes.len().min(START_LENGTH as usize)];
    if !start.starts_with(TAG) && !start.starts_with(b"<?xml") {
        return None;
    }
    let tag = start.windows(TAG.len()).position(|window| window == TAG)?;
    let end = start[tag..].iter().position(|&byte| byte == b'>')?;
    Some(tag + end + 1)
}

fn behind_html_head(bytes: &[u8]) -> Option<usize> {
    const HEAD: &[u8] = b"<head>";
    let start = &bytes[..bytes.len().min(START_LENGTH as usize)];
    if !start.get(..9)?.eq_ignore_ascii_case(b"<!doctype") {
        return None;
    }
    let at = start
        .windows(HEAD.len())
        .position(|window| window == HEAD)?;
    Some(at + HEAD.len())
}

/// Whether a model has boxcam's card, or a model or checkpoint has boxcam-train as its producer.
fn is_own_model(bytes: &[u8]) -> bool {
    const PRODUCER: &[u8] = b"boxcam-train";
    let has = |bytes: &[u8], name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    has(&bytes[..bytes.len().min(64)], PRODUCER) || has(bytes, METADATA_KEY.as_bytes())
}

/// Whether two texts have the same beginning: the column names of a table, the first key of JSON.
fn begins_alike(old: &[u8], new: &[u8]) -> bool {
    let (old, new) = (beginning(old), beginning(new));
    // Some tables have more columns with other options.
    let is_extended = |short: &[u8], long: &[u8]| {
        let rest = long.strip_prefix(short);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b","))
    };
    is_text(new) && !old.is_empty() && (is_extended(old, new) || is_extended(new, old))
}

fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(START_LENGTH as usize)];
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    !start.iter().any(is_control)
}

/// The text up to the end of the first line with a letter; of JSON only up to its first key.
fn beginning(text: &[u8]) -> &[u8] {
    let text = &text[..text.len().min(START_LENGTH as usize)];
    let letter = text.iter().position(u8::is_ascii_alphabetic);
    let is_end =
        |&byte: &u8| byte == b'\n' || (byte == b':' && matches!(text.first(), Some(b'[' | b'{')));
    let end = letter.and_then(|at| text[at..].iter().position(is_end).map(|end| at + end));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, RgbImage};
    use test_support::file_names;

    use super::*;
    use crate::picture;

    const TEXT: &[u8] = b"threshold,found\n0.5,1\n";

    fn jpeg() -> Vec<u8> {
        picture::encode_jpeg(&RgbImage::new(8, 8), 90).expect("encoded")
    }

    fn png() -> Vec<u8> {
        let mut file = io::Cursor::new(Vec::new());
        let image = RgbImage::new(8, 8);
        image
            .write_to(&mut file, ImageFormat::Png)
            .expect("encoded");
        file.into_inner()
    }

    /// A file of each format that boxcam writes.
    fn formats() -> [(&'static str, Vec<u8>); 6] {
        let model = [&b"\x08\x08\x12\x0cboxcam-train"[..], &[0; 100]].concat();
        [
            ("a.png", png()),
            ("a.jpg", jpeg()),
            (
                "a.html",
                b"<!DOCTYPE html><html lang=\"en\"><head><title>x".to_vec(),
            ),
            (
                "a.svg",
                b"<svg xmlns=\"http://www.w3.org/2000/svg\">".to_vec(),
            ),
            ("a.csv", TEXT.to_vec()),
            ("a.onnx", model),
        ]
    }

    fn save(path: &Path, bytes: &[u8]) -> Result<u64, OutputFileError> {
        write(path, bytes, WriteSettings::default())
    }

    #[track_caller]
    fn assert_kept(path: &Path, bytes: &[u8], expected: KeptReason) {
        let before = fs::read(path).ok();
        let error = save(path, bytes).expect_err("kept");
        assert!(
            matches!(&error, OutputFileError::Kept { reason, .. } if *reason == expected),
            "{error}"
        );
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
        assert_eq!(fs::read(path).ok(), before);
    }

    #[test]
    fn own_files_are_replaced_and_others_are_kept() {
        let folder = tempfile::tempdir().expect("created");
        for (name, bytes) in formats() {
            let path = folder.path().join(name);
            save(&path, &bytes).expect("written");
            let again = save(&path, &bytes).expect("replaced");
            assert_eq!(again, fs::metadata(&path).expect("there").len(), "{name}");
            let foreign: [&[u8]; 5] = [b"", b"mine", b"<html><head>", &png(), &jpeg()];
            for foreign in foreign {
                fs::write(&path, foreign).expect("written");
                assert_kept(&path, &bytes, KeptReason::Foreign);
            }
        }
        assert_eq!(
            file_names(folder.path()).len(),
            formats().len(),
            "no temporary file is left"
        );
    }

    #[test]
    fn marked_pictures_show_the_same() {
        for bytes in [png(), jpeg()] {
            let marked = marked(&bytes);
            assert!(is_marked(&marked) && !is_marked(&bytes));
            assert_eq!(super::marked(&marked), marked, "marked once");
            let decode = |bytes: &[u8]| image::load_from_memory(bytes).expect("valid");
            assert_eq!(decode(&marked), decode(&bytes));
            let name = Path::new("p");
            assert_eq!(
                picture::decode(name, &marked).expect("valid"),
                picture::decode(name, &bytes).expect("valid")
            );
        }
    }

    #[test]
    fn any_beginning_is_accepted() {
        for (_, bytes) in formats() {
            for length in 0..bytes.len() {
                let part = marked(&bytes[..length]);
                assert!(part.len() >= length);
                is_own_model(&part);
                beginning(&part);
            }
        }
    }

    #[test]
    fn tables_and_json_are_recognized_by_their_beginning() {
        assert_eq!(beginning(TEXT), b"threshold,found");
        assert_eq!(
            beginning(b"[\n  {\n    \"value\": 1\n  }\n]"),
            b"[\n  {\n    \"value\""
        );
        assert_eq!(beginning(b"1\n2\n"), b"1\n2\n");
        let wider = b"threshold,found,false alarms\n0.5,1,0\n";
        assert!(begins_alike(TEXT, wider) && begins_alike(wider, TEXT));
        for other in [
            &b""[..],
            b"t",
            b"threshold",
            b"threshold,found it\n",
            b"name,price\n",
        ] {
            let is_alike = begins_alike(other, TEXT);
            assert_eq!(
                is_alike,
                other == b"threshold",
                "{}",
                String::from_utf8_lossy(other)
            );
        }
        // The models of other programs begin alike too.
        assert!(begins_alike(TEXT, TEXT) && !begins_alike(b"\x08\x08a\nb", b"\x08\x08a\nb"));
    }

    #[test]
    fn a_folder_is_kept_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().expect("created");
        assert_kept(folder.path(), TEXT, KeptReason::Folder);
        let error = save(&folder.path().join("none/a.csv"), TEXT).expect_err("no folder");
        assert!(matches!(error, OutputFileError::Write { .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_devices_and_read_only_files_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("created");
        let at = |name: &str| folder.path().join(name);
        save(&at("own.csv"), TEXT).expect("written");
        symlink(at("own.csv"), at("link.csv")).expect("linked");
        symlink(at("nowhere"), at("broken.csv")).expect("linked");
        for name in ["link.csv", "broken.csv"] {
            assert_kept(&at(name), TEXT, KeptReason::Link);
            assert!(at(name).is_symlink());
        }
        assert_kept(Path::new("/dev/null"), TEXT, KeptReason::Special);
        fs::set_permissions(at("own.csv"), fs::Permissions::from_mode(0o444)).expect("set");
        assert_kept(&at("own.csv"), TEXT, KeptReason::ReadOnly);
    }

    #[cfg(unix)]
    #[test]
    fn the_other_name_of_a_file_keeps_its_content() {
        let folder = tempfile::tempdir().expect("created");
        let at = |name: &str| folder.path().join(name);
        save(&at("one.csv"), TEXT).expect("written");
        fs::hard_link(at("one.csv"), at("two.csv")).expect("linked");
        save(&at("one.csv"), b"threshold,found\n").expect("replaced");
        assert_eq!(fs::read(at("two.csv")).expect("there"), TEXT);
    }

    #[test]
    fn a_film_with_the_mark_is_replaced_and_another_one_is_kept() {
        let folder = tempfile::tempdir().expect("created");
        let path = folder.path().join("a.avi");
        let film = |mark: &[u8]| [b"RIFF\0\0\0\0AVI LIST\x04\0\0\0hdrl", mark, b"rest"].concat();
        let own = film(AVI_MARK);
        let foreign = film(b"LIST\x1a\0\0\0INFOISFT\x0d\0\0\0Lavf58.29.100");
        for _ in 0..2 {
            let mut pending = PendingFile::create(&path).expect("created");
            pending.write_all(&own).expect("written");
            let completed = pending.complete(&path, &own, WriteSettings::default());
            completed.expect("its own");
            assert!(may_delete(&path));
        }
        fs::write(&path, &foreign).expect("written");
        assert!(!may_delete(&path));
        assert_kept(&path, &own, KeptReason::Foreign);
        let pending = PendingFile::create(&path).expect("created");
        let completed = pending.complete(&path, &own, WriteSettings::default());
        assert!(matches!(completed, Err(OutputFileError::Kept { .. })));
        drop(PendingFile::create(&path).expect("created"));
        assert_eq!(
            file_names(folder.path()),
            ["a.avi"],
            "no temporary file is left"
        );
        for length in 0..own.len() {
            assert!(behind_avi_headers(&own[..length]).is_none_or(|at| at == 24));
        }
    }

    #[test]
    fn a_file_that_appears_during_the_write_is_kept() {
        let folder = tempfile::tempdir().expect("created");
        let path = folder.path().join("a.csv");
        let complete = write_temporary(&path, TEXT, WriteSettings::default()).expect("written");
        fs::write(&path, "mine").expect("written");
        let refused = complete.persist_noclobber(&path).expect_err("exists");
        drop(refused);
        assert_eq!(file_names(folder.path()), ["a.csv"]);
        assert_eq!(fs::read(&path).expect("there"), b"mine");
    }

    #[test]
    fn the_time_of_modification_is_set() {
        let folder = tempfile::tempdir().expect("created");
        let path = folder.path().join("a.csv");
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000);
        let settings = WriteSettings {
            sync: true,
            modified: Some(time),
        };
        write(&path, TEXT, settings).expect("written");
        let metadata = fs::metadata(&path).expect("there");
        assert_eq!(metadata.modified().expect("known"), time);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_of_killed_programs_are_deleted() {
        let folder = tempfile::tempdir().expect("created");
        let running = format!(".boxcam-{}-abc123.part", std::process::id());
        // Above the largest number that a process can have.
        let ended = ".boxcam-4194305.part";
        for name in [&running, ended, "mine.part"] {
            fs::write(folder.path().join(name), "half").expect("written");
        }
        remove_abandoned(folder.path());
        assert_eq!(file_names(folder.path()), [&running, "mine.part"]);
    }

    #[test]
    fn temporary_files_are_recognized_by_their_name() {
        let folder = tempfile::tempdir().expect("created");
        let path = folder.path().join("a.csv");
        let complete = write_temporary(&path, TEXT, WriteSettings::default()).expect("written");
        let name = complete
            .path()
            .file_name()
            .expect("has one")
            .to_string_lossy();
        assert!(is_temporary(&name), "{name}");
        assert!(is_temporary(".boxcam-12.part"));
        for name in [
            ".boxcam-.part",
            ".boxcam-x-1.part",
            "boxcam-12.part",
            ".boxcam-12",
        ] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
