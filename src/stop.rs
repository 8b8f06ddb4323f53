//! Signals that end a run: Ctrl-C, `kill`, a closed terminal.
//!
//! The first one ends a run gracefully, a second Ctrl-C or `kill` ends the program at once. A hangup never does so: the
//! kernel, the shell and the service manager may each send one, before or after another signal. A hangup that was
//! ignored when the program started, as `nohup` does, stays ignored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;

/// A flag that the first signal sets.
pub(crate) fn flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let was_asked = Arc::new(AtomicBool::new(false));
    for &signal in TERM_SIGNALS {
        // The order matters: the first signal must find the flag unset.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&was_asked))?;
        flag::register(signal, Arc::clone(&was_asked))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    #[cfg(unix)]
    if !is_ignored(signal_hook::consts::SIGHUP) {
        flag::register(signal_hook::consts::SIGHUP, Arc::clone(&stop))?;
    }
    // A write beyond a limit on the size of files then fails, as on a full disk, instead of ending the program.
    #[cfg(target_os = "linux")]
    flag::register(libc::SIGXFSZ, Arc::default())?;
    Ok(stop)
}

/// Whether the process that started this one has set a signal to be ignored.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status_ignores(&status, signal)
}

#[cfg(unix)]
fn status_ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tboxcam\nSigBlk:\tffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        let ignored = (1..=64).filter(|signal| status_ignores(status, *signal));
        assert_eq!(ignored.collect::<Vec<_>>(), [1, 13]);
        assert!(!status_ignores("", 1));
    }
}
