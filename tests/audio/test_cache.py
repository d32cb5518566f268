"""Mel cache: one file per content and parameters, atomic writes, unusable files listed, disk errors raised."""

import errno
import os
import re
import shutil
import threading
import time
from dataclasses import fields, replace

import numpy as np
import pytest
import soundfile
import torch

from birdnet_nl.audio import cache as cache_module
from birdnet_nl.audio.cache import cache_mel, cache_mels, cache_spectrograms, content_hash, params_key, to_float16
from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import Normalise, log_mel
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.segments import Segment
from birdnet_nl.recordings.folder import read_spectrogram_folder
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError

# another valid value of each parameter of `small_mel`
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
    """A function after whose call decoding fails the test."""

    def forbid():
        monkeypatch.setattr(cache_module, "decode_sound", lambda *_: pytest.fail("decoded again"))

    return forbid


def recordings_of(paths) -> list[Recording]:
    return [Recording(path.stem, path, "merel", "song", "song") for path in paths]


def test_the_cached_mel_equals_the_computed_one_and_is_mapped_from_disk(sound, small_mel, tmp_path):
    cached = cache_mel(sound, small_mel, tmp_path / "cache")
    mel = cached.load()
    assert isinstance(mel, np.memmap) and mel.dtype == np.float16 and not mel.flags.writeable
    assert mel.shape == (16, cached.frames)
    np.testing.assert_allclose(mel, log_mel(decode(sound, 8000), small_mel), atol=0.04)  # half a step of float16 at 100


def test_float16_equals_numpys():
    mel = np.random.default_rng(0).uniform(-120, 60, (16, 1000)).astype(np.float32)
    np.testing.assert_array_equal(to_float16(mel), mel.astype(np.float16))


def test_a_cached_mel_is_not_decoded_again(sound, small_mel, tmp_path, no_decoding):
    first = cache_mel(sound, small_mel, tmp_path / "cache")
    moved = tmp_path / "elsewhere" / "other.wav"  # the key is the content, not the name
    moved.parent.mkdir()
    shutil.copy(sound, moved)
    os.utime(first.path, (0, 0))
    no_decoding()
    assert cache_mel(sound, small_mel, tmp_path / "cache") == first == cache_mel(moved, small_mel, tmp_path / "cache")
    assert time.time() - first.path.stat().st_mtime < 60  # the time of last use


def test_changed_content_gives_a_new_file(sound, small_mel, tmp_path, make_sound):
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
def test_a_truncated_file_is_recomputed(sound, small_mel, tmp_path, keep):
    whole = cache_mel(sound, small_mel, tmp_path / "cache")
    content = whole.path.read_bytes()
    length = int(keep * len(content)) if 0 < keep < 1 else keep
    whole.path.write_bytes(content[:length])
    assert cache_mel(sound, small_mel, tmp_path / "cache") == whole
    assert whole.path.read_bytes() == content


def test_a_failed_write_leaves_no_file(sound, small_mel, tmp_path, monkeypatch):
    def full(file, mel):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module.np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        cache_mels(recordings_of([sound]), small_mel, tmp_path / "cache", workers=1)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_unusable_files_are_listed_with_the_reason(tmp_path, small_mel, make_sound):
    good = tmp_path / "good.wav"
    soundfile.write(good, make_sound("song", 0.5), 8000)
    (tmp_path / "corrupt.mp3").write_bytes(b"no sound at all" * 40)
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "silent.wav", np.zeros(800), 8000)
    (tmp_path / "folder.mp3").mkdir()
    names = ["silent.wav", "good.wav", "missing.mp3", "corrupt.mp3", "empty.wav", "folder.mp3"]
    recordings = recordings_of(tmp_path / name for name in names)
    seen = []
    mels, unusable = cache_mels(recordings, small_mel, tmp_path / "cache", 2, on_progress=lambda: seen.append(1))
    assert list(mels) == ["good"]
    assert [(file.path.name, re.split(r" [(\[]", file.reason)[0]) for file in unusable] == [
        ("silent.wav", "silent"), ("missing.mp3", "does not exist"), ("corrupt.mp3", "cannot be decoded"),
        ("empty.wav", "empty file"), ("folder.mp3", "cannot be read"),
    ]  # fmt: skip
    assert len(seen) == 6


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path, small_mel, make_sound):
    paths = [tmp_path / f"XC{number}.wav" for number in range(12)]
    for number, path in enumerate(paths):
        soundfile.write(path, make_sound("song", 0.1 + 0.1 * (number % 5), seed=number), 8000)
    paths[3].write_bytes(b"x"), paths[8].write_bytes(b"")
    results = []
    for workers in (1, 2, 5):
        mels, unusable = cache_mels(recordings_of(paths), small_mel, tmp_path / f"cache{workers}", workers)
        results.append(([(id, mel.frames, mel.content, mel.path.read_bytes()) for id, mel in mels.items()], unusable))
    assert [id for id, *_ in results[0][0]] == [path.stem for number, path in enumerate(paths) if number not in (3, 8)]
    assert results[0] == results[1] == results[2]


