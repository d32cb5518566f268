"""A version appears whole or not at all, and never changes."""

import json
import shutil

import pytest

from birdnet_nl.deploy import make_version as make_version_module
from birdnet_nl.deploy.make_version import make_version
from birdnet_nl.deploy.model_file import sha256_of
from birdnet_nl.deploy.promotion import plan_promotion
from birdnet_nl.training.checkpoint import load_classifier
from birdnet_nl.util.errors import RunError


def plan(*runs, base=None):
    return plan_promotion(runs, base, False, False)


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


def test_the_manifest_tells_what_each_model_is_and_rests_on(make_shippable_run, tmp_path, models):
    run = make_shippable_run(tmp_path / "run", "turbo")
    version, is_new = make_version(models, "2026Q4", plan(run))
    assert is_new
    entry = json.loads((models / "2026Q4/manifest.json").read_text())["models"]["koolmees"]
    assert entry["licences"] == {"CC BY-NC-SA 4.0": 2, "not stated": 1}
    assert entry["parameter_set"] == "turbo" and entry["types"] == ["song", "call", "alarm"]
    assert entry["data_fingerprint"] == run.report["data_fingerprint"]
    assert entry["test"]["intervals"]["balanced_accuracy"] == run.scores["intervals"]["balanced_accuracy"]
    assert entry["validation"]["recording_balanced_accuracy"] == 0.6 and entry["since"] == "2026Q4"
    file = version.file_of("koolmees")
    assert sha256_of(file.read_bytes()) == entry["sha256"] and file.stat().st_size == entry["bytes"]
    assert load_classifier(file).types == entry["types"]
    assert (file.parent / "splits.csv").read_bytes() == (run.folder / "splits.csv").read_bytes()


def test_the_same_again_changes_nothing_and_other_models_under_the_same_name_are_refused(
    make_shippable_run, tmp_path, models
):
    run = make_shippable_run(tmp_path / "run")
    make_version(models, "1", plan(run))
    before = (models / "1/manifest.json").stat().st_mtime_ns
    version, is_new = make_version(models, "1", plan(run))
    assert not is_new and (version.folder / "manifest.json").stat().st_mtime_ns == before
    other = make_shippable_run(tmp_path / "other", weights_seed=3)
    with pytest.raises(RunError, match=r"version 1 is there already with other models \(koolmees\)"):
        make_version(models, "1", plan(other))


def test_models_are_taken_over_with_the_version_they_came_with(make_shippable_run, tmp_path, models):
    first, _ = make_version(models, "1", plan(make_shippable_run(tmp_path / "a")))
    second, _ = make_version(models, "2", plan(make_shippable_run(tmp_path / "b", "fast", "merel"), base=first))
    assert {slug: entry["since"] for slug, entry in second.models.items()} == {"koolmees": "1", "merel": "2"}
    assert second.file_of("koolmees").read_bytes() == first.file_of("koolmees").read_bytes()
    shutil.rmtree(first.folder)  # nothing of an older version is needed
    assert load_classifier(second.file_of("koolmees")).types == ["song", "call", "alarm"]


@pytest.mark.parametrize("fails_at", ["_take_run", "write_whole"])
def test_a_stop_in_the_middle_leaves_nothing(make_shippable_run, tmp_path, models, monkeypatch, fails_at):
    def stop(*arguments):
        raise KeyboardInterrupt

    planned = plan(make_shippable_run(tmp_path / "a"))
    monkeypatch.setattr(make_version_module, fails_at, stop)
    with pytest.raises(KeyboardInterrupt):
        make_version(models, "1", planned)
    assert list(models.iterdir()) == []


def test_what_a_killed_process_left_is_removed_when_it_is_old(make_shippable_run, tmp_path, models, monkeypatch):
    (models / ".0.77.part" / "koolmees").mkdir(parents=True)
    make_version(models, "1", plan(make_shippable_run(tmp_path / "a")))
    assert (models / ".0.77.part").is_dir()  # it may be at work
    monkeypatch.setattr(make_version_module, "ABANDONED_S", -1.0)
    make_version(models, "2", plan(make_shippable_run(tmp_path / "b", weights_seed=1)))
    assert not (models / ".0.77.part").exists()


def test_a_disk_that_refuses_is_one_sentence(make_shippable_run, tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(RunError, match=r"models/1 cannot be written \("):
        make_version(tmp_path / "models", "1", plan(make_shippable_run(tmp_path / "a")))
