//! Finds the picture of a row by folder and image id.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::AnnotatedPicture;
use crate::picture::{EXTENSIONS, is_image_path};
use crate::picture_name::{file_name, fold, spellings};

/// Pictures by folder and by file name without extension, both folded: index and file name of each.
pub(super) struct PictureIndex(BTreeMap<(String, String), Vec<(usize, String)>>);

impl PictureIndex {
    pub(super) fn new(pictures: &[AnnotatedPicture]) -> Self {
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, picture) in pictures.iter().enumerate() {
            let text =
                |name: Option<&OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
            let key = (fold(&picture.folder), fold(&text(picture.path.file_stem())));
            let name = text(picture.path.file_name());
            by_name.entry(key).or_default().push((index, name));
        }
        Self(by_name)
    }

    /// The index of `FOLDER/IMAGE_ID.jpg`, or of the same with another extension. The id may be a file name or a path too.
    pub(super) fn find(&self, folder: &str, image_id: &str) -> Option<usize> {
        let folders = spellings(folder);
        let ids = spellings(image_id);
        let pairs = ids
            .iter()
            .flat_map(|id| folders.iter().map(move |folder| (folder, id)));
        pairs
            .filter_map(|(folder, id)| self.find_spelled(file_name(folder), file_name(id)))
            .next()
    }

    fn find_spelled(&self, folder: &str, id: &str) -> Option<usize> {
        let named = |stem: &str| self.0.get(&(fold(folder), fold(stem)));
        if let Some(found) = named(id) {
            return best(found, |name| stem(name) != id);
        }
        if !is_image_path(Path::new(id)) {
            return None;
        }
        best(named(stem(id))?, |name| name != id)
    }
}

/// Of pictures with equal folded names: first one that is not `other`, then by [`EXTENSIONS`].
fn best(found: &[(usize, String)], other: impl Fn(&str) -> bool) -> Option<usize> {
    let order = |name: &str| {
        let extension = Path::new(name).extension().unwrap_or_default();
        let mut known = EXTENSIONS.iter();
        known.position(|known| extension.eq_ignore_ascii_case(known))
    };
    let best = found
        .iter()
        .min_by_key(|(_, name)| (other(name), order(name)));
    best.map(|(index, _)| *index)
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
