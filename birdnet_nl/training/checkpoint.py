"""Checkpoints: weights together with the metadata that prediction needs, written whole or not at all."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import atomic_path

METADATA = "birdnet_nl"  # the key of a checkpoint that holds what prediction needs beside the weights


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin that writes a checkpoint beside its target and renames it.

    Lightning's own goes through the system's folder for temporary files; from there to another disk is a copy, which a
    kill can cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with atomic_path(Path(path)) as beside:
            torch.save(checkpoint, beside)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint; only tensors and plain values are loaded, never code.

    Raises:
        RunError: if the file is missing, unreadable, damaged or not written by this project.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunError(f"{path} does not exist; a run writes it after its first epoch") from None
    except PermissionError:
        raise RunError(f"{path} cannot be read; change its permissions") from None
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path} is not a complete checkpoint ({reason}); use another, or train again") from error
    if not isinstance(content, dict) or METADATA not in content:
        raise RunError(f"{path} is a checkpoint of another program; give one that train.py wrote")
    return content


def finalize_checkpoint(path: Path, **decisions: Any) -> None:
    """Reduce a checkpoint to weights and metadata, and add to the metadata what was decided after training.

    The state of the optimizer and of weight averaging, three times the weights, is only needed for resuming and is in
    `last.ckpt`.
    """
    content = read_checkpoint(path)
    with atomic_path(path) as beside:
        torch.save({"state_dict": content["state_dict"], METADATA: content[METADATA] | decisions}, beside)


def load_weights(module: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Load all weights of a checkpoint into `module`.

    Raises:
        RunError: if they belong to another network.
    """
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError:
        raise RunError("the weights of the checkpoint belong to another network; train again") from None
