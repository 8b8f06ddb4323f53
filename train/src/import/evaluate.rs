//! Computes the small operators of a graph: constants, shapes, and the decoding of boxes, but no convolutions.
//!
//! What a file does with its box codes and scores is not read from the names of its operators: the values of the
//! network's heads are replaced by chosen ones, and the file's own operators say what becomes of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::graph::{Graph, Op, SliceMasks, Tensor, Value};

/// Most values of a computed tensor: the scores of a network with 500 classes have a quarter of it.
pub(super) const MAX_VALUES: usize = 1 << 22;

/// The values of a graph that are known.
#[derive(Clone)]
pub(super) struct Known<'g> {
    graph: &'g Graph,
    values: BTreeMap<Value, Rc<Tensor>>,
}

impl<'g> Known<'g> {
    /// All values that depend on constants only.
    pub(super) fn constants(graph: &'g Graph) -> Self {
        let mut known = Self {
            graph,
            values: BTreeMap::new(),
        };
        known.propagate();
        known
    }

    pub(super) fn get(&self, value: Value) -> Option<&Rc<Tensor>> {
        self.values.get(&value)
    }

    /// The values that become known with a chosen one, without that one.
    pub(super) fn with(&self, value: Value, tensor: Tensor) -> BTreeMap<Value, Rc<Tensor>> {
        let mut known = self.clone();
        known.values.insert(value, Rc::new(tensor));
        known.propagate();
        let is_new =
            |found: &Value, _: &mut Rc<Tensor>| *found != value && !self.values.contains_key(found);
        known.values.extract_if(.., is_new).collect()
    }

    fn propagate(&mut self) {
        for (number, node) in self.graph.nodes.iter().enumerate() {
            if self.values.contains_key(&Value::of(number)) {
                continue;
            }
            if let Op::Constant(tensor) = &node.op {
                self.values.insert(Value::of(number), Rc::clone(tensor));
                continue;
            }
            let inputs = node.inputs.iter().map(|input| self.get(*input).cloned());
            let Some(inputs) = inputs.collect::<Option<Vec<_>>>() else {
                continue;
            };
            let outputs = compute(&node.op, &inputs).unwrap_or_default();
            for (output, tensor) in outputs.into_iter().enumerate() {
                let value = Value {
                    node: number,
                    output,
                };
                self.values.insert(value, tensor);
            }
        }
    }

    /// The sides of a tensor that `Reshape` makes, as far as they are known; -1 counts as unknown.
    pub(super) fn reshaped_sides(&self, node: usize) -> Option<Vec<Option<usize>>> {
        let shape = *self.graph.nodes.get(node)?.inputs.get(1)?;
        let side = |side: i64| usize::try_from(side).ok();
        if let Some(tensor) = self.get(shape) {
            return Some(tensor.integers().into_iter().map(side).collect());
        }
        // Shapes with an open batch size are packed from single sides.
        let pack = self.graph.node(shape);
        let Op::Pack { axis: 0 } = pack.op else {
            return None;
        };
        let sides = pack.inputs.iter().map(|input| {
            let tensor = self.get(*input)?;
            side(*tensor.integers().first()?)
        });
        Some(sides.collect())
    }
}

/// The outputs of an operator; `None` if it can't be computed here.
fn compute(op: &Op, inputs: &[Rc<Tensor>]) -> Option<Vec<Rc<Tensor>>> {
    let first = inputs.first()?;
    let second = inputs.get(1);
    let axes = || Some(second?.integers());
    let tensor = match op {
        Op::Identity => return Some(vec![Rc::clone(first)]),
        Op::Unpack { axis, count } => {
            let parts = unpack(first, *axis, *count)?;
            return Some(parts.into_iter().map(Rc::new).collect());
        }
        Op::Binary(binary) => broadcast(first, second?, |a, b| binary.compute(a, b))?,
        Op::Sum => {
            let mut sum = Tensor::clone(first);
            for more in &inputs[1..] {
                sum = broadcast(&sum, more, |a, b| a + b)?;
            }
            sum
        }
        Op::Unary(unary) => Tensor {
            shape: first.shape.clone(),
            values: first.values.iter().map(|x| unary.compute(*x)).collect(),
        },
        Op::Reshape => reshape(first, &axes()?)?,
        Op::Squeeze { axes } => squeeze(first, axes)?,
        Op::ExpandDims => {
            let axis = wrapped(*axes()?.first()?, first.shape.len() + 1)?;
            let mut shape = first.shape.clone();
            shape.insert(axis, 1);
            with_shape(first, shape)
        }
        Op::Transpose => transpose(first, &axes()?)?,
        Op::Concat { axis } => concat(inputs, *axis)?,
        Op::Pack { axis } => pack(inputs, *axis)?,
        Op::Slice => slice(first, &axes()?, &inputs.get(2)?.integers())?,
        Op::StridedSlice(masks) => {
            let (end, strides) = (inputs.get(2)?.integers(), inputs.get(3)?.integers());
            strided_slice(first, &axes()?, &end, &strides, *masks)?
        }
        Op::Tile => tile(first, &axes()?)?,
        Op::Shape => Tensor {
            shape: vec![first.shape.len()],
            values: first.shape.iter().map(|&side| side as f32).collect(),
        },
        _ => return None,
    };
    Some(vec![Rc::new(tensor)])
}

