"""Runs are found wherever they lie, told apart from unfinished and broken ones, and read whatever their age."""

import json
from dataclasses import fields

import pytest

from birdnet_nl.comparison.finished_runs import find_runs, read_run
from birdnet_nl.training.engine import EngineState
from birdnet_nl.util.errors import DataError


def test_runs_are_found_at_any_depth_and_once(tmp_path, make_finished_run):
    make_finished_run(tmp_path / "fast/koolmees/a")
    make_finished_run(tmp_path / "sweep-x/legacy/merel/7", "legacy", "merel")
    (tmp_path / "fast/koolmees/b").mkdir()
    (tmp_path / "fast/koolmees/b/config.yaml").touch()
    (tmp_path / "notes").mkdir()
    found = find_runs([tmp_path, tmp_path / "fast"])
    assert [(run.subject, run.parameter_set) for run in found.runs] == [("koolmees", "fast"), ("merel", "legacy")]
    assert [folder.name for folder in found.unfinished] == ["b"] and not found.broken
    assert find_runs([tmp_path / "fast/koolmees/a"]).runs == found.runs[:1]


def test_what_lies_inside_a_run_is_not_looked_at(tmp_path, make_finished_run):
    run = make_finished_run(tmp_path / "a")
    make_finished_run(run / "checkpoints" / "inner")
    assert len(find_runs([tmp_path]).runs) == 1


def test_a_run_is_read_whole(tmp_path, make_finished_run):
    folder = make_finished_run(tmp_path / "a", "legacy", "zwarte_mees", 3, fold=1, folds=5, synthetic=True)
    run = read_run(folder)
    assert (run.subject, run.dutch, run.seed, run.fold, run.folds) == ("zwarte_mees", "Zwarte Mees", 3, 1, 5)
    assert run.synthetic and run.types == ("song", "call", "alarm") and run.machine == "nas x86"
    assert run.seconds["train"] == 100.0 and run.epochs == 4 and run.training_segments == 900
    assert run.workers["num_workers"] == 0 and run.workers["precision"] == "bf16"
    assert run.workers.keys() - {"num_workers", "threads"} < {field.name for field in fields(EngineState)}
    assert None not in run.workers.values()


def test_an_older_run_is_read_too(tmp_path, make_finished_run):
    run = read_run(make_finished_run(tmp_path / "a", old=True))
    assert (run.split_by, run.pool, run.folds, run.test_fingerprint, run.machine) == ("recording", (), None, "", "")


def test_overrides_tell_another_training_from_another_speed(tmp_path, make_finished_run):
    overrides = ["data.root=/nas/x", "paths.logs=/tmp/l", "engine.threads=2", "+model=compact_cnn", "optimizer.lr=0.01"]
    run = read_run(make_finished_run(tmp_path / "a", overrides=overrides, num_workers=0))
    assert run.variant == ("+model=compact_cnn", "optimizer.lr=0.01")
    assert run.worker_overrides == ("data.num_workers=0", "engine.threads=2")


def test_a_model_that_is_a_set_by_itself_can_be_compared_with_other_sets(tmp_path, make_finished_run):
    folder = make_finished_run(tmp_path / "a", overrides=["model=birdnet", "model.penalty=1"])
    assert read_run(folder).variant == ("model.penalty=1", "model=birdnet")
    report = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(report | {"parameter_set": "birdnet"}))
    assert read_run(folder).variant == ("model.penalty=1",)


def test_a_pool_has_its_own_name(tmp_path, make_finished_run):
    run = read_run(make_finished_run(tmp_path / "a", pool=["koolmees", "merel"]))
    assert (run.subject, run.dutch, run.pool) == ("pool-koolmees-merel", "2 soorten", ("koolmees", "merel"))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"species": 1, "results": {"recording": {}}}'])
def test_a_broken_report_is_named_and_does_not_stop_the_others(tmp_path, make_finished_run, content):
    make_finished_run(tmp_path / "good")
    broken = make_finished_run(tmp_path / "bad")
    (broken / "metrics.json").write_text(content)
    found = find_runs([tmp_path])
    assert [run.folder.name for run in found.runs] == ["good"]
    ((folder, reason),) = found.broken
    assert folder == broken and "is not the report of a run" in reason


def test_a_missing_figure_is_no_reason_to_leave_a_run_out(tmp_path, make_finished_run):
    folder = make_finished_run(tmp_path / "a")
    report = json.loads((folder / "metrics.json").read_text())
    report["results"]["recording"]["auroc"] = None
    report["seconds"] = {}
    (folder / "metrics.json").write_text(json.dumps(report))
    assert read_run(folder).scores["auroc"] is None


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a folder; give one that holds runs, such as logs"):
        find_runs([tmp_path / "nowhere"])
