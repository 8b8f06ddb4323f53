"""Writes the workers' inputs beside the models: the card of a model, and one image of its size.

usage: prepare.py MODEL.onnx FOLDER
"""

import json
import sys
from pathlib import Path

import numpy
import onnx

model, folder = onnx.load(sys.argv[1]), Path(sys.argv[2])
card = next(entry.value for entry in model.metadata_props if entry.key == "boxcam.card")
(folder / "card.json").write_text(card)
spec = json.loads(card)["input"]
rows, columns = numpy.mgrid[: spec["height"], : spec["width"]]
# The content does not matter: no engine's work depends on it.
image = numpy.stack([columns, rows, columns ^ rows], axis=-1)
image.astype(numpy.uint8).tofile(folder / "images.u8")
