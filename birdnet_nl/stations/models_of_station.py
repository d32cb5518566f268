"""Models of a station: the one for each species, loaded when it is needed, and replaced when a version is promoted."""

import hashlib
import logging
from collections import OrderedDict
from pathlib import Path

from birdnet_nl.inference.model import PredictionModel, load_model
from birdnet_nl.prediction.models import ACTIVE, MANIFEST, MODELS, LoadModel, ModelEntry, open_models, opened
from birdnet_nl.util.errors import BirdnetNlError, RunError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.run_directory import BEST

log = logging.getLogger("birdnet_nl")
MAX_LOADED, MAX_LOADED_BYTES = 32, 32 << 20  # of model files; what a session needs is of the same size

Signature = tuple[tuple[str, int, int, int] | None, ...]


class StationModels:
    """Models of one `--model`, which may be promoted or exported again while they are used.

    Raises:
        RunError: if there is none at the start.
    """

    def __init__(self, target: str | Path | None = None, load: LoadModel = load_model) -> None:
        self.target, self._load = target, load
        self._signature = self._signed()
        self._set = open_models(target, load)
        self._loaded: OrderedDict[ModelEntry, PredictionModel] = OrderedDict()
        self._unusable: dict[ModelEntry, str] = {}
        self._sha256: dict[ModelEntry, str] = {}

    @property
    def name(self) -> str:
        """Names of the models, for people."""
        labels = [entry.label for entry in self._set.entries]
        return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")

    def refresh(self) -> bool:
        """Open the models again if their files changed; returns whether they are others now."""
        signature = self._signed()
        if signature == self._signature:
            return False
        try:
            models = open_models(self.target, self._load)
        except (BirdnetNlError, OSError) as error:
            log.warning("the new models cannot be used, the present ones stay: %s", error)
            self._signature = signature
            return False
        self._signature = signature
        is_other = models.entries != self._set.entries or bool(self._unusable)
        self._set = models
        self._unusable.clear()
        for entry in [entry for entry in self._loaded if entry not in models.entries]:
            del self._loaded[entry], self._sha256[entry]
        return is_other

    def choose(self, species: str) -> ModelEntry | None:
        """Return the model for a species (a slug), None where there is none that can be used."""
        entry = self._set.choose(species) if species else None
        return None if entry in self._unusable else entry

    def why_none(self, species: str) -> str:
        """Return why there is no model for a species."""
        if not species:
            return "its name is of no species of the table"
        return self._unusable.get(self._set.choose(species), f"there is no model for {species}")

    def fingerprint(self, species: str) -> str | None:
        """Return the fingerprint that results for a species get now, None without a model."""
        entry = self.choose(species)
        return entry.fingerprint if entry else None

    def model(self, entry: ModelEntry) -> PredictionModel:
        """Return a loaded model; the latest stay in memory.

        Raises:
            RunError: if it cannot be used; it is not tried again before its files change.
        """
        if entry in self._unusable:
            raise RunError(self._unusable[entry])
        if entry not in self._loaded:
            try:
                content = _model_file(entry.path).read_bytes()
                self._sha256[entry] = entry.sha256 or hashlib.sha256(content).hexdigest()
                self._make_room(len(content))
                self._loaded[entry] = opened(entry, self._load)
            except (BirdnetNlError, OSError) as error:
                self._unusable[entry] = str(error)
                log.warning("%s: %s", entry.label, error)
                raise RunError(str(error)) from None
        self._loaded.move_to_end(entry)
        return self._loaded[entry]

    def sha256(self, entry: ModelEntry) -> str:
        """Return the checksum of the file of a loaded model."""
        return self._sha256[entry]

    def _make_room(self, size: int) -> None:
        sizes = {entry: _size(_model_file(entry.path)) for entry in self._loaded}
        while sizes and (len(sizes) >= MAX_LOADED or sum(sizes.values()) + size > MAX_LOADED_BYTES):
            oldest = next(iter(self._loaded))
            del self._loaded[oldest], self._sha256[oldest], sizes[oldest]

    def _signed(self) -> Signature:
        """Return what changes when other models are to be used: the active version, its manifest, or the file."""
        path = user_path(self.target) if self.target is not None else MODELS / ACTIVE
        active = path / ACTIVE if path.is_dir() else path if path.name == ACTIVE else None
        version = path
        if active is not None and active.is_file():
            try:
                version = active.parent / active.read_text(encoding="utf-8").strip()
            except (OSError, ValueError):
                version = path
        files = (active, version / MANIFEST, _model_file(version))
        return tuple(_stat(file) for file in files if file is not None)


def _model_file(path: Path) -> Path:
    """Return the file of a model: itself, or the best checkpoint of a run."""
    return path / BEST if path.is_dir() else path


def _stat(path: Path) -> tuple[str, int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
