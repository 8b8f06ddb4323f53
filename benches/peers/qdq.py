"""Reads a QDQ model into a list of layers: what each computes, with its weights, and how each value is rounded.

A QDQ model keeps float operators and says beside each of them, by QuantizeLinear and DequantizeLinear, in which
integers its numbers are to be kept. Here these nodes are gone: a layer has its int8 weights with their scales, and
a value that is rounded has an entry in `Net.rounding`. Every writer of another format starts from this.
"""

from dataclasses import dataclass, field

import numpy
import onnx
from onnx import numpy_helper

# What a layer may be. Each writer knows all of them, so that an operator is refused here or nowhere.
KINDS = {
    "Add", "Concat", "Conv", "Div", "Exp", "Flatten", "Gemm", "GlobalAveragePool", "MatMul", "Max", "Min", "Mul", "Relu",
    "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Sub", "Transpose", "Unsqueeze",
}
# Layers that only rearrange or repeat numbers: what they give is rounded as what they got.
REARRANGING = {"Flatten", "Reshape", "Resize", "Slice", "Transpose", "Unsqueeze"}
# To channels last, the only Transpose that is known: of an SSD's logits and box codes.
CHANNELS_LAST = [0, 2, 3, 1]


class Unsupported(Exception):
    """A model that can't be made into another format; says which node is in the way."""


@dataclass
class Rounding:
    """int8 numbers q that stand for (q - zero_point) * scale."""

    scale: float
    zero_point: int

    @property
    def low(self):
        return (-128 - self.zero_point) * self.scale

    @property
    def high(self):
        return (127 - self.zero_point) * self.scale

    @property
    def symmetric_scale(self):
        """One step where there is no zero point and 127 steps each way must reach all that is kept."""
        return self.scale if self.zero_point == 0 else max(-self.low, self.high) / 127


@dataclass
class Weights:
    """int8 weights, one scale for each index of the first axis."""

    integers: numpy.ndarray
    scales: numpy.ndarray

    def floats(self):
        return self.integers.astype(numpy.float32) * self.scales.reshape([-1] + [1] * (self.integers.ndim - 1))


@dataclass
class Layer:
    """One operator. `inputs` are values that other layers compute, `constants` the other inputs by position, None for
    one that is left out.
    """

    kind: str
    name: str
    inputs: list
    output: str
    attributes: dict = field(default_factory=dict)
    constants: dict = field(default_factory=dict)
    weights: Weights | None = None
    bias: numpy.ndarray | None = None

    def refuse(self, why):
        raise Unsupported(f'node "{self.name}" ({self.kind}): {why}')


@dataclass
class Net:
    """A whole model. `outputs` maps the name of an output to the value that it shows."""

    input: str
    outputs: dict
    layers: list
    rounding: dict
    shapes: dict
    opset: int
    metadata: dict

    def users(self, value):
        return [layer for layer in self.layers if value in layer.inputs]

    def clip(self, layer):
        """Where the rounding of a layer's output cuts it off like a relu6 does: (0, highest), else None.

        The exporter folds relu6 into the rounding: a zero point of -128 leaves nothing below 0.
        """
        rounding = self.rounding.get(layer.output)
        is_cut = layer.kind in ("Conv", "Gemm") and rounding is not None and rounding.zero_point == -128
        return (0.0, rounding.high) if is_cut else None


