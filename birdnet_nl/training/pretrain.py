"""Synthetic pretraining: a network learns song, call and alarm from synthetic recordings before it sees real ones.

Network, crops, augmentation and learning rate are those of `trainer=turbo`, read from `conf/`.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import nn

from birdnet_nl import __version__
from birdnet_nl.audio.activity import frame_activity, window_activity
from birdnet_nl.audio.augment import MelAugment
from birdnet_nl.audio.mel import WIDE_COARSE as MEL
from birdnet_nl.audio.mel import MelParams, Normalise
from birdnet_nl.embeddings.base import cut_mels
from birdnet_nl.embeddings.synthetic import synthetic_mels
from birdnet_nl.models.pretrained import write_pretrained
from birdnet_nl.models.registry import build_network
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.synthetic.generator import GENERATOR, type_of
from birdnet_nl.training.averaging import train_one_cycle
from birdnet_nl.util.conf_values import conf_values

BATCH = 64


def pretrain_to_file(
    recordings: int, steps: int, evaluated: int, seed: int, out: Path, cache_dir: Path, bar: Progress
) -> dict[str, Any]:
    """Train on the first synthetic recordings and evaluate on further ones; writes `out` and returns its metadata."""
    generating = bar.add_task("generating recordings", total=recordings + evaluated)
    mels = synthetic_mels(
        recordings + evaluated, MEL, cache_dir, os.cpu_count() or 1, lambda done: bar.advance(generating, done)
    )
    segment_s = conf_values("data/base.yaml")["segment_s"]
    train_crops = SyntheticCrops(mels[:recordings], 0, MEL, segment_s)
    test_crops = SyntheticCrops(mels[recordings:], recordings, MEL, segment_s)
    description = network_description()
    training = bar.add_task("pretraining", total=steps)
    network = pretrain(description, train_crops, MEL, steps, seed, lambda loss: bar.advance(training))
    metadata = {
        "version": __version__,
        "generator": GENERATOR,
        "recordings": recordings,
        "steps": steps,
        "seed": seed,
        "network": description,
        "mel": asdict(MEL),
        "segment_s": segment_s,
        "types": list(VOCALIZATION_TYPES),
        "evaluated": evaluated,
        "accuracy": accuracy(network, test_crops, MEL),
    }
    write_pretrained(out, network, metadata)
    return metadata


def network_description() -> dict[str, Any]:
    """Description of the network of `trainer=turbo`, for `build_network`."""
    values = {**conf_values("model/compact_cnn.yaml"), "types": len(VOCALIZATION_TYPES)}
    return {key: value for key, value in values.items() if key not in ("_partial_", "pretrained")}


class SyntheticCrops:
    """Crops of synthetic recordings, each recording once per epoch, with a preference for active stretches.

    Args:
        mels: in dB, of consecutive recordings.
        first: number of the first recording.
    """

    def __init__(self, mels: Sequence[np.ndarray], first: int, params: MelParams, segment_s: float) -> None:
        self.mels, self.frames, self.padding_db = mels, params.segment_frames(segment_s), params.padding_db
        self.types = np.array([VOCALIZATION_TYPES.index(type_of(first + index)) for index in range(len(mels))])
        self.activity = [window_activity(frame_activity(mel, params), self.frames) for mel in mels]
        crops = conf_values("data/base.yaml")["crops"]
        self.choices, self.active_share = crops["choices"], crops["active_share"]

    def crops(self, places: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut crops at recordings and first frames: float16 [crops, mels, frames] in dB, and types, int64 [crops]."""
        mel_db = cut_mels(self.mels, places, self.frames, self.padding_db)
        return torch.from_numpy(mel_db), torch.from_numpy(self.types[[index for index, _ in places]])

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Draw batches without end."""
        waiting: list[int] = []
        while True:
            while len(waiting) < BATCH:
                waiting += rng.permutation(len(self.mels)).tolist()
            indices, waiting = waiting[:BATCH], waiting[BATCH:]
            yield self.crops([(index, self._start(index, rng)) for index in indices])

    def most_active(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut the most active crop of each recording."""
        return self.crops([(index, int(activity.argmax())) for index, activity in enumerate(self.activity)])

    def _start(self, index: int, rng: np.random.Generator) -> int:
        activity = self.activity[index]
        starts = rng.integers(len(activity), size=self.choices)
        return int(starts[activity[starts].argmax()] if rng.random() < self.active_share else starts[0])


def pretrain(
    description: Mapping[str, Any],
    crops: SyntheticCrops,
    params: MelParams,
    steps: int,
    seed: int,
    on_step: Callable[[float], None] = lambda loss: None,
) -> nn.Module:
    """Train a network of this description in steps of 64 crops; `on_step` gets the loss of each. Uses bf16 autocast."""
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network = build_network(description).to(memory_format=torch.channels_last)
    settings = conf_values("augment/mix_and_mask.yaml")
    augment = MelAugment(**{key: value for key, value in settings.items() if not key.startswith("_")})
    smoothing = conf_values("trainer/turbo.yaml")["loss"]["label_smoothing"]
    normalise = Normalise(params)

    def losses() -> Iterator[torch.Tensor]:
        for mel_db, types in crops.batches(rng):
            targets = nn.functional.one_hot(types, len(VOCALIZATION_TYPES)).float()
            mel_db, targets = augment(mel_db, targets, generator)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(normalise(mel_db)[:, None].to(memory_format=torch.channels_last))
            yield nn.functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)

    max_lr = conf_values("optimizer/adamw.yaml")["lr"]
    pct_start = conf_values("scheduler/one_cycle.yaml")["pct_start"]
    return train_one_cycle(network, losses(), steps, max_lr, pct_start, on_step)


@torch.inference_mode()
def accuracy(network: nn.Module, crops: SyntheticCrops, params: MelParams) -> float:
    """Share of the recordings whose most active crop is predicted correctly; the types are equally frequent."""
    mel_db, types = crops.most_active()
    logits = torch.cat([network(Normalise(params)(part)[:, None]) for part in mel_db.split(BATCH)])
    return float((logits.argmax(dim=1) == types).float().mean())
