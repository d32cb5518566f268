"""Only comparable runs are paired, and every other one is listed with the reason."""

import json
import shutil

import pytest

from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.comparison.pairing import pair_runs


@pytest.fixture
def paired(tmp_path):
    def pair(baseline="legacy", others=("fast",)):
        return pair_runs(find_runs([tmp_path]).runs, baseline, others)

    return pair


def keys(pairing, name="fast"):
    return [
        (kind.name, pair.baseline.subject, pair.baseline.seed)
        for kind, by_set in pairing.pairs.items()
        for pair in by_set[name]
    ]


def reasons(pairing):
    return [item.reason for item in pairing.left_out]


def test_species_and_seed_make_a_pair(tmp_path, make_finished_run, paired):
    for name in ("legacy", "fast"):
        for slug in ("koolmees", "merel"):
            for seed in (1, 2):
                make_finished_run(tmp_path / name / slug / str(seed), name, slug, seed)
    pairing = paired()
    real = "real recordings"
    assert keys(pairing) == [(real, "koolmees", 1), (real, "koolmees", 2), (real, "merel", 1), (real, "merel", 2)]
    assert pairing.left_out == ()
    for pair in next(iter(pairing.pairs.values()))["fast"]:
        assert (pair.baseline.parameter_set, pair.other.parameter_set) == ("legacy", "fast")


@pytest.mark.parametrize(
    ("change", "section"),
    [
        ({"synthetic": True}, "synthetic demo recordings"),
        ({"shuffled": True}, "real recordings, types shuffled (control)"),
        ({"split_by": "segment"}, "real recordings, split by segment (leaks)"),
        ({"pool": ["koolmees", "merel"]}, "real recordings, species pooled"),
        ({"overrides": ["model=compact_cnn"]}, "real recordings, model=compact_cnn"),
    ],
)
def test_kinds_are_never_mixed(tmp_path, make_finished_run, paired, change, section):
    make_finished_run(tmp_path / "a", "legacy")
    make_finished_run(tmp_path / "b", "fast", **change)
    pairing = paired()
    assert keys(pairing) == []
    assert sorted(reasons(pairing)) == ["no finished run of fast", "no finished run of legacy"]
    assert any(f"({section})" in item.what for item in pairing.left_out)
    make_finished_run(tmp_path / "c", "legacy", **change)
    assert [key[0] for key in keys(paired())] == [section]


@pytest.mark.parametrize(
    ("options", "values", "reason"),
    [
        ({"first_id": 500}, {}, "their test recordings differ (72 are not in both)"),
        ({}, {"data_fingerprint": "0" * 16}, "their training recordings differ"),
        ({"types": ("song", "call")}, {}, "they have different types (song, call, alarm and song, call)"),
    ],
)
def test_runs_on_different_data_are_not_paired(tmp_path, make_finished_run, paired, options, values, reason):
    make_finished_run(tmp_path / "a", "legacy")
    change(make_finished_run(tmp_path / "b", "fast", **options), **values)
    assert keys(paired()) == [] and reason in reasons(paired())[0]


def test_without_fingerprints_the_predictions_identify_the_recordings(tmp_path, make_finished_run, paired):
    for name, first_id in (("legacy", 1), ("fast", 1), ("turbo", 500)):
        folder = make_finished_run(tmp_path / name, name, first_id=first_id)
        change(folder, test_fingerprint=None, data_fingerprint=None)
    assert len(keys(paired())) == 1
    assert keys(paired(others=("turbo",)), "turbo") == []


def test_older_runs_are_compared_when_their_data_are_the_same(tmp_path, make_finished_run, paired):
    make_finished_run(tmp_path / "a", "legacy", old=True)
    fast = make_finished_run(tmp_path / "b", "fast", old=True)
    assert len(keys(paired())) == 1
    change(fast, data_fingerprint=None)
    assert "it is unknown whether their test recordings are the same" in reasons(paired())[0]


def test_the_newest_run_counts_and_the_others_are_listed(tmp_path, make_finished_run, paired):
    make_finished_run(tmp_path / "a", "legacy")
    make_finished_run(tmp_path / "old", "fast", finished=1)
    make_finished_run(tmp_path / "new", "fast", finished=9)
    pairing = paired()
    assert [pair.other.runs[0].folder.name for pair in next(iter(pairing.pairs.values()))["fast"]] == ["new"]
    assert [(item.what, item.reason) for item in pairing.left_out] == [
        (str(tmp_path / "old"), f"newer: {tmp_path / 'new'}")
    ]


def test_a_newer_run_with_other_workers_does_not_represent_its_set(tmp_path, make_finished_run, paired):
    make_finished_run(tmp_path / "legacy", "legacy")
    make_finished_run(tmp_path / "configured", "fast", finished=1)
    make_finished_run(tmp_path / "equal", "fast", num_workers=0, finished=9)
    pairing = paired()
    kind = next(iter(pairing.pairs))
    assert [pair.other.runs[0].folder.name for pair in pairing.pairs[kind]["fast"]] == ["configured"]
    assert [[run.folder.name for run in pair] for pair in pairing.equal_workers[kind]["fast"]] == [["legacy", "equal"]]
    assert reasons(pairing) == ["with data.num_workers=0: counts for equal worker settings only"]


@pytest.mark.parametrize("switch", ["keeps_memory", "lean_blocks", ""])
def test_runs_with_other_workers_or_another_engine_are_not_equal(tmp_path, make_finished_run, paired, switch):
    make_finished_run(tmp_path / "a", "legacy", num_workers=0)
    fast = make_finished_run(tmp_path / "b", "fast", num_workers=0 if switch else 2)
    if switch:
        (equal,) = paired().equal_workers.values()
        assert len(equal["fast"]) == 1
        engine = json.loads((fast / "metrics.json").read_text())["engine"]
        change(fast, engine=engine | {switch: False})
    assert [pairs["fast"] for pairs in paired().equal_workers.values()] == [()]


def test_folds_are_joined_and_missing_ones_listed(tmp_path, make_finished_run, paired):
    for name in ("legacy", "fast"):
        for fold in range(3):
            make_finished_run(tmp_path / name / str(fold), name, fold=fold, folds=3, per_type=5)
    pairing = paired()
    assert keys(pairing) == [("real recordings, 3 folds", "koolmees", 1)]
    (pair,) = next(iter(pairing.pairs.values()))["fast"]
    assert len(pair.baseline.runs) == 3 and len(pair.baseline.predictions.ids) == 45
    assert pair.baseline.test_counts == {"song": 15, "call": 15, "alarm": 15}
    shutil.rmtree(tmp_path / "fast" / "1")
    assert "fold 1 of 3 (counted from 0) is missing" in reasons(paired())


def test_predictions_of_another_run_are_detected(tmp_path, make_finished_run, paired):
    make_finished_run(tmp_path / "a", "legacy", right=1.0)
    make_finished_run(tmp_path / "b", "fast", right=0.5)
    shutil.copy(tmp_path / "a" / "predictions.csv", tmp_path / "b" / "predictions.csv")
    assert "predictions.csv has 100.0% correct predictions, metrics.json" in reasons(paired())[0]


def test_a_broken_predictions_file_is_reported(tmp_path, make_finished_run, paired):
    make_finished_run(tmp_path / "a", "legacy")
    fast = make_finished_run(tmp_path / "b", "fast")
    (fast / "predictions.csv").write_text("recording_id,true_type\nXC1,song\n")
    assert "predictions.csv is not the list of predictions" in reasons(paired())[0]


def change(folder, **values):
    report = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(report | values))
