//! Where a run would write and send: whether it may, and whether there is room.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use boxcam::address::{BrokerAddress, WebAddress};
use boxcam::config::{LogChoice, RunConfig};

use super::Finding;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn findings(config: &RunConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let LogChoice::File(path) = &config.log {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let most = config.log_size.as_u64() * (u64::from(config.log_keep) + 1);
        findings.push(room("log", folder, most));
    }
    if let Some(folder) = &config.snapshots {
        let there = folder.ancestors().find(|folder| folder.is_dir());
        let there = there.unwrap_or(Path::new("."));
        findings.push(room("snapshots", there, config.snapshots_size.as_u64()));
    }
    findings.extend(config.mqtt.as_ref().map(broker));
    findings.extend(config.web.as_ref().map(page));
    findings
}

/// Whether a folder may be written to and has room for so many bytes.
fn room(about: &'static str, folder: &Path, most: u64) -> Finding {
    let shown = folder.display();
    if let Err(error) = may_write(folder) {
        let mend =
            format!("make it and give it to the user that runs boxcam: sudo chown $USER {shown}");
        return Finding::bad(
            about,
            format!("{shown} can't be written to ({error})"),
            mend,
        );
    }
    let megabytes = |bytes: u64| bytes / 1_000_000;
    match free(folder) {
        Some(free) if free < most => Finding::note(
            about,
            format!(
                "{shown} has {} MB free, boxcam may come to use {} MB",
                megabytes(free),
                megabytes(most)
            ),
            "make room, or give a smaller size",
        ),
        Some(free) => Finding::good(about, format!("{shown}, {} MB free", megabytes(free))),
        None => Finding::good(about, format!("{shown} can be written to")),
    }
}

#[cfg(target_os = "linux")]
fn may_write(folder: &Path) -> std::io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(not(target_os = "linux"))]
fn may_write(folder: &Path) -> std::io::Result<()> {
    match std::fs::metadata(folder)?.permissions().readonly() {
        true => Err(ErrorKind::PermissionDenied.into()),
        false => Ok(()),
    }
}

/// Bytes that are free for this user, where the system tells.
#[cfg(target_os = "linux")]
fn free(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(about.f_bavail * about.f_frsize)
}

#[cfg(not(target_os = "linux"))]
fn free(_: &Path) -> Option<u64> {
    None
}

fn broker(address: &BrokerAddress) -> Finding {
    let place = format!("{}:{}", address.host, address.port);
    let connected = place
        .to_socket_addrs()
        .and_then(|mut found| found.next().ok_or_else(|| ErrorKind::NotFound.into()))
        .and_then(|found| TcpStream::connect_timeout(&found, PATIENCE));
    match connected {
        Ok(_) => Finding::good("broker", format!("{place} answers")),
        // A run goes on without it and connects when it is there.
        Err(error) => Finding::note(
            "broker",
            format!("{place} does not answer ({error})"),
            "start it, check its name and port, and that it listens to more than its own machine",
        ),
    }
}

fn page(address: &WebAddress) -> Finding {
    let place = address.0;
    match TcpListener::bind(place) {
        Ok(_) => Finding::good("web page", format!("{place} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::note(
            "web page",
            format!("{place} is in use, perhaps by a boxcam that runs"),
            "if not, give another port with `--web`",
        ),
        Err(error) => Finding::bad(
            "web page",
            format!("{place} can't be served ({error})"),
            "give an address of this machine and a port above 1023",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn room_is_held_against_what_may_come() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(room("log", folder.path(), 1).verdict, Verdict::Good);
        assert_eq!(
            room("log", &folder.path().join("none"), 1).verdict,
            Verdict::Bad
        );
        if cfg!(target_os = "linux") {
            assert_eq!(room("log", folder.path(), u64::MAX).verdict, Verdict::Note);
        }
    }

    #[test]
    fn brokers_and_ports_are_tried() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("has one").port();
        let address = format!("mqtt://127.0.0.1:{port}");
        let there = broker(&address.parse().expect("sound"));
        assert_eq!(there.verdict, Verdict::Good);
        let address = WebAddress(taken.local_addr().expect("has one"));
        assert_eq!(page(&address).verdict, Verdict::Note);
        let any_that_is_free = WebAddress(([127, 0, 0, 1], 0).into());
        assert_eq!(page(&any_that_is_free).verdict, Verdict::Good);
        let elsewhere = WebAddress(([192, 0, 2, 1], 80).into());
        assert_eq!(page(&elsewhere).verdict, Verdict::Bad);
    }
}
