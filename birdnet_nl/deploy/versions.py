"""Versions of models on disk: `models/<version>/<slug>/best.ckpt` and a manifest; one version is active.

A version never changes. The file `models/active` holds the name of the active version.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import write_text_atomic

MANIFEST, ACTIVE, MODEL = "manifest.json", "active", "best.ckpt"


@dataclass(frozen=True)
class Version:
    """Version as described by its manifest; `models` holds `file`, `sha256` and more by slug of the species or pool."""

    name: str
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def models(self) -> Mapping[str, Mapping[str, Any]]:
        return self.manifest["models"]

    def model_path(self, slug: str) -> Path:
        return self.folder / self.models[slug]["file"]


def model_bytes(checkpoint: Path) -> bytes:
    """Reduce a checkpoint to the content of a model file: the weights of the network and the metadata.

    The same checkpoint gives the same bytes, whatever its file name. The optimiser state and the history of the epochs
    are left out. `Classifier.load` reads the file.
    """
    import torch

    from birdnet_nl.inference.classifier import Classifier
    from birdnet_nl.training.checkpoint import METADATA, read_checkpoint

    Classifier.load(checkpoint)  # raises for one that could not be used
    content = read_checkpoint(checkpoint)
    weights = {name: value for name, value in content["state_dict"].items() if name.startswith("network.")}
    metadata = {name: value for name, value in content[METADATA].items() if name != "history"}
    file = io.BytesIO()  # torch writes the name of a file into it, so that bytes on disk would depend on the name
    torch.save({"state_dict": weights, METADATA: metadata}, file)
    return file.getvalue()


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check_version_name(name: str) -> None:
    """Raise `ValueError` unless `name` can be the name of a version and of its folder."""
    if not re.fullmatch(r"\w[\w.+-]*", name) or name == ACTIVE:
        raise ValueError(f"--version {name!r} is not a name for a version; use letters, digits and . _ - as in 2026Q4")


def read_version(models: Path, name: str) -> Version:
    """Read the manifest of a version; raises `RunError` when it is missing or damaged."""
    path = models / name / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest["models"], dict):
            raise TypeError("models is not a table")
    except FileNotFoundError:
        existing = ", ".join(version.name for version in all_versions(models)) or "none yet"
        raise RunError(f"{models} has no version {name}; there are: {existing}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is not the manifest of a version ({error}); make the version again") from None
    return Version(name, models / name, manifest)


def all_versions(models: Path) -> list[Version]:
    """Return every version in `models`, the oldest first."""
    names = [path.parent.name for path in models.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")]
    return sorted((read_version(models, name) for name in names), key=lambda version: version.manifest["made"])


def active_version(models: Path) -> Version | None:
    """Return the version in use; None before there is one."""
    try:
        name = (models / ACTIVE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return read_version(models, name)


def base_version(models: Path, name: str) -> Version | None:
    """Return the version to compare with: the active one, or for an existing version the one it was based on."""
    if not (models / name / MANIFEST).is_file():
        return active_version(models)
    based_on = read_version(models, name).manifest["based_on"]
    return read_version(models, based_on) if based_on else None


def activate(models: Path, name: str) -> Version:
    """Make a version the active one; raises `RunError` when one of its files is missing or has changed."""
    version = read_version(models, name)
    for slug, entry in version.models.items():
        path = version.model_path(slug)
        if not path.is_file() or sha256_of(path.read_bytes()) != entry["sha256"]:
            problem = "was changed" if path.is_file() else "is gone"
            raise RunError(
                f"{path} {problem} since version {name} was made, so it stays inactive; make another version"
            )
    write_text_atomic(models / ACTIVE, f"{name}\n")
    return version
