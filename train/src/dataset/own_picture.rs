//! The picture of an annotation file that belongs to one picture.
//!
//! It is the one with the name of the annotation file. The name inside of the file is often stale, since pictures and
//! annotation files are renamed together, and it counts only if there is no picture of the first name.

use std::cmp::Reverse;
use std::path::Path;

use super::files::{PictureIndex, shared_folders, stem_of};

pub(super) struct OwnPictures<'p, 'f> {
    pictures: &'p PictureIndex<'f>,
    /// What the name inside of the file is called.
    field: &'static str,
    /// The first stale name and the picture that is used instead, and how many there are.
    stale: Option<(String, usize)>,
}

impl<'p, 'f> OwnPictures<'p, 'f> {
    pub(super) fn new(pictures: &'p PictureIndex<'f>, field: &'static str) -> Self {
        Self {
            pictures,
            field,
            stale: None,
        }
    }

    /// The picture of `file`, which names its picture by the first of `names` that is known.
    pub(super) fn find(&mut self, file: &Path, names: &[String]) -> Option<&'f Path> {
        let near = |path: &Path| Reverse(shared_folders(path, file));
        let stem = stem_of(file);
        // Some tools keep the extension of the picture: a.jpg.xml.
        let own = [stem.clone(), stem_of(Path::new(&stem))];
        let own = own.iter().map(|stem| self.pictures.with_stem(stem));
        let own: Vec<&Path> = own.flatten().copied().collect();
        let named = |name: &String| self.pictures.find(name, near);
        let Some(nearest) = own.iter().map(|path| near(path)).min() else {
            return names.iter().find_map(named).map(|found| found.path);
        };
        // Of a.jpg and a.png beside each other, the name inside of the file decides.
        let own: Vec<&Path> = own
            .into_iter()
            .filter(|path| near(path) == nearest)
            .collect();
        let mut named = names.iter().filter_map(named).map(|found| found.path);
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

fn is_of_another(name: &str, picture: &Path) -> bool {
    use boxcam::picture_name::{file_name, fold, spellings};
    let own = fold(&stem_of(picture));
    let stems = spellings(name);
    let mut stems = stems.iter().map(|spelling| file_name(spelling));
    !stems.any(|name| fold(name) == own || fold(&stem_of(Path::new(name))) == own)
}
