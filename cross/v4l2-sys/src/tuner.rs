//! Radio and television tuners, which no camera has: `v4l` names them for their sizes only.

/// One tuner.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_tuner {
    /// Number of the tuner.
    pub index: u32,
    /// Its name.
    pub name: [u8; 32],
    /// Radio, television and so on.
    pub type_: u32,
    /// `V4L2_TUNER_CAP_*` bits.
    pub capability: u32,
    /// Lowest frequency.
    pub rangelow: u32,
    /// Highest frequency.
    pub rangehigh: u32,
    /// `V4L2_TUNER_SUB_*` bits of what is being received.
    pub rxsubchans: u32,
    /// Mono, stereo or a language.
    pub audmode: u32,
    /// Strength, up to 65535.
    pub signal: i32,
    /// How far off the frequency is: too low below zero, too high above.
    pub afc: i32,
    /// Zero.
    pub reserved: [u32; 4],
}

/// One modulator.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_modulator {
    /// Number of the modulator.
    pub index: u32,
    /// Its name.
    pub name: [u8; 32],
    /// `V4L2_TUNER_CAP_*` bits.
    pub capability: u32,
    /// Lowest frequency.
    pub rangelow: u32,
    /// Highest frequency.
    pub rangehigh: u32,
    /// `V4L2_TUNER_SUB_*` bits of what is to be sent.
    pub txsubchans: u32,
    /// Radio, television and so on.
    pub type_: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// A tuner's or a modulator's frequency.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct v4l2_frequency {
    /// Number of the tuner or the modulator.
    pub tuner: u32,
    /// Radio, television and so on.
    pub type_: u32,
    /// The frequency, in units of 62.5 kHz, 62.5 Hz or 1 Hz.
    pub frequency: u32,
    /// Zero.
    pub reserved: [u32; 8],
}
