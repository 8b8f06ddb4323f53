//! The shape of what a node puts out, for the operators that boxcam-train writes and a few beside them.
//!
//! After the operators' own documents (<https://onnx.ai/onnx/operators/>).

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue;

use super::Value;
use crate::onnx::tensor_floats;

/// The declared sides of an input; one that is left open is a batch of 1.
pub(super) fn declared(input: &pb::ValueInfoProto) -> Vec<usize> {
    let Some(pb::type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return Vec::new();
    };
    let sides = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let side = |side: &pb::tensor_shape_proto::Dimension| match side.value {
        Some(DimValue(side)) => side.max(1) as usize,
        _ => 1,
    };
    sides.map(side).collect()
}

/// A whole number among the attributes.
pub(super) fn int(node: &pb::NodeProto, name: &str) -> Option<i64> {
    let attribute = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == name);
    attribute.map(|attribute| attribute.i)
}

/// Whole numbers among the attributes; none where there is no such attribute.
pub(super) fn ints<'n>(node: &'n pb::NodeProto, name: &str) -> &'n [i64] {
    let attribute = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == name);
    attribute.map_or(&[], |attribute| &attribute.ints)
}

/// The shape of a node's first output.
pub(super) fn output(node: &pb::NodeProto, inputs: &[Value<'_>]) -> Result<Vec<usize>, String> {
    let first = &inputs[0].shape;
    match node.op_type.as_str() {
        "Conv" => convolution(node, first, second(inputs)?),
        "AveragePool" | "MaxPool" => {
            let kernel = ints(node, "kernel_shape");
            let sides = spatial(
                node,
                first,
                &kernel
                    .iter()
                    .map(|&k| k.max(1) as usize)
                    .collect::<Vec<_>>(),
            )?;
            let start = first.get(..2).ok_or("takes no map")?;
            Ok([start, &sides].concat())
        }
        "GlobalAveragePool" => Ok(first
            .iter()
            .enumerate()
            .map(|(axis, &side)| if axis < 2 { side } else { 1 })
            .collect()),
        "Gemm" => dense(node, first, second(inputs)?),
        "MatMul" => product(first, second(inputs)?),
        "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" => broadcast(first, second(inputs)?),
        "Flatten" => {
            let axis = axis(int(node, "axis").unwrap_or(1), first.len() + 1)?;
            Ok(vec![
                first[..axis].iter().product(),
                first[axis..].iter().product(),
            ])
        }
        "Reshape" => reshape(first, &whole_numbers(inputs.get(1))?),
        "Slice" => slice(first, inputs),
        "Resize" => resized(first, inputs),
        "Concat" => concat(node, inputs),
        "Transpose" => permuted(first, ints(node, "perm")),
        "Softmax" | "Relu" | "Clip" | "Sigmoid" | "HardSwish" | "HardSigmoid" | "LeakyRelu"
        | "BatchNormalization" => Ok(first.clone()),
        _ => Err("its shape is not known here".to_owned()),
    }
}

fn resized(first: &[usize], inputs: &[Value<'_>]) -> Result<Vec<usize>, String> {
    let scales = inputs.iter().skip(1).find_map(|value| value.constant);
    let scales = scales.and_then(tensor_floats).unwrap_or_default();
    if scales.len() != first.len() {
        return Err("has no constant scale for each side".to_owned());
    }
    let scaled = first.iter().zip(scales);
    Ok(scaled
        .map(|(&side, scale)| (side as f32 * scale) as usize)
        .collect())
}

fn second<'v>(inputs: &'v [Value<'_>]) -> Result<&'v [usize], String> {
    let value = inputs.get(1).map(|value| value.shape.as_slice());
    value.ok_or_else(|| "takes one tensor, expected two".to_owned())
}

fn convolution(
    node: &pb::NodeProto,
    input: &[usize],
    weights: &[usize],
) -> Result<Vec<usize>, String> {
    let &[out, inner, height, width] = weights else {
        return Err(format!(
            "has weights of shape {weights:?}, expected 4 sides"
        ));
    };
    let groups = int(node, "group").unwrap_or(1).max(1) as usize;
    if input.get(1) != Some(&(inner * groups)) {
        return Err(format!(
            "takes {input:?}, its weights {weights:?} are for {} channels",
            inner * groups
        ));
    }
    let sides = spatial(node, input, &[height, width])?;
    Ok([&[input[0], out], &sides[..]].concat())
}

/// Height and width after a window has gone over a map.
fn spatial(node: &pb::NodeProto, input: &[usize], kernel: &[usize]) -> Result<Vec<usize>, String> {
    let (strides, pads, dilations) = (
        ints(node, "strides"),
        ints(node, "pads"),
        ints(node, "dilations"),
    );
    let same = node
        .attribute
        .iter()
        .any(|a| a.name == "auto_pad" && a.s.starts_with(b"SAME"));
    let axes = input.len().saturating_sub(2);
    if axes != kernel.len() {
        return Err(format!(
            "takes {input:?}, expected a batch of maps with {} sides",
            kernel.len()
        ));
    }
    let at = |list: &[i64], axis: usize, usual: i64| {
        list.get(axis).copied().unwrap_or(usual).max(0) as usize
    };
    (0..axes)
        .map(|axis| {
            let (side, stride) = (input[axis + 2], at(strides, axis, 1).max(1));
            if same {
                return Ok(side.div_ceil(stride));
            }
            let padded = side + at(pads, axis, 0) + at(pads, axis + axes, 0);
            let window = at(dilations, axis, 1).max(1) * (kernel[axis].max(1) - 1) + 1;
            let steps = padded.checked_sub(window);
            steps.map(|steps| steps / stride + 1).ok_or_else(|| {
                format!("its kernel of {window} is larger than the padded side of {padded}")
            })
        })
        .collect()
}

fn dense(node: &pb::NodeProto, input: &[usize], weights: &[usize]) -> Result<Vec<usize>, String> {
    let turned = |shape: &[usize], by: &str| match (shape, int(node, by).unwrap_or(0)) {
        (&[a, b], 0) => Ok((a, b)),
        (&[a, b], _) => Ok((b, a)),
        _ => Err(format!("takes {shape:?}, expected 2 sides")),
    };
    let (rows, inner) = turned(input, "transA")?;
    let (expected, columns) = turned(weights, "transB")?;
    if inner == expected {
        Ok(vec![rows, columns])
    } else {
        Err(format!(
            "takes {inner} numbers a row, its weights are for {expected}"
        ))
    }
}

fn product(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let disagree = || format!("can't multiply {a:?} and {b:?}");
    let ([rest_a @ .., rows, inner], [rest_b @ .., expected, columns]) = (a, b) else {
        return Err(disagree());
    };
    if inner != expected {
        return Err(disagree());
    }
    let mut shape = broadcast(rest_a, rest_b)?;
    shape.extend([*rows, *columns]);
    Ok(shape)
}

fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let length = a.len().max(b.len());
    let side = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(length)
            .map_or(1, |at| shape[at])
    };
    (0..length)
        .map(|axis| match (side(a, axis), side(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(format!("can't put {a:?} and {b:?} together")),
        })
        .collect()
}

fn reshape(input: &[usize], wanted: &[i64]) -> Result<Vec<usize>, String> {
    let all: usize = input.iter().product();
    let mut shape: Vec<usize> = Vec::new();
    for (axis, &side) in wanted.iter().enumerate() {
        shape.push(match side {
            0 => input.get(axis).copied().unwrap_or(1),
            // What is left over; set below.
            -1 => 1,
            side => side.max(1) as usize,
        });
    }
    let known: usize = shape.iter().product();
    if let Some(open) = wanted.iter().position(|&side| side == -1) {
        shape[open] = all / known.max(1);
    }
    if shape.iter().product::<usize>() == all {
        Ok(shape)
    } else {
        Err(format!("can't make {wanted:?} of {input:?}"))
    }
}

fn slice(input: &[usize], inputs: &[Value<'_>]) -> Result<Vec<usize>, String> {
    let (starts, ends) = (whole_numbers(inputs.get(1))?, whole_numbers(inputs.get(2))?);
    let axes = match inputs.get(3) {
        Some(axes) => whole_numbers(Some(axes))?,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match inputs.get(4) {
        Some(steps) => whole_numbers(Some(steps))?,
        None => vec![1; starts.len()],
    };
    let mut shape = input.to_vec();
    for (((&start, &end), &along), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let along = axis(along, input.len())?;
        let side = input[along] as i64;
        let bound = |place: i64| if place < 0 { place + side } else { place }.clamp(0, side);
        let length = (bound(end) - bound(start)).max(0) as u64;
        shape[along] = length.div_ceil(step.unsigned_abs().max(1)) as usize;
    }
    Ok(shape)
}

fn concat(node: &pb::NodeProto, inputs: &[Value<'_>]) -> Result<Vec<usize>, String> {
    let mut shape = inputs[0].shape.clone();
    let along = axis(int(node, "axis").unwrap_or(0), shape.len())?;
    let sides = inputs
        .iter()
        .map(|value| value.shape.get(along).copied().unwrap_or(0));
    shape[along] = sides.sum();
    Ok(shape)
}

fn permuted(input: &[usize], order: &[i64]) -> Result<Vec<usize>, String> {
    if order.is_empty() {
        return Ok(input.iter().rev().copied().collect());
    }
    order
        .iter()
        .map(|&from| Ok(input[axis(from, input.len())?]))
        .collect()
}

/// An axis counted from the front; a negative one counts from the end.
fn axis(axis: i64, axes: usize) -> Result<usize, String> {
    let from_front = if axis < 0 { axis + axes as i64 } else { axis };
    let found = usize::try_from(from_front)
        .ok()
        .filter(|&found| found < axes);
    found.ok_or_else(|| format!("has no axis {axis}, only {axes} of them"))
}

/// The numbers of a constant of whole numbers.
fn whole_numbers(value: Option<&Value<'_>>) -> Result<Vec<i64>, String> {
    let tensor = value
        .and_then(|value| value.constant)
        .ok_or("a shape in it is computed, expected a constant")?;
    if tensor.data_type == DataType::Int64 as i32 {
        if !tensor.int64_data.is_empty() {
            return Ok(tensor.int64_data.clone());
        }
        let words = tensor.raw_data.as_chunks::<8>().0;
        return Ok(words.iter().map(|&word| i64::from_le_bytes(word)).collect());
    }
    if tensor.data_type == DataType::Int32 as i32 {
        let words = tensor.raw_data.as_chunks::<4>().0;
        let raw = words.iter().map(|&word| i32::from_le_bytes(word));
        return Ok(tensor
            .int32_data
            .iter()
            .copied()
            .chain(raw)
            .map(i64::from)
            .collect());
    }
    Err(format!(
        "a shape in it is of ONNX data type {}, expected whole numbers",
        tensor.data_type
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_go_together_as_the_operators_say() {
        assert_eq!(broadcast(&[1, 4, 49], &[4, 1]), Ok(vec![1, 4, 49]));
        assert!(broadcast(&[3], &[2]).is_err());
        assert_eq!(product(&[1, 4, 49], &[1, 49, 1]), Ok(vec![1, 4, 1]));
        assert!(product(&[2, 3], &[2, 3]).is_err() && product(&[2], &[2, 3]).is_err());
        assert_eq!(reshape(&[1, 5, 7, 7], &[0, 5, -1]), Ok(vec![1, 5, 49]));
        assert!(reshape(&[1, 5], &[2, 5]).is_err());
        assert_eq!(permuted(&[1, 2, 3], &[0, 2, 1]), Ok(vec![1, 3, 2]));
        assert!(permuted(&[1, 2], &[0, 5]).is_err());
    }
}
