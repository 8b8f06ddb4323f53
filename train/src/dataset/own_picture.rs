//! The picture of an annotation file that belongs to one picture.
//!
//! It is the one with the name of the annotation file. The name inside of the file is often stale, since pictures and
//! annotation files are renamed together, and it counts only if there is no picture of the first name. Of several
//! annotation files with the name of one picture, the nearest in the folders has it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use boxcam::picture::is_image_path;

use super::files::{PictureIndex, shared_folders, stem_of};

pub(super) struct OwnPictures<'p, 'f> {
    pictures: &'p PictureIndex<'f>,
    /// What the name inside of the file is called.
    field: &'static str,
    /// The first stale name and the picture that is used instead, and how many there are.
    stale: Option<(String, usize)>,
    /// How many folders each picture shares with the nearest annotation file of its name.
    nearest: BTreeMap<&'f Path, usize>,
    found: BTreeSet<&'f Path>,
}

/// What [`OwnPictures::find`] finds.
pub(super) enum OwnPicture<'f> {
    Found(&'f Path),
    /// An annotation file before this one has the picture.
    Taken(&'f Path),
    Missing,
}

impl<'p, 'f> OwnPictures<'p, 'f> {
    /// `field` is what the name inside of the files is called.
    pub(super) fn new<'a>(
        pictures: &'p PictureIndex<'f>,
        field: &'static str,
        files: impl IntoIterator<Item = &'a Path>,
    ) -> Self {
        let mut nearest: BTreeMap<&Path, usize> = BTreeMap::new();
        for file in files {
            for picture in with_name_of(file, pictures) {
                let shared = nearest.entry(picture).or_default();
                *shared = shared_folders(picture, file).max(*shared);
            }
        }
        Self {
            pictures,
            field,
            stale: None,
            nearest,
            found: BTreeSet::new(),
        }
    }

    /// The picture of `file`, which names its picture by the first of `names` that is known.
    pub(super) fn find(&mut self, file: &Path, names: &[String]) -> OwnPicture<'f> {
        match self.find_any(file, names) {
            None => OwnPicture::Missing,
            Some(picture) if self.found.insert(picture) => OwnPicture::Found(picture),
            Some(picture) => OwnPicture::Taken(picture),
        }
    }

    fn find_any(&mut self, file: &Path, names: &[String]) -> Option<&'f Path> {
        let near = |path: &Path| Reverse(shared_folders(path, file));
        let mut own = with_name_of(file, self.pictures);
        let is_nearest = |path: &&Path| self.nearest.get(path) == Some(&shared_folders(path, file));
        own.retain(is_nearest);
        let mut named = names
            .iter()
            .filter_map(|name| self.pictures.find(name, near))
            .map(|found| found.path);
        let Some(nearest) = own.iter().map(|path| near(path)).min() else {
            // A picture of its own annotation file is not meant.
            return named.find(|path| !self.nearest.contains_key(path));
        };
        // Of a.jpg and a.png beside each other, the name inside of the file decides.
        own.retain(|path| near(path) == nearest);
        let named_among_own = named.find(|path| own.contains(path));
        let picture = named_among_own.or_else(|| own.first().copied())?;
        let name = names.first().filter(|name| is_of_another(name, picture));
        if let Some(name) = name {
            let message = || format!("{} names {name}", file.display());
            self.stale.get_or_insert_with(|| (message(), 0)).1 += 1;
        }
        Some(picture)
    }

    /// A message about stale names, if there are any.
    pub(super) fn note(self) -> Option<String> {
        let (first, count) = self.stale?;
        let field = self.field;
        Some(format!(
            "{field} is stale in {count} files ({first}); the picture with the file's own name is used"
        ))
    }
}

/// The pictures with the name of an annotation file: `a.jpg` for `a.xml` and `a.jpg.xml`.
fn with_name_of<'f>(file: &Path, pictures: &PictureIndex<'f>) -> Vec<&'f Path> {
    let stem = stem_of(file);
    let found = pictures.with_stem(&stem).iter();
    let bare = is_image_path(Path::new(&stem)).then(|| stem_of(Path::new(&stem)));
    let of_bare = bare.map_or(&[][..], |stem| pictures.with_stem(&stem));
    found.chain(of_bare).copied().collect()
}

fn is_of_another(name: &str, picture: &Path) -> bool {
    use boxcam::picture_name::{file_name, fold, spellings};
    let own = fold(&stem_of(picture));
    let stems = spellings(name);
    let mut stems = stems.iter().map(|spelling| file_name(spelling));
    !stems.any(|name| fold(name) == own || fold(&stem_of(Path::new(name))) == own)
}
