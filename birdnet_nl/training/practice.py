"""Practice: a network learns from invented birds, before it meets real ones, what song, call and alarm sound like.

It learns whose voice it hears, too. Nobody asks for that afterwards, but what tells 232 species and three types of each
apart is more than what tells three types apart, and layers that know it serve real birds better.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from birdnet_nl.audio.activity import frame_activity, window_activity
from birdnet_nl.audio.augment import MelAugment
from birdnet_nl.audio.mel import MelParams, Normalise
from birdnet_nl.models.build import build_network
from birdnet_nl.models.layer_statistics import STATISTICS, layer_statistics
from birdnet_nl.recordings.invented import type_of
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.training.one_cycle import train_one_cycle

BATCH, PEAK_RATE, WARM_UP_SHARE, SMOOTHING = 64, 4e-3, 0.25, 0.1
CHOICES, ACTIVE_SHARE = 3, 0.8  # of crops, as in trainer=turbo
VOICE_WEIGHT = 1.0  # of the loss of voices, beside that of types


class InventedCrops:
    """Crops of invented recordings, each recording once in every round, active stretches first."""

    def __init__(
        self,
        mels: Sequence[np.ndarray],
        first: int,
        params: MelParams,
        segment_s: float,
        species: Sequence[str | None] = (),
    ) -> None:
        """`mels` are of the recordings from number `first` on, `species` those whose voice each has, None for nobody's;
        empty where voices are not learned."""
        self.mels, self.frames, self.padding_db = mels, params.segment_frames(segment_s), params.padding_db
        self.types = np.array([VOCALIZATION_TYPES.index(type_of(first + place)) for place in range(len(mels))])
        self.activity = [window_activity(frame_activity(mel, params), self.frames) for mel in mels]
        known = sorted({name for name in species if name is not None})
        self.voices = len(known) * len(VOCALIZATION_TYPES)
        self._voice = np.full(len(mels), -1)
        for place, name in enumerate(species):
            if name is not None:
                self._voice[place] = known.index(name) * len(VOCALIZATION_TYPES) + self.types[place]

    def crops(self, places: Sequence[int], starts: Sequence[int]) -> torch.Tensor:
        """Mels, float16 [places, mels, frames] in dB."""
        batch = np.full((len(places), self.mels[0].shape[0], self.frames), self.padding_db, dtype=np.float16)
        for row, (place, start) in enumerate(zip(places, starts, strict=True)):
            view = self.mels[place][:, start : start + self.frames]
            batch[row, :, : view.shape[1]] = view
        return torch.from_numpy(batch)

    def shares(self, places: Sequence[int]) -> torch.Tensor:
        """1 for the type and for the voice of each, float32 [places, types + voices]; a voice of nobody has no 1."""
        types, voices = torch.from_numpy(self.types[list(places)]), torch.from_numpy(self._voice[list(places)])
        of_types = nn.functional.one_hot(types, len(VOCALIZATION_TYPES))
        of_voices = nn.functional.one_hot(voices + 1, self.voices + 1)[:, 1:]
        return torch.cat([of_types, of_voices], dim=1).float()

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Crops and `shares`, without an end."""
        waiting: list[int] = []
        while True:
            while len(waiting) < BATCH:
                waiting += rng.permutation(len(self.mels)).tolist()
            places, waiting = waiting[:BATCH], waiting[BATCH:]
            yield self.crops(places, [self._start(place, rng) for place in places]), self.shares(places)

    def most_active(self) -> torch.Tensor:
        """One crop of each recording."""
        return self.crops(range(len(self.mels)), [int(activity.argmax()) for activity in self.activity])

    def _start(self, place: int, rng: np.random.Generator) -> int:
        activity = self.activity[place]
        starts = rng.integers(len(activity), size=CHOICES)
        return int(starts[activity[starts].argmax()] if rng.random() < ACTIVE_SHARE else starts[0])


def practise(
    description: Mapping[str, Any],
    crops: InventedCrops,
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
    network = build_network(description)
    learner = _Learner(network, STATISTICS * description["channels"][-1], crops.voices)
    learner = learner.to(memory_format=torch.channels_last)
    augment = MelAugment(mix_share=0.5, time_masks=1, longest_time_mask=0.2, band_masks=1, widest_band_mask=0.2)
    normalise = Normalise(params)

    def losses() -> Iterator[torch.Tensor]:
        types = len(VOCALIZATION_TYPES)
        for mel_db, shares in crops.batches(rng):
            mel_db, shares = augment(mel_db, shares, draws)
            with torch.autocast("cpu", torch.bfloat16):
                of_types, of_voices = learner(normalise(mel_db)[:, None].to(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(of_types.float(), shares[:, :types], label_smoothing=SMOOTHING)
            if of_voices is not None:
                loss = loss + VOICE_WEIGHT * nn.functional.cross_entropy(of_voices.float(), shares[:, types:])
            yield loss

    return train_one_cycle(learner, losses(), steps, PEAK_RATE, WARM_UP_SHARE, on_step).network


class _Learner(nn.Module):
    """A compact network, which answers types, and beside it a layer that says whose voice it is.

    [batch, 1, mels, frames] -> logits [batch, types] and [batch, voices], None without voices.
    """

    def __init__(self, network: nn.Module, width: int, voices: int) -> None:
        super().__init__()
        self.network, self.to_voices = network, nn.Linear(width, voices) if voices else None

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        layer = self.network.last_layer(mel)
        of_types = self.network.answer(self.network.pool(layer))
        if self.to_voices is None:
            return of_types, None
        return of_types, self.to_voices(self.network.dropout(layer_statistics(layer)))


@torch.inference_mode()
def share_right(network: nn.Module, crops: InventedCrops, params: MelParams) -> float:
    """Of the recordings, judged by their most active crop; the types are equally frequent."""
    mel_db, types = crops.most_active(), torch.from_numpy(crops.types)
    logits = torch.cat([network(Normalise(params)(part)[:, None]) for part in mel_db.split(BATCH)])
    return float((logits.argmax(dim=1) == types).float().mean())
