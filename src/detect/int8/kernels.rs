//! The convolution loops, which take nearly all of the time, with one implementation per processor family.
//!
//! All [`Kernels`] return the same bytes; the portable ones are the reference. Unsafe code is in the others only, and
//! [`Kernels::all`] lists only those whose instructions the processor reports.

use super::graph::{Conv2d, DepthwiseConv2d, Epilogue};
use super::tensor::{AlignedBuffer, CHANNEL_GROUP, ConvGeometry, OutputQuant, Quantized};

/// [`Kernels`] whose loops are generic over a type with the processor's instructions, compiled with these processor
/// features. The loops are the functions `run_conv2d` and `run_depthwise` in scope.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! with_features {
    ($name:literal, $features:literal, $instructions:ty, $pack_conv2d:expr, $pack_depthwise:expr) => {
        Kernels {
            name: $name,
            pack_conv2d: $pack_conv2d,
            conv2d: |layer, geometry, input, output| {
                #[target_feature(enable = $features)]
                unsafe fn run(
                    layer: &PackedConv2d,
                    geometry: &ConvGeometry,
                    input: &[Quantized],
                    output: &mut [Quantized],
                ) {
                    // SAFETY: the caller guarantees what `run_conv2d` requires.
                    unsafe { run_conv2d::<$instructions>(layer, geometry, input, output) }
                }
                layer.check(geometry, input, output);
                // SAFETY: `Kernels::all` lists these only where the processor has the instructions, and `check` has
                // verified that the geometry fits the slices.
                unsafe { run(layer, geometry, input, output) }
            },
            pack_depthwise: $pack_depthwise,
            depthwise: |layer, geometry, input, output| {
                #[target_feature(enable = $features)]
                unsafe fn run(
                    layer: &PackedDepthwise,
                    geometry: &ConvGeometry,
                    input: &[Quantized],
                    output: &mut [Quantized],
                ) {
                    // SAFETY: the caller guarantees what `run_depthwise` requires.
                    unsafe { run_depthwise::<$instructions>(layer, geometry, input, output) }
                }
                layer.check(geometry, input, output);
                // SAFETY: as for `conv2d`.
                unsafe { run(layer, geometry, input, output) }
            },
        }
    };
}

#[cfg(all(target_arch = "arm", target_os = "linux"))]
mod armv7;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

/// A convolution whose weights are in the order in which a kernel reads them.
#[derive(Debug)]
pub struct PackedConv2d {
    weights: AlignedBuffer<i8>,
    /// 0 for padding channels.
    bias: AlignedBuffer<i32>,
    /// 0 for padding channels.
    multipliers: AlignedBuffer<f32>,
    output_quant: OutputQuant,
    kernel_rows: usize,
    /// Bytes of a kernel row that are read, a multiple of the kernel's step.
    kernel_row_bytes: usize,
    /// Channels that are written, padding channels included.
    channels: usize,
}

/// A depthwise convolution whose weights are in the order in which a kernel reads them.
#[derive(Debug)]
pub struct PackedDepthwise {
    weights: AlignedBuffer<i8>,
    bias: AlignedBuffer<i32>,
    multipliers: AlignedBuffer<f32>,
    output_quant: OutputQuant,
    /// Rows and columns.
    kernel: [usize; 2],
    /// Padding channels included; the bytes from one pixel of the window to the next.
    channels: usize,
}

/// A packed layer, in the order of the kernels that packed it or in that of the portable ones.
enum Packed<P> {
    Native(P),
    /// The kernels have no loop for this layer.
    #[cfg_attr(
        not(any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            all(target_arch = "arm", target_os = "linux")
        )),
        allow(dead_code)
    )]
    Portable(P),
}

/// The loops for one processor family.
#[derive(Debug)]
pub struct Kernels {
    /// The processor feature that they need.
    pub name: &'static str,
    pack_conv2d: fn(&Conv2d, usize) -> Packed<PackedConv2d>,
    conv2d: KernelFn<PackedConv2d>,
    pack_depthwise: fn(&DepthwiseConv2d) -> Packed<PackedDepthwise>,
    depthwise: KernelFn<PackedDepthwise>,
}

/// Computes a layer for the windows of a geometry. Input and output begin with its first window and pixel.
type KernelFn<P> = fn(&P, &ConvGeometry, &[Quantized], &mut [Quantized]);

/// Packed weights with the kernel that reads their order.
#[derive(Debug)]
pub struct PreparedLayer<P> {
    packed: P,
    kernel: KernelFn<P>,
}

impl<P> PreparedLayer<P> {
    fn new(packed: Packed<P>, native: KernelFn<P>, portable: KernelFn<P>) -> Self {
        let (packed, kernel) = match packed {
            Packed::Native(packed) => (packed, native),
            Packed::Portable(packed) => (packed, portable),
        };
        Self { packed, kernel }
    }

    /// Computes the layer for the windows of a geometry. Input and output begin with its first window and pixel; up to
    /// [`super::tensor::OVERREAD`] bytes after the last window are read too.
    ///
    /// # Panics
    /// If the geometry reaches beyond the input or the output.
    pub fn run(&self, geometry: &ConvGeometry, input: &[Quantized], output: &mut [Quantized]) {
        (self.kernel)(&self.packed, geometry, input, output);
    }
}

impl Kernels {
    /// Packs a convolution whose input has pixels of `pixel_stride` bytes.
    #[must_use]
    pub fn prepare_conv2d(
        &self,
        layer: &Conv2d,
        pixel_stride: usize,
    ) -> PreparedLayer<PackedConv2d> {
        let packed = (self.pack_conv2d)(layer, pixel_stride);
        PreparedLayer::new(packed, self.conv2d, portable::conv2d)
    }

