"""Extra recordings: of any species, for training only, without recordists and sounds of validation and test."""

import csv
import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch

from birdnet_nl.data.crops import CropParams
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.extra import HELD_OUT, OF_TEST_SOURCE, describe_extra, find_extra_folders
from birdnet_nl.data.sources import DEMO_MARK, DemoSettings
from birdnet_nl.data.splits import write_splits
from birdnet_nl.evaluation.trained_on import read_trained_on
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import THREE
from birdnet_nl.species.table import get_species, species_of_slug
from birdnet_nl.util.errors import DataError

SPEC = {"song": 10, "call": 8, "alarm": 5}
CROPS = CropParams(enabled=True, per_epoch=64, batch_size=16, choices=2, active_share=0.5, multilabel_share=0.0)
OUTSIDE = "zonotrichia_leucophrys"


@pytest.fixture
def root(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path / "own", "merel", SPEC, duration_s=2.0)
    return tmp_path / "own"


@pytest.fixture
def extra_root(tmp_path, make_recordings_folder):
    """Six songs of a species outside the table, and three calls of the species itself."""
    make_recordings_folder(tmp_path / "extra", OUTSIDE, {"song": 6}, duration_s=2.0, first_number=500)
    make_recordings_folder(tmp_path / "extra", "merel", {"call": 3}, duration_s=2.0, first_number=700)
    return tmp_path / "extra"


@pytest.fixture
def make_data(root, small_mel):
    def make(extra_roots, **changes) -> SpeciesDataModule:
        settings = {
            "species": get_species("merel"), "mel": small_mel, "source": "xeno_canto", "root": str(root),
            "demo": DemoSettings("nowhere", 1, "normal", 0), "pool": None, "cache_dir": str(root / "cache"),
            "types": ["song", "call", "alarm"], "sounds": THREE.as_dict(),
            "flight_call": "call", "segment_s": 0.5, "segment_hop_s": 0.25,
            "shares": {"train": 0.6, "val": 0.2, "test": 0.2}, "min_recordings": 3, "max_segments_per_type": None,
            "folds": None, "fold": None, "split_by": "recording", "crops": replace(CROPS, enabled=False),
            "shuffle_types": False, "seed": 1, "batch_size": 16, "num_workers": 0, "pin_memory": False,
            "persistent_workers": False, "resident": "auto", "decode_workers": 2,
        }  # fmt: skip
        data = SpeciesDataModule(**{**settings, **changes}, extra_roots=extra_roots)
        data.setup()
        return data

    return make


