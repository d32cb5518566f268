"""Types of the values in `metrics.json` that a comparison, a status or a promotion uses."""

from collections.abc import Mapping
from typing import Any

from birdnet_nl.util.value_types import NUMBER, EachValue, wrong_value

COUNTS = EachValue(EachValue(int))  # by split and type
SCORES = {
    "count": int,
    "counts": EachValue(int),
    "confusion": [[int]],
    "intervals": EachValue([NUMBER]),
    "recall": EachValue(NUMBER),
    "precision": EachValue(NUMBER),
    **dict.fromkeys(("balanced_accuracy", "macro_f1", "accuracy", "auroc", "average_precision"), NUMBER),
}
CALIBRATION_METRICS = EachValue(NUMBER)
REPORT = {
    "species": dict.fromkeys(("slug", "dutch", "english", "scientific"), str),
    "parameter_set": str,
    "seed": int,
    "synthetic": bool,
    "types": [str],
    "pool": [str],
    "folds": int,
    "fold": int,
    "split_by": str,
    "shuffled_types": bool,
    "data_fingerprint": str,
    "test_fingerprint": str,
    "epochs": int,
    "best_epoch": int,
    "history": [EachValue(NUMBER)],
    "validation": EachValue(NUMBER),
    "results": {"recording": SCORES, "segment": SCORES},
    "counts": {"recordings": COUNTS, "segments": COUNTS},
    "calibration": {"before": CALIBRATION_METRICS, "after": CALIBRATION_METRICS, "temperature": NUMBER, "bins": list},
    "controls": EachValue({"balanced_accuracy": NUMBER, "accuracy": NUMBER, "auroc": NUMBER}),
    "decision": {"coverage": list, "threshold": NUMBER},
    "seconds": EachValue(NUMBER),
    "peak_memory_mb": NUMBER,
    "weights": NUMBER,
    "parameters": dict,
    "engine": dict,
    "machine": EachValue((str, int, float)),
    "versions": EachValue(str),
    "left_out": dict,
    "git_commit": str,
    "birdnet_nl": str,
}


def damage_of(report: Mapping[str, Any]) -> str:
    """Return what is wrong with the content of a `metrics.json`; empty where it is the report of a run."""
    if not isinstance(report.get("results"), dict) or not isinstance(report["results"].get("recording"), dict):
        return "it holds no results per recording"
    wrong = wrong_value(report, REPORT)
    return f"the value of {wrong} is of another kind" if wrong else ""
