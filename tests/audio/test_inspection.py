"""Inspection of synthesised files with known duration, peak, clipping and defects."""

import json
import os

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio import inspection
from birdnet_nl.audio.cache import cache_mel, content_hash
from birdnet_nl.audio.decode import decode, decode_blocks
from birdnet_nl.audio.inspection import FactsCache, FileFacts, inspect_file, inspect_files
from birdnet_nl.util.errors import DataError

RATE_HZ = 8000


@pytest.fixture
def write(tmp_path):
    def write(name: str, samples: np.ndarray, **options) -> object:
        path = tmp_path / name
        soundfile.write(path, samples, RATE_HZ, **options)
        return path

    return write


def tone(duration_s: float = 1.0, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * 443.7 * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_good_file_is_measured(write, suffix):
    path = write(f"good{suffix}", np.stack([tone(25.3), tone(25.3, 0.25)], axis=1))
    facts = inspect_file(path)
    assert facts.reason == "" and not facts.cut
    assert facts.duration_s == pytest.approx(25.3, abs=0.15)
    assert (facts.sample_rate_hz, facts.channels) == (RATE_HZ, 2)
    assert facts.peak == pytest.approx(0.5, abs=0.1)
    assert facts.clipped_share == 0.0
    assert facts.content.startswith(content_hash(path))  # the hash by which training detects duplicates


def test_clipping_is_a_share_of_the_samples(write):
    facts = inspect_file(write("clipped.wav", tone(2.0, peak=1.5).clip(-1, 1), subtype="FLOAT"))
    by_hand = 1 - 2 / np.pi * np.arcsin(0.999 / 1.5)  # of a sine wave, the part of the time above the level
    assert facts.clipped_share == pytest.approx(by_hand, abs=0.005)
    assert inspect_file(write("loud.wav", tone(2.0, peak=0.99))).clipped_share == 0.0


def test_unusable_files_give_the_reason_of_decode(write, tmp_path):
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "corrupt.mp3").write_bytes(b"<html>Too many requests</html>")
    (tmp_path / "short.flac").write_bytes(write("whole.flac", tone(2.0)).read_bytes()[:60])
    write("silent.wav", tone(peak=1e-5))
    write("none.wav", tone(0.0))
    write("nan.wav", np.where(np.arange(800) == 400, np.nan, tone(0.1)).astype(np.float32), subtype="FLOAT")
    bad = ("empty.mp3", "corrupt.mp3", "short.flac", "silent.wav", "none.wav", "nan.wav")
    for name in bad:
        with pytest.raises(DataError) as error:
            decode(tmp_path / name, RATE_HZ)
        assert inspect_file(tmp_path / name).reason == str(error.value), name
    assert inspect_file(tmp_path / "absent.mp3").reason == "does not exist"


def test_an_mp3_that_ends_too_early_is_cut(write, tmp_path):
    data = write("whole.mp3", tone(5.0)).read_bytes()
    (tmp_path / "cut.mp3").write_bytes(data[: len(data) // 2])
    assert not inspect_file(tmp_path / "whole.mp3").cut
    assert inspect_file(tmp_path / "cut.mp3").cut


def test_the_sound_hash_does_not_depend_on_the_container(write):
    samples = (tone(1.0) * 32767).astype(np.int16)
    first, second = inspect_file(write("a.wav", samples)), inspect_file(write("b.flac", samples))
    assert first.sound == second.sound and first.content != second.content
    assert inspect_file(write("c.wav", samples // 2)).sound != first.sound


def test_decoded_blocks_concatenate_to_the_whole_file(write):
    samples = tone(3.3)
    path = write("whole.wav", samples, subtype="FLOAT")
    blocks = [(block.copy(), rate_hz) for block, rate_hz in decode_blocks(path, block_s=1.0)]
    assert [len(block) for block, _ in blocks] == [8000, 8000, 8000, 2400]
    assert {rate_hz for _, rate_hz in blocks} == {RATE_HZ}
    np.testing.assert_array_equal(np.concatenate([block[:, 0] for block, _ in blocks]), samples)


def test_a_second_inspection_decodes_nothing(write, tmp_path, monkeypatch):
    paths = [write(f"{number}.wav", tone(0.2, 0.1 * number)) for number in range(1, 5)]
    (tmp_path / "empty.mp3").touch()
    paths.append(tmp_path / "empty.mp3")
    seen = []
    store = tmp_path / "cache" / "facts.jsonl"
    first = inspect_files(paths, FactsCache(store), 2, lambda: seen.append(1))
    assert len(first) == len(seen) == 5
    monkeypatch.setattr(inspection, "inspect_file", lambda path: pytest.fail(f"{path} was decoded again"))
    assert inspect_files(paths, FactsCache(store), 2, lambda: seen.append(1)) == first
    assert len(seen) == 10


def test_a_changed_file_is_inspected_again(write, tmp_path):
    path = write("a.wav", tone(0.2))
    store = tmp_path / "facts.jsonl"
    inspect_files([path], FactsCache(store), 1)
    write("a.wav", tone(0.4))
    assert inspect_files([path], FactsCache(store), 1)[path].duration_s == 0.4
    os.utime(path, ns=(1, 1))
    assert FactsCache(store).get(path) is None


def test_truncated_lines_and_other_formats_in_the_store_are_skipped(write, tmp_path):
    path = write("a.wav", tone(0.2))
    store = tmp_path / "facts.jsonl"
    facts = inspect_files([path], FactsCache(store), 1)[path]
    line = store.read_text()
    store.write_text(line + line.replace('"format": 2', '"format": 0').replace("0.2", "9.9") + "[]\n" + line[:40])
    assert FactsCache(store).get(path) == facts


def test_a_store_of_outdated_lines_is_compacted(tmp_path, write):
    path = write("a.wav", tone(0.2))
    store = tmp_path / "facts.jsonl"
    cache = FactsCache(store)
    for _ in range(120):
        cache.add(path, FileFacts(reason="old"))
    inspect_files([path], FactsCache(store), 1)
    lines = store.read_text().splitlines()
    assert len(lines) == 1 and json.loads(lines[0])["facts"]["reason"] == "old"


def test_an_unreadable_file_gives_the_reason_of_the_mel_cache(tmp_path, small_mel):
    folder = tmp_path / "folder.mp3"
    folder.mkdir()
    (folder / "XC1.mp3").touch()  # otherwise the size of the folder could be 0
    reason = inspect_file(folder).reason
    assert reason.startswith("cannot be read (")
    with pytest.raises(DataError) as error:
        cache_mel(folder, small_mel, tmp_path / "cache")
    assert str(error.value) == reason


def test_what_is_wrong_with_a_file_is_found_again_after_pyav_was_installed(write, tmp_path, monkeypatch):
    good, bad, store = write("a.wav", tone()), tmp_path / "b.m4a", tmp_path / "facts.jsonl"
    bad.write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
    monkeypatch.setattr(inspection, "has_av", lambda: False)
    before = inspect_files([good, bad], FactsCache(store), 1)
    assert FactsCache(store).get(bad) == before[bad] != FileFacts()
    monkeypatch.setattr(inspection, "has_av", lambda: True)
    assert FactsCache(store).get(bad) is None
    assert FactsCache(store).get(good) == before[good]
    inspect_files([bad], FactsCache(store), 1)
    assert FactsCache(store).get(bad) is not None
