"""The final model: trained on all recordings, with the length and the decisions of a finished cross-validation.

A cross-validation measures a recipe; the model that is used learns from every recording. It is never evaluated on
recordings that it learned from, so its metrics are those of the folds.
"""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf, open_dict
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from birdnet_nl.comparison.finished_runs import FinishedRun, find_runs, variant_of
from birdnet_nl.comparison.results import Result, join_folds
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.evaluation.calibration import (
    Threshold,
    calibration_metrics,
    choose_threshold,
    coverage_curve,
    ece_by_chance,
    reliability_bins,
    selective_metrics,
)
from birdnet_nl.evaluation.metrics import score_with_intervals
from birdnet_nl.evaluation.predictions_file import RecordingPrediction, read_predictions, write_predictions
from birdnet_nl.evaluation.sources import song_against_call
from birdnet_nl.runs.test import fingerprint
from birdnet_nl.training.checkpoint import finalize_checkpoint
from birdnet_nl.util.console import display_path, info, warn
from birdnet_nl.util.errors import DataError, RunError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.run_directory import BEST, PREDICTIONS

ABSENT = {"absent": "only the folds were tested"}


@dataclass(frozen=True)
class Folds:
    """All folds of a finished cross-validation with one seed."""

    folder: Path
    result: Result

    @property
    def runs(self) -> tuple[FinishedRun, ...]:
        return self.result.runs

    @property
    def epochs(self) -> int:
        """Median over the folds of the number of epochs after which the weights were kept."""
        return round(statistics.median(run.report["best_epoch"] + 1 for run in self.runs))

    @property
    def learning_rates(self) -> list[float]:
        """Learning rate of each epoch in the fold whose length is closest to the median."""
        fold = min(self.runs, key=lambda run: abs(run.report["best_epoch"] + 1 - self.epochs))
        return [row["learning_rate"] for row in fold.report["history"][: self.epochs] if "learning_rate" in row]

    @property
    def validation(self) -> float:
        """Mean over the folds of the validation balanced accuracy per recording."""
        return statistics.fmean(run.report["validation"]["recording_balanced_accuracy"] for run in self.runs)

    @cached_property
    def predictions(self) -> list[RecordingPrediction]:
        """Predictions of all folds, each recording once."""
        rows = [row for run in self.runs for row in read_predictions(run.folder / PREDICTIONS)]
        return sorted(rows, key=lambda row: (row.species, row.recording_id))

    def calibration(self) -> dict[str, Any]:
        """Temperatures (geometric mean) and pooling (the most frequent), as in a checkpoint."""
        reports = [run.report for run in self.runs]
        pooling = Counter(report["decision"]["pooling"] for report in reports).most_common(1)[0][0]
        fitted = [report["calibration"] for report in reports if report["decision"]["pooling"] == pooling]
        of_species: dict[str, list[float]] = defaultdict(list)
        for calibration in fitted:
            for slug, temperature in (calibration.get("of_species") or {}).items():
                of_species[slug].append(temperature)
        return {
            "temperature": round(_geometric_mean([calibration["temperature"] for calibration in fitted]), 4),
            "temperatures_of_species": {
                slug: round(_geometric_mean(temperatures), 4)
                for slug, temperatures in sorted(of_species.items())
                if len(temperatures) == len(fitted)
            },
            "pooling": pooling,
        }


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def read_folds(cfg: DictConfig, run_dir: Path) -> Folds:
    """Find the folds of `final=`: a folder with them, or `true` for those in `paths.logs`.

    They have the parameter set, the species and the other arguments of this run; of several seeds that of this run is
    taken, else the smallest. Raises `ValueError` for values that do not go together and `RunError` without folds.
    """
    _check_data(cfg)
    folder = user_path(cfg.paths.logs if cfg.final is True else str(cfg.final))
    if not folder.is_dir():
        raise RunError(f"final={folder} is not a folder; give the folder of the sweep over data.fold=0,1,2,3,4")
    subject, own = cfg.species.slug, variant_of(run_dir, cfg.parameter_set)
    folds = [
        run
        for run in find_runs([folder]).runs
        if (run.parameter_set, run.subject) == (cfg.parameter_set, subject) and run.folds and not run.shuffled
    ]
    suitable = [run for run in folds if run.variant == own]
    results, reasons = {}, []
    for seed in sorted({run.seed for run in suitable}):
        newest = {run.fold: run for run in sorted(suitable, key=lambda run: run.finished) if run.seed == seed}
        count = {run.folds for run in newest.values()}
        try:
            if len(count) > 1:
                raise DataError("they are of different numbers of folds; give the folder of one sweep")
            results[seed] = join_folds(list(newest.values()))
        except DataError as error:
            reasons.append(f"seed {seed}: {error}")
    if not results:
        others = f"; folds with other arguments ({', '.join(folds[0].variant) or 'none'})" if folds else ""
        why = f" ({'; '.join(reasons)})" if reasons else others
        raise RunError(
            f"final: {folder} holds no complete cross-validation of trainer={cfg.parameter_set} for {subject}"
            f"{' with ' + ', '.join(own) if own else ''}{why}; make one with python train.py -m data.folds=5 "
            "data.fold=0,1,2,3,4 and the other arguments of this run"
        )
    chosen = results.get(cfg.seed) or results[min(results)]
    return Folds(folder, chosen)


