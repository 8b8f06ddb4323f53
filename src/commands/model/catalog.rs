//! The models that `--model` finds by name: those in the folders for models, and those that are built in.

use std::path::{Path, PathBuf};

use boxcam::model_choice::{ModelChoice, is_model_path};
use boxcam::spelling;
use boxcam::user_folders;
use thiserror::Error;

/// The name of the model file beside the program that is used without `--model`.
const DEFAULT_FILE: &str = "boxcam.onnx";

/// The folder of the models that a package or the administrator installs.
const SYSTEM_FOLDER: &str = "/usr/share/boxcam/models";

/// The folder of the models of an unpacked tarball, beside that of the program.
const SHARED_FOLDER: &str = "share/boxcam/models";

/// The folder of the user's models, below the folder for the user's data.
const USER_FOLDER: &str = "boxcam/models";

/// Where a model is. A folder that comes first hides models of the same name in later ones, and all hide built-in ones, so
/// that a newer model needs no new program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Place {
    User,
    BesideProgram,
    System,
    BuiltIn,
}

impl Place {
    pub(in crate::commands) const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::BesideProgram => "beside the program",
            Self::System => "system",
            Self::BuiltIn => "built in",
        }
    }
}

/// A model in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) struct BuiltIn {
    pub(in crate::commands) name: &'static str,
    pub(in crate::commands) bytes: &'static [u8],
}

/// The first is used if no model is given.
const BUILT_IN: &[BuiltIn] = &[
    #[cfg(feature = "embedded-model")]
    BuiltIn {
        name: "snacks",
        bytes: include_bytes!("../../../models/snacks.onnx"),
    },
    #[cfg(feature = "embedded-coco")]
    BuiltIn {
        name: "coco",
        bytes: include_bytes!("../../../models/coco.onnx"),
    },
];

/// The bytes of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) enum ModelSource {
    File(PathBuf),
    BuiltIn(BuiltIn),
}

/// A model that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct NamedModel {
    pub(in crate::commands) name: String,
    pub(in crate::commands) place: Place,
    pub(in crate::commands) source: ModelSource,
}

/// `--model` names no model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "model \"{name}\": there is none of this name{}; there {}; `boxcam models` describes them, and a file is given with its \
     path, as ./{name}", spelling::suggestion(nearest.as_deref()), listed(names)
)]
pub(crate) struct UnknownModel {
    name: String,
    /// The name that is spelt most alike, if one is.
    nearest: Option<String>,
    /// All names, without duplicates.
    names: Vec<String>,
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "are no models".to_owned(),
        [name] => format!("is {name}"),
        names => format!("are {}", names.join(", ")),
    }
}

/// Where models are looked for.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Catalog {
    /// In the order in which they are searched.
    folders: Vec<(Place, PathBuf)>,
    built_in: &'static [BuiltIn],
    /// Used without `--model`, if it exists.
    default_file: PathBuf,
}

impl Catalog {
    /// The catalog of this program, machine and user.
    pub(in crate::commands) fn of_program() -> Self {
        let program = std::env::current_exe().unwrap_or_default();
        let beside = program.parent().unwrap_or(Path::new("")).to_owned();
        let user = user_folders::data();
        let user = user.map(|folder| (Place::User, folder.join(USER_FOLDER)));
        let own = std::iter::once(beside.clone()).chain(shared(&beside));
        let own = own.map(|folder| (Place::BesideProgram, folder));
        let system = (Place::System, SYSTEM_FOLDER.into());
        Self {
            folders: user.into_iter().chain(own).chain([system]).collect(),
            built_in: BUILT_IN,
            default_file: beside.join(DEFAULT_FILE),
        }
    }

    /// All models in the order of the search: the first of a name is the one that is found.
    pub(in crate::commands) fn models(&self) -> Vec<NamedModel> {
        let folders = self.folders.iter();
        let files = folders.flat_map(|(place, folder)| {
            let files = model_files(folder).into_iter();
            files.filter_map(|file| {
                let name = file.file_stem()?.to_str()?.to_owned();
                Some(NamedModel {
                    name,
                    place: *place,
                    source: ModelSource::File(file),
                })
            })
        });
        let built_in = self.built_in.iter().map(|model| NamedModel {
            name: model.name.to_owned(),
            place: Place::BuiltIn,
            source: ModelSource::BuiltIn(*model),
        });
        files.chain(built_in).collect()
    }

    /// The model of `--model`; a name that no model has may be that of a file in the current folder.
    pub(in crate::commands) fn find(
        &self,
        choice: &ModelChoice,
    ) -> Result<ModelSource, UnknownModel> {
        let name = match choice {
            ModelChoice::File(file) => return Ok(ModelSource::File(file.clone())),
            ModelChoice::Name(name) => name,
        };
        let models = self.models();
        if let Some(model) = models.iter().find(|model| model.name == *name) {
            return Ok(model.source.clone());
        }
        if Path::new(name).is_file() {
            return Ok(ModelSource::File(name.into()));
        }
        let mut names: Vec<String> = models.into_iter().map(|model| model.name).collect();
        names.sort();
        names.dedup();
        Err(UnknownModel {
            name: name.clone(),
            nearest: spelling::nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
            names,
        })
    }

