//! An emulated USB webcam for tests: it attaches to Linux's `vhci-hcd` over USB/IP, so the kernel's usbcore and uvcvideo
//! drive it like a real one.
//!
//! Arguments are a format, a size and a file with the bytes of one frame, for example a JPEG; the camera sends this frame
//! repeatedly. Commands on standard input inject faults: see [`stream::Behavior`]. The camera is unplugged when this
//! program ends. It needs the module vhci-hcd, a loopback network and root; use it on test machines only.
#![allow(
    clippy::print_stderr,
    reason = "a test program, whose messages go to standard error"
)]

mod descriptors;
mod device;
mod stream;
mod usbip;

use std::error::Error;
use std::fs;
use std::io::BufRead;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use descriptors::Mode;
use stream::Stream;

/// The file that attaches a socket: port of the hub, socket, device id, speed.
const ATTACH: &str = "/sys/devices/platform/vhci_hcd.0/attach";

/// The speed `USB_SPEED_HIGH` in [`ATTACH`].
const HIGH_SPEED: u32 = 3;

/// Bus 1, device 2; any id works, since the connection has one device.
const DEVICE_ID: u32 = 0x0001_0002;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, size, file] = arguments.as_slice() else {
        eprintln!("usage: webcam MJPG|YUY2|NV12|GREY|BGR3 WxH FILE");
        return ExitCode::from(2);
    };
    match attach(format, size, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webcam: {error}");
            ExitCode::FAILURE
        }
    }
}

fn attach(format: &str, size: &str, file: &str) -> Result<(), Box<dyn Error>> {
    let mode = Mode::new(format, size)?;
    let stream = Arc::new(Stream::new(fs::read(file)?));
    let (device_end, kernel_end) = connection()?;
    let attached = format!("0 {} {DEVICE_ID} {HIGH_SPEED}", kernel_end.as_raw_fd());
    fs::write(ATTACH, attached).map_err(|error| format!("{ATTACH}: {error}"))?;
    let (sender, reader) = (Arc::clone(&stream), Arc::clone(&stream));
    let to_kernel = device_end.try_clone()?;
    thread::spawn(move || sender.send_frames(&to_kernel));
    thread::spawn(move || read_commands(&reader));
    device::serve(&device_end, &mode, &stream)?;
    Ok(())
}

/// Both ends of a TCP connection; the kernel does not accept a pipe.
fn connection() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let device_end = TcpStream::connect(listener.local_addr()?)?;
    let (kernel_end, _) = listener.accept()?;
    device_end.set_nodelay(true)?;
    Ok((device_end, kernel_end))
}

/// Runs the commands on standard input.
fn read_commands(stream: &Stream) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if let Err(error) = stream.run_command(&line) {
            eprintln!("webcam: {line}: {error}");
        }
    }
}
