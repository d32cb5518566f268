"""Sound files that libsndfile decodes: one part after the other, read to the end and up to a damage."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from birdnet_nl.audio.decode_headers import with_new_header
from birdnet_nl.audio.decode_layout import Layout, Part, left_out, missing
from birdnet_nl.audio.decode_mp3 import ENCODER_PADDING, samples_per_frame

SMALL_STEP = 512  # samples, read one by one in the step that a damage interrupts
MAX_STATED = 1 << 40  # samples; libsndfile states more where it does not know


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
        file = Sequential(os.fsencode(self._path) if os.name == "posix" else self._path)  # soundfile wants UTF-8
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
        is_mp3_in_wav = self._layout.format == "wav" and file.subtype.startswith("MPEG")  # its length is estimated
        is_stated = file.frames < MAX_STATED and not is_mp3_in_wav
        stated = mp3.samples - ENCODER_PADDING if mp3 else file.frames if is_stated else 0
        while True:
            wanted = min(len(buffer), file.frames - samples)  # behind them may be bytes that are no sound
            try:
                block = file.read(out=buffer[:wanted], dtype="float32") if wanted > 0 else buffer[:0]
            except (soundfile.LibsndfileError, RuntimeError) as error:
                self.damaged = reason_of(error)
                yield from self._read_until_damage(part, samples)
                return
            if not len(block):
                if samples < stated and not self.cut and self._layout.format == "ogg":  # its end was found
                    self.notes.append(missing((stated - samples) / self.sample_rate_hz))
                else:
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


def reason_of(error: Exception) -> str:
    """Return the decoder's reason without the file's name."""
    if isinstance(error, soundfile.LibsndfileError):
        return error.error_string.rstrip(".")
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
