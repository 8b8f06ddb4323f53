//! Termination signals (Ctrl-C, `kill`): the first ends a run gracefully, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;

/// A flag that the first termination signal sets.
pub(crate) fn flag() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for &signal in TERM_SIGNALS {
        // The order matters: the first signal must find the flag unset.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))?;
    }
    // A write beyond a limit on the size of files then fails, as on a full disk, instead of ending the program.
    #[cfg(target_os = "linux")]
    flag::register(libc::SIGXFSZ, Arc::default())?;
    Ok(stop)
}
