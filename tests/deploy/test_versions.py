"""Model files are small and reproducible; the active version is switched at once, only to one that is undamaged."""

import shutil

import pytest
import torch

from birdnet_nl.deploy.new_version import make_version
from birdnet_nl.deploy.promotion import plan_promotion
from birdnet_nl.deploy.versions import (
    activate,
    active_version,
    all_versions,
    base_version,
    check_version_name,
    model_bytes,
    read_version,
)
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.util.errors import RunError


@pytest.fixture
def checkpoint(make_shippable_run, tmp_path):
    return make_shippable_run(tmp_path / "run").folder / "checkpoints/best.ckpt"


@pytest.fixture
def models(make_shippable_run, tmp_path):
    """Two versions, the second based on the first."""
    models = tmp_path / "models"
    first, _ = make_version(models, "1", plan_promotion([make_shippable_run(tmp_path / "a")], None, False, False))
    planned = plan_promotion([make_shippable_run(tmp_path / "b", weights_seed=1)], first, False, False)
    make_version(models, "2", planned)
    return models


def test_a_model_file_predicts_as_its_checkpoint_without_the_state_of_training(checkpoint, tmp_path):
    model = tmp_path / "model.ckpt"
    model.write_bytes(model_bytes(checkpoint))
    assert model.stat().st_size < checkpoint.stat().st_size / 2
    mel = torch.randn(4, 1, 16, 32)  # [batch, 1, mels, frames]
    torch.testing.assert_close(Classifier.load(model).network(mel), Classifier.load(checkpoint).network(mel))
    content = torch.load(model, weights_only=True)
    assert set(content) == {"state_dict", "birdnet_nl"} and "history" not in content["birdnet_nl"]
    assert all(name.startswith("network.") for name in content["state_dict"])


def test_a_checkpoint_that_cannot_predict_is_not_made_a_model_file(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    del content["birdnet_nl"]["mel"]
    torch.save(content, checkpoint)
    with pytest.raises(RunError, match="does not hold what prediction needs"):
        model_bytes(checkpoint)


def test_the_same_checkpoint_gives_the_same_bytes_whatever_its_name(checkpoint, make_shippable_run, tmp_path):
    shutil.copy(checkpoint, tmp_path / "another name.ckpt")
    assert model_bytes(tmp_path / "another name.ckpt") == model_bytes(checkpoint)
    other = make_shippable_run(tmp_path / "other", weights_seed=1).folder / "checkpoints/best.ckpt"
    assert model_bytes(other) != model_bytes(checkpoint)


def test_the_active_version_can_be_switched_back(models):
    assert [version.name for version in all_versions(models)] == ["1", "2"]
    assert active_version(models) is None
    activate(models, "2")
    assert active_version(models).name == "2"
    activate(models, "1")
    assert active_version(models).name == "1"
    assert sorted(path.name for path in models.iterdir()) == ["1", "2", "active"]


def test_a_new_version_is_based_on_the_active_one_and_an_existing_one_on_its_own_base(models):
    activate(models, "2")
    assert base_version(models, "3").name == "2"
    assert base_version(models, "2").name == "1"
    assert base_version(models, "1") is None


@pytest.mark.parametrize("damage", ["is gone", "was changed"])
def test_a_version_with_a_damaged_file_is_not_activated(models, damage):
    activate(models, "1")
    file = read_version(models, "2").model_path("koolmees")
    content = file.read_bytes()
    file.unlink()
    if damage == "was changed":
        file.write_bytes(content[:-1] + b"x")
    with pytest.raises(RunError, match=f"best.ckpt {damage} since version 2 was made"):
        activate(models, "2")
    assert active_version(models).name == "1"


def test_the_error_for_a_missing_version_lists_the_existing_ones(models):
    with pytest.raises(RunError, match="has no version 2026Q9; there are: 1, 2"):
        activate(models, "2026Q9")


@pytest.mark.parametrize("name", ["", "active", "../up", "a/b", ".hidden", "a b"])
def test_names_that_cannot_be_folders_are_refused(name):
    with pytest.raises(ValueError, match="is not a name for a version"):
        check_version_name(name)
