"""Training loop of embedding distillation: a compact network learns to predict a large network's embeddings."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from birdnet_nl.audio.mel import MelParams, Normalise
from birdnet_nl.embeddings.distilled import DistillationNetwork, DistillationWindows
from birdnet_nl.training.averaging import train_one_cycle

BATCH, MAX_LR, PCT_START = 64, 6e-3, 0.2
MAX_DEVIATION = 6.0  # standard deviations from the mean; targets beyond it are clamped
MIN_STD = 1e-3


def distill(
    network: DistillationNetwork,
    real: DistillationWindows,
    synthetic: DistillationWindows | None,
    real_share: float,
    params: MelParams,
    steps: int,
    seed: int,
    on_step: Callable[[float], None] = lambda loss: None,
) -> DistillationNetwork:
    """Train `network` in steps of 64 windows, `real_share` of them real where there are synthetic ones.

    The loss, which `on_step` gets, is the mean squared error of the standardised embeddings. Uses bf16 autocast. The
    result is the average of the weights over the steps.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sources = [(real, BATCH)]
    if synthetic is not None:
        real_count = round(BATCH * real_share)
        sources = [(real, real_count), (synthetic, BATCH - real_count)]
    means, stds = zip(*(_mean_and_std(windows.embeddings) for windows, _ in sources), strict=True)
    network.shift.copy_(torch.from_numpy(np.mean(means, axis=0)))
    network.scale.copy_(torch.from_numpy(np.mean(stds, axis=0)))
    network.to(memory_format=torch.channels_last)
    normalise = Normalise(params)

    def losses() -> Iterator[torch.Tensor]:
        while True:
            drawn = [windows.draw(count, rng) for windows, count in sources]
            mel_db, targets = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*drawn, strict=True))
            targets = ((targets - network.shift) / network.scale).clamp(-MAX_DEVIATION, MAX_DEVIATION)
            with torch.autocast("cpu", torch.bfloat16):
                mel = normalise(mel_db)[:, None].to(memory_format=torch.channels_last)  # -> [batch, 1, mels, frames]
                predicted = network.standardised(mel)
            yield nn.functional.mse_loss(predicted.float(), targets)

    return train_one_cycle(network, losses(), steps, MAX_LR, PCT_START, on_step)


def _mean_and_std(embeddings: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    windows = np.concatenate(embeddings).astype(np.float32)  # [windows, dimensions]
    return windows.mean(axis=0), windows.std(axis=0) + MIN_STD
