"""Which version is in use: switched whole, only to one that is as it was made."""

import pytest

from birdnet_nl.deploy.make_version import make_version
from birdnet_nl.deploy.promotion import plan_promotion
from birdnet_nl.deploy.versions import activate, active_version, all_versions, base_for, check_name, read_version
from birdnet_nl.util.errors import RunError


@pytest.fixture
def models(make_shippable_run, tmp_path):
    """Two versions, the second made from the first."""
    models = tmp_path / "models"
    first, _ = make_version(models, "1", plan_promotion([make_shippable_run(tmp_path / "a")], None, False, False))
    planned = plan_promotion([make_shippable_run(tmp_path / "b", weights_seed=1)], first, False, False)
    make_version(models, "2", planned)
    return models


def test_versions_are_listed_in_the_order_they_were_made(models):
    assert [version.name for version in all_versions(models)] == ["1", "2"]


def test_one_is_active_and_one_can_go_back(models):
    assert active_version(models) is None
    activate(models, "2")
    assert active_version(models).name == "2"
    activate(models, "1")
    assert active_version(models).name == "1"
    assert sorted(path.name for path in models.iterdir()) == ["1", "2", "active"]


def test_a_new_version_is_compared_with_the_active_one_and_an_old_one_with_what_it_was_made_from(models):
    activate(models, "2")
    assert base_for(models, "3").name == "2"
    assert base_for(models, "2").name == "1"
    assert base_for(models, "1") is None


@pytest.mark.parametrize("damage", ["is gone", "was changed"])
def test_a_version_with_a_damaged_file_is_not_activated(models, damage):
    activate(models, "1")
    file = read_version(models, "2").file_of("koolmees")
    content = file.read_bytes()
    file.unlink()
    if damage == "was changed":
        file.write_bytes(content[:-1] + b"x")
    with pytest.raises(RunError, match=f"best.ckpt {damage} since version 2 was made"):
        activate(models, "2")
    assert active_version(models).name == "1"


def test_a_version_that_is_not_there_is_said_with_those_that_are(models):
    with pytest.raises(RunError, match="has no version 2026Q9; there are: 1, 2"):
        activate(models, "2026Q9")


@pytest.mark.parametrize("name", ["", "active", "../up", "a/b", ".hidden", "a b"])
def test_names_that_cannot_be_folders_are_refused(name):
    with pytest.raises(ValueError, match="is not a name for a version"):
        check_name(name)
