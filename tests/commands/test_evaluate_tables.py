"""What the screen says of an evaluation: what was met before comes first, and nothing is said to be fitted."""

import copy

import pytest

from birdnet_nl.commands.evaluate_tables import describe_evaluation, describe_species

REPORT = {
    "types": ["song", "call"], "seconds": {"total": 5.2},
    "results": {"recording": {"count": 40, "counts": {"song": 30, "call": 10}}},
    "evaluated": {
        "species": {"koolmees": 25, "merel": 15},
        "known": {
            "recordings": 7, "judged_all_the_same": False, "by_known_recordists": 12, "by_unknown_recordists": 3,
        },
    },
    "new_recordists": {"recording": {}, "segment": {}},
    "controls": {"majority": {"type": "song", "balanced_accuracy": 0.5}},
    "calibration": {"temperature": 1.4, "before": {"ece": 0.2}, "after": {"ece": 0.15}, "ece_by_chance": 0.1},
    "decision": {"pooling": "mean", "threshold": 0.6, "answered": 0.75, "accuracy_answered": 0.9},
}  # fmt: skip


@pytest.fixture
def report():
    return copy.deepcopy(REPORT)


def test_the_lines_below_the_table(report):
    assert describe_evaluation(report) == [
        "recordist met in training or validation: 12 of 40, 3 by nobody named",
        "without listening: always song 50%",
        "chance is 50%; \\[95 % intervals] over recordists; 5 s in all",
        "nothing fitted anew: the checkpoint's temperature 1.40 and pooling mean; ECE 0.20 → 0.15 "
        "(perfect probabilities would show 0.10)",
        "onzeker (below 0.60, the checkpoint's threshold): 25%, 90% of the rest right",
    ]


def test_what_was_trained_on_is_told_first_and_in_red(report):
    report["evaluated"]["known"]["judged_all_the_same"] = True
    first = describe_evaluation(report)[0]
    assert first.startswith("[bold red]TRAINED ON THESE: 7 of the 40 recordings")


def test_what_is_not_known_or_cannot_be_given_is_told(report):
    report["evaluated"]["known"] = {"absent": "no splits.csv in logs/x tells what the network was trained on"}
    report["controls"]["majority"] = {"absent": "not known"}
    report["decision"] |= {"threshold": None}
    lines = describe_evaluation(report)
    assert "no splits.csv in logs/x" in lines[0] and lines[0].startswith("[bold red]")
    assert not any("without listening" in line for line in lines)
    assert lines[-1] == "onzeker: all; the checkpoint has no threshold"
    without = copy.deepcopy(REPORT) | {"new_recordists": {"absent": "no call by recordists that were not met"}}
    assert "no figures without them: no call by recordists" in describe_evaluation(without)[0]


def test_few_recordings_and_many_species_are_told_shortly(report):
    report["results"]["recording"]["counts"]["call"] = 4
    assert "Few recordings (call 4)" in describe_evaluation(report)[-1]
    assert describe_species(report) == "koolmees 25, merel 15"
    report["evaluated"]["species"] = {f"soort_{number}": number for number in range(1, 8)}
    assert describe_species(report) == "7 species: soort_7 7, soort_6 6, soort_5 5, soort_4 4, soort_3 3, …"
