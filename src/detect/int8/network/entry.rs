//! The first map: what the network is given, as stored numbers.

use super::super::arithmetic::{Stored, Target, stored};
use super::super::graph::{Entry, MapValue};
use super::super::map::Layout;

impl Entry {
    /// What is to be given.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Pixels(_) => "bytes of a picture",
            Self::Floats => "floats",
        }
    }

    /// The table by which a pixel of 0..=255 becomes what is stored.
    #[must_use]
    pub fn of_pixels(quantised: impl Fn(u8) -> i8) -> Self {
        Self::Pixels(Box::new(std::array::from_fn(|pixel| {
            stored(quantised(pixel as u8))
        })))
    }
}

/// Writes the border of a map.
pub(super) fn fill_border(layout: &Layout, zero_point: Stored, map: &mut [Stored]) {
    let border = layout.border;
    let (above, inner) = map.split_at_mut(border.top * layout.row);
    above.fill(zero_point);
    let (inner, rest) = inner.split_at_mut(layout.size.height * layout.row);
    rest[..border.bottom * layout.row].fill(zero_point);
    if border.left + border.right > 0 {
        let right = layout.row - border.right * layout.pixel;
        for row in inner.chunks_exact_mut(layout.row) {
            row[..border.left * layout.pixel].fill(zero_point);
            row[right..].fill(zero_point);
        }
    }
}

/// Bytes of a picture, row by row.
///
/// # Panics
/// When the picture has another size than the map.
pub(super) fn pixels(table: &[Stored; 256], pixels: &[u8], layout: &Layout, map: &mut [Stored]) {
    let channels = layout.size.channels;
    let row = layout.size.width * channels;
    assert_eq!(
        pixels.len(),
        row * layout.size.height,
        "bytes of the picture"
    );
    // Nearly always a pixel of 128 is fed as 0, and a step is a step.
    let is_plain =
        (0..=u8::MAX).all(|pixel| table[usize::from(pixel)] == stored((pixel ^ 0x80) as i8));
    for (y, pixels) in pixels.chunks_exact(row).enumerate() {
        let to = &mut map[layout.row_start(y)..][..layout.size.width * layout.pixel];
        if layout.pixel != channels {
            for (to, pixel) in to
                .chunks_exact_mut(layout.pixel)
                .zip(pixels.chunks_exact(channels))
            {
                let pairs = to.iter_mut().zip(pixel);
                pairs.for_each(|(to, &value)| *to = table[usize::from(value)]);
            }
            continue;
        }
        let pairs = to.iter_mut().zip(pixels);
        if is_plain {
            pairs.for_each(|(to, &pixel)| *to = stored((pixel ^ 0x80) as i8));
        } else {
            pairs.for_each(|(to, &pixel)| *to = table[usize::from(pixel)]);
        }
    }
}

/// Floats, channel by channel, as ONNX's `QuantizeLinear` quantises.
///
/// # Panics
/// When there are more or fewer of them than the map has.
pub(super) fn floats(value: &MapValue, floats: &[f32], layout: &Layout, map: &mut [Stored]) {
    let size = layout.size;
    let target = Target {
        zero_point: value.zero_point,
        low: stored(i8::MIN),
        high: stored(i8::MAX),
    };
    assert_eq!(
        floats.len(),
        size.height * size.width * size.channels,
        "floats"
    );
    for (channel, plane) in floats.chunks_exact(size.height * size.width).enumerate() {
        for (y, row) in plane.chunks_exact(size.width).enumerate() {
            let to = map[layout.row_start(y) + channel..]
                .iter_mut()
                .step_by(layout.pixel);
            for (to, &float) in to.zip(row) {
                *to = target.quantise(float / value.scale);
            }
        }
    }
}
