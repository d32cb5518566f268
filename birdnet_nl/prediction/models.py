"""Choice of the model for a species: of a promoted version, a pack, a run or a single file."""

import difflib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from birdnet_nl.inference.model import PredictionModel, load_model
from birdnet_nl.prediction.stored import ModelFacts
from birdnet_nl.recordings.type_set import THREE
from birdnet_nl.species.stored import stored_species
from birdnet_nl.util.console import log
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import user_path

LoadModel = Callable[[Path], PredictionModel]
MODELS, ACTIVE, MANIFEST = Path("models"), "active", "manifest.json"
MAX_LOADED = 8  # models in memory, for each process


@dataclass(frozen=True)
class ModelEntry:
    """Model that can be loaded.

    Attributes:
        label: as it is named in tables and messages.
        fingerprint: differs when predictions may differ.
        species: slugs it was trained for.
        sha256: of the file, empty where it is not recorded.
        types: that it distinguishes, empty where they are not recorded.
    """

    path: Path
    label: str
    fingerprint: str
    species: tuple[str, ...]
    is_pool: bool
    sha256: str = ""
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelSet:
    """Models of one `--model`; `load` is replaced in tests."""

    entries: tuple[ModelEntry, ...]
    load: LoadModel = load_model
    of_species: dict[str, ModelEntry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = {entry.species[0]: entry for entry in self.entries if not entry.is_pool and len(entry.species) == 1}
        object.__setattr__(self, "of_species", own)

    @cached_property
    def pools(self) -> list[ModelEntry]:
        """Pools, the largest first."""
        return sorted((entry for entry in self.entries if entry.is_pool), key=lambda entry: -len(entry.species))

    @property
    def only_species(self) -> str:
        """Slug of the species if there is one model, for one species; else empty."""
        return self.entries[0].species[0] if len(self.entries) == 1 and self.of_species else ""

    @property
    def types(self) -> tuple[str, ...]:
        """Types of all models: song, call and alarm unless one has others, which follow in the order of the models."""
        return tuple(dict.fromkeys([*THREE.types, *(name for entry in self.entries for name in entry.types)]))

    def choose(self, species: str) -> ModelEntry | None:
        """Return the model of a species, else a pool (one trained with the species if there is one), else None."""
        if entry := self.of_species.get(species):
            return entry
        return next((pool for pool in self.pools if species in pool.species), None) or next(iter(self.pools), None)


def opened(entry: ModelEntry, load: LoadModel) -> PredictionModel:
    """Return a loaded model; the last few stay in memory.

    Raises:
        RunError: if its file is missing, is not the one of the manifest, or cannot be used.
    """
    if entry not in _loaded:
        if not entry.path.exists():
            raise RunError(f"{entry.path} is missing; make the version or pack again")
        if entry.sha256 and hashlib.sha256(entry.path.read_bytes()).hexdigest() != entry.sha256:
            raise RunError(f"{entry.path} was changed or damaged since its manifest was written; make it again")
        _keep(entry, _load(entry.path, load))
    return _loaded[entry]


def _keep(entry: ModelEntry, model: PredictionModel) -> None:
    while len(_loaded) >= MAX_LOADED:
        del _loaded[next(iter(_loaded))]
    _loaded[entry] = model


def _load(path: Path, load: LoadModel) -> PredictionModel:
    """Load a model; metadata of another version that lacks a value is a `RunError`, too."""
    try:
        return load(path)
    except (KeyError, AttributeError, TypeError) as error:
        log.exception("%s", path)
        raise RunError(f"{path} was written by another version ({error!r}); export or train it again") from error


_loaded: dict[ModelEntry, PredictionModel] = {}


def facts_of(model: PredictionModel) -> ModelFacts:
    return ModelFacts(
        tuple(model.types),
        model.is_pool,
        model.sample_rate_hz,
        float(model.segment_s),
        model.threshold,
        bool(getattr(model, "synthetic", False)),
    )


def open_models(target: str | Path | None = None, load: LoadModel = load_model) -> ModelSet:
    """Find the models of a run, a `.onnx` or `.ckpt` file, a version, a pack, or a folder of versions.

    Without `target`, those of the active version in `models`. A single model is loaded, those of a manifest are not.

    Raises:
        RunError: if there is none, or it cannot be used.
    """
    path = user_path(target) if target is not None else MODELS / ACTIVE
    if target is None and not path.exists():
        raise RunError(
            "no model: there is no models/active; give one with --model, or promote a run with birdnet-nl promote"
        )
    if not path.exists():
        raise RunError(f"--model {path} does not exist{_similar(path)}; give a run, a version, a pack or a .onnx file")
    if path.is_dir() and (path / ACTIVE).is_file() and not (path / MANIFEST).is_file():
        path = path / ACTIVE
    if path.is_file() and path.name == ACTIVE:
        path = path.parent / path.read_text(encoding="utf-8").strip()
        if not path.is_dir():
            raise RunError(f"{path.parent / ACTIVE} names {path.name}, which is missing; promote a version again")
    if path.is_file() and path.name == MANIFEST:
        path = path.parent
    if path.is_dir() and (path / MANIFEST).is_file():
        return ModelSet(tuple(_entries(path)), load)
    model = _load(path, load)
    entry = ModelEntry(
        path, model.name, model.fingerprint, tuple(model.species), model.is_pool, types=tuple(model.types)
    )
    _keep(entry, model)
    return ModelSet((entry,), load)


def _entries(folder: Path) -> list[ModelEntry]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        name = str(manifest.get("version") or folder.name)
        entries = [_entry(folder, name, slug, values) for slug, values in manifest["models"].items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder / MANIFEST} is not the manifest of a version or pack ({error!r}); make it again"
        ) from None
    if not entries:
        raise RunError(f"{folder / MANIFEST} lists no models; promote or export some")
    return entries


def _entry(folder: Path, version: str, slug: str, values: Mapping[str, Any]) -> ModelEntry:
    pool = values.get("pool")
    described = {"species": values.get("species") or {"slug": slug}}
    described |= {name: values.get(name) for name in ("pool", "pool_species")}
    species = tuple(member.slug for member in stored_species(described))
    sha256 = str(values.get("sha256") or "")
    fingerprint = sha256[:16] or f"{version}/{values['file']}"
    return ModelEntry(
        folder / str(values["file"]),
        f"{slug} {version}",
        fingerprint,
        species,
        bool(pool),
        sha256,
        tuple(values.get("types") or ()),
    )


def _similar(path: Path) -> str:
    names = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f" (did you mean {path.parent / close[0]}?)" if close else ""
