//! A folder for what is read through a path.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A folder in memory that this process writes again for each input.
pub(crate) struct Scratch(OnceLock<tempfile::TempDir>);

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(crate) fn path(&self) -> &Path {
        let memory = Path::new("/dev/shm");
        let create = || {
            let created = if memory.is_dir() {
                tempfile::tempdir_in(memory)
            } else {
                tempfile::tempdir()
            };
            created.expect("a folder can be created")
        };
        self.0.get_or_init(create).path()
    }

    /// Writes a file, and creates its parent folders.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        if fs::write(&path, bytes).is_err() {
            fs::create_dir_all(path.parent().expect("it has one")).expect("created");
            fs::write(&path, bytes).expect("written");
        }
        path
    }
}
