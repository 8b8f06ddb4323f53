"""The integer arithmetic of docs/int8.md in numpy: what a QDQ model computes without saturation and without rounding
in between. Sums of products are exact, because float64 has 53 bits; the other steps are in float32 as documented.
"""

from dataclasses import dataclass

import numpy
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

F32 = numpy.float32


@dataclass
class Quantized:
    """Integers `q` that stand for `(q - zero_point) * scale`."""

    q: numpy.ndarray
    scale: numpy.ndarray
    zero_point: int

    @property
    def centered(self):
        return self.q.astype(numpy.float64) - self.zero_point


@dataclass
class Unrounded:
    """A layer's output before it is rounded. `steps(scale)` is the output in units of `scale`, in float32."""

    steps: callable


class Model:
    """A QDQ model whose convolutions and matrix products have symmetric weights."""

    def __init__(self, path):
        model = onnx.load(path)
        self.graph = model.graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        # The float operators after the last rounding, which the onnx package computes.
        self.others = {}

    def run(self, image):
        """Scores and corners of one image, a float tensor of the model's input shape."""
        values = {"": None, self.graph.input[0].name: image, **self.constants}
        for node in self.graph.node:
            inputs = [values[name] for name in node.input]
            values[node.output[0]] = self.compute(node, inputs)
        return values["class_prediction"], values["bbox_prediction"]

    def compute(self, node, inputs):
        kind, attributes = node.op_type, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if kind == "QuantizeLinear":
            value, scale, zero_point = inputs
            steps = value.steps(scale) if isinstance(value, Unrounded) else value / scale
            kind, zero_point = numpy.iinfo(zero_point.dtype), int(zero_point)
            return numpy.clip(numpy.rint(steps), kind.min - zero_point, kind.max - zero_point) + zero_point
        if kind == "DequantizeLinear":
            q, scale, zero_point = inputs
            assert zero_point.ndim == 0 or not zero_point.any(), node.name
            return Quantized(q, scale, int(zero_point.flat[0]))
        first = inputs[0]
        if isinstance(first, Quantized) and kind in ("Conv", "Gemm"):
            _, weights, bias = inputs
            per_channel = (-1, 1, 1) if kind == "Conv" else (-1,)
            sums = dense(first.centered, weights.q, attributes) if kind == "Conv" else first.centered @ weights.q.T
            sums = (sums + bias.q.reshape(per_channel)).astype(F32)
            product = (first.scale * weights.scale).reshape(per_channel)
            return Unrounded(lambda scale: sums * (product / scale))
        if isinstance(first, Quantized) and kind == "Add":
            return Unrounded(lambda scale: sum(v.centered.astype(F32) * (v.scale / scale) for v in inputs))
        if isinstance(first, Quantized) and kind == "GlobalAveragePool":
            sums = first.centered.sum((2, 3), keepdims=True).astype(F32)
            pixels = F32(first.q.shape[2] * first.q.shape[3])
            return Unrounded(lambda scale: sums * (first.scale / (pixels * scale)))
        if isinstance(first, Quantized) and kind == "Flatten":
            return Quantized(first.q.reshape(len(first.q), -1), first.scale, first.zero_point)
        if isinstance(first, Quantized) and kind == "Resize":
            _, _, down, across = (int(times) for times in inputs[2])
            return Quantized(first.q.repeat(down, 2).repeat(across, 3), first.scale, first.zero_point)
        inputs = [to_floats(value) for value in inputs]
        return inputs[0] if kind == "Identity" else self.other(node, inputs)

    def other(self, node, inputs):
        if node.output[0] not in self.others:
            self.others[node.output[0]] = ReferenceEvaluator(node)
        fed = {name: value for name, value in zip(node.input, inputs) if name}
        return self.others[node.output[0]].run(None, fed)[0]


def to_floats(value):
    if isinstance(value, Unrounded):
        return value.steps(F32(1))
    return value.centered.astype(F32) * value.scale if isinstance(value, Quantized) else value


def dense(values, weights, attributes):
    """Exact sums of products of one image: values [1, in, height, width], weights [out, in / groups, rows, columns]."""
    assert attributes["dilations"] == [1, 1] and attributes["group"] in (1, len(weights)), attributes
    top, left, bottom, right = attributes["pads"]
    down, across = attributes["strides"]
    # The padding stands for 0.
    padded = numpy.pad(values[0], ((0, 0), (top, bottom), (left, right)))
    rows, columns = weights.shape[2:]
    height, width = (padded.shape[1] - rows) // down + 1, (padded.shape[2] - columns) // across + 1
    weights, sums = weights.astype(numpy.float64), 0
    for row, column in numpy.ndindex(rows, columns):
        tap = padded[:, row : row + down * height : down, column : column + across * width : across]
        tap = tap[:, :height, :width]
        if attributes["group"] == 1:
            sums = sums + (weights[:, :, row, column] @ tap.reshape(len(tap), -1)).reshape(-1, height, width)
        else:
            sums = sums + weights[:, :, row, column, None] * tap
    return sums[None]
