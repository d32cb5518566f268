"""Reading of sound files of any usual format to their end, block by block and in constant memory.

libsndfile decodes what it can, PyAV the rest. A file is recognised by its content, its header is checked against the
file (`decode_headers.py`), and what is missing or wrong is noted in `Blocks.warning`.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import soundfile

from birdnet_nl.audio.decode_av import AvSound, has_av
from birdnet_nl.audio.decode_content import describe_content
from birdnet_nl.audio.decode_headers import MP4, read_layout
from birdnet_nl.audio.decode_layout import Layout
from birdnet_nl.audio.decode_messages import decoder_messages
from birdnet_nl.audio.decode_soundfile import SoundfileSound, reason_of
from birdnet_nl.util.errors import DataError

SAMPLE_RATES_HZ = (1_000, 1_000_000)  # bat detectors record at 384 and 500 kHz
MAX_CHANNELS = 64
MIN_BLOCK_S = 0.01  # of a part, which is not decoded beyond its end
MAX_BLOCK_VALUES = 1 << 23  # samples times channels of a block: 32 MB
CUT_HEADER = {MP4: "it is cut off: its index is missing", "wav": "it is cut off, or damaged: it holds no sound"}
PartOfFile = tuple[float, float]  # start and end in seconds
INSTALL_AV = 'pip install "birdnet-nl[formats]"'


def open_sound(path: Path) -> "SoundfileSound | AvSound":
    """Open a sound file with the decoder that can read it; raises `DataError` where none can or its header is wrong."""
    try:
        if path.stat().st_size == 0:
            raise DataError("empty file")
        layout = read_layout(path)
    except FileNotFoundError:
        raise DataError("does not exist") from None
    except (OSError, ValueError) as error:  # a folder of that name, no permission, a bad sector
        raise DataError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    sound = _open_with_av(path, layout) if layout.needs_av else None
    if sound is None:
        try:
            sound = SoundfileSound(path, layout)
        except (soundfile.LibsndfileError, RuntimeError, TypeError, OSError) as error:
            if not layout.format:
                raise DataError(f"cannot be decoded (its content is {describe_content(path)})") from error
            if not has_av():
                raise DataError(f"cannot be decoded ({reason_of(error)})") from error
            sound = _open_with_av(path, layout)
    try:
        _check_header(sound)
    except DataError:
        sound.close()
        raise
    return sound


def _open_with_av(path: Path, layout: Layout) -> AvSound:
    if not has_av():
        raise DataError(
            f"cannot be decoded ({layout.format} needs PyAV: {INSTALL_AV}, or convert the file to wav or flac)"
        )
    try:
        return AvSound(path)
    except DataError as error:
        reason = CUT_HEADER.get(layout.format, error) if layout.cut else error
        raise DataError(f"cannot be decoded ({layout.format}: {reason})") from error


def _check_header(sound: "SoundfileSound | AvSound") -> None:
    lowest, highest = SAMPLE_RATES_HZ
    if not lowest <= sound.sample_rate_hz <= highest:
        raise DataError(
            f"its header states a sample rate of {sound.sample_rate_hz} Hz; possible are {lowest} to {highest} Hz"
        )
    if not 1 <= sound.channels <= MAX_CHANNELS:
        raise DataError(f"its header states {sound.channels} channels; possible are 1 to {MAX_CHANNELS}")


class Blocks:
    """Iterator over the blocks of a sound file: float32 [samples, channels] and the sample rate in Hz.

    Attributes:
        samples: number of samples of each channel that were read so far, from the start of the file.
        warning: after the last block, what is missing or was put right; empty for a good file, and for a part that
            ends before the file does.
        cut: after the last block, whether the file ends before its sound does.
    """

    def __init__(self, path: Path, block_s: float, part_s: PartOfFile | None = None) -> None:
        self.path, self.samples, self.warning, self.cut = path, 0, "", False
        self.sample_rate_hz = self.channels = 0
        self.is_float, self.expected_samples = False, 0
        self._block_s = block_s if part_s is None else min(block_s, max(part_s[1], MIN_BLOCK_S))
        self._blocks = self._read() if part_s is None else self._read_part(*part_s)

    def __iter__(self) -> "Blocks":
        return self

    def __next__(self) -> tuple[np.ndarray, int]:
        return next(self._blocks)

    def close(self) -> None:
        self._blocks.close()

    def _read(self) -> Iterator[tuple[np.ndarray, int]]:
        with decoder_messages(self.path), closing(open_sound(self.path)) as sound:
            self.sample_rate_hz, self.channels, self.is_float = sound.sample_rate_hz, sound.channels, sound.is_float
            self.expected_samples = sound.expected_samples
            frames = min(max(1, round(self._block_s * sound.sample_rate_hz)), MAX_BLOCK_VALUES // sound.channels)
            for block in sound.blocks(frames):
                self.samples += len(block)
                yield block, sound.sample_rate_hz
            notes, cut = list(sound.notes), sound.cut
            if sound.damaged:
                damaged_s, before = self.samples / self.sample_rate_hz, self.samples
                yield from self._after_damage(frames)
                cut = cut or self.samples == before
                if self.samples > before:
                    notes.append(f"damaged after {damaged_s:.1f} s, where sound may be missing")
        if not self.samples and sound.damaged:
            raise DataError(f"cannot be decoded ({sound.damaged})")
        self.cut = cut
        if cut and self.samples:
            notes.append(f"cut off after {self.samples / self.sample_rate_hz:.1f} s")
        self.warning = "; ".join(dict.fromkeys(notes))

    def _read_part(self, start_s: float, end_s: float) -> Iterator[tuple[np.ndarray, int]]:
        position = 0
        with closing(self._read()) as blocks:
            for block, rate_hz in blocks:
                start, end = round(start_s * rate_hz), round(end_s * rate_hz)
                part = block[max(0, start - position) : max(0, end - position)]
                position += len(block)
                if len(part):
                    yield part, rate_hz
                if position >= end:
                    return

    def _after_damage(self, frames: int) -> Iterator[tuple[np.ndarray, int]]:
        """Go on with PyAV where libsndfile stopped; without PyAV nothing follows."""
        if not has_av():
            return
        try:
            rest = AvSound(self.path, skip=self.samples)
        except DataError:
            return
        with closing(rest):
            if (rest.sample_rate_hz, rest.channels) == (self.sample_rate_hz, self.channels):
                for block in rest.blocks(frames):
                    self.samples += len(block)
                    yield block, self.sample_rate_hz


def decode_blocks(path: Path, block_s: float = 10.0, part_s: PartOfFile | None = None) -> Blocks:
    """Yield a file, or a part of it, as stored, block by block: float32 [samples, channels] and the sample rate in Hz.

    Memory does not grow with duration, and nothing is averaged or resampled. A block is valid until the next one is
    read, because the buffer is reused. Raises `DataError` when the file cannot be decoded.
    """
    return Blocks(path, block_s, part_s)
