"""Finished runs on disk: where they are, and what their `metrics.json` says, as plain values."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from birdnet_nl.util.errors import DataError

CONFIG, METRICS = "config.yaml", "metrics.json"  # written when a run starts, and when it is finished
OVERRIDES = Path(".hydra/overrides.yaml")
BY_RECORDING = "recording"
WORKERS = ("engine", "data.num_workers", "data.pin_memory", "data.persistent_workers", "data.decode_workers")
NEUTRAL = (  # overrides that a comparison accounts for otherwise, or that change nothing that is compared
    "species", "pool", "trainer", "seed", "resume", "fold", "folds", "split_by", "shuffle_types", "root", "data",
    "paths", "hydra", "logger", "progress", "parameter_set", "launcher", "sweep", "figures",
)  # fmt: skip


@dataclass(frozen=True)
class FinishedRun:
    """One training as its folder tells it.

    Attributes:
        subject: slug of the species, or of the pool of species.
        variant: overrides that make it another training than the parameter set's own, e.g. `model=compact_cnn`.
        worker_overrides: overrides that change its speed only, e.g. `data.num_workers=0`.
        scores: figures per recording; segment_scores: per segment; a figure may be absent or None.
        seconds: per phase: prepare, train, test, figures, total.
        report: everything in `metrics.json`.
    """

    folder: Path
    finished: float
    parameter_set: str
    subject: str
    dutch: str
    seed: int
    synthetic: bool
    types: tuple[str, ...]
    split_by: str
    shuffled: bool
    pool: tuple[str, ...]
    folds: int | None
    fold: int | None
    test_fingerprint: str
    variant: tuple[str, ...]
    worker_overrides: tuple[str, ...]
    report: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def finished_at(self) -> str:
        return datetime.fromtimestamp(self.finished).strftime("%Y-%m-%d %H:%M")

    @property
    def scores(self) -> Mapping[str, Any]:
        return self.report["results"]["recording"]

    @property
    def segment_scores(self) -> Mapping[str, Any]:
        return self.report["results"].get("segment") or {}

    @property
    def seconds(self) -> Mapping[str, float]:
        return self.report.get("seconds") or {}

    @property
    def epochs(self) -> int:
        return self.report.get("epochs") or 0

    @property
    def training_segments(self) -> int:
        return sum((self.report.get("counts", {}).get("segments", {}).get("train") or {}).values())

    @property
    def machine(self) -> str:
        """Host and processor; empty for older runs, which do not say."""
        machine = self.report.get("machine") or {}
        return " ".join(str(machine[name]) for name in ("host", "processor") if machine.get(name))

    @property
    def workers(self) -> Mapping[str, Any]:
        """What must be equal for two runs to be compared at equal worker settings."""
        parameters, engine = self.report.get("parameters") or {}, self.report.get("engine") or {}
        values = {name: parameters.get(name) for name in ("num_workers", "threads")}
        switches = ("device", "precision", "channels_last", "lean_blocks", "keeps_memory")  # of `EngineState`
        return values | {name: engine.get(name) for name in switches}


@dataclass(frozen=True)
class FoundRuns:
    """What lies below some folders: runs that are finished, folders of those that are not, files that are broken."""

    runs: tuple[FinishedRun, ...]
    unfinished: tuple[Path, ...]
    broken: tuple[tuple[Path, str], ...]


def find_runs(folders: Sequence[Path]) -> FoundRuns:
    """Every run at or below `folders`, each once; raises `DataError` for a folder that does not exist."""
    runs, unfinished, broken = [], [], []
    seen: set[Path] = set()
    for top in folders:
        if not top.is_dir():
            raise DataError(f"{top} is not a folder; give one that holds runs, such as logs")
        for folder, finished in walk_runs(top.resolve()):
            if folder in seen:
                continue
            seen.add(folder)
            if not finished:
                unfinished.append(folder)
                continue
            try:
                runs.append(read_run(folder))
            except DataError as error:
                broken.append((folder, str(error)))
    runs.sort(key=lambda run: (run.subject, run.parameter_set, run.seed, run.fold or 0, run.finished, run.folder))
    return FoundRuns(tuple(runs), tuple(unfinished), tuple(broken))


def walk_runs(top: Path) -> Iterator[tuple[Path, bool]]:
    """Folders of runs, and whether each is finished; what lies inside a run is not looked at."""
    try:
        entries = sorted(os.scandir(top), key=lambda entry: entry.name)
    except PermissionError:
        return
    names = {entry.name for entry in entries}
    if CONFIG in names or METRICS in names:
        yield top, METRICS in names
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from walk_runs(Path(entry.path))


def read_run(folder: Path) -> FinishedRun:
    """The run in `folder`; keys that older runs lack get their meaning of then. Raises `DataError`."""
    path = folder / METRICS
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if "evaluated" in report:
            raise DataError(f"{path} is of an evaluation, not of a training")
        species, results = report["species"], report["results"]
        if not isinstance(results["recording"], dict):
            raise TypeError("results.recording is no table")
        overrides, own_model = _overrides(folder), f"model={report['parameter_set']}"  # a set by itself, as birdnet is
        return FinishedRun(
            folder=folder,
            finished=path.stat().st_mtime,
            parameter_set=str(report["parameter_set"]),
            subject=str(species["slug"]),
            dutch=str(species.get("dutch") or species["slug"]),
            seed=int(report["seed"]),
            synthetic=bool(report["synthetic"]),
            types=tuple(report["types"]),
            split_by=report.get("split_by") or BY_RECORDING,
            shuffled=bool(report.get("shuffled_types")),
            pool=tuple(report.get("pool") or ()),
            folds=report.get("folds"),
            fold=report.get("fold"),
            test_fingerprint=report.get("test_fingerprint") or "",
            variant=tuple(sorted(text for text in overrides if not (_is_neutral(text) or text == own_model))),
            worker_overrides=tuple(sorted(text for text in overrides if _key(text).startswith(WORKERS))),
            report=report,
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not the report of a run ({error!r})") from None


def _overrides(folder: Path) -> list[str]:
    """What was typed after `python train.py`, from Hydra's own file (one `- key=value` per line)."""
    path = folder / OVERRIDES
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line[2:].strip().strip("'\"") for line in lines if line.startswith("- ")]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _is_neutral(override: str) -> bool:
    key = _key(override)
    parts = key.split(".")
    return (
        key.startswith(WORKERS)
        or key in NEUTRAL
        or parts[0] in ("paths", "hydra", "logger", "sweep")
        or parts[-1] in NEUTRAL
    )
