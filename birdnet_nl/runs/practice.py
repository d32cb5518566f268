"""Whether a run learns from invented birds too, and how: a network starts from weights that have practised on them, or
features of invented recordings are learned from beside those of the real ones.

Never where the recordings are of the demo: these are made as the invented ones are, so the figures would flatter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.dataset import Batch
from birdnet_nl.embeddings.synthetic import SyntheticEmbeddings, embed_synthetic
from birdnet_nl.models.pretrained import SHIPPED, PretrainedWeights, read_pretrained
from birdnet_nl.synthetic.generator import GENERATOR
from birdnet_nl.util.console import display_path, info, progress_bar
from birdnet_nl.util.errors import RunError

AUTO, NEVER = "auto", "never"


@dataclass(frozen=True)
class PracticeSettings:
    """How much a run makes of invented birds.

    Attributes:
        use: `auto`, wherever the recordings are real; `never`; or a file of `birdnet-nl pretrain`.
        rate_share: the learning rate of a network that starts from practised weights, as a share of the usual.
        recordings: invented ones, of which a network of features learns.
        weight: of all of these together, against the real ones.
    """

    use: str
    rate_share: float
    recordings: int
    weight: float

    def __post_init__(self) -> None:
        if not isinstance(self.use, str) or not self.use:
            raise ValueError(f"practice.use={self.use} must be auto, never, or a file of birdnet-nl practise")
        for name, least in (("recordings", 3), ("weight", 0), ("rate_share", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least or value == 0:
                raise ValueError(f"practice.{name}={value} must be {'at least 3' if least else 'above 0'}")
        if not isinstance(self.recordings, int):
            raise ValueError(f"practice.recordings={self.recordings} must be a whole number")


@dataclass(frozen=True)
class PracticeUsed:
    """What a run got: `weights` to start from, or a `batch` of features; `card` says so in its checkpoint."""

    weights: PretrainedWeights | None = None
    batch: Batch | None = None
    card: Mapping[str, Any] | None = None


def find_practice(settings: PracticeSettings, network: Mapping[str, Any], data: SpeciesDataModule) -> PracticeUsed:
    """What a network of this description gets to practise with, told on the screen.

    Raises `RunError` for a file that was named and cannot be used.
    """
    if settings.use == NEVER:
        return PracticeUsed()
    named = settings.use != AUTO
    if named and not Path(settings.use).expanduser().is_file():
        raise RunError(
            f"practice.use={settings.use} is neither auto nor never, nor a file that is there; birdnet-nl practise "
            "makes such files"
        )
    if data.synthetic:
        if named:
            raise RunError(
                f"practice.use={settings.use} is for real recordings: the demo's are made as the invented ones, so the "
                "figures would flatter; leave it out, or give data.root"
            )
        info("[dim]practice: none, for the demo's birds are invented themselves[/]")
        return PracticeUsed()
    if data.features is not None:
        if named:
            raise RunError(
                f"practice.use={settings.use} holds weights for a network of mels that is trained in steps, and "
                f"model={data.features.name} is not; take practice.use=auto, or never"
            )
        return _with_features(settings, data)
    return _with_weights(settings, network, data)


def _with_weights(settings: PracticeSettings, network: Mapping[str, Any], data: SpeciesDataModule) -> PracticeUsed:
    path = SHIPPED if settings.use == AUTO else Path(settings.use).expanduser()
    pretrained = read_pretrained(path)
    misfit = pretrained.misfit(network, data.mel, data.segment_s, data.prepared.types)
    if misfit and settings.use != AUTO:
        raise RunError(f"practice.use={path} does not fit this run: {misfit}; leave it out, or make one that does")
    if misfit:
        info(f"[dim]practice: none with the weights that come along, for {misfit}[/]")
        return PracticeUsed()
    made = pretrained.card
    info(
        f"practice: starts from weights that know {made['recordings']:,} invented birds"
        f"{'' if settings.use == AUTO else ' (' + display_path(path) + ')'}"
    )
    card = {key: made[key] for key in ("generator", "recordings", "steps", "seed")}
    return PracticeUsed(weights=pretrained, card=card | {"rate_share": settings.rate_share})


def _with_features(settings: PracticeSettings, data: SpeciesDataModule) -> PracticeUsed:
    info(f"practice: learns from {settings.recordings:,} invented birds beside the real ones")
    with progress_bar() as bar:
        task = bar.add_task(f"{data.features.name} of invented birds", total=settings.recordings * data.features.passes)
        heard = embed_synthetic(
            data.features,
            settings.recordings,
            data.segment_hop_s,
            data.features_dir,
            data.decode_workers,
            lambda done: bar.advance(task, done),
        )
    card = {"generator": GENERATOR, "recordings": settings.recordings, "weight": settings.weight}
    return PracticeUsed(batch=_batch_of(heard, data.prepared.types), card=card)


def _batch_of(heard: SyntheticEmbeddings, types: list[str]) -> Batch:
    """Windows, types and recordings of the invented recordings of these types."""
    of_recording = torch.tensor([types.index(name) if name in types else -1 for name in heard.types])
    recordings = torch.from_numpy(heard.recordings)
    wanted = of_recording[recordings] >= 0
    _, renumbered = recordings[wanted].unique(return_inverse=True)
    return torch.from_numpy(heard.windows)[wanted], of_recording[recordings[wanted]], renumbered
