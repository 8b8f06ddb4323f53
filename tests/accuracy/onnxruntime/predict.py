"""Runs a boxcam model without boxcam and without int8 kernels. Shape, layout and scaling come from the card in the
model's metadata.

usage: predict.py float|exact MODEL PIXELS PREDICTIONS
float: ONNX Runtime with all graph optimizations disabled, which computes each operator in float32 as the file says.
exact: the integer arithmetic of docs/int8.md, in numpy.
PIXELS: the images one after the other, each height * width * 3 bytes RGB, already of the model's size.
PREDICTIONS: output file; for each image its scores and then its four corners, in float32.
"""

import json
import sys

import numpy
import onnxruntime

import exact


def float_model(path):
    options = onnxruntime.SessionOptions()
    # Optimized, the graph has int8 kernels, of which those for AVX2 without VNNI saturate.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda tensor: session.run(["class_prediction", "bbox_prediction"], {name: tensor})


def card_of(path):
    model = exact.onnx.load(path)
    return json.loads(next(entry.value for entry in model.metadata_props if entry.key == "boxcam.card"))


mode, model, pixels, predictions = sys.argv[1:]
run = {"float": float_model, "exact": lambda path: exact.Model(path).run}[mode](model)
card = card_of(model)
spec = card["input"]
size = (spec["height"], spec["width"], 3)
images = numpy.fromfile(pixels, dtype=numpy.uint8).reshape((-1,) + size)
with open(predictions, "wb") as out:
    for image in images:
        tensor = (image.astype(numpy.float32) - spec["zero_point"]) * spec["scale"]
        if spec["layout"] == "nchw":
            tensor = tensor.transpose(2, 0, 1)
        tensor = numpy.ascontiguousarray(tensor[None], dtype=numpy.float32)
        scores, corners = run(tensor)
        assert scores.shape == (1, len(card["labels"])) and corners.shape == (1, 4)
        out.write(numpy.concatenate([scores[0], corners[0]]).astype(numpy.float32).tobytes())
