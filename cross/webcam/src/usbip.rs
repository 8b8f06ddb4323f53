//! The wire of USB/IP, as far as one device without isochronous endpoints needs it: requests in, answers out.

use std::io::{self, Read, Write};

/// Bytes of a request or of an answer before its data.
const HEADER: usize = 48;

/// The kernel's number for "stalled": the device doesn't know the request.
pub(crate) const STALLED: i32 = -32;

/// The kernel's number for a request that was taken back in time.
const TAKEN_BACK: i32 = -104;

/// What the kernel asks.
#[derive(Debug)]
pub(crate) enum Request {
    /// A control transfer that wants data, or has brought some.
    Control { id: u32, setup: [u8; 8] },
    /// A transfer on the endpoint of the pictures that has room for so many bytes.
    Bulk { id: u32, room: usize },
    /// An earlier request is not wanted any more.
    TakeBack { id: u32, other: u32 },
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
        return Ok(Request::TakeBack { id, other });
    }
    let room = word(6) as usize;
    if !is_in {
        // What the host sets is what it was offered: there is only one mode.
        io::copy(&mut from.take(room as u64), &mut io::sink())?;
    }
    if endpoint != 0 {
        return Ok(Request::Bulk { id, room });
    }
    let mut setup = [0; 8];
    setup.copy_from_slice(&header[40..]);
    Ok(Request::Control { id, setup })
}

/// Answers a transfer that brought data to the device: so many bytes were taken.
pub(crate) fn taken(to: impl Write, id: u32, length: usize) -> io::Result<()> {
    send(to, [3, id], [0, length as i32], &[])
}

/// Answers a transfer with data, or with a fault and none.
pub(crate) fn answer(to: impl Write, id: u32, status: i32, data: &[u8]) -> io::Result<()> {
    send(to, [3, id], [status, data.len() as i32], data)
}

/// Answers a request to take another back; `in_time` if that one was not answered before.
pub(crate) fn took_back(to: impl Write, id: u32, in_time: bool) -> io::Result<()> {
    let status = if in_time { TAKEN_BACK } else { 0 };
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
