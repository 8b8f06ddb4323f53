//! What the process asks of the system when it starts: how memory is held, and how a reader that goes away is met.

/// Tells the allocator to keep what is freed.
///
/// A step of a training allocates the same maps of some hundred megabytes as the one before. Left alone, glibc
/// gives each back to the system and gets it again page by page, each page cleared: 10 to 15% of the time of a
/// step (`docs/training.md`).
pub(crate) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(
        unsafe_code,
        reason = "a call into the C library that takes two numbers"
    )]
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
    }
}

/// Ends the process without a word when whoever reads its output has gone, as `boxcam-train card FILE | head` does.
///
/// Rust ignores that signal, and printing would panic.
pub(crate) fn end_with_the_reader() {
    #[cfg(unix)]
    #[allow(
        unsafe_code,
        reason = "a call into the C library that takes two numbers"
    )]
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
