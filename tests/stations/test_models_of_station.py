"""The model of each species, and versions that are promoted while a station is watched."""

import json

import pytest
from fake_model import load_fake

from birdnet_nl.stations import models_of_station
from birdnet_nl.stations.models_of_station import StationModels
from birdnet_nl.util.errors import RunError


def test_a_promoted_version_is_used_at_once(write_models):
    folder = write_models("a", "koolmees")
    models = StationModels(folder, load_fake)
    before = models.fingerprint("koolmees")
    assert not models.refresh() and models.fingerprint("merel") is None and models.name == "koolmees a"
    write_models("b", "koolmees", "merel")
    assert models.refresh() and not models.refresh()
    assert models.fingerprint("merel") and models.fingerprint("koolmees") != before
    assert models.model(models.choose("merel")).name == "merel b"


def test_a_broken_version_changes_nothing_until_it_is_repaired(write_models, caplog):
    folder = write_models("a", "koolmees")
    models = StationModels(folder, load_fake)
    (folder / "active").write_text("missing\n")
    assert not models.refresh() and not models.refresh()
    assert models.choose("koolmees").label == "koolmees a"
    assert len(caplog.records) == 1 and "the present ones stay" in caplog.text
    write_models("c", "merel")
    assert models.refresh() and models.choose("koolmees") is None


def test_a_single_file_that_is_exported_again_is_loaded_again(tmp_path):
    path = tmp_path / "k.fake"
    path.write_text(json.dumps({"species": ["koolmees"], "name": "first"}))
    models = StationModels(path, load_fake)
    assert models.model(models.choose("koolmees")).name == "first"
    path.write_text(json.dumps({"species": ["koolmees"], "name": "second"}))
    assert models.refresh()
    entry = models.choose("koolmees")
    assert models.model(entry).name == "second"
    assert models.sha256(entry)[:16] == entry.fingerprint


def test_no_model_at_the_start_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no model"):
        StationModels(None, load_fake)


def test_few_models_stay_in_memory_those_that_were_used_last(write_models, monkeypatch):
    monkeypatch.setattr(models_of_station, "MAX_LOADED", 2)
    models = StationModels(write_models("a", "koolmees", "merel", "vink"), load_fake)
    for slug in ("koolmees", "merel", "koolmees", "vink"):
        models.model(models.choose(slug))
    assert [entry.species[0] for entry in models._loaded] == ["koolmees", "vink"]
    assert set(models._sha256) == set(models._loaded)


def test_a_damaged_model_is_tried_again_when_it_is_replaced(write_models):
    folder = write_models("a", "koolmees")
    models = StationModels(folder, load_fake)
    content = (folder / "a" / "koolmees.fake").read_text()
    (folder / "a" / "koolmees.fake").write_text("{")
    with pytest.raises((RunError, ValueError)):
        models.model(models.choose("koolmees"))
    (folder / "a" / "koolmees.fake").write_text(content)
    write_models("a", "koolmees")
    models.refresh()
    assert models.model(models.choose("koolmees")).name == "koolmees a"
