//! How the process holds its memory.

/// Tells the allocator to keep what is freed.
///
/// A step of a training allocates the same maps of some hundred megabytes as the one before. Left alone, glibc
/// gives each back to the system and gets it again page by page, each page cleared: 10 to 15% of the time of a
/// step (`docs/training-speed.md`).
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
