"""Copies of a sound are left out with the reason, and a split that shares anything is refused."""

import shutil
from functools import partial

import pytest
import soundfile

from birdnet_nl.audio.cache import CachedMel, cache_mels
from birdnet_nl.data.deduplicate import assert_disjoint, remove_duplicates
from birdnet_nl.data.near_duplicates import NearDuplicate
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import get_species


@pytest.fixture
def folder(tmp_path, sing):
    """Three recordings of song and two of call, four seconds each."""
    folder = tmp_path / "xeno-canto-merel"
    for number, kind in enumerate(["song", "song", "song", "call", "call"], start=1):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / kind / f"XC{number}.wav", sing(number, 4.0, 8000), 8000)
    return folder


@pytest.fixture
def leave_out(tmp_path, small_mel):
    """Reads a species folder and leaves copies out: the ids kept, the reasons by file name, the pairs."""

    def left(folder):
        found = read_species_folder(folder, get_species("merel"))
        mels, _ = cache_mels(found, small_mel, tmp_path / "cache", workers=1)
        kept, left_out, same = remove_duplicates(found, mels, small_mel)
        return {recording.id for recording in kept}, {file.path.name: file.reason for file in left_out}, same

    return left


def write_again(source, target, start_s=0.0):
    """The same sound as mp3, `start_s` later."""
    samples, rate_hz = soundfile.read(source, dtype="float32")
    soundfile.write(target, samples[round(start_s * rate_hz) :], rate_hz, format="MP3")


def test_different_recordings_are_all_kept(folder, leave_out):
    assert leave_out(folder) == ({f"XC{number}" for number in range(1, 6)}, {}, [])


def test_of_near_duplicates_the_longest_is_kept(folder, leave_out):
    write_again(folder / "song/XC1.wav", folder / "song/XC0.mp3", start_s=0.5)
    kept, reasons, same = leave_out(folder)
    assert kept == {f"XC{number}" for number in range(1, 6)}
    assert reasons == {"XC0.mp3": "holds the same sound as XC1.wav"}
    assert [{pair.first, pair.second} for pair in same] == [{"XC0", "XC1"}]


def test_near_duplicates_of_two_types_are_all_left_out(folder, leave_out):
    write_again(folder / "song/XC1.wav", folder / "call/XC9.mp3")
    kept, reasons, _ = leave_out(folder)
    assert kept == {"XC2", "XC3", "XC4", "XC5"}
    assert set(reasons) == {"XC1.wav", "XC9.mp3"}
    assert all(
        reason.startswith("the same sound has two types (") and "call/XC9.mp3" in reason and "song/XC1.wav" in reason
        for reason in reasons.values()
    )


def test_two_excerpts_and_a_copy_of_one_recording_count_once(folder, leave_out):
    write_again(folder / "song/XC1.wav", folder / "song/XC7.mp3", start_s=0.5)
    write_again(folder / "song/XC1.wav", folder / "song/XC8.mp3", start_s=0.25)
    shutil.copy(folder / "song/XC1.wav", folder / "song/XC9.wav")
    kept, reasons, _ = leave_out(folder)
    assert kept & {"XC7", "XC8"} == set() and len(kept & {"XC1", "XC9"}) == 1
    assert sorted(reason.split(" XC")[0] for reason in reasons.values()) == [
        "has the same content as", "holds the same sound as", "holds the same sound as",
    ]  # fmt: skip


@pytest.fixture
def check(tmp_path):
    """Looks at four recordings by four people in two splits, with what the arguments change."""

    def recording(id):
        return Recording(id, tmp_path / f"{id}.wav", "merel", "song", "song", recordist=f"person {id}")

    def looked(recordings=None, contents="abcd", same=(), train=("XC1", "XC2"), test=("XC3", "XC4")):
        recordings = recordings or [recording(f"XC{number}") for number in range(1, 5)]
        mels = {r.id: CachedMel(tmp_path, 9, content) for r, content in zip(recordings, contents, strict=True)}
        assert_disjoint(recordings, mels, same, {"train": train, "test": test})

    looked.recording = recording
    return looked


def test_splits_that_share_nothing_pass(check):
    check(same=[NearDuplicate("XC1", "XC2", 0.9), NearDuplicate("XC4", "XC9", 0.9)])


def test_a_split_that_shares_anything_is_refused(check, tmp_path):
    one_person = [Recording(f"XC{n}", tmp_path, "merel", "song", "song", recordist="Jan") for n in range(1, 5)]
    for shared, leaking in {
        "recording:XC2": partial(check, test=("XC2", "XC3")),
        "recordist:jan": partial(check, recordings=one_person),
        "content:a": partial(check, contents="abca"),
        "sound:XC1 and XC3": partial(check, same=[NearDuplicate("XC1", "XC3", 0.9)]),
    }.items():
        with pytest.raises(AssertionError, match=f"^split leaks: .*{shared}.* on more than one side$"):
            leaking()