/// Number of elements, if it is not more than [`MAX_VALUES`].
fn elements(shape: &[usize]) -> Option<usize> {
    let mut sides = shape.iter();
    let count = sides.try_fold(1usize, |count, &side| count.checked_mul(side))?;
    (count <= MAX_VALUES).then_some(count)
}

/// An axis that may be counted from the end.
fn wrapped(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + rank } else { axis };
    (0..rank).contains(&axis).then_some(axis as usize)
}

fn with_shape(tensor: &Tensor, shape: Vec<usize>) -> Tensor {
    Tensor {
        shape,
        values: tensor.values.clone(),
    }
}

/// Distances of neighbours along each axis.
fn steps(shape: &[usize]) -> Vec<usize> {
    let mut steps = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        steps[axis - 1] = usize::saturating_mul(steps[axis], shape[axis]);
    }
    steps
}

/// The tensor of `shape` whose element at an index is the source's element at `first + index * steps`.
fn gather(source: &Tensor, shape: Vec<usize>, first: usize, steps: &[usize]) -> Option<Tensor> {
    let count = elements(&shape)?;
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let offset: usize = index.iter().zip(steps).map(|(i, step)| i * step).sum();
        values.push(*source.values.get(first + offset)?);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Some(Tensor { shape, values })
}

fn broadcast(a: &Tensor, b: &Tensor, compute: impl Fn(f32, f32) -> f32) -> Option<Tensor> {
    let rank = a.shape.len().max(b.shape.len());
    let padded = |shape: &[usize]| [vec![1; rank - shape.len()], shape.to_vec()].concat();
    let (left, right) = (padded(&a.shape), padded(&b.shape));
    let mut shape = Vec::with_capacity(rank);
    for (&left, &right) in left.iter().zip(&right) {
        shape.push(match (left, right) {
            (1, side) | (side, 1) => side,
            (left, right) if left == right => left,
            _ => return None,
        });
    }
    let spread = |tensor: &Tensor, own: &[usize]| {
        let steps = steps(own).into_iter().zip(own);
        let steps: Vec<usize> = steps
            .map(|(s, &side)| if side == 1 { 0 } else { s })
            .collect();
        gather(tensor, shape.clone(), 0, &steps)
    };
    let (left, right) = (spread(a, &left)?, spread(b, &right)?);
    let pairs = left.values.into_iter().zip(right.values);
    let values = pairs.map(|(a, b)| compute(a, b)).collect();
    Some(Tensor { shape, values })
}

fn reshape(tensor: &Tensor, sides: &[i64]) -> Option<Tensor> {
    let known = sides.iter().filter(|&&side| side >= 0);
    let known: Vec<usize> = known.map(|&side| side as usize).collect();
    let open = sides.len() - known.len();
    let known = elements(&known)?;
    let count = tensor.values.len();
    let shape = sides.iter().map(|&side| match usize::try_from(side) {
        Ok(side) => Some(side),
        Err(_) => count.checked_div(known),
    });
    let shape = shape.collect::<Option<Vec<_>>>()?;
    (open <= 1 && elements(&shape)? == count).then(|| with_shape(tensor, shape))
}

fn squeeze(tensor: &Tensor, axes: &[i64]) -> Option<Tensor> {
    let rank = tensor.shape.len();
    let axes = axes.iter().map(|&axis| wrapped(axis, rank));
    let axes = axes.collect::<Option<Vec<_>>>()?;
    let is_gone =
        |(axis, &side): (usize, &usize)| side == 1 && (axes.is_empty() || axes.contains(&axis));
    let sides = tensor.shape.iter().enumerate();
    let kept = sides.filter(|side| !is_gone(*side)).map(|(_, &side)| side);
    Some(with_shape(tensor, kept.collect()))
}

fn transpose(tensor: &Tensor, order: &[i64]) -> Option<Tensor> {
    let rank = tensor.shape.len();
    let order = order.iter().map(|&axis| wrapped(axis, rank));
    let order = order.collect::<Option<Vec<_>>>()?;
    let steps = steps(&tensor.shape);
    let shape = order.iter().map(|&axis| tensor.shape[axis]).collect();
    let steps: Vec<usize> = order.iter().map(|&axis| steps[axis]).collect();
    (order.len() == rank).then(|| gather(tensor, shape, 0, &steps))?
}

