"""Multi-label recordings are used for training only, and never together with anything that is evaluated."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.data.multilabel import MultilabelRecordings, find_multilabel, multilabel_batch_of
from birdnet_nl.data.prepare import prepare_recordings
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import THREE, three
from birdnet_nl.species.table import get_species

RATE_HZ = 16000
SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture(scope="module")
def plain(tmp_path_factory, make_recordings_folder, sing) -> list[Recording]:
    """Six songs and six calls by a person each; the first is six seconds long."""
    folder = make_recordings_folder(tmp_path_factory.mktemp("plain"), "merel", {"song": 6, "call": 6}, duration_s=0.5)
    recordings = read_species_folder(folder, get_species("merel"), THREE)
    soundfile.write(recordings[0].path, sing(5, 6.0, RATE_HZ), RATE_HZ)
    return [replace(recording, recordist=f"Person {index}") for index, recording in enumerate(recordings)]


@pytest.fixture
def find(plain, tmp_path, wide_mel, sing) -> Callable[..., MultilabelRecordings]:
    """Finds multi-label recordings among the plain ones and one more file, which the arguments describe."""

    def find(path: Path | None = None, flight_call: str = "call", split: str = "", **fields) -> MultilabelRecordings:
        make_mels = partial(cache_mels, params=wide_mel, cache_dir=tmp_path / "cache", workers=1)
        prepared = prepare_recordings(plain, ["song", "call"], make_mels, wide_mel, SHARES, 3, 1, "merel")
        if path is None:
            path = tmp_path / "XC99.wav"
            soundfile.write(path, sing(99, 3.0, RATE_HZ), RATE_HZ)
        if split:
            fields["recordist"] = next(r.recordist for r in plain if prepared.splits[r.id] == split)
        fields = {"type_text": "call, song", "recordist": "Somebody else", **fields}
        recording = Recording("XC99", path, "merel", None, **fields)
        return find_multilabel([*plain, recording], prepared, make_mels, wide_mel, three(flight_call))

    return find


def test_a_recording_has_all_the_types_it_names(find):
    multilabel = find()
    assert [recording.id for recording in multilabel.recordings] == ["XC99"] == list(multilabel.mels)
    assert multilabel.types == {"XC99": ["song", "call"]}
    assert find(split="train").types == {"XC99": ["song", "call"]}


@pytest.mark.parametrize("split", ["val", "test"])
def test_recordists_of_validation_and_test_are_left_out(find, split):
    assert find(split=split) == MultilabelRecordings()


@pytest.mark.parametrize("text", ["alarm call, song", "uncertain", "drumming", "", "call?"])
def test_unknown_and_unclear_types_are_left_out(find, text):
    assert find(type_text=text) == MultilabelRecordings()


def test_flight_calls_follow_their_rule(find):
    assert find(type_text="flight call, song").types == {"XC99": ["song", "call"]}
    assert find(type_text="flight call, song", flight_call="leave_out").types == {"XC99": ["song"]}


def test_duplicates_of_a_recording_of_one_type_are_left_out_with_the_reason(find, plain, tmp_path):
    reason = "holds the same sound as a recording of one type"
    assert reasons_of(find(path=plain[1].path)) == {plain[1].path.name: reason}
    samples, _ = soundfile.read(plain[0].path, dtype="float32")
    soundfile.write(tmp_path / "excerpt.wav", samples[RATE_HZ : 5 * RATE_HZ], RATE_HZ)
    multilabel = find(path=tmp_path / "excerpt.wav")
    assert reasons_of(multilabel) == {"excerpt.wav": reason}
    assert not multilabel.recordings


def reasons_of(multilabel):
    return {file.path.name: file.reason for file in multilabel.unusable}


def test_a_file_that_cannot_be_decoded_is_left_out_with_the_reason(find, tmp_path):
    (tmp_path / "XC98.mp3").write_bytes(b"no sound")
    multilabel = find(path=tmp_path / "XC98.mp3")
    assert reasons_of(multilabel)["XC98.mp3"].startswith("cannot be decoded")
    assert not multilabel.recordings


def test_faults_of_a_file_that_is_used_are_known(find, tmp_path, sing):
    soundfile.write(tmp_path / "XC97.wav", sing(99, 3.0, RATE_HZ), RATE_HZ)
    content = (tmp_path / "XC97.wav").read_bytes()
    (tmp_path / "XC97.wav").write_bytes(content[: len(content) * 2 // 3])
    warnings = find(path=tmp_path / "XC97.wav").warnings
    assert "cut off after 2.0 s" in warnings[tmp_path / "XC97.wav"]


def test_the_batch_joins_the_embeddings_and_shares_of_all_recordings(tmp_path):
    recordings = [Recording(id, tmp_path, "merel", None, "") for id in ("XC1", "XC2")]
    types = {"XC1": ["song", "call"], "XC2": ["alarm"]}
    embeddings = {"XC1": np.zeros((2, 5), np.float16), "XC2": np.ones((3, 5), np.float16)}
    batch = multilabel_batch_of(MultilabelRecordings(recordings, {}, types), embeddings, ["song", "call", "alarm"])
    assert batch.segments.shape == (5, 5) and batch.segments[:2].sum() == 0
    assert batch.shares.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    assert batch.recordings.tolist() == [0, 0, 1, 1, 1]
    assert multilabel_batch_of(MultilabelRecordings(), embeddings, ["song", "call", "alarm"]) is None
