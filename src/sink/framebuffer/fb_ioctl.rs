//! The ioctls of framebuffers and consoles, and the mapped memory of a screen.
//!
//! The only unsafe code of the framebuffer. Its interface is safe: the structures are plain integers, as in the kernel's
//! headers, and writes are bounds-checked.
#![allow(unsafe_code, reason = "ioctls and device memory")]

use std::ffi::{c_char, c_int, c_short, c_ulong, c_ushort};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use memmap2::{MmapOptions, MmapRaw};

// linux/fb.h
const FBIOGET_VSCREENINFO: u32 = 0x4600;
const FBIOGET_FSCREENINFO: u32 = 0x4602;
const FBIOPAN_DISPLAY: u32 = 0x4606;
const FBIOBLANK: u32 = 0x4611;
const FBIO_WAITFORVSYNC: u32 = 0x4004_4620;
// linux/kd.h and linux/vt.h
const KDSETMODE: u32 = 0x4B3A;
const KDGETMODE: u32 = 0x4B3B;
const KD_TEXT: c_int = 0;
const KD_GRAPHICS: c_int = 1;
const VT_GETMODE: u32 = 0x5601;
const VT_GETSTATE: u32 = 0x5603;
const VT_PROCESS: c_char = 1;

/// The position of a channel in a pixel: `struct fb_bitfield`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BitField {
    /// The lowest bit.
    pub(super) offset: u32,
    /// The number of bits.
    pub(super) length: u32,
    /// Not 0 if the most significant bit is on the right.
    pub(super) msb_right: u32,
}

/// The variable properties of a screen: `struct fb_var_screeninfo`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct VarInfo {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) virtual_width: u32,
    pub(super) virtual_height: u32,
    pub(super) x_offset: u32,
    pub(super) y_offset: u32,
    pub(super) bits_per_pixel: u32,
    pub(super) grayscale: u32,
    pub(super) red: BitField,
    pub(super) green: BitField,
    pub(super) blue: BitField,
    pub(super) alpha: BitField,
    pub(super) nonstandard: u32,
    /// Physical size, timings and so on, which are passed back unchanged.
    pub(super) rest: [u32; 19],
}

/// The fixed properties of a screen: `struct fb_fix_screeninfo`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FixInfo {
    pub(super) id: [u8; 16],
    pub(super) memory_start: c_ulong,
    pub(super) memory_length: u32,
    pub(super) kind: u32,
    pub(super) kind_aux: u32,
    pub(super) visual: u32,
    pub(super) x_pan_step: u16,
    pub(super) y_pan_step: u16,
    pub(super) y_wrap_step: u16,
    pub(super) line_length: u32,
    pub(super) io_start: c_ulong,
    pub(super) io_length: u32,
    pub(super) accelerator: u32,
    pub(super) capabilities: u16,
    pub(super) reserved: [u16; 2],
}

impl VarInfo {
    /// Whether size and pixel format are the same. The visible part may differ.
    pub(super) fn is_same_mode(&self, other: &Self) -> bool {
        let mode = |info: &Self| {
            let sizes = [
                info.width,
                info.height,
                info.virtual_width,
                info.virtual_height,
                info.bits_per_pixel,
            ];
            (sizes, [info.red, info.green, info.blue, info.alpha])
        };
        mode(self) == mode(other)
    }
}

const _: () = assert!(size_of::<VarInfo>() == 160);
const _: () = assert!(size_of::<FixInfo>() == if size_of::<c_ulong>() == 8 { 80 } else { 68 });

/// `struct vt_stat`: the visible console.
#[repr(C)]
#[derive(Default)]
struct VtState {
    active: c_ushort,
    signal: c_ushort,
    state: c_ushort,
}

/// `struct vt_mode`: how consoles are switched.
#[repr(C)]
#[derive(Default)]
struct VtMode {
    mode: c_char,
    wait: c_char,
    release: c_short,
    acquire: c_short,
    freed: c_short,
}

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// An ioctl whose argument is a pointer to a `T` of the size that the kernel expects.
fn by_pointer<T>(device: impl AsFd, request: u32, value: &mut T) -> io::Result<()> {
    let device = device.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed, so it is open. Each caller in this file passes the structure that the request
    // reads or writes, and all of them are plain integers.
    checked(unsafe { libc::ioctl(device, request as libc::Ioctl, std::ptr::from_mut(value)) })
}

