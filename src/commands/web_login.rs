//! Whether the web page asks for a password: `--web-password-file`, `--web-open`.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use boxcam::address::{WebLogin, WebPassword, WebPasswordError};
use boxcam::options::RunOptions;
use thiserror::Error;

/// The options don't say who may see the page, or the password can't be used.
#[derive(Debug, Error)]
pub(crate) enum WebLoginError {
    #[error(
        "--web {address} serves the network: give a password with --web-password-file FILE, or give --web-open to let \
         everybody who reaches the address watch"
    )]
    Undecided { address: SocketAddr },
    #[error("--web-password-file and --web-open contradict each other; leave one of them out")]
    Contradiction,
    #[error(
        "--web-password-file {}: can't be read ({source}); write the password into its first line, and make it readable for \
         the user that runs boxcam", file.display()
    )]
    Read {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error("--web-password-file {}: {source}", file.display())]
    Password {
        file: PathBuf,
        source: WebPasswordError,
    },
}

/// Who may see the page of these options; `None` if none is served.
pub(super) fn of(options: &RunOptions) -> Result<Option<WebLogin>, WebLoginError> {
    let Some(address) = options.web.map(|address| address.0) else {
        return Ok(None);
    };
    match (&options.web_password_file, options.web_open) {
        (Some(_), true) => Err(WebLoginError::Contradiction),
        (Some(file), false) => Ok(Some(WebLogin::Password(read(file)?))),
        (None, false) if !address.ip().to_canonical().is_loopback() => {
            Err(WebLoginError::Undecided { address })
        }
        (None, _) => Ok(Some(WebLogin::Open)),
    }
}

fn read(file: &Path) -> Result<WebPassword, WebLoginError> {
    // The longest password, and what tells that it is too long.
    let limit = WebPassword::MAX_LENGTH as u64 + 2;
    let mut content = Vec::new();
    let opened = File::open(file);
    let read = opened.and_then(|opened| opened.take(limit).read_to_end(&mut content));
    read.map_err(|source| WebLoginError::Read {
        file: file.into(),
        source,
    })?;
    WebPassword::from_file_content(&content).map_err(|source| WebLoginError::Password {
        file: file.into(),
        source,
    })
}

/// Whether every user of the machine can read a file.
#[cfg(unix)]
pub(super) fn is_readable_by_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(file);
    metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
pub(super) fn is_readable_by_all(_: &Path) -> bool {
    false
}
