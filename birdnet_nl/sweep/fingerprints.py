"""Cheap answers to "is this still the same configuration, are these still the same recordings?".

They decide whether a run that is there counts, and take milliseconds: names, sizes and times of files, not what is in
them. `data_fingerprint` in `metrics.json` is the thorough one, known only after everything was decoded.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from birdnet_nl.data.sources import choose_sources
from birdnet_nl.recordings.folder import MANIFEST, SOUND_SUFFIXES
from birdnet_nl.recordings.remote import list_remote_files
from birdnet_nl.species.pool import pooled_species
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import BirdnetNlError
from birdnet_nl.util.run_directory import CHANGEABLE

NOT_COUNTED = (
    *("species", "paths", "sweep", "resume", "evaluation.figures"),
    *("data.cache_dir", "data.demo.folder", "data.remote_dir", "data.features_dir"),
)
"""What makes no other training of it; the species is told by the run's folder."""
HELD_FIXED = ("trainer.max_epochs", "callbacks.early_stopping.patience")
"""May change by hand when a single run goes on; in a sweep all runs are to be of one length."""
NEUTRAL = {*NOT_COUNTED, *CHANGEABLE} - {*HELD_FIXED}
COUNTED_FILES = {*SOUND_SUFFIXES, ".npy"}


def configuration_fingerprint(cfg: DictConfig) -> str:
    """Sixteen hex digits of every value that shapes a training, from a composed configuration.

    References to other values count as they are written, so that this needs no running job of Hydra's.
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
    """Sixteen hex digits of the names, sizes and times of all recordings and manifests of a species, or of a pool.

    `demo` where they are synthesised, because then the configuration says it all; empty where there are none.
    """
    try:
        members = pooled_species(pool) if pool else [get_species(slug)]
        choices = choose_sources(source, root, members, group=isinstance(pool, str)).values()
        remote = [file for choice in choices if choice.remote for file in list_remote_files(choice.remote)]
    except (BirdnetNlError, OSError, ValueError):
        return ""  # the run itself says what is wrong
    rows = [(file.name, file.size, file.stamp_ns) for file in remote]
    rows += [row for choice in choices for folder in choice.folders for row in _files_in(folder)]
    return _digest(sorted(rows)) if rows else "demo"


def _files_in(folder: Path) -> list[tuple[str, int, int]]:
    manifest = folder.parent / MANIFEST
    rows = [("../" + MANIFEST, *_size_and_time(manifest))] if manifest.is_file() else []
    for place, _, names in os.walk(folder):
        for name in names:
            if name == MANIFEST or Path(name).suffix.lower() in COUNTED_FILES:
                rows.append((str(Path(place, name).relative_to(folder)), *_size_and_time(Path(place, name))))
    return rows


def _size_and_time(path: Path) -> tuple[int, int]:
    """In bytes and nanoseconds; -1 and 0 of a link that leads nowhere, and of a file that went while one looked."""
    try:
        facts = path.stat()
    except OSError:
        return -1, 0
    return facts.st_size, facts.st_mtime_ns


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
