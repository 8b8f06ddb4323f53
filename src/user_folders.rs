//! The folders of a user's files, by the XDG base directory specification.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder for configuration files: `$XDG_CONFIG_HOME`, else `~/.config`; `None` without a home.
#[must_use]
pub fn config() -> Option<PathBuf> {
    folder(variable("XDG_CONFIG_HOME"), variable("HOME"), ".config")
}

/// The folder for data: `$XDG_DATA_HOME`, else `~/.local/share`; `None` without a home.
#[must_use]
pub fn data() -> Option<PathBuf> {
    folder(variable("XDG_DATA_HOME"), variable("HOME"), ".local/share")
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The folder that a variable names, if it is absolute as the specification demands, else the one below the home.
fn folder(named: Option<OsString>, home: Option<OsString>, below_home: &str) -> Option<PathBuf> {
    let absolute = |folder: Option<OsString>| folder.map(PathBuf::from).filter(|f| f.is_absolute());
    absolute(named).or_else(|| Some(absolute(home)?.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_absolute_or_below_the_home() {
        for below in [".config", ".local/share"] {
            let of = |named: Option<&str>, home: Option<&str>| {
                folder(named.map(OsString::from), home.map(OsString::from), below)
            };
            assert_eq!(of(Some("/d"), Some("/h")), Some("/d".into()));
            for invalid in [None, Some(""), Some("d")] {
                assert_eq!(
                    of(invalid, Some("/h")),
                    Some(PathBuf::from("/h").join(below))
                );
            }
            assert_eq!(of(None, None), None);
        }
    }
}