def _check_data(cfg: DictConfig) -> None:
    for name, value, allowed in (
        ("data.fold", cfg.data.get("fold"), None),
        ("data.folds", cfg.data.get("folds"), None),
        ("data.split_by", cfg.data.split_by, "recording"),
        ("data.shuffle_types", cfg.data.shuffle_types, False),
        ("base", cfg.get("base"), None),
    ):
        if value != allowed:
            raise ValueError(f"{name}={value} and final= exclude each other; a final model trains on all recordings")


def final_settings(cfg: DictConfig, folds: Folds) -> DictConfig:
    """Return the configuration of a training on all recordings: no validation, with the length of the folds'.

    A learning rate that followed the validation loss repeats that of a fold.
    """
    changed = cfg.copy()
    with open_dict(changed):
        changed.data.final, changed.data.types = True, list(folds.result.types)
        changed.trainer.limit_val_batches, changed.trainer.max_epochs = 0, folds.epochs
        for name in ("early_stopping", "median_pruner"):
            changed.callbacks.pop(name, None)
        for callback in changed.callbacks.values():
            if callback is not None and str(callback.get("monitor") or "").startswith("val/"):
                callback.monitor = None
        if str(OmegaConf.select(changed, "scheduler._target_")).endswith("ReduceLROnPlateau"):
            target = f"{repeat_learning_rates.__module__}.{repeat_learning_rates.__name__}"
            changed.scheduler = {"_target_": target, "_partial_": True, "rates": folds.learning_rates}
    return changed


def repeat_learning_rates(optimizer: Optimizer, rates: Sequence[float]) -> LambdaLR:
    """Scheduler with the learning rates of another training, one for each epoch; the last one stays."""
    first = rates[0]
    return LambdaLR(optimizer, lambda epoch: rates[min(epoch, len(rates) - 1)] / first)


def print_folds(folds: Folds) -> None:
    """Print what the training takes from the folds."""
    epochs = "one step" if folds.epochs == 1 else f"{folds.epochs} epochs"
    info(
        f"final model: trains on all recordings in {epochs}, without test; its metrics are those of the "
        f"{len(folds.runs)} folds with seed {folds.runs[0].seed} in {display_path(folds.folder)}"
    )


def warn_of_other_recordings(folds: Folds, prepared: PreparedRecordings) -> None:
    """Warn where the recordings, extra ones aside, are not those that the folds were tested on."""
    tested = {(row.species, row.recording_id) for row in folds.predictions}
    ids = {(recording.species, recording.id) for recording in prepared.recordings if recording.id not in prepared.extra}
    if new := len(ids - tested):
        warn(f"{new} recordings were in no fold: what they change was not measured")
    if gone := len(tested - ids):
        warn(f"{gone} recordings of the folds are not there any more")


def finish_final(run_dir: Path, folds: Folds, target_accuracy: float) -> dict[str, Any]:
    """Write the folds' decisions into `best.ckpt` and their predictions into `predictions.csv`.

    Returns what `metrics.json` holds of the folds: their metrics with intervals, calibration and threshold.
    """
    types = list(folds.result.types)
    rows = folds.predictions
    probabilities = np.array([[row.probabilities[name] for name in types] for row in rows])
    truth = np.array([types.index(row.true_type) for row in rows])
    chosen = choose_threshold(probabilities, truth, target_accuracy)
    described = {
        "folder": str(folds.folder.resolve()),
        "runs": [str(run.folder) for run in folds.runs],
        "seed": folds.runs[0].seed,
        "epochs": folds.epochs,
    }
    calibration = folds.calibration()
    finalize_checkpoint(run_dir / BEST, **calibration, threshold=chosen.value, final=described)
    write_predictions(run_dir / PREDICTIONS, _with_threshold(rows, chosen))
    before = [run.report["calibration"]["before"] for run in folds.runs]
    metrics = calibration_metrics(probabilities, truth)
    return {
        "final": described,
        "validation": {"recording_balanced_accuracy": folds.validation},
        "test_fingerprint": fingerprint(rows),
        "results": {"recording": _score(rows, probabilities, truth, types)},
        "song_against_call": song_against_call(torch.from_numpy(probabilities).float(), torch.from_numpy(truth), types),
        "calibration": {
            "temperature": calibration["temperature"],
            "of_species": calibration["temperatures_of_species"],
            "fitted_on": sum(run.report["calibration"]["fitted_on"] for run in folds.runs),
            "before": {name: statistics.fmean(fold[name] for fold in before) for name in metrics},
            "after": metrics,
            "ece_by_chance": ece_by_chance(probabilities),
            "bins": reliability_bins(probabilities, truth),
        },
        "decision": {
            "pooling": calibration["pooling"],
            "target_accuracy": target_accuracy,
            "threshold": chosen.value,
            "coverage": coverage_curve(probabilities, truth),
            **selective_metrics(probabilities, truth, chosen.value),
        },
        "threshold_choice": asdict(chosen),
        "controls": {"majority": ABSENT, "metadata": ABSENT},
    }


def _with_threshold(rows: Sequence[RecordingPrediction], chosen: Threshold) -> list[RecordingPrediction]:
    values = [asdict(row) | {"certain": max(row.probabilities.values()) >= chosen.value} for row in rows]
    return [RecordingPrediction(**value) for value in values]


def _score(
    rows: Sequence[RecordingPrediction], probabilities: np.ndarray, truth: np.ndarray, types: Sequence[str]
) -> Mapping[str, Any]:
    names = [" ".join(row.recordist.casefold().split()) or f"/{row.species}/{row.recording_id}" for row in rows]
    groups = np.unique(names, return_inverse=True)[1]
    return score_with_intervals(torch.from_numpy(probabilities).float(), torch.from_numpy(truth), groups, types)
