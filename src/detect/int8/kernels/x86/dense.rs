//! Dense layers: for a panel of channels and a few pixels, all sums at once in registers.
//!
//! Each step reads 4 bytes of each pixel and, for each channel of the panel, the 4 weights that they meet. The
//! weights of a panel are read from end to end for every few pixels, so a block of pixels that the second cache
//! holds goes through all panels before the next begins.

use super::super::super::arithmetic::Stored;
use super::super::super::layer::DenseLayer;
use super::super::super::map::{CHANNEL_GROUP, Walk};
use super::super::PackedDense;
use super::{FULL, Narrowing, Vector, in_panel};

/// Bytes that a step reads of a pixel.
const STEP: usize = 4;

/// Bytes of the input that go through all panels together.
const BLOCK: usize = 128 * 1024;

/// Full panels, and places in what is left: whole vectors.
fn panels<S: Vector>(channels: usize) -> (usize, usize) {
    let full = FULL * S::LANES;
    (
        channels / full,
        (channels % full).next_multiple_of(S::LANES),
    )
}

pub(super) fn pack<S: Vector>(layer: &DenseLayer, pixel: usize) -> PackedDense {
    let full = FULL * S::LANES;
    let (count, rest) = panels::<S>(layer.sums.channels().next_multiple_of(CHANNEL_GROUP));
    let mut widths = vec![full; count];
    widths.extend((rest > 0).then_some(rest));
    PackedDense::new(layer, pixel, STEP, &widths, |place| {
        if place < count * full {
            in_panel(place, S::LANES)
        } else {
            place
        }
    })
}

/// # Safety
/// The walk fits, and the processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn run<S: Vector>(
    layer: &PackedDense,
    walk: &Walk,
    input: &[Stored],
    output: &mut [Stored],
) {
    let [runs, pixels] = walk.runs();
    let block = (BLOCK / walk.in_pixel).max(S::ROWS).min(pixels.max(1));
    let to = Narrowing::new(&layer.target);
    for run in 0..runs {
        for first in (0..pixels).step_by(block) {
            let part = Part {
                layer,
                walk,
                to,
                input: input[run * walk.in_row + first * walk.in_pixel..].as_ptr(),
                output: output.as_mut_ptr(),
                first: run * pixels + first,
                pixels: block.min(pixels - first),
            };
            // SAFETY: the caller's.
            unsafe { part.all_panels::<S>() }
        }
    }
}

/// Windows that follow each other evenly.
struct Part<'a> {
    layer: &'a PackedDense,
    walk: &'a Walk,
    to: Narrowing,
    /// The first of the windows.
    input: *const u8,
    /// The first pixel of the walk.
    output: *mut u8,
    /// Number of the first window in the walk.
    first: usize,
    pixels: usize,
}

/// A panel's numbers.
struct Panel {
    weights: *const i8,
    bias: *const i32,
    multipliers: *const f32,
    /// Its first channel.
    first: usize,
}

