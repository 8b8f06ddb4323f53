//! Where the system says what there is: its files, and the programs on the path.

use std::io::Read as _;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A machine as its files show it.
pub(super) struct Machine {
    /// `/`, or in a test the folder that stands for it.
    root: PathBuf,
}

impl Machine {
    /// The one that this program runs on.
    pub(super) fn this() -> Self {
        Self { root: "/".into() }
    }

    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// A file of the system, by its path without the first `/`.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a file of the system without what ends it, if it is there.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.path(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        // The device tree ends its texts with a zero.
        Some(text.trim_end_matches(['\0', '\n', ' ']).to_owned())
    }

    /// Names in a folder of the system, sorted; none where it isn't there.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Whether it is a Raspberry Pi.
    pub(super) fn is_raspberry_pi(&self) -> bool {
        self.read("proc/device-tree/model")
            .is_some_and(|model| model.contains("Raspberry Pi"))
    }
}

/// What a program prints on both its outputs, if it is there and ends within that time.
pub(super) fn output_of(program: &str, arguments: &[&str], patience: Duration) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + patience;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() > deadline {
            // It may have ended just now; either way there is nothing to be had from it.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    child.stderr.take()?.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Whether a program is on the path.
pub(super) fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_asked_but_not_for_ever() {
        let said = output_of("sh", &["-c", "echo a; echo b >&2"], Duration::from_secs(30));
        assert_eq!(said.as_deref(), Some("a\nb\n"));
        assert_eq!(output_of("sleep", &["60"], Duration::from_millis(50)), None);
        assert_eq!(
            output_of("no such program", &[], Duration::from_secs(1)),
            None
        );
        assert!(has_program("sh") && !has_program("no such program"));
    }
}
