"""One file per content and parameters; whole or not at all; bad sound is listed, a bad disk is not taken for it."""

import errno
import os
import re
import shutil
import time
from dataclasses import fields, replace

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio import cache as cache_module
from birdnet_nl.audio.cache import cache_mel, cache_mels, content_hash, params_key, to_float16
from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import log_mel
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError

# for each parameter another value that is possible beside the rest of `small_mel`
OTHER = {
    "sample_rate_hz": 9000, "n_fft": 512, "hop_samples": 64, "n_mels": 20, "f_min_hz": 250.0, "f_max_hz": 3000.0,
    "normalisation": "band_median", "floor_db": -60.0, "ceiling_db": 1.0,
}  # fmt: skip


@pytest.fixture
def sound(tmp_path, make_sound):
    path = tmp_path / "XC1.wav"
    soundfile.write(path, make_sound("song", 0.5), 8000)
    return path


@pytest.fixture
def no_decoding(monkeypatch):
    """From the call on, decoding anything is a mistake."""

    def forbid():
        def refuse(*_):
            raise AssertionError("decoded again")

        monkeypatch.setattr(cache_module, "decode", refuse)

    return forbid


def recordings_of(paths) -> list[Recording]:
    return [Recording(path.stem, path, "merel", "song", "song") for path in paths]


def test_the_cached_mel_is_the_computed_one_and_mapped_from_disk(sound, small_mel, tmp_path):
    cached = cache_mel(sound, small_mel, tmp_path / "cache")
    mel = cached.load()
    assert isinstance(mel, np.memmap) and mel.dtype == np.float16 and not mel.flags.writeable
    assert mel.shape == (16, cached.frames)
    np.testing.assert_allclose(mel, log_mel(decode(sound, 8000), small_mel), atol=0.04)  # half a step of float16 at 100


def test_float16_is_numpys():
    mel = np.random.default_rng(0).uniform(-120, 60, (16, 1000)).astype(np.float32)
    np.testing.assert_array_equal(to_float16(mel), mel.astype(np.float16))


def test_the_second_time_nothing_is_decoded(sound, small_mel, tmp_path, no_decoding):
    first = cache_mel(sound, small_mel, tmp_path / "cache")
    no_decoding()
    assert cache_mel(sound, small_mel, tmp_path / "cache") == first


def test_using_a_mel_marks_it_as_used(sound, small_mel, tmp_path):
    target = cache_mel(sound, small_mel, tmp_path / "cache").path
    os.utime(target, (0, 0))
    cache_mel(sound, small_mel, tmp_path / "cache")
    assert time.time() - target.stat().st_mtime < 60


def test_the_key_is_the_content_not_the_name(sound, small_mel, tmp_path, no_decoding):
    first = cache_mel(sound, small_mel, tmp_path / "cache")
    moved = tmp_path / "elsewhere" / "other.wav"
    moved.parent.mkdir()
    shutil.copy(sound, moved)
    no_decoding()
    assert cache_mel(moved, small_mel, tmp_path / "cache") == first


def test_changed_content_gives_another_file(sound, small_mel, tmp_path, make_sound):
    first = cache_mel(sound, small_mel, tmp_path / "cache")
    soundfile.write(sound, make_sound("call", 0.5), 8000)
    second = cache_mel(sound, small_mel, tmp_path / "cache")
    assert (first.path, first.content) != (second.path, second.content)
    assert first.path.parent == second.path.parent
    assert not np.array_equal(first.load(), second.load())


def test_the_key_changes_with_every_parameter_and_with_the_format(small_mel, monkeypatch):
    assert set(OTHER) == {field.name for field in fields(small_mel)}
    above_median = {"normalisation": "band_median", "floor_db": -10.0}  # there the ceiling is free
    variants = [{name: value} for name, value in OTHER.items() if name != "ceiling_db"]
    variants += [above_median | {"ceiling_db": 40.0}, above_median | {"ceiling_db": 50.0}]
    keys = {params_key(replace(small_mel, **variant)) for variant in variants} | {params_key(small_mel)}
    assert len(keys) == len(variants) + 1
    assert params_key(replace(small_mel)) in keys
    monkeypatch.setattr(cache_module, "FORMAT_VERSION", cache_module.FORMAT_VERSION + 1)
    assert params_key(small_mel) not in keys


