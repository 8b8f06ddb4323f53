//! A USB webcam without the webcam: plugs itself into Linux's `vhci-hcd` over USB/IP, so that the kernel's own
//! usbcore and uvcvideo drive it as they would the real thing.
//!
//! In go a format, a size and a file that is one frame's bytes as they are sent, a JPEG for instance; the camera
//! plays that frame over and over. Lines on standard input change what it does: see [`stream::Mood`]. It is pulled
//! out when this program ends. It wants the module vhci-hcd, a loopback network and the rights of root, and has no
//! place on a machine that is not a test.

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

/// Where a socket is handed to the kernel: port of the hub, socket, device number, speed.
const ATTACH: &str = "/sys/devices/platform/vhci_hcd.0/attach";

/// USB's number for a high-speed device in [`ATTACH`].
const HIGH_SPEED: u32 = 3;

/// Bus 1, device 2: any will do, nobody else is on this wire.
const DEVICE: u32 = 0x0001_0002;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [format, size, file] = words.as_slice() else {
        eprintln!("usage: webcam MJPG|YUY2|NV12|GREY|BGR3 WxH FILE");
        return ExitCode::from(2);
    };
    match plug_in(format, size, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webcam: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plug_in(format: &str, size: &str, file: &str) -> Result<(), Box<dyn Error>> {
    let mode = Mode::new(format, size)?;
    let stream = Arc::new(Stream::new(fs::read(file)?));
    let (ours, kernels) = connection()?;
    let attached = format!("0 {} {DEVICE} {HIGH_SPEED}", kernels.as_raw_fd());
    fs::write(ATTACH, attached).map_err(|error| format!("{ATTACH}: {error}"))?;
    let (player, listener) = (Arc::clone(&stream), Arc::clone(&stream));
    let to_kernel = ours.try_clone()?;
    thread::spawn(move || player.play(&to_kernel));
    thread::spawn(move || listen(&listener));
    device::serve(&ours, &mode, &stream)?;
    Ok(())
}

/// Both ends of a connection: the kernel takes no pipe.
fn connection() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let (kernels, _) = listener.accept()?;
    ours.set_nodelay(true)?;
    Ok((ours, kernels))
}

/// Does what the lines on standard input say.
fn listen(stream: &Stream) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if let Err(error) = stream.obey(&line) {
            eprintln!("webcam: {line}: {error}");
        }
    }
}
