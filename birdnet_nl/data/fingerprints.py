"""Index of fingerprints that proposes pairs of recordings with similar outlines, without comparing every pair.

A fingerprint is the sign of six of the eight bands of an outline in four columns (Haitsma and Kalker, "A Highly Robust
Audio Fingerprinting System", 2002). Each is looked up as it is and with its least certain signs changed, also half a
column later, so that encoding, noise and a cut between two columns do not hide it. The neighbourhood of each match is
compared, and then the whole overlap; both count equal signs in words of 64 bits.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

KEY_COLUMNS = (0, 2, 4, 6)  # of a fingerprint; an outline is smoothed over two columns
CONTEXT_COLUMNS = (8, 10, 12, 14)  # order the entries of one fingerprint, so that the most similar are neighbours
KEY_BANDS = 0.75  # of the bands, once the lowest and once the highest: wind and low-pass filters change the others
UNCERTAIN_SIGNS = 3  # changed one at a time
MAX_ENTRIES = 16  # compared of one fingerprint; stationary noise and constant repetition have thousands alike
WORD_COLUMNS = 8
NEARBY = (-WORD_COLUMNS, 0, WORD_COLUMNS, 2 * WORD_COLUMNS)  # words around a match that are compared first
MAX_DIFFERENT_NEARBY = 0.27  # share of the signs; 0.5 is chance
CHUNK_COLUMNS = 1 << 16  # looked up at once, to bound memory


@dataclass(frozen=True)
class Signs:
    """Outlines of many recordings, one after the other.

    Attributes:
        levels: level of each band above its surroundings, float32 [bands, columns].
        start: first column of each recording and the end of the last, int64 [recordings + 1].
        recording: index of the recording of each column, int32 [columns].
        words: signs of all bands in `WORD_COLUMNS` columns from each column on, uint64 [columns].
    """

    levels: np.ndarray
    start: np.ndarray
    recording: np.ndarray
    words: np.ndarray

    @classmethod
    def of(cls, levels: Sequence[np.ndarray]) -> "Signs":
        lengths = [own.shape[1] for own in levels]
        joined = np.concatenate(levels, axis=1)
        columns = np.packbits(joined > 0, axis=0, bitorder="little")[0]  # [columns], a bit for each band
        padded = np.concatenate([columns, np.zeros(WORD_COLUMNS, np.uint8)])
        words = np.zeros(len(columns), np.uint64)
        for column in range(WORD_COLUMNS):
            words |= padded[column : column + len(columns)].astype(np.uint64) << np.uint64(8 * column)
        recording = np.repeat(np.arange(len(levels), dtype=np.int32), lengths)
        return cls(joined, np.concatenate([[0], np.cumsum(lengths)]), recording, words)

    def fingerprints(self, bands: slice, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Compute fingerprints that begin in the columns from `start` to `end`, with the context in the lower bits.

        Returns their columns and the fingerprints, int64 [columns]. A fingerprint with a level of exactly 0, as in
        digital silence, is left out.
        """
        own = self.levels[bands, start : end + CONTEXT_COLUMNS[-1]]
        count = min(end, self.levels.shape[1] - KEY_COLUMNS[-1]) - start
        if count <= 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        own = np.pad(own, ((0, 0), (0, max(0, count + CONTEXT_COLUMNS[-1] - own.shape[1]))))
        values = np.concatenate([own[:, column : column + count] for column in KEY_COLUMNS])  # [signs, columns]
        fingerprints = np.zeros(count, np.int64)
        for band in own:
            for column in CONTEXT_COLUMNS:
                fingerprints = fingerprints << 1 | (band[column : column + count] > 0)
        for bit, row in enumerate(values):
            fingerprints |= (row > 0).astype(np.int64) << (bit + _context_bits(bands))
        columns = np.arange(start, start + count)
        inside = self.recording[columns] == self.recording[columns + KEY_COLUMNS[-1]]
        usable = inside & (values != 0).all(axis=0)
        return columns[usable], fingerprints[usable]

    def uncertain_bits(self, bands: slice, columns: np.ndarray) -> np.ndarray:
        """Return the bits of the least certain signs of the fingerprints that begin in `columns`.

        Returns int64 [`UNCERTAIN_SIGNS`, columns].
        """
        certainty = np.abs(np.concatenate([self.levels[bands, columns + column] for column in KEY_COLUMNS]))
        weakest = np.argpartition(certainty, min(UNCERTAIN_SIGNS, len(certainty) - 1), axis=0)[:UNCERTAIN_SIGNS]
        return np.int64(1) << (weakest + _context_bits(bands))


