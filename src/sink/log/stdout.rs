//! Standard output as a log: mostly a pipe, but where it is a file, one that may be torn and disks that fill.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use super::file::mend;
use super::line_writer::LineWriter;

/// Standard output without the buffer that Rust puts before it, and how many bytes of a torn line were cut off
/// its end.
pub(super) fn open() -> io::Result<(LineWriter<File>, Option<u64>)> {
    let mut file = unbuffered()?;
    let length = file.metadata()?.len();
    let is_file = file.metadata()?.is_file();
    // Who writes in the middle of a file knows why; with `>>` it begins at 0, and yet writes at the end.
    let is_at_end = is_file && [0, length].contains(&file.stream_position()?);
    let mut cut = None;
    let mut writer = LineWriter::new(file.try_clone()?);
    // The shell opened it for writing only. Where it can't be read it is taken as it is.
    if is_at_end && let Ok(mut log) = File::open("/dev/fd/1") {
        cut = mend(&mut log, &mut writer)?;
        file.seek(SeekFrom::End(0))?;
    }
    Ok((writer, cut))
}

#[cfg(unix)]
fn unbuffered() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn unbuffered() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}
