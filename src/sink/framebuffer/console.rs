//! The text console behind a framebuffer: hidden while frames are shown, and restored however boxcam exits.
//!
//! A killed program cannot restore anything, so a guard does: a small child process that holds the console and one end
//! of a socket. It sets the console to graphics mode. When the socket is closed, for whatever reason, it restores text
//! mode and exits. Only its own `kill -9` prevents that. Until then, it sets graphics mode again if another program
//! restores the text: while a computer starts, its login prompt opens the console after boxcam.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};

use super::fb_ioctl;

/// Timeout for the guard to set graphics mode.
const GUARD_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the guard checks whether the console is in text mode again.
const CHECK_INTERVAL: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

const HIDE_CURSOR: &[u8] = b"\x1b[?25l";
const SHOW_CURSOR: &[u8] = b"\x1b[?25h";

/// The guard's message when the console is in graphics mode.
const GRAPHICS: u8 = b'g';
/// Its message when it could only hide the cursor.
const CURSOR_ONLY: u8 = b'c';

/// A hidden console. Dropping it restores the text.
pub(super) struct Console {
    guard: Child,
    socket: UnixStream,
}

/// How far the console was hidden.
pub(super) enum Acquired {
    /// There is no console.
    NoConsole,
    /// It is in graphics mode.
    Hidden(Console),
    /// Its cursor is hidden, but printed text is visible.
    CursorHidden(Console),
}

impl Console {
    /// Hides the visible console, if there is one. `guard` is the command that runs [`guard`].
    ///
    /// # Errors
    /// If the guard cannot be started or does not answer.
    pub(super) fn acquire(guard: Command) -> io::Result<Acquired> {
        let Some(console) = open() else {
            return Ok(Acquired::NoConsole);
        };
        let (socket, guard_socket) = UnixStream::pair()?;
        socket.set_read_timeout(Some(GUARD_TIMEOUT))?;
        let guard = start(guard, guard_socket, console)?;
        let mut console = Self { guard, socket };
        let mut answer = [0];
        console.socket.read_exact(&mut answer)?;
        console.socket.set_nonblocking(true)?;
        Ok(match answer[0] {
            GRAPHICS => Acquired::Hidden(console),
            _ => Acquired::CursorHidden(console),
        })
    }

    /// Whether the console was in text mode since the last call, so that text may be on the screen.
    pub(super) fn had_text(&self) -> bool {
        let mut answer = [0];
        matches!((&self.socket).read(&mut answer), Ok(1))
    }
}

/// Starts the guard. This process closes its copies of the socket and the console, so that each side notices the
/// other's exit.
fn start(mut guard: Command, socket: UnixStream, console: File) -> io::Result<Child> {
    guard
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::from(console))
        // A reader of boxcam's standard error must not have to wait for the guard to exit.
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()
}

impl Drop for Console {
    fn drop(&mut self) {
        // Errors cannot be handled here, and the guard exits by itself.
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.guard.wait();
    }
}

/// Whether a desktop, or another program that manages the screen, is using it.
pub(super) fn is_managed() -> bool {
    open().is_some_and(|console| is_desktop(console.as_fd()))
}

fn is_desktop(console: BorrowedFd<'_>) -> bool {
    fb_ioctl::is_graphic(console).unwrap_or(false) && fb_ioctl::is_managed(console).unwrap_or(false)
}

/// The visible console, or the one that boxcam was started from.
fn open() -> Option<File> {
    let visible = || {
        let number = fb_ioctl::active_console(&open_terminal(Path::new("/dev/tty0")).ok()?).ok()?;
        open_terminal(Path::new(&format!("/dev/tty{number}"))).ok()
    };
    let console = visible().or_else(|| open_terminal(Path::new("/dev/tty")).ok())?;
    // A serial line or a terminal window has no modes.
    fb_ioctl::is_graphic(&console).is_ok().then_some(console)
}

/// Opens a terminal without making it the controlling one. For writing only: its group may do no more.
fn open_terminal(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
}

