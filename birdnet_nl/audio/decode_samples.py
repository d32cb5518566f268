"""Samples that no sound can have, and channels that cancel each other: measured over a file, decided per file.

Numbers that are not finite, or far above full scale, are replaced by silence where they are few. A file of floating
point numbers in the range of integers is scaled. Two channels of opposite polarity are not averaged, which would give
silence; the louder one is used.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from birdnet_nl.util.errors import DataError
from birdnet_nl.util.words import counted

SILENCE_PEAK = 1e-4
"""Peak (-80 dB re full scale) below which a recording counts as silent."""
MAX_LEVEL = 64.0  # times full scale: 36 dB above it, which recorders of 32-bit float do not reach by sound
MAX_ABSURD_SHARE = 1e-3  # of all samples
CLICK_SAMPLES = 100  # a file of so few samples may be constant
INTEGER_PEAKS = {16: 2.0**15, 24: 2.0**23, 32: 2.0**31}  # by bits
CANCELLED_SHARE = 0.01  # of the power of a channel; independent channels keep 1/channels
SILENT = "silent (largest sample below -80 dB)"
CONSTANT = "silent (all samples have nearly the same value)"


@dataclass(frozen=True)
class Treatment:
    """Change of the samples of a file, the same for all its blocks: replace above `limit`, then multiply by `scale`.

    `channel` is used alone where it is given.
    """

    limit: float = MAX_LEVEL
    scale: float = 1.0
    channel: int | None = None
    replaces: bool = False

    @property
    def changes_samples(self) -> bool:
        return self.replaces or self.scale != 1

    def repair(self, block: np.ndarray) -> np.ndarray:
        """Return the block [samples, channels] with absurd samples replaced by 0; a good one without a copy."""
        if self.replaces:
            with np.errstate(invalid="ignore"):
                block = np.where(np.abs(block) <= self.limit, block, np.float32(0))
        return block * np.float32(self.scale) if self.scale != 1 else block

    def mono(self, block: np.ndarray) -> np.ndarray:
        """[samples, channels] -> [samples]: repaired, and averaged or one channel."""
        block = self.repair(block)
        return average_channels(block) if self.channel is None else block[:, self.channel]


def average_channels(channels: np.ndarray) -> np.ndarray:
    """[samples, channels] -> [samples]; a single channel is returned without a copy.

    Adds channel by channel, because NumPy's `mean(axis=1)` takes twenty times as long, which is more than decoding.
    """
    if channels.shape[1] == 1:
        return channels[:, 0]
    total = channels[:, 0] + channels[:, 1]
    for channel in range(2, channels.shape[1]):
        total += channels[:, channel]
    total /= channels.shape[1]
    return total


def _peak(block: np.ndarray) -> float:
    return float(max(block.max(), -block.min()))


@dataclass
class Levels:
    """Levels of a file, added up block by block.

    Attributes:
        samples: of each channel.
        absurd: over all channels, not finite or beyond 32-bit integers.
        loud: over all channels, above `MAX_LEVEL` and not absurd.
        loud_peak: largest of them.
        peak: of the average of the channels, without the samples above.
        lowest, highest: of the same.
        channel_peak: of all channels, without the samples above.
        power: sums of squares of each channel, and of their average in the end; empty for a single channel.
    """

    samples: int = 0
    absurd: int = 0
    loud: int = 0
    loud_peak: float = 0.0
    peak: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf
    channel_peak: float = 0.0
    power: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def add(self, block: np.ndarray) -> np.ndarray:
        """Measure a block [samples, channels] and return the average of its channels [samples]."""
        self.samples += len(block)
        peak = _peak(block)
        if not peak <= MAX_LEVEL:  # also where it is not a number
            block = self._without_absurd(block)
            peak = _peak(block)
        self.channel_peak = max(self.channel_peak, peak)
        mono = average_channels(block)
        lowest, highest = float(mono.min()), float(mono.max())
        self.peak = max(self.peak, highest, -lowest)
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
        if block.shape[1] > 1:
            columns = [*block.T, mono]
            power = np.array([float(np.dot(column, column)) for column in columns])
            self.power = self.power + power if len(self.power) else power
        return mono

    def _without_absurd(self, block: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            size = np.abs(block)
            absurd, loud = ~(size <= INTEGER_PEAKS[32]), size > MAX_LEVEL
        loud &= ~absurd
        self.absurd += int(absurd.sum())
        self.loud += int(loud.sum())
        self.loud_peak = max(self.loud_peak, float(size[loud].max(initial=0)))
        return np.where(absurd | loud, np.float32(0), block)

    @property
    def is_constant(self) -> bool:
        """Whether the average of the channels differs from one value, such as the offset of a recorder, by no sound."""
        return self.samples > CLICK_SAMPLES and self.highest - self.lowest < SILENCE_PEAK

    def treatment(self, channels: int) -> tuple[Treatment, str]:
        """Decide how to treat the file, and return why; raises `DataError` where it is no sound."""
        values = self.samples * channels
        if self.absurd > MAX_ABSURD_SHARE * values:
            raise DataError(
                f"contains samples that are not finite numbers, or that no sound can have "
                f"({self.absurd} of {values}); convert or record it again"
            )
        channel = self.channel()
        note = "its channels have opposite polarity, so the louder one is used" if channel is not None else ""
        if self.loud > MAX_ABSURD_SHARE * values:
            bits = next(bits for bits, peak in INTEGER_PEAKS.items() if self.loud_peak <= peak)
            scaled = f"its samples are in the range of {bits}-bit integers, so they were divided by 2^{bits - 1}"
            treatment = Treatment(INTEGER_PEAKS[bits], 1 / INTEGER_PEAKS[bits], channel, self.absurd > 0)
            replaced = self.absurd
        else:
            replaced, scaled = self.absurd + self.loud, ""
            treatment = Treatment(MAX_LEVEL, 1.0, channel, replaced > 0)
        were = counted(replaced, f"of {values} samples was", f"of {values} samples were")
        lost = f"{were} no sound (not finite, or too large) and became silence"
        return treatment, "; ".join(text for text in (scaled, lost if replaced else "", note) if text)

    def channel(self) -> int | None:
        """Return the louder channel of two that cancel each other, else None."""
        if not len(self.power):
            return None
        *channels, average = self.power
        return int(np.argmax(channels)) if average < CANCELLED_SHARE * np.mean(channels) else None
