//! What the crates `v4l` 0.14 and `nokhwa-bindings-linux` 0.1 take from Linux's
//! `videodev2.h`, written by hand.
//!
//! What comes in: nothing. There is no build script, so neither libclang, nor a C compiler, nor
//! a target's headers are wanted to build a camera program, on this machine or for another one.
//! What is here: the structures and unions that `v4l` passes to the video driver, under the names
//! that bindgen gives them (`type_` for `type`, `__bindgen_anon_1` for an unnamed union), and the
//! few constants that are asked for by name. It stands in for the crate of the same name and
//! version on crates.io, through `[patch.crates-io]`.
//!
//! What it refuses to be: a full binding. A structure, a union member or a constant that neither
//! crate uses is left out, but for the members that give a union its size and alignment.
//!
//! A driver tells requests apart by a number with the structure's size in it, so that one wrong
//! byte makes a request unknown. The sizes, the request numbers and the offsets that depend on
//! padding are therefore checked while this crate compiles, for the target at hand; a test
//! compares every field with the C header, where there is one.
//!
//! On 32-bit machines the time in a buffer is the kernel's first form, two 32-bit numbers, which
//! kernels old and new understand (unless one was built without `COMPAT_32BIT_TIME`). The two
//! kinds of 32-bit machine that never had it (x32 and 32-bit RISC-V) are refused. On systems
//! other than Linux the crate is empty.

#![cfg(target_os = "linux")]
// The names are the C header's, as bindgen writes them; `v4l` uses them by these names.
#![allow(non_camel_case_types)]

#[cfg(any(
    all(target_arch = "x86_64", target_pointer_width = "32"),
    target_arch = "riscv32"
))]
compile_error!("v4l2_buffer has a 64-bit time on this machine, which this crate does not describe");

mod buffer;
mod control;
mod device;
mod encoder;
mod format;
mod frame;
mod layout;
mod requests;
mod stream;
mod tuner;

#[cfg(test)]
mod header;

pub use buffer::*;
pub use control::*;
pub use device::*;
pub use encoder::*;
pub use format::*;
pub use frame::*;
pub use stream::*;
pub use tuner::*;
