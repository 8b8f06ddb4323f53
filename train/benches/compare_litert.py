#!/usr/bin/env python3
"""Compares an imported model with its .tflite file in LiteRT: the same pictures, the same pixels.

    compare_litert.py DETECTOR.tflite IMPORTED.onnx [--mean 127.5 --deviation 127.5] PICTURE...

The file must give box codes (y, x, height, width) and scores of all anchors, without TFLite_Detection_PostProcess. Prints the largest
difference of a box code, of a score before its sigmoid and of a score, for each picture. Needs ai-edge-litert, onnx, onnxruntime, pillow.
"""
import argparse, json
import numpy as np, onnx, onnxruntime
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

parser = argparse.ArgumentParser()
parser.add_argument("tflite")
parser.add_argument("imported")
parser.add_argument("--mean", type=float, default=127.5)
parser.add_argument("--deviation", type=float, default=127.5)
parser.add_argument("pictures", nargs="+")
arguments = parser.parse_args()

interpreter = Interpreter(arguments.tflite)
interpreter.allocate_tensors()
entry = interpreter.get_input_details()[0]
model = onnx.load(arguments.imported)
card = json.loads(next(p.value for p in model.metadata_props if p.key == "boxcam.card"))
inner = ["objects.boxes", "objects.scores"]
model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in inner)
session = onnxruntime.InferenceSession(model.SerializeToString())
width, height = card["input"]["width"], card["input"]["height"]
sigmoid = lambda x: 1 / (1 + np.exp(-x))

for path in arguments.pictures:
    pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height))).astype("f4")
    interpreter.set_tensor(entry["index"], ((pixels - arguments.mean) / arguments.deviation)[None])
    interpreter.invoke()
    outputs = [interpreter.get_tensor(output["index"])[0] for output in interpreter.get_output_details()]
    codes = next(output for output in outputs if output.shape[-1] == 4)
    logits = next(output for output in outputs if output.shape[-1] != 4)
    image = ((pixels - card["input"]["zero_point"]) * card["input"]["scale"]).transpose(2, 0, 1)[None]
    found_codes, found_logits = session.run(inner, {"image": image})
    # The background, and outputs without a name, are not in the imported model: its columns are found by their values.
    columns = [int(np.abs(logits - column[:, None]).max(0).argmin()) for column in found_logits[0].T]
    logits = logits[:, columns]
    print(
        f"{path}: box code {np.abs(found_codes[0] - codes[:, [1, 0, 3, 2]]).max():.7f}, logit {np.abs(found_logits[0] - logits).max():.7f}, "
        f"score {np.abs(sigmoid(found_logits[0]) - sigmoid(logits)).max():.7f}"
    )
