"""Decoding with PyAV (the optional extra `formats`) of what libsndfile cannot read, such as m4a, AAC and wma."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.audio.decode_layout import left_out
from birdnet_nl.util.errors import DataError

MISSING_S = 0.15  # more than this less than the stated duration is a cut file; encoders pad by up to 0.1 s
MAX_BAD_PACKETS = 1000


def has_av() -> bool:
    return find_spec("av") is not None


class AvSound:
    """The first audio stream of a file, in the interface of `SoundfileSound`."""

    damaged = ""  # it goes on after damaged packets

    def __init__(self, path: Path, skip: int = 0) -> None:
        """Open a file, of which the first `skip` samples are left out."""
        import av

        av.logging.set_level(None)  # FFmpeg's messages; errors are raised
        self.notes: list[str] = []
        self.cut, self._skip = False, skip
        self._file: Any = path.open("rb")
        self._container: Any = None
        try:
            self._container = av.open(self._file, metadata_errors="replace")
            if not self._container.streams.audio:
                raise DataError("contains no sound, only " + (self._container.streams[0].type or "data"))
            self._stream = self._container.streams.audio[0]
            if self._stream.codec_context is None:
                raise DataError("its header names no known encoding of sound")
            self.sample_rate_hz, self.channels = self._stream.rate or 0, self._stream.channels or 0
            self.is_float = self._stream.codec_context.name.startswith(("pcm_f", "wavpack"))
            self.expected_samples = round((self._stated_s() or 0) * self.sample_rate_hz)
        except DataError:
            self.close()
            raise
        except Exception as error:  # PyAV raises many kinds, also IndexError and MemoryError for damaged headers
            self.close()
            raise DataError(_reason(error)) from error

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._file.close()

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Yield float32 [at most `frames` samples, channels]."""
        pending: list[np.ndarray] = []
        count = 0
        for samples in self._frames():
            pending.append(samples)
            count += len(samples)
            while count >= frames:
                block = np.concatenate(pending)
                yield block[:frames]
                pending, count = [block[frames:]], count - frames
        if count:
            yield np.concatenate(pending)

    def _frames(self) -> Iterator[np.ndarray]:
        """Decode packet by packet; damaged ones are skipped and counted."""
        import av

        resampler = av.AudioResampler(format="fltp")  # only converts the sample format
        left_out_s = bad = samples = 0
        ends_badly = False
        try:
            for packet in self._container.demux(self._stream):
                try:
                    decoded = packet.decode()
                except (av.error.FFmpegError, ValueError):
                    bad, ends_badly = bad + 1, True
                    if bad > MAX_BAD_PACKETS:
                        break
                    continue
                ends_badly = ends_badly and not packet.size  # at the end, packets of no size return what is left
                for frame in decoded:
                    if frame.sample_rate != self.sample_rate_hz or frame.layout.nb_channels != self.channels:
                        left_out_s += frame.samples / max(1, frame.sample_rate)
                        continue
                    for converted in resampler.resample(frame):
                        before, samples = samples, samples + converted.samples
                        if samples > self._skip:
                            inside = converted.to_ndarray()[:, max(0, self._skip - before) :]  # [channels, samples]
                            yield np.ascontiguousarray(inside.T)
        except (av.error.FFmpegError, ValueError, MemoryError):
            self.cut = True
        stated_s = self._stated_s()
        self.cut = (
            self.cut or ends_badly or (stated_s is not None and samples / self.sample_rate_hz < stated_s - MISSING_S)
        )
        if bad > 1 or (bad and not self.cut):
            self.notes.append(f"{bad} damaged {'packet was' if bad == 1 else 'packets were'} skipped")
        if left_out_s:
            self.notes.append(left_out(left_out_s))

    def _stated_s(self) -> float | None:
        stream, container = self._stream, self._container
        if container.format.name in ("aac", "mp3", "amr", "ac3"):
            return None  # estimated from the bit rate
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return container.duration / 1e6 if container.duration else None


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0].rstrip(".")
