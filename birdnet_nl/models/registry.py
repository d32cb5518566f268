"""Networks to and from plain descriptions, the form in which a checkpoint keeps them, and files of tensors."""

import functools
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from birdnet_nl.util.errors import BirdnetNlError, RunError
from birdnet_nl.util.tensor_file import describe_damage

PACKAGE = "birdnet_nl.models"
TRUSTED = "BIRDNET_NL_MODELS"  # environment variable: packages whose classes a checkpoint may name
COMPACT_CNN = f"{PACKAGE}.compact_cnn.CompactCnn"

Parsed = TypeVar("Parsed")


def build_network(description: Mapping[str, Any]) -> nn.Module:
    """Build a network from its class `_target_` and its arguments; other keys with `_`, and `pretrained`, are ignored.

    Raises `RunError` for a class that `find_class` refuses.
    """
    network_class = find_class(description["_target_"], PACKAGE, nn.Module)
    arguments = {key: value for key, value in description.items() if not key.startswith("_") and key != "pretrained"}
    if description["_target_"] == COMPACT_CNN and arguments.get("pooling") == "log_mean_exp":
        del arguments["pooling"]  # in checkpoints of 0.1; it is the only pooling left
    return network_class(**arguments)


def check_network(description: Mapping[str, Any]) -> None:
    """Raise the errors of building the network, for three types; the state of the random generator stays the same."""
    with torch.random.fork_rng(devices=[]):
        build_network({**description, "types": 3})


def describe_network(factory: functools.partial) -> dict[str, Any]:
    """Return the description that `build_network` reads, of a class and its arguments (Hydra's `_partial_`).

    Raises `ValueError` for a target that is no network class, and for an argument that is not a plain value.
    """
    target = _name_of(factory.func)
    if not (isinstance(factory.func, type) and issubclass(factory.func, nn.Module)):
        raise ValueError(f"model._target_={target} must be a subclass of torch.nn.Module")
    if factory.args:
        raise ValueError("model has positional arguments, which a checkpoint cannot name; give keyword arguments")
    return {"_target_": target} | {name: _plain(value, f"model.{name}") for name, value in factory.keywords.items()}


def find_class(target: str, package: str, base_class: type) -> type:
    """Return the class `target`, a subclass of `base_class`, without letting a checkpoint import arbitrary code.

    Classes below `package` are found freely. Any other class is found only if its module is imported already (as in the
    training run that built it), or if its top-level package is listed in the environment variable BIRDNET_NL_MODELS.
    Raises `RunError` otherwise.
    """
    module_name, _, name = target.rpartition(".")
    top_level = target.partition(".")[0]
    trusted = {name.strip() for name in os.environ.get(TRUSTED, "").split(",")} - {""}
    if not target.startswith(f"{package}.") and module_name not in sys.modules and top_level not in trusted:
        raise RunError(
            f"the class {target} is not part of {package}; if you trust that package, install it and set the "
            f"environment variable {TRUSTED}={top_level or '<package>'}"
        )
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError):
        raise RunError(
            f"the class {target} does not exist here; install the package or version of birdnet_nl that the model was "
            "trained with, or train again"
        ) from None
    if not (isinstance(found, type) and issubclass(found, base_class)):
        raise RunError(f"the class {target} is not a subclass of {_name_of(base_class)}; give one that is")
    return found


def _name_of(target: Callable[..., Any]) -> str:
    return f"{target.__module__}.{target.__qualname__}"


def _plain(value: Any, key: str) -> Any:
    """A value as plain lists, dicts, texts and numbers; OmegaConf's containers are converted too."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {name: _plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item, key) for item in value]
    raise ValueError(f"{key} is a {type(value).__name__}; a checkpoint keeps numbers, texts, lists and dicts only")


def to_half(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convert weights to half precision: half the file size; predictions change far less than with another seed."""
    return {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}


def to_float(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def nonfinite_tensor(weights: Mapping[str, Any]) -> str | None:
    """Return the name of the first tensor with a value that is no finite number; None when all are finite."""
    for name, value in weights.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not value.isfinite().all():
            return name
    return None


def load_tensors(path: Path) -> Any:
    """Return the content of a file of `torch.save`, never code; raises nearly anything for a damaged file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about files that it refuses
        return torch.load(path, map_location="cpu", weights_only=True)


def read_tensors(path: Path, parse: Callable[[Any], Parsed], content: str, command: str) -> Parsed:
    """Return `parse` of a file of `torch.save`; only tensors and plain values are loaded, never code.

    Raises `RunError` for a file that is missing, damaged, or in which `parse` does not find its keys; the sentence
    names the expected `content` and the `command` that makes such a file.
    """
    try:
        loaded = load_tensors(path)
    except FileNotFoundError:
        raise RunError(f"{path} does not exist; make it with {command}") from None
    except PermissionError:
        raise RunError(f"{path} cannot be read; change its permissions") from None
    except Exception:  # a damaged file makes torch raise nearly anything
        raise RunError(f"{path} {describe_damage(path)}, so it holds no {content}; make it with {command}") from None
    try:
        return parse(loaded)
    except BirdnetNlError:
        raise
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        raise RunError(f"{path} holds no {content}; make it with {command}") from None
