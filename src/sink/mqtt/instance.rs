//! Which installation of boxcam publishes under a name, so that it can remove what it published under a former one.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Hexadecimal digits of an instance ID.
const DIGITS: usize = 32;

/// Identifies one `boxcam run` on one board over restarts; the camera's name is no part of it.
///
/// It is a hash of what the board has and no other board, and of what this `boxcam run` uses and no other on that board.
/// The hash does not reveal either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceId(String);

impl InstanceId {
    /// The ID of a run on this board. `used` is what no other run uses at the same time, for example its camera. `None`
    /// if the board has no ID.
    #[must_use]
    pub fn of(used: &[&str]) -> Option<Self> {
        Self::on_board(Path::new("/"), used)
    }

    /// As [`Self::of`]; `root` is the folder of the system's files.
    #[must_use]
    pub fn on_board(root: &Path, used: &[&str]) -> Option<Self> {
        let parts = board(root)?;
        let mut hash = Sha256::new();
        for part in parts.iter().map(String::as_str).chain(used.iter().copied()) {
            // The length, so that no two lists are the same bytes.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut digits: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        digits.truncate(DIGITS);
        Some(Self(digits))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The ID of the system, and one of the hardware: the cards of several boards may be copies of one.
fn board(root: &Path) -> Option<[String; 2]> {
    let read = |path: &str| read(&root.join(path));
    let system = read("etc/machine-id").or_else(|| read("var/lib/dbus/machine-id"))?;
    let hardware = read("proc/device-tree/serial-number")
        .or_else(|| network_address(root))
        // A container sees none of these.
        .or_else(|| read("proc/sys/kernel/hostname"))?;
    Some([system, hardware])
}

/// The text of a file without space around it; `None` if it is empty or can't be read.
fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The lowest permanent address of a network device.
fn network_address(root: &Path) -> Option<String> {
    let devices = fs::read_dir(root.join("sys/class/net")).ok()?;
    let address = |device: &Path| {
        let is_physical = device.join("device").exists();
        let is_permanent = read(&device.join("addr_assign_type"))? == "0";
        let address = read(&device.join("address"))?;
        (is_physical && is_permanent).then_some(address)
    };
    devices
        .flatten()
        .filter_map(|device| address(&device.path()))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("has one")).expect("created");
        fs::write(path, text).expect("written");
    }

    fn add_device(root: &Path, name: &str, address: &str, assign_type: &str) {
        let folder = format!("sys/class/net/{name}");
        write(root, &format!("{folder}/address"), address);
        write(root, &format!("{folder}/addr_assign_type"), assign_type);
    }

    #[test]
    fn copies_of_a_card_differ_by_their_board() {
        let folder = tempfile::tempdir().expect("created");
        let root = folder.path();
        let id = || InstanceId::on_board(root, &["camera:0"]);
        assert_eq!(id(), None);
        write(root, "proc/sys/kernel/hostname", "pi\n");
        assert_eq!(id(), None);
        write(root, "var/lib/dbus/machine-id", "0123\n");
        let host = id().expect("an ID");
        write(root, "etc/machine-id", "\n");
        assert_eq!(id(), Some(host.clone()));
        add_device(root, "lo", "00:00:00:00:00:00", "0\n");
        add_device(root, "wlan0", "02:00:00:00:00:01", "3\n");
        write(root, "sys/class/net/wlan0/device/uevent", "");
        assert_eq!(id(), Some(host.clone()));
        add_device(root, "eth0", "b8:27:eb:00:00:01", "0\n");
        write(root, "sys/class/net/eth0/device/uevent", "");
        let first = id().expect("an ID");
        write(root, "sys/class/net/eth0/address", "b8:27:eb:00:00:02");
        let second = id().expect("an ID");
        write(root, "proc/device-tree/serial-number", "10000000abcd\0");
        let third = id().expect("an ID");
        assert_ne!(host, first);
        assert_ne!(first, second);
        assert_ne!(second, third);
    }

    #[test]
    fn runs_of_a_board_differ_by_what_they_use() {
        let folder = tempfile::tempdir().expect("created");
        write(folder.path(), "etc/machine-id", "0123\n");
        write(folder.path(), "proc/sys/kernel/hostname", "pi\n");
        let id = |used: &[&str]| InstanceId::on_board(folder.path(), used).expect("an ID");
        assert_eq!(id(&["camera:0", ""]), id(&["camera:0", ""]));
        assert_ne!(id(&["camera:0", ""]), id(&["camera:1", ""]));
        assert_ne!(id(&["a", "b"]), id(&["ab", ""]));
        let text = id(&["camera:0"]).0;
        assert_eq!(text.len(), DIGITS);
        assert!(!text.contains("0123"));
    }
}
