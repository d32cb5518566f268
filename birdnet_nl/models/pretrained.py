"""Weights of a network that has practised on invented birds, for a training on real ones to start from.

They come with the package, made by `birdnet-nl pretrain`; another file of the same make can be given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import nn

from birdnet_nl.audio.mel import MelParams
from birdnet_nl.models.weights_file import halved, in_full, read_tensors
from birdnet_nl.util.files import atomic_path

SHIPPED = Path(str(files("birdnet_nl.models"))) / "pretrained_compact_cnn.pt"
CARD = "practised"
OF_TYPES = "head."  # weights with one row for each type
MAY_DIFFER = ("types", "dropout")  # of a network's description: these do not change what the weights mean


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights in float32 by name, and the card: network, mel, types, segment_s, generator, and how they were made."""

    card: dict[str, Any]
    weights: dict[str, torch.Tensor]

    def misfit(self, network: Mapping[str, Any], mel: MelParams, segment_s: float, types: Sequence[str]) -> str | None:
        """Why a network of this description cannot start from them, in a few words; None when it can."""
        if _sizes(network) != _sizes(self.card["network"]):
            return f"they are of {self.card['network']['_target_'].rpartition('.')[2]} of other sizes or kind"
        if asdict(mel) != self.card["mel"] or segment_s != self.card["segment_s"]:
            return "they were made with another front end (mel) or length of segments"
        unknown = [name for name in types if name not in self.card["types"]]
        return f"they do not know {', '.join(unknown)}" if unknown else None

    def give_to(self, network: nn.Module, types: Sequence[str]) -> None:
        """Into a network of these types, in this order."""
        rows = [self.card["types"].index(name) for name in types]
        network.load_state_dict(
            {name: value[rows] if name.startswith(OF_TYPES) else value for name, value in self.weights.items()}
        )


def _sizes(network: Mapping[str, Any]) -> dict[str, Any]:
    return {"pooling": "log_mean_exp"} | {key: value for key, value in network.items() if key not in MAY_DIFFER}


def write_pretrained(path: Path, network: nn.Module, card: Mapping[str, Any]) -> None:
    """In half precision."""
    with atomic_path(path) as beside:
        torch.save({CARD: dict(card), "weights": halved(network.state_dict())}, beside)


def read_pretrained(path: Path) -> PretrainedWeights:
    """Raises `RunError` for a file that is not of `write_pretrained`."""
    return read_tensors(
        path,
        lambda content: PretrainedWeights(content[CARD], in_full(content["weights"])),
        wanted="practised weights",
        maker="birdnet-nl practise",
    )
