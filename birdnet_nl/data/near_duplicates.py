"""Files of the same sound that differ: another container or bit rate, a start or end cut off, an excerpt.

Two steps, so that hundreds of recordings take a fraction of a second. The outline of a recording (whether each broad
band is louder or quieter than around that moment, eight times a second) is laid over that of every other at every
shift by FFT. Only where an outline fits are the mels themselves compared. Both look at the sound relative to itself,
so that loudness, a microphone's colour and the front end matter little.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from birdnet_nl.audio.filterbank import band_centres_hz
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.training_rules import MIN_COMPARED_S

BANDS_HZ = (500.0, 7500.0)  # what any sample rate and bit rate keeps, and every front end hears
OUTLINE_BANDS = 8
OUTLINE_ROWS = 4  # a mel band in so many is read for the outline
OUTLINES_PER_S = 8.0
SURROUNDINGS_S = 2.0
OUTLINE_FITS = 0.45  # correlation of outlines, above which the mels are compared
MEL_FITS = 0.7  # correlation of mels, above which two recordings hold the same sound
MIN_OVERLAP = 0.8  # of the shorter recording
BELOW_MEDIAN_DB = 3.0  # what is quieter still is cut: there mp3 removes at will
ABOVE_MEDIAN_DB = 30.0
AT_ONCE = 256  # recordings in one array, which bounds memory


@dataclass(frozen=True)
class NearDuplicate:
    """Two recordings, by id, that hold the same sound; `correlation` of their mels where they overlap."""

    first: str
    second: str
    correlation: float


def find_near_duplicates(mels: Mapping[str, np.ndarray], params: MelParams) -> list[NearDuplicate]:
    """Pairs among `mels`, [mels, frames] in dB by recording id, that hold the same sound."""
    heard = _heard_everywhere(params)
    mels = {id: mel[heard] for id, mel in mels.items()}
    block = max(1, round(params.frames_per_s / OUTLINES_PER_S))
    outlines = {id: outline(mel, block) for id, mel in mels.items()}
    found = []
    for one, other, shift in _fitting(outlines, MIN_COMPARED_S * params.frames_per_s / block):
        correlation = mel_correlation(mels[one], mels[other], shift * block, 2 * block)
        if correlation >= MEL_FITS:
            found.append(NearDuplicate(one, other, correlation))
    return found


def _heard_everywhere(params: MelParams) -> slice:
    """The mel bands within `BANDS_HZ`; all of them for a front end that lies elsewhere."""
    centres_hz = band_centres_hz(params.sample_rate_hz, params.n_fft, params.n_mels, params.f_min_hz, params.f_max_hz)
    inside = np.flatnonzero((centres_hz >= BANDS_HZ[0]) & (centres_hz <= BANDS_HZ[1]))
    return slice(inside[0], inside[-1] + 1) if len(inside) >= OUTLINE_BANDS else slice(None)


def outline(mel: np.ndarray, block: int) -> np.ndarray:
    """Louder (1) or quieter (-1) than around that moment, for each broad band: float32 [bands, blocks]."""
    blocks = mel.shape[1] // block
    rows = torch.from_numpy(np.ascontiguousarray(mel[::OUTLINE_ROWS, : blocks * block])).float()
    rows = rows.reshape(len(rows), blocks, block).mean(dim=2).numpy()  # [rows, frames] -> [rows, blocks]
    if not blocks:
        return np.zeros((1, 0), dtype=np.float32)
    rows = np.maximum(rows, np.median(rows, axis=1, keepdims=True) - BELOW_MEDIAN_DB)
    bands = np.stack([part.mean(axis=0) for part in np.array_split(rows, min(OUTLINE_BANDS, len(rows)))])
    bands -= bands.mean(axis=0)  # what all bands do together, as in any loud call, tells little
    smooth = _running_mean(bands, 2)
    return np.sign(smooth - _running_mean(smooth, round(SURROUNDINGS_S * OUTLINES_PER_S)))


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Over `width` columns around each, fewer at both ends; same shape."""
    sums = np.pad(np.cumsum(values, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    column = np.arange(values.shape[1])
    start, end = np.maximum(column - width // 2, 0), np.minimum(column - width // 2 + width, values.shape[1])
    return ((sums[:, end] - sums[:, start]) / (end - start)).astype(np.float32)


def _fitting(outlines: Mapping[str, np.ndarray], min_blocks: float) -> Iterator[tuple[str, str, int]]:
    """Pairs whose outlines fit, the longer first, and how many blocks the second starts after the first."""
    long_enough = [id for id, lines in outlines.items() if lines.shape[1] >= min_blocks]
    by_length = sorted(long_enough, key=lambda id: -outlines[id].shape[1])
    places_of_size: dict[int, list[int]] = defaultdict(list)
    for place, id in enumerate(by_length):
        places_of_size[_transform_size(2 * outlines[id].shape[1])].append(place)
    for size, places in places_of_size.items():
        for start in range(places[0], len(by_length), AT_ONCE):
            others = by_length[start : start + AT_ONCE]
            spectra = np.stack([np.fft.rfft(outlines[id], size) for id in others]).conj()  # [recordings, bands, bins]
            for place in places[: max(0, start + len(others) - 1 - places[0])]:
                one, first = by_length[place], max(0, place + 1 - start)  # pairs of each recording with shorter ones
                for index, shift in _fitting_shifts(outlines[one], spectra[first:], size, min_blocks, [
                    outlines[id].shape[1] for id in others[first:]
                ]):  # fmt: skip
                    yield one, others[first + index], shift


def _fitting_shifts(
    own: np.ndarray, spectra: np.ndarray, size: int, min_blocks: float, lengths: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Which of some outlines, given as conjugated spectra and lengths, fit to `own`, and at which shift."""
    products = np.einsum("bf,rbf->rf", np.fft.rfft(own, size), spectra)
    sums = np.fft.irfft(products, size)  # [recordings, shifts]
    overlap = _overlaps(own.shape[1], np.array(lengths), size)
    least = np.maximum(min_blocks, MIN_OVERLAP * np.array(lengths))[:, None]
    scores = np.where(overlap >= least, sums / np.maximum(overlap, 1) / len(own), 0)
    for index in np.flatnonzero(scores.max(axis=1) >= OUTLINE_FITS):
        shift = int(scores[index].argmax())
        yield int(index), shift if shift < own.shape[1] else shift - size


def _transform_size(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _overlaps(length: int, lengths: np.ndarray, size: int) -> np.ndarray:
    """Columns that two outlines share at each circular shift: [recordings, shifts]."""
    shift = np.arange(size)
    shift = np.where(shift < length, shift, shift - size)
    end = np.minimum(length, shift + lengths[:, None])
    return np.maximum(end - np.maximum(shift, 0), 0)


def mel_correlation(one: np.ndarray, other: np.ndarray, shift: int, slack: int) -> float:
    """Correlation of two mels where they overlap, at the best shift within `slack` frames of `shift`."""
    coarse = [_levels(mel[:: 2 * OUTLINE_ROWS]) for mel in (one, other)]
    best = max(range(shift - slack, shift + slack + 1), key=lambda frames: _correlation_at(*coarse, frames))
    return _correlation_at(_levels(one), _levels(other), best)


def _levels(mel: np.ndarray) -> np.ndarray:
    """dB above the median of each band, cut to the range that survives encoding: float32 [mels, frames]."""
    levels = torch.from_numpy(np.array(mel)).float().numpy()
    levels -= np.median(levels, axis=1, keepdims=True)
    np.clip(levels, -BELOW_MEDIAN_DB, ABOVE_MEDIAN_DB, out=levels)
    return levels - levels.mean(axis=0)  # what all bands do together, as in any loud call, tells little


def _correlation_at(one: np.ndarray, other: np.ndarray, shift: int) -> float:
    start, end = max(shift, 0), min(one.shape[1], shift + other.shape[1])
    if end <= start:
        return 0.0
    a, b = one[:, start:end], other[:, start - shift : end - shift]
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    energy = float(np.vdot(a, a)) * float(np.vdot(b, b))
    return float(np.vdot(a, b)) / energy**0.5 if energy > 0 else 0.0
