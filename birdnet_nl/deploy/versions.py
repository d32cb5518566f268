"""Versions of models on disk: `models/<version>/<slug>/best.ckpt`, a manifest for each version, one of them active.

A version never changes once it is there. Which one is active stands in the file `models/active`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birdnet_nl.deploy.model_file import sha256_of
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import write_text_atomic

MANIFEST, ACTIVE, MODEL = "manifest.json", "active", "best.ckpt"


@dataclass(frozen=True)
class Version:
    """A version as its manifest tells it; `models` by slug of the species or pool, with `file`, `sha256` and more."""

    name: str
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def models(self) -> Mapping[str, Mapping[str, Any]]:
        return self.manifest["models"]

    def file_of(self, slug: str) -> Path:
        return self.folder / self.models[slug]["file"]


def check_name(name: str) -> None:
    """Raise `ValueError` unless `name` can be the name of a version, which is also that of its folder."""
    if not re.fullmatch(r"\w[\w.+-]*", name) or name == ACTIVE:
        raise ValueError(f"--version {name!r} is not a name for a version; use letters, digits and . _ - as in 2026Q4")


def read_version(models: Path, name: str) -> Version:
    """Raises `RunError` where there is no such version, or one without its manifest."""
    path = models / name / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest["models"], dict):
            raise TypeError("models is no table")
    except FileNotFoundError:
        there = ", ".join(version.name for version in all_versions(models)) or "none yet"
        raise RunError(f"{models} has no version {name}; there are: {there}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is not the manifest of a version ({error}); make the version anew") from None
    return Version(name, models / name, manifest)


def all_versions(models: Path) -> list[Version]:
    """Every version in `models`, the oldest first."""
    names = [path.parent.name for path in models.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")]
    return sorted((read_version(models, name) for name in names), key=lambda version: version.manifest["made"])


def active_version(models: Path) -> Version | None:
    """The version in use; None before there is one."""
    try:
        name = (models / ACTIVE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return read_version(models, name)


def base_for(models: Path, name: str) -> Version | None:
    """What a version is compared with: the active one, and for one that is there what it was made from."""
    if not (models / name / MANIFEST).is_file():
        return active_version(models)
    based_on = read_version(models, name).manifest["based_on"]
    return read_version(models, based_on) if based_on else None


def activate(models: Path, name: str) -> Version:
    """Make a version the active one, at once and whole; raises `RunError` when a file of it is gone or changed."""
    version = read_version(models, name)
    for slug, entry in version.models.items():
        path = version.file_of(slug)
        if not path.is_file() or sha256_of(path.read_bytes()) != entry["sha256"]:
            what = "was changed" if path.is_file() else "is gone"
            raise RunError(f"{path} {what} since version {name} was made, so it stays inactive; make another version")
    write_text_atomic(models / ACTIVE, f"{name}\n")
    return version
