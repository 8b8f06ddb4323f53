//! The broker of the options: its address with the login from the URL, a file or the environment, and its certificates.

use std::env;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use boxcam::address::BrokerAddress;
use boxcam::diagnostics::reading_advice;
use boxcam::options::RunOptions;
use boxcam::sink::mqtt::BrokerTls;
use thiserror::Error;

use super::Failure;

const USER_VARIABLE: &str = "BOXCAM_MQTT_USER";
const PASSWORD_VARIABLE: &str = "BOXCAM_MQTT_PASSWORD";

/// The most bytes of a file with a password. The path may be a device without an end.
const MAX_PASSWORD_BYTES: u64 = 64 * 1024;

/// A login that can't be used. No message contains the password.
#[derive(Debug, Error)]
pub(crate) enum BrokerLoginError {
    #[error("--mqtt-password-file: {}: can't be read ({source}); {}", path.display(), reading_advice(source))]
    Read { path: PathBuf, source: io::Error },
    #[error("--mqtt-password-file: {}: has no password; write it into the first line", path.display())]
    Empty { path: PathBuf },
    #[error("the password is in --mqtt and in --mqtt-password-file; leave one of them out")]
    TwoPasswords,
    #[error("{name}: is not UTF-8; correct it")]
    NotText { name: &'static str },
    #[error(
        "there is a password for the broker, but no user name; give it as --mqtt mqtt://USER@HOST, or as {USER_VARIABLE}"
    )]
    NoUser,
}

/// The address of the broker with its login.
///
/// The user name is that of the URL, else `BOXCAM_MQTT_USER`. The password is that of the URL or the file, else
/// `BOXCAM_MQTT_PASSWORD`.
pub(super) fn address(options: &RunOptions) -> Result<Option<BrokerAddress>, BrokerLoginError> {
    let Some(broker) = &options.mqtt else {
        return Ok(None);
    };
    let (user, password) = match &broker.login {
        Some((user, password)) => (Some(user.clone()), Some(password.clone())),
        None => (None, None),
    };
    let password = password.filter(|password| !password.is_empty());
    let password = match (password, &options.mqtt_password_file) {
        (Some(_), Some(_)) => return Err(BrokerLoginError::TwoPasswords),
        (Some(password), None) => Some(password),
        (None, Some(path)) => Some(read_password(path)?),
        (None, None) => variable(PASSWORD_VARIABLE)?,
    };
    let user = match user {
        Some(user) => Some(user),
        None => variable(USER_VARIABLE)?,
    };
    let login = match (user, password) {
        (Some(user), password) => Some((user, password.unwrap_or_default())),
        (None, None) => None,
        (None, Some(_)) => return Err(BrokerLoginError::NoUser),
    };
    Ok(Some(BrokerAddress {
        login,
        ..broker.clone()
    }))
}

/// The certificates that the broker's one may come from; `None` for a plain connection.
pub(super) fn tls(options: &RunOptions) -> Result<Option<BrokerTls>, Failure> {
    let is_used = options.mqtt.as_ref().is_some_and(|broker| broker.tls);
    Ok(match &options.mqtt_ca {
        _ if !is_used => None,
        Some(path) => Some(BrokerTls::of_file(path)?),
        None => Some(BrokerTls::of_system()),
    })
}

/// The value of a variable; `None` if it is not set or empty.
fn variable(name: &'static str) -> Result<Option<String>, BrokerLoginError> {
    let Some(value) = env::var_os(name) else {
        return Ok(None);
    };
    let value = value.into_string();
    let value = value.map_err(|_| BrokerLoginError::NotText { name })?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

/// The first line of a file.
fn read_password(path: &Path) -> Result<String, BrokerLoginError> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_PASSWORD_BYTES).read_to_string(&mut text));
    read.map_err(|source| BrokerLoginError::Read {
        path: path.into(),
        source,
    })?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() || password.contains('\0') {
        return Err(BrokerLoginError::Empty { path: path.into() });
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_file_is_its_first_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        for text in ["p@ss %41", "p@ss %41\n", "p@ss %41\r\nmore\n"] {
            std::fs::write(&path, text).expect("written");
            assert_eq!(read_password(&path).expect("read"), "p@ss %41");
        }
        for text in ["", "\n", "a\0b"] {
            std::fs::write(&path, text).expect("written");
            let error = read_password(&path).expect_err("none");
            assert!(matches!(error, BrokerLoginError::Empty { .. }), "{error}");
        }
        std::fs::remove_file(&path).expect("removed");
        let error = read_password(&path).expect_err("missing").to_string();
        assert!(error.contains("password: can't be read"), "{error}");
    }
}
