//! Bounds on the CPU time and the memory of one input.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What one input may take, beyond what was there before.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of all threads together, so that other programs on the machine don't count.
    pub cpu_time: Duration,
    /// In bytes, at any moment.
    pub memory: usize,
}

impl Bounds {
    /// For text and messages of at most 64 KiB.
    pub const TEXT: Self = Self {
        cpu_time: Duration::from_secs(1),
        memory: 64 << 20,
    };

    /// For what may contain a picture of up to `boxcam::picture::MAX_PIXELS`.
    pub const PICTURE: Self = Self {
        cpu_time: Duration::from_secs(5),
        memory: 1 << 30,
    };

    /// For a model, which is computed twice when it is loaded.
    pub const MODEL: Self = Self {
        cpu_time: Duration::from_secs(5),
        memory: 1 << 30,
    };

    /// Runs `input`; panics or aborts if it exceeds the bounds.
    pub fn check(self, input: impl FnOnce()) {
        LIMIT.store(
            LIVE.load(Ordering::Relaxed) + self.memory,
            Ordering::Relaxed,
        );
        let before = cpu_time();
        input();
        let used = cpu_time().saturating_sub(before);
        LIMIT.store(usize::MAX, Ordering::Relaxed);
        assert!(
            used <= self.cpu_time,
            "the input took {used:?} of CPU time, at most {:?} is allowed",
            self.cpu_time
        );
    }
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a valid timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes that are allocated.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The most bytes that may be allocated.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// The system's allocator; it ends the process above the limit.
struct CountingAllocator;

fn grow(bytes: usize) {
    let live = LIVE
        .fetch_add(bytes, Ordering::Relaxed)
        .saturating_add(bytes);
    if live > LIMIT.load(Ordering::Relaxed) {
        const MESSAGE: &[u8] = b"the input takes more memory than its bound\n";
        // SAFETY: the pointer and the length are those of the message.
        unsafe { libc::write(2, MESSAGE.as_ptr().cast(), MESSAGE.len()) };
        std::process::abort();
    }
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() {
            grow(size - layout.size());
        } else {
            LIVE.fetch_sub(layout.size() - size, Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
