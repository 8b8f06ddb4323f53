"""Prints the figures of pycocotools for a file of ground truth and one of results, as one JSON object."""

import contextlib
import io
import json
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(sys.argv[1])
    evaluation = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()

precision = evaluation.eval["precision"]  # [IoU, recall, class, area, detections]
recall = evaluation.eval["recall"]  # [IoU, class, area, detections]


def mean(values):
    """None for nothing, which pycocotools marks with -1."""
    values = values[values > -1]
    return float(np.mean(values)) if values.size else None


areas = range(1, 4)
print(
    json.dumps(
        {
            "ap50": mean(precision[0, :, :, 0, 2]),
            "ap": mean(precision[:, :, :, 0, 2]),
            "recall": [mean(recall[:, :, 0, most]) for most in range(3)],
            "area_ap50": [mean(precision[0, :, :, area, 2]) for area in areas],
            "area_ap": [mean(precision[:, :, :, area, 2]) for area in areas],
            "area_recall": [mean(recall[:, :, area, 2]) for area in areas],
            "class_ap50": [mean(precision[0, :, k, 0, 2]) for k in range(precision.shape[2])],
            "class_ap": [mean(precision[:, :, k, 0, 2]) for k in range(precision.shape[2])],
            "class_recall": [mean(recall[:, k, 0, 2]) for k in range(recall.shape[1])],
        }
    )
)
