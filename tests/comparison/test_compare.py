"""The comparison equals arithmetic by hand and a plain bootstrap loop over recordists."""

import numpy as np
import pytest

from birdnet_nl.comparison.compare import compare_runs
from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.comparison.pairing import pair_runs
from birdnet_nl.comparison.statistics import difference_draws, mean_estimate
from birdnet_nl.util.errors import DataError, SelectionError

SLUGS = ("koolmees", "merel", "vink", "ekster", "roek", "roodborst", "winterkoning")


def only_set(comparison, name="fast"):
    (section,) = comparison.sections
    return next(item for item in section.sets if item.parameter_set == name)


def make_pair(root, make, slug="koolmees", seed=1, legacy=0.7, fast=0.7, **times):
    make(root / f"legacy-{slug}-{seed}", "legacy", slug, seed, right=legacy, train_s=times.get("legacy_s", 100.0))
    make(root / f"fast-{slug}-{seed}", "fast", slug, seed, right=fast, train_s=times.get("fast_s", 50.0))


def test_a_species_equals_arithmetic_by_hand(tmp_path, make_finished_run):
    before = [True] * 20 + [False] * 16  # of 12 each: song 12, call 8, alarm 0
    after = [False] * 2 + [True] * 18 + [True] * 6 + [False] * 10  # song 10, call 8, alarm 6
    make_pair(tmp_path, make_finished_run, legacy=before, fast=after)
    species = only_set(compare_runs(find_runs([tmp_path]))).species[0]
    assert species.differences["balanced_accuracy"].value == pytest.approx((10 + 8 + 6) / 36 - 20 / 36)
    assert (species.mcnemar.only_baseline, species.mcnemar.only_other) == (2, 6)
    assert species.mcnemar.p == pytest.approx(2 * (1 + 8 + 28) / 256)
    assert species.mcnemar.p_holm == species.mcnemar.p and species.enough


def test_the_bootstrap_equals_a_plain_loop(tmp_path, make_finished_run):
    make_pair(tmp_path, make_finished_run, legacy=0.8, fast=0.5)
    ((by_set),) = pair_runs(find_runs([tmp_path]).runs, "legacy", ("fast",)).pairs.values()
    (pair,) = by_set["fast"]
    results = pair.baseline.predictions, pair.other.predictions
    groups = np.array(results[0].groups)
    names = np.unique(groups)
    rng = np.random.default_rng(5)
    looped = []
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(groups == name) for name in rng.choice(names, len(names))])
        truth = results[0].truth[rows]
        recalls = [[x.correct[rows][truth == index].mean() for index in np.unique(truth)] for x in results]
        looped.append(np.mean(recalls[1]) - np.mean(recalls[0]))
    draws = difference_draws([pair]).metrics["balanced_accuracy"]
    assert np.quantile(draws, [0.025, 0.5, 0.975]) == pytest.approx(np.quantile(looped, [0.025, 0.5, 0.975]), abs=0.025)
    assert draws.std() == pytest.approx(np.std(looped), rel=0.08)


def test_equal_predictions_differ_by_zero_in_every_draw(tmp_path, make_finished_run):
    make_pair(tmp_path, make_finished_run, legacy=[True, False] * 18, fast=[True, False] * 18)
    fast = only_set(compare_runs(find_runs([tmp_path])))
    difference = fast.species[0].differences["balanced_accuracy"]
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
    assert fast.species[0].mcnemar.p == 1.0


def test_seeds_of_a_species_are_averaged_before_species_are_compared(tmp_path, make_finished_run):
    seeds = {slug: range(1, 4 if slug == "koolmees" else 2) for slug in SLUGS}
    for slug, of_slug in seeds.items():
        for seed in of_slug:
            make_pair(tmp_path, make_finished_run, slug, seed, legacy=0.8, fast=0.6)
    fast = only_set(compare_runs(find_runs([tmp_path])))
    means = []
    for species in fast.species:
        differences = [
            p.other.metric("balanced_accuracy") - p.baseline.metric("balanced_accuracy") for p in species.pairs
        ]
        assert len(differences) == len(seeds[species.subject])
        means.append(np.mean(differences))
    overall = fast.overall["balanced_accuracy"]
    assert overall.ranks.species == 7
    assert overall.over_species == mean_estimate(means)
    assert overall.these_species.value == pytest.approx(np.mean(means))
    assert overall.these_species.low < np.mean(means) < overall.these_species.high < 0


