//! Cameras on the Raspberry Pi's connector, read through the program `rpicam-vid`.
//!
//! The program converts the sensor's raw data and sends motion JPEG. It never outlives boxcam.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::cancellable_reader::{CancellableReader, PollResult, ReadCancelHandle};
use super::stream::{StreamKind, StreamSource};
use super::{CancelHandle, FrameSource, SourceError};
use crate::frame::Frame;

/// Names of the program, the newer one first.
const PROGRAMS: [&str; 2] = ["rpicam-vid", "libcamera-vid"];

/// How long opening waits for the first byte. A camera takes about a second to start; this wait can't be cancelled, so
/// the rest of it is left to the first `next_frame`.
const OPEN_TIMEOUT: Duration = Duration::from_millis(500);

/// How much of the program's standard error is kept, in bytes.
const MAX_STDERR: usize = 2048;

/// How many of its last lines are shown in an error message.
const SHOWN_LINES: usize = 4;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long to wait for the end of the program; its thread waits on if it hangs in the kernel.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Frames from `rpicam-vid`.
pub struct RpicamSource {
    stream: StreamSource<CancellableReader>,
    program: Arc<CameraProgram>,
    cancel: ReadCancelHandle,
    name: String,
}

impl RpicamSource {
    /// Starts the program for the camera with this number, from 0, and waits until it sends data or ends.
    ///
    /// # Errors
    /// [`SourceError::Stream`] if the program is not installed, can't be started or ends without a frame.
    pub fn open(camera: u32, width: u32, height: u32, fps: u32) -> Result<Self, SourceError> {
        let name = format!("rpicam:{camera}");
        let program = PROGRAMS
            .iter()
            .find_map(|program| which::which(program).ok());
        let program = program.ok_or_else(|| {
            let advice = "install it with `sudo apt install rpicam-apps`, or for a USB camera use `--source camera`";
            stream_error(&name, format!("rpicam-vid is not installed; {advice}"))
        })?;
        let start_error = |error: io::Error| {
            let program = program.display();
            let message = format!(
                "{program} can't be started ({error}); run rpicam-hello to test the camera"
            );
            stream_error(&name, message)
        };
        let command = command(&program, camera, (width, height), fps);
        let (program, stdout) = CameraProgram::start(command).map_err(start_error)?;
        let reader = CancellableReader::new(stdout.into()).map_err(start_error)?;
        let mut source = Self {
            cancel: reader.cancel_handle(),
            stream: StreamSource::new(&*name, reader, StreamKind::Live, (width, height)),
            program,
            name,
        };
        source.wait_for_start()?;
        Ok(source)
    }

    fn wait_for_start(&mut self) -> Result<(), SourceError> {
        let waited = self.stream.reader().wait(Some(OPEN_TIMEOUT));
        if !matches!(waited, Ok(PollResult::TimedOut)) && !self.stream.wait_for_data()? {
            return Err(self.ended());
        }
        Ok(())
    }

    fn ended(&self) -> SourceError {
        let reason = self.program.exit_message();
        let advice =
            "check the camera's cable, and list the cameras with `rpicam-hello --list-cameras`";
        stream_error(&self.name, format!("{reason}; {advice}"))
    }
}

impl FrameSource for RpicamSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        match self.stream.next_frame()? {
            Some(frame) => Ok(Some(frame)),
            None if self.cancel.is_cancelled() => Ok(None),
            None => Err(self.ended()),
        }
    }

    /// Kills the program and ends the stream.
    fn cancel_handle(&self) -> Option<CancelHandle> {
        let (program, cancel) = (Arc::clone(&self.program), self.cancel.clone());
        Some(Box::new(move || {
            cancel.cancel();
            program.kill();
        }))
    }
}

impl Drop for RpicamSource {
    fn drop(&mut self) {
        self.program.kill();
        self.program.wait();
    }
}

fn stream_error(name: &str, message: String) -> SourceError {
    SourceError::Stream {
        stream: name.to_owned(),
        message,
    }
}

