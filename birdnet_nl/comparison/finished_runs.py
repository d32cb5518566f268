"""Finished runs on disk: search, and `metrics.json` as plain values, also of runs of version 0.1."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from birdnet_nl.comparison.report_types import damage_of
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import did_you_mean
from birdnet_nl.util.renamed import RENAMED_KEYS, RENAMED_VALUES
from birdnet_nl.util.run_directory import CONFIG, METRICS
from birdnet_nl.util.value_types import read_json_table

OVERRIDES = Path(".hydra/overrides.yaml")
BY_RECORDING = "recording"
WORKERS = ("engine", "data.num_workers", "data.pin_memory", "data.persistent_workers", "data.decode_workers")
NEUTRAL = (  # overrides that a comparison handles separately, or that do not change the result
    "species", "pool", "trainer", "seed", "resume", "fold", "folds", "split_by", "shuffle_types", "root", "data",
    "paths", "hydra", "logger", "progress", "parameter_set", "launcher", "sweep", "plots", "figures", "final",
)  # fmt: skip
RENAMED_SETS = {"practised": "frozen", "student": "distilled"}  # parameter sets of version 0.1
RENAMED_REPORT = {  # keys of metrics.json of version 0.1; None: removed
    "": {"features": "embeddings", "practice": "pretraining", "teacher": None, "teacher_features": None},
    "counts": {"several_types": "multilabel"},
    "head": {"trunk": "base", "penalty": "l2", "moved": "mean_change"},
    "decision": {
        "wanted_accuracy": "target_accuracy",
        "answered": "certain_share",
        "accuracy_answered": "accuracy_certain",
    },
}


@dataclass(frozen=True)
class FinishedRun:
    """Finished training, read from its directory.

    Attributes:
        subject: slug of the species, or of the pool of species.
        variant: overrides that change the training of the parameter set, e.g. `model=compact_cnn`.
        worker_overrides: overrides that change only its speed, e.g. `data.num_workers=0`.
        scores: metrics per recording; a metric may be missing or None.
        seconds: by phase: prepare, train, test, figures, total.
        report: everything in `metrics.json`, with the keys of this version.
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
    def scores(self) -> Mapping[str, Any]:
        return self.report["results"]["recording"]

    @property
    def is_final(self) -> bool:
        """Whether it was trained on all recordings; its metrics are then those of a cross-validation."""
        return bool(self.report.get("final"))

    @property
    def seconds(self) -> Mapping[str, float]:
        return {phase: seconds for phase, seconds in (self.report.get("seconds") or {}).items() if seconds is not None}

    @property
    def epochs(self) -> int:
        return self.report.get("epochs") or 0

    @property
    def training_segments(self) -> int:
        segments = (self.report.get("counts") or {}).get("segments") or {}
        return sum(count or 0 for count in (segments.get("train") or {}).values())

    @property
    def machine(self) -> str:
        """Host and processor; empty for older runs, which do not report them."""
        machine = self.report.get("machine") or {}
        return " ".join(str(machine[name]) for name in ("host", "processor") if machine.get(name))

    @property
    def workers(self) -> Mapping[str, Any]:
        """Settings that must be equal for a comparison at equal worker settings."""
        parameters, engine = self.report.get("parameters") or {}, self.report.get("engine") or {}
        values = {name: parameters.get(name) for name in ("num_workers", "threads")}
        switches = ("device", "precision", "channels_last", "lean_blocks", "keeps_memory")  # of `EngineState`
        return values | {name: engine.get(name) for name in switches}


@dataclass(frozen=True)
class FoundRuns:
    """Result of a search: finished runs, directories of unfinished runs, and broken directories with the reason."""

    runs: tuple[FinishedRun, ...]
    unfinished: tuple[Path, ...]
    broken: tuple[tuple[Path, str], ...]


