"""Writes what the workers read beside the models: the card of a model, and one picture of its size.

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
# What is on it doesn't matter: no engine skips work for what it sees.
picture = numpy.stack([columns, rows, columns ^ rows], axis=-1)
picture.astype(numpy.uint8).tofile(folder / "pictures.u8")
