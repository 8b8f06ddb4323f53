"""Prints the figures of TrackEval for films, as one JSON object.

Input: a list of films, each a list of frames {"truth": [[track, x_min, x_max, y_min, y_max]], "found": ...}.
"""

import contextlib
import io
import json
import sys

import numpy as np
from trackeval.metrics import CLEAR, Identity


def overlap(a, b):
    width = min(a[1], b[1]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[2], b[2])
    shared = max(width, 0) * max(height, 0)
    area = lambda box: (box[1] - box[0]) * (box[3] - box[2])
    return shared / (area(a) + area(b) - shared)


def sequence(frames):
    """A film in the form of TrackEval, whose tracks are numbered from 0."""
    data = {"num_timesteps": len(frames), "similarity_scores": []}
    for theirs, ours in ("gt", "truth"), ("tracker", "found"):
        tracks = sorted({row[0] for frame in frames for row in frame[ours]})
        index = {track: number for number, track in enumerate(tracks)}
        data[f"{theirs}_ids"] = [
            np.array([index[row[0]] for row in frame[ours]], dtype=int) for frame in frames
        ]
        data[f"num_{theirs}_ids"] = len(tracks)
        data[f"num_{theirs}_dets"] = sum(len(frame[ours]) for frame in frames)
    for frame in frames:
        rows = [[overlap(t[1:], f[1:]) for f in frame["found"]] for t in frame["truth"]]
        shape = len(frame["truth"]), len(frame["found"])
        data["similarity_scores"].append(np.array(rows, dtype=float).reshape(shape))
    return data


with open(sys.argv[1]) as file:
    films = {str(number): sequence(frames) for number, frames in enumerate(json.load(file))}
figures = {}
with contextlib.redirect_stdout(io.StringIO()):
    for metric in Identity(), CLEAR():
        results = {name: metric.eval_sequence(film) for name, film in films.items()}
        figures |= metric.combine_sequences(results)
names = {"idf1": "IDF1", "id_precision": "IDP", "id_recall": "IDR", "mota": "MOTA", "identity_switches": "IDSW"}
print(json.dumps({ours: float(figures[theirs]) for ours, theirs in names.items()}))
