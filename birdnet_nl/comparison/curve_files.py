"""Files of a learning curve, `curve.json` and `curve.csv` in the folder of its sweep; the latest one of a species."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from birdnet_nl.comparison.curve_points import METRICS, LearningCurve, Point
from birdnet_nl.comparison.learning_curve import Estimate, Outcome, PowerLaw, sentence
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.value_types import read_json_table

CURVE_JSON, CURVE_CSV = "curve.json", "curve.csv"
COLUMNS = (
    "species", "trainer", "share", "training_recordings", "runs",
    *(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")),
)  # fmt: skip


def summary(curve: LearningCurve) -> str:
    """Return what the curve means for its species, in one sentence."""
    return sentence(curve.decisive, curve.total_per_training)


def write_curves(folder: Path, curves: Sequence[LearningCurve]) -> list[Path]:
    """Write the JSON and the CSV file, whole or not at all, and return their paths."""
    values = {"curves": [{**asdict(curve), "summary": summary(curve)} for curve in curves]}
    texts = {CURVE_JSON: json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"}
    texts[CURVE_CSV] = _table(curves)
    for name, text in texts.items():
        write_text_atomic(folder / name, text)
    return [folder / name for name in texts]


def _table(curves: Sequence[LearningCurve]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for curve in curves:
        for point in curve.points:
            numbers = [
                f"{number:.4f}" for name in METRICS for number in (point.values[name], *point.intervals[name])
            ]  # fmt: skip
            sizes = [f"{point.share:g}", f"{point.recordings:.1f}", point.runs]
            writer.writerow([curve.species, curve.parameter_set, *sizes, *numbers])
    return text.getvalue()


def read_curves(path: Path) -> list[LearningCurve]:
    """Read a `curve.json`; raises `DataError` where it is missing or damaged."""
    try:
        return [_curve(values) for values in read_json_table(path)["curves"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a learning curve ({error}); make it again with birdnet-nl curve") from None


def _curve(values: dict[str, Any]) -> LearningCurve:
    values = {name: value for name, value in values.items() if name != "summary"}
    points = tuple(
        Point(**{**point, "intervals": {name: tuple(ends) for name, ends in point["intervals"].items()}})
        for point in values["points"]
    )
    estimates = {name: _estimate(estimate) for name, estimate in values["estimates"].items()}
    if not points or set(estimates) < set(METRICS):
        raise ValueError("it has no points or no estimate")
    types, left_out = tuple(values["types"]), tuple(values["left_out"])
    return LearningCurve(**{**values, "points": points, "estimates": estimates, "types": types, "left_out": left_out})


def _estimate(values: dict[str, Any]) -> Estimate:
    changed = {
        "outcome": Outcome(values["outcome"]),
        "law": PowerLaw(**values["law"]) if values["law"] else None,
        "grid": tuple(tuple(row) for row in values["grid"]),
    }
    changed |= {name: tuple(values[name]) for name in ("limit", "needed_interval") if values[name] is not None}
    return Estimate(**{**values, **changed})


def latest_curves(logs: Path) -> dict[str, tuple[LearningCurve, Path]]:
    """Return the newest curve of each species (or pool) in the sweeps of `logs`, with its folder; by slug.

    Damaged files are passed over.
    """
    paths = [path for path in (logs / CURVE_JSON, *logs.glob(f"*/{CURVE_JSON}")) if path.is_file()]
    newest: dict[str, tuple[LearningCurve, Path]] = {}
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        try:
            curves = read_curves(path)
        except DataError:
            continue
        newest |= {curve.species: (curve, path.parent) for curve in curves}
    return newest
