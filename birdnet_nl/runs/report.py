"""Report of a run: what is printed when it starts, and what `metrics.json` holds beside the results."""

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.markup import escape

from birdnet_nl import __version__
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.extra import describe_extra
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.recordings.listing import printable_path
from birdnet_nl.species.stored import store_pool
from birdnet_nl.training.engine import EngineState
from birdnet_nl.training.module import SegmentClassifier
from birdnet_nl.util.console import info, warn
from birdnet_nl.util.words import counted

PACKAGE = Path(__file__).resolve().parents[1]
LIBRARIES = (
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
    """Warn, before training, of everything that changes what the metrics mean."""
    if data.synthetic:
        why = next(choice.why for choice in data.choices.values() if choice.synthetic)
        warn(f"SYNTHETIC demo recordings ({why}): the metrics say nothing about real birds")
    if data.embeddings is not None and data.embeddings.licence:
        info(f"embeddings of {data.embeddings.credit}; {data.embeddings.licence}, and so are models made with them")
    if data.pool:
        info(f"pool of {len(data.pool)} species: {', '.join(data.pool[:8])}{', …' if len(data.pool) > 8 else ''}")
    if data.split_by == "segment":
        warn(
            "LEAK (data.split_by=segment): segments of one recording are on both sides of the split, "
            "so the metrics are far too good"
        )
    if data.shuffle_types and data.split_by == "recording":
        warn("CONTROL (data.shuffle_types=true): types are permuted at random, so the result must be chance")


def print_data_summary(data: SpeciesDataModule) -> None:
    """Print the counts per split, and everything that was left out with the reason."""
    prepared, counts = data.prepared, data.recording_counts()
    for split in ("train",) if data.final else SPLITS:
        of_type = ", ".join(f"{name} {counts[split][name]}" for name in prepared.types)
        recordings = "recording" if counts[split].total() == 1 else "recordings"
        info(
            f"{split:<5} {counts[split].total():>4} {recordings} ({of_type}), "
            f"{counted(len(data.datasets[split]), 'segment')}"
        )
    if data.extra_roots:
        several = sum(recording.id in prepared.extra for recording in data.multilabel.recordings)
        info(describe_extra(data.extra, data.extra_weights, several, _join_counts))
    if line := data.annotated.line(data.trains_on_annotations):
        info(escape(line))
    for name, reason in prepared.left_out_types.items():
        info(f"[yellow]type {name} left out: {reason}[/]")
    if prepared.unclear:
        texts = "; ".join(f"“{escape(text)}” {count}" for text, count in prepared.unclear.most_common(5))
        multilabel = sum(recording.id not in prepared.extra for recording in data.multilabel.recordings)
        used = f", {multilabel} of them used for training as several types:" if multilabel else " left out:"
        info(f"[dim]{counted(prepared.unclear.total(), 'recording')} not plainly of one type{used} {texts}[/]")
    files = data.file_summary()
    for line in [files.line()] * bool(files.files) + files.manifest_lines():
        info(f"[dim]{escape(line)}[/]")
    if data.unusable:
        info(f"[yellow]{counted(len(data.unusable), 'file')} left out:[/]")
        for file in data.unusable:
            info(f"[yellow]  {escape(printable_path(file.path.name))}: {escape(file.reason)}[/]")
    log_warnings(data.warnings)


def _join_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def log_warnings(warnings: Mapping[Path, str]) -> None:
    """Print the files of which only a part is used, and what was wrong."""
    if warnings:
        info(f"[yellow]{len(warnings)} used {'file has' if len(warnings) == 1 else 'files have'} faults:[/]")
        for path, warning in warnings.items():
            info(f"[yellow]  {escape(printable_path(path.name))}: {escape(warning)}[/]")


def describe_run(
    cfg: DictConfig,
    data: SpeciesDataModule,
    module: SegmentClassifier,
    engine: EngineState,
    best_row: dict[str, float],
) -> dict[str, Any]:
    """Everything in `metrics.json` but the results."""
    prepared, recordings = data.prepared, data.recording_counts()
    return {
        "birdnet_nl": __version__,
        "synthetic": data.synthetic,
        "species": asdict(data.species),
        "parameter_set": cfg.parameter_set,
        "seed": cfg.seed,
        "pool": data.pool,
        "pool_species": store_pool(data.choices if data.pool else None),
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
            "multilabel": len(data.multilabel.recordings),
            "extra": data.extra.describe() if data.extra_roots else None,
            "files": data.file_summary().to_dict(),
        },
        "left_out": {
            "types": prepared.left_out_types,
            "unclear": dict(prepared.unclear),
            "files": {str(file.path): file.reason for file in data.unusable},
            "extra": {str(path): reason for path, reason in data.extra.left_out.items()},
        },
        "faults": {str(path): warning for path, warning in data.warnings.items()},
        "data_fingerprint": prepared.fingerprint,
        "weights": sum(parameter.numel() for parameter in module.network.parameters()),
        "embeddings": module.metadata["embeddings"],
        "pretraining": module.metadata["pretraining"],
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
            "learning_rate": module.learning_rate,
            "threads": engine.threads,
            "precision": engine.precision,
            "synthetic": data.synthetic,
        },
        "engine": engine.to_dict(),
        "machine": machine(),
        "git_commit": git_commit(),
        "versions": versions(),
    }


class PhaseTimer:
    """Seconds spent in each phase of a run."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)

    def report(self, history: Sequence[dict[str, float]]) -> dict[str, Any]:
        """Seconds by phase and peak memory; the training time includes epochs before the run was resumed."""
        train_s = round(sum(row["seconds"] for row in history), 2)
        total_s = round(time.perf_counter() - self.started, 2)
        return {"seconds": {"train": train_s, **self.seconds, "total": total_s}, "peak_memory_mb": peak_memory_mb()}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that influence the metrics."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def peak_memory_mb() -> int:
    """Largest resident memory of this process so far, in MB; in a sweep, of all jobs so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))


def machine() -> dict[str, str]:
    """Host, processor and operating system."""
    return {"host": platform.node(), "processor": _processor(), "system": platform.platform()}


def git_commit(package: Path = PACKAGE) -> str | None:
    """Commit of the repository that holds this package, with `-changed` when files differ; None without one."""
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != package.parent:
        return None  # installed somewhere inside another repository
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + ("-changed" if _git(package, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name of the processor; Linux has it in a file only."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