def test_a_recording_tested_with_two_seeds_counts_once_for_mcnemar(tmp_path, make_finished_run):
    for seed in (1, 2):  # with an offset that makes the ids of both seeds equal
        for name, right in (("legacy", 0.5), ("fast", 1.0)):
            make_finished_run(tmp_path / f"{name}{seed}", name, seed=seed, right=right, first_id=1 - 1000 * seed)
    species = only_set(compare_runs(find_runs([tmp_path]))).species[0]
    wrong = [set(np.array(pair.baseline.predictions.ids)[~pair.baseline.predictions.correct]) for pair in species.pairs]
    assert (species.mcnemar.only_baseline, species.mcnemar.only_other) == (0, len(wrong[0] | wrong[1]))


def test_speed_is_the_geometric_mean_over_species(tmp_path, make_finished_run):
    for slug, fast_s in zip(SLUGS[:4], (50.0, 25.0, 100.0, 80.0), strict=True):
        make_pair(tmp_path, make_finished_run, slug, fast_s=fast_s)
    speed = only_set(compare_runs(find_runs([tmp_path]))).speed
    assert speed.train.value == pytest.approx((2 * 4 * 1 * 1.25) ** 0.25)
    assert speed.train.low < speed.train.value < speed.train.high
    assert speed.by_species["merel"] == pytest.approx(4.0) and (speed.pairs, speed.species) == (4, 4)


def test_speed_on_another_machine_does_not_count(tmp_path, make_finished_run):
    make_finished_run(tmp_path / "a", "legacy", machine="nas")
    make_finished_run(tmp_path / "b", "fast", machine="laptop")
    comparison = compare_runs(find_runs([tmp_path]))
    assert only_set(comparison).speed.train is None and only_set(comparison).speed.elsewhere == 1
    assert any("the speed of 1 pair does not count" in note for note in comparison.sections[0].notes)


def test_older_runs_have_a_difference_without_an_interval(tmp_path, make_finished_run):
    make_finished_run(tmp_path / "a", "legacy", old=True)
    make_finished_run(tmp_path / "b", "fast", old=True)
    species = only_set(compare_runs(find_runs([tmp_path]))).species[0]
    assert species.mcnemar is None
    assert species.differences["macro_f1"].absent == "a run has no predictions.csv"


def test_sets_are_ordered_and_the_baseline_is_chosen(tmp_path, make_finished_run):
    for name in ("turbo", "fast", "legacy"):
        make_finished_run(tmp_path / name, name)
    found = find_runs([tmp_path])
    assert (compare_runs(found).baseline, compare_runs(found).others) == ("legacy", ("fast", "turbo"))
    assert compare_runs(found, baseline="fast").others == ("legacy", "turbo")
    assert compare_runs(found, ["turbo", "fast"]).baseline == "turbo"
    assert compare_runs(found, ["turbo"], "legacy").others == ("turbo",)
    with pytest.raises(SelectionError, match="trainer=old was found; there are runs of fast, legacy, turbo"):
        compare_runs(found, ["old", "fast"])
    with pytest.raises(DataError, match="only trainer=fast was found"):
        compare_runs(found, ["fast"])


def test_a_comparison_is_reproducible(tmp_path, make_finished_run):
    make_pair(tmp_path, make_finished_run, legacy=0.8, fast=0.6)
    first, second = (only_set(compare_runs(find_runs([tmp_path]))) for _ in range(2))
    assert first.overall == second.overall and first.verdicts == second.verdicts
