"""Evaluation: calibrated on validation recordings only, with intervals over recordists."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from birdnet_nl.evaluation.evaluate import calibrate_and_evaluate, recordist_indices
from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.recordings.recording import Recording

TYPES = ["song", "call", "alarm"]


def random_predictions(
    recordings: int, seed: int, types: int = 3, sharpness: float = 3.0, segments: int = 4
) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.arange(recordings) % types
    logits = torch.randn(recordings, segments, types, generator=generator)
    logits += torch.randn(recordings, 1, types, generator=generator)
    logits += 1.2 * torch.nn.functional.one_hot(truth, types)[:, None]
    index = torch.arange(recordings).repeat_interleave(segments)
    probabilities = (logits * sharpness).flatten(0, 1).softmax(dim=1)
    return Predictions(probabilities, truth[index], index, [f"XC{number}" for number in range(recordings)])


def make_recordings(recordings: int, recordists: int, types: int = 3) -> list[Recording]:
    return [
        Recording(
            f"XC{n}", Path(f"XC{n}.mp3"), "merel", TYPES[n % types], "", f"R{n % recordists}" if recordists else ""
        )
        for n in range(recordings)
    ]


@pytest.mark.parametrize("types", [2, 3])
def test_the_parts_of_the_report_are_consistent(types):
    test = random_predictions(40, 2, types)
    evaluation = calibrate_and_evaluate(
        random_predictions(60, 1, types), test, make_recordings(40, 15, types), TYPES[:types], 0.8
    )
    report = evaluation.report
    results, calibration, decision = report["results"], report["calibration"], report["decision"]
    assert results["recording"]["count"] == 40 and results["segment"]["count"] == 160
    assert calibration["fitted_on"] == 60 and calibration["temperature"] > 1.15  # the logits were too large
    assert calibration["after"]["log_loss"] < calibration["before"]["log_loss"]
    assert decision["coverage"][0]["accuracy"] == pytest.approx(results["recording"]["accuracy"])
    certain = evaluation.probabilities.amax(dim=1) >= decision["threshold"]
    assert decision["certain_share"] == pytest.approx(float(certain.float().mean()))


def test_the_test_split_does_not_influence_calibration():
    validation, test = random_predictions(60, 1), random_predictions(40, 2)
    worse = dataclasses.replace(test, probabilities=test.probabilities.roll(1, dims=1))
    first, second = (
        calibrate_and_evaluate(validation, split, make_recordings(40, 15), TYPES, 0.8) for split in (test, worse)
    )
    assert first.calibration == second.calibration and first.threshold == second.threshold
    assert first.report["results"]["recording"]["accuracy"] > 0.5 > second.report["results"]["recording"]["accuracy"]


def test_few_recordings_are_evaluated_without_calibration():
    evaluation = calibrate_and_evaluate(
        random_predictions(6, 1), random_predictions(6, 2), make_recordings(6, 0), TYPES, 0.8
    )
    assert evaluation.report["calibration"]["temperature"] == 1.0 and evaluation.threshold == 0.8
    assert evaluation.report["threshold_choice"]["recordings"] == 0
    low, high = evaluation.report["results"]["recording"]["intervals"]["recall/song"]
    assert high - low > 0.6


def test_segments_are_resampled_with_their_recordist():
    validation, test = random_predictions(60, 1), random_predictions(40, 2, segments=12)
    interval = calibrate_and_evaluate(validation, test, make_recordings(40, 0), TYPES, 0.8).report["results"][
        "segment"
    ]["intervals"]["accuracy"]
    independent = np.sqrt(0.25 / test.probabilities.shape[0]) * 1.96 * 2  # the widest interval of independent segments
    assert interval[1] - interval[0] > 1.3 * independent


def test_recordists_are_grouped_as_in_the_splits():
    names = ["Anna", "anna ", "", "", "Bert"]
    recordings = [Recording(f"XC{n}", Path("x"), "merel", "song", "", name) for n, name in enumerate(names)]
    index = recordist_indices(recordings)
    assert index[0] == index[1] and len(set(index.tolist())) == 4 and set(index.tolist()) == {0, 1, 2, 3}
