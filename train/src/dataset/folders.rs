//! A folder of pictures for each class and no boxes: `CLASS/any.jpg`, or `train/CLASS/any.jpg` and so on. The class
//! is the folder that the picture lies in.

use std::path::Path;

use super::{Dataset, DatasetError, Part, Picture, files};

pub(super) fn is_in(root: &Path) -> Result<bool, DatasetError> {
    Ok(!read(root)?.pictures.is_empty())
}

pub(super) fn read(root: &Path) -> Result<Dataset, DatasetError> {
    let mut dataset = Dataset::default();
    let mut without_class = 0;
    for path in files::pictures(root)? {
        let part = Part::in_folders(root, &path);
        let folder = path.parent().filter(|folder| *folder != root);
        let name = folder
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy());
        // A folder that is called after a split is no class.
        let class = name.filter(|_| folder.is_some_and(|folder| !names_a_part(folder, root)));
        match class {
            Some(class) => dataset.pictures.push(Picture {
                part,
                folder: Some(class.into_owned()),
                rows: Vec::new(),
                path,
            }),
            None => without_class += 1,
        }
    }
    if without_class > 0 {
        let words = format!("{without_class} pictures lie in no folder of a class");
        dataset.notes.push(words);
    }
    Ok(dataset)
}

/// Whether the last folder of a path is called after a split.
fn names_a_part(folder: &Path, root: &Path) -> bool {
    let parent = folder.parent().unwrap_or(root);
    Part::in_folders(parent, &folder.join("picture")).is_some()
}
