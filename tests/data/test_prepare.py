"""Prepared recordings of a folder, the sentence for everything that is left out, and the evaluation set."""

import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from birdnet_nl.audio.cache import CachedMel, UnusableFile, cache_mels
from birdnet_nl.data.prepare import build_evaluation_set, prepare_recordings
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError

MEREL = get_species("merel")
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
TYPES = ["song", "call", "alarm"]


@pytest.fixture
def prepare(tmp_path, small_mel):
    """Reads a species folder and prepares it; the arguments change the settings."""

    def prepare(folder, **changes):
        make_mels = partial(cache_mels, params=small_mel, cache_dir=tmp_path / "cache", workers=2)
        settings = {
            "found": read_species_folder(folder, MEREL), "types": TYPES, "make_mels": make_mels, "mel": small_mel,
            "shares": SHARES, "min_recordings": 3, "seed": 1, "subject": "merel",
        }  # fmt: skip
        return prepare_recordings(**{**settings, **changes})

    return prepare


@pytest.fixture
def make_merel(tmp_path, make_recordings_folder):
    return lambda spec: make_recordings_folder(tmp_path, "merel", spec, duration_s=0.2)


def test_a_folder_without_problems_is_used_completely(make_merel, prepare):
    prepared = prepare(make_merel({"song": 5, "call": 4, "alarm": 3}))
    assert len(prepared.recordings) == 12 == len(prepared.mels) == len(prepared.splits)
    assert prepared.types == TYPES
    assert (prepared.unusable, prepared.left_out_types, prepared.unclear) == ([], {}, {})


def test_a_type_with_too_few_recordings_is_left_out_with_the_counts(make_merel, prepare):
    folder = make_merel({"song": 5, "call": 4, "alarm": 2})
    shutil.copy(folder / "alarm" / "XC11.wav", folder / "alarm" / "XC99.wav")  # a duplicate does not count
    prepared = prepare(folder)
    assert prepared.types == ["song", "call"]
    assert prepared.left_out_types == {"alarm": "2 recordings, at least 3 needed"}
    assert {r.vocalization_type for r in prepared.recordings} == {"song", "call"}
    assert len(prepared.mels) == 9


def test_two_types_are_enough_and_one_is_not(make_merel, prepare):
    folder = make_merel({"song": 3, "call": 3})
    assert prepare(folder).types == ["song", "call"]
    shutil.rmtree(folder / "call")
    with pytest.raises(DataError) as info:
        prepare(folder)
    sentence = str(info.value)
    assert f"merel: fewer than two types have enough recordings in {folder} (song 3, call 0, alarm 0" in sentence
    assert "at least 3 of a type" in sentence and "data=demo" in sentence


def test_other_types_are_not_decoded(make_merel, prepare, tmp_path):
    prepared = prepare(make_merel({"song": 3, "call": 3, "alarm": 3}), types=["song", "alarm"])
    assert prepared.types == ["song", "alarm"] and len(prepared.mels) == 6
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 6


def test_unclear_types_are_counted_by_text(make_merel, prepare, write_manifest):
    folder = make_merel({"song": 5, "call": 4, "mixed": 2})
    write_manifest(folder, [{"file": "song/XC1.wav", "type": "song, alarm call"}])
    prepared = prepare(folder)
    assert prepared.unclear == {"song, alarm call": 1, "mixed": 2}
    assert len(prepared.recordings) == 8


def test_a_folder_without_plain_types_raises_with_the_texts(make_merel, prepare):
    with pytest.raises(DataError) as info:
        prepare(make_merel({"mixed": 2, "drumming": 3}))
    assert "is plainly one of song, call, alarm (found: drumming 3, mixed 2)" in str(info.value)
    assert "recordings.csv" in str(info.value)


def test_only_corrupt_files_raise_with_the_first_reason(make_merel, prepare):
    folder = make_merel({"song": 3, "call": 3})
    for path in folder.rglob("*.wav"):
        path.write_bytes(b"<html>not a sound</html>" * 9)
    message = r"^merel: none of the 6 files in .* can be used \(first: XC\d+\.wav cannot be "
    with pytest.raises(DataError, match=message):
        prepare(folder)


