"""What a run used, left out and ran on: told on the screen when it starts, and stored in its `metrics.json`."""

import platform
import resource
import sys
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from omegaconf import DictConfig
from rich.markup import escape

from birdnet_nl import __version__
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.runs.origin import git_commit, machine
from birdnet_nl.training.engine import EngineState
from birdnet_nl.training.module import TypeClassifier
from birdnet_nl.util.console import info, warn

PACKAGES = (
    "torch",
    "torchaudio",
    "lightning",
    "hydra-core",
    "torchmetrics",
    "soundfile",
    "soxr",
    "numpy",
    "scikit-learn",
)


def print_source(data: SpeciesDataModule) -> None:
    """One loud line where the figures will say nothing about real birds."""
    if data.synthetic:
        why = next(choice.why for choice in data.choices.values() if choice.synthetic)
        warn(f"SYNTHETIC demo recordings ({why}): the figures say nothing about real birds")
    if data.features is not None and data.features.licence:
        info(f"features of {data.features.credit}; {data.features.licence}, and so are models made with them")
    if data.pool:
        info(f"pool of {len(data.pool)} species: {', '.join(data.pool[:8])}{', …' if len(data.pool) > 8 else ''}")
    if data.split_by == "segment":
        warn(
            "LEAK (data.split_by=segment): segments of one recording are on both sides of the split, "
            "so the figures are far too good"
        )
    if data.shuffle_types and data.split_by == "recording":
        warn("CONTROL (data.shuffle_types=true): types are dealt out at random, so the result must be chance")


def print_data_summary(data: SpeciesDataModule) -> None:
    """Counts per split, and everything that was left out with the reason."""
    prepared = data.prepared
    counts = data.recording_counts()
    for split in SPLITS:
        of_type = ", ".join(f"{name} {counts[split][name]}" for name in prepared.types)
        info(f"{split:<5} {counts[split].total():>4} recordings ({of_type}), {len(data.datasets[split])} segments")
    for name, reason in prepared.left_out_types.items():
        info(f"[yellow]type {name} left out: {reason}[/]")
    if prepared.unclear:
        texts = "; ".join(f"“{escape(text)}” {count}" for text, count in prepared.unclear.most_common(5))
        learned = len(data.multilabel.recordings)
        what = (
            f"not plainly of one type, {learned} of them learned as several:"
            if learned
            else "not plainly of one type left out:"
        )
        info(f"[dim]{prepared.unclear.total()} recordings {what} {texts}[/]")
    if prepared.unusable:
        info(f"[yellow]{len(prepared.unusable)} files left out:[/]")
        for file in prepared.unusable:
            info(f"[yellow]  {escape(file.path.name)}: {escape(file.reason)}[/]")


def describe_run(
    cfg: DictConfig, data: SpeciesDataModule, module: TypeClassifier, engine: EngineState, best_row: dict[str, float]
) -> dict[str, Any]:
    """Everything in `metrics.json` but the results themselves."""
    prepared = data.prepared
    recordings = data.recording_counts()
    return {
        "birdnet_nl": __version__,
        "synthetic": data.synthetic,
        "species": asdict(data.species),
        "parameter_set": cfg.parameter_set,
        "seed": cfg.seed,
        "pool": data.pool,
        "folds": data.folds,
        "fold": data.fold,
        "split_by": data.split_by,
        "types": prepared.types,
        "shuffled_types": data.shuffle_types,
        "validation": {name.removeprefix("val/"): value for name, value in best_row.items() if name.startswith("val/")},
        "epochs": len(module.history),
        "best_epoch": best_row["epoch"],
        "history": list(module.history),
        "counts": {
            "recordings": {split: dict(recordings[split]) for split in SPLITS},
            "segments": {split: dict(counts) for split, counts in data.segment_counts().items()},
            "several_types": len(data.multilabel.recordings),
        },
        "left_out": {
            "types": prepared.left_out_types,
            "unclear": dict(prepared.unclear),
            "files": {str(file.path): file.reason for file in prepared.unusable},
        },
        "data_fingerprint": prepared.fingerprint,
        "weights": sum(parameter.numel() for parameter in module.network.parameters()),
        "features": data.features.describe() if data.features else None,
        "practice": module.card["practice"],
        "teacher": module.card["teacher"],
        "teacher_features": module.card["teacher_features"],
        "parameters": {
            "parameter_set": cfg.parameter_set,
            "species": data.species.slug,
            "seed": cfg.seed,
            "model": cfg.model._target_.rpartition(".")[2],
            "mel": f"{data.mel.n_mels} × {data.mel.f_min_hz:g}-{data.mel.f_max_hz:g} Hz, {data.mel.normalisation}",
            "max_segments_per_type": data.max_segments_per_type,
            "batch_size": data.batch_size,
            "num_workers": data.num_workers,
            "max_epochs": cfg.trainer.max_epochs,
            "learning_rate": cfg.optimizer.lr * (module.card["practice"] or {}).get("rate_share", 1.0),
            "threads": engine.threads,
            "precision": engine.precision,
            "synthetic": data.synthetic,
        },
        "engine": engine.to_dict(),
        "machine": machine(),
        "git_commit": git_commit(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python and of the libraries that shape the figures."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def peak_memory_mb() -> int:
    """Largest resident memory of this process so far, in MB; in a sweep, of all jobs so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))
