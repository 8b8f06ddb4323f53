"""Pooled features of one drawn picture: by LiteRT in int8, and in floats from the dequantised weights.

usage: extractor.py WEIGHTS.tflite LITERT.bin FLOATS.bin
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

weights, litert, floats = sys.argv[1:]
y, x = np.mgrid[0:224, 0:224]


def channel(a, b, c):
    """A ramp with a disc and a bar on it."""
    value = (a * x + b * y) // 4 % 256
    value = np.where((x - 112) ** 2 + (y - 100) ** 2 < 60**2, 255 - value // 2, value)
    return np.where((abs(x - 60) < 12) & (y > 40), value // 4 + c, value)


picture = np.stack([channel(3, 1, 10), channel(1, 4, 40), channel(2, 2, 90)], -1).astype(np.uint8)
# The delegate would keep what is between two operators to itself.
plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
interpreter = Interpreter(weights, experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain)
interpreter.allocate_tensors()
entry = interpreter.get_input_details()[0]["index"]
interpreter.set_tensor(entry, picture[None])
interpreter.invoke()
operators = interpreter._get_ops_details()
details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}


def dequantised(index):
    scale, zero = details[index]["quantization"]
    return scale * (interpreter.get_tensor(index).astype(np.float64) - zero)


def shifted(map_, ky, kx, stride, kernel):
    """What one tap of a kernel sees, with TensorFlow's SAME padding."""
    size = map_.shape[0]
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    padded = np.pad(map_, ((total // 2, total - total // 2),) * 2 + ((0, 0),))
    return padded[ky : ky + out * stride : stride, kx : kx + out * stride : stride][:out, :out]


def convolved(operator, map_):
    """A convolution and its activation, min(max(x, 0), 6) where the 8 bits are ended by it."""
    _, kernel, bias = (dequantised(i) if n else None for n, i in enumerate(operator["inputs"]))
    taps = kernel.shape[1]
    before, after = (details[index]["shape"] for index in (operator["inputs"][0], operator["outputs"][0]))
    stride = before[1] // after[1]
    total = bias
    for ky in range(taps):
        for kx in range(taps):
            seen = shifted(map_, ky, kx, stride, taps)
            if operator["op_name"] == "CONV_2D":
                total = total + seen @ kernel[:, ky, kx].T
            else:
                total = total + seen * kernel[0, ky, kx]
    scale, zero = details[operator["outputs"][0]]["quantization"]
    return np.clip(total, 0, 6) if zero == 0 else total


maps = {entry: (picture.astype(np.float64) - 128) / 128}
for operator in operators:
    inputs, output = operator["inputs"], operator["outputs"][0]
    if operator["op_name"] == "ADD":
        map_ = maps[inputs[0]] + maps[inputs[1]]
    elif operator["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        map_ = convolved(operator, maps[inputs[0]])
    else:
        break
    maps[output] = map_
map_.mean((0, 1)).astype(np.float32).tofile(floats)
pooled = next(operator["outputs"][0] for operator in operators if operator["op_name"] == "AVERAGE_POOL_2D")
print("LiteRT's step", details[pooled]["quantization"][0])
interpreter.get_tensor(pooled).tofile(litert)
