//! Checks of a source that is neither a camera of this machine nor the demo: an address, a file or a folder.

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use boxcam::options::{RunOptions, SourceChoice};
use boxcam::picture::Header;
use boxcam::source::given_path::{self, PathKind};
use boxcam::stream_url::StreamUrl;

use super::Finding;

/// Time for a camera of the network to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn checks(options: &RunOptions) -> Vec<Finding> {
    match &options.source {
        SourceChoice::Network(url) => vec![ffmpeg(), reachable(url, options.wait)],
        SourceChoice::Path(path) => vec![given(path)],
        SourceChoice::Camera(_)
        | SourceChoice::Rpicam(_)
        | SourceChoice::Stdin
        | SourceChoice::Demo
        | SourceChoice::DemoPhotographs(_) => Vec::new(),
    }
}

fn ffmpeg() -> Finding {
    match which::which("ffmpeg") {
        Ok(path) => Finding::good("ffmpeg", path.display().to_string()),
        Err(_) => Finding::failed(
            "ffmpeg",
            "ffmpeg is not installed, which opens the cameras of a network",
            "sudo apt install ffmpeg",
        ),
    }
}

/// Whether the camera accepts connections. Its login and its stream are not tried.
fn reachable(url: &StreamUrl, is_waited_for: bool) -> Finding {
    let connected = (url.host(), url.port())
        .to_socket_addrs()
        .and_then(|mut found| found.next().ok_or_else(|| ErrorKind::NotFound.into()))
        .and_then(|found| TcpStream::connect_timeout(&found, CONNECT_TIMEOUT));
    match connected {
        Ok(_) => Finding::good("source", format!("{url}: accepts connections")),
        Err(error) => Finding::missing(
            !is_waited_for,
            "source",
            format!("{url}: can't be reached ({error})"),
            "check that the camera is on, its name or address, its port and this machine's network",
        ),
    }
}

fn given(path: &Path) -> Finding {
    let shown = path.display();
    let fix = "give another source with `--source`";
    match given_path::recognize(path) {
        Err(error) => Finding::failed("source", error.to_string(), fix),
        Ok(PathKind::Recording) => Finding::good("source", format!("{shown}: a recording")),
        Ok(PathKind::Pipe) => Finding::good("source", format!("{shown}: a pipe or a device")),
        Ok(PathKind::Camera) => Finding::good("source", format!("{shown}: a camera")),
        Ok(PathKind::Pictures) if path.is_dir() => {
            Finding::good("source", format!("{shown}: a folder"))
        }
        Ok(PathKind::Pictures) => match Header::read(path) {
            Ok(_) => Finding::good("source", format!("{shown}: a picture")),
            Err(error) => Finding::failed("source", error.to_string(), fix),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;

    use super::*;
    use crate::commands::doctor::Verdict;

    #[test]
    fn a_camera_of_the_network_is_tried_without_its_login() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let url: StreamUrl = format!("rtsp://u:secret@{address}/x")
            .parse()
            .expect("valid");
        let open = reachable(&url, false);
        assert_eq!(open.verdict, Verdict::Good);
        drop(listener);
        let closed = reachable(&url, false);
        assert_eq!(closed.verdict, Verdict::Failed);
        assert_eq!(reachable(&url, true).verdict, Verdict::Note);
        for finding in [open, closed] {
            assert!(!finding.message.contains("secret"), "{}", finding.message);
        }
    }

    #[test]
    fn files_are_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.y4m"), "YUV4MPEG2 W2 H2\n").expect("written");
        fs::write(at("notes.txt"), "text").expect("written");
        let verdict = |name: &str| given(&at(name)).verdict;
        assert_eq!(verdict("."), Verdict::Good);
        assert_eq!(verdict("a.y4m"), Verdict::Good);
        assert_eq!(verdict("notes.txt"), Verdict::Failed);
        assert_eq!(verdict("nothing"), Verdict::Failed);
    }
}
