"""Outlines of recordings: whether each broad band is louder or quieter than its surroundings, eight times per second.

Many recordings are computed together, one after the other in one array. Levels are relative to the recording itself, so
that loudness, frequency response and front end have little influence.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from birdnet_nl.audio.cache import to_float16

OUTLINE_BANDS = 8
OUTLINE_ROWS = 4  # one mel band in this many is read for the outline
OUTLINES_PER_S = 8.0
SURROUNDINGS_S = 2.0
BELOW_MEDIAN_DB = 3.0  # lower levels are clipped, because mp3 removes quiet sound
ABOVE_MEDIAN_DB = 30.0
TOGETHER_FRAMES = 40_000  # of recordings computed together, to bound memory; a longer one is computed alone
MAX_HELD_BYTES = 300_000_000  # of blocks held for another search; some 20 kB for a recording of 20 s


@dataclass(frozen=True)
class Blocks:
    """Levels of one recording, averaged over blocks of frames.

    Attributes:
        rows: one mel band in `OUTLINE_ROWS` averaged over half a block, dB as in `band_levels`, float16 [rows, halves].
        levels, levels_between: of broad bands above their surroundings, float32 [bands, blocks]; their sign is the
            outline, and that of blocks half a block later.
    """

    rows: np.ndarray
    levels: np.ndarray
    levels_between: np.ndarray

    @property
    def outline(self) -> np.ndarray:
        """The outline: 1 where a broad band is louder than its surroundings, else -1; int8 [bands, blocks]."""
        return np.sign(self.levels).astype(np.int8)


class HeldBlocks:
    """Blocks by recording id, held for another search with the same front end, up to `MAX_HELD_BYTES`."""

    def __init__(self) -> None:
        self.by_id: dict[str, Blocks] = {}
        self.n_bytes = 0

    def add(self, blocks: Mapping[str, Blocks]) -> None:
        """Hold further blocks, as many as there is room for."""
        for id, own in blocks.items():
            n_bytes = own.rows.nbytes + own.levels.nbytes + own.levels_between.nbytes
            if id not in self.by_id and self.n_bytes + n_bytes <= MAX_HELD_BYTES:
                self.by_id[id] = own
                self.n_bytes += n_bytes


def half_of(block: int) -> int:
    return max(1, block // 2)


def compute_blocks(mels: Iterable[np.ndarray], block: int) -> Iterator[Blocks]:
    """Compute the levels of recordings from mels in dB, each [mels, frames], in blocks of `block` frames."""
    together, frames = [], 0
    for mel in mels:
        if together and frames + mel.shape[1] > TOGETHER_FRAMES:
            yield from _blocks_of(together, block)
            together, frames = [], 0
        together.append(mel[::OUTLINE_ROWS])
        frames += mel.shape[1]
    if together:
        yield from _blocks_of(together, block)


def _blocks_of(mels: Sequence[np.ndarray], block: int) -> list[Blocks]:
    half = half_of(block)
    means, lengths = _block_means(mels, block)
    medians = np.concatenate([_medians(own) for own in _separate(means, lengths)], axis=1)  # [rows, recordings]
    levels = _broad_levels(means, lengths, medians)
    later, later_lengths = _block_means([mel[:, half:] for mel in mels], block)
    between = _separate(_broad_levels(later, later_lengths, medians), later_lengths)
    rows, halves = _block_means(mels, half)
    rows = to_float16(band_levels(rows, np.repeat(medians, halves, axis=1)))
    parts = (_separate(rows, halves), _separate(levels, lengths), between)
    return [Blocks(*own) for own in zip(*parts, strict=True)]


def outline(mel: np.ndarray, block: int) -> np.ndarray:
    """Compute the outline of one mel in dB [mels, frames]; see `Blocks`."""
    return next(compute_blocks([mel], block)).outline


def band_levels(mel: np.ndarray, medians: np.ndarray) -> np.ndarray:
    """Compute dB above the median of each band, clipped to the range that survives encoding, without the common level.

    `mel` is float32 [mels, frames]; `medians` are [mels, 1], or [mels, frames] for several recordings.
    """
    levels = np.clip(mel - medians, -BELOW_MEDIAN_DB, ABOVE_MEDIAN_DB)
    return levels - levels.mean(axis=0)  # the level that all bands share, as in any loud call, identifies no recording


def _broad_levels(rows: np.ndarray, lengths: Sequence[int], medians: np.ndarray) -> np.ndarray:
    """Compute the level of each broad band above its surroundings: dB [rows, blocks] -> float32 [bands, blocks]."""
    rows = np.maximum(rows, np.repeat(medians - BELOW_MEDIAN_DB, lengths, axis=1))
    bands = np.stack([part.mean(axis=0) for part in np.array_split(rows, min(OUTLINE_BANDS, len(rows)))])
    bands -= bands.mean(axis=0)  # as in `band_levels`
    smooth = _running_mean(bands, lengths, 2)
    return smooth - _running_mean(smooth, lengths, round(SURROUNDINGS_S * OUTLINES_PER_S))


def _block_means(mels: Sequence[np.ndarray], block: int) -> tuple[np.ndarray, list[int]]:
    """Average over blocks of frames: float32 [rows, blocks], one recording after the other, and the blocks of each."""
    blocks = [mel.shape[1] // block for mel in mels]
    rows = np.concatenate([mel[:, : count * block] for mel, count in zip(mels, blocks, strict=True)], axis=1)
    means = torch.from_numpy(rows).float().reshape(len(rows), sum(blocks), block).mean(dim=2).numpy()
    return means, blocks


def _separate(values: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    """Return views of the recordings, which follow each other in the columns."""
    ends = np.cumsum(lengths).tolist()
    return [values[:, end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _medians(rows: np.ndarray) -> np.ndarray:
    """Return the median of each row, [rows, 1]; 0 of rows without a value."""
    return np.median(rows, axis=1, keepdims=True) if rows.shape[1] else np.zeros((len(rows), 1), np.float32)


def _running_mean(values: np.ndarray, lengths: Sequence[int], width: int) -> np.ndarray:
    """Average over `width` columns around each column, over fewer at both ends of a recording; same shape."""
    column, end = np.arange(values.shape[1]), np.repeat(np.cumsum(lengths), lengths)
    first = np.maximum(column - width // 2, end - np.repeat(lengths, lengths))
    last = np.minimum(column - width // 2 + width, end)
    sums = np.pad(np.cumsum(values, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    return ((sums[:, last] - sums[:, first]) / (last - first)).astype(np.float32)
