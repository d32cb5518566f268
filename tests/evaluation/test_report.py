"""Screen summary of a finished run: metrics with intervals, a dash for undefined ones, and warnings."""

import io

import pytest
from rich.console import Console

from birdnet_nl.evaluation import report as report_module
from birdnet_nl.evaluation.report import (
    describe_calibration,
    describe_controls,
    describe_decision,
    leak_mark,
    print_result,
)

SCORES = {
    "balanced_accuracy": 0.694, "macro_f1": 0.68, "accuracy": 0.7, "auroc": 0.873, "average_precision": 0.8,
    "recall": {"song": 0.67, "alarm": 0.5}, "precision": {"song": 1.0, "alarm": None},
    "confusion": [[8, 4], [6, 6]], "count": 24, "counts": {"song": 12, "alarm": 12},
    "absent": {"precision/alarm": "alarm was never predicted"},
    "intervals": {
        "balanced_accuracy": [0.541, 0.812], "macro_f1": [0.5, 0.8], "auroc": [0.75, 0.94], "recall/song": [0.4, 0.9],
        "recall/alarm": [0.2, 0.8], "precision/song": [0.7, 1.0],
    },
}  # fmt: skip
REPORT = {
    "species": {"dutch": "Koolmees", "scientific": "Parus major"}, "parameter_set": "fast", "seed": 1,
    "types": ["song", "alarm"], "synthetic": False, "split_by": "recording", "best_epoch": 16, "epochs": 22,
    "seconds": {"total": 205.0}, "results": {"recording": SCORES, "segment": {**SCORES, "count": 300}},
    "calibration": {
        "temperature": 1.8, "fitted_on": 24, "before": {"ece": 0.31}, "after": {"ece": 0.12}, "ece_by_chance": 0.11,
    },
    "decision": {"threshold": 0.62, "target_accuracy": 0.8, "certain_share": 0.75, "accuracy_certain": 0.83},
    "controls": {
        "majority": {"type": "song", "balanced_accuracy": 0.5},
        "metadata": {
            "balanced_accuracy": 0.58, "intervals": {"balanced_accuracy": [0.41, 0.74]},
            "columns": ["month", "duration_s"],
        },
    },
}  # fmt: skip


@pytest.fixture
def printed(monkeypatch, tmp_path):
    def show(**changes) -> str:
        text = io.StringIO()
        monkeypatch.setattr(report_module, "screen", Console(file=text, width=100, highlight=False))
        print_result(REPORT | changes, tmp_path)
        return text.getvalue()

    return show


def test_the_table_shows_metrics_with_intervals(printed):
    text = printed()
    for piece in ("per recording (24)", "per segment (300)", "69.4% [54–81]", "0.873 [0.75–0.94]", "50% [20–80]"):
        assert piece in text
    assert next(line for line in text.splitlines() if "precision alarm" in line).count("–") == 2
    assert "chance is 50%" in text and "Few test" not in text


def test_few_test_recordings_give_a_warning(printed):
    few = {"recording": SCORES | {"counts": {"song": 12, "alarm": 3}}, "segment": SCORES}
    assert "Few test recordings (alarm 3)" in printed(results=few)


def test_a_leak_gives_a_warning(printed):
    assert "LEAK" in printed(split_by="segment") and "LEAK" not in printed()
    assert (leak_mark(REPORT), leak_mark({"split_by": "segment"})) == ("", " · LEAK")


def test_controls_are_described_on_one_line():
    line = describe_controls(REPORT["controls"])
    assert line == (
        "baselines without audio: always song 50%; metadata only (month, duration) 58% \\[41–74] (balanced accuracy)"
    )
    absent = {**REPORT["controls"], "metadata": {"absent": "nothing is known"}}
    assert describe_controls(absent).endswith("metadata only: nothing is known")


def test_calibration_and_decision_are_described_with_the_reason_for_none():
    assert "1.80: ECE 0.31 → 0.12" in describe_calibration(REPORT)
    unfitted = REPORT["calibration"] | {"temperature": 1.0, "fitted_on": 0}
    assert "too few validation recordings" in describe_calibration({"calibration": unfitted})
    assert (
        describe_decision(REPORT)
        == "uncertain (below 0.62, where validation reached 80%): 25%, 83% of the rest correct"
    )
    choice = {"recordings": 210, "certain_share": 0.25, "accuracy": 0.7, "reached": True, "curve": []}
    assert "where 210 other recordings reached 80%" in describe_decision(REPORT | {"threshold_choice": choice})
    out_of_reach = describe_decision(REPORT | {"threshold_choice": choice | {"reached": False}})
    assert "80% was out of reach on 210 other recordings: there the most certain 25% were 70% correct" in out_of_reach
    too_few = choice | {"recordings": 0, "reached": False, "certain_share": None, "accuracy": None}
    assert "too few validation recordings" in describe_decision(REPORT | {"threshold_choice": too_few})
    none = REPORT["decision"] | {"threshold": None, "accuracy_certain": None, "certain_share": 0.0}
    assert describe_decision({"decision": none}).startswith("uncertain: all;")
    nothing_certain = REPORT["decision"] | {"accuracy_certain": None, "certain_share": 0.0}
    assert describe_decision({"decision": nothing_certain}).endswith("100%")
