"""What a layer of a network of mels says of a window as a whole, in four numbers a channel."""

import torch

STATISTICS = 4


def layer_statistics(features: torch.Tensor) -> torch.Tensor:
    """[batch, channels, mels, frames] -> float32 [batch, 4 · channels].

    Of each channel its mean, its maximum, its deviation over time, and the mean over time of its loudest band.
    """
    features = features.float()
    over_bands = features.mean(dim=2)  # -> [batch, channels, frames]
    statistics = [
        over_bands.mean(dim=2),
        features.amax(dim=(2, 3)),
        (over_bands.var(dim=2, correction=0) + 1e-6).sqrt(),  # which has a slope where nothing changes, too
        features.amax(dim=2).mean(dim=2),
    ]
    return torch.cat(statistics, dim=1)
