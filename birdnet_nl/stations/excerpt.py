"""Copies of clips to train on: the detection with some context, unchanged where the clip is not longer than that."""

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.audio.decode_blocks import decode_blocks
from birdnet_nl.audio.encode import encode_flac
from birdnet_nl.audio.inspection import inspect_file
from birdnet_nl.recordings.listing import is_sound_name, suffix_of
from birdnet_nl.recordings.manifest import sha256_of
from birdnet_nl.recordings.row_matching import Row
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path

CONTEXT_S = 1.5  # half a segment: every segment of 3 s in the copy holds at least half of a window of 3 s
MIN_CUT_S = 0.5  # a clip that is hardly longer is copied byte for byte
MAX_FLAC = 8, 655_350  # channels, sample rate in Hz


@dataclass(frozen=True)
class Excerpt:
    """A copied clip.

    Attributes:
        window_s: start and end of the detection in the copy.
    """

    path: Path
    duration_s: float
    sample_rate_hz: int
    window_s: tuple[float, float]

    def row(self) -> Row:
        """Return the columns of the manifest that describe the file."""
        start_s, end_s = self.window_s
        return {
            "duration_s": f"{self.duration_s:.2f}",
            "sample_rate_hz": str(self.sample_rate_hz),
            "sha256": sha256_of(self.path),
            "window_start_s": f"{start_s:.2f}",
            "window_end_s": f"{end_s:.2f}",
        }


def copy_excerpt(
    clip: Path, target: Path, window_of: Callable[[float], tuple[float, float]], context_s: float = CONTEXT_S
) -> Excerpt:
    """Copy the window of a clip with `context_s` on both sides to `target`, which gets a suffix.

    `window_of` returns start and end in seconds for the duration of the clip. The copy is FLAC in the sample rate and
    channels of the clip where it is shorter by more than `MIN_CUT_S`, else the same bytes.

    Raises:
        DataError: with the reason where the clip cannot be used for training.
    """
    facts = inspect_file(clip)
    if facts.reason:
        raise DataError(facts.reason)
    window = _inside(window_of(facts.duration_s), facts.duration_s)
    start_s, end_s = max(0.0, window[0] - context_s), min(facts.duration_s, window[1] + context_s)
    is_cut = facts.duration_s - (end_s - start_s) > MIN_CUT_S
    can_cut = facts.channels <= MAX_FLAC[0] and facts.sample_rate_hz <= MAX_FLAC[1]
    if can_cut and (is_cut or not is_sound_name(clip.name)):
        start_s, end_s = (start_s, end_s) if is_cut else (0.0, facts.duration_s)
        path = target.with_name(f"{target.name}.flac")
        content = encode_flac(_read_part(clip, start_s, end_s), facts.sample_rate_hz)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    else:
        start_s, end_s = 0.0, facts.duration_s
        path = target.with_name(f"{target.name}{suffix_of(clip.name)}")
        with atomic_path(path) as temporary:
            shutil.copyfile(clip, temporary)
    return Excerpt(path, end_s - start_s, facts.sample_rate_hz, (window[0] - start_s, window[1] - start_s))


def _inside(window: tuple[float, float], duration_s: float) -> tuple[float, float]:
    """Return the part of a window that is in the clip; the whole clip where it is outside."""
    start_s, end_s = max(0.0, window[0]), min(duration_s, window[1])
    return (start_s, end_s) if start_s < end_s else (0.0, duration_s)


def _read_part(clip: Path, start_s: float, end_s: float) -> np.ndarray:
    """Read float32 [samples, channels] from `start_s` to `end_s`."""
    parts, position = [], 0
    with closing(decode_blocks(clip)) as blocks:
        for block, sample_rate_hz in blocks:
            first, last = round(start_s * sample_rate_hz) - position, round(end_s * sample_rate_hz) - position
            parts.append(block[max(0, first) : max(0, last)].copy())  # the block may be used again
            position += len(block)
            if last <= len(block):
                break
    return np.concatenate(parts)
