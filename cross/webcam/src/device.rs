//! The camera as the host's requests meet it: answers control transfers, hands the others to the stream.

use std::io;
use std::net::TcpStream;

use crate::descriptors::{self, Mode};
use crate::stream::Stream;
use crate::usbip::{self, Request, STALLED};

/// Answers until the kernel hangs up.
pub(crate) fn serve(wire: &TcpStream, mode: &Mode, stream: &Stream) -> io::Result<()> {
    loop {
        match usbip::read(wire)? {
            Request::Bulk { id, room } => stream.queue(id, room),
            Request::TakeBack { id, other } => {
                let _turn = stream.turn();
                let in_time = stream.take_back(other);
                usbip::took_back(wire, id, in_time)?;
            }
            Request::Control { id, setup } => {
                let length = usize::from(u16::from_le_bytes([setup[6], setup[7]]));
                let _turn = stream.turn();
                if setup[0] & 0x80 == 0 {
                    usbip::taken(wire, id, length)?;
                } else if let Some(mut data) = told(setup, mode) {
                    data.truncate(length);
                    usbip::answer(wire, id, 0, &data)?;
                } else {
                    usbip::answer(wire, id, STALLED, &[])?;
                }
            }
        }
    }
}

/// What the camera says when it is asked; `None` where it doesn't know the question.
fn told(setup: [u8; 8], mode: &Mode) -> Option<Vec<u8>> {
    let [kind, request, index, what, entity_low, entity, ..] = setup;
    match (kind, request) {
        (0x80, 6) => match what {
            1 => Some(descriptors::device().to_vec()),
            2 => Some(mode.configuration()),
            3 => descriptors::string(index),
            _ => None,
        },
        // Its state, to host and interface alike: nothing special.
        (0x80..=0x82, 0) => Some(vec![0, 0]),
        (0x80, 8) => Some(vec![1]),
        (0x81, 10) => Some(vec![0]),
        // The agreement, whether current, least, most or default.
        (0xa1, 0x81..=0x83 | 0x87) if entity_low == 1 && entity == 0 && (1..=2).contains(&what) => {
            Some(mode.agreement())
        }
        _ => None,
    }
}