def write_manifest(root, rows):
    with (root / "recordings.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "type", "recordist"])
        writer.writerows(rows)


def test_extra_recordings_of_any_species_come_only_into_training(make_data, extra_root):
    alone, data = make_data([]), make_data([str(extra_root)])
    extra = {recording.id: recording.species for recording in data.extra.recordings}
    assert Counter(extra.values()) == {OUTSIDE: 6, "merel": 3}
    assert {data.prepared.splits[id] for id in extra} == {"train"}
    for split in ("val", "test"):
        assert data.datasets[split].recording_ids == alone.datasets[split].recording_ids
    assert set(data.datasets["train"].recording_ids) == {*alone.datasets["train"].recording_ids, *extra}
    before, after = alone.recording_counts()["train"], data.recording_counts()["train"]
    assert after == before + Counter({"song": 6, "call": 3})
    assert data.prepared.fingerprint != alone.prepared.fingerprint
    assert data.extra.describe() == {"recordings": {"song": 6, "call": 3}, "species": 2, "left_out": {}}
    assert data.file_summary().to_dict()["used"] == sum(SPEC.values()) + 9


def test_crops_are_drawn_from_extra_recordings_too(make_data, extra_root):
    data = make_data(str(extra_root), crops=CROPS)
    assert {recording.id for recording in data.extra.recordings} <= set(data.crop_dataset.recording_ids)


def test_extra_recordings_of_a_type_weigh_at_most_the_given_part_of_those_of_the_run(make_data, extra_root):
    data = make_data(str(extra_root), crops=CROPS, extra_weight=0.5)
    of_type = {recording.id: recording.vocalization_type for recording in data.extra.recordings}
    own = Counter(
        recording.vocalization_type
        for recording in data.prepared.recordings
        if data.prepared.splits[recording.id] == "train" and recording.id not in of_type
    )
    assert data.extra_weights == {id: pytest.approx(min(1, 0.5 * own[name] / Counter(of_type.values())[name]))
                                  for id, name in of_type.items()}  # fmt: skip
    assert sum(data.extra_weights[id] for id, name in of_type.items() if name == "song") == pytest.approx(
        0.5 * own["song"]
    )
    drawn = dict(zip(data.crop_dataset.recording_ids, data.crop_dataset.weights.tolist(), strict=True))
    assert all(drawn[id] == pytest.approx(data.extra_weights.get(id, 1.0)) for id in drawn)
    expected = [data.extra_weights.get(id, 1.0) for id in data.datasets["train"].recording_ids]
    assert data.training_weights.tolist() == pytest.approx(expected)
    weighted = [own[name] + sum(data.extra_weights[id] for id in of_type if of_type[id] == name) for name in own]
    crops, data.crop_dataset = data.crop_dataset, None
    relative = data.class_weights(of_recordings=True)
    assert (relative * torch.tensor([weighted[list(own).index(name)] for name in data.prepared.types])).std() < 1e-4
    data.crop_dataset = crops


def test_few_extra_recordings_weigh_as_those_of_the_run(make_data, extra_root):
    assert set(make_data(str(extra_root), extra_weight=100.0).extra_weights.values()) == {1.0}
    assert make_data([]).training_weights is None


@pytest.mark.parametrize("weight", [0, -1, True, "much"])
def test_an_impossible_weight_of_extra_recordings_raises(make_data, weight):
    with pytest.raises(ValueError, match=f"data.extra_weight={weight} must be above 0"):
        make_data([], extra_weight=weight)


def test_recordists_of_validation_and_test_are_left_out_of_extra_recordings(make_data, root, extra_root):
    names = {path.stem: path for path in sorted((root / "xeno-canto-merel").rglob("*.wav"))}
    write_manifest(root, [(path.relative_to(root), path.parent.name, f"by {id}") for id, path in names.items()])
    splits = make_data([]).prepared.splits
    (val, *_), (test, *_), (train, *_) = (
        [id for id, of in splits.items() if of == split] for split in ("val", "test", "train")
    )
    songs = sorted((extra_root / f"xeno-canto-{OUTSIDE}" / "song").iterdir())
    recordists = [f"By  {test}", f"by {val}", f"by {train}", "another", "another", ""]
    rows = [(path.relative_to(extra_root), "song", name) for path, name in zip(songs, recordists, strict=True)]
    write_manifest(extra_root, rows)
    data = make_data([str(extra_root)])
    assert {path.name: reason for path, reason in data.extra.left_out.items()} == {
        songs[0].name: HELD_OUT, songs[1].name: HELD_OUT
    }  # fmt: skip
    assert {recording.id for recording in data.extra.recordings} >= {path.stem for path in songs[2:]}


def test_the_same_number_content_or_sound_is_left_out_of_extra_recordings(make_data, root, extra_root):
    own = sorted((root / "xeno-canto-merel" / "song").iterdir())
    outside = extra_root / f"xeno-canto-{OUTSIDE}"
    shutil.copy(own[0], outside / "song" / "XC900.wav")  # under another number, of another species
    shutil.copy(outside / "song" / "XC500.wav", extra_root / "xeno-canto-merel" / "call" / own[1].name)  # its number
    shutil.copy(outside / "song" / "XC501.wav", outside / "song" / "XC901.wav")  # twice among the extra ones
    (outside / "call").mkdir()
    for number, kind in ((904, "song"), (905, "call")):  # with two types
        shutil.copy(extra_root / "xeno-canto-merel" / "call" / "XC700.wav", outside / kind / f"XC{number}.wav")
    data = make_data([str(extra_root)])
    ids = {recording.id for recording in data.extra.recordings}
    assert ids.isdisjoint({"XC900", own[1].stem, f"merel/{own[1].stem}"}) and len(ids & {"XC501", "XC901"}) == 1
    assert ids.isdisjoint({"XC700", "XC904", "XC905"})
    assert data.extra.describe()["left_out"]["has the same number as another"] == 1
    assert data.extra.describe()["left_out"]["has the same content as another"] == 2


def test_extra_recordings_of_the_source_that_is_tested_on_are_left_out(make_data, root, extra_root):
    def write_sources(folder, source_of):
        files = [path for path in sorted(folder.rglob("*.wav"))]
        rows = [["file", "type", "source"]]
        rows += [[path.relative_to(folder), path.parent.name, source_of(path)] for path in files]
        with (folder / "recordings.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    write_sources(root, lambda path: "B" if int(path.stem.removeprefix("XC")) % 4 == 0 else "A")
    write_sources(extra_root, lambda path: "B" if path.stem in ("XC500", "XC701") else "C")
    data = make_data([str(extra_root)], test_source="B")
    assert {path.stem for path, why in data.extra.left_out.items() if why == OF_TEST_SOURCE} == {"XC500", "XC701"}
    assert {recording.source for recording in data.extra.recordings} == {"C"}


def test_extra_recordings_of_no_type_of_the_run_are_left_out(make_data, extra_root, make_recordings_folder):
    make_recordings_folder(extra_root, OUTSIDE, {"drumming": 2, "alarm": 1}, duration_s=2.0, first_number=800)
    data = make_data([str(extra_root)], types=["song", "call"])
    assert Counter(recording.vocalization_type for recording in data.extra.recordings) == {"song": 6, "call": 3}


def test_extra_recordings_are_marked_and_recognised_as_seen(make_data, extra_root, tmp_path):
    data = make_data([str(extra_root)])
    path = tmp_path / "splits.csv"
    write_splits(path, data.prepared.recordings, data.all_splits, data.prepared.extra)
    with path.open(encoding="utf-8", newline="") as file:
        marked = {row["id"] for row in csv.DictReader(file) if row["extra"] == "yes"}
    assert marked == {recording.id for recording in data.extra.recordings}
    seen = read_trained_on(path, synthetic=False, split_by="recording")
    assert all(map(seen.reason_seen, data.extra.recordings))


def test_recordings_without_a_number_keep_their_id_in_the_run_and_get_another_among_the_extra_ones(
    make_data, root, extra_root
):
    shutil.move(root / "xeno-canto-merel" / "song" / "XC1.wav", root / "xeno-canto-merel" / "song" / "field.wav")
    shutil.move(
        extra_root / "xeno-canto-merel" / "call" / "XC700.wav", extra_root / "xeno-canto-merel" / "song-field.wav"
    )
    (extra_root / "xeno-canto-merel" / "song").mkdir()
    shutil.move(
        extra_root / "xeno-canto-merel" / "song-field.wav", extra_root / "xeno-canto-merel" / "song" / "field.wav"
    )
    data = make_data([str(extra_root)])
    assert data.prepared.splits["song/field"] and data.prepared.splits["merel/song/field"] == "train"


def test_roots_that_cannot_be_used_are_refused_in_one_sentence(make_data, extra_root, tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        make_data([str(tmp_path / "nowhere")])
    with pytest.raises(DataError, match="give the folder above them"):
        make_data([str(extra_root / "xeno-canto-merel")])
    with pytest.raises(ValueError, match="for training only"):
        make_data([str(extra_root)], split_by="segment")
    (extra_root / "xeno-canto-merel" / DEMO_MARK).write_text("")
    with pytest.raises(DataError, match="synthetic demo recordings and the run has real ones"):
        make_data([str(extra_root)])


def test_the_species_of_a_folder_outside_the_table_is_its_scientific_name(extra_root):
    outside = species_of_slug(OUTSIDE)
    assert outside.scientific == "Zonotrichia leucophrys" and species_of_slug("merel") == get_species("merel")
    assert set(find_extra_folders(extra_root)) == {outside, get_species("merel")}
    (extra_root / "notes").mkdir()
    assert set(find_extra_folders(extra_root)) == {outside, get_species("merel")}


def test_the_summary_counts_types_species_and_reasons(make_data, extra_root):
    data = make_data([str(extra_root)])
    extra = replace(data.extra, left_out={Recording("XC1", extra_root, "merel", "song", "").path: HELD_OUT})
    line = describe_extra(extra, {r.id: 0.25 for r in extra.recordings if r.vocalization_type == "song"}, 2, str)
    assert line == (
        "9 of the training recordings ({'song': 6, 'call': 3}), and 2 of several types, are extra, of 2 species; "
        "weight of each: song 0.25; left out: 1 its recordist is in the validation or test split"
    )
