//! Child processes that leave nothing behind: each leads its own process group, which is killed as a whole.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// A command that starts this program, and kills it when boxcam ends if `setpriv` is installed.
///
/// It is also killed when the thread ends that starts it.
#[must_use]
pub fn command(program: &Path) -> Command {
    let setpriv = which::which("setpriv").ok();
    match setpriv.filter(|setpriv| has_pdeathsig(setpriv)) {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// The `setpriv` of BusyBox lacks `--pdeathsig`.
fn has_pdeathsig(setpriv: &Path) -> bool {
    let file = setpriv.canonicalize();
    file.is_ok_and(|file| file.file_name() != Some(OsStr::new("busybox")))
}

/// A process that leads its own process group.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    /// The exit status, once the process was reaped.
    status: Option<ExitStatus>,
}

impl ChildProcess {
    /// Starts the command. The pipes that it asks for are returned in the child, which must not be waited for.
    ///
    /// # Errors
    /// As [`Command::spawn`].
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        Ok(Self {
            child,
            status: None,
        })
    }

    /// The process, for its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Kills the process and its child processes.
    pub fn kill(&mut self) {
        self.kill_group();
        if self.status.is_none() {
            let _ = self.child.kill();
        }
    }

    /// Kills the process group, unless the process was reaped: its number may then belong to another one.
    fn kill_group(&self) {
        if let Some(pid) = self.pid().filter(|_| self.status.is_none()) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// The exit status, if the process has ended. Its child processes are killed first, since they would keep its pipes
    /// open.
    pub fn status(&mut self) -> Option<ExitStatus> {
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