/// The main function of the guard. Its standard input is the socket and its standard output is the console.
///
/// # Errors
/// If they are something else, because the guard was not started by boxcam.
pub fn guard() -> io::Result<()> {
    let (socket, console) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    if io::stdin().is_terminal() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    fb_ioctl::is_graphic(console)?;
    ignore_signals()?;
    leave_process_group(console);
    // The path to reopen the console after this descriptor was hung up.
    let path = std::fs::read_link("/proc/self/fd/1").unwrap_or_else(|_| PathBuf::from("/dev/tty0"));
    // The console of a desktop is not changed.
    let is_desktop = is_desktop(console);
    let is_graphic = is_desktop || hide(console);
    let answer = if is_graphic { GRAPHICS } else { CURSOR_ONLY };
    let sent = rustix::io::write(socket, &[answer]);
    if sent.is_ok() {
        if is_graphic && !is_desktop {
            keep_hidden(socket, console, &path);
        } else {
            wait_until_closed(socket);
        }
    }
    if !is_desktop && !restore(console) {
        let console = open_terminal(&path)?;
        restore(console.as_fd());
    }
    Ok(())
}

/// Signals that end a program are meant for boxcam; the guard exits after it. systemd sends SIGABRT to all processes of a
/// service whose watchdog timed out.
fn ignore_signals() -> io::Result<()> {
    let signals = [
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGUSR2, SIGABRT,
    ];
    for signal in signals {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Leaves boxcam's process group, so that killing the group does not kill the guard.
fn leave_process_group(console: BorrowedFd<'_>) {
    // Changing the mode needs the controlling terminal or CAP_SYS_TTY_CONFIG. So a new session is only for root, who may
    // have been started by the kernel without a session, or if the console is not the controlling terminal.
    let may_leave = rustix::process::geteuid().is_root() || !is_controlling_terminal(console);
    let left = may_leave && rustix::process::setsid().is_ok();
    if !left {
        // It fails if this process leads its own group already.
        let _ = rustix::process::setpgid(None, None);
    }
}

fn is_controlling_terminal(console: BorrowedFd<'_>) -> bool {
    let own = rustix::process::getsid(None).ok();
    own.is_some() && rustix::termios::tcgetsid(console).ok() == own
}

/// Hides the cursor and sets graphics mode. Returns whether the latter succeeded.
fn hide(console: BorrowedFd<'_>) -> bool {
    write(console, HIDE_CURSOR);
    fb_ioctl::set_graphic(console, true).is_ok()
}

/// Restores text mode and the cursor. Returns whether the console is in text mode.
fn restore(console: BorrowedFd<'_>) -> bool {
    // It fails if setting graphics mode failed too; the console is then in text mode.
    let _ = fb_ioctl::set_graphic(console, false);
    write(console, SHOW_CURSOR);
    fb_ioctl::is_graphic(console).is_ok_and(|graphic| !graphic)
}

/// Writes to the console, ignoring errors: the cursor is not worth one, nor a wait for a stopped console.
fn write(console: BorrowedFd<'_>, bytes: &[u8]) {
    let _ = rustix::io::write(console, bytes);
}

/// Hides the console again whenever it is in text mode, and reports it, until the other end of the socket is closed.
fn keep_hidden(socket: BorrowedFd<'_>, console: BorrowedFd<'_>, path: &Path) {
    loop {
        let mut ends = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        match poll(&mut ends, Some(&CHECK_INTERVAL)) {
            Ok(0) if hide_again(console, path) => {
                let _ = rustix::io::write(socket, &[GRAPHICS]);
            }
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            _ => return wait_until_closed(socket),
        }
    }
}

/// Returns whether the console was in text mode and is hidden again. It is reopened, since a login that starts hangs up
/// all open descriptors.
fn hide_again(console: BorrowedFd<'_>, path: &Path) -> bool {
    if fb_ioctl::is_graphic(console).is_ok_and(|graphic| graphic) {
        return false;
    }
    open_terminal(path).is_ok_and(|console| {
        fb_ioctl::is_graphic(&console).is_ok_and(|graphic| !graphic) && hide(console.as_fd())
    })
}

/// Waits until the other end of the socket is closed.
fn wait_until_closed(socket: BorrowedFd<'_>) {
    let mut byte = [0];
    loop {
        match rustix::io::read(socket, &mut byte) {
            Ok(0) => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