def test_corrupt_files_are_listed_and_do_not_count_for_their_type(make_merel, prepare):
    folder = make_merel({"song": 4, "call": 4, "alarm": 3})
    (folder / "song" / "XC1.wav").write_bytes(b"")
    (folder / "call" / "XC5.wav").write_bytes(b"junk" * 50)
    (folder / "alarm" / "XC9.wav").write_bytes(b"")
    prepared = prepare(folder)
    assert len(prepared.recordings) == 6 and prepared.types == ["song", "call"]
    assert {file.path.name: file.reason.split(" (")[0] for file in prepared.unusable} == {
        "XC1.wav": "empty file", "XC5.wav": "cannot be decoded", "XC9.wav": "empty file",
    }  # fmt: skip
    assert "2 recordings" in prepared.left_out_types["alarm"]


def test_the_fingerprint_depends_on_content_type_and_split_but_not_on_the_folder(make_merel, prepare, tmp_path):
    folder = make_merel({"song": 4, "call": 4})
    first = prepare(folder).fingerprint
    assert re.fullmatch(r"[0-9a-f]{16}", first)
    moved = folder.rename(tmp_path / "merel")
    assert prepare(moved).fingerprint == first
    assert prepare(moved, seed=2).fingerprint != first
    (moved / "song" / "XC1.wav").rename(moved / "call" / "XC1.wav")
    assert prepare(moved).fingerprint != first


def test_folds_need_as_many_recordings_as_there_are_parts(make_merel, prepare):
    with pytest.raises(DataError, match=r"needed: at least 5 of a type, by 5 recordists or of unknown recordist\)"):
        prepare(make_merel({"song": 4, "call": 4}), folds=5, fold=0)


FOUND = [
    Recording(id, Path(f"{id}.mp3"), "koolmees", vocalization_type, text)
    for id, vocalization_type, text in [
        ("XC1", "song", "song"), ("XC2", "call", "call"), ("XC3", "alarm", "alarm call"), ("XC4", None, "song, call"),
        ("XC5", "song", "song"), ("XC6", "call", "call"), ("XC7", "song", "song"),
    ]
]  # fmt: skip


@pytest.fixture
def build(small_mel):
    """Builds the evaluation set: XC5 was seen in training, XC6 cannot be decoded and XC7 has the sound of XC1."""

    def make_mels(recordings):
        content = {"XC7": "XC1"}
        mels = {r.id: CachedMel(Path(r.id), 10, content.get(r.id, r.id)) for r in recordings if r.id != "XC6"}
        build.made = [r.id for r in recordings]
        return mels, [UnusableFile(r.path, "is silent") for r in recordings if r.id == "XC6"]

    def build(keep_seen: bool):
        reasons = {"XC5": "the same number"}
        return build_evaluation_set(
            FOUND, ["song", "call"], lambda recording: reasons.get(recording.id, ""), keep_seen, make_mels, small_mel
        )

    return build


def test_every_recording_left_out_is_counted(build):
    evaluation_set = build(keep_seen=False)
    assert [recording.id for recording in evaluation_set.recordings] == list(evaluation_set.mels) == ["XC1", "XC2"]
    assert evaluation_set.unclear == {"song, call": 1} and evaluation_set.unknown_types == {"alarm": 1}
    assert [(recording.id, reason) for recording, reason in evaluation_set.seen] == [("XC5", "the same number")]
    assert [file.path.stem for file in evaluation_set.unusable] == ["XC6", "XC7"]
    assert build.made == ["XC1", "XC2", "XC6", "XC7"]


def test_recordings_seen_in_training_are_kept_on_request_and_still_counted(build):
    evaluation_set = build(keep_seen=True)
    assert [recording.id for recording in evaluation_set.recordings] == ["XC1", "XC2", "XC5"]
    assert len(evaluation_set.seen) == 1
