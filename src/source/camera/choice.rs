//! Which device files a choice of camera means, at this moment.
//!
//! In go the choice and where Linux keeps devices, out come candidates in the order to try them. It is
//! asked anew each time that a camera is opened, so that one that comes back under another number is found.

use std::path::{Path, PathBuf};

use super::fault;
use crate::camera_choice::CameraChoice;
use crate::source::SourceError;

/// Where Linux keeps cameras.
pub(super) struct DevicePaths {
    /// The folder of `videoN`.
    pub(super) devices: PathBuf,
    /// The folder of links that are named after what is plugged in.
    pub(super) by_id: PathBuf,
}

impl Default for DevicePaths {
    fn default() -> Self {
        Self {
            devices: "/dev".into(),
            by_id: "/dev/v4l/by-id".into(),
        }
    }
}

impl DevicePaths {
    /// The devices that are meant, the first to try first. `name_of` asks a device what it calls itself.
    pub(super) fn candidates(
        &self,
        choice: &CameraChoice,
        name_of: impl Fn(&Path) -> Option<String>,
    ) -> Result<Vec<PathBuf>, SourceError> {
        match choice {
            CameraChoice::First => Ok(self.all()),
            CameraChoice::Number(number) => Ok(vec![self.devices.join(format!("video{number}"))]),
            CameraChoice::Device(path) => Ok(vec![path.clone()]),
            CameraChoice::Named(name) => self.named(name, name_of),
        }
    }

    /// All video devices, in the order of their numbers.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.devices).into_iter().flatten();
        let paths = entries.flatten().map(|entry| entry.path());
        let mut numbered: Vec<(u32, PathBuf)> = paths
            .filter_map(|path| Some((number_of(&path)?, path)))
            .collect();
        numbered.sort_unstable();
        numbered.into_iter().map(|(_, path)| path).collect()
    }

    fn named(
        &self,
        name: &str,
        name_of: impl Fn(&Path) -> Option<String>,
    ) -> Result<Vec<PathBuf>, SourceError> {
        let link = self.by_id.join(name);
        if !name.contains('/') && link.exists() {
            return Ok(vec![link]);
        }
        let wanted = name.to_lowercase();
        let names: Vec<(PathBuf, String)> = self
            .all()
            .into_iter()
            .filter_map(|path| Some((name_of(&path)?, path)))
            .map(|(name, path)| (path, name))
            .collect();
        let is_wanted = |(_, name): &&(PathBuf, String)| name.to_lowercase().contains(&wanted);
        let found: Vec<PathBuf> = names
            .iter()
            .filter(is_wanted)
            .map(|it| it.0.clone())
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let mut known: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
        known.dedup();
        let known = match known.as_slice() {
            [] => "none has a name".to_owned(),
            known => format!("there are: {}", known.join(", ")),
        };
        let advice =
            "plug it in, or name a camera by a part of its name or by its entry in /dev/v4l/by-id";
        Err(fault(
            name,
            format!("no camera here has this name ({known}); {advice}"),
        ))
    }

    /// The names in `/dev/v4l/by-id` that lead to a device.
    pub(super) fn links(&self, device: &Path) -> Vec<String> {
        let Ok(device) = device.canonicalize() else {
            return Vec::new();
        };
        let entries = std::fs::read_dir(&self.by_id).into_iter().flatten();
        let leads = |path: &PathBuf| path.canonicalize().is_ok_and(|real| real == device);
        let paths = entries.flatten().map(|entry| entry.path()).filter(leads);
        let mut names: Vec<String> = paths
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        names.sort_unstable();
        names
    }
}

/// N of a device file `videoN`.
pub(super) fn number_of(path: &Path) -> Option<u32> {
    path.file_name()?
        .to_str()?
        .strip_prefix("video")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with devices of these numbers.
    fn places(numbers: &[u32]) -> (tempfile::TempDir, DevicePaths) {
        let folder = tempfile::tempdir().expect("a folder");
        let places = DevicePaths {
            devices: folder.path().to_owned(),
            by_id: folder.path().join("v4l/by-id"),
        };
        std::fs::create_dir_all(&places.by_id).expect("made");
        for number in numbers {
            std::fs::write(folder.path().join(format!("video{number}")), "").expect("written");
        }
        (folder, places)
    }

    /// What the devices of the tests call themselves.
    fn name_of(path: &Path) -> Option<String> {
        let name = match number_of(path)? {
            0 | 1 => "Integrated Camera: Integrated C",
            2 => "HD Pro Webcam C920",
            _ => return None,
        };
        Some(name.to_owned())
    }

    fn found(places: &DevicePaths, choice: &str) -> Vec<String> {
        let choice: CameraChoice = choice.parse().expect(choice);
        let paths = places.candidates(&choice, name_of).expect("some");
        let name = |path: PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        paths.into_iter().filter_map(name).collect()
    }

    #[test]
    fn devices_are_found_by_number_and_in_order() {
        let (folder, places) = places(&[10, 2, 0]);
        for name in ["video", "videox", "audio1", "video-1"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        assert_eq!(found(&places, "auto"), ["video0", "video2", "video10"]);
        assert_eq!(found(&places, "7"), ["video7"]);
        std::fs::remove_file(folder.path().join("video0")).expect("removed");
        assert_eq!(found(&places, "auto"), ["video2", "video10"], "asked anew");
    }

    #[test]
    fn names_are_those_of_links_or_parts_of_what_devices_call_themselves() {
        let (folder, places) = places(&[0, 1, 2, 3]);
        let link = "usb-046d_HD_Pro_Webcam_C920_A1-video-index0";
        symlink("../../video2", places.by_id.join(link)).expect("linked");
        assert_eq!(found(&places, link), [link]);
        assert_eq!(found(&places, "c920"), ["video2"]);
        assert_eq!(found(&places, "integrated"), ["video0", "video1"]);
        assert_eq!(places.links(&folder.path().join("video2")), [link]);
        assert!(places.links(&folder.path().join("video0")).is_empty());
        // It is unplugged, and comes back as another.
        std::fs::remove_file(folder.path().join("video2")).expect("removed");
        let gone = CameraChoice::Named(link.to_owned());
        let said = places
            .candidates(&gone, name_of)
            .expect_err("gone")
            .to_string();
        for part in [link, "no camera here has this name", "Integrated Camera"] {
            assert!(said.contains(part), "{said}");
        }
        std::fs::remove_file(places.by_id.join(link)).expect("removed");
        symlink("../../video3", places.by_id.join(link)).expect("linked");
        assert_eq!(found(&places, link), [link]);
        assert_eq!(places.links(&folder.path().join("video3")), [link]);
    }

    #[test]
    fn a_place_without_devices_has_none() {
        let places = DevicePaths {
            devices: "/no/such/folder".into(),
            by_id: "/no/such/folder".into(),
        };
        assert!(places.all().is_empty() && places.links(Path::new("/dev/null")).is_empty());
        let named = CameraChoice::Named("front".to_owned());
        let said = places
            .candidates(&named, name_of)
            .expect_err("none")
            .to_string();
        assert!(said.contains("none has a name"), "{said}");
    }
}
