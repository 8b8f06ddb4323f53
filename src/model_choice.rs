//! The model that a command is to use: a name that is looked up, or a file.

use std::ffi::OsString;
use std::path::{Path, PathBuf, is_separator};

/// A model by its name or its file.
///
/// A text with a path separator or the extension `.onnx` is a file, any other one a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    Name(String),
    File(PathBuf),
}

/// Whether a file has the extension of a model.
#[must_use]
pub fn is_model_path(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

impl From<OsString> for ModelChoice {
    fn from(text: OsString) -> Self {
        match text.into_string() {
            Ok(text) if !text.contains(is_separator) && !is_model_path(Path::new(&text)) => {
                Self::Name(text)
            }
            Ok(text) => Self::File(text.into()),
            Err(text) => Self::File(text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_file_and_any_other_text_is_a_name() {
        for text in [
            "m.onnx",
            "M.ONNX",
            "./coco",
            "/srv/coco",
            "models/",
            ".onnx/",
        ] {
            let choice = ModelChoice::from(OsString::from(text));
            assert_eq!(choice, ModelChoice::File(text.into()), "{text}");
        }
        for text in ["coco", "snacks-small", "v1.5", "onnx", ".onnx", ""] {
            let choice = ModelChoice::from(OsString::from(text));
            assert_eq!(choice, ModelChoice::Name(text.to_owned()), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_text_that_is_not_unicode_is_a_file() {
        use std::os::unix::ffi::OsStringExt as _;
        let text = OsString::from_vec(vec![b'm', 0xFF]);
        assert_eq!(
            ModelChoice::from(text.clone()),
            ModelChoice::File(text.into())
        );
    }
}
