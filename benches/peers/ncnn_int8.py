"""Writes a net in ncnn's own int8 format: a .param of text and a .bin of weights.

ncnn's int8 is symmetric: it has no zero points, so a value that is never below 0 has 127 steps where the QDQ model
has 255. That is its design and makes its answers differ a little more than the others'. The input is float; the
first convolution rounds it. Convolutions that follow each other hand int8 on, as ncnn2int8 would have it; elsewhere
(pooling, additions, scores, box) ncnn computes in float.
"""

import struct

import numpy

import qdq

# What ncnn wants before weights that are int8, and before those that are float.
INT8_TAG, FLOAT_TAG = 0x000D4B38, 0
RELU, CLIP = 1, 3
ADD, SUB, MUL, DIV, MAX, MIN = range(6)
NEAREST = 1
EXPONENTIAL = 7
# Of Permute: the axes from the innermost on are channel, column, row.
CHANNELS_LAST = 3


def write(net, param, weights):
    writer = _Writer(net)
    for layer in net.layers:
        getattr(writer, "write_" + layer.kind.lower())(layer)
    param.write_text(writer.text())
    weights.write_bytes(b"".join(writer.data))


class _Writer:
    def __init__(self, net):
        self.net = net
        self.lines = []
        self.data = []
        self.blobs = 0
        # Where a value is read more than once, ncnn wants a copy for each reader.
        self.copies = {}
        self.layer("Input", net.input, [], net.input, {0: net.shapes[net.input][3], 1: net.shapes[net.input][2], 2: 3})

    def text(self):
        return f"7767517\n{len(self.lines)} {self.blobs}\n" + "\n".join(self.lines) + "\n"

    # Lines

    def layer(self, kind, name, inputs, output, parameters):
        """A line of the .param and, for a value with many readers, the line that copies it."""
        read = [self.copies[value].pop() if value in self.copies else value for value in inputs]
        written = next((shown for shown, value in self.net.outputs.items() if value == output), output)
        self.line(kind, name, read, [written], parameters)
        readers = sum(layer.inputs.count(output) for layer in self.net.layers)
        if readers > 1:
            copies = [f"{output}.{number}" for number in range(readers)]
            self.line("Split", output + ".split", [written], copies, {})
            self.copies[output] = copies

    def line(self, kind, name, inputs, outputs, parameters):
        settings = [f"{key}={value}" for key, value in parameters.items()]
        fields = [kind, name, len(inputs), len(outputs), *inputs, *outputs, *settings]
        self.lines.append(" ".join(str(field) for field in fields))
        self.blobs += len(outputs)

    def floats(self, array):
        self.data.append(numpy.ascontiguousarray(array, numpy.float32).tobytes())

    def parameters(self, layer, top):
        """Weights, bias and scales of an int8 layer. ncnn's scales multiply, ONNX' divide."""
        integers = numpy.maximum(layer.weights.integers, -127).tobytes()
        self.data.append(struct.pack("<I", INT8_TAG) + integers + bytes(-len(integers) % 4))
        self.floats(layer.bias)
        self.floats(1 / layer.weights.scales)
        self.floats([1 / self.net.rounding[layer.inputs[0]].symmetric_scale])
        if top:
            self.floats([1 / self.net.rounding[layer.output].symmetric_scale])

    # Layers

    def write_conv(self, layer):
        integers = layer.weights.integers
        if layer.inputs[0] not in self.net.rounding:
            layer.refuse("its input is not rounded")
        groups, (outputs, depth, height, width) = layer.attributes.get("group", 1), integers.shape
        is_depthwise = depth == 1 and groups == outputs
        if groups != 1 and not is_depthwise:
            layer.refuse(f"{groups} groups are neither a convolution nor a depthwise one")
        top, left, bottom, right = layer.attributes.get("pads", [0] * 4)
        strides, dilations = layer.attributes["strides"], layer.attributes.get("dilations", [1, 1])
        hands_on = self.hands_on(layer)
        parameters = {
            0: outputs, 1: width, 11: height, 2: dilations[1], 12: dilations[0], 3: strides[1], 13: strides[0],
            4: left, 14: top, 15: right, 16: bottom, 5: 1, 6: integers.size,
            8: (1 if is_depthwise else 2) + (100 if hands_on else 0),
        }
        if is_depthwise:
            parameters[7] = groups
        clip = self.net.clip(layer)
        if clip:
            # Where the output is int8 the rounding cuts off the top, and ncnn has a faster path for a relu.
            parameters |= {9: RELU} if hands_on else {9: CLIP, -23310: f"2,{clip[0]},{clip[1]}"}
        self.parameters(layer, hands_on)
        kind = "ConvolutionDepthWise" if is_depthwise else "Convolution"
        self.layer(kind, layer.name, layer.inputs, layer.output, parameters)

    def hands_on(self, layer):
        """Whether all that read a convolution are convolutions."""
        users = self.net.users(layer.output)
        is_read_as_int8 = users and all(user.kind == "Conv" for user in users)
        return is_read_as_int8 and layer.output in self.net.rounding and layer.output not in self.net.outputs.values()

    def write_gemm(self, layer):
        if layer.inputs[0] not in self.net.rounding:
            layer.refuse("its input is not rounded")
        integers = layer.weights.integers
        self.parameters(layer, False)
        parameters = {0: integers.shape[0], 1: 1, 2: integers.size, 8: 2}
        clip = self.net.clip(layer)
        if clip:
            parameters |= {9: CLIP, -23310: f"2,{clip[0]},{clip[1]}"}
        self.layer("InnerProduct", layer.name, layer.inputs, layer.output, parameters)

    def write_globalaveragepool(self, layer):
        self.layer("Pooling", layer.name, layer.inputs, layer.output, {0: 1, 4: 1})

    def write_add(self, layer):
        self.pointwise(layer, ADD)

    def write_mul(self, layer):
        self.pointwise(layer, MUL)

    def write_sub(self, layer):
        self.pointwise(layer, SUB)

    def write_div(self, layer):
        self.pointwise(layer, DIV)

    def write_max(self, layer):
        self.pointwise(layer, MAX)

    def write_min(self, layer):
        self.pointwise(layer, MIN)

    def pointwise(self, layer, operation):
        number = layer.constants.get(1)
        if number is not None and number.size == 1:
            parameters = {0: operation, 1: 1, 2: number.item()}
            self.layer("BinaryOp", layer.name, layer.inputs, layer.output, parameters)
        else:
            self.layer("BinaryOp", layer.name, self.with_constants(layer), layer.output, {0: operation})

    def with_constants(self, layer):
        """All inputs of a layer, those that are floats in the model among them."""
        inputs = list(layer.inputs)
        for position, array in sorted(layer.constants.items()):
            if array.ndim != 3 or array.shape[0] != 1:
                layer.refuse(f"a constant of shape {array.shape} is not known")
            name = f"{layer.name}.{position}"
            self.line("MemoryData", name, [], [name], {0: array.shape[2], 1: array.shape[1]})
            self.floats(array)
            inputs.insert(position, name)
        return inputs

    def write_relu(self, layer):
        self.layer("ReLU", layer.name, layer.inputs, layer.output, {})

    def write_sigmoid(self, layer):
        self.layer("Sigmoid", layer.name, layer.inputs, layer.output, {})

    def write_exp(self, layer):
        self.layer("UnaryOp", layer.name, layer.inputs, layer.output, {0: EXPONENTIAL})

    def write_concat(self, layer):
        # ncnn has no batch axis.
        axis = layer.attributes["axis"] % len(self.net.shapes[layer.output]) - 1
        self.layer("Concat", layer.name, layer.inputs, layer.output, {0: axis})

    def write_transpose(self, layer):
        qdq.check_transpose(layer)
        self.layer("Permute", layer.name, layer.inputs, layer.output, {0: CHANNELS_LAST})

    def write_unsqueeze(self, layer):
        self.write_reshape(layer)

    def write_softmax(self, layer):
        axis = layer.attributes.get("axis", -1) % len(self.net.shapes[layer.output])
        # ncnn has no batch axis; 1=1 says that the axis is counted as it is today, not as in its first versions.
        self.layer("Softmax", layer.name, layer.inputs, layer.output, {0: axis - 1, 1: 1})

    def write_matmul(self, layer):
        self.layer("MatMul", layer.name, self.with_constants(layer), layer.output, {})

    def write_resize(self, layer):
        height, width = qdq.enlargement(layer)
        self.layer("Interp", layer.name, layer.inputs, layer.output, {0: NEAREST, 1: height, 2: width})

    def write_slice(self, layer):
        begin, size = qdq.slice_of(layer, self.net.shapes[layer.inputs[0]])
        if begin[0] != 0 or len(begin) == 4:
            layer.refuse("only slices of rows and columns are known")
        axes = range(len(begin) - 1)
        starts = ",".join(str(begin[axis + 1]) for axis in axes)
        ends = ",".join(str(begin[axis + 1] + size[axis + 1]) for axis in axes)
        count = len(axes)
        parameters = {
            -23309: f"{count},{starts}", -23310: f"{count},{ends}", -23311: ",".join(map(str, [count, *axes])),
        }
        self.layer("Crop", layer.name, layer.inputs, layer.output, parameters)

    def write_flatten(self, layer):
        self.write_reshape(layer)

    def write_reshape(self, layer):
        shape = self.net.shapes[layer.output][1:]
        if not 1 <= len(shape) <= 3:
            layer.refuse("only new shapes of two to four axes are known")
        self.layer("Reshape", layer.name, layer.inputs, layer.output, dict(enumerate(reversed(shape))))