impl Part<'_> {
    #[inline(always)]
    unsafe fn all_panels<S: Vector>(&self) {
        let (count, rest) = panels::<S>(self.layer.channels);
        let full = FULL * S::LANES;
        let steps = self.layer.lines * self.layer.line;
        // SAFETY: the panels were packed one behind the other, each with `steps` bytes a place.
        let panel = |number: usize| unsafe {
            let first = number * full;
            Panel {
                weights: self.layer.weights.as_ptr().add(first * steps),
                bias: self.layer.bias.as_ptr().add(first),
                multipliers: self.layer.multipliers.as_ptr().add(first),
                first,
            }
        };
        unsafe {
            for number in 0..count {
                self.all_pixels::<S, FULL, true>(&panel(number));
            }
            match rest / S::LANES {
                0 => {}
                1 => self.all_pixels::<S, 1, false>(&panel(count)),
                2 => self.all_pixels::<S, 2, false>(&panel(count)),
                3 => self.all_pixels::<S, 3, false>(&panel(count)),
                _ => self.all_pixels::<S, 4, false>(&panel(count)),
            }
        }
    }

    /// Through tiles of as equal heights as can be: a tile of one row would wait for its own sums.
    #[inline(always)]
    unsafe fn all_pixels<S: Vector, const V: usize, const IS_FULL: bool>(&self, panel: &Panel) {
        let tiles = self.pixels.div_ceil(S::ROWS);
        let (rows, taller) = (self.pixels / tiles, self.pixels % tiles);
        let mut place = Place::new(self.walk, self.first);
        let mut input = self.input;
        for tile in 0..tiles {
            let rows = rows + usize::from(tile < taller);
            // SAFETY: the walk fits.
            unsafe {
                match rows {
                    1 => self.tile::<S, 1, V, IS_FULL>(panel, input, &mut place),
                    2 => self.tile::<S, 2, V, IS_FULL>(panel, input, &mut place),
                    3 => self.tile::<S, 3, V, IS_FULL>(panel, input, &mut place),
                    4 => self.tile::<S, 4, V, IS_FULL>(panel, input, &mut place),
                    5 => self.tile::<S, 5, V, IS_FULL>(panel, input, &mut place),
                    _ => self.tile::<S, 6, V, IS_FULL>(panel, input, &mut place),
                }
                input = input.add(rows * self.walk.in_pixel);
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Vector, const R: usize, const V: usize, const IS_FULL: bool>(
        &self,
        panel: &Panel,
        input: *const u8,
        place: &mut Place<'_>,
    ) {
        // SAFETY: the panel has as many biases as places.
        let bias: [S; V] =
            std::array::from_fn(|v| unsafe { S::load(panel.bias.add(v * S::LANES).cast()) });
        let mut sums = [bias; R];
        let mut weights: *const u8 = panel.weights.cast();
        for line in 0..self.layer.lines {
            // SAFETY: the walk fits, and there are as many weights as steps.
            unsafe {
                let mut at = input.add(line * self.walk.in_line);
                for _ in 0..self.layer.line / STEP {
                    let w: [S; V] =
                        std::array::from_fn(|v| S::load(weights.add(v * S::LANES * STEP)));
                    for (r, row) in sums.iter_mut().enumerate() {
                        let values = S::broadcast(at.add(r * self.walk.in_pixel));
                        for (sums, w) in row.iter_mut().zip(w) {
                            *sums = sums.add_products(values, w);
                        }
                    }
                    at = at.add(STEP);
                    weights = weights.add(V * S::LANES * STEP);
                }
            }
        }
        for row in sums {
            // SAFETY: the walk fits: `channels` bytes of each pixel may be written.
            unsafe {
                let out = self.output.add(place.next() + panel.first);
                if IS_FULL {
                    let row = std::array::from_fn(|v| row[v % V]);
                    S::narrow(row, panel.multipliers, &self.to).store(out);
                    continue;
                }
                for (v, sums) in row.into_iter().enumerate() {
                    let at = v * S::LANES;
                    let count = (self.layer.channels - panel.first - at).min(S::LANES);
                    debug_assert!(count.is_multiple_of(CHANNEL_GROUP));
                    sums.narrow_one(panel.multipliers.add(at), &self.to, out.add(at), count);
                }
            }
        }
    }
}

/// Goes from pixel to pixel of the output.
struct Place<'a> {
    walk: &'a Walk,
    x: usize,
    at: usize,
}

impl<'a> Place<'a> {
    fn new(walk: &'a Walk, pixel: usize) -> Self {
        Self {
            walk,
            x: pixel % walk.width,
            at: walk.output_of(pixel),
        }
    }

    /// Where the pixel is whose turn it is.
    #[inline(always)]
    fn next(&mut self) -> usize {
        let at = self.at;
        self.x += 1;
        self.at += self.walk.out_pixel;
        if self.x == self.walk.width {
            self.x = 0;
            self.at += self.walk.out_row - self.walk.width * self.walk.out_pixel;
        }
        at
    }
}
