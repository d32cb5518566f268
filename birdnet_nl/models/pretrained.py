"""Weights of a network pretrained on synthetic recordings, as the start of a training on real ones.

One file comes with the package; `birdnet-nl pretrain` makes others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import nn

from birdnet_nl.audio.mel import MelParams
from birdnet_nl.models.registry import nonfinite_tensor, read_tensors, to_float, to_half
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import atomic_path

SHIPPED = Path(str(files("birdnet_nl.models"))) / "pretrained_compact_cnn.pt"
COMMAND = "birdnet-nl pretrain"
METADATA = "metadata"
METADATA_OF_0_1 = "practised"
PER_TYPE = "head."  # prefix of weights with one row for each type
NEEDED = ("network", "mel", "segment_s", "types", "generator", "recordings", "steps", "seed")  # of the metadata
IGNORED = ("types", "dropout", "pretrained")  # of a network's description: these do not change what the weights mean


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights in float32 by name, and their metadata.

    The metadata are plain values: network, mel, types, segment_s, generator, recordings, steps, seed, and the accuracy
    on further synthetic recordings.
    """

    metadata: dict[str, Any]
    weights: dict[str, torch.Tensor]

    def mismatch(self, network_description: Mapping[str, Any], mel: MelParams, segment_s: float) -> str | None:
        """The reason why such a network cannot start from these weights, as a clause; None when it can."""
        own, other = _architecture(self.metadata["network"]), _architecture(network_description)
        if own != other:
            sizes = ", ".join(f"{key}={value}" for key, value in own.items() if key != "_target_")
            return f"they are for a {own['_target_'].rpartition('.')[2]} with {sizes}"
        if asdict(mel) != self.metadata["mel"] or segment_s != self.metadata["segment_s"]:
            return "they were trained with another mel front end or segment length"
        return None

    def load_into(self, network: nn.Module, types: Sequence[str]) -> None:
        """Copy the weights into a network with these types, in this order; raises `RunError` where they do not fit.

        The outputs of types that the weights were not trained on, such as drumming, keep their initial weights.
        """
        trained = self.metadata["types"]
        known = torch.tensor([index for index, name in enumerate(types) if name in trained], dtype=torch.int64)
        rows = [trained.index(types[index]) for index in known]
        own = network.state_dict()

        def of_types(name: str, value: torch.Tensor) -> torch.Tensor:
            return own[name].clone().index_copy_(0, known, value[rows].to(own[name].dtype))

        try:
            network.load_state_dict(
                {
                    name: of_types(name, value) if name.startswith(PER_TYPE) else value
                    for name, value in self.weights.items()
                }
            )
        except (AttributeError, LookupError, RuntimeError, TypeError):
            raise RunError(
                f"the pretrained weights are not those of a {type(network).__name__}; make them again with {COMMAND}"
            ) from None


def _architecture(description: Mapping[str, Any]) -> dict[str, Any]:
    arguments = (key for key in description if not key.startswith("_") and key not in IGNORED)
    return {key: description[key] for key in ("_target_", *arguments)}


def write_pretrained(path: Path, network: nn.Module, metadata: Mapping[str, Any]) -> None:
    """Write the weights in half precision."""
    with atomic_path(path) as temporary:
        torch.save({METADATA: dict(metadata), "weights": to_half(network.state_dict())}, temporary)


def read_pretrained(path: Path) -> PretrainedWeights:
    """Raises `RunError` for a file that `write_pretrained` did not write."""

    def parse(content: Any) -> PretrainedWeights:
        if METADATA_OF_0_1 in content:
            raise RunError(f"{path} was made by birdnet_nl 0.1 (birdnet-nl practise); make it again with {COMMAND}")
        metadata, weights = content[METADATA], to_float(content["weights"])
        missing = [key for key in NEEDED if key not in metadata]
        if missing or "_target_" not in metadata["network"]:
            raise KeyError(missing)
        if name := nonfinite_tensor(weights):
            raise RunError(
                f"{path} cannot be used: its weights {name} are not all finite numbers; make it again with {COMMAND}"
            )
        return PretrainedWeights(metadata, weights)

    return read_tensors(path, parse, content="pretrained weights", command=COMMAND)
