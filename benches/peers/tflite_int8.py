"""Writes a net as an int8 .tflite for LiteRT, straight through the format's own object API.

The input is int8, so no time goes into rounding it. A layer is int8 where the QDQ model rounds what it reads and
what it gives, which is all of a trunk; the small rest (scores and box) is computed in float, as the QDQ model
does. Pictures are NHWC here; a value of another rank keeps the shape that it has in ONNX.
"""

import flatbuffers
import numpy
from ai_edge_litert import schema_py_generated as schema

import qdq

TYPES = {"int8": schema.TensorType.INT8, "float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}
# Versions say which types an operator may have; the runtime refuses int8 under a version older than it.
VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "MEAN": 2, "DEQUANTIZE": 2, "RESIZE_NEAREST_NEIGHBOR": 2,
}


def write(net, path):
    path.write_bytes(_Writer(net).model())


def _nhwc(shape):
    return [shape[0], shape[2], shape[3], shape[1]] if len(shape) == 4 else list(shape)


class _Writer:
    def __init__(self, net):
        self.net = net
        self.graph = schema.SubGraphT(tensors=[], operators=[])
        self.buffers = [schema.BufferT()]
        self.codes = []
        # Which tensor holds a value in which type.
        self.held = {}
        # Values of four axes that have the shape that they have in ONNX: they are no pictures.
        self.plain = set()

    def model(self):
        source = self.value_tensor(self.net.input, "int8" if self.net.input in self.net.rounding else "float32")
        for layer in self.net.layers:
            getattr(self, "write_" + layer.kind.lower())(layer)
        outputs = {name: self.read(value, "float32") for name, value in self.net.outputs.items()}
        self.graph.inputs, self.graph.outputs = [source], list(outputs.values())
        maps = [schema.TensorMapT(name=name, tensorIndex=tensor) for name, tensor in outputs.items()]
        takes = [schema.TensorMapT(name=self.net.input, tensorIndex=source)]
        signature = schema.SignatureDefT(inputs=takes, outputs=maps, signatureKey="serving_default")
        codes = [
            schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=version)
            for code, version in self.codes
        ]
        model = schema.ModelT(3, codes, [self.graph], "", self.buffers, signatureDefs=[signature])
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # Tensors

    def tensor(self, name, shape, kind, quantization=None, buffer=0):
        tensor = schema.TensorT(list(shape), TYPES[kind], buffer, name, quantization, hasRank=True)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def value_tensor(self, value, kind):
        """A new tensor for a value; all values are computed once, conversions apart."""
        rounding = self.net.rounding.get(value)
        quantization = None
        if kind == "int8":
            quantization = schema.QuantizationParametersT(scale=[rounding.scale], zeroPoint=[rounding.zero_point])
        shape = self.net.shapes[value]
        shape = shape if value in self.plain else _nhwc(shape)
        self.held[value, kind] = self.tensor(f"{value}:{kind}", shape, kind, quantization)
        return self.held[value, kind]

    def constant(self, name, array, scales=None, axis=0):
        array = numpy.ascontiguousarray(array)
        quantization = None
        if scales is not None:
            zero_points = [0] * len(scales)
            quantization = schema.QuantizationParametersT(
                scale=scales.tolist(), zeroPoint=zero_points, quantizedDimension=axis
            )
        self.buffers.append(schema.BufferT(numpy.frombuffer(array.tobytes(), numpy.uint8)))
        return self.tensor(name, array.shape, str(array.dtype), quantization, len(self.buffers) - 1)

    def indices(self, name, numbers):
        return self.constant(name, numpy.array(numbers, numpy.int32))

    def read(self, value, kind):
        """The tensor of a value in a type, converted where it is only held in the other."""
        if (value, kind) not in self.held:
            other = self.held[value, "float32" if kind == "int8" else "int8"]
            self.operator("QUANTIZE" if kind == "int8" else "DEQUANTIZE", [other], self.value_tensor(value, kind))
        return self.held[value, kind]

    def operator(self, name, inputs, output, options=None, kind=None):
        code = (getattr(schema.BuiltinOperator, name), VERSIONS.get(name, 1))
        if name == "ADD" and self.graph.tensors[output].type == schema.TensorType.INT8:
            code = (code[0], 2)
        if code not in self.codes:
            self.codes.append(code)
        kind = getattr(schema.BuiltinOptions, kind) if kind else 0
        self.graph.operators.append(
            schema.OperatorT(self.codes.index(code), inputs, [output], kind, options)
        )

    def kind(self, layer):
        """The type that a layer computes in."""
        values = [*layer.inputs, layer.output]
        return "int8" if all(value in self.net.rounding for value in values) and not layer.constants else "float32"

    def parameters(self, layer, kind, order, axis):
        """Weights in another order of their axes, and the bias in the integers that int8 wants."""
        if kind == "float32":
            weights = self.constant(layer.name + ".weight", layer.weights.floats().transpose(order))
            return weights, self.constant(layer.name + ".bias", layer.bias)
        scales = layer.weights.scales
        weights = self.constant(layer.name + ".weight", layer.weights.integers.transpose(order), scales, axis)
        steps = scales.astype(numpy.float64) * self.net.rounding[layer.inputs[0]].scale
        bias = numpy.rint(layer.bias / steps).astype(numpy.int32)
        return weights, self.constant(layer.name + ".bias", bias, steps.astype(numpy.float32))

    # Layers

    def write_conv(self, layer):
        kind = self.kind(layer)
        strides, padding = layer.attributes["strides"], self.padding(layer)
        if any(step != 1 for step in layer.attributes.get("dilations", [])):
            layer.refuse("a dilated convolution is not known")
        groups, (outputs, depth) = layer.attributes.get("group", 1), layer.weights.integers.shape[:2]
        if groups == 1:
            name, order, axis = "CONV_2D", (0, 2, 3, 1), 0
            options = schema.Conv2DOptionsT(padding, strides[1], strides[0])
        elif depth == 1 and groups == outputs:
            name, order, axis = "DEPTHWISE_CONV_2D", (1, 2, 3, 0), 3
            options = schema.DepthwiseConv2DOptionsT(padding, strides[1], strides[0], depthMultiplier=1)
        else:
            layer.refuse(f"{groups} groups are neither a convolution nor a depthwise one")
        # No fused relu6: the rounding of the output clips, and every int8 kernel clips anyway. A float layer is
        # never clipped, as nothing rounds it.
        inputs = [self.read(layer.inputs[0], kind), *self.parameters(layer, kind, order, axis)]
        self.operator(name, inputs, self.value_tensor(layer.output, kind), options, type(options).__name__[:-1])

    def padding(self, layer):
        """The format only knows none and TensorFlow's SAME, where the odd pixel goes to the end."""
        pads, sizes = layer.attributes.get("pads", [0] * 4), self.net.shapes[layer.inputs[0]][2:]
        same = []
        for size, kernel, step in zip(sizes, layer.weights.integers.shape[2:], layer.attributes["strides"]):
            whole = max((-(-size // step) - 1) * step + kernel - size, 0)
            same.append((whole // 2, whole - whole // 2))
        if list(pads) == [same[0][0], same[1][0], same[0][1], same[1][1]]:
            return schema.Padding.SAME
        if any(pads):
            layer.refuse(f"pads of {pads} are not TensorFlow's SAME")
        return schema.Padding.VALID

    def write_gemm(self, layer):
        kind = self.kind(layer)
        inputs = [self.read(layer.inputs[0], kind), *self.parameters(layer, kind, (0, 1), 0)]
        options = schema.FullyConnectedOptionsT()
        output = self.value_tensor(layer.output, kind)
        self.operator("FULLY_CONNECTED", inputs, output, options, "FullyConnectedOptions")

    def write_globalaveragepool(self, layer):
        kind = self.kind(layer)
        inputs = [self.read(layer.inputs[0], kind), self.indices(layer.name + ".axes", [1, 2])]
        options = schema.ReducerOptionsT(keepDims=True)
        self.operator("MEAN", inputs, self.value_tensor(layer.output, kind), options, "ReducerOptions")

    def write_add(self, layer):
        self.pointwise(layer, "ADD", schema.AddOptionsT())

    def write_mul(self, layer):
        self.pointwise(layer, "MUL", schema.MulOptionsT(), "float32")

    def write_sub(self, layer):
        self.pointwise(layer, "SUB", schema.SubOptionsT(), "float32")

    def write_div(self, layer):
        self.pointwise(layer, "DIV", schema.DivOptionsT(), "float32")

    def write_min(self, layer):
        self.pointwise(layer, "MINIMUM", schema.MaximumMinimumOptionsT(), "float32")

    def write_max(self, layer):
        self.pointwise(layer, "MAXIMUM", schema.MaximumMinimumOptionsT(), "float32")

    def pointwise(self, layer, name, options, kind=None):
        kind = kind or self.kind(layer)
        inputs = self.with_constants(layer, kind)
        self.operator(name, inputs, self.value_tensor(layer.output, kind), options, type(options).__name__[:-1])

    def with_constants(self, layer, kind):
        """All inputs of a layer, those that are floats in the model among them."""
        inputs = [self.read(value, kind) for value in layer.inputs]
        for position, array in sorted(layer.constants.items()):
            if len(self.net.shapes[layer.output]) == 4:
                layer.refuse("a constant beside a picture is not known")
            inputs.insert(position, self.constant(f"{layer.name}.{position}", array.astype(numpy.float32)))
        return inputs

    def write_sigmoid(self, layer):
        self.operator("LOGISTIC", [self.read(layer.inputs[0], "float32")], self.value_tensor(layer.output, "float32"))

    def write_exp(self, layer):
        inputs, output = [self.read(layer.inputs[0], "float32")], self.value_tensor(layer.output, "float32")
        self.operator("EXP", inputs, output, schema.ExpOptionsT(), "ExpOptions")

    def write_concat(self, layer):
        """In float: each input may have a scale of its own."""
        is_plain = [value in self.plain for value in layer.inputs]
        if len(self.net.shapes[layer.output]) == 4 and not all(is_plain):
            layer.refuse("a concatenation of pictures is not known")
        self.plain.add(layer.output)
        axis = layer.attributes["axis"] % len(self.net.shapes[layer.output])
        inputs, options = [self.read(value, "float32") for value in layer.inputs], schema.ConcatenationOptionsT(axis)
        output = self.value_tensor(layer.output, "float32")
        self.operator("CONCATENATION", inputs, output, options, "ConcatenationOptions")

    def write_transpose(self, layer):
        """A picture has its channels last already."""
        qdq.check_transpose(layer)
        kind = self.rearranged_kind(layer)
        self.plain.add(layer.output)
        self.held[layer.output, kind] = self.read(layer.inputs[0], kind)

    def write_unsqueeze(self, layer):
        self.plain.add(layer.output)
        self.write_reshape(layer)

    def write_relu(self, layer):
        self.operator("RELU", [self.read(layer.inputs[0], "float32")], self.value_tensor(layer.output, "float32"))

    def write_softmax(self, layer):
        shape = self.net.shapes[layer.output]
        axis = layer.attributes.get("axis", -1) % len(shape)
        if len(shape) == 4:
            layer.refuse("a softmax of a picture is not known")
        source, options = self.read(layer.inputs[0], "float32"), schema.SoftmaxOptionsT(beta=1.0)
        if axis == len(shape) - 1:
            self.operator("SOFTMAX", [source], self.value_tensor(layer.output, "float32"), options, "SoftmaxOptions")
            return
        # The format knows the last axis only: it changes places with the one that is meant, and back.
        order = list(range(len(shape)))
        order[axis], order[-1] = order[-1], order[axis]
        turned = [self.tensor(f"{layer.name}.{what}", [shape[i] for i in order], "float32") for what in ("in", "out")]
        order = self.indices(layer.name + ".order", order)
        self.transpose([source, order], turned[0])
        self.operator("SOFTMAX", [turned[0]], turned[1], options, "SoftmaxOptions")
        self.transpose([turned[1], order], self.value_tensor(layer.output, "float32"))

    def transpose(self, inputs, output):
        self.operator("TRANSPOSE", inputs, output, schema.TransposeOptionsT(), "TransposeOptions")

    def write_matmul(self, layer):
        inputs = self.with_constants(layer, "float32")
        options = schema.BatchMatMulOptionsT()
        self.operator("BATCH_MATMUL", inputs, self.value_tensor(layer.output, "float32"), options, "BatchMatMulOptions")

    def write_resize(self, layer):
        sizes = [size * times for size, times in zip(self.net.shapes[layer.inputs[0]][2:], qdq.enlargement(layer))]
        kind = self.rearranged_kind(layer)
        inputs = [self.read(layer.inputs[0], kind), self.indices(layer.name + ".size", sizes)]
        options = schema.ResizeNearestNeighborOptionsT()
        output = self.value_tensor(layer.output, kind)
        self.operator("RESIZE_NEAREST_NEIGHBOR", inputs, output, options, "ResizeNearestNeighborOptions")

    def write_slice(self, layer):
        begin, size = qdq.slice_of(layer, self.net.shapes[layer.inputs[0]])
        if len(begin) == 4:
            layer.refuse("a slice of a picture is not known")
        kind = self.rearranged_kind(layer)
        inputs = [self.read(layer.inputs[0], kind)]
        inputs += [self.indices(layer.name + ".begin", begin), self.indices(layer.name + ".size", size)]
        self.operator("SLICE", inputs, self.value_tensor(layer.output, kind), schema.SliceOptionsT(), "SliceOptions")

    def write_flatten(self, layer):
        self.write_reshape(layer)

    def write_reshape(self, layer):
        """The numbers of a picture are in another order than in ONNX, so it is first turned into ONNX' order."""
        kind = self.rearranged_kind(layer)
        source, before = self.read(layer.inputs[0], kind), self.net.shapes[layer.inputs[0]]
        after = self.net.shapes[layer.output]
        if len(after) == 4 and layer.output not in self.plain:
            layer.refuse("a new shape of four axes is not known")
        if len(before) == 4 and before[2:] != [1, 1] and layer.inputs[0] not in self.plain:
            quantization = self.graph.tensors[source].quantization
            turned = self.tensor(layer.name + ".turned", before, kind, quantization)
            inputs = [source, self.indices(layer.name + ".order", [0, 3, 1, 2])]
            self.transpose(inputs, turned)
            source = turned
        inputs, options = [source, self.indices(layer.name + ".shape", after)], schema.ReshapeOptionsT(after)
        self.operator("RESHAPE", inputs, self.value_tensor(layer.output, kind), options, "ReshapeOptions")

    def rearranged_kind(self, layer):
        return "int8" if (layer.inputs[0], "int8") in self.held else "float32"