def propose_pairs(
    levels: Sequence[np.ndarray],
    levels_between: Sequence[np.ndarray],
    min_columns: float,
    min_overlap: float,
    min_correlation: float,
    workers: int = 1,
    new: Sequence[bool] | None = None,
) -> list[tuple[int, int]]:
    """Return index pairs, sorted, of outlines whose signs correlate by about `min_correlation` at some shift.

    Args:
        levels: by recording, float32 [bands, columns]; the same bands in all, at most 8.
        levels_between: the same half a column later.
        min_columns, min_overlap: columns that two must share, and their share of the shorter recording.
        workers: threads; NumPy sorts and searches without the GIL.
        new: only pairs with at least one of these recordings; None for all pairs.
    """
    if len(levels) < 2:
        return []
    signs, between = Signs.of(levels), Signs.of(levels_between)
    is_new = np.ones(len(levels), bool) if new is None else np.array(new)
    n_bands = len(signs.levels)
    used = max(1, round(KEY_BANDS * n_bands))

    def alike(index: _Index, looked_up: Signs, chunk: tuple[int, int]) -> np.ndarray:
        """Return the pairs [pairs, 2] that a part of the fingerprints proposes."""
        pairs = []
        for own, other in index.matches(looked_up, chunk, is_new):
            near = _different_nearby(looked_up, signs, own, other) <= MAX_DIFFERENT_NEARBY
            alignments = _alignments(looked_up, signs, own[near], other[near])
            for shift in (0, 1) if looked_up is between else (0,):  # half a column later is between two shifts
                moved = alignments + np.array([0, 0, shift])
                pairs.append(moved[_correlation(signs, moved, min_columns, min_overlap) >= min_correlation, :2])
        return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)

    pairs = [np.empty((0, 2), np.int64)]
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fingerprints") as pool:
        for bands in dict.fromkeys([(0, used), (n_bands - used, n_bands)]):
            index = _Index(signs, slice(*bands))
            for looked_up in (signs, between):
                chunks = (chunk for chunk in _chunks(looked_up) if is_new[looked_up.recording[slice(*chunk)]].any())
                pairs += pool.map(partial(alike, index, looked_up), chunks)
    return [(first, second) for first, second in np.unique(np.concatenate(pairs), axis=0).tolist()]


