"""Known sound files are neither read nor hashed again; changed ones are."""

import os
import time

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio import cache as cache_module
from birdnet_nl.audio.cache import cache_mels, mel_dir, write_mel
from birdnet_nl.audio.mel_index import FOLDER
from birdnet_nl.recordings.recording import Recording


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that were read and hashed."""
    names, content_hash = [], cache_module.content_hash
    monkeypatch.setattr(cache_module, "content_hash", lambda path: names.append(path.name) or content_hash(path))
    return names


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Takes files that the tests have just written for old ones."""
    monkeypatch.setattr("birdnet_nl.audio.mel_index.SETTLED_S", -1.0)


@pytest.fixture
def mels(tmp_path, small_mel, make_sound):
    """Returns the mels of two files in a folder."""
    paths = [tmp_path / name for name in ("XC1.wav", "XC2.wav")]
    for path, name in zip(paths, ("song", "call"), strict=True):
        soundfile.write(path, make_sound(name, 0.5), 8000)
    recordings = [Recording(path.stem, path, "merel", "song", "song") for path in paths]
    return lambda: cache_mels(recordings, small_mel, tmp_path / "cache", workers=2)


def test_known_files_are_not_read_again(mels, hashed):
    first = mels()
    assert mels() == first and sorted(hashed) == ["XC1.wav", "XC2.wav"]


def test_a_file_changed_to_the_same_size_and_time_is_noticed(mels, hashed, tmp_path):
    before, _ = mels()
    path = tmp_path / "XC1.wav"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    time.sleep(0.02)  # the resolution of the times
    path.write_bytes(content)
    os.utime(path, ns=times)
    after, _ = mels()
    assert after["XC1"].content != before["XC1"].content and after["XC2"] == before["XC2"]
    assert hashed.count("XC1.wav") == 2 and hashed.count("XC2.wav") == 1


def test_a_file_of_this_moment_is_not_remembered(mels, hashed, monkeypatch):
    monkeypatch.setattr("birdnet_nl.audio.mel_index.SETTLED_S", 60.0)
    mels()
    mels()
    assert len(hashed) == 4


@pytest.mark.parametrize("damage", ["missing", "cut", "not finite"])
def test_a_mel_that_was_changed_is_made_again(mels, damage):
    before, _ = mels()
    path = before["XC1"].path
    original = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(original[:-10])
    else:
        write_mel(np.full_like(before["XC1"].load(), np.nan), path)
    after, _ = mels()
    assert after == before and path.read_bytes() == original


@pytest.mark.parametrize("content", ["", "[]", '{"XC1.wav": 1}', '{"XC1.wav": [[1], [2]]}', '{"XC1.wav": [[1], [2], 3'])
def test_a_damaged_index_is_made_again(mels, hashed, content, tmp_path, small_mel):
    before = mels()
    (file,) = (mel_dir(small_mel, tmp_path / "cache") / FOLDER).iterdir()
    file.write_text(content)
    assert mels() == before and len(hashed) >= 3
    del hashed[:]
    assert mels() == before and hashed == []


def test_a_mel_in_use_is_marked_for_prune(mels):
    before, _ = mels()
    path = before["XC1"].path
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    mels()
    assert path.stat().st_atime > 0
