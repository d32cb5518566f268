"""Models by species: of a version, a pack, a pool, a run or a file."""

import json

import pytest
from fake_model import load_fake

from birdnet_nl.prediction.models import open_models, opened
from birdnet_nl.util.errors import RunError


def test_a_species_gets_its_own_model_and_others_the_pool(tmp_path, write_pack):
    models = open_models(write_pack(tmp_path / "pack", "koolmees", "merel", pool=("vink", "keep")), load_fake)
    assert models.choose("merel").label == "merel 2026Q4"
    assert models.choose("vink").is_pool and models.choose("roek").is_pool and models.choose("").is_pool
    assert open_models(write_pack(tmp_path / "two", "koolmees"), load_fake).choose("roek") is None


def test_the_pool_that_was_trained_with_a_species_is_preferred(tmp_path, write_pack):
    folder = write_pack(tmp_path, "koolmees", pool=("vink", "keep"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["models"]["pool-large"] = {"file": "pool.fake", "pool": ["merel", "roek", "kauw"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    models = open_models(folder, load_fake)
    assert models.choose("vink").species == ("vink", "keep") and models.choose("gaai").species[0] == "merel"


def test_the_active_version_is_found_from_the_folder_of_versions(tmp_path, write_pack, monkeypatch):
    write_pack(tmp_path / "models" / "2026Q4", "koolmees")
    (tmp_path / "models" / "active").write_text("2026Q4\n")
    monkeypatch.chdir(tmp_path)
    for target in (None, "models", "models/active", "models/2026Q4", "models/2026Q4/manifest.json"):
        assert open_models(target, load_fake).choose("koolmees").path.name == "koolmees.fake"


def test_a_changed_file_is_refused_when_it_is_loaded(tmp_path, write_pack):
    folder = write_pack(tmp_path, "koolmees")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["models"]["koolmees"]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    entry = open_models(folder, load_fake).choose("koolmees")
    with pytest.raises(RunError, match=r"koolmees\.fake was changed or damaged"):
        opened(entry, load_fake)
    (folder / "koolmees.fake").unlink()
    with pytest.raises(RunError, match="is missing; make the version or pack again"):
        opened(entry, load_fake)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not the manifest"), ('{"models": []}', "is not the manifest"), ('{"models": {}}', "lists no models")],
)
def test_a_damaged_pack_is_one_sentence(tmp_path, content, message):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RunError, match=message):
        open_models(tmp_path, load_fake)


def test_a_name_that_is_nearly_right_is_suggested(tmp_path, write_model):
    write_model(tmp_path / "koolmees.fake")
    with pytest.raises(RunError, match=r"did you mean .*koolmees\.fake\?"):
        open_models(tmp_path / "koolmes.fake", load_fake)


def test_an_active_version_that_is_gone_is_named(tmp_path):
    (tmp_path / "active").write_text("2026Q3\n")
    with pytest.raises(RunError, match="names 2026Q3, which is missing"):
        open_models(tmp_path, load_fake)
