"""Rows of tables: one for each segment, merged stretch or detection, and one for each recording."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.prediction.stored import StoredPrediction
from birdnet_nl.prediction.timestamps import RecordedAt
from birdnet_nl.recordings.type_set import THREE
from birdnet_nl.species.table import Species

KEEP, DROP, MARK = "keep", "drop", "mark"
LANGUAGES = ("en", "nl")
SILENT, UNCERTAIN = "silent", "uncertain"  # in place of a type
NO_AUDIO, NO_MODEL, NO_SPECIES, NOT_PREDICTED = "no audio", "no model", "unknown species", "not predicted"
DUTCH = {
    "song": "zang", "call": "roep", "alarm": "alarm", "flight_call": "vluchtroep", "begging": "bedelroep",
    "nocturnal_flight_call": "nachtelijke vluchtroep", "drumming": "roffel", "subsong": "subzang", "duet": "duet",
    "distress": "angstroep", SILENT: "stil", UNCERTAIN: "onzeker", NO_AUDIO: "geen geluid",
    NO_MODEL: "geen model", NO_SPECIES: "onbekende soort", NOT_PREDICTED: "niet voorspeld",
}  # fmt: skip


@dataclass(frozen=True)
class RowOptions:
    """Options that change the rows of a prediction, but not the prediction.

    Attributes:
        min_confidence: smallest probability of the predicted type; silent segments have none.
        merge: join consecutive segments of the same type.
        uncertain: `keep` uncertain rows as they are, `drop` them, or `mark` them with the type `uncertain`.
        top: number of rows with the highest probability that each recording keeps; None for all.
        language: of the types and of the common names, `en` or `nl`.
        types: of all models, in the order of the columns with their probabilities.
    """

    min_confidence: float = 0.0
    merge: bool = False
    uncertain: str = KEEP
    top: int | None = None
    language: str = "en"
    types: tuple[str, ...] = THREE.types

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"--min-confidence {self.min_confidence:g} is not between 0 and 1; give for example 0.6")
        if self.uncertain not in (KEEP, DROP, MARK):
            raise ValueError(f"--uncertain {self.uncertain} does not exist; choose keep, drop or mark")
        if self.top is not None and self.top < 1:
            raise ValueError(f"--top {self.top} keeps no row; give at least 1")
        if self.language not in LANGUAGES:
            raise ValueError(f"--language {self.language} does not exist; choose en or nl")

    def word(self, text: str) -> str:
        return DUTCH.get(text, text) if self.language == "nl" else text

    def common_name(self, species: Species) -> str:
        return species.dutch if self.language == "nl" else species.english


@dataclass(frozen=True, slots=True)
class Row:
    """Line of a table.

    Attributes:
        file: absolute path, or the text of a detection whose recording was not found.
        confidence: of a detection by another program, else `type_confidence`.
        vocalization_type: `song`, `call`, `alarm`, or why there is none; empty for a label that is not a bird.
        probabilities: by type; empty where nothing was predicted.
        uncertain: None where nothing was predicted.
    """

    file: Path | str
    start_s: float
    end_s: float
    species: Species | None
    vocalization_type: str
    type_confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    uncertain: bool | None = None
    model: str = ""
    confidence: float | None = None
    recorded_at: RecordedAt | None = None
    high_frequency_hz: float = 15_000.0
    label: tuple[str, str] = ("", "")  # scientific and common name of a detection of another species


def segment_rows(
    path: Path,
    species: Species | None,
    stored: StoredPrediction,
    model: str,
    options: RowOptions,
    started: RecordedAt | None = None,
) -> list[Row]:
    """Return the rows of a file in the order of time."""
    prediction, segment_s, high_hz = stored.prediction, stored.model.segment_s, stored.model.sample_rate_hz / 2
    ends_s = np.minimum(prediction.starts_s + segment_s, np.maximum(prediction.duration_s, prediction.starts_s))
    rows: list[tuple[int, Row]] = []
    for index, (start_s, end_s) in enumerate(zip(prediction.starts_s.tolist(), ends_s.tolist(), strict=True)):
        predicted = {"vocalization_type": SILENT}
        if not prediction.silent[index]:
            predicted = _predicted(prediction.probabilities[index], stored, options)
            predicted["confidence"] = predicted["type_confidence"]
        row = Row(
            path, start_s, end_s, species, model=model, recorded_at=started, high_frequency_hz=high_hz, **predicted
        )
        if _is_kept(row, options):
            rows.append((index, row))
    kept = merge_rows(rows) if options.merge else [row for _, row in rows]
    return kept if options.top is None else top_rows(kept, options.top)


def recording_row(
    path: Path, species: Species | None, stored: StoredPrediction, model: str, options: RowOptions
) -> Row:
    """Return the row of the whole recording, of which nothing is filtered."""
    prediction = stored.prediction
    row = Row(path, 0.0, prediction.duration_s, species, SILENT, model=model, recorded_at=None)
    if prediction.silent.all():
        return row
    return with_prediction(row, prediction.recording, stored, options)


def with_prediction(row: Row, probabilities: np.ndarray, stored: StoredPrediction, options: RowOptions) -> Row:
    """Return the row with a prediction, [types]."""
    predicted = _predicted(probabilities, stored, options)
    confidence = predicted["type_confidence"] if row.confidence is None else row.confidence
    return replace(row, confidence=confidence, **predicted)


def _predicted(probabilities: np.ndarray, stored: StoredPrediction, options: RowOptions) -> dict[str, Any]:
    """Return the values of a row that depend on its prediction."""
    types, threshold, values = stored.model.types, stored.model.threshold, probabilities.tolist()
    confidence = max(values)
    uncertain = threshold is None or confidence < threshold
    is_marked = uncertain and options.uncertain == MARK
    return {
        "vocalization_type": UNCERTAIN if is_marked else types[values.index(confidence)],
        "type_confidence": confidence,
        "probabilities": dict(zip(types, values, strict=True)),
        "uncertain": uncertain,
    }


def _is_kept(row: Row, options: RowOptions) -> bool:
    if row.uncertain and options.uncertain == DROP:
        return False
    return (row.type_confidence or 0.0) >= options.min_confidence


def merge_rows(rows: Iterable[tuple[int, Row]]) -> list[Row]:
    """Join rows of consecutive segment numbers with the same type; probabilities are averaged."""
    groups: list[list[tuple[int, Row]]] = []
    for index, row in rows:
        last = groups[-1][-1] if groups else None
        same = last and (last[1].vocalization_type, last[1].uncertain) == (row.vocalization_type, row.uncertain)
        if same and last[0] + 1 == index:
            groups[-1].append((index, row))
        else:
            groups.append([(index, row)])
    return [_joined([row for _, row in group]) for group in groups]


def _joined(rows: Sequence[Row]) -> Row:
    first = rows[0]
    if len(rows) == 1:
        return first
    end_s = max(row.end_s for row in rows)
    if first.type_confidence is None:
        return replace(first, end_s=end_s)
    means = {name: float(np.mean([row.probabilities[name] for row in rows])) for name in first.probabilities}
    confidence = float(np.mean([row.type_confidence for row in rows]))
    return replace(first, end_s=end_s, type_confidence=confidence, probabilities=means, confidence=confidence)


def top_rows(rows: Sequence[Row], count: int) -> list[Row]:
    """Return the `count` rows with the highest probability, in the order of time."""
    order = sorted(range(len(rows)), key=lambda index: -(rows[index].type_confidence or 0.0))
    return [rows[index] for index in sorted(order[:count])]


def window_row(row: Row, start_s: float | None, end_s: float | None, stored: StoredPrediction, options: RowOptions):
    """Return a detection's row with the mean prediction of the segments it overlaps, weighted by the overlap.

    Without start and end the middle segment length of the recording counts, where stations put the detection in a
    clip. A window outside of the recording is `no audio`.
    """
    prediction, segment_s = stored.prediction, stored.model.segment_s
    if start_s is None or end_s is None:
        start_s = max(0.0, (prediction.duration_s - segment_s) / 2)
        end_s = min(start_s + segment_s, prediction.duration_s)
        row = replace(row, start_s=start_s, end_s=end_s)
    first = int(np.searchsorted(prediction.starts_s, start_s - segment_s))  # only segments first to last can overlap
    last = int(np.searchsorted(prediction.starts_s, end_s, side="right"))
    starts = prediction.starts_s[first:last]
    ends = np.minimum(starts + segment_s, np.maximum(prediction.duration_s, starts))
    weights = np.minimum(ends, end_s) - np.maximum(starts, start_s)
    if end_s <= start_s:
        weights = ((starts <= start_s) & (start_s < ends)).astype(float)
    weights = weights.clip(min=0)
    if not weights.any() and prediction.starts_s[-1] <= start_s < prediction.duration_s:  # after the last segment
        first, last, weights = len(prediction.starts_s) - 1, len(prediction.starts_s), np.ones(1)
    if not weights.any():
        return replace(row, vocalization_type=NO_AUDIO, model="")
    weights = weights * ~prediction.silent[first:last]
    if not weights.any():
        return replace(row, vocalization_type=SILENT)
    mean = weights @ prediction.probabilities[first:last] / weights.sum()
    return with_prediction(row, mean, stored, options)
