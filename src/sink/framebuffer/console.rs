//! The text console behind a framebuffer: put aside while pictures are shown, given back on every way out.
//!
//! A program that is killed gives nothing back, so a guard does: a small process of its own that holds the console
//! and one end of a socket. It puts the console into graphics mode, and when the socket closes, for whatever
//! reason, it gives the text back and ends. Nothing but its own `kill -9` keeps it from that. Until then it puts aside
//! what others bring back: when a computer starts, its login comes to the console after us and sets it to text.

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

use super::kernel;

/// How long the guard may take to put the text aside.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the guard looks whether the console shows text again.
const CHECK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

const HIDE_CURSOR: &[u8] = b"\x1b[?25l";
const SHOW_CURSOR: &[u8] = b"\x1b[?25h";

/// What the guard says once the console shows graphics.
const GRAPHIC: u8 = b'g';
/// What it says when it could only hide the cursor.
const CURSOR_ONLY: u8 = b'c';

/// A console put aside; dropped, it shows its text again.
pub(super) struct Console {
    guard: Child,
    line: UnixStream,
}

/// How far a console could be put aside.
pub(super) enum Taken {
    /// There is none.
    Nothing,
    /// It shows nothing of its own.
    Wholly(Console),
    /// Its cursor is hidden, but what is printed on it shows.
    Partly(Console),
}

impl Console {
    /// Puts the console that is seen aside, if there is one. `guard` is the command that runs [`guard`].
    ///
    /// # Errors
    /// The system's, when the guard can't be started or gives no answer.
    pub(super) fn take(guard: Command) -> io::Result<Taken> {
        let Some(console) = open() else {
            return Ok(Taken::Nothing);
        };
        let (line, end) = UnixStream::pair()?;
        line.set_read_timeout(Some(PATIENCE))?;
        let guard = start(guard, end, console)?;
        let mut console = Self { guard, line };
        let mut answer = [0];
        console.line.read_exact(&mut answer)?;
        console.line.set_nonblocking(true)?;
        Ok(match answer[0] {
            GRAPHIC => Taken::Wholly(console),
            _ => Taken::Partly(console),
        })
    }

    /// Whether the guard had to put it aside anew since this was last asked: there is text on the screen.
    pub(super) fn was_text_again(&self) -> bool {
        let mut answer = [0];
        matches!((&self.line).read(&mut answer), Ok(1))
    }
}

/// Starts the guard. Afterwards it alone has these ends, so that each side sees when the other is gone.
fn start(mut guard: Command, line: UnixStream, console: File) -> io::Result<Child> {
    guard
        .stdin(Stdio::from(OwnedFd::from(line)))
        .stdout(Stdio::from(console))
        // Whoever reads our errors must not have to wait for the guard.
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()
}

impl Drop for Console {
    fn drop(&mut self) {
        // Neither can fail in a way that could be helped; the guard ends by itself.
        let _ = self.line.shutdown(Shutdown::Both);
        let _ = self.guard.wait();
    }
}

/// Whether a desktop or another program that manages the screen has it.
pub(super) fn is_managed() -> bool {
    open().is_some_and(|console| is_desktop(console.as_fd()))
}

fn is_desktop(console: BorrowedFd<'_>) -> bool {
    let is_true = |answer: io::Result<bool>| answer.unwrap_or(false);
    is_true(kernel::is_graphic(console)) && is_true(kernel::is_managed(console))
}

/// The console that is seen, or the one that we were started from.
fn open() -> Option<File> {
    let seen = || {
        let number = kernel::active_console(&open_terminal(Path::new("/dev/tty0")).ok()?).ok()?;
        open_terminal(Path::new(&format!("/dev/tty{number}"))).ok()
    };
    let console = seen().or_else(|| open_terminal(Path::new("/dev/tty")).ok())?;
    // A serial line or a window has no modes.
    kernel::is_graphic(&console).is_ok().then_some(console)
}

/// Opens a terminal without making it ours. Writing is all that its group may do, and all that is needed.
fn open_terminal(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
}

