//! What is left to do in floats once the heads have left the whole numbers: a few thousand numbers, in the order of
//! the operators of the model file, so that the results are theirs.

use super::graph::FloatId;

/// An operation on lists of floats. Shapes are settled when it is made: it knows strides only.
#[derive(Debug, Clone)]
pub enum FloatOperation {
    /// Part of a list: `from` and on, as long as the output.
    Part {
        /// What it is part of.
        input: FloatId,
        /// Where it begins.
        from: usize,
        /// The part.
        output: FloatId,
    },
    /// Element by element of two lists, each of which may be repeated.
    Pairs {
        /// What is done with each pair.
        function: PairFunction,
        /// The two lists.
        inputs: [Operand; 2],
        /// Dimensions of the output, from the outermost; those of one place are best left out.
        shape: Vec<usize>,
        /// The results.
        output: FloatId,
    },
    /// `exp(x) / sum(exp(x))` along one axis: `[outer, axis, inner]`.
    Softmax {
        /// What it is of.
        input: FloatId,
        /// Length of the axis.
        axis: usize,
        /// Numbers behind the axis.
        inner: usize,
        /// As long as the input.
        output: FloatId,
    },
    /// `[batch, rows, shared]` times `[batch, shared, columns]`.
    Product {
        /// The two matrices.
        inputs: [Numbers; 2],
        /// Rows, shared dimension, columns.
        size: [usize; 3],
        /// `[batch, rows, columns]`
        output: FloatId,
    },
}

/// One side of [`FloatOperation::Pairs`].
#[derive(Debug, Clone)]
pub struct Operand {
    /// Where the numbers are.
    pub numbers: Numbers,
    /// From one place of each dimension of the output to the next; 0 where the operand is repeated.
    pub strides: Vec<usize>,
}

/// Numbers that were computed, or constants.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// Computed.
    List(FloatId),
    /// Constant.
    Constant(Vec<f32>),
}

/// A function of two floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairFunction {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a * b`
    Multiply,
    /// `a / b`
    Divide,
    /// The lesser.
    Min,
    /// The greater.
    Max,
}

impl PairFunction {
    /// Of each pair of two rows, which are gone through in these steps.
    fn of_row(self, a: &[f32], b: &[f32], steps: [usize; 2], out: &mut [f32]) {
        match self {
            Self::Add => row(|a, b| a + b, a, b, steps, out),
            Self::Subtract => row(|a, b| a - b, a, b, steps, out),
            Self::Multiply => row(|a, b| a * b, a, b, steps, out),
            Self::Divide => row(|a, b| a / b, a, b, steps, out),
            Self::Min => row(f32::min, a, b, steps, out),
            Self::Max => row(f32::max, a, b, steps, out),
        }
    }
}

/// Lists of floats, made once and written over by each run.
#[derive(Debug, Clone)]
pub struct FloatLists(Vec<Vec<f32>>);

impl FloatLists {
    /// Of these lengths.
    #[must_use]
    pub fn new(lengths: &[usize]) -> Self {
        Self(lengths.iter().map(|&length| vec![0.0; length]).collect())
    }

    /// A list.
    #[must_use]
    pub fn list(&self, id: FloatId) -> &[f32] {
        &self.0[id.0]
    }

    /// The numbers of a list, or of a constant.
    fn numbers<'a>(&'a self, numbers: &'a Numbers) -> &'a [f32] {
        match numbers {
            Numbers::List(id) => self.list(*id),
            Numbers::Constant(numbers) => numbers,
        }
    }

    /// A list to write.
    pub fn list_mut(&mut self, id: FloatId) -> &mut [f32] {
        &mut self.0[id.0]
    }

    /// The list, taken out so that others can be read while it is written.
    fn written(&mut self, id: FloatId, write: impl FnOnce(&Self, &mut [f32])) {
        let mut list = std::mem::take(&mut self.0[id.0]);
        write(self, &mut list);
        self.0[id.0] = list;
    }
}

impl FloatOperation {
    /// What it is, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Part { .. } => "slice f32",
            Self::Pairs { .. } => "element by element f32",
            Self::Softmax { .. } => "softmax f32",
            Self::Product { .. } => "matrix product f32",
        }
    }

    /// Computes its output.
    pub fn run(&self, lists: &mut FloatLists) {
        match self {
            Self::Part {
                input,
                from,
                output,
            } => lists.written(*output, |lists, out| {
                out.copy_from_slice(&lists.list(*input)[*from..][..out.len()]);
            }),
            Self::Pairs {
                function,
                inputs,
                shape,
                output,
            } => lists.written(*output, |lists, out| {
                pairs(*function, inputs, shape, lists, out);
            }),
            Self::Softmax {
                input,
                axis,
                inner,
                output,
            } => lists.written(*output, |lists, out| {
                softmax(lists.list(*input), *axis, *inner, out);
            }),
            Self::Product {
                inputs: [a, b],
                size,
                output,
            } => lists.written(*output, |lists, out| {
                product(lists.numbers(a), lists.numbers(b), *size, out);
            }),
        }
    }
}

fn pairs(
    function: PairFunction,
    inputs: &[Operand; 2],
    shape: &[usize],
    lists: &FloatLists,
    out: &mut [f32],
) {
    let [a, b] = inputs
        .each_ref()
        .map(|operand| lists.numbers(&operand.numbers));
    let (inner, outer) = shape
        .split_last()
        .map_or((1, shape), |(&last, rest)| (last, rest));
    let steps = inputs
        .each_ref()
        .map(|operand| operand.strides.last().copied().unwrap_or(0));
    for (row, out) in out.chunks_exact_mut(inner).enumerate() {
        let mut rest = row;
        let mut at = [0; 2];
        for (dimension, &length) in outer.iter().enumerate().rev() {
            let index = rest % length;
            rest /= length;
            for (at, operand) in at.iter_mut().zip(inputs) {
                *at += index * operand.strides[dimension];
            }
        }
        function.of_row(&a[at[0]..], &b[at[1]..], steps, out);
    }
}

/// A row of pairs; what is done with each is known where this is compiled, so that the loops over plain rows are vectors.
fn row(of: impl Fn(f32, f32) -> f32, a: &[f32], b: &[f32], steps: [usize; 2], out: &mut [f32]) {
    let length = out.len();
    match steps {
        [1, 1] => {
            for ((out, &a), &b) in out.iter_mut().zip(&a[..length]).zip(&b[..length]) {
                *out = of(a, b);
            }
        }
        [0, 1] => {
            for (out, &b) in out.iter_mut().zip(&b[..length]) {
                *out = of(a[0], b);
            }
        }
        [1, 0] => {
            for (out, &a) in out.iter_mut().zip(&a[..length]) {
                *out = of(a, b[0]);
            }
        }
        [step_a, step_b] => {
            for (place, out) in out.iter_mut().enumerate() {
                *out = of(a[place * step_a], b[place * step_b]);
            }
        }
    }
}

fn softmax(input: &[f32], axis: usize, inner: usize, out: &mut [f32]) {
    let block = axis * inner;
    for (input, out) in input.chunks_exact(block).zip(out.chunks_exact_mut(block)) {
        for column in 0..inner {
            let places = || (column..block).step_by(inner);
            let greatest = places()
                .map(|at| input[at])
                .fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for at in places() {
                out[at] = (input[at] - greatest).exp();
                sum += out[at];
            }
            places().for_each(|at| out[at] /= sum);
        }
    }
}

fn product(a: &[f32], b: &[f32], [rows, shared, columns]: [usize; 3], out: &mut [f32]) {
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
mod tests;