/// An ioctl whose argument is a number.
fn by_value(device: impl AsFd, request: u32, value: c_int) -> io::Result<()> {
    let device = device.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed, so it is open. The requests made with this function take a number and access
    // no memory of this process.
    checked(unsafe { libc::ioctl(device, request as libc::Ioctl, c_ulong::from(value as u32)) })
}

pub(super) fn var_info(screen: &File) -> io::Result<VarInfo> {
    let mut info = VarInfo::default();
    by_pointer(screen, FBIOGET_VSCREENINFO, &mut info).map(|()| info)
}

pub(super) fn fix_info(screen: &File) -> io::Result<FixInfo> {
    let mut info = FixInfo::default();
    by_pointer(screen, FBIOGET_FSCREENINFO, &mut info).map(|()| info)
}

/// Makes the part of the memory visible that is at the offsets of `info`.
pub(super) fn pan(screen: &File, mut info: VarInfo) -> io::Result<()> {
    by_pointer(screen, FBIOPAN_DISPLAY, &mut info)
}

/// Waits for the vertical blank.
pub(super) fn wait_for_vsync(screen: &File) -> io::Result<()> {
    by_pointer(screen, FBIO_WAITFORVSYNC, &mut 0_u32)
}

/// Turns the screen on if it was blanked.
pub(super) fn unblank(screen: &File) -> io::Result<()> {
    by_value(screen, FBIOBLANK, 0)
}

/// Whether a console is in graphics mode. An error if it is not a console.
pub(super) fn is_graphic(console: impl AsFd) -> io::Result<bool> {
    let mut mode = KD_TEXT;
    by_pointer(console, KDGETMODE, &mut mode).map(|()| mode == KD_GRAPHICS)
}

/// Sets a console to graphics or text mode.
pub(super) fn set_graphic(console: impl AsFd, graphic: bool) -> io::Result<()> {
    by_value(
        console,
        KDSETMODE,
        if graphic { KD_GRAPHICS } else { KD_TEXT },
    )
}

/// Whether a program, such as a desktop, handles switches from and to a console.
pub(super) fn is_managed(console: impl AsFd) -> io::Result<bool> {
    let mut mode = VtMode::default();
    by_pointer(console, VT_GETMODE, &mut mode).map(|()| mode.mode == VT_PROCESS)
}

/// Number of the visible console.
pub(super) fn active_console(console: impl AsFd) -> io::Result<u16> {
    let mut state = VtState::default();
    by_pointer(console, VT_GETSTATE, &mut state).map(|()| state.active)
}

fn page_size() -> usize {
    // SAFETY: `sysconf` takes a number and returns one.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096).max(1)
}

/// The mapped memory of a screen.
pub(super) struct ScreenMemory {
    map: MmapRaw,
    /// Offset of the screen's first byte in the map, which starts at a page boundary.
    start: usize,
}

impl ScreenMemory {
    /// Maps `length` bytes of a screen's memory, which starts at that physical address.
    pub(super) fn map(screen: &File, address: c_ulong, length: usize) -> io::Result<Self> {
        let start = address as usize % page_size();
        let map = MmapOptions::new().len(start + length).map_raw(screen)?;
        Ok(Self { map, start })
    }

    /// Copies bytes to that offset. Bytes beyond the end of the memory are not written.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let length = self.map.len() - self.start;
        // The geometry was checked against the length before. This check makes the copy sound by itself.
        let fits = offset
            .checked_add(bytes.len())
            .is_some_and(|end| end <= length);
        if !fits {
            return;
        }
        // SAFETY: source and target both have `bytes.len()` bytes, and the target is within the map, as checked above.
        // The map belongs to `self` alone in this process and lives as long as it.
        unsafe {
            let target = self.map.as_mut_ptr().add(self.start + offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }
}

/// A screen of that many bits per pixel whose red, green, blue and alpha have these offsets and lengths in bits.
#[cfg(test)]
pub(super) fn test_screen(bits: u32, channels: [(u32, u32); 4]) -> (VarInfo, FixInfo) {
    const TRUE_COLOR: u32 = 2;
    let [red, green, blue, alpha] = channels.map(|(offset, length)| BitField {
        offset,
        length,
        msb_right: 0,
    });
    let var = VarInfo {
        bits_per_pixel: bits,
        red,
        green,
        blue,
        alpha,
        ..VarInfo::default()
    };
    let fix = FixInfo {
        visual: TRUE_COLOR,
        ..FixInfo::default()
    };
    (var, fix)
}
