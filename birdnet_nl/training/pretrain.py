"""Practice: a network learns song, call and alarm from invented birds, before it meets real ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from birdnet_nl.audio.activity import frame_activity, window_activity
from birdnet_nl.audio.augment import MelAugment
from birdnet_nl.audio.mel import MelParams, Normalise
from birdnet_nl.models.registry import build_network
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.synthetic.generator import type_of
from birdnet_nl.training.one_cycle import train_one_cycle

BATCH, PEAK_RATE, WARM_UP_SHARE, SMOOTHING = 64, 4e-3, 0.25, 0.1
CHOICES, ACTIVE_SHARE = 3, 0.8  # of crops, as in trainer=turbo


class SyntheticCrops:
    """Crops of invented recordings, each recording once in every round, active stretches first."""

    def __init__(self, mels: Sequence[np.ndarray], first: int, params: MelParams, segment_s: float) -> None:
        """`mels` are of the recordings from number `first` on."""
        self.mels, self.frames, self.padding_db = mels, params.segment_frames(segment_s), params.padding_db
        self.types = np.array([VOCALIZATION_TYPES.index(type_of(first + place)) for place in range(len(mels))])
        self.activity = [window_activity(frame_activity(mel, params), self.frames) for mel in mels]

    def crops(self, places: Sequence[int], starts: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mels, float16 [places, mels, frames] in dB, and types, int64 [places]."""
        batch = np.full((len(places), self.mels[0].shape[0], self.frames), self.padding_db, dtype=np.float16)
        for row, (place, start) in enumerate(zip(places, starts, strict=True)):
            view = self.mels[place][:, start : start + self.frames]
            batch[row, :, : view.shape[1]] = view
        return torch.from_numpy(batch), torch.from_numpy(self.types[list(places)])

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Without an end."""
        waiting: list[int] = []
        while True:
            while len(waiting) < BATCH:
                waiting += rng.permutation(len(self.mels)).tolist()
            places, waiting = waiting[:BATCH], waiting[BATCH:]
            yield self.crops(places, [self._start(place, rng) for place in places])

    def most_active(self) -> tuple[torch.Tensor, torch.Tensor]:
        """One crop of each recording."""
        return self.crops(range(len(self.mels)), [int(activity.argmax()) for activity in self.activity])

    def _start(self, place: int, rng: np.random.Generator) -> int:
        activity = self.activity[place]
        starts = rng.integers(len(activity), size=CHOICES)
        return int(starts[activity[starts].argmax()] if rng.random() < ACTIVE_SHARE else starts[0])


def pretrain(
    description: Mapping[str, Any],
    crops: SyntheticCrops,
    params: MelParams,
    steps: int,
    seed: int,
    on_step: Callable[[float], None] = lambda loss: None,
) -> nn.Module:
    """A network of this description after so many steps of 64 crops; `on_step` is told the loss of each.

    In bf16 where the processor computes it; mixing, masks and the averaging of weights are as in `trainer=turbo`.
    """
    torch.manual_seed(seed)
    rng, draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network = build_network(description).to(memory_format=torch.channels_last)
    augment = MelAugment(mix_share=0.5, time_masks=1, longest_time_mask=0.2, band_masks=1, widest_band_mask=0.2)
    normalise = Normalise(params)

    def losses() -> Iterator[torch.Tensor]:
        for mel_db, types in crops.batches(rng):
            shares = nn.functional.one_hot(types, len(VOCALIZATION_TYPES)).float()
            mel_db, shares = augment(mel_db, shares, draws)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(normalise(mel_db)[:, None].to(memory_format=torch.channels_last))
            yield nn.functional.cross_entropy(logits.float(), shares, label_smoothing=SMOOTHING)

    return train_one_cycle(network, losses(), steps, PEAK_RATE, WARM_UP_SHARE, on_step)


@torch.inference_mode()
def share_right(network: nn.Module, crops: SyntheticCrops, params: MelParams) -> float:
    """Of the recordings, judged by their most active crop; the types are equally frequent."""
    mel_db, types = crops.most_active()
    logits = torch.cat([network(Normalise(params)(part)[:, None]) for part in mel_db.split(BATCH)])
    return float((logits.argmax(dim=1) == types).float().mean())
