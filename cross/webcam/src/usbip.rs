//! The USB/IP protocol for one device without isochronous endpoints.

use std::io::{self, Read, Write};

/// Bytes of a request or reply before its data.
const HEADER: usize = 48;

/// `-EPIPE`: the endpoint is stalled, since the device does not support the request.
pub(crate) const STALLED: i32 = -32;

/// `-ECONNRESET`: the request was unlinked before it completed.
const UNLINKED: i32 = -104;

/// A request of the kernel.
#[derive(Debug)]
pub(crate) enum Request {
    /// A control transfer in either direction.
    Control { id: u32, setup: [u8; 8] },
    /// A transfer on the streaming endpoint with a buffer of this many bytes.
    Bulk { id: u32, length: usize },
    /// Cancels an earlier request.
    Unlink { id: u32, other: u32 },
}

/// Waits for a request.
pub(crate) fn read(mut from: impl Read) -> io::Result<Request> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header)?;
    let word = |at: usize| {
        let bytes = header.iter().skip(at * 4).take(4);
        bytes.fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
    };
    let (command, id, is_in, endpoint) = (word(0), word(1), word(3) == 1, word(4));
    if command == 2 {
        let other = word(5);
        return Ok(Request::Unlink { id, other });
    }
    let length = word(6) as usize;
    if !is_in {
        // The data is ignored: there is only one mode to set.
        io::copy(&mut from.take(length as u64), &mut io::sink())?;
    }
    if endpoint != 0 {
        return Ok(Request::Bulk { id, length });
    }
    let mut setup = [0; 8];
    setup.copy_from_slice(&header[40..]);
    Ok(Request::Control { id, setup })
}

/// Completes a transfer to the device, of which this many bytes were accepted.
pub(crate) fn accept(to: impl Write, id: u32, length: usize) -> io::Result<()> {
    send(to, [3, id], [0, length as i32], &[])
}

/// Completes a transfer from the device with data, or with an error status and no data.
pub(crate) fn reply(to: impl Write, id: u32, status: i32, data: &[u8]) -> io::Result<()> {
    send(to, [3, id], [status, data.len() as i32], data)
}

/// Completes an unlink request; `was_pending` if the other request was not completed before.
pub(crate) fn unlinked(to: impl Write, id: u32, was_pending: bool) -> io::Result<()> {
    let status = if was_pending { UNLINKED } else { 0 };
    send(to, [4, id], [status, 0], &[])
}

fn send(mut to: impl Write, start: [u32; 2], result: [i32; 2], data: &[u8]) -> io::Result<()> {
    let mut message = Vec::with_capacity(HEADER + data.len());
    message.extend(start.iter().flat_map(|word| word.to_be_bytes()));
    message.extend([0; 12]);
    message.extend(result.iter().flat_map(|word| word.to_be_bytes()));
    message.resize(HEADER, 0);
    message.extend(data);
    to.write_all(&message)
}