    /// The model without `--model`; `None` if there is none.
    pub(in crate::commands) fn default_model(&self) -> Option<ModelSource> {
        if self.default_file.exists() {
            return Some(ModelSource::File(self.default_file.clone()));
        }
        self.built_in.first().copied().map(ModelSource::BuiltIn)
    }

    /// The file that [`Self::default_model`] looks for.
    pub(in crate::commands) fn default_file(&self) -> &Path {
        &self.default_file
    }
}

/// The shared folder of a program in `PREFIX/bin`; `None` if it is that of the system.
fn shared(beside: &Path) -> Option<PathBuf> {
    let folder = beside.parent()?.join(SHARED_FOLDER);
    (folder != Path::new(SYSTEM_FOLDER)).then_some(folder)
}

/// The model files in a folder, sorted by name; none if it can't be read. Hidden ones are left out.
fn model_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_hidden = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| is_model_path(path) && !is_hidden(path) && path.is_file())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNACKS: BuiltIn = BuiltIn {
        name: "snacks",
        bytes: b"",
    };

    /// The folders `user` and `beside`, with empty files.
    fn catalog(files: &[&str]) -> (tempfile::TempDir, Catalog) {
        let root = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("created");
            std::fs::write(path, "").expect("written");
        }
        let folder = |name: &str| root.path().join(name);
        let catalog = Catalog {
            folders: vec![
                (Place::User, folder("user")),
                (Place::BesideProgram, folder("beside")),
            ],
            built_in: &[SNACKS],
            default_file: folder("beside/boxcam.onnx"),
        };
        (root, catalog)
    }

    fn named(name: &str) -> ModelChoice {
        ModelChoice::Name(name.to_owned())
    }

    #[test]
    fn models_are_listed_in_the_order_of_the_search() {
        let (_root, catalog) = catalog(&[
            "beside/snacks.onnx",
            "beside/boxcam.onnx",
            "beside/notes.txt",
            "user/z.ONNX",
            "user/a.onnx",
            "user/.a.onnx.onnx",
            "user/folder.onnx/x",
        ]);
        let listed: Vec<_> = catalog
            .models()
            .into_iter()
            .map(|m| (m.name, m.place))
            .collect();
        let expected = [
            ("a", Place::User),
            ("z", Place::User),
            ("boxcam", Place::BesideProgram),
            ("snacks", Place::BesideProgram),
            ("snacks", Place::BuiltIn),
        ];
        assert_eq!(
            listed,
            expected.map(|(name, place)| (name.to_owned(), place))
        );
    }

    #[test]
    fn the_first_model_of_a_name_is_found() {
        let (root, catalog) = catalog(&["beside/snacks.onnx", "user/mine.onnx"]);
        let file = |name: &str| Ok(ModelSource::File(root.path().join(name)));
        assert_eq!(catalog.find(&named("mine")), file("user/mine.onnx"));
        assert_eq!(catalog.find(&named("snacks")), file("beside/snacks.onnx"));
        // A file is not looked for: reading it names what is wrong.
        let path = PathBuf::from("nowhere/snacks.onnx");
        let found = catalog.find(&ModelChoice::File(path.clone()));
        assert_eq!(found, Ok(ModelSource::File(path)));
        std::fs::remove_file(root.path().join("beside/snacks.onnx")).expect("removed");
        assert_eq!(
            catalog.find(&named("snacks")),
            Ok(ModelSource::BuiltIn(SNACKS))
        );
    }

    #[test]
    fn a_wrong_name_gives_an_error_that_lists_the_names() {
        let (_root, catalog) = catalog(&["beside/snacks.onnx", "user/mine.onnx"]);
        let message = |name| catalog.find(&named(name)).expect_err("wrong").to_string();
        assert_eq!(
            message("snack"),
            "model \"snack\": there is none of this name (did you mean \"snacks\"?); there are mine, snacks; `boxcam models` \
             describes them, and a file is given with its path, as ./snack"
        );
        assert!(message("yolo").contains("of this name; there are mine, snacks"));
        let none = Catalog {
            folders: Vec::new(),
            built_in: &[],
            ..catalog
        };
        let message = none.find(&named("coco")).expect_err("wrong").to_string();
        assert!(message.contains("; there are no models; "), "{message}");
        assert_eq!(none.default_model(), None);
    }

    #[test]
    fn the_default_is_the_file_beside_the_program_or_the_first_that_is_built_in() {
        let (root, catalog) = catalog(&["beside/boxcam.onnx"]);
        let file = root.path().join("beside/boxcam.onnx");
        assert_eq!(
            catalog.default_model(),
            Some(ModelSource::File(file.clone()))
        );
        std::fs::remove_file(file).expect("removed");
        assert_eq!(catalog.default_model(), Some(ModelSource::BuiltIn(SNACKS)));
    }

    #[test]
    fn a_tarballs_models_are_those_of_its_prefix() {
        let of = |folder| shared(Path::new(folder));
        assert_eq!(
            of("/opt/cam/bin"),
            Some("/opt/cam/share/boxcam/models".into())
        );
        assert_eq!(of("/usr/bin"), None);
    }
}
