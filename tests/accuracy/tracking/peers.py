"""Tracks the detections of films with the trackers of the package `trackers`, with its defaults, and writes their tracks.

Input: {"threshold": confidence from which a track begins, "films": [...]}, each film {"rate": frames per second, "frames":
[[class, score, x_min, y_min, x_max, y_max]]}. Output: for each tracker a list of films, each a list of frames with [track, class, x_min, y_min, x_max, y_max].
"""

import json
import sys

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker, SORTTracker

# The trackers assume pixels in places.
SIDE = 1000.0

with open(sys.argv[1]) as file:
    given = json.load(file)
THRESHOLD, films = given["threshold"], given["films"]


def tracks(tracker, film, least, suppress=False):
    frames = []
    for frame in film["frames"]:
        rows = np.array([row for row in frame if row[1] >= least], dtype=float).reshape(-1, 6)
        detections = sv.Detections(
            xyxy=rows[:, 2:] * SIDE, confidence=rows[:, 1], class_id=rows[:, 0].astype(int)
        )
        if suppress:
            detections = detections.with_nms(threshold=0.6, class_agnostic=True)
        found = tracker.update(detections)
        numbers = [] if found.tracker_id is None else found.tracker_id
        frames.append(
            [
                [int(number), int(found.class_id[i]), *(found.xyxy[i] / SIDE).tolist()]
                for i, number in enumerate(numbers)
                if number >= 0
            ]
        )
    return frames


def sort(film, suppress=False):
    tracker = SORTTracker(frame_rate=film["rate"], track_activation_threshold=THRESHOLD)
    return tracks(tracker, film, THRESHOLD, suppress)


def byte_track(film):
    tracker = ByteTrackTracker(
        frame_rate=film["rate"],
        track_activation_threshold=THRESHOLD,
        high_conf_det_threshold=THRESHOLD,
    )
    return tracks(tracker, film, THRESHOLD / 2, suppress=True)


found = {
    "SORT": [sort(film) for film in films],
    "SORT after NMS across classes": [sort(film, suppress=True) for film in films],
    "ByteTrack after NMS across classes": [byte_track(film) for film in films],
}
with open(sys.argv[2], "w") as file:
    json.dump(found, file)
