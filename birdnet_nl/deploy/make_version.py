"""Writes a planned version: beside its place first, so that a kill leaves nothing half."""

import csv
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from birdnet_nl import __version__
from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.deploy.candidates import CHECKPOINT
from birdnet_nl.deploy.model_file import sha256_of, shipped_bytes
from birdnet_nl.deploy.promotion import WORSE, Decision, Promotion
from birdnet_nl.deploy.versions import MANIFEST, MODEL, Version, read_version
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import atomic_path, write_text_atomic

PAPERS = ("splits.csv", "predictions.csv", "metrics.json", "config.yaml")  # of the run: what the model rests on
FIGURES = ("balanced_accuracy", "macro_f1", "auroc", "accuracy", "recall", "precision", "intervals", "counts", "count")
ABANDONED_S = 3600.0  # after so long without a change, a half-made version is of a process that was killed


def make_version(
    models: Path, name: str, promotion: Promotion, on_progress: Callable[[], None] = lambda: None
) -> tuple[Version, bool]:
    """The version `name`, and whether it was made now; one that is there with the same models is left as it is.

    Raises `RunError` when it is there with others, or when the disk refuses.
    """
    if (models / name).exists():
        return _same_or_refuse(read_version(models, name), promotion), False
    building = models / f".{name}.{os.getpid()}.part"
    try:
        models.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(models)
        building.mkdir()
        entries = {}
        for slug, decision in promotion.decisions.items():
            if decision.takes_run:
                entries[slug] = _take_run(decision, building / slug, name)
            else:
                entries[slug] = _take_over(decision, promotion.base, building / slug)
            on_progress()
        manifest = _manifest(name, entries, promotion)
        write_text_atomic(building / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        building.rename(models / name)
    except OSError as error:
        raise RunError(
            f"{models / name} cannot be written ({error.strerror}); free some space or give another --models"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return read_version(models, name), True


def _same_or_refuse(version: Version, promotion: Promotion) -> Version:
    planned = {slug: decision.sha256 for slug, decision in promotion.decisions.items()}
    there = {slug: entry["sha256"] for slug, entry in version.models.items()}
    if differing := sorted(slug for slug in planned | there if planned.get(slug) != there.get(slug)):
        named = ", ".join(differing[:5]) + (", …" if len(differing) > 5 else "")
        raise RunError(
            f"version {version.name} is there already with other models ({named}), and a version never changes; "
            "give another --version"
        )
    return version


def _take_run(decision: Decision, folder: Path, version: str) -> dict[str, Any]:
    run = decision.run
    content = shipped_bytes(run.folder / CHECKPOINT)
    with atomic_path(folder / MODEL) as beside:
        beside.write_bytes(content)
    for paper in PAPERS:
        if (run.folder / paper).is_file():
            shutil.copy2(run.folder / paper, folder / paper)
    return {
        **_describe(run),
        "file": f"{decision.slug}/{MODEL}",
        "bytes": len(content),
        "sha256": sha256_of(content),
        "since": version,
        "compared": _compared(decision),
    }


def _describe(run: FinishedRun) -> dict[str, Any]:
    report = run.report
    return {
        "species": report["species"],
        "pool": report.get("pool"),
        "types": list(run.types),
        "parameter_set": run.parameter_set,
        "seed": run.seed,
        "synthetic": run.synthetic,
        "birdnet_nl": report.get("birdnet_nl"),
        "git_commit": report.get("git_commit"),
        "run": str(run.folder),
        "trained": datetime.fromtimestamp(run.finished, UTC).isoformat(timespec="seconds"),
        "data_fingerprint": report.get("data_fingerprint"),
        "test_fingerprint": run.test_fingerprint,
        "recordings": report.get("counts", {}).get("recordings", {}),
        "licences": count_licences(run.folder / "splits.csv"),
        "validation": report["validation"],
        "test": {name: run.scores[name] for name in FIGURES if name in run.scores},
    }


def _take_over(decision: Decision, base: Version, folder: Path) -> dict[str, Any]:
    """The files of the version before, linked where the disk can, since neither version ever changes."""
    folder.mkdir()
    for path in sorted(base.file_of(decision.slug).parent.iterdir()):
        try:
            os.link(path, folder / path.name)
        except OSError:
            shutil.copy2(path, folder / path.name)
    return {**decision.before, "compared": _compared(decision)}


def _compared(decision: Decision) -> dict[str, Any]:
    said = {"verdict": decision.verdict, "reason": decision.reason}
    refused = decision.verdict == WORSE and not decision.takes_run
    return said | ({"refused_run": str(decision.run.folder)} if refused else {})


def _manifest(name: str, entries: Mapping[str, Mapping[str, Any]], promotion: Promotion) -> dict[str, Any]:
    return {
        "version": name,
        "made": datetime.now(UTC).isoformat(timespec="microseconds"),
        "birdnet_nl": __version__,
        "based_on": promotion.base.name if promotion.base else None,
        "synthetic": any(entry["synthetic"] for entry in entries.values()),
        "models": entries,
    }


def count_licences(splits: Path) -> dict[str, int]:
    """How many of a run's recordings bear each licence, the most frequent first; none where no list was kept."""
    if not splits.is_file():
        return {}
    with splits.open(encoding="utf-8", newline="") as file:
        counts = Counter(row.get("licence") or "not stated" for row in csv.DictReader(file))
    return dict(counts.most_common())


def _remove_abandoned(models: Path) -> None:
    for folder in models.glob(".*.part"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