class _Index:
    """Fingerprints of one range of bands, sorted."""

    def __init__(self, signs: Signs, bands: slice) -> None:
        self.signs, self.bands = signs, bands
        self.context_bits = _context_bits(bands)
        parts = [signs.fingerprints(bands, *chunk) for chunk in _chunks(signs)]
        columns, fingerprints = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(fingerprints)
        self.columns, self.fingerprints = columns[order], fingerprints[order]
        self.keys = self.fingerprints >> self.context_bits

    def matches(
        self, signs: Signs, chunk: tuple[int, int], is_new: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield columns of `signs` and the columns of the index that begin alike, of two different recordings.

        `is_new`, bool [recordings], marks those of which one must be in each pair; only their columns are looked up.
        """
        columns, fingerprints = signs.fingerprints(self.bands, *chunk)
        own_new = is_new[signs.recording[columns]]
        columns, fingerprints = columns[own_new], fingerprints[own_new]
        for changed in (np.int64(0), *signs.uncertain_bits(self.bands, columns)):
            own, other = self._look_up(columns, fingerprints ^ changed)
            different = signs.recording[own] != self.signs.recording[other]
            yield own[different], other[different]

    def _look_up(self, columns: np.ndarray, fingerprints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(fingerprints)  # neighbouring searches touch the same memory
        columns, fingerprints = columns[order], fingerprints[order]
        keys = fingerprints >> self.context_bits
        first, last = np.searchsorted(self.keys, keys), np.searchsorted(self.keys, keys, side="right")
        if (many := np.flatnonzero(last - first > MAX_ENTRIES)).size:
            nearest = np.searchsorted(self.fingerprints, fingerprints[many]) - MAX_ENTRIES // 2
            first[many] = np.clip(nearest, first[many], last[many] - MAX_ENTRIES)
            last[many] = first[many] + MAX_ENTRIES
        counts = last - first
        return np.repeat(columns, counts), self.columns[_ranges(first, counts)]


def _context_bits(bands: slice) -> int:
    return (bands.stop - bands.start) * len(CONTEXT_COLUMNS)


def _chunks(signs: Signs) -> Iterator[tuple[int, int]]:
    for start in range(0, signs.levels.shape[1], CHUNK_COLUMNS):
        yield start, min(start + CHUNK_COLUMNS, signs.levels.shape[1])


def _ranges(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Concatenate `counts` integers from each of `first` on."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - counts), counts)


def _different_nearby(own_signs: Signs, other_signs: Signs, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Compute the share of different signs in the words around matching columns that are in both recordings."""
    different, compared = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    ranges = []
    for signs, column in ((own_signs, own), (other_signs, other)):
        recording = signs.recording[column]
        ranges.append((column - signs.start[recording], signs.start[recording + 1] - column))
    before, after = np.minimum(ranges[0][0], ranges[1][0]), np.minimum(ranges[0][1], ranges[1][1])
    for offset in NEARBY:
        inside = np.flatnonzero((before >= -offset) & (after >= offset + WORD_COLUMNS))
        xor = own_signs.words[own[inside] + offset] ^ other_signs.words[other[inside] + offset]
        different[inside] += np.bitwise_count(xor)
        compared[inside] += WORD_COLUMNS * len(own_signs.levels)
    return np.where(compared > 0, different / np.maximum(compared, 1), 0)


def _alignments(own_signs: Signs, other_signs: Signs, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return distinct rows of the recording of `own`, that of `other`, and the shift that aligns the columns."""
    first, second = own_signs.recording[own].astype(np.int64), other_signs.recording[other].astype(np.int64)
    shift = (own - own_signs.start[first]) - (other - other_signs.start[second])
    packed = np.unique((first << 42) + (second << 21) + (shift + (1 << 20)))
    return np.stack([packed >> 42, (packed >> 21) & ((1 << 21) - 1), (packed & ((1 << 21) - 1)) - (1 << 20)], axis=1)


def _correlation(signs: Signs, alignments: np.ndarray, min_columns: float, min_overlap: float) -> np.ndarray:
    """Correlate the signs of two recordings where they overlap, in whole words; 0 where they overlap too little.

    `alignments` [pairs, 3] are index, index, and the column of the first at which the second starts.
    """
    first, second, shift = alignments.T
    lengths = np.diff(signs.start)
    begin = np.maximum(shift, 0)
    overlap = np.minimum(lengths[first], shift + lengths[second]) - begin
    enough = overlap >= np.maximum(min_columns, min_overlap * np.minimum(lengths[first], lengths[second]))
    words = np.where(enough, overlap // WORD_COLUMNS, 0)
    offsets = WORD_COLUMNS * _ranges(np.zeros(len(words), np.int64), words)
    own = np.repeat(signs.start[first] + begin, words) + offsets
    other = np.repeat(signs.start[second] + begin - shift, words) + offsets
    equal = np.concatenate([[0], np.cumsum(np.bitwise_count(signs.words[own] ^ signs.words[other]), dtype=np.int64)])
    ends = np.cumsum(words)
    different = equal[ends] - equal[ends - words]
    compared = words * WORD_COLUMNS * len(signs.levels)
    return np.where(words > 0, 1 - 2 * different / np.maximum(compared, 1), 0)
