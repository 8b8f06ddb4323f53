//! The USB and UVC descriptors of the camera, for one format and size.

use thiserror::Error;

/// Bytes of one transfer of the stream, with its header.
pub(crate) const PAYLOAD: u32 = 16384;

/// Frame interval in units of 100 ns: 25 frames a second, which an emulated computer can process.
const INTERVAL: u32 = 400_000;

/// The end of the GUID of uncompressed formats; it starts with the four-character code.
const GUID_TAIL: [u8; 12] = [0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// The GUID of 24-bit BGR.
const GUID_BGR: [u8; 16] = [
    0x7d, 0xeb, 0x36, 0xe4, 0x4f, 0x52, 0xce, 0x11, 0x9f, 0x53, 0x00, 0x20, 0xaf, 0x0b, 0xa7, 0x70,
];

/// An argument that is not supported.
#[derive(Debug, Error)]
pub(crate) enum ModeError {
    #[error("format {0} is not supported; expected MJPG, YUY2, NV12, GREY or BGR3")]
    Format(String),
    #[error("\"{0}\" is not a size; expected WxH")]
    Size(String),
}

/// The format and size of the camera.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    format: Format,
    width: u16,
    height: u16,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Jpeg,
    Raw { guid: [u8; 16], bits: u8 },
}

impl Mode {
    /// Parses the arguments of the command line.
    pub(crate) fn new(format: &str, size: &str) -> Result<Self, ModeError> {
        let coded = |code: &[u8; 4], bits| {
            let mut guid = [0; 16];
            guid[..4].copy_from_slice(code);
            guid[4..].copy_from_slice(&GUID_TAIL);
            Format::Raw { guid, bits }
        };
        let format = match format {
            "MJPG" => Format::Jpeg,
            "YUY2" => coded(b"YUY2", 16),
            "NV12" => coded(b"NV12", 12),
            "GREY" => coded(b"Y800", 8),
            "BGR3" => Format::Raw {
                guid: GUID_BGR,
                bits: 24,
            },
            other => return Err(ModeError::Format(other.to_owned())),
        };
        let sides = size.split_once('x');
        let sides = sides.and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        let (width, height) = sides.ok_or_else(|| ModeError::Size(size.to_owned()))?;
        Ok(Self {
            format,
            width,
            height,
        })
    }

    /// The largest number of bytes of a frame.
    fn max_frame_bytes(&self) -> u32 {
        let bits = match self.format {
            Format::Jpeg => 16,
            Format::Raw { bits, .. } => u32::from(bits),
        };
        u32::from(self.width) * u32::from(self.height) * bits / 8
    }

    /// The data of the probe and commit controls, by which host and camera negotiate the mode.
    pub(crate) fn probe_commit(&self) -> Vec<u8> {
        let mut bytes = vec![0, 0, 1, 1];
        bytes.extend(INTERVAL.to_le_bytes());
        bytes.extend([0; 10]);
        bytes.extend(self.max_frame_bytes().to_le_bytes());
        bytes.extend(PAYLOAD.to_le_bytes());
        bytes
    }

    /// The configuration descriptor with its interfaces and endpoints.
    pub(crate) fn configuration(&self) -> Vec<u8> {
        let mut body = vec![8, 11, 0, 2, 0x0e, 3, 0, 0];
        body.extend([9, 4, 0, 0, 0, 0x0e, 1, 0, 0]);
        body.extend(control());
        body.extend([9, 4, 1, 0, 1, 0x0e, 2, 0, 0]);
        body.extend(self.streaming());
        body.extend([7, 5, 0x81, 2, 0, 2, 0]);
        let mut bytes = vec![9, 2];
        bytes.extend((9 + body.len() as u16).to_le_bytes());
        bytes.extend([2, 1, 0, 0x80, 250]);
        bytes.extend(body);
        bytes
    }

    /// The class-specific descriptors of the streaming interface.
    fn streaming(&self) -> Vec<u8> {
        let mut modes = Vec::new();
        let frame = match self.format {
            Format::Jpeg => {
                modes.extend([11, 0x24, 6, 1, 1, 1, 1, 0, 0, 0, 0]);
                7
            }
            Format::Raw { guid, bits } => {
                modes.extend([27, 0x24, 4, 1, 1]);
                modes.extend(guid);
                modes.extend([bits, 1, 0, 0, 0, 0]);
                5
            }
        };
        modes.extend([30, 0x24, frame, 1, 0]);
        modes.extend(self.width.to_le_bytes());
        modes.extend(self.height.to_le_bytes());
        let rate = self.max_frame_bytes().saturating_mul(8 * 25);
        for word in [rate, rate, self.max_frame_bytes(), INTERVAL] {
            modes.extend(word.to_le_bytes());
        }
        modes.push(1);
        modes.extend(INTERVAL.to_le_bytes());
        modes.extend([6, 0x24, 0x0d, 1, 1, 4]);
        let mut bytes = vec![14, 0x24, 1, 1];
        bytes.extend((14 + modes.len() as u16).to_le_bytes());
        bytes.extend([0x81, 0, 2, 0, 0, 0, 1, 0]);
        bytes.extend(modes);
        bytes
    }
}

/// The device descriptor: USB 2.0 with an interface association, and a vendor id for tests.
pub(crate) fn device() -> [u8; 18] {
    [
        18, 1, 0, 2, 0xef, 2, 1, 64, 0x09, 0x12, 0x01, 0, 0, 1, 1, 2, 3, 1,
    ]
}

/// The string descriptors: languages (English), manufacturer, product, serial number.
pub(crate) fn string(number: u8) -> Option<Vec<u8>> {
    let units: Vec<u16> = match number {
        0 => vec![0x0409],
        1 => "boxcam".encode_utf16().collect(),
        2 => "Test webcam".encode_utf16().collect(),
        3 => "0001".encode_utf16().collect(),
        _ => return None,
    };
    let mut bytes = vec![2 + 2 * units.len() as u8, 3];
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    Some(bytes)
}

/// The class-specific descriptors of the control interface: a camera terminal and a USB output terminal.
fn control() -> Vec<u8> {
    let lens = [18, 0x24, 2, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
    let output = [9, 0x24, 3, 2, 1, 1, 0, 1, 0];
    let mut bytes = vec![13, 0x24, 1, 0, 1];
    bytes.extend((13 + lens.len() as u16 + output.len() as u16).to_le_bytes());
    bytes.extend(48_000_000_u32.to_le_bytes());
    bytes.extend([1, 1]);
    bytes.extend(lens);
    bytes.extend(output);
    bytes
}
