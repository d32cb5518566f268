"""Recordings of any length in constant memory: decoding, resampling and the front end, stretch by stretch.

The level of a network's input is relative to the median of each band. Up to `EXACT_S` it is the median over the whole
recording, as in training; of a longer recording it is the median over the stretch around a segment, at least five
minutes, so that it follows the noise of the day.
"""

import math
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from birdnet_nl.audio.decode import PartOfFile, average_channels, decode_blocks, mono_blocks
from birdnet_nl.audio.decode_samples import CONSTANT, SILENT
from birdnet_nl.audio.resample_stream import resample_stream
from birdnet_nl.inference.silence import SilentRuns
from birdnet_nl.util.errors import DataError

Item = TypeVar("Item")

BLOCK_S = 10.0
EXACT_S, STEP_S = 900.0, 600.0  # length of a stretch, and distance between stretches
ALIGNMENT = 40  # frames; the strides of the modulation filters divide it
BLOCKS_HERE = 6  # of a recording are decoded in the calling thread: for a short one the other takes longer to start
CONTEXT = 2 * ALIGNMENT  # frames before the first segment of a stretch: the longest modulation filter has 61


@dataclass(frozen=True)
class FrontEnd:
    """Conversion of samples to the columns that a network takes: frames of a mel, or the samples themselves.

    Attributes:
        compute: float32 [samples] -> float32 [rows, 1 + samples // hop_samples]; a column is centred on a multiple of
            `hop_samples` and depends on `n_fft` samples.
        relative: whether the median of each row is subtracted.
        dtype: of the columns that a network gets.
    """

    sample_rate_hz: int
    n_fft: int
    hop_samples: int
    compute: Callable[[np.ndarray], np.ndarray]
    relative: bool
    dtype: type = np.float16
    exact_s: float = EXACT_S
    step_s: float = STEP_S

    @property
    def columns_per_s(self) -> float:
        return self.sample_rate_hz / self.hop_samples

    def of_recording(self, samples: np.ndarray) -> np.ndarray:
        """Compute the columns of a whole recording in memory, [rows, columns]."""
        return _relative(self.compute(samples), self)


@dataclass(frozen=True)
class Stretch:
    """A part of a recording, with the first column of the part at column `first` of the recording.

    Attributes:
        columns: [rows, columns], see `FrontEnd`.
        own_end: segments that start before this column, and not in the stretch before, belong to this one; the segments
            of the last stretch go to the end.
    """

    columns: np.ndarray
    first: int
    own_end: int
    is_last: bool


class SampleBlocks:
    """Iterator over the samples of a file at a given rate, float32 [samples] per block.

    Args:
        as_in_training: see `resample_stream`.
        part_s: start and end of the part that is read as if it were the whole file.

    Attributes (complete after the last block):
        file_samples, file_rate_hz: of the decoded part, before resampling.
        silence: runs of digital silence, in samples of the file.
        is_refused: whether the whole file counts as silent, so that training does not use it.
        warning: empty, or what is wrong with the file.
    """

    def __init__(
        self, path: Path, sample_rate_hz: int, as_in_training: bool = False, part_s: PartOfFile | None = None
    ) -> None:
        self.part_s = part_s
        self.path, self.sample_rate_hz, self.as_in_training = path, sample_rate_hz, as_in_training
        self.file_samples = self.file_rate_hz = 0
        self.silence, self.is_refused = SilentRuns(), False
        self.warning = ""

    def __iter__(self) -> Iterator[np.ndarray]:
        blocks, stream = mono_blocks(self.path, BLOCK_S, self.part_s), None
        try:
            for block, rate_hz in self._with_silent_files(blocks):
                if stream is None:
                    self.file_rate_hz = rate_hz
                    stream = resample_stream(rate_hz, self.sample_rate_hz, self.as_in_training)
                self.silence.add(block)
                self.file_samples += len(block)
                yield stream.push(block.astype(np.float32))  # a copy: the buffer of the block is used again
        except DataError as error:
            if self.file_samples == 0:
                raise
            self.warning = str(error)
            self.is_refused = self.warning in (SILENT, CONSTANT)
        finally:
            blocks.close()
        if stream is not None:
            yield stream.push(np.empty(0, dtype=np.float32), last=True)
        self.warning = "; ".join(filter(None, (self.warning, blocks.warning)))

    def _with_silent_files(self, blocks: Iterator[tuple[np.ndarray, int]]) -> Iterator[tuple[np.ndarray, int]]:
        """Yield blocks, also of a file that is refused as silent before its first block; its segments are marked."""
        first = True
        try:
            for entry in blocks:
                first = False
                yield entry
        except DataError as error:
            if not first or str(error) not in (SILENT, CONSTANT):
                raise
            self.warning, self.is_refused = str(error), True
            for channels, rate_hz in decode_blocks(self.path, BLOCK_S, self.part_s):
                yield average_channels(channels), rate_hz

    def is_silent(self, start_s: float, end_s: float) -> bool:
        """Whether all samples of the file between two times are digital silence; call it after the last block."""
        start, end = (min(round(time_s * self.file_rate_hz), self.file_samples) for time_s in (start_s, end_s))
        return self.is_refused or self.silence.covers(start, end)

    @property
    def duration_s(self) -> float:
        return self.file_samples / self.file_rate_hz if self.file_rate_hz else 0.0

    def length_at(self, sample_rate_hz: int) -> int:
        """Number of samples of the recording at another rate."""
        return math.floor(self.file_samples * sample_rate_hz / self.file_rate_hz + 0.5)