def find_runs(folders: Sequence[Path]) -> FoundRuns:
    """Find every run at or below `folders` once; raises `DataError` for a folder that does not exist."""
    is_finished: dict[Path, bool] = {}
    for top in folders:
        if not top.is_dir():
            raise DataError(f"{top} is not a folder{did_you_mean(top)}; give one with runs, such as logs")
        is_finished |= walk_runs(top.resolve())
    runs, broken = [], []
    for folder in (folder for folder, finished in is_finished.items() if finished):
        try:
            runs.append(read_run(folder))
        except DataError as error:
            broken.append((folder, str(error)))
    unfinished = tuple(folder for folder, finished in is_finished.items() if not finished)
    runs.sort(key=lambda run: (run.subject, run.parameter_set, run.seed, run.fold or 0, run.finished, run.folder))
    return FoundRuns(tuple(runs), unfinished, tuple(broken))


def walk_runs(top: Path) -> Iterator[tuple[Path, bool]]:
    """Yield directories of runs and whether each is finished; directories within a run are skipped."""
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
    """Read the run in `folder`, also of an older version; raises `DataError` unless it is the report of a training."""
    path = folder / METRICS
    try:
        original = read_json_table(path)
        if "evaluated" in original:
            raise DataError(f"{path} is from an evaluation, not from a training")
        if damage := damage_of(original):
            raise DataError(f"{path} is not the report of a run: {damage}")
        report = upgrade_report(original)
        species, results = report["species"], report["results"]
        if not isinstance(results["recording"], dict):
            raise TypeError("results.recording is not a table")
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
            variant=variant_of(folder, str(original["parameter_set"])),
            worker_overrides=tuple(
                text
                for text in sorted(_overrides(folder, str(original["parameter_set"])))
                if _key(text).startswith(WORKERS)
            ),
            report=report,
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not the report of a run ({error!r})") from None


def variant_of(folder: Path, parameter_set: str) -> tuple[str, ...]:
    """Return the arguments of a run that change the training of its parameter set, sorted."""
    return tuple(sorted(text for text in _overrides(folder, parameter_set) if not _is_neutral(text)))


def upgrade_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a `metrics.json` of version 0.1 to the keys and parameter sets of this version; others are unchanged."""
    upgraded = _rename(report, RENAMED_REPORT[""])
    for name in ("counts", "head", "parameters", "decision"):
        if isinstance(upgraded.get(name), Mapping):
            upgraded[name] = _rename(upgraded[name], RENAMED_REPORT.get(name, {}))
    for table in (upgraded, upgraded.get("parameters") or {}):
        if (parameter_set := table.get("parameter_set")) in RENAMED_SETS:
            table["parameter_set"] = RENAMED_SETS[parameter_set]
    return upgraded


def _rename(table: Mapping[str, Any], new_names: Mapping[str, str | None]) -> dict[str, Any]:
    names = {name: new_names.get(name, name) for name in table}
    return {new: table[old] for old, new in names.items() if new is not None}


def _overrides(folder: Path, parameter_set: str) -> list[str]:
    """Read the arguments of `python train.py` from Hydra's file, with today's names.

    The option of version 0.1 that selected the parameter set, such as `model=birdnet`, is left out.
    """
    overrides = read_overrides(folder)
    return [_upgrade_override(text) for text in overrides if text != f"model={parameter_set}"]


def read_overrides(folder: Path) -> list[str]:
    """Return the arguments of a run from Hydra's file, as they were given; empty where it is missing or damaged."""
    try:
        overrides = yaml.safe_load((folder / OVERRIDES).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return []
    return [str(text) for text in overrides] if isinstance(overrides, list) else []


def _upgrade_override(override: str) -> str:
    """Rename the key (or the longest prefix of it) and the value of an override of version 0.1."""
    key, equals, value = override.partition("=")
    prefix, key = key[: len(key) - len(key.lstrip("+~"))], key.lstrip("+~")
    value = RENAMED_VALUES.get(key, {}).get(value, value)
    parts = key.split(".")
    for count in range(len(parts), 0, -1):
        old = ".".join(parts[:count])
        if new := RENAMED_KEYS.get(old):
            return prefix + new + key[len(old) :] + equals + value
    return prefix + key + equals + value


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
