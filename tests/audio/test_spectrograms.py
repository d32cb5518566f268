"""Spectrograms are used as they are; those that are corrupt or of another shape are listed."""

import numpy as np
import pytest

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.audio.spectrograms import cache_spectrograms
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.segments import Segment
from birdnet_nl.recordings.spectrogram_folder import read_spectrogram_folder
from birdnet_nl.species.table import get_species

MEREL = get_species("merel")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(3)
    folder = tmp_path / "spectrograms-merel"
    for kind, ids in {"song": (1, 2), "call": (3, 4)}.items():
        (folder / kind).mkdir(parents=True)
        for id in ids:
            for number in range(3):
                segment = rng.random((128, 282), dtype=np.float32)
                segment.flat[:2] = 0, 1  # scaled to 0…1 as the original's are
                np.save(folder / kind / f"XC{id}_seg{number:03d}.npy", segment)
    return folder


def cached(folder, emsn_mel):
    recordings = read_spectrogram_folder(folder, MEREL)
    return cache_spectrograms(recordings, emsn_mel, folder.parent / "cache", 3.0)


def test_the_network_sees_each_file_as_it_is(folder, emsn_mel):
    import torch

    mels, unusable = cached(folder, emsn_mel)
    assert not unusable and mels["XC2"].frames == 3 * 282
    segments = [Segment("XC2", number * 282 / emsn_mel.frames_per_s) for number in range(3)]
    batch, _, _ = SegmentDataset(segments, mels, {"XC2": 0}, emsn_mel, 3.0).__getitems__([0, 1, 2])
    original = np.stack([np.load(folder / "song" / f"XC2_seg{number:03d}.npy") for number in range(3)])
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
def test_a_damaged_file_is_listed_and_its_recording_keeps_the_others(folder, emsn_mel, damage, reason):
    damage(folder / "song" / "XC1_seg001.npy")
    mels, (file,) = cached(folder, emsn_mel)
    assert file.path.name == "XC1_seg001.npy" and reason in file.reason
    assert mels["XC1"].frames == 2 * 282 and mels["XC2"].frames == 3 * 282
