"""Checkpoints: weights together with the metadata that prediction needs, written whole or not at all."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from birdnet_nl import __version__
from birdnet_nl.models.registry import load_tensors, nonfinite_tensor
from birdnet_nl.util.errors import BirdnetNlError, RunError
from birdnet_nl.util.files import atomic_path
from birdnet_nl.util.tensor_file import describe_damage

METADATA = "birdnet_nl"  # the key of a checkpoint that holds what prediction needs beside the weights
TRAINING_STATE = ("epoch", "global_step", "loops", "callbacks", "optimizer_states", "lr_schedulers")  # to resume
UNCHECKED = ("callbacks", "loops")  # Lightning's own state, where infinity stands for "no value yet"


class DivergedError(RunError):
    """A training whose numbers are no longer finite: it would fail again when resumed."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin that writes a checkpoint beside its target and renames it.

    Lightning's own goes through the system's folder for temporary files; from there to another disk is a copy, which a
    kill can cut short. Values that are no finite numbers raise `DivergedError`, and the file from before stays.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        state = {key: value for key, value in checkpoint.items() if key not in UNCHECKED}
        if name := nonfinite_tensor(dict(_tensors(state))):
            raise DivergedError(
                f"training stopped: {name} is no longer finite, so {Path(path).name} stays that of an earlier epoch; "
                "start a new run with a smaller optimizer.lr"
            )
        with atomic_path(Path(path)) as beside:
            torch.save(checkpoint, beside)


def _tensors(content: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Iterate over all tensors in nested dicts and lists, with their keys joined by dots."""
    if isinstance(content, torch.Tensor):
        yield name, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _tensors(value, f"{name}.{index}")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint; only tensors and plain values are loaded, never code.

    Raises:
        RunError: if the file is missing, damaged, of a newer version, not written by this project, or if its weights
            are not finite numbers.
    """
    try:
        content = load_tensors(path)
    except FileNotFoundError:
        raise RunError(f"{path} does not exist; a run writes it after its first epoch") from None
    except PermissionError:
        raise RunError(f"{path} cannot be read; change its permissions") from None
    except Exception:  # a damaged file makes torch raise nearly anything
        raise RunError(f"{path} {describe_damage(path)}, so it is no checkpoint; use another, or train again") from None
    if not isinstance(content, dict) or not isinstance(content.get(METADATA), dict):
        raise RunError(f"{path} is a checkpoint of another program; give one that train.py wrote")
    _check_version(path, content[METADATA].get("version"))
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise RunError(f"{path} holds no weights; use another checkpoint, or train again")
    if name := nonfinite_tensor(state | dict(_tensors(content[METADATA]))):
        raise RunError(f"{path} cannot be used: its weights {name} are not all finite numbers; train again")
    return content


def _check_version(path: Path, version: object) -> None:
    """Raise `RunError` for a version with a later number, patches apart."""
    try:
        newer = _release(str(version)) > _release(__version__)
    except ValueError:
        return
    if newer:
        raise RunError(
            f"{path} was written by birdnet_nl {version} and this is {__version__}; install that version, or train "
            "again"
        )


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


@contextmanager
def complete_metadata(path: Path) -> Iterator[None]:
    """Raise `RunError` when metadata that the block reads are missing from the checkpoint or are of another kind."""
    try:
        yield
    except BirdnetNlError:
        raise
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        raise RunError(
            f"{path} does not hold what prediction needs beside the weights, as train.py writes it; use another "
            "checkpoint, or train again"
        ) from None


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Raise `KeyError`, `TypeError` or `ValueError` when a value that prediction needs is missing or cannot be used."""
    types, temperature = metadata["types"], float(metadata["temperature"])
    lengths_s = (float(metadata["segment_s"]), float(metadata["segment_hop_s"]))
    threshold = metadata.get("threshold")
    numbers = (temperature, *lengths_s, *metadata.get("temperatures_of_species", {}).values())
    if not all(math.isfinite(value) and value > 0 for value in numbers) or not math.isfinite(threshold or 0):
        raise ValueError("a temperature, threshold or length is no usable number")
    if not types or not all(isinstance(name, str) for name in types) or len(types) != metadata["network"]["types"]:
        raise ValueError("its types are not those of its network")
    metadata["species"]["slug"], metadata["synthetic"]


def check_resumable(path: Path, checkpoint: Mapping[str, Any], module: nn.Module) -> None:
    """Raise `RunError` when a training of `module` cannot continue from a checkpoint."""
    remedy = f"delete {path} and resume again, which trains from the beginning"
    missing = [key for key in (*TRAINING_STATE, "state_dict") if key not in checkpoint]
    is_complete = not missing and isinstance(checkpoint["callbacks"], dict)
    if not is_complete or not isinstance(checkpoint[METADATA].get("history"), list):
        raise RunError(f"{path} holds no state of a training; {remedy}")
    state, own = checkpoint["state_dict"], module.state_dict()
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in own.items()}:
        raise RunError(f"the weights of {path} belong to another network; {remedy}")


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
