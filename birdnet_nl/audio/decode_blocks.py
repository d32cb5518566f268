"""Reading of sound files of any usual format to their end, block by block and in constant memory.

libsndfile decodes what it can, PyAV the rest. A file is recognised by its content, its header is checked against the
file (`decode_headers.py`), and what is missing or wrong is noted in `Blocks.warning`.
"""

import io
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from birdnet_nl.audio.decode_av import AvSound, has_av
from birdnet_nl.audio.decode_headers import MP4, Layout, Part, left_out, read_layout, with_new_header
from birdnet_nl.audio.decode_messages import decoder_messages
from birdnet_nl.audio.decode_mp3 import ENCODER_PADDING, samples_per_frame
from birdnet_nl.util.errors import DataError

SAMPLE_RATES_HZ = (1_000, 1_000_000)  # bat detectors record at 384 and 500 kHz
MAX_CHANNELS = 64
SMALL_STEP = 512  # samples, read one by one in the step that a damage interrupts
MAX_STATED = 1 << 40  # samples; libsndfile states more where it does not know
MAX_BLOCK_VALUES = 1 << 23  # samples times channels of a block: 32 MB
INSTALL_AV = 'pip install "birdnet-nl[formats]"'


class View(io.RawIOBase):
    """A file that consists of new bytes and of places in another file, which it closes."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file, self._part, self._position = file, part, 0
        sizes = [len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in part]
        self._starts = np.cumsum([0, *sizes]).tolist()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        done = 0
        for index, piece in enumerate(self._part):
            first, last = self._starts[index], self._starts[index + 1]
            if done == len(buffer) or not first <= self._position < last:
                continue
            count = min(len(buffer) - done, last - self._position)
            inside = self._position - first
            if isinstance(piece, bytes):
                buffer[done : done + count] = piece[inside : inside + count]
            else:
                self._file.seek(piece[0] + inside)
                count = self._file.readinto(memoryview(buffer)[done : done + count])
            done, self._position = done + count, self._position + count
        return done

    def close(self) -> None:
        self._file.close()
        super().close()


class Sequential(soundfile.SoundFile):
    """A file that is only read on: without this, it seeks after each block, which changes samples of mp3."""

    def seekable(self) -> bool:
        return False


class SoundfileSound:
    """A file that libsndfile reads; its parts of the same sample rate and channels, one after the other.

    Attributes:
        notes: what is missing or was put right; complete after the last block, like the others below.
        cut: the file ends before its sound does.
        damaged: the decoder's reason for stopping before the end.
        expected_samples: stated by the header, which may be wrong.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        if layout.mp3 is not None and not layout.mp3.in_one_piece:
            layout = with_new_header(path, layout.mp3)
        self._path, self._layout = path, layout
        try:
            self._first = self._open(layout.parts[0] if layout.parts else None)
        except soundfile.LibsndfileError:
            if layout.mp3 is None or layout.parts:
                raise
            self._first = self._with_new_header()  # an mp3 that begins with other bytes
        if self._reads_a_part():
            self._first.close()
            self._first = self._with_new_header()
        self.notes, self.cut, self.damaged = list(self._layout.notes), layout.cut, ""
        self.sample_rate_hz, self.channels = self._first.samplerate, self._first.channels
        self.is_float = self._first.subtype in ("FLOAT", "DOUBLE")
        self.expected_samples = self._first.frames

    def _reads_a_part(self) -> bool:
        mp3 = self._layout.mp3
        if mp3 is None or self._layout.parts:
            return False
        padding = ENCODER_PADDING if mp3.stated_frames else 2 * samples_per_frame(mp3.sample_rate_hz)
        return self._first.frames < mp3.samples - padding

    def _with_new_header(self) -> soundfile.SoundFile:
        self._layout = with_new_header(self._path, self._layout.mp3)
        return self._open(self._layout.parts[0])

    def _open(self, part: Part | None) -> soundfile.SoundFile:
        if part is not None:
            return Sequential(View(self._path.open("rb"), part))
        file = Sequential(self._path)
        if self._layout.mp3 is not None:
            file.seek(0)  # as `soundfile.read` does; without it, libmpg123 rounds a few files differently
        return file

    def close(self) -> None:
        self._first.close()

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Yield float32 [at most `frames` samples, channels], in a buffer that is used again."""
        buffer = np.empty((frames, self.channels), dtype=np.float32)
        yield from self._read(self._first, self._layout.parts[0] if self._layout.parts else None, buffer)
        for part in self._layout.parts[1:]:
            try:
                file = self._open(part)
            except (soundfile.LibsndfileError, RuntimeError):
                self.notes.append("a part of the file cannot be decoded and is left out")
                continue
            with file:
                if (file.samplerate, file.channels) == (self.sample_rate_hz, self.channels):
                    yield from self._read(file, part, buffer)
                else:
                    self.notes.append(left_out(file.frames / file.samplerate))

    def _read(self, file: soundfile.SoundFile, part: Part | None, buffer: np.ndarray) -> Iterator[np.ndarray]:
        samples, mp3 = 0, self._layout.mp3
        stated = mp3.samples - ENCODER_PADDING if mp3 else file.frames if file.frames < MAX_STATED else 0
        while True:
            wanted = min(len(buffer), file.frames - samples)  # behind them may be bytes that are no sound
            try:
                block = file.read(out=buffer[:wanted], dtype="float32") if wanted > 0 else buffer[:0]
            except (soundfile.LibsndfileError, RuntimeError) as error:
                self.damaged = reason_of(error)
                yield from self._read_until_damage(part, samples)
                return
            if not len(block):
                self.cut = self.cut or samples < stated
                return
            samples += len(block)
            yield block

    def _read_until_damage(self, part: Part | None, position: int) -> Iterator[np.ndarray]:
        """Yield the samples from `position` to the damage, which libsndfile drops with the block that it interrupts."""
        for step in (SMALL_STEP, 1):
            steps: list[np.ndarray] = []
            with self._open(part) as file:
                try:
                    for start in range(0, position, SMALL_STEP):
                        file.read(min(SMALL_STEP, position - start), dtype="float32")
                    left = file.frames - position
                    while left > 0 and len(block := file.read(min(step, left), dtype="float32", always_2d=True)):
                        steps.append(block)
                        left -= len(block)
                except (soundfile.LibsndfileError, RuntimeError):
                    pass
            if steps:
                yield np.concatenate(steps)
                position += sum(map(len, steps))


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
            if not layout.format or not has_av():
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
        reason = "it is cut off: its index is missing" if layout.cut and layout.format == MP4 else error
        raise DataError(f"cannot be decoded ({layout.format}: {reason})") from error


def _check_header(sound: "SoundfileSound | AvSound") -> None:
    lowest, highest = SAMPLE_RATES_HZ
    if not lowest <= sound.sample_rate_hz <= highest:
        raise DataError(
            f"its header states a sample rate of {sound.sample_rate_hz} Hz; possible are {lowest} to {highest} Hz"
        )
    if not 1 <= sound.channels <= MAX_CHANNELS:
        raise DataError(f"its header states {sound.channels} channels; possible are 1 to {MAX_CHANNELS}")


def reason_of(error: Exception) -> str:
    """Return the decoder's reason without the file's name."""
    if isinstance(error, soundfile.LibsndfileError):
        return error.error_string.rstrip(".")
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


class Blocks:
    """Iterator over the blocks of a sound file: float32 [samples, channels] and the sample rate in Hz.

    Attributes:
        samples: number of samples of each channel that were read so far.
        warning: after the last block, what is missing or was put right; empty for a good file.
        cut: after the last block, whether the file ends before its sound does.
    """

    def __init__(self, path: Path, block_s: float) -> None:
        self.path, self.samples, self.warning, self.cut = path, 0, "", False
        self.sample_rate_hz = self.channels = 0
        self.is_float, self.expected_samples = False, 0
        self._block_s = block_s
        self._blocks = self._read()

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


def decode_blocks(path: Path, block_s: float = 10.0) -> Blocks:
    """Yield a file as stored, block by block: float32 [samples, channels] and the sample rate in Hz.

    Memory does not grow with duration, and nothing is averaged or resampled. A block is valid until the next one is
    read, because the buffer is reused. Raises `DataError` when the file cannot be decoded.
    """
    return Blocks(path, block_s)
