//! The operations on floats after the network's heads: a few thousand values, computed in the order of the model file's
//! operators so that the results are equal to theirs.

use super::graph::{BinaryOp, BroadcastOperand, FloatId, FloatOp, Operand, UnaryOp};

/// Float buffers, allocated once and overwritten by each run.
#[derive(Debug, Clone)]
pub struct FloatBuffers(Vec<Vec<f32>>);

impl FloatBuffers {
    #[must_use]
    pub fn new(lengths: &[usize]) -> Self {
        Self(lengths.iter().map(|&length| vec![0.0; length]).collect())
    }

    #[must_use]
    pub fn get(&self, id: FloatId) -> &[f32] {
        &self.0[id.0]
    }

    pub fn get_mut(&mut self, id: FloatId) -> &mut [f32] {
        &mut self.0[id.0]
    }

    fn operand<'a>(&'a self, operand: &'a Operand) -> &'a [f32] {
        match operand {
            Operand::Computed(id) => self.get(*id),
            Operand::Constant(values) => values,
        }
    }

    /// Moves a buffer out while it is written, so that the others can be read.
    fn write(&mut self, id: FloatId, write: impl FnOnce(&Self, &mut [f32])) {
        let mut buffer = std::mem::take(&mut self.0[id.0]);
        write(self, &mut buffer);
        self.0[id.0] = buffer;
    }
}

impl FloatOp {
    pub fn run(&self, buffers: &mut FloatBuffers) {
        match self {
            Self::Slice {
                input,
                start,
                output,
            } => buffers.write(*output, |buffers, out| {
                out.copy_from_slice(&buffers.get(*input)[*start..][..out.len()]);
            }),
            Self::Elementwise {
                function,
                inputs,
                shape,
                output,
            } => buffers.write(*output, |buffers, out| {
                elementwise(*function, inputs, shape, buffers, out);
            }),
            Self::Unary {
                function,
                input,
                output,
            } => buffers.write(*output, |buffers, out| {
                unary(*function, buffers.get(*input), out);
            }),
            Self::Transpose {
                input,
                size,
                output,
            } => buffers.write(*output, |buffers, out| {
                transpose(buffers.get(*input), *size, out);
            }),
            Self::Softmax {
                input,
                axis,
                inner,
                output,
            } => buffers.write(*output, |buffers, out| {
                softmax(buffers.get(*input), *axis, *inner, out);
            }),
            Self::MatMul {
                inputs: [a, b],
                size,
                output,
            } => buffers.write(*output, |buffers, out| {
                matmul(buffers.operand(a), buffers.operand(b), *size, out);
            }),
        }
    }
}

fn elementwise(
    function: BinaryOp,
    inputs: &[BroadcastOperand; 2],
    shape: &[usize],
    buffers: &FloatBuffers,
    out: &mut [f32],
) {
    let [a, b] = inputs
        .each_ref()
        .map(|input| buffers.operand(&input.operand));
    let (inner, outer) = shape
        .split_last()
        .map_or((1, shape), |(&last, rest)| (last, rest));
    let strides = inputs
        .each_ref()
        .map(|input| input.strides.last().copied().unwrap_or(0));
    for (row, out) in out.chunks_exact_mut(inner).enumerate() {
        let mut rest = row;
        let mut offsets = [0; 2];
        for (dimension, &length) in outer.iter().enumerate().rev() {
            let index = rest % length;
            rest /= length;
            for (offset, input) in offsets.iter_mut().zip(inputs) {
                *offset += index * input.strides[dimension];
            }
        }
        let (a, b) = (&a[offsets[0]..], &b[offsets[1]..]);
        match function {
            BinaryOp::Add => elementwise_row(|a, b| a + b, a, b, strides, out),
            BinaryOp::Subtract => elementwise_row(|a, b| a - b, a, b, strides, out),
            BinaryOp::Multiply => elementwise_row(|a, b| a * b, a, b, strides, out),
            BinaryOp::Divide => elementwise_row(|a, b| a / b, a, b, strides, out),
            BinaryOp::Min => elementwise_row(f32::min, a, b, strides, out),
            BinaryOp::Max => elementwise_row(f32::max, a, b, strides, out),
        }
    }
}

