"""Outlines of recordings computed together are those of each alone, without the neighbour's sound."""

import numpy as np
import pytest

from birdnet_nl.data import outlines
from birdnet_nl.data.outlines import HeldBlocks, compute_blocks, outline


@pytest.fixture(scope="module")
def mels():
    rng = np.random.default_rng(0)
    return [rng.normal(level, 5, (64, frames)).astype(np.float16) for level, frames in ((0, 400), (40, 7), (-30, 923))]


@pytest.mark.parametrize("block", [1, 8, 11])
@pytest.mark.parametrize("together_frames", [1, 10_000])
def test_recordings_computed_together_have_the_levels_of_each_alone(mels, block, together_frames, monkeypatch):
    monkeypatch.setattr(outlines, "TOGETHER_FRAMES", together_frames)
    for mel, actual in zip(mels, compute_blocks(mels, block), strict=True):
        (expected,) = compute_blocks([mel], block)
        for name in ("rows", "levels", "levels_between"):
            np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), atol=1e-3)
        assert actual.levels.shape == (8, mel.shape[1] // block)


def test_a_broad_band_is_compared_with_its_surroundings_of_two_seconds():
    mel = np.zeros((64, 400), dtype=np.float32)
    mel[:32, 160:192] = 20  # four blocks in the lower half of the bands
    signs = outline(mel, 8)
    assert (signs[:4, 20:24] == 1).all()
    assert (signs[4:, 20:24] == -1).all()
    assert (signs[:4, 15:19] == -1).all()  # quieter than the average that contains the sound


def test_a_recording_shorter_than_a_block_has_an_empty_outline():
    assert outline(np.zeros((64, 3), dtype=np.float16), 8).shape == (8, 0)


def test_blocks_are_held_until_the_memory_for_them_is_full(mels, monkeypatch):
    blocks = dict(zip("abc", compute_blocks(mels, 8), strict=True))
    sizes = {id: own.rows.nbytes + own.levels.nbytes + own.levels_between.nbytes for id, own in blocks.items()}
    monkeypatch.setattr(outlines, "MAX_HELD_BYTES", sizes["a"] + sizes["b"])
    held = HeldBlocks()
    held.add(blocks)
    held.add(blocks)  # those that are held already take no further room
    assert held.by_id == {"a": blocks["a"], "b": blocks["b"]}
    assert held.n_bytes == sizes["a"] + sizes["b"]
