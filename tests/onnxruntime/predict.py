"""Runs a boxcam model in ONNX Runtime, from nothing but the model file: shape, layout and scaling come from
the card in its metadata.

usage: predict.py MODEL PIXELS PREDICTIONS
PIXELS: pictures one after the other, each height * width * 3 bytes RGB, already of the model's size.
PREDICTIONS: written, for each picture its scores and then its four corners, 32-bit floats.
"""

import json
import sys

import numpy
import onnxruntime

model, pixels, predictions = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["boxcam.card"])
spec = card["input"]
size = (spec["height"], spec["width"], 3)
pictures = numpy.fromfile(pixels, dtype=numpy.uint8).reshape((-1,) + size)
name = session.get_inputs()[0].name
with open(predictions, "wb") as out:
    for picture in pictures:
        tensor = (picture.astype(numpy.float32) - spec["zero_point"]) * spec["scale"]
        if spec["layout"] == "nchw":
            tensor = tensor.transpose(2, 0, 1)
        tensor = numpy.ascontiguousarray(tensor[None], dtype=numpy.float32)
        scores, corners = session.run(["class_prediction", "bbox_prediction"], {name: tensor})
        assert scores.shape == (1, len(card["labels"])) and corners.shape == (1, 4)
        out.write(numpy.concatenate([scores[0], corners[0]]).astype(numpy.float32).tobytes())
