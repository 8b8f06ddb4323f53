//! The loops in which the time goes, once for every kind of processor.
//!
//! In go layers and walks over maps, out come stored values, the same to the last bit from every [`Kernels`]. The
//! portable ones are the reference. Unsafe code is in the others only; each is in the list of [`Kernels::all`] only
//! where the processor said that it has what they use.

use super::aligned::Aligned;
use super::arithmetic::{Stored, Target};
use super::layer::{DenseLayer, DepthwiseLayer, Sums};
use super::map::{CHANNEL_GROUP, Walk};

/// Kernels whose loops are generic over registers or instructions: compiled with these processor features.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! with_features {
    ($name:literal, $features:literal, $products:ty, $pack_dense:expr, $pack_depthwise:expr) => {
        Kernels {
            name: $name,
            pack_dense: $pack_dense,
            dense: |layer, walk, input, output| {
                #[target_feature(enable = $features)]
                unsafe fn run(
                    layer: &PackedDense,
                    walk: &Walk,
                    input: &[Stored],
                    output: &mut [Stored],
                ) {
                    // SAFETY: the caller's.
                    unsafe { dense::run::<$products>(layer, walk, input, output) }
                }
                layer.check(walk, input, output);
                // SAFETY: `Kernels::all` hands these out where the processor has the instructions, and the walk
                // fits.
                unsafe { run(layer, walk, input, output) }
            },
            pack_depthwise: $pack_depthwise,
            depthwise: |layer, walk, input, output| {
                #[target_feature(enable = $features)]
                unsafe fn run(
                    layer: &PackedDepthwise,
                    walk: &Walk,
                    input: &[Stored],
                    output: &mut [Stored],
                ) {
                    // SAFETY: the caller's.
                    unsafe { depthwise::run::<$products>(layer, walk, input, output) }
                }
                layer.check(walk, input, output);
                // SAFETY: as above.
                unsafe { run(layer, walk, input, output) }
            },
        }
    };
}

#[cfg(all(target_arch = "arm", target_os = "linux"))]
mod arm;
#[cfg(any(target_arch = "aarch64", all(target_arch = "arm", target_os = "linux")))]
mod fallback;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

/// A dense layer whose weights lie as the kernel wants them.
#[derive(Debug)]
pub struct PackedDense {
    /// In the kernel's own order.
    weights: Aligned<i8>,
    /// In the kernel's own order; 0 where a channel is made up.
    bias: Aligned<i32>,
    /// In the kernel's own order; 0 where a channel is made up.
    multipliers: Aligned<f32>,
    target: Target,
    /// Rows of the window.
    lines: usize,
    /// Bytes of a row that are read, a multiple of the kernel's step.
    line: usize,
    /// Channels that are written, made up ones included.
    channels: usize,
}

/// A depthwise layer whose weights lie as the kernel wants them.
#[derive(Debug)]
pub struct PackedDepthwise {
    weights: Aligned<i8>,
    bias: Aligned<i32>,
    multipliers: Aligned<f32>,
    target: Target,
    /// Rows of the window and pixels of each.
    kernel: [usize; 2],
    /// Bytes from one pixel of the window to the next; channels, made up ones included.
    channels: usize,
}

/// The loops for one kind of processor.
#[derive(Debug)]
pub struct Kernels {
    /// What the processor must have.
    pub name: &'static str,
    pack_dense: fn(&DenseLayer, usize) -> PackedDense,
    dense: Loops<PackedDense>,
    pack_depthwise: fn(&DepthwiseLayer) -> PackedDepthwise,
    depthwise: Loops<PackedDepthwise>,
}

/// What goes over the windows of a walk. Input and output begin with its first window and pixel.
type Loops<P> = fn(&P, &Walk, &[Stored], &mut [Stored]);

/// Packed weights and the loops that they were packed for.
#[derive(Debug)]
pub struct Ready<P> {
    packed: P,
    loops: Loops<P>,
}

impl<P> Ready<P> {
    /// Runs the layer over the windows of a walk. Input and output begin with the first window and pixel of the walk;
    /// up to [`super::map::SLACK`] bytes behind the last window are read too.
    ///
    /// # Panics
    /// When the walk leaves the input or the output.
    pub fn run(&self, walk: &Walk, input: &[Stored], output: &mut [Stored]) {
        (self.loops)(&self.packed, walk, input, output);
    }
}

impl Kernels {
    /// A dense layer whose input has so many bytes a pixel.
    #[must_use]
    pub fn ready_dense(&self, layer: &DenseLayer, pixel: usize) -> Ready<PackedDense> {
        Ready {
            packed: (self.pack_dense)(layer, pixel),
            loops: self.dense,
        }
    }