/// Generic over the function, with loops of their own for the common strides, so that the compiler vectorizes them.
fn elementwise_row(
    function: impl Fn(f32, f32) -> f32,
    a: &[f32],
    b: &[f32],
    strides: [usize; 2],
    out: &mut [f32],
) {
    let length = out.len();
    match strides {
        [1, 1] => {
            for ((out, &a), &b) in out.iter_mut().zip(&a[..length]).zip(&b[..length]) {
                *out = function(a, b);
            }
        }
        [0, 1] => {
            for (out, &b) in out.iter_mut().zip(&b[..length]) {
                *out = function(a[0], b);
            }
        }
        [1, 0] => {
            for (out, &a) in out.iter_mut().zip(&a[..length]) {
                *out = function(a, b[0]);
            }
        }
        [stride_a, stride_b] => {
            for (index, out) in out.iter_mut().enumerate() {
                *out = function(a[index * stride_a], b[index * stride_b]);
            }
        }
    }
}

fn unary(function: UnaryOp, input: &[f32], out: &mut [f32]) {
    let pairs = out.iter_mut().zip(input);
    match function {
        UnaryOp::Exp => pairs.for_each(|(out, x)| *out = x.exp()),
        UnaryOp::Ln => pairs.for_each(|(out, x)| *out = x.ln()),
        UnaryOp::Sigmoid => pairs.for_each(|(out, x)| *out = sigmoid(*x)),
    }
}

pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn transpose(input: &[f32], [rows, columns, inner]: [usize; 3], out: &mut [f32]) {
    let block = rows * columns * inner;
    for (input, out) in input.chunks_exact(block).zip(out.chunks_exact_mut(block)) {
        for (index, out) in out.chunks_exact_mut(inner).enumerate() {
            let (column, row) = (index / rows, index % rows);
            out.copy_from_slice(&input[(row * columns + column) * inner..][..inner]);
        }
    }
}

fn softmax(input: &[f32], axis: usize, inner: usize, out: &mut [f32]) {
    let block = axis * inner;
    for (input, out) in input.chunks_exact(block).zip(out.chunks_exact_mut(block)) {
        for column in 0..inner {
            let indices = || (column..block).step_by(inner);
            let greatest = indices()
                .map(|index| input[index])
                .fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for index in indices() {
                out[index] = (input[index] - greatest).exp();
                sum += out[index];
            }
            indices().for_each(|index| out[index] /= sum);
        }
    }
}

