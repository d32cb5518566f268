"""A claim is confirmed or refuted only when the whole interval is on one side of its limit."""

import pytest

from birdnet_nl.comparison.compare import compare_runs
from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.comparison.pairing import Kind
from birdnet_nl.comparison.speed import Speed
from birdnet_nl.comparison.statistics import Estimate, Overall, SignedRank
from birdnet_nl.comparison.verdicts import verdicts

KIND = Kind(False, "recording", False, False, 0, ())


def speed_of(value, low=None, high=None, absent=""):
    times = Estimate(value, low, high, absent)
    return Speed(14, 14, times, times, times, times, {}, 0)


def verdicts_of(speed=None, difference=None, species=14, seeds=1, these=None, kind=KIND, name="fast"):
    speed = speed or speed_of(2.0, 1.8, 2.2)
    difference = difference or Estimate(0.0, -0.01, 0.01)
    overall = Overall(difference, these or difference, SignedRank(0.5, difference, species))
    return verdicts(name, "legacy", kind, overall, species, seeds, speed, speed)


@pytest.mark.parametrize(
    ("times", "answer", "words"),
    [
        ((2.0, 1.7, 2.2), "confirmed", "50% less time (41% to 55% less): 2.00 (1.70–2.20) times as fast"),
        ((1.3, 1.2, 1.35), "refuted", "23% less time (17% to 26% less)"),
        ((1.5, 1.45, 1.6), "refuted", "interpreted as 1.4 times as fast, the claim is confirmed"),
        ((0.8, 0.7, 0.9), "refuted", "25% more time (11% to 43% more)"),
        ((1.6, 0.9, 2.5), "not decided by these data", "38% less time (11% more to 60% less)"),
    ],
)
def test_the_verdict_on_speed(times, answer, words):
    verdict = verdicts_of(speed_of(*times))[0]
    assert verdict.answer == answer and words in verdict.sentence


def test_one_pair_of_runs_does_not_decide():
    verdict = verdicts_of(speed_of(3.0, absent="fewer than 3 pairs of runs"))[0]
    assert verdict.answer == "not decided by these data" and "fewer than 3 pairs of runs" in verdict.sentence


@pytest.mark.parametrize(
    ("difference", "answer"),
    [
        ((-0.005, -0.019, 0.01), "confirmed"),
        ((0.05, 0.01, 0.09), "confirmed"),
        ((-0.06, -0.09, -0.03), "refuted"),
        ((-0.01, -0.05, 0.03), "not decided by these data"),
    ],
)
def test_the_verdict_on_accuracy(difference, answer):
    verdict = verdicts_of(difference=Estimate(*difference))[2]
    assert verdict.answer == answer and "over 14 species" in verdict.sentence
    assert f"{100 * difference[0]:+.1f} points" in verdict.sentence


def test_one_species_decides_with_three_seeds_and_not_with_one():
    few, these = Estimate(-0.1, absent="fewer than 3 species"), Estimate(-0.1, -0.15, -0.05)
    assert verdicts_of(difference=few, these=these, species=1, seeds=3)[2].answer == "refuted"
    verdict = verdicts_of(difference=few, these=these, species=1, seeds=1)[2]
    assert verdict.answer == "not decided by these data"
    assert (
        "for this species only" in verdict.sentence and "the variation between trainings is unknown" in verdict.sentence
    )


def test_only_fast_against_legacy_has_claims():
    assert verdicts_of(name="turbo") == ()


@pytest.mark.parametrize(
    "kind", [Kind(False, "segment", False, False, 0, ()), Kind(True, "recording", True, False, 0, ())]
)
def test_a_leak_or_a_control_has_no_verdict_on_accuracy(kind):
    assert [verdict.claim for verdict in verdicts_of(kind=kind)] == ["40–50 % faster per species"] * 2


def test_without_equal_workers_the_remedy_is_given(tmp_path, make_finished_run):
    make_finished_run(tmp_path / "a", "legacy")
    make_finished_run(tmp_path / "b", "fast")
    ((compared,),) = [section.sets for section in compare_runs(find_runs([tmp_path])).sections]
    assert "data.num_workers=0 engine.threads=2" in compared.verdicts[1].sentence
    make_finished_run(tmp_path / "c", "fast", num_workers=0, train_s=80.0)
    ((compared,),) = [section.sets for section in compare_runs(find_runs([tmp_path])).sections]
    assert compared.speed_equal_workers.per_segment.value == pytest.approx(1.25)
