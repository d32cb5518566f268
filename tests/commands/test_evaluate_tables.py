"""Lines below the table of an evaluation: recordings seen in training come first, and nothing is fitted again."""

import copy

import pytest

from birdnet_nl.commands.evaluate_tables import describe_evaluation, describe_species

REPORT = {
    "types": ["song", "call"], "seconds": {"total": 5.2},
    "results": {"recording": {"count": 40, "counts": {"song": 30, "call": 10}}},
    "evaluated": {
        "species": {"koolmees": 25, "merel": 15},
        "seen": {"recordings": 7, "evaluated_anyway": False, "by_seen_recordists": 12, "by_unknown_recordists": 3},
    },
    "new_recordists": {"recording": {}, "segment": {}},
    "controls": {"majority": {"type": "song", "balanced_accuracy": 0.5}},
    "calibration": {"temperature": 1.4, "before": {"ece": 0.2}, "after": {"ece": 0.15}, "ece_by_chance": 0.1},
    "decision": {"pooling": "mean", "threshold": 0.6, "certain_share": 0.75, "accuracy_certain": 0.9},
}  # fmt: skip


@pytest.fixture
def report():
    return copy.deepcopy(REPORT)


def test_the_lines_below_the_table(report):
    assert describe_evaluation(report) == [
        "recordist seen in training or validation: 12 of 40, 3 by unknown recordists",
        "baseline without audio: always song 50%",
        "chance is 50%; \\[95 % intervals] over recordists; 5 s in total",
        "nothing fitted again: temperature 1.40 and pooling mean of the checkpoint; ECE 0.20 → 0.15 "
        "(perfect probabilities would give 0.10)",
        "uncertain (below 0.60, the threshold of the checkpoint): 25%, 90% of the rest correct",
    ]


def test_recordings_seen_in_training_come_first_and_in_red(report):
    report["evaluated"]["seen"]["evaluated_anyway"] = True
    first = describe_evaluation(report)[0]
    assert first.startswith("[bold red]TRAINED ON THESE: 7 of the 40 recordings")


def test_unknown_and_undefined_values_are_reported(report):
    report["evaluated"]["seen"] = {"absent": "without splits.csv in logs/x the training recordings are unknown"}
    report["controls"]["majority"] = {"absent": "unknown"}
    report["decision"] |= {"threshold": None}
    lines = describe_evaluation(report)
    assert "without splits.csv in logs/x" in lines[0] and lines[0].startswith("[bold red]")
    assert not any("baseline without audio" in line for line in lines)
    assert lines[-1] == "uncertain: all; the checkpoint has no threshold"
    without = copy.deepcopy(REPORT) | {"new_recordists": {"absent": "no call by new recordists"}}
    assert describe_evaluation(without)[0].endswith("; no metrics without them: no call by new recordists")


def test_few_recordings_and_many_species_are_short(report):
    report["results"]["recording"]["counts"]["call"] = 4
    assert "Few recordings (call 4)" in describe_evaluation(report)[-1]
    assert describe_species(report) == "koolmees 25, merel 15"
    report["evaluated"]["species"] = {f"soort_{number}": number for number in range(1, 8)}
    assert describe_species(report) == "7 species: soort_7 7, soort_6 6, soort_5 5, soort_4 4, soort_3 3, …"