fn concat(inputs: &[Rc<Tensor>], axis: i64) -> Option<Tensor> {
    let first = inputs.first()?;
    let axis = wrapped(axis, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for input in inputs {
        let same_rank = input.shape.len() == shape.len();
        let mut others = input.shape.iter().zip(&shape).enumerate();
        if !same_rank || others.any(|(i, (a, b))| i != axis && a != b) {
            return None;
        }
        shape[axis] = shape[axis].checked_add(input.shape[axis])?;
    }
    let count = elements(&shape)?;
    let outer: usize = shape[..axis].iter().product();
    let mut values = Vec::with_capacity(count);
    for row in 0..outer {
        for input in inputs {
            let length = input.values.len() / outer;
            values.extend(input.values.get(row * length..(row + 1) * length)?);
        }
    }
    Some(Tensor { shape, values })
}

fn pack(inputs: &[Rc<Tensor>], axis: i64) -> Option<Tensor> {
    let rank = inputs.first()?.shape.len();
    let axis = wrapped(axis, rank + 1)?;
    let expanded = inputs.iter().map(|input| {
        let mut shape = input.shape.clone();
        (axis <= shape.len()).then(|| shape.insert(axis, 1))?;
        Some(Rc::new(with_shape(input, shape)))
    });
    concat(&expanded.collect::<Option<Vec<_>>>()?, axis as i64)
}

fn unpack(tensor: &Tensor, axis: i64, count: usize) -> Option<Vec<Tensor>> {
    let axis = wrapped(axis, tensor.shape.len())?;
    if tensor.shape[axis] != count {
        return None;
    }
    let mut own = steps(&tensor.shape);
    let step = own.remove(axis);
    let mut shape = tensor.shape.clone();
    shape.remove(axis);
    let parts = (0..count).map(|part| gather(tensor, shape.clone(), part * step, &own));
    parts.collect()
}

fn slice(tensor: &Tensor, begin: &[i64], size: &[i64]) -> Option<Tensor> {
    let rank = tensor.shape.len();
    if begin.len() != rank || size.len() != rank {
        return None;
    }
    let own = steps(&tensor.shape);
    let (mut shape, mut first) = (Vec::with_capacity(rank), 0);
    for axis in 0..rank {
        let begin = usize::try_from(begin[axis]).ok()?;
        let rest = tensor.shape[axis].checked_sub(begin)?;
        // -1: all that is left.
        let size = usize::try_from(size[axis]).unwrap_or(rest);
        if size > rest {
            return None;
        }
        shape.push(size);
        first = begin.checked_mul(own[axis])?.checked_add(first)?;
    }
    gather(tensor, shape, first, &own)
}

fn strided_slice(
    tensor: &Tensor,
    begin: &[i64],
    end: &[i64],
    strides: &[i64],
    masks: SliceMasks,
) -> Option<Tensor> {
    let rank = tensor.shape.len();
    let given = begin.len();
    if masks.other != 0 || given > rank || end.len() != given || strides.len() != given {
        return None;
    }
    let own = steps(&tensor.shape);
    let (mut shape, mut kept, mut first) = (Vec::new(), Vec::new(), 0);
    for axis in 0..rank {
        let side = tensor.shape[axis] as i64;
        let has = |mask: i64| axis < given.min(63) && (mask >> axis) & 1 == 1;
        let bound = |value: i64| if value < 0 { value + side } else { value }.clamp(0, side);
        let from = match axis < given && !has(masks.begin) {
            true => bound(begin[axis]),
            false => 0,
        };
        let to = match axis < given && !has(masks.end) {
            true => bound(end[axis]),
            false => side,
        };
        let stride = strides.get(axis).copied().unwrap_or(1);
        first = own[axis].checked_mul(from as usize)?.checked_add(first)?;
        if has(masks.shrink) {
            (from < side).then_some(())?;
            continue;
        }
        if stride < 1 {
            return None;
        }
        shape.push(((to - from).max(0) as usize).div_ceil(stride as usize));
        kept.push(own[axis].checked_mul(stride as usize)?);
    }
    gather(tensor, shape, first, &kept)
}

fn tile(tensor: &Tensor, times: &[i64]) -> Option<Tensor> {
    if times.len() != tensor.shape.len() {
        return None;
    }
    let mut tiled = tensor.clone();
    for (axis, &times) in times.iter().enumerate() {
        let times = usize::try_from(times).ok()?;
        elements(&[tiled.values.len().max(1), times])?;
        let one = Rc::new(tiled.clone());
        tiled = match times {
            0 => return None,
            times => concat(&vec![one; times], axis as i64)?,
        };
    }
    Some(tiled)
}

#[cfg(test)]
mod tests {
    use super::super::graph::{Binary, Node};
    use super::*;

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor {
            shape: shape.to_vec(),
            values: values.to_vec(),
        }
    }

    fn computed(op: &Op, inputs: &[Tensor]) -> Option<Tensor> {
        let inputs: Vec<_> = inputs.iter().cloned().map(Rc::new).collect();
        Some(compute(op, &inputs)?.first()?.as_ref().clone())
    }

    #[test]
    fn operators_compute_what_tensorflow_computes() {
        let six = tensor(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let list = |values: &[f32]| tensor(&[values.len()], values);
        let cases = [
            (
                Op::Transpose,
                vec![six.clone(), list(&[1.0, 0.0])],
                tensor(&[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
            ),
            (
                Op::Reshape,
                vec![six.clone(), list(&[-1.0, 2.0])],
                tensor(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            ),
            (
                Op::ExpandDims,
                vec![six.clone(), list(&[-1.0])],
                tensor(&[2, 3, 1], &six.values),
            ),
            (
                Op::Slice,
                vec![six.clone(), list(&[0.0, 1.0]), list(&[-1.0, 2.0])],
                tensor(&[2, 2], &[1.0, 2.0, 4.0, 5.0]),
            ),
            (
                Op::Tile,
                vec![tensor(&[1, 2], &[7.0, 8.0]), list(&[2.0, 1.0])],
                tensor(&[2, 2], &[7.0, 8.0, 7.0, 8.0]),
            ),
            (Op::Shape, vec![six.clone()], list(&[2.0, 3.0])),
            (
                Op::Binary(Binary::Multiply),
                vec![six.clone(), list(&[1.0, 10.0, 100.0])],
                tensor(&[2, 3], &[0.0, 10.0, 200.0, 3.0, 40.0, 500.0]),
            ),
            (
                Op::Concat { axis: 1 },
                vec![tensor(&[2, 1], &[8.0, 9.0]), six.clone()],
                tensor(&[2, 4], &[8.0, 0.0, 1.0, 2.0, 9.0, 3.0, 4.0, 5.0]),
            ),
            (
                Op::Pack { axis: 1 },
                vec![list(&[1.0, 2.0]), list(&[3.0, 4.0])],
                tensor(&[2, 2], &[1.0, 3.0, 2.0, 4.0]),
            ),
            (
                Op::Squeeze { axes: vec![0] },
                vec![tensor(&[1, 1, 2], &[1.0, 2.0])],
                tensor(&[1, 2], &[1.0, 2.0]),
            ),
        ];
        for (op, inputs, expected) in cases {
            assert_eq!(computed(&op, &inputs), Some(expected), "{op:?}");
        }
        let column = SliceMasks {
            begin: 1,
            end: 1,
            shrink: 2,
            other: 0,
        };
        let inputs = [
            six,
            list(&[0.0, -1.0]),
            list(&[0.0, 0.0]),
            list(&[1.0, 1.0]),
        ];
        let expected = Some(list(&[2.0, 5.0]));
        assert_eq!(computed(&Op::StridedSlice(column), &inputs), expected);
    }

    #[test]
    fn impossible_shapes_give_nothing() {
        let list = |values: &[f32]| tensor(&[values.len()], values);
        let two = list(&[1.0, 2.0]);
        let cases = [
            (Op::Reshape, vec![two.clone(), list(&[3.0])]),
            (Op::Reshape, vec![two.clone(), list(&[0.0, -1.0])]),
            (Op::Transpose, vec![two.clone(), list(&[1.0])]),
            (Op::Slice, vec![two.clone(), list(&[1.0]), list(&[2.0])]),
            (Op::Tile, vec![two.clone(), list(&[1e9])]),
            (Op::Concat { axis: 1 }, vec![two.clone(), two.clone()]),
            (Op::Binary(Binary::Add), vec![two, list(&[1.0, 2.0, 3.0])]),
        ];
        for (op, inputs) in cases {
            assert_eq!(computed(&op, &inputs), None, "{op:?}");
        }
    }

    #[test]
    fn chosen_values_pass_through_the_graph() {
        let node = |op, inputs| Node {
            name: String::new(),
            operator: String::new(),
            op,
            inputs,
            scale: None,
        };
        let graph = Graph {
            nodes: vec![
                node(Op::Input(Vec::new()), vec![]),
                node(Op::Constant(Rc::new(Tensor::scalar(2.0))), vec![]),
                node(
                    Op::Binary(Binary::Multiply),
                    vec![Value::of(0), Value::of(1)],
                ),
            ],
            outputs: vec![],
        };
        let constants = Known::constants(&graph);
        assert_eq!(constants.get(Value::of(2)), None);
        let known = constants.with(Value::of(0), Tensor::scalar(3.0));
        let values: Vec<_> = known
            .iter()
            .map(|(value, t)| (value.node, t.values[0]))
            .collect();
        assert_eq!(values, [(2, 6.0)]);
    }
}
