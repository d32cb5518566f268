"""Initial weights of a network: pretrained on synthetic recordings, or random."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.models.pretrained import SHIPPED, read_pretrained
from birdnet_nl.util.console import display_path, info
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import user_path

SYNTHETIC = "synthetic"  # the weights shipped with the package


def check_pretrained(pretrained: object) -> str | None:
    """Return the value of `model.pretrained`; raises `ValueError` or `RunError` when it names no weights."""
    if pretrained is None or pretrained == SYNTHETIC:
        return pretrained
    if not isinstance(pretrained, str) or not pretrained:
        raise ValueError(f"model.pretrained={pretrained} must be synthetic, null, or a file of birdnet-nl pretrain")
    if not user_path(pretrained).is_file():
        raise RunError(
            f"model.pretrained={pretrained} is neither synthetic nor null, nor an existing file; birdnet-nl pretrain "
            "writes such files"
        )
    return pretrained


def load_pretrained(
    pretrained: str | None, network: nn.Module, description: Mapping[str, Any], data: SpeciesDataModule
) -> dict[str, Any] | None:
    """Load pretrained weights into `network` and return their description for checkpoints; None when none are used.

    The shipped weights are skipped, with a message, where they do not fit the network or the recordings are the demo's:
    those come from the same generator as the synthetic recordings, so the metrics would be too good.

    Raises:
        RunError: if a file was named and cannot be used.
    """
    if pretrained is None:
        return None
    named = pretrained != SYNTHETIC
    if data.synthetic and named:
        raise RunError(
            f"model.pretrained={pretrained} is for real recordings: the demo comes from the generator it was trained "
            "on, so the metrics would be too good; leave it out, or give data.root"
        )
    if data.synthetic:
        info("[dim]no pretrained weights: the demo comes from the generator that they were trained on[/]")
        return None
    path = user_path(pretrained) if named else SHIPPED
    weights = read_pretrained(path)
    mismatch = weights.mismatch(description, data.mel, data.segment_s)
    if mismatch and named:
        raise RunError(f"model.pretrained={path} does not fit this run: {mismatch}; leave it out or make one that fits")
    if mismatch:
        info(f"[dim]no pretrained weights: {mismatch}[/]")
        return None
    weights.load_into(network, data.prepared.types)
    made = weights.metadata
    where = f" ({display_path(path)})" if named else ""
    new = [name for name in data.prepared.types if name not in made["types"]]
    apart = f"; {', '.join(new)} from random ones" if new else ""
    info(f"starts from weights pretrained on {made['recordings']:,} synthetic recordings{where}{apart}")
    return {key: made[key] for key in ("generator", "recordings", "steps", "seed")}