/// The program with its arguments; `setpriv` makes it die with boxcam, if it is installed.
fn command(program: &Path, camera: u32, (width, height): (u32, u32), fps: u32) -> Command {
    let setpriv = which::which("setpriv").ok();
    let mut command = match setpriv.filter(|setpriv| has_pdeathsig(setpriv)) {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    let values = [camera, width, height, fps].map(|value| value.to_string());
    let names = ["--camera", "--width", "--height", "--framerate"];
    for (name, value) in names.iter().zip(values) {
        command.arg(name).arg(value);
    }
    // No preview window, no time limit, and each frame is sent at once.
    command.args(["-n", "-t", "0", "--codec", "mjpeg", "--flush", "-o", "-"]);
    command
}

/// The `setpriv` of BusyBox lacks `--pdeathsig`.
fn has_pdeathsig(setpriv: &Path) -> bool {
    let file = setpriv.canonicalize();
    file.is_ok_and(|file| file.file_name() != Some(OsStr::new("busybox")))
}

/// A running `rpicam-vid`.
struct CameraProgram {
    process: Mutex<Process>,
    /// The end of its standard error.
    stderr: Mutex<Vec<u8>>,
    /// Whether its standard error was read to the end.
    has_closed_stderr: AtomicBool,
}

impl CameraProgram {
    /// Starts the program in its own process group, from a thread that lives until the program ends.
    ///
    /// The thread is needed because the kernel sends the signal of `--pdeathsig` when the starting thread ends.
    fn start(mut command: Command) -> io::Result<(Arc<Self>, ChildStdout)> {
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("rpicam".to_owned())
            .spawn(move || match Self::spawn(&mut command) {
                Err(error) => drop(sender.send(Err(error))),
                Ok((program, stdout, stderr)) => {
                    drop(sender.send(Ok((Arc::clone(&program), stdout))));
                    program.supervise(stderr);
                }
            })?;
        let gone = || io::Error::other("its thread ended");
        receiver.recv().unwrap_or_else(|_| Err(gone()))
    }

    fn spawn(command: &mut Command) -> io::Result<(Arc<Self>, ChildStdout, ChildStderr)> {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (stdout, stderr) = pipes.ok_or_else(|| io::Error::other("it has no pipes"))?;
        let program = Self {
            process: Mutex::new(Process {
                child,
                status: None,
            }),
            stderr: Mutex::default(),
            has_closed_stderr: AtomicBool::new(false),
        };
        Ok((Arc::new(program), stdout, stderr))
    }

    /// Reads standard error until the program ends, and reaps the process.
    fn supervise(&self, mut stderr: ChildStderr) {
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = stderr.read(&mut bytes) {
            let mut kept = self.stderr.lock();
            kept.extend_from_slice(&bytes[..length]);
            let surplus = kept.len().saturating_sub(MAX_STDERR);
            kept.drain(..surplus);
        }
        self.has_closed_stderr.store(true, Ordering::Release);
        while self.status().is_none() {
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// The exit status, once the program has ended.
    fn status(&self) -> Option<ExitStatus> {
        self.process.lock().status()
    }

    /// Kills the program and its child processes.
    fn kill(&self) {
        let mut process = self.process.lock();
        process.kill_group();
        if process.status.is_none() {
            let _ = process.child.kill();
        }
    }

    /// Waits for the end of the program, at most [`EXIT_TIMEOUT`].
    fn wait(&self) -> Option<ExitStatus> {
        wait_for(|| self.status().is_some());
        self.status()
    }

    /// The exit status and the last lines of standard error.
    fn exit_message(&self) -> String {
        let ended = match self.wait() {
            Some(status) => format!("rpicam-vid ended ({status})"),
            None => "rpicam-vid stopped sending frames".to_owned(),
        };
        wait_for(|| self.has_closed_stderr.load(Ordering::Acquire));
        let stderr = String::from_utf8_lossy(&self.stderr.lock()).into_owned();
        let lines: Vec<_> = stderr
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        match &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
            [] => ended,
            last => format!("{ended} with the message: {}", last.join(" / ")),
        }
    }
}

/// A process that leads its own process group.
struct Process {
    child: std::process::Child,
    /// The exit status, once the process was reaped.
    status: Option<ExitStatus>,
}

impl Process {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Kills the process group, unless the process was reaped: its number may then belong to another one.
    fn kill_group(&self) {
        if let Some(pid) = self.pid().filter(|_| self.status.is_none()) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// The exit status, if the process has ended. Its child processes are killed first, since they would keep its pipes
    /// open.
    fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() && self.has_ended() {
            self.kill_group();
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Whether the process has ended; does not reap it.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let result = self.pid().map(|pid| waitid(WaitId::Pid(pid), options));
        // After an error, `try_wait` decides.
        !matches!(result, Some(Ok(None)))
    }
}

/// Waits for a condition, at most [`EXIT_TIMEOUT`].
fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() && start.elapsed() < EXIT_TIMEOUT {
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    //! The whole source is tested with a script instead of `rpicam-vid` in `tests/stream.rs`, where PATH can be set.

    use std::fs;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Whether a process exists, as a zombie or otherwise.
    fn exists(process: &str) -> bool {
        Path::new("/proc").join(process.trim()).exists()
    }

    /// Whether a process has ended; it may be a zombie.
    fn has_ended(process: &str) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/stat", process.trim()));
        status.map_or(true, |status| status.contains(") Z "))
    }

    fn wait_until_ended(process: &str) -> bool {
        let start = Instant::now();
        while !has_ended(process) && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        has_ended(process)
    }

    fn first_line(stdout: &mut ChildStdout) -> String {
        let mut line = String::new();
        while !line.ends_with('\n') {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("a line");
            line.push(char::from(byte[0]));
        }
        line
    }

    #[test]
    fn a_killed_program_leaves_no_process_behind() {
        let (program, mut stdout) =
            CameraProgram::start(shell("sleep 600 & echo $$ $!; wait")).expect("started");
        let pids = first_line(&mut stdout);
        let (shell, sleep) = pids.split_once(' ').expect("two numbers");
        assert!(exists(shell) && exists(sleep));
        program.kill();
        assert!(program.wait().is_some(), "it was reaped");
        assert!(!exists(shell), "no zombie");
        assert!(wait_until_ended(sleep), "its child process was killed");
        program.kill();
    }

    #[test]
    fn child_processes_that_outlive_the_program_are_killed() {
        let (program, mut stdout) =
            CameraProgram::start(shell("sleep 600 & echo $$ $!; exit 3")).expect("started");
        let pids = first_line(&mut stdout);
        // It has to end by itself before it is killed.
        let (shell, _) = pids.split_once(' ').expect("two numbers");
        wait_until_ended(shell);
        // The child process keeps the pipes open, so the stream has not ended; the pipeline's timeout cancels it.
        program.kill();
        assert_eq!(program.wait().and_then(|status| status.code()), Some(3));
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).expect("its end");
        assert!(rest.is_empty());
        assert!(program.exit_message().contains("exit status: 3"));
        program.kill();
    }

    #[test]
    fn the_exit_message_has_the_last_lines_of_stderr() {
        let script = "seq 100000 >&2; echo '  out of cameras ' >&2; exit 3";
        let (program, _stdout) = CameraProgram::start(shell(script)).expect("started");
        assert_eq!(
            program.exit_message(),
            "rpicam-vid ended (exit status: 3) with the message: 99998 / 99999 / 100000 / out of cameras"
        );
    }

    #[test]
    fn the_program_gets_the_requested_mode() {
        let command = command(Path::new("/usr/bin/rpicam-vid"), 1, (1280, 720), 15);
        let arguments: Vec<_> = command
            .get_args()
            .map(|argument| argument.to_string_lossy())
            .collect();
        let line = arguments.join(" ");
        let expected = "--camera 1 --width 1280 --height 720 --framerate 15 -n -t 0 --codec mjpeg --flush -o -";
        assert!(line.ends_with(expected), "{line}");
    }
}
