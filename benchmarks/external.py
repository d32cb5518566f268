"""External test of finished runs: other recordings, by recordists that no run was trained on."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
from sklearn.metrics import roc_auc_score

from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.comparison.predictions import RunPredictions, between, read_run_predictions
from birdnet_nl.evaluation.trained_on import read_trained_on
from birdnet_nl.util.run_directory import SPLITS_FILE

ROOT = Path(__file__).resolve().parents[1]
PAIR = ("song", "call")


def predict_external(run: FinishedRun, root: Path) -> RunPredictions:
    """Evaluate a run on `root`, once, and return its predictions for recordings by recordists it has not seen."""
    out = run.folder / f"external-{root.name}"
    if not (out / "metrics.json").is_file():
        command = [sys.executable, "-m", "birdnet_nl.cli", "evaluate", str(run.folder), "--data", str(root)]
        command += ["--species", "all"]  # also of species that the run was not trained on
        done = subprocess.run([*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    seen = read_trained_on(run.folder / SPLITS_FILE, synthetic=False, split_by="recording").recordists
    return by_others(read_run_predictions(out, run.report["types"]), seen)


def by_others(predictions: RunPredictions, seen: frozenset[str]) -> RunPredictions:
    """Leave out the recordings of seen recordists, given as `data.splits.group_of` names them."""
    names = [f"recordist:{' '.join(name.casefold().split())}" for name in predictions.recordists]
    kept = [index for index, name in enumerate(names) if name not in seen]
    return replace(
        predictions,
        **{name: tuple(getattr(predictions, name)[index] for index in kept) for name in ("ids", "recordists")},
        **{name: getattr(predictions, name)[kept] for name in ("truth", "predicted", "probabilities")},
    )


def external_metrics(predictions: RunPredictions) -> dict[str, float]:
    """Compute song against call (AUROC and balanced accuracy), and the recall of both among all types."""
    pair = between(predictions, *PAIR)
    if pair is None:
        raise SystemExit("the external test needs songs and calls by recordists that the run has not seen")
    metrics = {"song_call": float(roc_auc_score(pair.truth, pair.probabilities[:, 1]))}
    metrics["song_call_balanced_accuracy"] = mean(np.mean(pair.predicted[pair.truth == k] == k) for k in (0, 1))
    for name in PAIR:
        index = predictions.types.index(name)
        metrics[f"recall_{name}"] = float(np.mean(predictions.predicted[predictions.truth == index] == index))
    return metrics


def summarise_external(runs: Sequence[FinishedRun], root: Path) -> Mapping[str, float]:
    """Average the metrics over runs."""
    of_runs = [external_metrics(predict_external(run, root)) for run in runs]
    return {name: mean(metrics[name] for metrics in of_runs) for name in of_runs[0]}