def test_an_unwritable_cache_raises_and_is_not_an_unusable_file(sound, small_mel, tmp_path):
    in_the_way = tmp_path / "cache"
    in_the_way.write_text("a file")
    with pytest.raises(OSError, match="cache") as info:
        cache_mels(recordings_of([sound]), small_mel, in_the_way, workers=2)
    assert not isinstance(info.value, DataError)


def test_a_file_without_read_permission_is_unusable(sound, small_mel, tmp_path, monkeypatch):
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


@pytest.fixture
def spectrogram_folder(tmp_path):
    rng = np.random.default_rng(3)
    folder = tmp_path / "spectrograms-merel"
    for kind, ids in {"song": (1, 2), "call": (3, 4)}.items():
        (folder / kind).mkdir(parents=True)
        for id in ids:
            for number in range(3):
                segment = rng.random((128, 282), dtype=np.float32)
                segment.flat[:2] = 0, 1  # scaled to 0…1, as the original's spectrograms are
                np.save(folder / kind / f"XC{id}_seg{number:03d}.npy", segment)
    return folder


def cached_spectrograms(folder, emsn_mel):
    recordings = read_spectrogram_folder(folder, get_species("merel"))
    return cache_spectrograms(recordings, emsn_mel, folder.parent / "cache", 3.0)


def test_spectrograms_reach_the_network_unchanged(spectrogram_folder, emsn_mel):
    mels, unusable = cached_spectrograms(spectrogram_folder, emsn_mel)
    assert not unusable and mels["XC2"].frames == 3 * 282
    segments = [Segment("XC2", number * 282 / emsn_mel.frames_per_s) for number in range(3)]
    batch, _, _ = SegmentDataset(segments, mels, {"XC2": 0}, emsn_mel, 3.0).__getitems__([0, 1, 2])
    original = np.stack([np.load(spectrogram_folder / "song" / f"XC2_seg{number:03d}.npy") for number in range(3)])
    torch.testing.assert_close(Normalise(emsn_mel)(batch), torch.from_numpy(original), atol=5e-4, rtol=0)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"no array"), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: np.save(path, np.zeros((128, 94), np.float32)), "has the shape 128 × 94, expected 128 × 282"),
        (lambda path: np.save(path, np.full((128, 282), np.nan, np.float32)), "not finite numbers"),
        (lambda path: np.save(path, np.array([{}], dtype=object)), "cannot be read"),
    ],
)
def test_a_damaged_spectrogram_is_listed_and_its_recording_keeps_the_others(
    spectrogram_folder, emsn_mel, damage, reason
):
    damage(spectrogram_folder / "song" / "XC1_seg001.npy")
    mels, (file,) = cached_spectrograms(spectrogram_folder, emsn_mel)
    assert file.path.name == "XC1_seg001.npy" and reason in file.reason
    assert mels["XC1"].frames == 2 * 282 and mels["XC2"].frames == 3 * 282


def test_an_interruption_does_not_wait_for_the_files_that_are_decoded(make_sound, small_mel, tmp_path, monkeypatch):
    release, started = threading.Event(), threading.Event()

    def wait(path, params, cache_dir):
        started.set()
        release.wait(20)

    def interrupt(futures):
        started.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module, "cache_mel", wait)
    monkeypatch.setattr(cache_module, "as_completed", interrupt)
    recording = Recording("XC1", tmp_path / "XC1.wav", "merel", "song", "song")
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cache_mels([recording], small_mel, tmp_path / "cache", 1)
    assert time.monotonic() - began < 10
    release.set()