def stretches(blocks: SampleBlocks, front_end: FrontEnd) -> Iterator[Stretch]:
    """Yield a recording stretch by stretch; a long one is decoded in a thread of its own.

    Raises:
        DataError: if nothing of the file can be decoded.
    """
    limit = _aligned(front_end.exact_s * front_end.columns_per_s)
    step = _aligned(front_end.step_s * front_end.columns_per_s)
    columns: list[np.ndarray] = []
    first = count = own_end = 0
    ahead = math.ceil(front_end.step_s / BLOCK_S)  # so that a stretch is decoded while the one before is predicted
    computed = _computed(blocks, front_end)
    for new_columns in chain(islice(computed, BLOCKS_HERE), in_background(computed, ahead)):
        columns.append(new_columns)
        count += new_columns.shape[1]
        if count <= limit:
            continue
        joined = np.concatenate(columns, axis=1)
        own_end += step
        yield Stretch(_relative(joined, front_end), first, own_end, is_last=False)
        dropped = max(0, own_end - CONTEXT - first)
        columns = [joined[:, dropped:].copy()]
        first, count = first + dropped, count - dropped
    if count == 0:
        raise DataError("contains no samples" + (f" ({blocks.warning})" if blocks.warning else ""))
    joined = np.concatenate(columns, axis=1)
    yield Stretch(_relative(joined, front_end), first, first + count, is_last=True)


def _aligned(columns: float) -> int:
    return max(2, round(columns / ALIGNMENT)) * ALIGNMENT


def _relative(columns: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """Subtract the lower median of each row, as `audio.mel.log_mel` does, and convert to the network's dtype."""
    if front_end.relative:
        middle = (columns.shape[1] - 1) // 2
        columns = columns - np.partition(columns, middle, axis=1)[:, middle, None]
    return columns.astype(front_end.dtype, copy=False)


def _computed(blocks: SampleBlocks, front_end: FrontEnd) -> Iterator[np.ndarray]:
    """Yield columns, [rows, columns], of consecutive blocks; equal to those of the whole."""
    hop = front_end.hop_samples
    margin = math.ceil(front_end.n_fft / 2 / hop)  # columns at both ends of a block that depend on other samples
    context = margin * hop
    waiting = np.zeros(context, dtype=np.float32)  # from `context` samples before the next column on
    received = done = 0
    for block in blocks:
        received += len(block)
        waiting = np.concatenate([waiting, block])
        count = (len(waiting) - 2 * context) // hop + (1 if context else 0)
        if count > 0:
            yield _columns(waiting, count, margin, front_end)
            waiting = waiting[count * hop :]
            done += count
    count = (1 + received // hop if context else received // hop) - done
    if received and count > 0:
        missing = max(0, (count - 1) * hop + 2 * context + hop - len(waiting))
        yield _columns(np.pad(waiting, (0, missing)), count, margin, front_end)


def _columns(samples: np.ndarray, count: int, margin: int, front_end: FrontEnd) -> np.ndarray:
    hop = front_end.hop_samples
    if margin == 0:
        return front_end.compute(samples[: count * hop])
    return front_end.compute(samples[: (count - 1 + 2 * margin) * hop])[:, margin : margin + count]


def in_background(items: Iterator[Item], ahead: int) -> Iterator[Item]:
    """Iterate in a thread, some items ahead; an exception is raised where the items are used."""
    ready: queue.Queue = queue.Queue(ahead)
    stopped = threading.Event()

    def put(entry: tuple) -> bool:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
        except BaseException as error:  # raised again in the other thread
            put((None, error))
        else:
            put((None, None))

    first = next(items, None)  # most recordings end before a thread is needed
    if first is None:
        return
    yield first
    thread = threading.Thread(target=work, name="decoding", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
