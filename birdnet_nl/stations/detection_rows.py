"""Detections as rows of our database: what is stored comes back as it was."""

import json
import math
import re
import sqlite3
from dataclasses import replace
from datetime import datetime
from typing import Any

from birdnet_nl.stations.detection import StationDetection

# of a `StationDetection`
COLUMNS = (
    "key, recorded_at, scientific_name, common_name, confidence, clip, source, window_start_s, window_end_s, malformed"
)
ESCAPED_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")


def storable(text: str) -> str:
    r"""Return a text that SQLite can store: bytes of a file name that are no UTF-8 become `\udc…`."""
    return text.encode("utf-8", "backslashreplace").decode()


def original(text: str) -> str:
    """Return the text that `storable` was given."""
    return ESCAPED_BYTE.sub(lambda match: chr(0xDC00 + int(match[1], 16)), text) if "\\udc" in text else text


def cleaned(detection: StationDetection) -> StationDetection:
    """Return a detection with values that can be stored: finite numbers, times without a zone, a window or none."""
    confidence, window = detection.confidence, detection.window_s
    if window is not None and not (all(map(math.isfinite, window)) and window[0] < window[1]):
        window = None
    return replace(
        detection,
        recorded_at=detection.recorded_at.replace(tzinfo=None),
        confidence=float(confidence) if math.isfinite(confidence) else 0.0,
        window_s=window,
    )


def values_of(detection: StationDetection) -> tuple[Any, ...]:
    """Return the values of `COLUMNS`."""
    texts = (detection.scientific_name, detection.common_name, detection.clip, detection.source)
    scientific_name, common_name, clip, source = map(storable, texts)
    return (
        storable(detection.key),
        detection.recorded_at.isoformat(),
        scientific_name,
        common_name,
        detection.confidence,
        clip,
        source,
        *(detection.window_s or (None, None)),
        storable(detection.reason),
    )


def stored_detection(row: sqlite3.Row) -> StationDetection:
    """Return the detection of a row that has `COLUMNS`."""
    start_s, end_s = row["window_start_s"], row["window_end_s"]
    return StationDetection(
        key=original(row["key"]),
        recorded_at=datetime.fromisoformat(row["recorded_at"]),
        scientific_name=original(row["scientific_name"]),
        common_name=original(row["common_name"]),
        confidence=row["confidence"],
        clip=original(row["clip"]),
        source=original(row["source"]),
        window_s=None if start_s is None or end_s is None else (start_s, end_s),
        reason=original(row["malformed"]),
    )


def changeable(detection: StationDetection) -> str:
    """Return what may change of a detection that keeps its species, as JSON."""
    start_s, end_s = detection.window_s or (None, None)
    values = {
        "name": detection.common_name, "confidence": detection.confidence, "clip": detection.clip,
        "recorded_at": detection.recorded_at.isoformat(), "start_s": start_s, "end_s": end_s,
    }  # fmt: skip
    return json.dumps(values)
