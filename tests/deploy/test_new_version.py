"""A version is written whole or not at all, and never changes."""

import json
import shutil

import pytest

from birdnet_nl.deploy import new_version
from birdnet_nl.deploy.new_version import make_version
from birdnet_nl.deploy.promotion import plan_promotion
from birdnet_nl.deploy.versions import sha256_of
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.util.errors import RunError


def plan(*runs, base=None):
    return plan_promotion(runs, base, False, False)


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


def test_the_manifest_describes_each_model_and_its_evidence(make_shippable_run, tmp_path, models):
    run = make_shippable_run(tmp_path / "run", "turbo")
    version, is_new = make_version(models, "2026Q4", plan(run))
    assert is_new
    entry = json.loads((models / "2026Q4/manifest.json").read_text())["models"]["koolmees"]
    assert entry["licences"] == {"CC BY-NC-SA 4.0": 2, "not stated": 1}
    assert entry["parameter_set"] == "turbo" and entry["types"] == ["song", "call", "alarm"]
    assert entry["data_fingerprint"] == run.report["data_fingerprint"]
    assert entry["test"]["intervals"]["balanced_accuracy"] == run.scores["intervals"]["balanced_accuracy"]
    assert entry["validation"]["recording_balanced_accuracy"] == 0.6 and entry["since"] == "2026Q4"
    file = version.model_path("koolmees")
    assert sha256_of(file.read_bytes()) == entry["sha256"] and file.stat().st_size == entry["bytes"]
    assert Classifier.load(file).types == entry["types"]
    assert (file.parent / "splits.csv").read_bytes() == (run.folder / "splits.csv").read_bytes()


def test_an_existing_version_is_kept_and_other_models_under_its_name_are_refused(make_shippable_run, tmp_path, models):
    run = make_shippable_run(tmp_path / "run")
    make_version(models, "1", plan(run))
    before = (models / "1/manifest.json").stat().st_mtime_ns
    version, is_new = make_version(models, "1", plan(run))
    assert not is_new and (version.folder / "manifest.json").stat().st_mtime_ns == before
    other = make_shippable_run(tmp_path / "other", weights_seed=3)
    with pytest.raises(RunError, match=r"version 1 exists already with other models \(koolmees\)"):
        make_version(models, "1", plan(other))


def test_unchanged_models_are_linked_and_keep_the_version_they_came_with(make_shippable_run, tmp_path, models):
    first, _ = make_version(models, "1", plan(make_shippable_run(tmp_path / "a")))
    second, _ = make_version(models, "2", plan(make_shippable_run(tmp_path / "b", "fast", "merel"), base=first))
    assert {slug: entry["since"] for slug, entry in second.models.items()} == {"koolmees": "1", "merel": "2"}
    assert second.model_path("koolmees").read_bytes() == first.model_path("koolmees").read_bytes()
    shutil.rmtree(first.folder)  # a version does not depend on an older one
    assert Classifier.load(second.model_path("koolmees")).types == ["song", "call", "alarm"]


@pytest.mark.parametrize("fails_at", ["model_bytes", "write_text_atomic"])
def test_an_interruption_leaves_nothing(make_shippable_run, tmp_path, models, monkeypatch, fails_at):
    def stop(*arguments):
        raise KeyboardInterrupt

    planned = plan(make_shippable_run(tmp_path / "a"))
    monkeypatch.setattr(new_version, fails_at, stop)
    with pytest.raises(KeyboardInterrupt):
        make_version(models, "1", planned)
    assert list(models.iterdir()) == []


def test_the_remains_of_a_killed_process_are_removed_when_they_are_old(
    make_shippable_run, tmp_path, models, monkeypatch
):
    (models / ".0.77.part" / "koolmees").mkdir(parents=True)
    make_version(models, "1", plan(make_shippable_run(tmp_path / "a")))
    assert (models / ".0.77.part").is_dir()  # its process may be running
    monkeypatch.setattr(new_version, "ABANDONED_S", -1.0)
    make_version(models, "2", plan(make_shippable_run(tmp_path / "b", weights_seed=1)))
    assert not (models / ".0.77.part").exists()


def test_a_disk_that_refuses_is_one_sentence(make_shippable_run, tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(RunError, match=r"models/1 cannot be written \("):
        make_version(tmp_path / "models", "1", plan(make_shippable_run(tmp_path / "a")))