fn matmul(a: &[f32], b: &[f32], [rows, shared, columns]: [usize; 3], out: &mut [f32]) {
    let batches = a
        .chunks_exact(rows * shared)
        .zip(b.chunks_exact(shared * columns));
    for ((a, b), out) in batches.zip(out.chunks_exact_mut(rows * columns)) {
        for (row, out) in a.chunks_exact(shared).zip(out.chunks_exact_mut(columns)) {
            for (column, out) in out.iter_mut().enumerate() {
                let terms = row.iter().zip(b[column..].iter().step_by(columns));
                *out = terms.map(|(a, b)| a * b).sum();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(input: &[f32], output: usize) -> FloatBuffers {
        let mut buffers = FloatBuffers::new(&[input.len(), output]);
        buffers.get_mut(FloatId(0)).copy_from_slice(input);
        buffers
    }

    #[test]
    fn softmax_sums_to_one_along_its_axis() {
        // [1, 2, 3], along the second dimension.
        let mut buffers = buffers(&[1.0, 2.0, 1000.0, 1.0, 3.0, 1000.0], 6);
        let softmax = FloatOp::Softmax {
            input: FloatId(0),
            axis: 2,
            inner: 3,
            output: FloatId(1),
        };
        softmax.run(&mut buffers);
        let out = buffers.get(FloatId(1));
        assert_eq!([out[0], out[3], out[2], out[5]], [0.5; 4]);
        let expected = 1.0 / (1.0 + 1.0f32.exp());
        assert!((out[1] - expected).abs() < 1e-6 && (out[4] - 1.0 + expected).abs() < 1e-6);
    }

    #[test]
    fn unary_functions() {
        let values = [-200.0, -1.0, 0.0, 0.5, 200.0];
        let of = |function| {
            let mut buffers = buffers(&values, 5);
            let op = FloatOp::Unary {
                function,
                input: FloatId(0),
                output: FloatId(1),
            };
            op.run(&mut buffers);
            buffers.get(FloatId(1)).to_vec()
        };
        let sigmoid = of(UnaryOp::Sigmoid);
        assert_eq!([sigmoid[0], sigmoid[2], sigmoid[4]], [0.0, 0.5, 1.0]);
        assert!((sigmoid[1] - 0.268_941_43).abs() < 1e-6);
        assert_eq!(of(UnaryOp::Exp)[2..4], [1.0, 0.5f32.exp()]);
        assert_eq!(of(UnaryOp::Ln)[3], 0.5f32.ln());
    }

    #[test]
    fn transpose_swaps_two_groups_of_axes() {
        // [2, 2, 3, 2] to [2, 3, 2, 2].
        let values: Vec<f32> = (0..24).map(|n| n as f32).collect();
        let mut buffers = buffers(&values, 24);
        let transpose = FloatOp::Transpose {
            input: FloatId(0),
            size: [2, 3, 2],
            output: FloatId(1),
        };
        transpose.run(&mut buffers);
        let first = [0.0, 1.0, 6.0, 7.0, 2.0, 3.0, 8.0, 9.0, 4.0, 5.0, 10.0, 11.0];
        let second = first.map(|value| value + 12.0);
        assert_eq!(buffers.get(FloatId(1)), [first, second].concat());
    }

    #[test]
    fn elementwise_broadcasts_like_onnx() {
        // [2, 3] minus [1, 3].
        let mut buffers = buffers(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 6);
        let input = |operand, strides: &[usize]| BroadcastOperand {
            operand,
            strides: strides.to_vec(),
        };
        let minus = FloatOp::Elementwise {
            function: BinaryOp::Subtract,
            inputs: [
                input(Operand::Computed(FloatId(0)), &[3, 1]),
                input(Operand::Constant(vec![1.0, 0.0, -1.0]), &[0, 1]),
            ],
            shape: vec![2, 3],
            output: FloatId(1),
        };
        minus.run(&mut buffers);
        assert_eq!(buffers.get(FloatId(1)), [0.0, 2.0, 4.0, 3.0, 5.0, 7.0]);
    }

    #[test]
    fn elementwise_gives_the_same_for_all_strides() {
        let values: Vec<f32> = (0..12).map(|n| n as f32 * 1.5 - 4.0).collect();
        let initial = buffers(&values, 12);
        let input = |strides: [usize; 2]| BroadcastOperand {
            operand: Operand::Computed(FloatId(0)),
            strides: strides.to_vec(),
        };
        // Rows of 4, one value per row, one per column, and transposed columns of 3.
        let all_strides = [[4, 1], [4, 0], [0, 1], [1, 3]];
        let functions = [BinaryOp::Subtract, BinaryOp::Divide, BinaryOp::Min];
        for (a, b) in all_strides
            .iter()
            .flat_map(|a| all_strides.map(|b| (*a, b)))
        {
            for function in functions {
                let mut buffers = initial.clone();
                let op = FloatOp::Elementwise {
                    function,
                    inputs: [input(a), input(b)],
                    shape: vec![3, 4],
                    output: FloatId(1),
                };
                op.run(&mut buffers);
                for (index, found) in buffers.get(FloatId(1)).iter().enumerate() {
                    let value =
                        |[row, column]: [usize; 2]| values[index / 4 * row + index % 4 * column];
                    let (one, other) = (value(a), value(b));
                    let expected = match function {
                        BinaryOp::Subtract => one - other,
                        BinaryOp::Divide => one / other,
                        _ => one.min(other),
                    };
                    assert_eq!(found.to_bits(), expected.to_bits(), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn matmul_and_slice() {
        let mut buffers = FloatBuffers::new(&[4, 0, 6, 2]);
        buffers
            .get_mut(FloatId(0))
            .copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        let right = [1.0, 0.0, 2.0, 0.0, 1.0, 3.0];
        let product = FloatOp::MatMul {
            inputs: [
                Operand::Computed(FloatId(0)),
                Operand::Constant(right.to_vec()),
            ],
            size: [2, 2, 3],
            output: FloatId(2),
        };
        product.run(&mut buffers);
        assert_eq!(buffers.get(FloatId(2)), [1.0, 2.0, 8.0, 3.0, 4.0, 18.0]);
        let slice = FloatOp::Slice {
            input: FloatId(2),
            start: 3,
            output: FloatId(3),
        };
        slice.run(&mut buffers);
        assert_eq!(buffers.get(FloatId(3)), [3.0, 4.0]);
    }
}
