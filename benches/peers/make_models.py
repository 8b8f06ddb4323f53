"""Makes the models of the other engines from one QDQ model: the same weights in four more formats.

usage: make_models.py MODEL.onnx FOLDER
Writes uint8.onnx (the same model with unsigned activations), float.onnx (weights dequantised, nothing rounded),
int8.tflite, int8.param and int8.bin (ncnn). Where what writes a format isn't installed, that format is missing and
the rest is there.
"""

import sys
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

import ncnn_int8
import qdq


def write_uint8(source, path):
    """The same model with every activation 128 higher: the same numbers, in the type that ONNX Runtime is fastest with
    on x86.
    """
    model = onnx.load(source)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    zero_points = {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors and node.input[2] in zero_points:
            raise qdq.Unsupported(f'node "{node.name}": weights and activations share a zero point')
    for name in zero_points:
        array = numpy_helper.to_array(tensors[name]).astype(numpy.int16) + 128
        tensors[name].CopyFrom(numpy_helper.from_array(array.astype(numpy.uint8), name))
    # What was said of the types of values is no longer so.
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def write_float(net, path):
    """The same network without rounding; where rounding did the work of a relu6, a Clip does it again."""
    nodes, constants = [], []

    def constant(name, array):
        if array is None:
            return ""
        constants.append(numpy_helper.from_array(numpy.asarray(array, order="C"), name))
        return name

    for layer in net.layers:
        values = iter(layer.inputs)
        arrays = dict(layer.constants)
        if layer.weights is not None:
            arrays[1] = layer.weights.floats()
        if layer.bias is not None:
            arrays[2] = layer.bias
        count = len(layer.inputs) + len(arrays)
        inputs = [constant(f"{layer.name}.{i}", arrays[i]) if i in arrays else next(values) for i in range(count)]
        clip = net.clip(layer)
        computed = layer.output + ".unclipped" if clip else layer.output
        nodes.append(helper.make_node(layer.kind, inputs, [computed], layer.name, **layer.attributes))
        if clip:
            bounds = [constant(f"{layer.name}.clip.{i}", numpy.float32(bound)) for i, bound in enumerate(clip)]
            nodes.append(helper.make_node("Clip", [computed, *bounds], [layer.output], layer.name + ".clip"))
    for name, value in net.outputs.items():
        if name != value:
            nodes.append(helper.make_node("Identity", [value], [name], name))

    def typed(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, net.shapes[name])

    graph = helper.make_graph(nodes, "float", [typed(net.input)], [typed(name) for name in net.outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", net.opset)], ir_version=8)
    helper.set_model_props(model, net.metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main():
    model, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    net = qdq.read(model)
    write_uint8(model, folder / "uint8.onnx")
    write_float(net, folder / "float.onnx")
    ncnn_int8.write(net, folder / "int8.param", folder / "int8.bin")
    try:
        import tflite_int8
    except ImportError as error:
        print(f"no int8.tflite: {error}", file=sys.stderr)
        return
    tflite_int8.write(net, folder / "int8.tflite")


if __name__ == "__main__":
    try:
        main()
    except qdq.Unsupported as error:
        sys.exit(f"{sys.argv[1]}: {error}")