def read(path):
    """The net in a model file."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    return _Reader(model).net()


def slice_of(layer, shape):
    """Where a Slice begins along each axis and how long it is."""
    begin, size = [0] * len(shape), list(shape)
    if any(step != 1 for step in layer.constants.get(4, [])):
        layer.refuse("only steps of 1 are known")
    axes = layer.constants.get(3, numpy.arange(len(layer.constants[1])))
    for start, end, axis in zip(layer.constants[1], layer.constants[2], axes):
        whole = shape[axis]
        first, last = (min(max(int(edge) + (whole if edge < 0 else 0), 0), whole) for edge in (start, end))
        begin[axis], size[axis] = first, last - first
    return begin, size


def check_transpose(layer):
    """Refuses a Transpose that is not from channels first to channels last."""
    if list(layer.attributes.get("perm", [])) != CHANNELS_LAST:
        layer.refuse("only from channels first to channels last is known")


def enlargement(layer):
    """How many times as high and wide a Resize makes a picture, each pixel that many times."""
    how = [layer.attributes.get(name) for name in ("mode", "coordinate_transformation_mode", "nearest_mode")]
    batch, channels, *times = layer.constants[2]
    if how != [b"nearest", b"asymmetric", b"floor"] or (batch, channels) != (1, 1) or any(t % 1 for t in times):
        layer.refuse("only each pixel so many times is known")
    return [int(t) for t in times]


class _Reader:
    def __init__(self, model):
        self.model = model
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.weights = {}
        self.alias = {}
        self.layers = []
        self.rounding = {}
        self.raw = {}

    def net(self):
        graph = self.model.graph
        for node in graph.node:
            self.take(node)
        inputs = [value.name for value in graph.input if value.name not in self.constants]
        if len(inputs) != 1:
            raise Unsupported(f"the model has {len(inputs)} inputs, expected one")
        typed = list(graph.input) + list(graph.output) + list(graph.value_info)
        shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in typed}
        return Net(
            input=inputs[0],
            outputs={value.name: self.value(value.name) for value in graph.output},
            layers=self.layers,
            rounding=self.rounding,
            shapes=shapes,
            opset=next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")),
            metadata={entry.key: entry.value for entry in self.model.metadata_props},
        )

    def value(self, name):
        return self.alias.get(name, name)

    def take(self, node):
        kind = node.op_type
        if kind == "QuantizeLinear":
            self.round(node)
        elif kind == "DequantizeLinear":
            self.unround(node)
        elif kind == "Identity":
            self.alias[node.output[0]] = self.value(node.input[0])
        elif kind == "Constant":
            self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif kind in KINDS:
            self.layers.append(self.layer(node))
        else:
            known = ", ".join(sorted(KINDS))
            raise Unsupported(f'node "{node.name}" is a {kind}; known are the QDQ pair, Identity, Constant, {known}')

    def round(self, node):
        scale, zero_point = (self.constants.get(name) for name in node.input[1:3])
        if scale is None or zero_point is None or scale.size != 1 or zero_point.dtype != numpy.int8:
            raise Unsupported(f'node "{node.name}": an activation takes one constant scale and an int8 zero point')
        value = self.value(node.input[0])
        rounding = Rounding(scale.item(), zero_point.item())
        if self.rounding.setdefault(value, rounding) != rounding:
            raise Unsupported(f'node "{node.name}": "{value}" is rounded in two ways')
        self.alias[node.output[0]] = value

    def unround(self, node):
        integers = self.constants.get(node.input[0])
        if integers is None:
            # Of a rounded value there is one form only: what reads it unrounded would get other numbers.
            self.alias[node.output[0]] = self.value(node.input[0])
            return
        scales, zero_points = (self.constants[name] for name in node.input[1:3])
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        if zero_points.any() or (scales.size > 1 and axis != 0):
            raise Unsupported(f'node "{node.name}": weights must be symmetric, with scales along the first axis')
        self.weights[node.output[0]] = Weights(integers, numpy.broadcast_to(scales.reshape(-1), integers.shape[:1]))

    def layer(self, node):
        values, constants, layers_weights, bias = [], {}, None, None
        for position, name in enumerate(node.input):
            if name in self.weights and position == 1:
                layers_weights = self.weights[name]
            elif name in self.weights:
                bias = self.weights[name].floats()
            elif name in self.constants:
                constants[position] = self.constants[name]
            elif name:
                values.append(self.value(name))
            else:
                constants[position] = None
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        layer = Layer(node.op_type, node.name, values, node.output[0], attributes, constants, layers_weights, bias)
        if layer.kind in ("Conv", "Gemm") and (layer.weights is None or len(values) != 1):
            layer.refuse("its weights are not int8 with a DequantizeLinear")
        if layer.kind == "Gemm" and (not attributes.get("transB") or attributes.get("alpha", 1) != 1):
            layer.refuse("only input * transposed weights + bias is known")
        if layer.kind in REARRANGING and values[0] in self.rounding:
            self.rounding[layer.output] = self.rounding[values[0]]
        return layer
