"""Near-duplicate search: the same sound in another container, at another bit rate, with its start or end cut, or as
an excerpt.

The search has three steps, so that time grows little faster than the number of recordings. The outline of a recording
says whether each broad band is louder or quieter than its surroundings, eight times per second. Pairs of similar
outlines are found with an index of fingerprints (`fingerprints.py`), or among few recordings by comparing all. Then two
outlines are compared at every shift by FFT. Last, the mels of the pairs whose outlines match are correlated. All steps
use levels relative to the recording itself, so that loudness, frequency response and front end have little influence.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, islice
from typing import TypeVar

import numpy as np
import torch

from birdnet_nl.audio.mel import MelParams, band_centres_hz
from birdnet_nl.audio.threads import single_threaded_torch
from birdnet_nl.data.fingerprints import propose_pairs
from birdnet_nl.data.outlines import (
    OUTLINE_BANDS,
    OUTLINE_ROWS,
    OUTLINES_PER_S,
    Blocks,
    HeldBlocks,
    band_levels,
    compute_blocks,
    half_of,
)
from birdnet_nl.data.training_rules import MIN_COMPARED_S

BANDS_HZ = (500.0, 7500.0)  # kept by any sample rate and bit rate, and covered by every front end
MIN_OUTLINE_CORRELATION = 0.45  # above it the mels are compared
MIN_MEL_CORRELATION = 0.7  # above it two recordings hold the same sound
MIN_OVERLAP = 0.8  # of the shorter recording
CHUNK_RECORDINGS = 256  # recordings in one array, to bound memory
FEW_RECORDINGS = 200  # up to here all outlines are compared, which misses nothing and takes half a second
INDEX_MARGIN = 0.03  # the index counts whole words only, so it proposes pairs of this much less correlation
MIN_ROW_CORRELATION = 0.42  # of averages over half a block; of pairs from the index with less no mel is read
MIN_COARSE_CORRELATION = 0.5  # of few bands; that of all was never more than 0.1 higher
READ_TOGETHER = 32  # recordings whose outlines are computed by one call, three times as fast as each by its own
LEVELS_HELD = 16  # recordings whose mels are held while they are compared with others
AHEAD = 64  # results computed in advance by the threads, to bound memory

VERSION = 3  # increase when other pairs are found, so that stored ones are not used

Item, Result = TypeVar("Item"), TypeVar("Result")


@dataclass(frozen=True)
class NearDuplicate:
    """Ids of two recordings of the same sound, with the correlation of their mels where they overlap."""

    first: str
    second: str
    correlation: float


def find_near_duplicates(
    mels: Mapping[str, np.ndarray],
    params: MelParams,
    workers: int = 1,
    new: Collection[str] | None = None,
    held: HeldBlocks | None = None,
) -> list[NearDuplicate]:
    """Find the pairs of recordings with the same sound among `mels`, [mels, frames] in dB by recording id.

    With `new` only pairs with at least one of these ids, where the others were compared before.
    Each mel is read when it is needed and not held, so that `mels` may load them from disk. Blocks in `held` are not
    computed again; the others are added to it.
    """
    held = HeldBlocks() if held is None else held
    block, common_bands = max(1, round(params.frames_per_s / OUTLINES_PER_S)), _common_bands(params)
    min_blocks = MIN_COMPARED_S * params.frames_per_s / block
    few = len(mels) <= FEW_RECORDINGS

    def read(ids: list[str]) -> list[Blocks]:
        return list(compute_blocks((mels[id][common_bands] for id in ids), block))

    @lru_cache(maxsize=LEVELS_HELD)
    def levels(id: str) -> _LazyLevels:
        return _LazyLevels(mels[id][common_bands])

    def correlate(match: tuple[str, str, int]) -> NearDuplicate:
        first, second, shift = match
        return NearDuplicate(first, second, mel_correlation(levels(first), levels(second), shift * block, 2 * block))

    with single_threaded_torch(), ThreadPoolExecutor(workers, thread_name_prefix="duplicates") as pool:
        missing = [id for id in mels if id not in held.by_id]
        parts = [missing[start : start + READ_TOGETHER] for start in range(0, len(missing), READ_TOGETHER)]
        computed = dict(zip(missing, chain.from_iterable(pool.map(read, parts)), strict=True))
        blocks = {id: computed[id] if id in computed else held.by_id[id] for id in mels}
        held.add(computed)
        if few:
            every = matching_outlines({id: own.outline for id, own in blocks.items()}, min_blocks)
            matches = (match for match in every if new is None or not {*match[:2]}.isdisjoint(new))
        else:
            matches = _indexed_matches(blocks, block, min_blocks, workers, new)
        return [pair for pair in _map_ahead(pool, correlate, matches) if pair.correlation >= MIN_MEL_CORRELATION]


def _map_ahead(pool: ThreadPoolExecutor, compute: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Map in the threads of `pool` and in order, with at most `AHEAD` results waiting."""
    items = iter(items)
    futures = [pool.submit(compute, item) for item in islice(items, AHEAD)]
    while futures:
        yield futures.pop(0).result()
        futures += [pool.submit(compute, item) for item in islice(items, 1)]


