"""Duplicates are removed with the reason, and splits that share anything raise."""

import shutil
from functools import partial

import pytest
import soundfile

from birdnet_nl.audio.cache import CachedMel, cache_mels
from birdnet_nl.data.deduplicate import _connect, assert_disjoint, remove_duplicates
from birdnet_nl.data.near_duplicates import NearDuplicate
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import get_species


@pytest.fixture
def folder(tmp_path, sing):
    """Three recordings of song and two of call, four seconds each."""
    folder = tmp_path / "xeno-canto-merel"
    for number, name in enumerate(["song", "song", "song", "call", "call"], start=1):
        (folder / name).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name / f"XC{number}.wav", sing(number, 4.0, 8000), 8000)
    return folder


@pytest.fixture
def deduplicate(folder, tmp_path, small_mel):
    """Removes the duplicates of the folder: returns the ids kept, the reasons by file name, and the pairs."""

    def deduplicate():
        recordings = read_species_folder(folder, get_species("merel"))
        mels, _ = cache_mels(recordings, small_mel, tmp_path / "cache", workers=1)
        kept, left_out, pairs = remove_duplicates(recordings, mels, small_mel)
        return {recording.id for recording in kept}, {file.path.name: file.reason for file in left_out}, pairs

    return deduplicate


def write_as_mp3(source, target, start_s=0.0):
    """Write the same sound as mp3, without its first `start_s`."""
    samples, rate_hz = soundfile.read(source, dtype="float32")
    soundfile.write(target, samples[round(start_s * rate_hz) :], rate_hz, format="MP3")


def test_different_recordings_are_all_kept(deduplicate):
    assert deduplicate() == ({f"XC{number}" for number in range(1, 6)}, {}, [])


def test_the_longest_of_near_duplicates_is_kept(folder, deduplicate):
    write_as_mp3(folder / "song/XC1.wav", folder / "song/XC0.mp3", start_s=0.5)
    kept, reasons, pairs = deduplicate()
    assert kept == {f"XC{number}" for number in range(1, 6)}
    assert reasons == {"XC0.mp3": "holds the same sound as XC1.wav"}
    assert [{pair.first, pair.second} for pair in pairs] == [{"XC0", "XC1"}]


def test_near_duplicates_of_different_types_are_all_left_out(folder, deduplicate):
    write_as_mp3(folder / "song/XC1.wav", folder / "call/XC9.mp3")
    kept, reasons, _ = deduplicate()
    assert kept == {"XC2", "XC3", "XC4", "XC5"} and set(reasons) == {"XC1.wav", "XC9.mp3"}
    for reason in reasons.values():
        assert reason.startswith("the same sound has two types (")
        assert "call/XC9.mp3" in reason and "song/XC1.wav" in reason


def test_two_excerpts_and_an_equal_file_of_one_recording_count_once(folder, deduplicate):
    write_as_mp3(folder / "song/XC1.wav", folder / "song/XC7.mp3", start_s=0.5)
    write_as_mp3(folder / "song/XC1.wav", folder / "song/XC8.mp3", start_s=0.25)
    shutil.copy(folder / "song/XC1.wav", folder / "song/XC9.wav")
    kept, reasons, _ = deduplicate()
    assert not kept & {"XC7", "XC8"} and len(kept & {"XC1", "XC9"}) == 1
    assert sorted(reason.split(" XC")[0] for reason in reasons.values()) == [
        "has the same content as", "holds the same sound as", "holds the same sound as",
    ]  # fmt: skip


@pytest.fixture
def check(tmp_path):
    """Checks four recordings by four people in two splits; the arguments change these."""

    def check(people=("Ann", "Ben", "Cas", "Dik"), contents="abcd", pairs=(), test=("XC3", "XC4")):
        recordings = [
            Recording(f"XC{number}", tmp_path, "merel", "song", "song", recordist=person)
            for number, person in enumerate(people, start=1)
        ]
        mels = {r.id: CachedMel(tmp_path, 9, content) for r, content in zip(recordings, contents, strict=True)}
        assert_disjoint(recordings, mels, pairs, {"train": ("XC1", "XC2"), "test": test})

    return check


def test_splits_that_share_nothing_are_accepted(check):
    check(pairs=[NearDuplicate("XC1", "XC2", 0.9), NearDuplicate("XC4", "XC9", 0.9)])


def test_splits_that_share_anything_raise(check):
    for shared, leaking in {
        "recording:XC2": partial(check, test=("XC2", "XC3")),
        "recordist:jan": partial(check, people=["Jan"] * 4),
        "content:a": partial(check, contents="abca"),
        "sound:XC1 and XC3": partial(check, pairs=[NearDuplicate("XC1", "XC3", 0.9)]),
    }.items():
        with pytest.raises(AssertionError, match=f"^split leaks: .*{shared}.* in more than one split$"):
            leaking()


def test_recordings_connected_by_pairs_are_one_sound():
    chain = [NearDuplicate(f"XC{n + 1}", f"XC{n}", 0.9) for n in (5, 7, 6, 1, 2)]
    assert _connect([*chain, NearDuplicate("XC8", "XC5", 0.9)]) == {
        **dict.fromkeys(("XC1", "XC2", "XC3"), "XC1"),
        **dict.fromkeys(("XC5", "XC6", "XC7", "XC8"), "XC5"),
    }
    star = [NearDuplicate("XC0", f"XC{n}", 0.9) for n in range(20_000)]  # takes minutes where sets are copied
    assert set(_connect(star).values()) == {"XC0"}
