"""Fingerprints of the configuration and the recordings of a run, to detect changes since it was started.

They take milliseconds, because they use names, sizes and times of files instead of their content. `data_fingerprint` in
`metrics.json` is computed from the content, once everything has been decoded.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from birdnet_nl.data.sources import choose_sources
from birdnet_nl.recordings.listing import list_folder, suffix_of
from birdnet_nl.recordings.manifest import MANIFEST
from birdnet_nl.recordings.remote import list_remote_files
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES
from birdnet_nl.species.table import get_species, pooled_species
from birdnet_nl.util.errors import BirdnetNlError
from birdnet_nl.util.run_directory import CHANGEABLE

# Values that do not change the training; the species is part of the path of a run.
NOT_COUNTED = (
    "species", "species_table", "paths", "sweep", "resume", "evaluation.plots", "data.cache_dir", "data.demo.folder",
)  # fmt: skip
HELD_FIXED = ("trainer.max_epochs", "callbacks.early_stopping.patience")  # a user may change them when resuming one run
NEUTRAL = {*NOT_COUNTED, *CHANGEABLE} - {*HELD_FIXED}
COUNTED_FILES = {*SOUND_SUFFIXES, ".npy"}


def configuration_fingerprint(cfg: DictConfig) -> str:
    """Return sixteen hex digits over every value of a composed configuration that affects the training.

    References to other values are not resolved, so that no running Hydra job is needed.
    """
    values = OmegaConf.to_container(cfg, resolve=False)
    rows: list[tuple[str, str]] = []

    def walk(node: Any, name: str) -> None:
        if name in NEUTRAL or name == "hydra":
            return
        if isinstance(node, dict) and node:
            for key, value in node.items():
                walk(value, f"{name}.{key}" if name else str(key))
        else:
            rows.append((name, repr(node)))

    walk(values, "")
    return _digest(sorted(rows))


def recordings_fingerprint(source: str, root: str | None, slug: str, pool: str | Sequence[str] | None) -> str:
    """Return sixteen hex digits over names, sizes and times of all recordings and manifests of a species or a pool.

    Returns `demo` for synthetic demo recordings, which the configuration defines; empty where there are no recordings.
    """
    try:
        members = pooled_species(pool) if pool else [get_species(slug)]
        choices = choose_sources(source, root, members, group=isinstance(pool, str)).values()
        remote = [file for choice in choices if choice.remote for file in list_remote_files(choice.remote)]
    except (BirdnetNlError, OSError, ValueError):
        return ""  # the run itself reports the error
    rows = [(file.name, file.size, file.stamp_ns) for file in remote]
    rows += [row for choice in choices for folder in choice.folders for row in _files_in(folder)]
    return _digest(sorted(rows)) if rows else "demo"


def _files_in(folder: Path) -> list[tuple[str, int, int]]:
    manifest = folder.parent / MANIFEST
    rows = [("../" + MANIFEST, *_size_and_time(manifest))] if manifest.is_file() else []
    for parent, _, names in os.walk(folder):
        for name in names:
            if name == MANIFEST or suffix_of(name) in COUNTED_FILES:
                rows.append((str(Path(parent, name).relative_to(folder)), *_size_and_time(Path(parent, name))))
    known = {name for name, _, _ in rows}
    linked = (path for path in list_folder(folder).sounds if str(path.relative_to(folder)) not in known)
    return rows + [(str(path.relative_to(folder)), *_size_and_time(path)) for path in linked]


def _size_and_time(path: Path) -> tuple[int, int]:
    """Return bytes and nanoseconds; -1 and 0 for a broken link, and for a file that was removed in the meantime."""
    try:
        status = path.stat()
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