def _indexed_matches(
    blocks: Mapping[str, Blocks], block: int, min_blocks: float, workers: int, new: Collection[str] | None
) -> Iterator[tuple[str, str, int]]:
    """Yield what `matching_outlines` does, of the pairs that the index proposes and whose levels correlate."""
    ids = [id for id, own in blocks.items() if own.outline.shape[1] >= min_blocks]
    proposed = propose_pairs(
        [blocks[id].levels for id in ids],
        [blocks[id].levels_between for id in ids],
        min_blocks,
        MIN_OVERLAP,
        MIN_OUTLINE_CORRELATION - INDEX_MARGIN,
        workers,
        None if new is None else [id in new for id in ids],
    )
    for first, second in proposed:
        pair = {ids[index]: blocks[ids[index]].outline for index in (first, second)}
        for longer, shorter, shift in matching_outlines(pair, min_blocks):
            rows = [blocks[id].rows.astype(np.float32) for id in (longer, shorter)]
            halves = round(shift * block / half_of(block))
            if max(_correlation_at(*rows, halves + near) for near in range(-2, 3)) >= MIN_ROW_CORRELATION:
                yield longer, shorter, shift


def _common_bands(params: MelParams) -> slice:
    """Return the mel bands within `BANDS_HZ`, or all of them when the front end has too few there."""
    centres_hz = band_centres_hz(params)
    inside = np.flatnonzero((centres_hz >= BANDS_HZ[0]) & (centres_hz <= BANDS_HZ[1]))
    return slice(inside[0], inside[-1] + 1) if len(inside) >= OUTLINE_BANDS else slice(None)


def matching_outlines(outlines: Mapping[str, np.ndarray], min_blocks: float) -> Iterator[tuple[str, str, int]]:
    """Yield pairs whose outlines match, the longer first, and by how many blocks the second starts after the first."""
    long_enough = [id for id, lines in outlines.items() if lines.shape[1] >= min_blocks]
    by_length = sorted(long_enough, key=lambda id: -outlines[id].shape[1])
    positions_of_size: dict[int, list[int]] = defaultdict(list)
    for position, id in enumerate(by_length):
        positions_of_size[_transform_size(2 * outlines[id].shape[1])].append(position)
    for size, positions in positions_of_size.items():
        for start in range(positions[0], len(by_length), CHUNK_RECORDINGS):
            others = by_length[start : start + CHUNK_RECORDINGS]
            lengths = [outlines[id].shape[1] for id in others]
            spectra = np.stack([np.fft.rfft(outlines[id], size) for id in others]).conj()  # [recordings, bands, bins]
            for position in positions[: max(0, start + len(others) - 1 - positions[0])]:
                id, first = by_length[position], max(0, position + 1 - start)  # compare with shorter recordings only
                matches = _matching_shifts(outlines[id], spectra[first:], size, min_blocks, lengths[first:])
                for index, shift in matches:
                    yield id, others[first + index], shift


def _matching_shifts(
    own: np.ndarray, spectra: np.ndarray, size: int, min_blocks: float, lengths: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Yield index and shift of the outlines, given as conjugated spectra and lengths, that match `own`."""
    products = np.einsum("bf,rbf->rf", np.fft.rfft(own, size), spectra)
    sums = np.fft.irfft(products, size)  # [recordings, shifts]
    overlap = _overlaps(own.shape[1], np.array(lengths), size)
    min_overlap = np.maximum(min_blocks, MIN_OVERLAP * np.array(lengths))[:, None]
    scores = np.where(overlap >= min_overlap, sums / np.maximum(overlap, 1) / len(own), 0)
    for index in np.flatnonzero(scores.max(axis=1) >= MIN_OUTLINE_CORRELATION):
        shift = int(scores[index].argmax())
        yield int(index), shift if shift < own.shape[1] else shift - size


def _transform_size(min_size: int) -> int:
    return 1 << (min_size - 1).bit_length()


def _overlaps(length: int, lengths: np.ndarray, size: int) -> np.ndarray:
    """Count the columns that two outlines share at each circular shift: [recordings, shifts]."""
    shift = np.arange(size)
    shift = np.where(shift < length, shift, shift - size)
    end = np.minimum(length, shift + lengths[:, None])
    return np.maximum(end - np.maximum(shift, 0), 0)


class _LazyLevels:
    """Levels of a mel, float32 [mels, frames], computed when needed, and of one in `2 * OUTLINE_ROWS` of its bands."""

    def __init__(self, mel: np.ndarray) -> None:
        self.coarse = _levels(mel[:: 2 * OUTLINE_ROWS])
        self.all = cache(lambda: _levels(mel))


def mel_correlation(first: _LazyLevels, second: _LazyLevels, shift: int, slack: int) -> float:
    """Correlate two mels where they overlap, at the best shift within `slack` frames of `shift`."""
    shifts = range(shift - slack, shift + slack + 1)
    coarse = {frames: _correlation_at(first.coarse, second.coarse, frames) for frames in shifts}
    best = max(coarse, key=coarse.__getitem__)
    return _correlation_at(first.all(), second.all(), best) if coarse[best] >= MIN_COARSE_CORRELATION else 0.0


def _levels(mel: np.ndarray) -> np.ndarray:
    """Compute the levels of one mel, see `band_levels`: float16 in dB -> float32 [mels, frames]."""
    levels = torch.from_numpy(np.array(mel)).float().numpy()
    return band_levels(levels, np.median(levels, axis=1, keepdims=True))


def _correlation_at(first: np.ndarray, second: np.ndarray, shift: int) -> float:
    start, end = max(shift, 0), min(first.shape[1], shift + second.shape[1])
    if end <= start:
        return 0.0
    a, b = first[:, start:end], second[:, start - shift : end - shift]
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    energy = float(np.vdot(a, a)) * float(np.vdot(b, b))
    return float(np.vdot(a, b)) / energy**0.5 if energy > 0 else 0.0
