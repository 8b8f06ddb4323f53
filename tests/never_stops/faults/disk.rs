//! The files of the program, which are moved, removed and replaced, and limits on what it may write and open.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// The length in bytes at which the log is rotated.
pub(super) const LOG_SIZE: u64 = 20_000;

/// The most bytes that a file has while the disk is full. A limit near `LOG_SIZE` would lose no line: the log would be
/// rotated before it reaches the limit.
const FULL_LENGTH: u64 = LOG_SIZE / 2;

#[derive(Debug, Clone, Copy)]
pub(super) enum DiskFault {
    /// No file may grow beyond a few bytes more than the log has, or beyond [`FULL_LENGTH`].
    Full { space: u64 },
    /// No file, socket or pipe can be opened.
    NoFiles,
    /// The log's folder is not there.
    NoLogFolder,
    /// A folder has the name of the log.
    FolderInstead,
    /// The log is deleted.
    Deleted,
    /// The log is moved, as by logrotate.
    Moved,
    /// The log is emptied, as by logrotate's `copytruncate`.
    Emptied,
    /// The folder of the snapshots is deleted.
    NoSnapshots,
    /// A file has the name of the snapshots' folder.
    FileInstead,
}

impl DiskFault {
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
        match random.u8(..9) {
            0 => Self::Full {
                space: random.u64(..400),
            },
            1 => Self::NoFiles,
            2 => Self::NoLogFolder,
            3 => Self::FolderInstead,
            4 => Self::Deleted,
            5 => Self::Moved,
            6 => Self::Emptied,
            7 => Self::NoSnapshots,
            _ => Self::FileInstead,
        }
    }

    /// Whether the next line of the log can't be written.
    pub(super) fn loses_lines(self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::NoLogFolder | Self::FolderInstead
        )
    }
}

/// The files of one program.
pub(super) struct Disk {
    folder: PathBuf,
    program: Pid,
    moved: u32,
}

impl Disk {
    pub(super) fn new(folder: &Path, program: u32) -> Self {
        let id = i32::try_from(program).expect("small");
        fs::create_dir_all(folder.join("moved")).expect("created");
        Self {
            folder: folder.to_owned(),
            program: Pid::from_raw(id).expect("not 0"),
            moved: 0,
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("logs/log.jsonl")
    }

    fn snapshots(&self) -> PathBuf {
        self.folder.join("shots")
    }

    pub(super) fn fail(&mut self, fault: DiskFault) {
        match fault {
            DiskFault::Full { space } => {
                let length = fs::metadata(self.log()).map_or(0, |log| log.len());
                let limit = (length + space).min(FULL_LENGTH);
                self.limit(Resource::Fsize, Some(limit));
            }
            DiskFault::NoFiles => self.limit(Resource::Nofile, Some(0)),
            DiskFault::NoLogFolder => {
                fs::rename(self.folder.join("logs"), self.folder.join("away")).expect("moved");
            }
            DiskFault::FolderInstead => {
                self.move_log();
                // The program may have created the next log in between.
                while fs::create_dir(self.log()).is_err() {
                    self.move_log();
                }
            }
            DiskFault::Deleted => drop(fs::remove_file(self.log())),
            DiskFault::Moved => self.move_log(),
            DiskFault::Emptied => {
                // A log that is not there is empty.
                drop(File::options().write(true).truncate(true).open(self.log()));
            }
            DiskFault::NoSnapshots => drop(fs::remove_dir_all(self.snapshots())),
            DiskFault::FileInstead => {
                // The program may create the folder again, or a file in it.
                for _ in 0..10 {
                    let _ = fs::remove_dir_all(self.snapshots());
                    if File::create_new(self.snapshots()).is_ok() {
                        return;
                    }
                }
            }
        }
    }

    /// Ends a fault.
    pub(super) fn restore(&self, fault: DiskFault) {
        match fault {
            DiskFault::Full { .. } => self.limit(Resource::Fsize, None),
            DiskFault::NoFiles => self.limit(Resource::Nofile, getrlimit(Resource::Nofile).current),
            DiskFault::NoLogFolder => {
                fs::rename(self.folder.join("away"), self.folder.join("logs")).expect("moved");
            }
            DiskFault::FolderInstead => fs::remove_dir(self.log()).expect("empty"),
            DiskFault::FileInstead => drop(fs::remove_file(self.snapshots())),
            DiskFault::Deleted | DiskFault::Moved | DiskFault::Emptied | DiskFault::NoSnapshots => {
            }
        }
    }

    fn move_log(&mut self) {
        let kept = self.folder.join(format!("moved/{}.jsonl", self.moved));
        self.moved += 1;
        // It may not be there.
        let _ = fs::rename(self.log(), kept);
    }

    /// Sets the soft limit of the program.
    fn limit(&self, resource: Resource, current: Option<u64>) {
        let maximum = getrlimit(resource).maximum;
        let limit = Rlimit { current, maximum };
        prlimit(Some(self.program), resource, limit).expect("the program runs");
    }

    /// All logs: the present one, rotated ones and moved ones.
    pub(super) fn logs(&self) -> Vec<PathBuf> {
        let folders = ["logs", "moved"].map(|name| self.folder.join(name));
        let entries = folders
            .iter()
            .flat_map(|folder| fs::read_dir(folder).expect("there"));
        entries
            .map(|entry| entry.expect("readable").path())
            .collect()
    }
}