/// What the guard does; its standard input is the socket and its standard output the console.
///
/// # Errors
/// The system's, where these are something else: the guard is started by boxcam and nobody else.
pub fn guard() -> io::Result<()> {
    let (line, console) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    if io::stdin().is_terminal() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    kernel::is_graphic(console)?;
    outlive_signals()?;
    leave_the_group(console);
    // Where the console is asked for again if this descriptor has been hung up.
    let path = std::fs::read_link("/proc/self/fd/1").unwrap_or_else(|_| PathBuf::from("/dev/tty0"));
    // What a desktop has is not ours to change.
    let is_others = is_desktop(console);
    let is_graphic = is_others || aside(console);
    let answer = if is_graphic { GRAPHIC } else { CURSOR_ONLY };
    let said = rustix::io::write(line, &[answer]);
    if said.is_ok() {
        if is_graphic && !is_others {
            keep_aside(line, console, &path);
        } else {
            wait_for_the_end(line);
        }
    }
    if !is_others && !back(console) {
        let console = open_terminal(&path)?;
        back(console.as_fd());
    }
    Ok(())
}

/// Signals that end a program are for boxcam itself; the guard ends after it. The one to abort is systemd's to all of a
/// service whose watchdog was not fed.
fn outlive_signals() -> io::Result<()> {
    let signals = [
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGUSR2, SIGABRT,
    ];
    for signal in signals {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Gets out of the way of a `kill` that means boxcam and all that it started.
fn leave_the_group(console: BorrowedFd<'_>) {
    // Only who has the console as their terminal may change its mode, unless they are privileged. Those may have been
    // started by the kernel, in no session, which rustix takes for impossible.
    let may_leave = rustix::process::geteuid().is_root() || !is_ours(console);
    let left = may_leave && rustix::process::setsid().is_ok();
    if !left {
        // It fails where there is a group of our own already, which is as good.
        let _ = rustix::process::setpgid(None, None);
    }
}

/// Whether the console is our own terminal.
fn is_ours(console: BorrowedFd<'_>) -> bool {
    let own = rustix::process::getsid(None).ok();
    own.is_some() && rustix::termios::tcgetsid(console).ok() == own
}

/// Puts text aside; whether that was all of it.
fn aside(console: BorrowedFd<'_>) -> bool {
    write(console, HIDE_CURSOR);
    kernel::set_graphic(console, true).is_ok()
}

/// Gives text back; whether the console is still there for it.
fn back(console: BorrowedFd<'_>) -> bool {
    // Who could not set graphics can't set text either, but then it is text.
    let _ = kernel::set_graphic(console, false);
    write(console, SHOW_CURSOR);
    kernel::is_graphic(console).is_ok_and(|graphic| !graphic)
}

/// Writes to the console; the cursor is not worth an error, nor waiting for a stopped console.
fn write(console: BorrowedFd<'_>, words: &[u8]) {
    let _ = rustix::io::write(console, words);
}

/// Puts the console aside whenever it shows text, and says so, until nobody holds the other end of the line any more.
fn keep_aside(line: BorrowedFd<'_>, console: BorrowedFd<'_>, path: &Path) {
    loop {
        let mut ends = [PollFd::from_borrowed_fd(line, PollFlags::IN)];
        match poll(&mut ends, Some(&CHECK)) {
            Ok(0) if put_aside_again(console, path) => {
                let _ = rustix::io::write(line, &[GRAPHIC]);
            }
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            _ => return wait_for_the_end(line),
        }
    }
}

/// Whether the console showed text and no longer does. A login that starts hangs up whoever has it open.
fn put_aside_again(console: BorrowedFd<'_>, path: &Path) -> bool {
    if kernel::is_graphic(console).is_ok_and(|graphic| graphic) {
        return false;
    }
    open_terminal(path).is_ok_and(|console| {
        kernel::is_graphic(&console).is_ok_and(|graphic| !graphic) && aside(console.as_fd())
    })
}

/// Returns when nobody holds the other end of the line any more.
fn wait_for_the_end(line: BorrowedFd<'_>) {
    let mut byte = [0];
    loop {
        match rustix::io::read(line, &mut byte) {
            Ok(0) => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
