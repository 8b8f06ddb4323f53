//! The camera's control endpoint; bulk transfers are passed to the stream.

use std::io;
use std::net::TcpStream;

use crate::descriptors::{self, Mode};
use crate::stream::Stream;
use crate::usbip::{self, Request, STALLED};

/// Serves requests until the kernel closes the connection.
pub(crate) fn serve(connection: &TcpStream, mode: &Mode, stream: &Stream) -> io::Result<()> {
    loop {
        match usbip::read(connection)? {
            Request::Bulk { id, length } => stream.queue(id, length),
            Request::Unlink { id, other } => {
                let _guard = stream.lock_connection();
                let was_pending = stream.unlink(other);
                usbip::unlinked(connection, id, was_pending)?;
            }
            Request::Control { id, setup } => {
                let length = usize::from(u16::from_le_bytes([setup[6], setup[7]]));
                let _guard = stream.lock_connection();
                if setup[0] & 0x80 == 0 {
                    usbip::accept(connection, id, length)?;
                } else if let Some(mut data) = control_data(setup, mode) {
                    data.truncate(length);
                    usbip::reply(connection, id, 0, &data)?;
                } else {
                    usbip::reply(connection, id, STALLED, &[])?;
                }
            }
        }
    }
}

/// The data of a control request; `None` if it is not supported.
fn control_data(setup: [u8; 8], mode: &Mode) -> Option<Vec<u8>> {
    let [
        kind,
        request,
        value_low,
        value_high,
        index_low,
        index_high,
        ..,
    ] = setup;
    match (kind, request) {
        (0x80, 6) => match value_high {
            1 => Some(descriptors::device().to_vec()),
            2 => Some(mode.configuration()),
            3 => descriptors::string(value_low),
            _ => None,
        },
        // GET_STATUS of device, interface or endpoint.
        (0x80..=0x82, 0) => Some(vec![0, 0]),
        (0x80, 8) => Some(vec![1]),
        (0x81, 10) => Some(vec![0]),
        // GET_CUR, GET_MIN, GET_MAX and GET_DEF of the probe and commit controls.
        (0xa1, 0x81..=0x83 | 0x87)
            if index_low == 1 && index_high == 0 && (1..=2).contains(&value_high) =>
        {
            Some(mode.probe_commit())
        }
        _ => None,
    }
}
