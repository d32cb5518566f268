"""Checkpoints: the weights together with all that prediction needs."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from birdnet_nl.audio.mel import MelParams, Normalise
from birdnet_nl.models.registry import build_network
from birdnet_nl.training.engine import cpu_computes_bf16
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import atomic_path

LEARNING_ONLY = "to_teacher."  # weights with which a student learns, and which have no part in its answers
CARD = "birdnet_nl"  # the key under which a checkpoint holds what prediction needs beside the weights


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them.

    Lightning's own goes through the system's folder for temporary files; from there to another disk is a copy, which a
    kill can cut.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with atomic_path(Path(path)) as beside:
            torch.save(checkpoint, beside)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content; only tensors and plain values are loaded, never code."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunError(f"{path} is not there; a run writes it after its first epoch") from None
    except PermissionError:
        raise RunError(f"{path} may not be read; change its permissions") from None
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path} is not a complete checkpoint ({reason}); use another, or train anew") from error
    if not isinstance(content, dict) or CARD not in content:
        raise RunError(f"{path} is a checkpoint of another program; give one that train.py wrote")
    return content


def keep_for_prediction(path: Path, **decided: Any) -> None:
    """Reduce a checkpoint to weights and card, and put what was decided after training into the card.

    The state of the optimiser and of averaging, three times the weights, is for resuming: `last.ckpt` has it. The file
    is replaced whole.
    """
    content = read_checkpoint(path)
    weights = {name: value for name, value in content["state_dict"].items() if not name.startswith(LEARNING_ONLY)}
    with atomic_path(path) as beside:
        torch.save({"state_dict": weights, CARD: content[CARD] | decided}, beside)


def load_weights(module: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Give `module` all weights that its answers are made with; raises `RunError` when they are of another network."""
    missing, unknown = module.load_state_dict(checkpoint["state_dict"], strict=False)
    if unknown or any(not name.startswith(LEARNING_ONLY) for name in missing):
        raise RunError("the checkpoint's weights are those of another network; train anew")


@dataclass(frozen=True)
class Classifier:
    """A trained network ready to answer, and the card it was saved with (types, mel, species, synthetic, …)."""

    network: nn.Module
    normalise: Normalise
    mel: MelParams
    types: list[str]
    card: dict[str, Any]

    @torch.inference_mode()
    def probabilities(self, mel_db: torch.Tensor) -> torch.Tensor:
        """Calibrated probability of each of `types` for segments in dB: [batch, mels, frames] -> [batch, types].

        In bf16 where the processor computes it, as in the test of the run.
        """
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_computes_bf16()):
            logits = self.network(self.normalise(mel_db)[:, None])
        return (logits.float() / self.card["temperature"]).softmax(dim=1)


def load_classifier(path: Path | str) -> Classifier:
    """The classifier in a run's checkpoint, in evaluation mode and in the layout that a CPU computes fastest."""
    checkpoint = read_checkpoint(Path(path))
    card = checkpoint[CARD]
    mel = MelParams(**card["mel"])
    network = build_network(card["network"])
    weights = {
        name.removeprefix("network."): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("network.")
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise RunError(
            f"{path} was written by another version of {card['network']['_target_']} (birdnet_nl {card['version']}), "
            "whose layers are others; use that version, or train anew"
        ) from None
    if hasattr(network, "lean"):
        network.lean = True
    network = network.eval().to(memory_format=torch.channels_last)
    return Classifier(network, Normalise(mel), mel, card["types"], card)