@pytest.mark.parametrize("keep", [0, 5, 60, 0.5, -1])
def test_a_half_written_file_is_made_again(sound, small_mel, tmp_path, keep):
    whole = cache_mel(sound, small_mel, tmp_path / "cache")
    content = whole.path.read_bytes()
    length = int(keep * len(content)) if 0 < keep < 1 else keep
    whole.path.write_bytes(content[:length])
    assert cache_mel(sound, small_mel, tmp_path / "cache") == whole
    assert whole.path.read_bytes() == content


def test_a_write_that_fails_leaves_nothing_behind(sound, small_mel, tmp_path, monkeypatch):
    def full(file, mel):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module.np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        cache_mels(recordings_of([sound]), small_mel, tmp_path / "cache", workers=1)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_files_that_give_no_mel_are_listed_with_the_reason(tmp_path, small_mel, make_sound):
    good = tmp_path / "good.wav"
    soundfile.write(good, make_sound("song", 0.5), 8000)
    (tmp_path / "corrupt.mp3").write_bytes(b"no sound at all" * 40)
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "silent.wav", np.zeros(800), 8000)
    names = ["silent.wav", "good.wav", "missing.mp3", "corrupt.mp3", "empty.wav"]
    recordings = recordings_of(tmp_path / name for name in names)
    seen = []
    mels, unusable = cache_mels(recordings, small_mel, tmp_path / "cache", 2, on_progress=lambda: seen.append(1))
    assert list(mels) == ["good"]
    assert [file.path.name for file in unusable] == ["silent.wav", "missing.mp3", "corrupt.mp3", "empty.wav"]
    for file, reason in zip(unusable, ["silent", "is not there", "cannot be decoded", "empty file"], strict=True):
        assert re.match(reason, file.reason)
    assert len(seen) == 5


def test_the_answer_does_not_depend_on_the_number_of_workers(tmp_path, small_mel, make_sound):
    paths = [tmp_path / f"XC{number}.wav" for number in range(12)]
    for number, path in enumerate(paths):
        soundfile.write(path, make_sound("song", 0.1 + 0.1 * (number % 5), seed=number), 8000)
    paths[3].write_bytes(b"x"), paths[8].write_bytes(b"")
    answers = []
    for workers in (1, 2, 5):
        mels, unusable = cache_mels(recordings_of(paths), small_mel, tmp_path / f"cache{workers}", workers)
        answers.append(([(id, mel.frames, mel.content, mel.path.read_bytes()) for id, mel in mels.items()], unusable))
    assert [id for id, *_ in answers[0][0]] == [path.stem for number, path in enumerate(paths) if number not in (3, 8)]
    assert answers[0] == answers[1] == answers[2]


def test_a_cache_that_cannot_be_written_is_not_taken_for_a_bad_sound(sound, small_mel, tmp_path):
    in_the_way = tmp_path / "cache"
    in_the_way.write_text("a file")
    with pytest.raises(OSError, match="cache") as info:
        cache_mels(recordings_of([sound]), small_mel, in_the_way, workers=2)
    assert not isinstance(info.value, DataError)


def test_no_permission_to_read_is_a_reason(sound, small_mel, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(cache_module, "content_hash", refuse)  # root may read everything, so chmod would not do
    mels, unusable = cache_mels(recordings_of([sound]), small_mel, tmp_path / "cache", workers=1)
    assert mels == {} and unusable[0].reason == "cannot be read (Permission denied)"


def test_two_processes_at_once_cannot_mix_their_bytes(sound, small_mel, tmp_path):
    copies = [tmp_path / f"copy{number}.wav" for number in range(8)]
    for copy in copies:
        shutil.copy(sound, copy)
    mels, unusable = cache_mels(recordings_of(copies), small_mel, tmp_path / "cache", workers=8)
    assert unusable == [] and len({mel.path for mel in mels.values()}) == 1
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 1
    assert [path for path in (tmp_path / "cache").rglob("*.part")] == []


def test_the_content_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert content_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de"  # the first digits that FIPS 180 gives for "abc"


def test_a_folder_called_like_a_sound_is_listed_too(sound, small_mel, tmp_path):
    (tmp_path / "XC2.mp3").mkdir()
    mels, unusable = cache_mels(recordings_of([sound, tmp_path / "XC2.mp3"]), small_mel, tmp_path / "cache", 1)
    assert list(mels) == ["XC1"] and [file.path.name for file in unusable] == ["XC2.mp3"]