    /// A depthwise layer.
    #[must_use]
    pub fn ready_depthwise(&self, layer: &DepthwiseLayer) -> Ready<PackedDepthwise> {
        Ready {
            packed: (self.pack_depthwise)(layer),
            loops: self.depthwise,
        }
    }

    /// Those that this processor can run, the fastest first; the last are the portable ones, which are the
    /// reference.
    #[must_use]
    pub fn all() -> Vec<&'static Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        all.extend(x86::available_zmm().into_iter().chain(x86::available_ymm()));
        #[cfg(target_arch = "aarch64")]
        all.extend(neon::available());
        #[cfg(all(target_arch = "arm", target_os = "linux"))]
        all.extend(arm::available());
        all.push(&portable::KERNELS);
        all
    }

    /// The fastest that this processor can run.
    #[must_use]
    pub fn best() -> &'static Self {
        Self::all()[0]
    }
}

impl PackedDense {
    /// Packs the weights panel by panel: in a panel of so many places, for each row of the window and each `step`
    /// bytes of it, the weights of the first place for these bytes, then those of the second. `channel` says which
    /// channel has a place, counted over all panels.
    fn new(
        layer: &DenseLayer,
        pixel: usize,
        step: usize,
        panels: &[usize],
        channel: impl Fn(usize) -> usize,
    ) -> Self {
        let [lines, across] = layer.window.kernel;
        let line = (across * pixel).next_multiple_of(step);
        let places: usize = panels.iter().sum();
        let mut weights = Aligned::filled(0, places * lines * line);
        let mut first = 0;
        for &width in panels {
            let panel = &mut weights[first * lines * line..][..width * lines * line];
            for (y, panel) in panel.chunks_exact_mut((width * line).max(1)).enumerate() {
                for place in 0..width {
                    let of_place = layer.line(channel(first + place), y, pixel, line);
                    let steps = panel[place * step..].chunks_mut(width * step);
                    for (to, from) in steps.zip(of_place.chunks_exact(step)) {
                        to[..step].copy_from_slice(from);
                    }
                }
            }
            first += width;
        }
        let sums = PlacedSums::new(&layer.sums, places, channel);
        Self {
            weights,
            bias: sums.bias,
            multipliers: sums.multipliers,
            target: layer.sums.target,
            lines,
            line,
            channels: layer.sums.channels().next_multiple_of(CHANNEL_GROUP),
        }
    }

    /// # Panics
    /// When the walk leaves the input or the output.
    fn check(&self, walk: &Walk, input: &[Stored], output: &[Stored]) {
        let (input, output) = (input.len(), output.len());
        assert!(
            walk.fits(self.lines, self.line, self.channels, input, output),
            "a dense layer of {} lines of {} bytes leaves its maps of {input} and {output}: {walk:?}",
            self.lines,
            self.line
        );
    }
}

/// Biases and multipliers in a kernel's order; 0 where a channel is made up.
struct PlacedSums {
    bias: Aligned<i32>,
    multipliers: Aligned<f32>,
}

impl PlacedSums {
    fn new(sums: &Sums, places: usize, channel: impl Fn(usize) -> usize) -> Self {
        let bias = |place| sums.bias.get(channel(place)).copied();
        let multiplier = |place| sums.multipliers.get(channel(place)).copied();
        let biases = (0..places).map(|place| bias(place).unwrap_or_default());
        let multipliers = (0..places).map(|place| multiplier(place).unwrap_or_default());
        Self {
            bias: Aligned::copied(&biases.collect::<Vec<_>>()),
            multipliers: Aligned::copied(&multipliers.collect::<Vec<_>>()),
        }
    }
}

impl PackedDepthwise {
    /// With weights that are packed already; `channel` says which channel has a place.
    fn new(
        layer: &DepthwiseLayer,
        places: usize,
        weights: &[i8],
        channel: impl Fn(usize) -> usize,
    ) -> Self {
        let sums = PlacedSums::new(&layer.sums, places, channel);
        Self {
            weights: Aligned::copied(weights),
            bias: sums.bias,
            multipliers: sums.multipliers,
            target: layer.sums.target,
            kernel: layer.window.kernel,
            channels: layer.sums.channels().next_multiple_of(CHANNEL_GROUP),
        }
    }

    /// # Panics
    /// When the walk leaves the input or the output.
    fn check(&self, walk: &Walk, input: &[Stored], output: &[Stored]) {
        let (input, output) = (input.len(), output.len());
        let [lines, across] = self.kernel;
        assert!(
            walk.fits(lines, across * self.channels, self.channels, input, output),
            "a depthwise layer leaves its maps of {input} and {output}: {walk:?}"
        );
    }
}

#[cfg(test)]
mod tests;
