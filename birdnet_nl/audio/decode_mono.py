"""One channel of a sound file of any length, with the decisions that need the whole file, and its measurements."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from birdnet_nl.audio.decode_blocks import Blocks, PartOfFile, decode_blocks
from birdnet_nl.audio.decode_samples import CONSTANT, SILENCE_PEAK, SILENT, Levels, Treatment
from birdnet_nl.util.errors import DataError


def check_levels(levels: Levels, blocks: Blocks, part_s: PartOfFile | None = None) -> tuple[Treatment, str]:
    """Decide after the last block how the file is treated, and return the warning; raises `DataError` if unusable."""
    if levels.samples == 0:
        raise DataError("contains no samples" + (", because it is cut off" if blocks.cut else ""))
    treatment, changed = levels.treatment(blocks.channels)
    if treatment.scale != 1:
        levels = Levels()  # of the sound, when it is scaled
        for block, _ in decode_blocks(blocks.path, part_s=part_s):
            levels.add(treatment.repair(block))
        rest, polarity = levels.treatment(blocks.channels)
        treatment, changed = replace(treatment, channel=rest.channel), "; ".join(filter(None, (changed, polarity)))
    if (levels.peak if treatment.channel is None else levels.channel_peak) < SILENCE_PEAK:
        raise DataError(SILENT)
    if treatment.channel is None and levels.is_constant:
        raise DataError(CONSTANT)
    return treatment, changed


class MonoBlocks:
    """Iterator over a file of any length: float32 [samples] of one channel as `decode` gives, and the sample rate.

    `warning` is complete after the last block. A file of floating point numbers, or of several channels, is read
    twice, because its treatment is decided for the whole file.
    """

    def __init__(self, path: Path, block_s: float, part_s: PartOfFile | None = None) -> None:
        self.path, self.part_s, self.warning = path, part_s, ""
        self._blocks = self._read(block_s)

    def __iter__(self) -> "MonoBlocks":
        return self

    def __next__(self) -> tuple[np.ndarray, int]:
        return next(self._blocks)

    def close(self) -> None:
        self._blocks.close()

    def _read(self, block_s: float) -> Iterator[tuple[np.ndarray, int]]:
        treatment, changed, checked = Treatment(), "", False
        levels = Levels()
        blocks = decode_blocks(self.path, block_s, self.part_s)
        first = next(blocks, None)
        if first is not None and (blocks.is_float or blocks.channels > 1):
            levels.add(first[0])
            for block, _ in blocks:
                levels.add(block)
            treatment, changed = check_levels(levels, blocks, self.part_s)
            checked = True
            blocks = decode_blocks(self.path, block_s, self.part_s)
            first = next(blocks, None)
        with closing(blocks):
            while first is not None:
                block, rate_hz = first
                if not checked:
                    levels.add(block)
                yield treatment.mono(block), rate_hz
                first = next(blocks, None)
        if not checked:
            treatment, changed = check_levels(levels, blocks, self.part_s)
        self.warning = "; ".join(filter(None, (blocks.warning, changed)))


def mono_blocks(path: Path, block_s: float = 10.0, part_s: PartOfFile | None = None) -> MonoBlocks:
    """Decode a file block by block in constant memory, at its own sample rate; a block is valid until the next one.

    A part is decoded as if it were the whole file. Raises `DataError` as `decode` does; a silent file of one channel
    raises it after its last block.
    """
    return MonoBlocks(path, block_s, part_s)


@dataclass(frozen=True)
class Measured:
    """Measurements of a whole file; `reason` says why it cannot be used, `warning` what is missing or was changed."""

    duration_s: float = 0.0
    sample_rate_hz: int = 0
    cut: bool = False
    warning: str = ""
    reason: str = ""


def measure(path: Path) -> Measured:
    """Read a file to its end in constant memory; what makes it unusable is a `reason`, not an exception."""
    levels, blocks = Levels(), decode_blocks(path)
    reason = changed = ""
    try:
        for block, _ in blocks:
            levels.add(block)
        _, changed = check_levels(levels, blocks)
    except DataError as error:
        reason = str(error)
    duration_s = levels.samples / blocks.sample_rate_hz if levels.samples else 0.0
    warning = "; ".join(filter(None, (blocks.warning, changed)))
    return Measured(duration_s, blocks.sample_rate_hz, blocks.cut, warning, reason)
