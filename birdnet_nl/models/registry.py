"""A network from its description: the `_target_` and sizes as they stand in `conf/model/` and in a checkpoint."""

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from birdnet_nl.util.errors import RunError

PACKAGE = "birdnet_nl.models."


def build_network(description: Mapping[str, Any]) -> nn.Module:
    """Build the network; only classes below `birdnet_nl.models` are built, so a checkpoint cannot name other code."""
    target = description["_target_"]
    if not target.startswith(PACKAGE):
        raise RunError(f"a network must come from {PACKAGE.rstrip('.')}, not from {target}")
    module, _, name = target.rpartition(".")
    sizes = {key: value for key, value in description.items() if not key.startswith("_")}
    return getattr(importlib.import_module(module), name)(**sizes)


def check_network(description: Mapping[str, Any]) -> None:
    """Raise what building the network would raise, without the types, and leave the random numbers as they are."""
    with torch.random.fork_rng(devices=[]):
        build_network({**description, "types": 3})
