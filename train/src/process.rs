//! Process-wide settings of the C library: how the allocator keeps memory, and what a closed pipe does.

/// Tells the allocator to keep freed memory.
///
/// Each training step allocates the same feature maps of some hundred megabytes. By default glibc returns them to the
/// system and gets them back page by page, each page cleared: 10 to 15 % of a step's time (`docs/training.md`).
pub(crate) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "calls of the C library")]
    // SAFETY: `mallopt` takes two integers; it is called before other threads exist.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
    }
}

/// Ends the process silently when the reader of its output closes the pipe, e.g. `boxcam-train model card FILE | head`.
///
/// Rust ignores that signal, and printing would panic.
pub(crate) fn end_on_closed_pipe() {
    #[cfg(unix)]
    #[allow(unsafe_code, reason = "a call of the C library")]
    // SAFETY: resets a signal to its default; no handler of this program is replaced.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
