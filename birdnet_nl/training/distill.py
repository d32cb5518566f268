"""Imitation: a compact network learns to hear as a large pretrained one does, whatever the types are.

Types are known of a few hundred recordings; what the large network makes of a window is known of every window of them,
and of any sound that can be given to it. So there is far more to learn from.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from birdnet_nl.audio.mel import MelParams, Normalise
from birdnet_nl.models.distilled_cnn import DistillationNetwork
from birdnet_nl.training.one_cycle import train_one_cycle

BATCH, PEAK_RATE, WARM_UP_SHARE = 64, 6e-3, 0.2
FURTHEST = 6.0  # deviations from the mean; what lies beyond is taken for this
MIN_SPREAD = 1e-3


class Lessons:
    """Windows of recordings, and what the teacher makes of each.

    Args:
        mels: of recordings in dB, [mels, frames].
        features: the teacher's of each recording's windows, [windows, dimensions].
        hop: frames from the beginning of one window to the next, not always a whole number.
    """

    def __init__(
        self,
        mels: Sequence[np.ndarray],
        features: Sequence[np.ndarray],
        hop: float,
        params: MelParams,
        segment_s: float,
    ) -> None:
        self.mels, self.features, self.hop = mels, features, hop
        self.frames, self.padding_db = params.segment_frames(segment_s), params.padding_db
        self.windows = [(place, window) for place, rows in enumerate(features) for window in range(len(rows))]

    @property
    def all_features(self) -> np.ndarray:
        """Float32 [windows, dimensions]."""
        return np.concatenate(self.features).astype(np.float32)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Any `count` windows: mels float16 [count, mels, frames] in dB, and features float32 [count, dimensions]."""
        batch = np.full((count, len(self.mels[0]), self.frames), self.padding_db, dtype=np.float16)
        wanted = []
        for row, index in enumerate(rng.integers(len(self.windows), size=count)):
            place, window = self.windows[index]
            start = round(window * self.hop)
            view = self.mels[place][:, start : start + self.frames]
            batch[row, :, : view.shape[1]] = view
            wanted.append(self.features[place][window])
        return batch, np.stack(wanted).astype(np.float32)


def imitate(
    network: DistillationNetwork,
    real: Lessons,
    invented: Lessons | None,
    real_share: float,
    params: MelParams,
    steps: int,
    seed: int,
    on_step: Callable[[float], None] = lambda loss: None,
) -> DistillationNetwork:
    """`network` after so many steps of 64 windows, `real_share` of them real where there are invented ones.

    The loss, told to `on_step`, is the mean squared distance in deviations of each of the teacher's features. In bf16
    where the processor computes it. The weights are averaged over the steps.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sources = [(real, BATCH)]
    if invented is not None:
        of_real = round(BATCH * real_share)
        sources = [(real, of_real), (invented, BATCH - of_real)]
    means, spreads = zip(*(_mean_and_spread(lessons.all_features) for lessons, _ in sources), strict=True)
    network.shift.copy_(torch.from_numpy(np.mean(means, axis=0)))
    network.scale.copy_(torch.from_numpy(np.mean(spreads, axis=0)))
    network.to(memory_format=torch.channels_last)
    normalise = Normalise(params)

    def losses() -> Iterator[torch.Tensor]:
        while True:
            drawn = [lessons.draw(count, rng) for lessons, count in sources]
            mel_db, wanted = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*drawn, strict=True))
            wanted = ((wanted - network.shift) / network.scale).clamp(-FURTHEST, FURTHEST)
            with torch.autocast("cpu", torch.bfloat16):
                heard = network.standardised(normalise(mel_db)[:, None].to(memory_format=torch.channels_last))
            yield nn.functional.mse_loss(heard.float(), wanted)

    return train_one_cycle(network, losses(), steps, PEAK_RATE, WARM_UP_SHARE, on_step)


def _mean_and_spread(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features.mean(axis=0), features.std(axis=0) + MIN_SPREAD