    #[must_use]
    pub fn prepare_depthwise(&self, layer: &DepthwiseConv2d) -> PreparedLayer<PackedDepthwise> {
        let packed = (self.pack_depthwise)(layer);
        PreparedLayer::new(packed, self.depthwise, portable::depthwise)
    }

    /// Those that this processor can run, the fastest first, the portable ones last.
    #[must_use]
    pub fn all() -> Vec<&'static Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        all.extend(x86::available());
        #[cfg(target_arch = "aarch64")]
        all.extend(neon::available());
        #[cfg(all(target_arch = "arm", target_os = "linux"))]
        all.extend(armv7::available());
        all.push(&portable::KERNELS);
        all
    }

    /// The fastest that this processor can run.
    #[must_use]
    pub fn best() -> &'static Self {
        Self::all()[0]
    }
}

impl PackedConv2d {
    /// Packs the weights panel by panel. `panels` has the number of lanes of each panel, `lane_channel` maps a lane,
    /// counted over all panels, to its output channel. In a panel, for each kernel row and each `step` bytes of it, the
    /// weights of the first lane for these bytes are followed by those of the second.
    fn new(
        layer: &Conv2d,
        pixel_stride: usize,
        step: usize,
        panels: &[usize],
        lane_channel: impl Fn(usize) -> usize,
    ) -> Self {
        let [kernel_rows, columns] = layer.window.kernel;
        let kernel_row_bytes = (columns * pixel_stride).next_multiple_of(step);
        let lanes: usize = panels.iter().sum();
        let lane_bytes = kernel_rows * kernel_row_bytes;
        let mut weights = AlignedBuffer::filled(0, lanes * lane_bytes);
        let mut first = 0;
        for &width in panels {
            let panel = &mut weights[first * lane_bytes..][..width * lane_bytes];
            let rows = panel.chunks_exact_mut((width * kernel_row_bytes).max(1));
            for (y, row) in rows.enumerate() {
                for lane in 0..width {
                    let channel = lane_channel(first + lane);
                    let of_lane = layer.kernel_row(channel, y, pixel_stride, kernel_row_bytes);
                    let steps = row[lane * step..].chunks_mut(width * step);
                    for (to, from) in steps.zip(of_lane.chunks_exact(step)) {
                        to[..step].copy_from_slice(from);
                    }
                }
            }
            first += width;
        }
        let (bias, multipliers) = pack_epilogue(&layer.epilogue, lanes, lane_channel);
        Self {
            weights,
            bias,
            multipliers,
            output_quant: layer.epilogue.output_quant,
            kernel_rows,
            kernel_row_bytes,
            channels: layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP),
        }
    }

    /// # Panics
    /// If the geometry reaches beyond the input or the output.
    fn check(&self, geometry: &ConvGeometry, input: &[Quantized], output: &[Quantized]) {
        let (input, output) = (input.len(), output.len());
        let (rows, bytes) = (self.kernel_rows, self.kernel_row_bytes);
        assert!(
            geometry.fits(rows, bytes, self.channels, input, output),
            "a convolution with {rows} kernel rows of {bytes} bytes is out of bounds of its maps of \
             {input} and {output} bytes: {geometry:?}"
        );
    }
}

/// Biases and multipliers in the order of a kernel's lanes; 0 for padding channels.
fn pack_epilogue(
    epilogue: &Epilogue,
    lanes: usize,
    lane_channel: impl Fn(usize) -> usize,
) -> (AlignedBuffer<i32>, AlignedBuffer<f32>) {
    let bias = |lane| epilogue.bias.get(lane_channel(lane)).copied();
    let multiplier = |lane| epilogue.multipliers.get(lane_channel(lane)).copied();
    let biases = (0..lanes).map(|lane| bias(lane).unwrap_or_default());
    let multipliers = (0..lanes).map(|lane| multiplier(lane).unwrap_or_default());
    (
        AlignedBuffer::copied(&biases.collect::<Vec<_>>()),
        AlignedBuffer::copied(&multipliers.collect::<Vec<_>>()),
    )
}

impl PackedDepthwise {
    /// With weights that are packed already; `lane_channel` maps a lane to its channel.
    fn new(
        layer: &DepthwiseConv2d,
        lanes: usize,
        weights: &[i8],
        lane_channel: impl Fn(usize) -> usize,
    ) -> Self {
        let (bias, multipliers) = pack_epilogue(&layer.epilogue, lanes, lane_channel);
        Self {
            weights: AlignedBuffer::copied(weights),
            bias,
            multipliers,
            output_quant: layer.epilogue.output_quant,
            kernel: layer.window.kernel,
            channels: layer.epilogue.channels().next_multiple_of(CHANNEL_GROUP),
        }
    }

    /// # Panics
    /// If the geometry reaches beyond the input or the output.
    fn check(&self, geometry: &ConvGeometry, input: &[Quantized], output: &[Quantized]) {
        let (input, output) = (input.len(), output.len());
        let [rows, columns] = self.kernel;
        let row_bytes = columns * self.channels;
        assert!(
            geometry.fits(rows, row_bytes, self.channels, input, output),
            "a depthwise convolution is out of bounds of its maps of {input} and {output} bytes: \
             {geometry:?}"
        );
    }
}

/// Whether a weight is -128. ARM's kernels without a dot product add two products in 16 bits, and the sum of
/// -128 * -128 and -128 * -128 overflows. Quantizers do not emit such weights.
#[cfg(any(target_arch = "aarch64", all(target_arch = "arm", target_os = "linux")))]
fn has_weight_of_minus_128(weights: &[i8]) -> bool {
    weights.contains(&i8::MIN)
}

#[cfg(test)]
mod tests;
