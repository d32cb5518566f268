"""Writing of a new version of models: whole or not at all, beside its final place and then renamed."""

import csv
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from birdnet_nl import __version__
from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.deploy.promotion import WORSE, Decision, Promotion
from birdnet_nl.deploy.versions import MANIFEST, MODEL, Version, model_bytes, read_version, sha256_of
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import FILE_NAMES, atomic_path, write_text_atomic
from birdnet_nl.util.run_directory import BEST

RUN_FILES = ("splits.csv", "predictions.csv", "metrics.json", "config.yaml")  # copied as evidence for the model
METRICS = ("balanced_accuracy", "macro_f1", "auroc", "accuracy", "recall", "precision", "intervals", "counts", "count")
ABANDONED_S = 3600.0  # a half-written version unchanged for so long was left by a killed process


def make_version(
    models: Path, name: str, promotion: Promotion, on_progress: Callable[[], None] = lambda: None
) -> tuple[Version, bool]:
    """Write the version `name`, and return it with True when it is new; an existing one with the same models is kept.

    Raises `RunError` when it exists with other models, or when it cannot be written.
    """
    if (models / name).exists():
        existing = read_version(models, name)
        _check_same_models(existing, promotion)
        return existing, False
    part = models / f".{name}.{os.getpid()}.part"
    try:
        models.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(models)
        part.mkdir()
        entries = {}
        for slug, decision in promotion.decisions.items():
            if decision.takes_run:
                entries[slug] = _copy_run(decision, part / slug, name)
            else:
                entries[slug] = _link_existing(decision, promotion.base, part / slug)
            entries[slug]["compared"] = _comparison(decision)
            on_progress()
        manifest = {
            "version": name,
            "made": datetime.now(UTC).isoformat(timespec="microseconds"),
            "birdnet_nl": __version__,
            "based_on": promotion.base.name if promotion.base else None,
            "synthetic": any(entry["synthetic"] for entry in entries.values()),
            "models": entries,
        }
        write_text_atomic(part / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        part.rename(models / name)
    except OSError as error:
        raise RunError(
            f"{models / name} cannot be written ({error.strerror}); free some space or give another --models"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return read_version(models, name), True


def _check_same_models(version: Version, promotion: Promotion) -> None:
    planned = {slug: decision.sha256 for slug, decision in promotion.decisions.items()}
    existing = {slug: entry["sha256"] for slug, entry in version.models.items()}
    if differing := sorted(slug for slug in planned | existing if planned.get(slug) != existing.get(slug)):
        names = ", ".join(differing[:5]) + (", …" if len(differing) > 5 else "")
        raise RunError(
            f"version {version.name} exists already with other models ({names}), and a version never changes; "
            "give another --version"
        )


def _copy_run(decision: Decision, folder: Path, version: str) -> dict[str, Any]:
    run = decision.run
    content = model_bytes(run.folder / BEST)
    with atomic_path(folder / MODEL) as part:
        part.write_bytes(content)
    for name in RUN_FILES:
        if (run.folder / name).is_file():
            shutil.copy2(run.folder / name, folder / name)
    return {
        **_describe(run),
        "file": f"{decision.slug}/{MODEL}",
        "bytes": len(content),
        "sha256": sha256_of(content),
        "since": version,
    }


def _describe(run: FinishedRun) -> dict[str, Any]:
    report = run.report
    return {
        "species": report["species"],
        "pool": report.get("pool"),
        "pool_species": report.get("pool_species"),
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
        "final": report.get("final"),
        "recordings": report.get("counts", {}).get("recordings", {}),
        "licences": count_licences(run.folder / "splits.csv"),
        "validation": report["validation"],
        "test": {name: run.scores[name] for name in METRICS if name in run.scores},
    }


def _link_existing(decision: Decision, base: Version, folder: Path) -> dict[str, Any]:
    """Hard-link the files of the base version, or copy them where the disk has no links; neither version changes."""
    folder.mkdir()
    for path in sorted(base.model_path(decision.slug).parent.iterdir()):
        try:
            os.link(path, folder / path.name)
        except OSError:
            shutil.copy2(path, folder / path.name)
    return dict(decision.before)


def _comparison(decision: Decision) -> dict[str, Any]:
    comparison = {"verdict": decision.verdict, "reason": decision.reason}
    refused = decision.verdict == WORSE and not decision.takes_run
    return comparison | ({"refused_run": str(decision.run.folder)} if refused else {})


def count_licences(splits: Path) -> dict[str, int]:
    """Count the recordings of a run by licence, the most frequent first; empty without `splits.csv`."""
    if not splits.is_file():
        return {}
    with splits.open(encoding="utf-8", errors=FILE_NAMES, newline="") as file:
        counts = Counter(row.get("licence") or "not stated" for row in csv.DictReader(file))
    return dict(counts.most_common())


def _remove_abandoned(models: Path) -> None:
    for folder in models.glob(".*.part"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
